package decisions

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// maxRefusals is how many errors Adopt and Reconcile return at most; all are counted.
const maxRefusals = 100

// ErrForeignID is in the chain when somebody else has an id that only this node may
// give out, or one beyond what ids may be.
var ErrForeignID = errors.New("id out of place")

// Adopt applies a piece of the fleet's log, in its order, this node's own ops
// included; doing so again changes nothing. What own ops under way are about keeps
// the state that the last of them gave it, since the log will have them later.
//
// Nothing is believed: values are normalised, what is too wide, over, too long or
// malformed is left out, and what the allowlist of this node covers is kept
// suppressed. refused says what was left out and why, the first hundred of them.
func (b *Book) Adopt(batch Adopted) (refused []error) {
	b.fleet.turn.Lock()
	defer b.fleet.turn.Unlock()
	epoch, at := b.Position()
	if !later(batch.Cursor, at) {
		return nil
	}
	var r refusals
	list := make([]adoptee, 0, len(batch.Ops))
	for i := range batch.Ops {
		own := int64(0)
		if i < len(batch.Own) {
			own = batch.Own[i]
		}
		if a, ok := b.examine(&batch.Ops[i], own, &r); ok {
			list = append(list, a)
		}
	}
	b.adoptAllow(list, &r)
	if err := b.enter(0, false); err != nil {
		return append(r.errs, err)
	}
	defer b.write.Unlock()
	now := b.o.Now()
	j := newJob(len(list))
	b.mu.Lock()
	for i := range list {
		b.adopt(&list[i], now, j, &r)
	}
	b.alerts.settle()
	b.tidy(now, j)
	b.mu.Unlock()
	if batch.Cursor != "" {
		j.ops = append(j.ops, b.place(epoch, batch.Cursor))
	}
	b.finish(j)
	b.refuse(&r)
	return r.errs
}

// later reports whether a cursor is not known to be at or before another.
func later(cursor, have string) bool {
	a, ok := parseStreamID(cursor)
	h, had := parseStreamID(have)
	return !ok || !had || a[0] > h[0] || a[0] == h[0] && a[1] > h[1]
}

// parseStreamID reads the id of a stream entry: milliseconds and a number.
func parseStreamID(s string) (id [2]uint64, ok bool) {
	ms, n, ok := strings.Cut(s, "-")
	if !ok {
		return id, false
	}
	var err, err2 error
	id[0], err = strconv.ParseUint(ms, 10, 64)
	id[1], err2 = strconv.ParseUint(n, 10, 64)
	return id, err == nil && err2 == nil
}

// refusals are what was left out.
type refusals struct {
	errs  []error
	count int64
}

func (r *refusals) add(err error) {
	if r.count++; len(r.errs) < maxRefusals {
		r.errs = append(r.errs, err)
	}
}

func (b *Book) refuse(r *refusals) { b.refusedOps.Add(r.count) }

// adoptee is an op whose form is good.
type adoptee struct {
	*Op
	own       int64
	alert     *foreignAlert
	decisions []prepared
}

// foreignAlert is an alert within bounds and how it is kept.
type foreignAlert struct {
	event.Alert
	head  alertHead
	value []byte
}

// examine checks what can be checked without looking at the Book.
func (b *Book) examine(o *Op, own int64, r *refusals) (adoptee, bool) {
	a := adoptee{Op: o, own: own}
	if err := o.check(); err != nil {
		r.add(err)
		return a, false
	}
	if o.Alert != nil {
		alert, err := b.examineAlert(o.Alert, o.At)
		if err != nil {
			r.add(err)
		} else {
			a.alert = alert
		}
	}
	for i := range o.Decisions {
		d := o.Decisions[i]
		p, err := foreign(&d, o.At)
		if err != nil {
			r.add(err)
			continue
		}
		a.decisions = append(a.decisions, prepared{d: &d, prefix: p})
	}
	return a, true
}

// foreign brings a decision from elsewhere into normal form.
func foreign(d *Decision, at time.Time) (netip.Prefix, error) {
	listed := d.ID >= listsFrom && d.ID < emergencyFrom // what is in lists does not come as decisions
	if d.ID < 1 || d.ID > maxDecision || listed || d.AlertID < 0 || d.AlertID > maxDecision {
		return netip.Prefix{}, fmt.Errorf("decision %d of alert %d against %.80q: %w", d.ID, d.AlertID, d.Value, ErrForeignID)
	}
	p, err := normalise(d, false)
	if err != nil {
		return p, fmt.Errorf("decision %d against %.80q: %w", d.ID, d.Value, err)
	}
	boundTexts(d)
	if d.Created.IsZero() {
		d.Created = at
	}
	d.Created, d.Until, d.Suppressed = boundedTime(d.Created), boundedTime(d.Until), false
	return p, nil
}

// boundTexts brings the texts of a decision within bounds that normalise does not.
func boundTexts(d *Decision) {
	d.Origin, d.Scenario = tidyText(d.Origin, maxText), tidyText(d.Scenario, maxText)
	d.Host, d.IncidentID = tidyText(d.Host, maxText), tidyText(d.IncidentID, maxText)
	d.UUID = tidyText(d.UUID, maxScope)
}

// boundedTime is an instant in whole milliseconds that the set and JSON can say.
func boundedTime(t time.Time) time.Time { return timeOf(millis(t)) }

// examineAlert brings an alert from elsewhere within bounds.
func (b *Book) examineAlert(a *event.Alert, at time.Time) (*foreignAlert, error) {
	if a.ID < 1 || a.ID > maxDecision {
		return nil, fmt.Errorf("alert %d: %w", a.ID, ErrForeignID)
	}
	if err := checkText("uuid of an alert", a.UUID, maxScope); err != nil {
		return nil, err
	}
	f := &foreignAlert{Alert: boundedWhole(a)}
	if made, err := time.Parse(time.RFC3339, a.CreatedAt); err == nil {
		at = made
	}
	if now := b.o.Now(); at.After(now) {
		at = now
	}
	f.head = newAlertHead(&f.Alert, boundedTime(at))
	var err error
	if f.value, _, err = encodeAlert(&f.head, &f.Alert); err != nil {
		return nil, err
	}
	return f, nil
}

// adopt applies one op to alerts and decisions. The caller holds mu.
func (b *Book) adopt(a *adoptee, now time.Time, j *job, r *refusals) {
	if a.Kind != OpAppend && a.Kind != OpDelete {
		b.settleOp(a.own, j)
		return
	}
	if a.alert != nil {
		b.adoptAlert(a.alert, j, r)
	}
	for i := range a.decisions {
		p := &a.decisions[i]
		if a.own == 0 && b.decision.unused(p.d.ID) {
			r.add(fmt.Errorf("decision %d against %s: %w", p.d.ID, p.d.Value, ErrForeignID))
			continue
		}
		if b.yields(p.d.ID, a.own, p.d, j) {
			b.adoptDecision(p.d, p.prefix, now, a.own == 0, j)
		}
	}
	for _, id := range a.IDs {
		if b.yields(id, a.own, nil, j) {
			if rec := b.index.byNumber(id); rec != nil {
				b.end(rec, j)
			}
		}
	}
	b.settleOp(a.own, j)
}

// yields reports whether what the log says of a decision holds, state nil for its
// end. If not, since a later op of this node is under way, it is noted as what the
// fleet has.
func (b *Book) yields(id, own int64, state *Decision, j *job) bool {
	s := &b.fleet.ops
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.decided[id]
	if !ok {
		return true
	}
	if own >= u.seq {
		j.ops = append(j.ops, s.release(id)...)
		return true
	}
	j.ops = append(j.ops, s.rebase(id, state)...)
	return false
}

// settleOp says that the log has an own op (0: none). Earlier ones that were sent
// will not come any more: Redis would not take them.
func (b *Book) settleOp(seq int64, j *job) {
	if seq == 0 {
		return
	}
	s := &b.fleet.ops
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.find(seq); ok {
		j.ops = append(j.ops, s.forget(i)...)
	}
	for len(s.queue) > 0 && s.queue[0].seq < seq && s.queue[0].seq <= s.sent {
		j.ops = append(j.ops, s.forget(0)...)
	}
}

// adoptAlert keeps an alert from the log. The caller holds mu.
func (b *Book) adoptAlert(a *foreignAlert, j *job, r *refusals) {
	old := b.alerts.byNumber(a.ID)
	switch {
	case old != nil && old.uuid == b.alerts.name(a.UUID):
		return
	case b.alert.unused(a.ID):
		r.add(fmt.Errorf("alert %d: %w", a.ID, ErrForeignID))
		return
	case old != nil:
		b.alerts.remove(old)
	}
	b.pending.put(a.ID, a.value)
	b.alerts.add(&a.head, 0)
	b.met(0, a.ID)
	id := a.ID
	j.ops = append(j.ops, op{alertBucket, idKey(id), a.value, func() { b.pending.done(id) }})
}

// adoptDecision makes a decision what the log says. fresh: nobody here has counted it
// as made. The caller holds mu.
func (b *Book) adoptDecision(d *Decision, p netip.Prefix, now time.Time, fresh bool, j *job) {
	old := b.index.byNumber(d.ID)
	if !d.Until.After(now) {
		if old != nil {
			b.end(old, j)
		}
		return
	}
	d.Suppressed = p.IsValid() && b.o.Allow.Covers(p)
	var made bool
	if old != nil && b.index.alike(old, d, p) {
		made = b.update(old, d, j)
	} else {
		if old != nil {
			b.end(old, j)
		}
		if len(b.index.byID) >= b.o.MaxDecisions && b.index.first().until >= d.Until.UnixMilli() {
			b.evictedDecisions.Add(1)
			return
		}
		b.evict(j)
		b.add(d, p, j)
		made = true
	}
	if made && fresh && d.enforceable() {
		ban := d.Type == TypeBan
		s := b.history.add(b.index.keyFor(d.Value, p), min(d.Created.UnixMilli(), now.UnixMilli()), ban)
		j.put(historyBucket, s.dbKey(), stampText(d.Value, ban))
	}
}

// alike reports whether d is the decision of r, at another time perhaps.
func (x *index) alike(r *record, d *Decision, p netip.Prefix) bool {
	have := x.decision(r)
	return have.UUID == d.UUID && have.Scope == d.Scope && have.Value == d.Value && have.Type == d.Type && have.Origin == d.Origin &&
		have.Scenario == d.Scenario && have.Direct == d.Direct && have.Simulated == d.Simulated && r.prefix() == p
}

// update makes r what d is, which is alike; it reports whether d was made at another
// time. The caller holds mu.
func (b *Book) update(r *record, d *Decision, j *job) (made bool) {
	have := b.index.decision(r)
	if have.Until.Equal(d.Until) && have.Created.Equal(d.Created) && have.AlertID == d.AlertID &&
		have.IncidentID == d.IncidentID && have.Host == d.Host && have.Suppressed == d.Suppressed {
		return false
	}
	b.met(0, d.AlertID)
	b.extend(r, d.Until)
	r.created = d.Created.UnixMilli()
	if r.alertID != d.AlertID {
		b.alerts.release(r.alertID)
		b.alerts.hold(d.AlertID)
	}
	b.index.setCause(r, d)
	if r.suppressed != d.Suppressed {
		b.index.suppress(r, d.Suppressed)
		b.log.note(r)
	} else if !r.suppressed {
		b.log.note(r)
	}
	j.changed(r)
	return !have.Created.Equal(d.Created)
}

// adoptAllow applies what the ops say of the allowlist, and on disk before Adopt
// moves on.
func (b *Book) adoptAllow(list []adoptee, r *refusals) {
	var changes []allowChange
	for i := range list {
		a := &list[i]
		if a.Kind != OpAllow && a.Kind != OpUnallow {
			continue
		}
		e := a.entry()
		k, err := e.normalise()
		if err != nil {
			r.add(err)
			continue
		}
		c := allowChange{key: k, own: a.own}
		if a.Kind == OpAllow {
			c.entry = &e
		}
		changes = append(changes, c)
	}
	if len(changes) > 0 && b.o.Allow.adopt(changes, b.yieldsAllow, b.writeAllow, r) {
		b.sweepAllowed()
	}
}

// yieldsAllow is yields for an allowlist entry.
func (b *Book) yieldsAllow(k allowKey, own int64) bool {
	s := &b.fleet.ops
	s.mu.Lock()
	defer s.mu.Unlock()
	seq, ok := s.allowed[k.text()]
	if ok && own >= seq {
		delete(s.allowed, k.text())
		ok = false
	}
	return !ok
}

func (b *Book) writeAllow(ops []op) error { return write(b.o.DB, ops...) }
