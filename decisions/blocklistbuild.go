package decisions

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// maxListProblems is how many problems a report names; all are counted.
const maxListProblems = 20

var errListFull = fmt.Errorf("more than %d entries; split it into several lists", maxListEntries)

// ListReport says what of a list was left out.
type ListReport struct {
	Lines      int      `json:"lines"`      // read, blank ones and comments included
	Bad        int      `json:"bad"`        // neither an address nor a range
	TooWide    int      `json:"too_wide"`   // wider than may be decided for
	Duplicates int      `json:"duplicates"` // there already
	Covered    int      `json:"covered"`    // inside a range of the same list
	Problems   []string `json:"problems"`   // of the first 20 that are bad or too wide
}

// refuse counts and names what err is about.
func (r *ListReport) refuse(err error) {
	if errors.Is(err, ErrTooWide) {
		r.TooWide++
	} else {
		r.Bad++
	}
	if len(r.Problems) < maxListProblems {
		r.Problems = append(r.Problems, err.Error())
	}
}

// Doubt says why somebody's list l is not to be believed: a range in it is too wide, or
// it is mostly lines that are no addresses, such as a page of HTML. nil: it may be one.
func (r *ListReport) Doubt(l *Blocklist) error {
	switch good := l.Len() + r.Duplicates + r.Covered; {
	case r.TooWide > 0:
		return fmt.Errorf("a range in it is wider than /8, or /16 for IPv6: %s", r.Problems[0])
	case r.Bad > good:
		return fmt.Errorf("%d lines are addresses and %d are not: %s", good, r.Bad, r.Problems[0])
	}
	return nil
}

// listBuilder gathers the entries of a list, in any order.
type listBuilder struct {
	v4     []uint32
	nets   []net4
	v6     []prefix6
	report ListReport
}

// net4 is an IPv4 range.
type net4 struct {
	key  uint32
	bits uint8
}

func (n net4) covers(key uint32) bool { return (n.key^key)>>(32-n.bits) == 0 }

// add takes an entry, or says why not.
func (b *listBuilder) add(p netip.Prefix) error {
	if !p.IsValid() {
		return fmt.Errorf("%s: not a valid range", p)
	}
	p = plainPrefix(p)
	if err := checkWidth(p); err != nil {
		return err
	}
	if len(b.v4)+len(b.nets)+len(b.v6) >= maxListEntries {
		return errListFull
	}
	switch {
	case p.Addr().Is6():
		hi, lo := halves(p.Addr())
		b.v6 = append(b.v6, prefix6{hi, lo, uint8(p.Bits())})
	case p.IsSingleIP():
		b.v4 = append(b.v4, key4(p.Addr()))
	default:
		b.nets = append(b.nets, net4{key4(p.Addr()), uint8(p.Bits())})
	}
	return nil
}

// finish makes the list, whose head is in normal form. The builder must not be used
// again.
func (b *listBuilder) finish(h ListHead) *Blocklist {
	nets := b.outermost4()
	v4 := b.alone4(nets)
	l := &Blocklist{ListHead: h, v4: newSorted4(slices.Clone(v4)), v6: slices.Clone(b.outermost6())}
	keys := make([]uint32, len(nets))
	l.bits = make([]uint8, len(nets))
	for i, n := range nets {
		keys[i], l.bits[i] = n.key, n.bits
	}
	l.nets = newSorted4(keys)
	return l
}

// outermost4 returns the IPv4 ranges that no other covers, in order.
func (b *listBuilder) outermost4() []net4 {
	slices.SortFunc(b.nets, func(x, y net4) int {
		return cmp.Or(cmp.Compare(x.key, y.key), cmp.Compare(x.bits, y.bits))
	})
	out := b.nets[:0]
	for _, n := range b.nets {
		if last := len(out) - 1; last >= 0 && out[last].covers(n.key) {
			b.leave(out[last] == n)
			continue
		}
		out = append(out, n)
	}
	return out
}

// alone4 returns the IPv4 addresses that none of the sorted nets covers, in order.
func (b *listBuilder) alone4(nets []net4) []uint32 {
	slices.Sort(b.v4)
	out := b.v4[:0]
	for _, key := range b.v4 {
		for len(nets) > 1 && nets[1].key <= key {
			nets = nets[1:]
		}
		switch {
		case len(out) > 0 && out[len(out)-1] == key:
			b.leave(true)
		case len(nets) > 0 && nets[0].covers(key):
			b.leave(false)
		default:
			out = append(out, key)
		}
	}
	return out
}

// outermost6 returns the IPv6 entries that no other covers, in order.
func (b *listBuilder) outermost6() []prefix6 {
	slices.SortFunc(b.v6, func(x, y prefix6) int {
		return cmp.Or(cmp.Compare(x.hi, y.hi), cmp.Compare(x.lo, y.lo), cmp.Compare(x.bits, y.bits))
	})
	out := b.v6[:0]
	for _, p := range b.v6 {
		if last := len(out) - 1; last >= 0 && out[last].covers(p.hi, p.lo) {
			b.leave(out[last] == p)
			continue
		}
		out = append(out, p)
	}
	return out
}

// leave counts an entry that is not needed.
func (b *listBuilder) leave(duplicate bool) {
	if duplicate {
		b.report.Duplicates++
	} else {
		b.report.Covered++
	}
}
