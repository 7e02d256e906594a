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

// laterEnds are the ends after the first that a record was told with, in order and
// with zeros behind them.
type laterEnds [7]int64

// echoes are the ends that r was told with before, and that are still to come.
func (x *index) echoes(r *record) (out []int64) {
	if r.gone || r.told == 0 {
		return nil
	}
	out = append(out, r.told)
	for _, end := range x.later[r.slot] {
		if end != 0 {
			out = append(out, end)
		}
	}
	return out
}

// setEchoes makes ends those that r was told with. If they are too many, those that
// are closest to the next are left out: it is told again a little late then.
func (x *index) setEchoes(r *record, ends []int64) {
	var later laterEnds
	for len(ends) > len(later)+1 {
		near := 0
		for i := range ends[1:] {
			if ends[i+1]-ends[i] < ends[near+1]-ends[near] {
				near = i
			}
		}
		ends = slices.Delete(ends, near, near+1)
	}
	r.told = 0
	if len(ends) > 0 {
		r.told = ends[0]
	}
	if len(ends) > 1 {
		copy(later[:], ends[1:])
		x.later[r.slot] = later
	} else {
		delete(x.later, r.slot)
	}
}

// extend moves the end of r. Subscribers that take no notice of that forget r when the
// old end comes: it is told again then. The caller holds mu.
func (b *Book) extend(r *record, until time.Time) {
	if until.UnixMilli() > r.until && r.cursor != 0 && !r.simulated {
		ends := append(b.index.echoes(r), r.until)
		slices.Sort(ends)
		b.schedule(r, slices.Compact(ends))
	}
	b.index.extend(r, until)
}

// schedule makes ends those at which r is told again. The caller holds mu.
func (b *Book) schedule(r *record, ends []int64) {
	before := r.told
	if b.index.setEchoes(r, ends); r.told == 0 || r.told == before {
		return
	}
	if len(b.echoAlarms) >= 2*max(len(b.index.byID), minCompact) {
		b.echoAlarms = slices.DeleteFunc(b.echoAlarms, func(a alarm) bool { return b.echoing(a) == nil })
		heap.Init(&b.echoAlarms)
	}
	b.echoAlarms.add(alarm{when: r.told, cursor: r.id, slot: r.slot})
}

// echoing returns the record that an alarm is about, nil if it is not wanted any more.
// The slot may be another's by now.
func (b *Book) echoing(a alarm) *record {
	if r := b.index.records.at(a.slot); r.id == a.cursor && !r.gone && r.told == a.when {
		return r
	}
	return nil
}

// sound tells again the decisions of which an end has come that was told before. The
// caller holds mu.
func (b *Book) sound(now time.Time, j *job) {
	ms := now.Add(-echoAfter).UnixMilli()
	for len(b.echoAlarms) > 0 && b.echoAlarms[0].when <= ms {
		r := b.echoing(b.echoAlarms.take())
		if r == nil {
			continue
		}
		b.schedule(r, slices.DeleteFunc(b.index.echoes(r), func(end int64) bool { return end <= ms }))
		if r.cursor != 0 && !r.suppressed {
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

// outlived has those told again that go on when r ends, at the ends that r was told
// with: some subscribers took no notice of them because of r, hear of no end while they
// go on, and drop r then. The caller holds mu, and r is still there.
func (b *Book) outlived(r *record, now time.Time) {
	if r.cursor == 0 || !r.enforceable() {
		return
	}
	past := now.Add(-echoAfter).UnixMilli()
	told := append(b.index.echoes(r), r.until)
	for o := range b.index.against(r.key) {
		if o == r || o.scope != r.scope || o.kind != r.kind || !o.enforceable() || o.ended(now) {
			continue
		}
		ends := b.index.echoes(o)
		for _, end := range told {
			if end > past && end < o.until {
				ends = append(ends, end)
			}
		}
		slices.Sort(ends)
		b.schedule(o, slices.Compact(ends))
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
