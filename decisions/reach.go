package decisions

import (
	"encoding/binary"
	"net/netip"

	"github.com/gaissmai/bart"
)

// reach has a bit for every /24 of IPv4, set where some range touches it: most
// addresses need no search in the trie. A bit may be set in vain, after its range
// went. 8 KB for each /8 that has ranges. Immutable like table4.
type reach struct{ nets [256]*[1024]uint64 }

// touches reports whether a range may cover key.
func (r *reach) touches(key uint32) bool {
	n := r.nets[key>>24]
	return n != nil && n[key>>14&1023]>>(key>>8&63)&1 != 0
}

// grown is a reach being made from an older one.
type grown struct {
	reach
	own [256]bool
}

// add sets the bits of an IPv4 prefix.
func (g *grown) add(p netip.Prefix) {
	b := p.Addr().As4()
	first := binary.BigEndian.Uint32(b[:])
	last := uint64(first) | (1<<(32-p.Bits()) - 1)
	for net := first >> 8; uint64(net) <= last>>8; net++ {
		g.mark(net)
	}
}

// mark sets the bit of a /24.
func (g *grown) mark(net uint32) {
	i := net >> 16
	if !g.own[i] {
		g.own[i] = true
		fresh := new([1024]uint64)
		if g.nets[i] != nil {
			*fresh = *g.nets[i]
		}
		g.nets[i] = fresh
	}
	g.nets[i][net>>6&1023] |= 1 << (net & 63)
}

// makeReach makes one for all IPv4 ranges of table.
func makeReach(table *bart.Table[chain]) *reach {
	var g grown
	for p := range table.All4() {
		g.add(p)
	}
	return &g.reach
}
