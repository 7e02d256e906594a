package decisions

import (
	"net/netip"
	"slices"
	"time"
)

// listing is a list in the set.
type listing struct {
	list *Blocklist
	what uint64 // of its entries: direct bit and action
	// until and born are those of its entries, as entry has them.
	until, born int64
}

func newListing(l *Blocklist) listing {
	d := Decision{Type: l.Type}
	return listing{list: l, what: uint64(d.Action()) | directBit, until: millis(l.Until), born: millis(l.Created) << 8}
}

// entry is what the set has of an entry of the list.
func (g *listing) entry(index int) entry {
	return entry{
		what:  uint64(g.list.Base+int64(index))<<8 | g.what,
		until: g.until,
		born:  g.born | int64(g.list.At(index).Bits()),
	}
}

// beats reports whether its entries may win over e.
func (g *listing) beats(e entry) bool {
	mine := entry{what: g.what}
	if x, y := mine.action().strength(), e.action().strength(); x != y {
		return x > y
	}
	return g.until >= e.until
}

// listings are the lists of a set; immutable.
type listings struct {
	all   []listing
	known []*Blocklist // by name, those that only simulate too
	reach *reach       // of the IPv4 entries of all: most addresses need no search
}

func newListings(lists []*Blocklist) *listings {
	if len(lists) == 0 {
		return nil
	}
	s := &listings{all: make([]listing, 0, len(lists)), known: lists}
	var g grown
	for _, l := range lists {
		if l.Simulated {
			continue
		}
		s.all = append(s.all, newListing(l))
		for _, key := range l.v4.keys {
			g.mark(key >> 8)
		}
		for i, key := range l.nets.keys {
			g.add(prefix4(key, l.bits[i]))
		}
	}
	s.reach = &g.reach
	return s
}

// best returns the winner among have (zero: none) and the entries of lists that
// cover a, which is plain.
func (s *listings) best(a netip.Addr, have entry, at *instant) entry {
	if a.Is4() && !s.reach.touches(key4(a)) {
		return have
	}
	for i := range s.all {
		g := &s.all[i]
		if have.what != 0 && !g.beats(have) {
			continue
		}
		index, ok := g.list.find(a)
		if !ok || at.past(g.until) {
			continue
		}
		if e := g.entry(index); have.what == 0 || compareEntries(e, have) < 0 {
			have = e
		}
	}
	return have
}

// setLists makes lists (nil: none) what lookups consult beside single decisions, as
// one step.
func (s *Set) setLists(lists *listings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.state.Load()
	next.lists = lists
	s.state.Store(&next)
}

// lists are those in force, by name, those that only simulate too.
func (s *Set) lists() []*Blocklist {
	if now := s.state.Load().lists; now != nil {
		return slices.Clone(now.known)
	}
	return nil
}

// ended reports whether the end of the list has come.
func (l *Blocklist) ended(now time.Time) bool { return !l.Until.After(now) }
