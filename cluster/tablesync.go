package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rampart-edge/rampart/store"
)

const (
	tableBatch = 256
	// tableBytes bounds the values that one call carries.
	tableBytes = 1 << 20
)

// heads are what Redis says of all tables: an epoch, which is another when Redis was
// emptied, and the last version of each.
type heads struct {
	epoch    string
	versions map[string]int64
}

// run keeps the tables in step with Redis until ctx ends.
func (t *Tables) run(ctx context.Context) {
	up, stop := t.c.changed()
	defer stop()
	tick := time.NewTicker(tablesPoll)
	defer tick.Stop()
	var slow backoff
	for {
		select {
		case <-ctx.Done():
			return
		case <-up:
		case <-t.wake:
		case <-tick.C:
		}
		if !t.c.Up() {
			continue
		}
		if err := t.step(ctx); err != nil {
			t.c.report("sharing tables", err)
			slow.wait(ctx)
			poke(t.wake)
			continue
		}
		slow = 0
	}
}

// step brings all tables in step once. One that cannot be does not keep the others
// from it.
func (t *Tables) step(ctx context.Context) error {
	falls := t.c.health.falls.Load()
	h, err := t.heads(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, tb := range t.all() {
		if err := tb.step(ctx, h, falls); err != nil {
			errs = append(errs, fmt.Errorf("table %s (keys %s and %s): %w", tb.name, t.rowsKey(tb.name), t.orderKey(tb.name), err))
		}
	}
	return errors.Join(errs...)
}

// heads reads them; who comes to an empty Redis gives the epoch.
func (t *Tables) heads(ctx context.Context) (h heads, err error) {
	for range 2 {
		all, err := t.c.rdb().HGetAll(ctx, t.headsKey()).Result()
		if err != nil {
			return h, fmt.Errorf("reading the versions of tables (key %s): %w", t.headsKey(), err)
		}
		h = heads{epoch: all["epoch"], versions: map[string]int64{}}
		for field, text := range all {
			if len(field) > 2 && field[:2] == "v:" {
				h.versions[field[2:]] = number(text)
			}
		}
		if isName(h.epoch) {
			return h, nil
		}
		if _, err := t.begin.Run(ctx, []string{t.headsKey()}, rand.Text()); err != nil {
			return h, fmt.Errorf("beginning with tables: %w", err)
		}
	}
	return h, fmt.Errorf("reading the versions of tables: key %s makes no sense: delete it", t.headsKey())
}

// step brings one table in step: what is new in Redis comes here, what is new here
// goes there.
func (tb *table) step(ctx context.Context, h heads, falls int64) error {
	tb.mu.Lock()
	m, compared := tb.mark, tb.falls
	tb.mu.Unlock()
	version := h.versions[tb.name]
	var err error
	switch {
	case compared != falls, m.Epoch != h.epoch, version < m.Cursor, tb.t.o.Now().Sub(m.Seen) > tablesCompare:
		err = tb.compare(ctx, h, falls)
	case version > m.Cursor:
		err = tb.catchUp(ctx)
	}
	for err == nil && tb.waits() > 0 {
		err = tb.send(ctx, h.epoch)
	}
	return err
}

// catchUp reads the rows that have changed since the last look.
func (tb *table) catchUp(ctx context.Context) error {
	for {
		tb.mu.Lock()
		cursor := tb.mark.Cursor
		tb.mu.Unlock()
		rdb := tb.t.c.rdb()
		zs, err := rdb.ZRangeByScoreWithScores(ctx, tb.t.orderKey(tb.name), &redis.ZRangeBy{
			Min: "(" + strconv.FormatInt(cursor, 10), Max: "+inf", Count: tableBatch}).Result()
		if err != nil {
			return fmt.Errorf("reading what is new: %w", err)
		}
		if len(zs) == 0 {
			return nil
		}
		keys, before := make([]string, len(zs)), cursor
		for i, z := range zs {
			keys[i], _ = z.Member.(string)
			cursor = max(cursor, int64(z.Score))
		}
		if cursor == before { // infinite versions would be read for ever
			tb.t.refuse(len(zs), fmt.Errorf("%w: version of a row", errEntry))
			return nil
		}
		if err := tb.fetch(ctx, keys); err != nil {
			return err
		}
		tb.mu.Lock()
		tb.mark.Cursor = cursor
		tb.mu.Unlock()
	}
}

// fetch reads rows by their keys and takes them over.
func (tb *table) fetch(ctx context.Context, keys []string) error {
	for len(keys) > 0 {
		n := min(len(keys), 16) // of rows that may be as large as 256 KiB
		values, err := tb.t.c.rdb().HMGet(ctx, tb.t.rowsKey(tb.name), keys[:n]...).Result()
		if err != nil {
			return fmt.Errorf("reading rows: %w", err)
		}
		rows := make([]row, 0, n)
		for i, v := range values {
			if text, ok := v.(string); ok {
				rows = tb.accept(rows, keys[i], text)
			}
		}
		if err := tb.take(rows); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// accept adds a record that makes sense.
func (tb *table) accept(rows []row, key, record string) []row {
	r, err := parseRow(key, record)
	if err != nil {
		tb.t.refuse(1, err)
		return rows
	}
	return append(rows, r)
}

// compare goes through all rows, there and here.
func (tb *table) compare(ctx context.Context, h heads, falls int64) error {
	there := map[string]rank{}
	var over []any // keys and ranks that may be forgotten
	old := tb.t.o.Now().Add(-goneFor)
	for cursor := uint64(0); ; {
		pairs, next, err := tb.t.c.rdb().HScan(ctx, tb.t.rowsKey(tb.name), cursor, "", 64).Result()
		if err != nil {
			return fmt.Errorf("reading all rows: %w", err)
		}
		var rows []row
		for i := 0; i+1 < len(pairs); i += 2 {
			rows = tb.accept(rows, pairs[i], pairs[i+1])
		}
		for i := range rows {
			there[rows[i].key] = rows[i].rank
			if rows[i].kind == rowGone && rows[i].at().Before(old) {
				over = append(over, rows[i].key, rows[i].rank.String())
			}
		}
		if err := tb.take(rows); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			break
		}
		if len(there) > 2*maxRows {
			return errors.New("reading all rows: redis has too many")
		}
	}
	if err := tb.settle(there, h.epoch); err != nil {
		return fmt.Errorf("comparing rows: %w", err)
	}
	for len(over) > 0 {
		n := min(len(over), 2*tableBatch)
		if _, err := tb.t.prune.Run(ctx, []string{tb.t.rowsKey(tb.name), tb.t.orderKey(tb.name)}, over[:n]...); err != nil {
			return fmt.Errorf("forgetting deleted rows: %w", err)
		}
		over = over[n:]
	}
	tb.t.compares.Add(1)
	return tb.stand(mark{h.epoch, h.versions[tb.name], tb.t.o.Now()}, falls)
}

// settle says what becomes of the rows here that rank above those in Redis, or are
// not there at all.
func (tb *table) settle(there map[string]rank, epoch string) error {
	tb.writing.Lock()
	old := tb.t.o.Now().Add(-goneFor)
	long := tb.mark.Epoch == epoch && tb.mark.Seen.Before(old) // deletions may have been forgotten since
	var wait, forget []string
	var gone []row
	err := tb.t.o.DB.Update(func(tx *store.Tx) error {
		notes, err := tb.readNotes(tx)
		if err != nil {
			return err
		}
		for key, n := range notes {
			at, known := there[key]
			switch {
			case known && at.String() >= n.rank.String():
			case !known && n.kind == rowGone && n.at().Before(old):
				forget = append(forget, key)
			case !known && !n.waiting && long:
				forget, gone = append(forget, key), append(gone, row{key: key, kind: rowGone})
			default:
				n.waiting = true
				if err := tx.Put(tb.notes, key, n.encode()); err != nil {
					return err
				}
				wait = append(wait, key)
			}
		}
		for _, key := range forget {
			if err := errors.Join(tx.Delete(tb.notes, key), tx.Delete(tb.name, key)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		tb.mu.Lock()
		for _, key := range wait {
			tb.waiting[key] = struct{}{}
		}
		for _, key := range forget {
			delete(tb.waiting, key)
		}
		tb.rows -= len(forget)
		tb.mu.Unlock()
	}
	tb.writing.Unlock()
	if err == nil {
		tb.t.tell(tb.name, gone)
	}
	return err
}

// stand notes where the table stands after all was compared.
func (tb *table) stand(m mark, falls int64) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := tb.t.o.DB.Put(tableBucket, tb.name, text); err != nil {
		return err
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.mark, tb.falls = m, falls
	return nil
}

// send tells the fleet of some of the rows that wait.
func (tb *table) send(ctx context.Context, epoch string) error {
	rows, err := tb.outgoing(tableBatch, tableBytes)
	if err != nil || len(rows) == 0 {
		return err
	}
	t := tb.t
	args := []any{tb.name, t.channel(), epoch, maxRows}
	for i := range rows {
		args = append(args, rows[i].key, rows[i].record())
	}
	v, err := t.put.Run(ctx, []string{t.rowsKey(tb.name), t.orderKey(tb.name), t.headsKey()}, args...)
	switch {
	case err != nil:
		return fmt.Errorf("sending rows: %w", err)
	case v == "epoch":
		return errors.New("sending rows: redis was emptied meanwhile")
	case v == "full":
		t.c.report("sharing tables", fmt.Errorf("table %s: %w", tb.name, errTableFull))
	case v != "ok":
		return errors.New("sending rows: the script gave no answer")
	}
	t.sent.Add(int64(len(rows)))
	return tb.told(rows)
}
