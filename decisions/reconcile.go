package decisions

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
)

// reconcileChunk is how many decisions are looked at before others get their turn.
const reconcileChunk = 250

// Export returns what the Book has, by id: the decisions in force (Suppressed is
// never set: that is each node's own matter), the alerts and the operators'
// allowlist entries.
func (b *Book) Export() Snapshot {
	now := b.o.Now()
	var s Snapshot
	b.mu.RLock()
	s.Decisions = make([]Decision, 0, len(b.index.byID))
	for r := range b.index.all() {
		if !r.ended(now) {
			d := b.index.decision(r)
			d.Suppressed = false
			s.Decisions = append(s.Decisions, d)
		}
	}
	ids := make([]int64, 0, len(b.alerts.byID))
	for id := range b.alerts.byID {
		ids = append(ids, id)
	}
	b.mu.RUnlock()
	slices.SortFunc(s.Decisions, func(x, y Decision) int { return cmp.Compare(x.ID, y.ID) })
	slices.Sort(ids)
	for _, id := range ids {
		if a, ok := b.readAlert(id); ok {
			s.Alerts = append(s.Alerts, a)
		}
	}
	s.Allow = b.o.Allow.manual()
	s.Epoch, s.Cursor = b.Position()
	return s
}

// reconciling is a Reconcile under way.
type reconciling struct {
	*Book
	now   time.Time
	want  map[int64]int32 // places in all
	all   []prepared
	since int64 // what was made from then on is told again; 0: nothing
	again struct {
		decisions, alerts []int64
		allow             []AllowEntry
	}
	r refusals
}

// Reconcile makes the Book what the fleet has, checked like what Adopt gets: what is
// not in all goes, except what this node's ops under way are about. Those ops that
// the fleet does not have are offered again by Ops. Lookups go on meanwhile, and
// changes by others come in between. The error joins what was left out, the first
// hundred of them; the Book is at the fleet's place then all the same, unless it is
// ErrClosed.
//
// After Incomplete, decisions made since the first op was dropped are kept and become
// ops, whether this node made them or another.
func (b *Book) Reconcile(all Snapshot) error {
	b.fleet.turn.Lock()
	defer b.fleet.turn.Unlock()
	x := reconciling{Book: b, now: b.o.Now(), want: make(map[int64]int32, len(all.Decisions))}
	x.prepare(all.Decisions)
	x.settle(&all)
	for _, step := range []func(*Snapshot) error{x.allowlist, x.alertsGone, x.alertsNew, x.decisionsGone, x.decisionsNew, x.arrive} {
		if err := step(&all); err != nil {
			return fmt.Errorf("reconciling with the fleet: %w", err)
		}
	}
	b.refuse(&x.r)
	b.o.Logger.Info("reconciled with the fleet", zap.Int("decisions", len(all.Decisions)), zap.Int("alerts", len(all.Alerts)),
		zap.Int("told again", len(x.again.decisions)), zap.Int64("refused", x.r.count))
	return errors.Join(x.r.errs...)
}

// prepare normalises the fleet's decisions, the oldest first.
func (x *reconciling) prepare(ds []Decision) {
	x.all = make([]prepared, 0, len(ds))
	own := make([]Decision, len(ds)) // the caller's stay as they are
	for i := range ds {
		d := &own[i]
		*d = ds[i]
		p, err := foreign(d, x.now)
		if err != nil {
			x.r.add(err)
			continue
		}
		x.all = append(x.all, prepared{d: d, prefix: p})
	}
	slices.SortStableFunc(x.all, func(a, b prepared) int { return a.d.Created.Compare(b.d.Created) })
	for i := range x.all {
		x.want[x.all[i].d.ID] = int32(i)
	}
}

// settle lets go of the ops that the fleet has, and has the others offered again.
func (x *reconciling) settle(all *Snapshot) {
	s := &x.fleet.ops
	s.mu.Lock()
	defer s.mu.Unlock()
	upTo := all.Own
	if upTo == 0 && all.Epoch == x.fleet.epoch {
		upTo = s.sent
	}
	var writes []op
	for i := len(s.queue) - 1; i >= 0; i-- {
		// The last one first: forget may cut off what comes before.
		if i < len(s.queue) && s.queue[i].seq <= upTo {
			writes = append(writes, s.forget(i)...)
		}
	}
	s.sent = min(s.sent, upTo)
	x.since = s.lost
	x.disk.add(append(writes, op{bucket: metaBucket, key: sentKey, value: be64(s.sent)})...)
}

// chunked calls fn with a part of ids after the other, holding write and mu.
func (x *reconciling) chunked(ids []int64, fn func(id int64, j *job)) error {
	for part := range slices.Chunk(ids, reconcileChunk) {
		if err := x.disk.spare(); err != nil {
			return err
		}
		if err := x.enter(0, false); err != nil {
			return err
		}
		j := newJob(len(part))
		x.mu.Lock()
		for _, id := range part {
			fn(id, j)
		}
		x.tidy(x.now, j)
		x.mu.Unlock()
		x.finish(j)
		x.write.Unlock()
	}
	return nil
}

// made reports whether something was made since ops were dropped.
func (x *reconciling) made(at int64) bool { return x.since != 0 && at >= x.since }

func (x *reconciling) allowlist(all *Snapshot) error {
	there := make(map[allowKey]bool, len(all.Allow))
	changes := make([]allowChange, 0, len(all.Allow))
	for i := range all.Allow {
		e := all.Allow[i]
		k, err := e.normalise()
		if err != nil {
			x.r.add(fmt.Errorf("%w: allowlist entry: %w", ErrBadOp, err))
			continue
		}
		there[k] = true
		changes = append(changes, allowChange{key: k, entry: &e})
	}
	for _, e := range x.o.Allow.manual() {
		switch {
		case there[e.key()]:
		case x.made(e.Created.UnixMilli()):
			x.again.allow = append(x.again.allow, e)
		default:
			changes = append(changes, allowChange{key: e.key()})
		}
	}
	if x.o.Allow.adopt(changes, x.yieldsAllow, x.writeAllow, &x.r) {
		x.sweepAllowed()
	}
	return nil
}

// alertsGone takes out the alerts that the fleet does not have.
func (x *reconciling) alertsGone(all *Snapshot) error {
	there := make(map[int64]bool, len(all.Alerts))
	for i := range all.Alerts {
		there[all.Alerts[i].ID] = true
	}
	x.write.Lock() // so that all alerts met have their ops
	ids := make([]int64, 0, len(x.Book.alerts.byID))
	for id := range x.Book.alerts.byID {
		if !there[id] {
			ids = append(ids, id)
		}
	}
	under := x.fleet.ops.alerts()
	x.write.Unlock()
	slices.Sort(ids)
	return x.chunked(ids, func(id int64, j *job) {
		r := x.Book.alerts.byNumber(id)
		switch {
		case r == nil || under[id]:
		case x.made(r.at):
			x.again.alerts = append(x.again.alerts, id)
		default:
			x.Book.alerts.remove(r)
			j.remove(alertBucket, idKey(id))
		}
	})
}

// alertsNew takes in those that only the fleet has.
func (x *reconciling) alertsNew(all *Snapshot) error {
	at := make(map[int64]int, len(all.Alerts))
	ids := make([]int64, 0, len(all.Alerts))
	for i := range all.Alerts {
		a := &all.Alerts[i]
		x.mu.RLock()
		r := x.Book.alerts.byNumber(a.ID)
		known := r != nil && r.uuid == x.Book.alerts.name(a.UUID)
		x.mu.RUnlock()
		if !known {
			at[a.ID] = i
			ids = append(ids, a.ID)
		}
	}
	err := x.chunked(ids, func(id int64, j *job) {
		a, err := x.examineAlert(&all.Alerts[at[id]], x.now)
		if err != nil {
			x.r.add(err)
			return
		}
		x.adoptAlert(a, j, &x.r)
	})
	x.mu.Lock()
	x.Book.alerts.settle()
	x.mu.Unlock()
	return err
}

// decisionsGone ends what the fleet does not have.
func (x *reconciling) decisionsGone(*Snapshot) error {
	x.mu.RLock()
	var ids []int64
	for id := range x.index.byID {
		if _, wanted := x.want[id]; !wanted {
			ids = append(ids, id)
		}
	}
	x.mu.RUnlock()
	slices.Sort(ids)
	return x.chunked(ids, func(id int64, j *job) {
		switch r := x.index.byNumber(id); {
		case r == nil || !x.yields(id, 0, nil, j):
		case x.made(r.created):
			x.again.decisions = append(x.again.decisions, id)
		default:
			x.end(r, j)
		}
	})
}

// decisionsNew takes in what the fleet has.
func (x *reconciling) decisionsNew(*Snapshot) error {
	ids := make([]int64, len(x.all))
	for i := range x.all {
		ids[i] = x.all[i].d.ID
	}
	i := int32(-1)
	return x.chunked(ids, func(id int64, j *job) {
		i++
		p := &x.all[i]
		switch {
		case x.want[id] != i: // said twice
		case x.decision.unused(id):
			x.r.add(fmt.Errorf("decision %d against %s: %w", id, p.d.Value, ErrForeignID))
		case x.yields(id, 0, p.d, j):
			x.adoptDecision(p.d, p.prefix, x.now, true, j)
		}
	})
}

// arrive makes ops of what is to be told again, and moves to the fleet's place.
func (x *reconciling) arrive(all *Snapshot) error {
	if err := x.enter(0, false); err != nil {
		return err
	}
	defer x.write.Unlock()
	if x.since != 0 {
		s := &x.fleet.ops
		s.mu.Lock()
		s.lost = 0
		s.mu.Unlock()
		x.disk.add(op{bucket: metaBucket, key: lostKey, value: be64(0)})
		if err := x.offer(x.again.alerts, x.again.decisions, x.again.allow, x.now); err != nil {
			return err
		}
	}
	x.disk.add(x.place(all.Epoch, all.Cursor))
	return nil
}
