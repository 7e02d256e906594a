package expression

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/expr-lang/expr/ast"
)

// rangeList is: an address is in one of the ranges of a list of lines.
type rangeList struct {
	env   *Env
	ip    *text
	item  words // the range of a line
	keep  truth // which lines count; nil: all
	lines lines
	built atomic.Pointer[rangeTable]
}

type rangeTable struct {
	file *dataFile // nil: the lines are constants
	some bool      // a line counts
	ranges
}

// overRanges is IpInRange of an address that has nothing to do with #, and # as a
// range. An address of an alert that is not there is a failure at the first line.
func (t translator) overRanges(node ast.Node, ip, cidr *text) []truth {
	if t.items.lines == nil || !cidr.ofItem || t.mentions(node, false, true) {
		return nil
	}
	if !t.harmless(node) && !strings.HasPrefix(eventPath(node), "evt.Overflow.Alert.") {
		return nil
	}
	l := &rangeList{env: t.env, ip: ip, item: cidr.read, keep: t.items.keep, lines: *t.items.lines}
	return []truth{l.holds}
}

// holds asks for all lines at once.
func (l *rangeList) holds(v *Vars) bool {
	list, file := l.lines.current(l.env)
	table := l.built.Load()
	if table == nil || table.file != file {
		table = l.table(list)
		table.file = file
		l.built.Store(table)
	}
	if !table.some {
		return false
	}
	s := l.ip.read(v)
	if v.run.fault != nil {
		return false
	}
	a := v.ip.of(s)
	return a.IsValid() && table.has(a)
}

func (l *rangeList) table(list []string) *rangeTable {
	out := &rangeTable{}
	var v Vars
	for _, line := range list {
		v.run.item.text = line
		if l.keep == nil || l.keep(&v) {
			out.some = true
			out.add(l.item(&v))
		}
	}
	out.join()
	return out
}

// ranges are sorted and do not overlap once they are joined.
type ranges []span

// span is all addresses from first to last, both of one family.
type span struct{ first, last netip.Addr }

// add adds what IpInRange makes of a text; what it makes nothing of is in no range.
func (r *ranges) add(cidr string) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return
	}
	p = unmapped(p).Masked()
	*r = append(*r, span{p.Addr(), lastOf(p)})
}

// lastOf returns the last address of a range.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// join sorts the ranges and makes one of those that overlap.
func (r *ranges) join() {
	slices.SortFunc(*r, func(a, b span) int { return a.first.Compare(b.first) })
	out := (*r)[:0]
	for _, s := range *r {
		if n := len(out) - 1; n >= 0 && out[n].last.BitLen() == s.first.BitLen() && !out[n].last.Less(s.first) {
			if out[n].last.Less(s.last) {
				out[n].last = s.last
			}
			continue
		}
		out = append(out, s)
	}
	*r = out
}

// has reports whether an address is in one of the ranges.
func (r ranges) has(a netip.Addr) bool {
	n, found := slices.BinarySearchFunc(r, a, func(s span, a netip.Addr) int { return s.first.Compare(a) })
	if found {
		return true
	}
	return n > 0 && r[n-1].first.BitLen() == a.BitLen() && !r[n-1].last.Less(a)
}
