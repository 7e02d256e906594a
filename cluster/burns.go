package cluster

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxBurns and maxRates bound what waits to be sent.
	maxBurns = 1 << 16
	maxRates = 1 << 12
	// burnBatch is how many burns, and how many rates, one call takes.
	burnBatch = 256
	// maxSpent bounds the ids that Redis keeps.
	maxSpent = 1 << 20
	// farthest is how far ahead an expiry or an instant may lie that others tell.
	farthest = 25 * time.Hour
)

//go:embed burn.lua
var burnSource string

// Challenges keeps spent tokens and rates in the memory of one node; captcha.Memory
// is one.
type Challenges interface {
	Burn(ctx context.Context, id [16]byte, expires time.Time) (fresh bool, err error)
	Allow(ctx context.Context, key string, period time.Duration, burst int) (ok bool, retry time.Duration)
	// Raise is told that tokens were taken elsewhere, so that the bucket named key is
	// full at that instant, in ns since 1970, and not earlier.
	Raise(key string, full int64)
}

// Burns is the challenge store of a fleet. Every call is decided at once by what this
// node knows; what it decides is told to the others within milliseconds. So a token
// that is used on two nodes at the same instant passes twice, which is counted, and
// one that is used later passes once. A rate holds for the fleet, but that each node
// may let through what it has not heard of yet. It is safe for concurrent use.
type Burns struct {
	c      *Client
	local  Challenges
	script *script
	wake   chan struct{}
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu    sync.Mutex
	burns []burn
	rates map[[16]byte]taken

	counts burnCounts
}

type burn struct {
	id      [16]byte
	expires int64 // s
	again   bool  // it has been sent, and nobody knows whether it arrived
}

// taken is what was taken from a bucket since it was last told.
type taken struct {
	period int64 // µs
	burst  int
	tokens int
}

type burnCounts struct {
	sent, late, learnt, dropped, refused, unkept, alone, rates atomic.Int64
}

// BurnStats count what a Burns has done.
type BurnStats struct {
	Waiting int   `json:"waiting"` // burns that have not been told yet
	Sent    int64 `json:"sent"`    // burns told to the others
	Late    int64 `json:"late"`    // tokens that two nodes let pass
	Learnt  int64 `json:"learnt"`  // burns of others
	Rates   int64 `json:"rates"`   // tokens of rates told to the others
	Dropped int64 `json:"dropped"` // burns and tokens that were never told: full, or Redis was away
	Refused int64 `json:"refused"` // what others told and made no sense
	Unkept  int64 `json:"unkept"`  // burns that found Redis' set of them full
	Alone   int64 `json:"alone"`   // decisions while Redis was out of use
}

// NewBurns returns a Burns that decides with local, which nobody else uses.
func NewBurns(c *Client, local Challenges) *Burns {
	b := &Burns{
		c: c, local: local, script: c.script("burn", burnSource),
		wake: make(chan struct{}, 1), rates: map[[16]byte]taken{},
	}
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(c.ctx)
	b.tasks.Go(func() { b.send(ctx) })
	b.tasks.Go(func() { c.subscribe(ctx, b.channel(), func() error { return b.catchUp(ctx) }, b.learn) })
	return b
}

// Close tells what waits, if Redis is there, and ends what runs in the background.
func (b *Burns) Close() error {
	b.cancel()
	b.tasks.Wait()
	if !b.c.Up() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewellFor)
	defer cancel()
	for b.waiting() {
		if err := b.flush(ctx); err != nil {
			return fmt.Errorf("telling burnt challenges: %w", err)
		}
	}
	return nil
}

func (b *Burns) channel() string  { return b.c.key("{j}", "burns") }
func (b *Burns) spentKey() string { return b.c.key("{j}", "burnt") }

// Burn spends id, once among all calls on this node and all that the others have told.
func (b *Burns) Burn(ctx context.Context, id [16]byte, expires time.Time) (fresh bool, err error) {
	b.alone()
	fresh, err = b.local.Burn(ctx, id, expires)
	if !fresh || err != nil {
		return fresh, err
	}
	b.mu.Lock()
	full := len(b.burns) >= maxBurns
	if !full {
		b.burns = append(b.burns, burn{id: id, expires: expires.Unix()})
	}
	b.mu.Unlock()
	if full {
		b.counts.dropped.Add(1)
	}
	poke(b.wake)
	return true, nil
}

// Allow takes one token from the bucket named key. The name leaves this node as a
// hash only.
func (b *Burns) Allow(ctx context.Context, key string, period time.Duration, burst int) (ok bool, retry time.Duration) {
	b.alone()
	sum := sha256.Sum256([]byte(key))
	name := [16]byte(sum[:16])
	ok, retry = b.local.Allow(ctx, string(name[:]), period, burst)
	if !ok || period < time.Microsecond {
		return ok, retry
	}
	b.mu.Lock()
	t, known := b.rates[name]
	keep := b.c.Up() && (known || len(b.rates) < maxRates)
	if keep {
		b.rates[name] = taken{period.Microseconds(), burst, t.tokens + 1}
	}
	b.mu.Unlock()
	if !keep {
		b.counts.dropped.Add(1)
	}
	poke(b.wake)
	return true, 0
}

func (b *Burns) alone() {
	if !b.c.Up() {
		b.counts.alone.Add(1)
	}
}

// Stats counts since the start.
func (b *Burns) Stats() BurnStats {
	b.mu.Lock()
	waiting := len(b.burns)
	b.mu.Unlock()
	n := &b.counts
	return BurnStats{
		Waiting: waiting, Sent: n.sent.Load(), Late: n.late.Load(), Learnt: n.learnt.Load(), Rates: n.rates.Load(),
		Dropped: n.dropped.Load(), Refused: n.refused.Load(), Unkept: n.unkept.Load(), Alone: n.alone.Load(),
	}
}
