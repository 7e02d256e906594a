package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
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
	// ownIDs is where the ids begin that a node gives without asking; see Book.Grant.
	ownIDs = 1 << 39
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
	restore := j.book.Incomplete()
	if s.state == "ok" || s.state == "old" {
		j.enter(s.epoch, cursor)
	} else {
		state, now, err := j.begin(ctx, epoch, cursor)
		if err != nil {
			return err
		}
		if s, err = j.stand(ctx, now, logStart); err != nil {
			return err
		}
		if epoch == "" && state != "first" {
			return j.bring(ctx, s)
		}
		j.enter(now, s.last)
		restore, s.state = true, "old"
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
	if restore || s.state == "old" {
		return j.reconcile(ctx)
	}
	poke(j.lists)
	return nil
}

// enter says where the node is from now on, so that the sender may send.
func (j *Journal) enter(epoch, cursor string) {
	j.moved(func(p *position) {
		*p = position{joined: true, epoch: epoch, cursor: cursor, last: p.last, lastN: p.lastN, seen: p.seen, n: p.n}
	})
}

// begin makes the state in Redis, where it is lost, and returns how the node stands
// to it.
func (j *Journal) begin(ctx context.Context, epoch, cursor string) (state, now string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	own := j.book.Export()
	var highest, alert int64
	for i := range own.Decisions {
		if id := own.Decisions[i].ID; id < ownIDs {
			highest = max(highest, id)
		}
	}
	for i := range own.Alerts {
		if id := own.Alerts[i].ID; id < ownIDs {
			alert = max(alert, id)
		}
	}
	if epoch != "" {
		highest, alert = highest+unseenIDs, alert+unseenIDs
	}
	var fresh [8]byte
	_, _ = rand.Read(fresh[:]) // never fails
	v, err := j.joinScript.Run(ctx, j.keys.join(), epoch, cursor, hex.EncodeToString(fresh[:]), highest, alert)
	if err != nil {
		return "", "", err
	}
	list, ok := texts(v)
	if !ok || len(list) != 2 || list[1] == "" {
		return "", "", errors.New("the script gave no answer")
	}
	return list[0], list[1], nil
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
	return j.replace(&all, s)
}

func (j *Journal) replace(all *decisions.Snapshot, s stand) error {
	if err := j.book.Reconcile(*all); err != nil {
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

// load reads all that Redis has, at the place of the log that is read first: what is
// changed meanwhile is in the log after it.
func (j *Journal) load(ctx context.Context, s stand) (decisions.Snapshot, error) {
	if s.state != "ok" && s.state != "old" {
		return decisions.Snapshot{}, fmt.Errorf("%w (%s)", errPlace, s.state)
	}
	all := decisions.Snapshot{Cursor: s.last, Epoch: s.epoch, Lists: map[string]int64{}}
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
		err = j.scan(ctx, j.keys.w, maxAllowed, maxAllowBytes, func(prefix string, text []byte) error {
			var e decisions.AllowEntry
			if err := json.Unmarshal(text, &e); err != nil || e.Prefix.String() != prefix {
				return fmt.Errorf("%w: allowlist entry %.60q", errEntry, prefix)
			}
			all.Allow = append(all.Allow, e)
			return nil
		})
	}
	if err == nil {
		var lists map[string]listState
		lists, err = j.listStates(ctx)
		for name, l := range lists {
			all.Lists[name] = l.version
		}
	}
	return all, err
}

// scan calls take for each field of a hash, once; what it refuses is counted.
func (j *Journal) scan(ctx context.Context, key string, most, size int, take func(field string, value []byte) error) error {
	seen, cursor := map[string]struct{}{}, uint64(0)
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
			switch {
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

// bring makes the Book what a fleet has that it was no part of, and then records
// again what it had, as changes of now: ids mean something else there. Alerts keep
// their uuids, so that none is told twice.
func (j *Journal) bring(ctx context.Context, s stand) error {
	all, err := j.load(ctx, s)
	if err != nil {
		return fmt.Errorf("loading the whole: %w", err)
	}
	own := j.book.Export()
	for {
		ops, err := j.book.Ops(0, sendOps)
		if err != nil {
			return err
		}
		if len(ops) == 0 {
			break
		}
		j.book.Sent(ops[len(ops)-1].Seq)
	}
	all.Own = math.MaxInt64
	if err := j.replace(&all, s); err != nil {
		return err
	}
	if err := j.grant(ctx); err != nil {
		return err
	}
	for _, err := range j.again(&own) {
		j.refuse("own", err)
	}
	j.restores.Add(1)
	return nil
}

// again records what is not there.
func (j *Journal) again(own *decisions.Snapshot) (errs []error) {
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	now, of := j.now(), map[int64][]decisions.Decision{}
	for _, d := range own.Decisions {
		if d.Until.After(now) {
			of[d.AlertID] = append(of[d.AlertID], d)
		}
	}
	slices.SortFunc(own.Alerts, func(x, y event.Alert) int { return cmp.Compare(x.ID, y.ID) })
	for i := range own.Alerts {
		a := &own.Alerts[i]
		ds := of[a.ID]
		delete(of, a.ID)
		if !j.book.HasAlert(a.UUID) {
			note(j.book.Append(a, ds))
		}
	}
	for _, ds := range of {
		note(j.book.Append(nil, ds))
	}
	have := map[netip.Prefix]bool{}
	for _, e := range j.book.Allow().List() {
		have[e.Prefix] = have[e.Prefix] || e.Kind == decisions.KindManual
	}
	for _, e := range own.Allow {
		if !have[e.Prefix] {
			note(j.book.Allow().Add(e))
		}
	}
	for _, l := range j.book.Lists() {
		note(j.book.ShareList(l.Name, ""))
	}
	return errs
}
