package decisions

import (
	"slices"
	"sort"
	"time"
)

const (
	// A cursor is an epoch and a number within it. A new epoch begins with each
	// start of the process and whenever the log forgets what a subscriber might
	// still need; a cursor of another epoch gets a Reset.
	seqBits = 40
	// tooOld is the number of a cursor that gets one in its own epoch. Changes have
	// numbers that are higher by two or more.
	tooOld = 1
	// linger is for how long an end is told after it. One that subscribers do not
	// come to by themselves, since they know a later one, is told until that.
	linger = 24 * time.Hour
	// maxGone bounds how many ends are remembered.
	maxGone    = 1 << 18
	minCompact = 1 << 10
)

// changelog has the latest change of every record, oldest first. It is compacted
// in place, never cut: a subscriber at any cursor of the epoch finds everything
// that matters since.
type changelog struct {
	records *index
	now     func() time.Time
	// shadowed is what Change.Shadowed says of a record; nil: of none.
	shadowed func(r *record, now int64) bool

	entries []logged
	// over and early are the entries of ends, by when they are forgotten: over of those
	// that subscribers come to by themselves, which go first if there are too many.
	over, early alarms
	epoch       int64
	seq         int64
	next        int // length at which to compact
	// lost is when the latest end was that was forgotten although a subscriber might
	// need it, Unix milliseconds.
	lost int64
}

type logged struct {
	cursor int64
	at     int64 // Unix milliseconds; never falls from one to the next
	slot   int32 // of the record, which has not changed since if its cursor is still this one
}

func (l *changelog) start() int64 { return l.epoch << seqBits }
func (l *changelog) last() int64  { return l.epoch<<seqBits | l.seq }

// note makes the present state of r the latest change.
func (l *changelog) note(r *record) { l.noteAt(r, l.now().UnixMilli()) }

// noteAt is note for a change that was at an instant, in Unix milliseconds.
func (l *changelog) noteAt(r *record, at int64) {
	if n := len(l.entries); n > 0 {
		at = max(at, l.entries[n-1].at)
	}
	l.seq++
	r.cursor = l.last()
	l.entries = append(l.entries, logged{r.cursor, at, r.slot})
	l.remember(r, at)
}

// remember notes until when the latest change of r is to be remembered, if it is an
// end.
func (l *changelog) remember(r *record, at int64) {
	if !r.over() {
		return
	}
	ends := &l.over
	if r.known() > at {
		ends = &l.early
	}
	ends.add(alarm{when: max(at+linger.Milliseconds(), r.known()), cursor: r.cursor, slot: r.slot})
}

// fading returns the ends of which the first is the next to be forgotten, nil if none
// is, where so many may stay.
func (l *changelog) fading(now int64, most int) *alarms {
	excess := len(l.over)+len(l.early) > most
	for _, ends := range []*alarms{&l.over, &l.early} {
		if len(*ends) > 0 && (excess || (*ends)[0].when <= now) {
			return ends
		}
	}
	return nil
}

// at tells when the latest change of r was, 0 if it has none that is remembered.
func (l *changelog) at(r *record) int64 {
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].cursor >= r.cursor })
	if i == len(l.entries) || l.entries[i].cursor != r.cursor {
		return 0
	}
	return l.entries[i].at
}

// since returns the changes after cursor, as Journal.Since.
func (l *changelog) since(cursor int64, limit int) ([]Change, int64) {
	var out []Change
	start, now := l.start(), l.now().UnixMilli()
	switch {
	case cursor == 0:
		cursor = start
	case cursor>>seqBits != l.epoch || cursor > l.last() || cursor == start|tooOld:
		out = append(out, Change{Cursor: start, Reset: true})
		cursor = start
	}
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].cursor > cursor })
	if limit > 0 {
		out = slices.Grow(out, min(limit, len(l.entries)-i))
	}
	for ; i < len(l.entries) && (limit <= 0 || len(out) < limit); i++ {
		e := l.entries[i]
		cursor = e.cursor
		if r := l.records.records.at(e.slot); r.cursor == e.cursor {
			out = append(out, l.change(e, r, now))
		}
	}
	return out, cursor
}

// change is what an entry, the latest of r, has to tell.
func (l *changelog) change(e logged, r *record, now int64) Change {
	c := Change{Cursor: e.cursor, Gone: r.over(), At: timeOf(e.at), Decision: l.records.decision(r)}
	if c.Gone {
		c.Due = timeOf(r.known())
	}
	if c.Gone && c.Decision.Until.After(c.At) {
		c.Decision.Until = c.At // suppressed: it may come back
	}
	c.Shadowed = l.shadowed != nil && l.shadowed(r, now)
	return c
}

// cursorAt is Book.CursorAt.
func (l *changelog) cursorAt(t time.Time) int64 {
	ms := t.UnixMilli()
	if ms < l.lost {
		return l.start() | tooOld
	}
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].at >= ms })
	switch i {
	case 0:
		return l.start()
	case len(l.entries):
		return l.last()
	}
	return l.entries[i].cursor - 1
}

// forget drops ends that nobody needs any more, and those that find no place; each
// is told to fn with its instant. It reports whether a new epoch had to begin.
func (l *changelog) forget(now time.Time, fn func(r *record, at int64)) (newEpoch bool) {
	ms := now.UnixMilli()
	most := maxGone
	for ends := l.fading(ms, most); ends != nil; ends = l.fading(ms, most) {
		e := ends.take()
		r := l.records.records.at(e.slot)
		if r.cursor != e.cursor {
			continue
		}
		at := l.at(r)
		if r.known() > ms {
			l.lost, newEpoch = max(l.lost, at+1), true
			most = maxGone / 2 // so that it is not soon needed again
		}
		fn(r, at)
		if r.cursor = 0; r.gone {
			l.records.bury(r)
		}
	}
	if newEpoch {
		l.begin(l.epoch + 1)
	}
	return newEpoch
}

// compact drops entries that are void, if there may be many.
func (l *changelog) compact() {
	if len(l.entries) >= max(l.next, minCompact) {
		l.keep()
	}
}

// keep drops entries that are void.
func (l *changelog) keep() {
	out := l.entries[:0]
	for _, e := range l.entries {
		if l.records.records.at(e.slot).cursor == e.cursor {
			out = append(out, e)
		}
	}
	l.entries = out
	l.next = 2*len(out) + minCompact
}

// begin starts an epoch: what is in the log keeps its order and gets new cursors.
func (l *changelog) begin(epoch int64) {
	l.keep()
	l.epoch, l.seq, l.over, l.early = epoch, tooOld+1, l.over[:0], l.early[:0]
	for i := range l.entries {
		e := &l.entries[i]
		r := l.records.records.at(e.slot)
		l.seq++
		e.cursor, r.cursor = l.last(), l.last()
		l.remember(r, e.at)
	}
}
