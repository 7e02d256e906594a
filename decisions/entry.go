package decisions

import (
	"cmp"
	"net/netip"
	"time"
)

// entry is a decision as the set keeps it: 24 bytes, no pointers.
type entry struct {
	what  uint64 // id <<8 | direct bit | action
	until int64  // Unix milliseconds
	born  int64  // Unix milliseconds <<8 | prefix length
}

const (
	actionMask = 0x07
	directBit  = 0x08
	maxMillis  = 1<<47 - 1 // the year 6429; later is written as that
)

func newEntry(d *Decision, p netip.Prefix) entry {
	e := entry{
		what:  uint64(d.ID)<<8 | uint64(d.Action()),
		until: millis(d.Until),
		born:  millis(d.Created)<<8 | int64(p.Bits()),
	}
	if d.Direct {
		e.what |= directBit
	}
	return e
}

func millis(t time.Time) int64 { return min(max(t.UnixMilli(), 0), maxMillis) }

func (e entry) id() int64      { return int64(e.what >> 8) }
func (e entry) action() Action { return Action(e.what & actionMask) }
func (e entry) bits() int      { return int(e.born & 0xff) }

// compareEntries puts the one that wins first: the strongest, of those the
// longest, of those the oldest.
func compareEntries(a, b entry) int {
	return cmp.Or(
		cmp.Compare(b.action().strength(), a.action().strength()),
		cmp.Compare(b.until, a.until),
		cmp.Compare(a.what>>8, b.what>>8),
	)
}

func (e entry) verdict() Verdict {
	return Verdict{
		Action:  e.action(),
		ID:      e.id(),
		Created: time.UnixMilli(e.born >> 8),
		Until:   time.UnixMilli(e.until),
		Direct:  e.what&directBit != 0,
	}
}

// instant is the time of a lookup. The clock is read only if it has to be: that
// costs more than the rest of a lookup.
type instant struct {
	now    int64 // Unix milliseconds, 0 until read
	coarse int64 // a moment ago, 0 if unknown
	read   func() time.Time
}

// coarseError is by how much coarse may be late. It is far more than the time
// between two ticks, for machines under load.
const coarseError = 2000

// past reports whether an end has come.
func (c *instant) past(until int64) bool {
	if c.now == 0 {
		if until <= c.coarse {
			return true
		}
		if c.coarse != 0 && until > c.coarse+coarseError {
			return false
		}
		c.now = c.read().UnixMilli()
	}
	return until <= c.now
}

// edit is a change to the entries of one value: entry id goes, and comes back as
// e unless gone.
type edit struct {
	e    entry
	gone bool
}

// latest keeps of edits of one value, in order of arrival, the last of each id.
// It works in place.
func latest(edits []edit) []edit {
	if len(edits) == 1 {
		return edits
	}
	last := make(map[int64]int, len(edits))
	for i := range edits {
		last[edits[i].e.id()] = i
	}
	out := edits[:0]
	for i := range edits {
		if last[edits[i].e.id()] == i {
			out = append(out, edits[i])
		}
	}
	return out
}
