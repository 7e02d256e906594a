package decisions

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/rampart-edge/rampart/event"
)

const (
	decisionBucket = "decisions"
	historyBucket  = "history"
)

// Append is the Journal's. An alert whose like is in force already prolongs that
// decision instead of making another: it keeps its ID, points at the newer alert
// and counts as made now. A decision against an allowed value is kept suppressed.
// a and ds are filled in and are the caller's again afterwards.
func (b *Book) Append(a *event.Alert, ds []Decision) error {
	b.leave()
	now := wholeMillis(b.o.Now())
	ready, err := prepare(a, ds, now, b.o.Allow)
	if werr := b.enter(len(ready), a != nil); werr != nil {
		return fmt.Errorf("recording: %w", werr)
	}
	defer b.write.Unlock()
	var alertID int64
	if a != nil {
		alertID = b.alert.take()
		a.ID = alertID
		if a.UUID == "" {
			a.UUID = formatUUID(newUUID())
		}
		if a.CreatedAt == "" {
			a.CreatedAt = now.Format(time.RFC3339)
		}
	}
	j := b.commit(alertID, ready, now)
	var told []byte // the alert as the fleet hears of it
	if a != nil {
		a.Decisions = a.Decisions[:0:0]
		for _, r := range ready {
			a.Decisions = append(a.Decisions, alertDecision(r.d, now))
		}
		var aerr error
		if told, aerr = b.recordAlert(a, ready, j, now); aerr != nil {
			err = errors.Join(err, aerr)
		}
	}
	if b.fleet.ops.on {
		b.recordAppend(a, told, j, now)
	}
	b.finish(j)
	return err
}

// prepared is a decision in normal form.
type prepared struct {
	d      *Decision
	prefix netip.Prefix
	rec    *record // that it became
}

// prepare normalises ds in place and returns the good ones; the error names the
// others.
func prepare(a *event.Alert, ds []Decision, now time.Time, allow *Allow) ([]prepared, error) {
	var errs []error
	out := make([]prepared, 0, len(ds))
	for i := range ds {
		d := &ds[i]
		d.ID, d.UUID = 0, ""
		p, err := normalise(d, a != nil && a.Width64)
		if err == nil && a != nil && a.Width64 {
			p = narrow(d, p, a.Source, allow)
		}
		d.Until = wholeMillis(d.Until)
		if d.Created.IsZero() {
			d.Created = now
		}
		d.Created = wholeMillis(d.Created)
		if err == nil && !d.Until.After(now) {
			err = fmt.Errorf("%w: its end was at %s", ErrOver, d.Until.Format(time.RFC3339))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("recording a decision against %q: %w", d.Value, err))
			continue
		}
		if a != nil {
			if d.IncidentID == "" {
				d.IncidentID = a.IncidentID
			}
			if d.Host == "" {
				d.Host = a.Site
			}
		}
		out = append(out, prepared{d: d, prefix: p})
	}
	return out, errors.Join(errs...)
}

// Ready reports whether Append would not have to wait for the disk just now, for
// those who must not wait.
func (b *Book) Ready() bool { return b.disk.free() && b.decision.spare() && b.alert.spare() }

// enter takes the write lock when there is place on the way to the disk, and when n
// decision ids and, if asked for, an alert id are set aside there. It waits for the
// disk without the lock: whoever holds that never does.
func (b *Book) enter(n int, alert bool) error {
	for {
		if err := b.disk.room(); err != nil {
			return err
		}
		turn := b.disk.watch()
		b.write.Lock()
		if b.closed {
			b.write.Unlock()
			return ErrClosed
		}
		b.decision.ask(int64(n), b.disk)
		if alert {
			b.alert.ask(1, b.disk)
		}
		if b.decision.has(int64(n)) && (!alert || b.alert.has(1)) {
			return nil
		}
		short := b.decision.short(int64(n)) || alert && b.alert.short(1)
		b.write.Unlock()
		if short {
			return ErrNoIDs
		}
		if err := b.disk.await(turn); err != nil {
			return fmt.Errorf("setting ids aside: %w", err)
		}
	}
}

// narrow takes back the widening to a /64 where the source itself is allowed: its
// neighbours did nothing, and against itself the decision is suppressed.
func narrow(d *Decision, p netip.Prefix, src *event.Source, allow *Allow) netip.Prefix {
	if p.Bits() != width64 || !p.Addr().Is6() || src == nil {
		return p
	}
	ip, err := netip.ParseAddr(src.IP)
	if err != nil || !p.Contains(plain(ip)) || !allow.Contains(ip) {
		return p
	}
	p = netip.PrefixFrom(plain(ip), plain(ip).BitLen())
	setTarget(d, p)
	return p
}

// commit makes records of the decisions, in memory.
func (b *Book) commit(alertID int64, ready []prepared, now time.Time) *job {
	j := newJob(len(ready))
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range ready {
		p := &ready[i]
		p.d.AlertID = alertID
		p.d.Suppressed = p.prefix.IsValid() && b.o.Allow.Covers(p.prefix)
		if old := b.index.same(p.d, p.prefix, now); old != nil {
			b.prolong(old, p.d, j)
			p.rec = old
			*p.d = b.index.decision(old)
		} else {
			p.rec = b.create(p.d, p.prefix, j)
		}
		if p.d.enforceable() {
			ban := p.d.Type == TypeBan
			s := b.history.add(p.rec.key, now.UnixMilli(), ban)
			j.put(historyBucket, s.dbKey(), stampText(p.d.Value, ban))
		}
	}
	b.tidy(now, j)
	return j
}

// create makes a record of d, which gets its id and uuid. If there is no place,
// those that end first make it.
func (b *Book) create(d *Decision, p netip.Prefix, j *job) *record {
	b.evict(j)
	d.ID, d.UUID = b.decision.take(), formatUUID(newUUID())
	return b.add(d, p, j)
}

// evict makes place for one decision.
func (b *Book) evict(j *job) {
	for len(b.index.byID) >= b.o.MaxDecisions {
		b.end(b.index.first(), j)
		b.evictedDecisions.Add(1)
	}
}

// add makes a record of d, which has its id. The caller holds mu.
func (b *Book) add(d *Decision, p netip.Prefix, j *job) *record {
	r := b.index.add(d, p)
	b.met(d.ID, d.AlertID)
	b.alerts.hold(r.alertID)
	if !r.suppressed {
		b.log.note(r)
	}
	j.changed(r)
	return r
}

// prolong lets old go on for d. If d ends sooner it changes nothing.
func (b *Book) prolong(old *record, d *Decision, j *job) {
	if !d.Until.After(timeOf(old.until)) {
		return
	}
	if b.fleet.ops.on {
		j.before(b.index.decision(old))
	}
	b.extend(old, d.Until)
	old.created = d.Created.UnixMilli()
	b.alerts.release(old.alertID)
	b.alerts.hold(d.AlertID)
	b.index.setCause(old, d)
	if !old.suppressed {
		b.log.note(old)
	}
	j.changed(old)
}

// recordAlert files a, its evidence bounded, and lets old ones go. It returns the
// JSON of what is kept.
func (b *Book) recordAlert(a *event.Alert, ready []prepared, j *job, now time.Time) ([]byte, error) {
	kept, cutValues, dropped := bounded(a)
	b.cutValues.Add(int64(cutValues))
	b.droppedEvidence.Add(int64(dropped))
	if b.fleet.ops.on {
		tidyWhole(&kept)
	}
	return b.fileAlert(&kept, ready, j, now)
}

// fileAlert keeps an alert that is within bounds, recorded at an instant.
func (b *Book) fileAlert(a *event.Alert, ready []prepared, j *job, at time.Time) ([]byte, error) {
	head := newAlertHead(a, at)
	value, body, err := encodeAlert(&head, a)
	if err != nil {
		return nil, err
	}
	b.pending.put(a.ID, value)
	seen := map[*record]bool{}
	for _, p := range ready {
		if p.rec.alertID == a.ID && !p.rec.gone {
			seen[p.rec] = true
		}
	}
	b.mu.Lock()
	b.alerts.add(&head, len(seen))
	b.met(0, a.ID)
	for _, id := range b.alerts.evict(b.o.Now()) {
		j.remove(alertBucket, idKey(id))
	}
	b.mu.Unlock()
	j.ops = append(j.ops, op{alertBucket, idKey(a.ID), value, func() { b.pending.done(head.ID) }})
	return body, nil
}

func newUUID() (u [16]byte) {
	// Since Go 1.24 rand.Read never fails.
	_, _ = rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u
}

// job collects what one change of the book has to bring to set and disk.
type job struct {
	records map[*record]bool
	order   []*record
	ended   []*record // whose end is in the change log
	again   []*record // told again, and not different otherwise
	ops     []op
	bases   map[int64]*Decision // prolonged ones as they were; nil unless the Book is shared
}

func newJob(n int) *job {
	return &job{records: make(map[*record]bool, n), order: make([]*record, 0, n)}
}

func (j *job) changed(r *record) {
	if !j.records[r] {
		j.records[r] = true
		j.order = append(j.order, r)
	}
}

func (j *job) before(d Decision) {
	if j.bases == nil {
		j.bases = map[int64]*Decision{}
	}
	if j.bases[d.ID] == nil {
		j.bases[d.ID] = &d
	}
}

func (j *job) put(bucket, key string, value []byte) {
	j.ops = append(j.ops, op{bucket: bucket, key: key, value: value})
}

func (j *job) remove(bucket, key string) { j.ops = append(j.ops, op{bucket: bucket, key: key}) }

// finish brings a job to the set, to the disk's queue and to the watchers. The
// caller holds write, so that jobs arrive in their order.
func (b *Book) finish(j *job) {
	for _, r := range j.order {
		j.store(&b.log, r)
	}
	for _, r := range j.again {
		if !j.records[r] && !r.gone {
			j.store(&b.log, r)
		}
	}
	b.enforce(j.order)
	b.disk.add(j.ops...)
	if len(j.order)+len(j.again) > 0 {
		b.watch.wake()
	}
	if len(b.index.buried) > 0 {
		b.mu.Lock()
		b.index.reap()
		b.mu.Unlock()
	}
}

// enforce makes the set what the records say.
func (b *Book) enforce(records []*record) {
	now := b.o.Now().UnixMilli()
	var e edits
	for _, r := range records {
		d := b.index.brief(r)
		e.add(&d, r.prefix(), r.gone, now)
	}
	b.set.apply(e)
}

// store queues what the database has to know of r.
func (j *job) store(l *changelog, r *record) {
	k := l.kept(r)
	if !r.gone {
		j.put(decisionBucket, idKey(r.id), k.encode())
		return
	}
	j.remove(decisionBucket, idKey(r.id))
	if k.At != 0 {
		j.put(endBucket, endKey(k.At, r.id), k.encode())
	}
}
