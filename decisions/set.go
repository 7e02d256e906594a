package decisions

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"
)

// Set is what is in force against addresses and ranges, for lookups on the
// request path. Other scopes, simulated and suppressed decisions are not in it.
type Set struct {
	allow  *Allow
	now    func() time.Time
	coarse atomic.Int64 // see instant
	state  atomic.Pointer[snapshot]
	mu     sync.Mutex // of writers
}

// snapshot is immutable.
type snapshot struct {
	v4     *table4
	ranges *ranges
	lists  *listings // nil: none
}

// NewSet returns an empty set that asks allow (nil: nobody) first.
func NewSet(allow *Allow, now func() time.Time) *Set {
	s := &Set{allow: allow, now: now}
	s.state.Store(&snapshot{v4: newTable4(), ranges: &ranges{table: &bart.Table[chain]{}, reach: &reach{}}})
	return s
}

// Len returns how many decisions are kept, those just over included.
func (s *Set) Len() int {
	st := s.state.Load()
	return st.v4.count + st.ranges.count
}

// Apply brings changes into force, in their order, as one step for lookups: a
// Change that is not Gone replaces the decision of its ID at the same value. A
// decision that is simulated, suppressed, over, or of another scope than Ip and
// Range is taken as gone.
func (s *Set) Apply(changes []Change) {
	now := s.now().UnixMilli()
	var e edits
	for i := range changes {
		d := &changes[i].Decision
		e.add(d, d.Prefix(), changes[i].Gone, now)
	}
	s.apply(e)
}

// edits are changes to a set, by the part of it that they are for.
type edits struct {
	v4     []edit4
	ranges []rangeEdit
}

// add appends the edit that brings d into force against p, or takes it away.
func (e *edits) add(d *Decision, p netip.Prefix, gone bool, now int64) {
	if !p.IsValid() {
		return
	}
	ed := edit{e: newEntry(d, p)}
	ed.gone = gone || !d.enforceable() || ed.e.until <= now || ed.e.action() == None
	if p.Addr().Is4() && p.IsSingleIP() {
		e.v4 = append(e.v4, edit4{key: key4(p.Addr()), edit: ed})
		return
	}
	e.ranges = append(e.ranges, rangeEdit{p, ed})
}

func (s *Set) apply(e edits) {
	if len(e.v4)+len(e.ranges) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.state.Load()
	if len(e.v4) > 0 {
		next.v4 = next.v4.with(e.v4)
	}
	if len(e.ranges) > 0 {
		next.ranges = next.ranges.with(e.ranges)
	}
	s.state.Store(&next)
}

// Lookup returns the strongest decision in force that covers a, those of lists
// among them, of equally strong ones the longest. It takes no lock and allocates nothing; the clock is read
// only when something covers a.
func (s *Set) Lookup(a netip.Addr) Verdict {
	e, allowed := s.find(a, instant{read: s.now, coarse: s.coarse.Load()})
	if e.what == 0 {
		return Verdict{Allowed: allowed}
	}
	return e.verdict()
}

// LookupAt is Lookup for a caller that has read the clock already.
func (s *Set) LookupAt(a netip.Addr, at time.Time) Verdict {
	e, allowed := s.find(a, instant{now: at.UnixMilli()})
	if e.what == 0 {
		return Verdict{Allowed: allowed}
	}
	return e.verdict()
}

// find returns the entry that wins for a, or a zero one. What it returns fits into
// registers: a Verdict handed through would cost more than the search.
func (s *Set) find(a netip.Addr, c instant) (best entry, allowed bool) {
	a = plain(a)
	if s.allow != nil && s.allow.contains(a) {
		return entry{}, true
	}
	st := s.state.Load()
	ranged := true
	if a.Is4() {
		key := key4(a)
		best = st.v4.best(key, &c)
		ranged = st.ranges.reach.touches(key)
	}
	if ranged {
		if found, ok := st.ranges.table.Lookup(a); ok {
			best = st.ranges.best(a, found, best, &c)
		}
	}
	if st.lists != nil {
		best = st.lists.best(a, best, &c)
	}
	return best, false
}

// best returns the winner among have (zero: none), the entries of c, which is the
// longest match of a, and those of the ranges around it.
func (r *ranges) best(a netip.Addr, c chain, have entry, at *instant) entry {
	for {
		if e, ok := c.live(at); ok && (have.what == 0 || compareEntries(e, have) < 0) {
			have = e
		}
		bits := c.first.bits() - 1
		if bits < 0 {
			return have
		}
		wider, ok := r.table.LookupPrefix(netip.PrefixFrom(a, bits).Masked())
		if !ok {
			return have
		}
		c = wider
	}
}

// live returns the first entry that is not over.
func (c *chain) live(at *instant) (entry, bool) {
	if !at.past(c.first.until) {
		return c.first, true
	}
	for _, e := range c.rest {
		if !at.past(e.until) {
			return e, true
		}
	}
	return entry{}, false
}

func key4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}
