package cluster

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// burnRetry is how long a batch that failed waits.
const burnRetry = 500 * time.Millisecond

// send tells the others what waits, as soon as there is something: while one call is
// under way the next batch gathers.
func (b *Burns) send(ctx context.Context) {
	ear, stop := b.c.changed()
	defer stop()
	for ctx.Err() == nil {
		if b.c.Up() && b.waiting() {
			if err := b.flush(ctx); err != nil {
				b.c.report("telling burnt challenges", err)
				pause(ctx, burnRetry)
			}
			continue
		}
		if !b.c.Up() {
			b.forget()
		}
		select {
		case <-ctx.Done():
		case <-b.wake:
		case <-ear:
		}
	}
}

// forget drops the rates that wait: told when Redis is back, they would count as
// taken then.
func (b *Burns) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.rates {
		b.counts.dropped.Add(int64(t.tokens))
	}
	clear(b.rates)
}

func (b *Burns) waiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.burns) > 0 || len(b.rates) > 0
}

// batch is what one call tells.
type batch struct {
	burns []burn
	names [][16]byte
	taken []taken
}

// take takes a batch out of what waits.
func (b *Burns) take() batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.burns), burnBatch)
	out := batch{burns: append([]burn(nil), b.burns[:n]...)}
	if b.burns = b.burns[n:]; len(b.burns) == 0 {
		b.burns = nil
	}
	for name, t := range b.rates {
		if len(out.names) >= burnBatch {
			break
		}
		out.names, out.taken = append(out.names, name), append(out.taken, t)
		delete(b.rates, name)
	}
	return out
}

// flush sends one batch. When it fails its burns wait for the next try; its rates do
// not, since they might count twice.
func (b *Burns) flush(ctx context.Context) error {
	t := b.take()
	keys := []string{b.spentKey()}
	args := []any{b.c.o.Node, b.channel(), maxSpent, len(t.burns)}
	for _, one := range t.burns {
		args = append(args, string(one.id[:]), one.expires)
	}
	for i, name := range t.names {
		keys = append(keys, b.c.key("{j}", "rate", string(name[:])))
		args = append(args, string(name[:]), t.taken[i].period, t.taken[i].burst, t.taken[i].tokens)
	}
	v, err := b.script.Run(ctx, keys, args...)
	if err != nil {
		err = fmt.Errorf("key %s: %w", keys[0], err)
	} else {
		err = b.settle(t, v)
	}
	if err != nil {
		b.putBack(t)
	}
	return err
}

func (b *Burns) putBack(t batch) {
	b.mu.Lock()
	room := min(max(0, maxBurns-len(b.burns)), len(t.burns))
	for _, one := range t.burns[:room] {
		one.again = true
		b.burns = append(b.burns, one)
	}
	b.mu.Unlock()
	lost := len(t.burns) - room
	for _, one := range t.taken {
		lost += one.tokens
	}
	b.counts.dropped.Add(int64(lost))
}

// settle takes the answer: which tokens others had let pass too, and how the rates
// stand in the fleet.
func (b *Burns) settle(t batch, v any) error {
	list, _ := v.([]any)
	if len(list) != 2+len(t.names) {
		return fmt.Errorf("telling burnt challenges: odd answer of %d parts", len(list))
	}
	spent, _ := list[0].(string)
	unkept, _ := list[1].(int64)
	if len(spent) != len(t.burns) {
		return fmt.Errorf("telling burnt challenges: odd answer to %d", len(t.burns))
	}
	for i, one := range t.burns {
		if spent[i] == '1' && !one.again {
			b.counts.late.Add(1)
		}
	}
	b.counts.sent.Add(int64(len(t.burns)))
	b.counts.unkept.Add(unkept)
	for i, name := range t.names {
		ahead, _ := list[2+i].(int64)
		b.raise(string(name[:]), ahead)
		b.counts.rates.Add(int64(t.taken[i].tokens))
	}
	return nil
}

// raise notes that the bucket is full in so many µs.
func (b *Burns) raise(name string, ahead int64) {
	d := time.Duration(ahead) * time.Microsecond
	if ahead < 0 || ahead > farthest.Microseconds() {
		b.counts.refused.Add(1)
		return
	}
	b.local.Raise(name, b.c.now().Add(d).UnixNano())
}

const (
	nodeBytes  = 16
	burnRecord = 1 + 16 + 4
	rateRecord = 1 + 16 + 8
)

// learn takes what another node told; see burn.lua for its form.
func (b *Burns) learn(message string) {
	if len(message) < nodeBytes || message[:nodeBytes] == b.c.o.Node {
		return
	}
	for rest := message[nodeBytes:]; rest != ""; {
		switch {
		case rest[0] == 'B' && len(rest) >= burnRecord:
			b.spend([16]byte([]byte(rest[1:17])), int64(binary.LittleEndian.Uint32([]byte(rest[17:burnRecord]))))
			rest = rest[burnRecord:]
		case rest[0] == 'R' && len(rest) >= rateRecord:
			ahead := binary.LittleEndian.Uint64([]byte(rest[17:rateRecord]))
			b.raise(rest[1:17], int64(min(ahead, 1<<62)))
			rest = rest[rateRecord:]
		default:
			b.counts.refused.Add(1)
			return
		}
	}
}

// spend notes a burn of another node.
func (b *Burns) spend(id [16]byte, second int64) {
	expires, now := time.Unix(second, 0), b.c.now()
	if expires.After(now.Add(farthest)) {
		b.counts.refused.Add(1)
		return
	}
	if expires.Before(now) {
		return
	}
	fresh, err := b.local.Burn(context.Background(), id, expires)
	switch {
	case err != nil:
		b.counts.dropped.Add(1)
	case fresh:
		b.counts.learnt.Add(1)
	}
}

// catchUp reads what is still unexpired: this node may have been away when it was told.
func (b *Burns) catchUp(ctx context.Context) error {
	const page, most = 1000, 2 * maxSpent / 1000
	cursor := uint64(0)
	for range most {
		list, next, err := b.c.redis.ZScan(ctx, b.spentKey(), cursor, "", page).Result()
		if err != nil {
			return fmt.Errorf("reading burnt challenges (key %s): %w", b.spentKey(), err)
		}
		for i := 0; i+1 < len(list); i += 2 {
			if id := list[i]; len(id) == 16 {
				b.spend([16]byte([]byte(id)), number(strings.TrimSuffix(list[i+1], ".0")))
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	return nil
}
