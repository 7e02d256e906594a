package decisions

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"sort"
)

// stretch are the entries of a list from one index up to another.
type stretch struct{ from, to int }

// listed yields the entries of lists that match s, those of each list by ascending
// ids. It takes no lock.
func (b *Book) listed(s *search) iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		lists := b.Lists()
		slices.SortStableFunc(lists, func(x, y *Blocklist) int { return cmp.Compare(x.Base, y.Base) })
		for _, l := range lists {
			if !s.takesList(l) {
				continue
			}
			for d := range b.entries(s, l) {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// takesList reports whether l passes what is the same for all its entries.
func (s *search) takesList(l *Blocklist) bool {
	return s.uuids == nil && s.simulated.admits(l.Simulated) && (s.whole || millis(l.Until) > s.now) &&
		s.kinds.takes(l.Type) && s.origins.takes(l.Origin()) && s.scenario.takes(l.Name, l.Scenario)
}

// entries are those of l, which s takes, that match.
func (b *Book) entries(s *search, l *Blocklist) iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		for _, part := range s.spans(l) {
			for i := max(part.from, int(min(s.after-l.Base+1, int64(part.to)))); i < part.to; i++ {
				if !s.takesEntry(l.At(i)) {
					continue
				}
				if d := b.listDecision(l, i); (s.whole || !d.Suppressed) && !yield(d) {
					return
				}
			}
		}
	}
}

// takesEntry reports whether an entry of a list that spans found passes the rest.
func (s *search) takesEntry(p netip.Prefix) bool {
	scope := ScopeRange
	if p.IsSingleIP() {
		scope = ScopeIP
	}
	if !s.scopes.takes(scope) {
		return false
	}
	if s.value == "" && !s.prefix.IsValid() {
		return true
	}
	k := keyOf(p)
	return (s.value == "" || k == s.valueKey) && (!s.prefix.IsValid() || s.fits(k))
}

// spans are the parts of l that may match, in order, by the narrowest way.
func (s *search) spans(l *Blocklist) (out []stretch) {
	only := func(i int, ok bool) []stretch {
		if ok {
			return []stretch{{i, i + 1}}
		}
		return nil
	}
	switch {
	case s.ids != nil:
		for _, id := range s.ids {
			i := id - l.Base
			out = append(out, only(int(i), i >= 0 && i < int64(l.Len()))...)
		}
		return out
	case s.value != "":
		p, _, err := parsePrefix(s.value)
		if err != nil {
			return nil
		}
		return only(l.Index(p))
	case s.prefix.IsValid() && !s.within:
		return only(l.Find(s.prefix.Addr()))
	case s.prefix.IsValid():
		return l.within(s.prefix)
	}
	n4, nets, _ := l.Kinds()
	all := []stretch{{0, n4}, {n4, n4 + nets}, {n4 + nets, l.Len()}}
	if !s.scopes.takes(ScopeIP) {
		all[0] = stretch{}
	}
	if !s.scopes.takes(ScopeRange) {
		all[1] = stretch{}
	}
	return all
}

// within are the entries inside p, which is plain.
func (l *Blocklist) within(p netip.Prefix) []stretch {
	n4, nets := len(l.v4.keys), len(l.nets.keys)
	if p.Addr().Is4() {
		first := key4(p.Addr())
		last := first | uint32(1<<(32-p.Bits())-1)
		a, n := l.v4.part(first, last), l.nets.part(first, last)
		// Entries do not overlap: if one is wider than p, it is alone.
		if n.to == n.from+1 && int(l.bits[n.from]) < p.Bits() {
			n = stretch{}
		}
		return []stretch{a, {n4 + n.from, n4 + n.to}}
	}
	hi, lo := halves(p.Addr())
	whole := prefix6{hi, lo, uint8(p.Bits())}
	from := sort.Search(len(l.v6), func(i int) bool { return !l.v6[i].before(hi, lo) })
	rest := l.v6[from:]
	n := sort.Search(len(rest), func(i int) bool { return !whole.covers(rest[i].hi, rest[i].lo) })
	if n == 1 && rest[0].bits < whole.bits {
		n = 0
	}
	from += n4 + nets
	return []stretch{{from, from + n}}
}

// inside counts the entries within p, which is plain.
func (l *Blocklist) inside(p netip.Prefix) (n int) {
	for _, s := range l.within(p) {
		n += s.to - s.from
	}
	return n
}

// part are the keys from first to last.
func (s *sorted4) part(first, last uint32) stretch {
	from := 0
	if first > 0 {
		from = s.floor(first-1) + 1
	}
	return stretch{from, s.floor(last) + 1}
}
