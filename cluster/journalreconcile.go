package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

const (
	scanCount  = 1000
	maxAllowed = 100_000
	// logStart is before the first entry.
	logStart = "0-0"
	// unseenIDs is more than what a fleet has set aside and not used: when the count
	// of ids was lost, it goes on that much higher.
	unseenIDs = 10_000_000
)

// join brings the node to the log: it sends what waits, brings back what it has if
// Redis lost it, and takes over the whole if the log does not go on where it was.
func (j *Journal) join(ctx context.Context) error {
	epoch, cursor := j.book.Position()
	if cursor == "" {
		cursor = logStart
	}
	s, err := j.stand(ctx, epoch, cursor)
	if err != nil {
		return err
	}
	whole, restore := j.book.Incomplete() || s.state == "old", false
	if s.state == "ok" || s.state == "old" {
		j.enter(s.epoch, cursor)
	} else {
		now, err := j.begin(ctx, epoch, cursor)
		if err != nil {
			return err
		}
		if s, err = j.stand(ctx, now, logStart); err != nil {
			return err
		}
		j.enter(now, s.last)
		// A Book that was in no fleet before has all that it has among its ops.
		whole, restore = true, epoch != ""
	}
	if err := j.grant(ctx); err != nil {
		return err
	}
	if err := j.sendAll(ctx); err != nil {
		return err
	}
	if restore {
		if err := j.restore(ctx); err != nil {
			return fmt.Errorf("bringing back what this node has: %w", err)
		}
	}
	if whole {
		return j.reconcile(ctx)
	}
	poke(j.lists)
	return nil
}

// enter says where the node is from now on, so that the sender may send.
func (j *Journal) enter(epoch, cursor string) {
	j.moved(func(p *position) {
		*p = position{joined: true, epoch: epoch, cursor: cursor, last: p.last, lastN: p.lastN, n: p.n}
	})
}

// begin makes the state in Redis, where it is lost, and returns its epoch.
func (j *Journal) begin(ctx context.Context, epoch, cursor string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	decision, alert := j.book.Highest()
	if epoch != "" {
		decision, alert = decision+unseenIDs, alert+unseenIDs
	}
	var fresh [8]byte
	_, _ = rand.Read(fresh[:]) // never fails
	v, err := j.joinScript.Run(ctx, j.keys.join(), epoch, cursor, hex.EncodeToString(fresh[:]), decision, alert)
	if err != nil {
		return "", err
	}
	now, _ := v.(string)
	if now == "" {
		return "", errors.New("the script gave no answer")
	}
	return now, nil
}

// reconcile makes the Book what Redis has, and what waits here.
func (j *Journal) reconcile(ctx context.Context) error {
	p := j.place()
	s, err := j.stand(ctx, p.epoch, p.cursor)
	if err != nil {
		return err
	}
	all, err := j.load(ctx, s)
	if err != nil {
		return fmt.Errorf("loading the whole: %w", err)
	}
	if err := j.book.Reconcile(all); err != nil {
		if errors.Is(err, decisions.ErrClosed) {
			return err
		}
		j.refuse("snapshot", err)
	}
	j.reconciles.Add(1)
	j.enter(all.Epoch, all.Cursor)
	j.moved(func(p *position) { p.n, p.last, p.lastN = s.n, s.last, s.n })
	poke(j.lists)
	j.o.Wake()
	return nil
}

// load reads all that Redis has but the lists, at the place of the log that is read
// first: what is changed meanwhile is in the log after it.
func (j *Journal) load(ctx context.Context, s stand) (decisions.Snapshot, error) {
	if s.state != "ok" && s.state != "old" {
		return decisions.Snapshot{}, fmt.Errorf("%w (%s)", errPlace, s.state)
	}
	all := decisions.Snapshot{Cursor: s.last, Epoch: s.epoch}
	var err error
	if all.Own, err = j.c.rdb().HGet(ctx, j.keys.seq, j.c.o.Node).Int64(); err != nil && !errors.Is(err, redis.Nil) {
		return all, err
	}
	err = j.scan(ctx, j.keys.d, 2*j.o.MaxDecisions, maxDecisionBytes, func(id string, text []byte) error {
		var d decisions.Decision
		if err := json.Unmarshal(text, &d); err != nil || strconv.FormatInt(d.ID, 10) != id {
			return fmt.Errorf("%w: decision %.40q", errEntry, id)
		}
		all.Decisions = append(all.Decisions, d)
		return nil
	})
	if err == nil {
		err = j.scan(ctx, j.keys.a, 2*j.o.MaxAlerts, maxAlertBytes, func(id string, text []byte) error {
			var a event.Alert
			if err := json.Unmarshal(text, &a); err != nil || strconv.FormatInt(a.ID, 10) != id {
				return fmt.Errorf("%w: alert %.40q", errEntry, id)
			}
			all.Alerts = append(all.Alerts, a)
			return nil
		})
	}
	if err == nil {
		err = j.scan(ctx, j.keys.w, maxAllowed, maxAllowBytes, func(key string, text []byte) error {
			var e decisions.AllowEntry
			if err := json.Unmarshal(text, &e); err != nil || e.Key() != key {
				return fmt.Errorf("%w: allowlist entry %.60q", errEntry, key)
			}
			all.Allow = append(all.Allow, e)
			return nil
		})
	}
	return all, err
}

// scan calls take for each field of a hash, once; what it refuses is counted, and what
// goes beyond scanBytes in all.
func (j *Journal) scan(ctx context.Context, key string, most, size int, take func(field string, value []byte) error) error {
	seen, cursor, left := map[string]struct{}{}, uint64(0), j.o.scanBytes
	for {
		one, cancel := context.WithTimeout(ctx, callLimit)
		list, next, err := j.c.rdb().HScan(one, key, cursor, "", scanCount).Result()
		cancel()
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(list); i += 2 {
			if _, again := seen[list[i]]; again {
				continue
			}
			left -= len(list[i+1])
			switch {
			case left < 0:
				err = fmt.Errorf("%w: more than %d bytes in all", errEntry, j.o.scanBytes)
			case len(seen) >= most:
				err = fmt.Errorf("%w: more than %d", errEntry, most)
			case len(list[i])+len(list[i+1]) > size:
				err = fmt.Errorf("%w: %d bytes", errEntry, len(list[i+1]))
			default:
				seen[list[i]] = struct{}{}
				err = take(list[i], []byte(list[i+1]))
			}
			if err != nil {
				j.refuse("item", err)
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
