package decisions

import (
	"sort"
	"time"
)

const (
	// A cursor is an epoch and a number within it. A new epoch begins with each
	// start of the process and whenever the log forgets what a subscriber might
	// still need; a cursor of another epoch gets a Reset.
	seqBits = 40
	// linger is for how long the end of a decision is told after it.
	linger = time.Hour
	// maxGone bounds how many ended decisions are remembered.
	maxGone    = 1 << 18
	minCompact = 1 << 10
)

// changelog has the latest change of every record, oldest first. It is compacted
// in place, never cut: a subscriber at any cursor of the epoch finds everything
// that matters since.
type changelog struct {
	records *index
	entries []logged
	epoch   int64
	seq     int64
	next    int // length at which to compact
}

type logged struct {
	cursor int64
	slot   int32 // of the record, which has not changed since if its cursor is still this one
}

func (l *changelog) last() int64 { return l.epoch<<seqBits | l.seq }

// note makes the present state of r the latest change.
func (l *changelog) note(r *record) {
	l.seq++
	r.cursor, r.logged = l.last(), true
	l.entries = append(l.entries, logged{r.cursor, r.slot})
}

// since returns the changes after cursor, as Journal.Since.
func (l *changelog) since(cursor int64, limit int) ([]Change, int64) {
	var out []Change
	start := l.epoch << seqBits
	switch {
	case cursor == 0:
		cursor = start
	case cursor>>seqBits != l.epoch || cursor > l.last():
		out = append(out, Change{Cursor: start, Reset: true})
		cursor = start
	}
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].cursor > cursor })
	for ; i < len(l.entries) && (limit <= 0 || len(out) < limit); i++ {
		e := l.entries[i]
		cursor = e.cursor
		r := l.records.records.at(e.slot)
		if r.cursor != e.cursor {
			continue
		}
		out = append(out, Change{Cursor: e.cursor, Gone: r.gone || r.suppressed, Decision: l.records.decision(r)})
	}
	return out, cursor
}

// full tells whether compact is worth calling.
func (l *changelog) full() bool { return len(l.entries) >= max(l.next, minCompact) }

// compact drops changes that later ones made void and ends that nobody needs any
// more. It reports whether a new epoch had to begin.
func (l *changelog) compact(now time.Time) (newEpoch bool) {
	kept := l.keep(func(r *record) bool { return !r.ended(now.Add(-linger)) })
	if kept > maxGone {
		kept = l.keep(func(r *record) bool { return !r.ended(now) })
	}
	if kept > maxGone {
		l.keep(func(*record) bool { return false })
		l.begin(l.epoch + 1)
		newEpoch = true
	}
	l.next = 2*len(l.entries) + minCompact
	return newEpoch
}

// keep drops void entries and those of ended records that wanted refuses; it
// returns how many of ended ones are left.
func (l *changelog) keep(wanted func(*record) bool) (gone int) {
	out := l.entries[:0]
	for _, e := range l.entries {
		r := l.records.records.at(e.slot)
		if r.cursor != e.cursor {
			continue
		}
		if r.gone || r.suppressed {
			if !wanted(r) {
				if r.logged = false; r.gone {
					l.records.bury(r)
				}
				continue
			}
			gone++
		}
		out = append(out, e)
	}
	l.entries = out
	return gone
}

// begin starts an epoch: what is in the log keeps its order and gets new cursors.
func (l *changelog) begin(epoch int64) {
	l.epoch, l.seq = epoch, 0
	for i := range l.entries {
		l.seq++
		l.entries[i].cursor = l.last()
		l.records.records.at(l.entries[i].slot).cursor = l.last()
	}
}
