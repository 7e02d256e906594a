package decisions

import (
	"net/netip"
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

// listed returns the winner among have (zero: none) and the entries of lists that
// cover a, which is plain.
func (s *snapshot) listed(a netip.Addr, have entry, at *instant) entry {
	for i := range s.lists {
		g := &s.lists[i]
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

// setLists makes lists what lookups consult beside single decisions, as one step.
func (s *Set) setLists(lists []*Blocklist) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.state.Load()
	next.lists = nil
	for _, l := range lists {
		next.lists = append(next.lists, newListing(l))
	}
	s.state.Store(&next)
}

// lists are those that lookups consult, by name.
func (s *Set) lists() []*Blocklist {
	all := s.state.Load().lists
	out := make([]*Blocklist, len(all))
	for i := range all {
		out[i] = all[i].list
	}
	return out
}

// ended reports whether the end of the list has come.
func (l *Blocklist) ended(now time.Time) bool { return !l.Until.After(now) }
