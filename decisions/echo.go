package decisions

import (
	"container/heap"
	"slices"
	"time"
)

// echoAfter is how long after an end that was told before a decision that goes on is
// told again. Clients of the Local API hear of durations in whole seconds and count
// from when they hear of them: one that still has the old state would take no notice.
const echoAfter = 2 * time.Second

// extend moves the end of r. Subscribers that take no notice of that forget r when the
// old end comes: it is told again then. Of several ends the first and the last are
// remembered. The caller holds mu.
func (b *Book) extend(r *record, until time.Time) {
	if until.UnixMilli() > r.until && r.cursor != 0 && r.enforceable() {
		if r.echo == 0 {
			b.schedule(r, r.until, 0)
		} else {
			r.told = r.until
		}
	}
	b.index.extend(r, until)
}

// schedule makes echo and told those of r. The caller holds mu.
func (b *Book) schedule(r *record, echo, told int64) {
	if r.echo, r.told = echo, told; echo == 0 {
		return
	}
	if len(b.echoes) >= 2*max(len(b.index.byID), minCompact) {
		b.echoes = slices.DeleteFunc(b.echoes, func(a alarm) bool { return b.echoing(a) == nil })
		heap.Init(&b.echoes)
	}
	b.echoes.add(alarm{when: echo, cursor: r.id, slot: r.slot})
}

// echoing returns the record that an alarm is about, nil if it is not wanted any more.
// The slot may be another's by now.
func (b *Book) echoing(a alarm) *record {
	if r := b.index.records.at(a.slot); r.id == a.cursor && !r.gone && r.echo == a.when {
		return r
	}
	return nil
}

// sound tells again the decisions of which an end has come that was told before. The
// caller holds mu.
func (b *Book) sound(now time.Time, j *job) {
	ms := now.Add(-echoAfter).UnixMilli()
	for len(b.echoes) > 0 && b.echoes[0].when <= ms {
		r := b.echoing(b.echoes.take())
		if r == nil {
			continue
		}
		next := r.told
		if next <= ms {
			next = 0
		}
		if b.schedule(r, next, 0); r.cursor != 0 && !r.suppressed {
			b.log.note(r)
		}
		j.again = append(j.again, r)
	}
}

// tellSurvivors tells again what is in force against the values of which a decision
// ended in this job: some subscribers have dropped all of a value by then. The caller
// holds mu.
func (b *Book) tellSurvivors(now time.Time, j *job) {
	for _, r := range j.ended {
		if r.simulated {
			continue
		}
		for o := range b.index.against(r.key) {
			if o.scope == r.scope && o.cursor < r.cursor && o.enforceable() && !o.ended(now) {
				b.log.note(o)
				j.again = append(j.again, o)
			}
		}
	}
}

// shadowed is what Change.Shadowed says of r at now, in Unix milliseconds. The caller
// holds mu.
func (b *Book) shadowed(r *record, now int64) bool {
	longer := func(until, id int64) bool {
		return until > now && (r.over() || until > r.until || until == r.until && id < r.id)
	}
	for o := range b.index.against(r.key) {
		if o != r && o.scope == r.scope && o.kind == r.kind && o.enforceable() && longer(o.until, o.id) {
			return true
		}
	}
	if !r.target {
		return false
	}
	lists := b.set.state.Load().lists
	if lists == nil {
		return false
	}
	p, kind := r.prefix(), b.index.names.text(r.kind)
	for i := range lists.all {
		l := lists.all[i].list
		if l.Type != kind || !longer(l.Until.UnixMilli(), l.Base) {
			continue
		}
		if _, ok := l.Index(p); ok {
			return !b.o.Allow.Covers(p)
		}
	}
	return false
}
