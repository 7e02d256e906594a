package firewall

import (
	"net/netip"
	"slices"
)

// span is a range of addresses of one family, both ends included.
type span struct {
	from, to netip.Addr
}

// contains reports whether a, of the same family, is in s.
func (s span) contains(a netip.Addr) bool {
	return a.BitLen() == s.from.BitLen() && s.from.Compare(a) <= 0 && a.Compare(s.to) <= 0
}

// spans turns prefixes into sorted ranges that neither overlap nor touch, since
// the kernel refuses an interval set that has overlaps. Bad prefixes go to no.
func spans(prefixes []netip.Prefix, no *refusals) []span {
	all := make([]span, 0, len(prefixes))
	for _, p := range prefixes {
		c, err := canonical(p)
		if err != nil {
			no.add(p, err)
			continue
		}
		all = append(all, span{c.Addr(), lastOf(c)})
	}
	// netip orders IPv4 before IPv6, so that a family is a run.
	slices.SortFunc(all, func(a, b span) int {
		if c := a.from.Compare(b.from); c != 0 {
			return c
		}
		return b.to.Compare(a.to)
	})
	merged := all[:0]
	for _, s := range all {
		if n := len(merged); n > 0 && touches(merged[n-1], s) {
			if merged[n-1].to.Less(s.to) {
				merged[n-1].to = s.to
			}
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// touches reports whether b, which does not begin before a, continues a.
func touches(a, b span) bool {
	if a.from.BitLen() != b.from.BitLen() {
		return false
	}
	next := a.to.Next() // not valid after the last address of the family
	return !next.IsValid() || b.from.Compare(next) <= 0
}

// lastOf returns the last address of p, which is masked.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}
