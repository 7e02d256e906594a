package decisions

import (
	"cmp"
	"slices"
)

// table4 maps single IPv4 addresses to entries. It is an immutable tree over the
// address's bytes: with makes a new one that shares all it did not touch, so that
// publishing one ban copies a path (some 10 KB) and a batch copies each touched
// page once. A /16 with few entries is one page, a full one has a page for each
// /24.
type table4 struct {
	root  [256]*nets
	count int
}

// nets are the /16s of a /8.
type nets [256]net16

// net16 has either a page or, when that would be long, one per /24.
type net16 struct {
	page page
	subs *[256]page
}

const (
	splitAt = 128 // entries above which a /16 gets a page for each /24
	joinAt  = 48  // and below which it goes back
)

// page returns the page that has the entries of key, nil where there is none.
func (t *table4) page(key uint32) page {
	ns := t.root[key>>24]
	if ns == nil {
		return nil
	}
	n := &ns[uint8(key>>16)]
	if n.subs != nil {
		return n.subs[uint8(key>>8)]
	}
	return n.page
}

// with returns the table after edits, which it sorts; of several edits of one id
// at one address the last one counts.
func (t *table4) with(edits []edit4) *table4 {
	edits = sortEdits(edits)
	next := *t
	scratch := make([]item, 0, 2*splitAt)
	for len(edits) > 0 {
		first := edits[0].key >> 24
		part := leading(edits, 24)
		edits = edits[len(part):]
		var ns nets
		if old := t.root[first]; old != nil {
			ns = *old
		}
		for len(part) > 0 {
			sub := leading(part, 16)
			part = part[len(sub):]
			n := &ns[uint8(sub[0].key>>16)]
			before := n.count()
			*n, scratch = n.with(sub, scratch[:0])
			next.count += n.count() - before
		}
		next.root[first] = nil
		if !ns.empty() {
			next.root[first] = &ns
		}
	}
	return &next
}

// sortEdits orders by address and id and drops all but the last of each pair.
func sortEdits(edits []edit4) []edit4 {
	if len(edits) < 2 {
		return edits
	}
	slices.SortStableFunc(edits, func(a, b edit4) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.e.id(), b.e.id()))
	})
	out := edits[:0]
	for i, ed := range edits {
		if i+1 < len(edits) && edits[i+1].key == ed.key && edits[i+1].e.id() == ed.e.id() {
			continue
		}
		out = append(out, ed)
	}
	return out
}

// leading returns the first edits that agree in all but the lowest shift bits.
func leading(edits []edit4, shift uint) []edit4 {
	n := 1
	for n < len(edits) && edits[n].key>>shift == edits[0].key>>shift {
		n++
	}
	return edits[:n]
}

func (n *net16) count() int {
	if n.subs == nil {
		return n.page.count()
	}
	total := 0
	for _, p := range n.subs {
		total += p.count()
	}
	return total
}

// with returns the net after edits, and scratch for the next call.
func (n *net16) with(edits []edit4, scratch []item) (net16, []item) {
	if n.subs == nil {
		scratch = applyItems(n.page.items(scratch), edits)
		return packNet(scratch), scratch
	}
	subs, total := *n.subs, n.count()
	for len(edits) > 0 {
		part := leading(edits, 8)
		edits = edits[len(part):]
		p := &subs[uint8(part[0].key>>8)]
		total -= p.count()
		scratch = applyItems(p.items(scratch[:0]), part)
		*p = makePage(scratch)
		total += len(scratch)
	}
	if total >= joinAt {
		return net16{subs: &subs}, scratch
	}
	scratch = scratch[:0]
	for _, p := range subs {
		scratch = p.items(scratch)
	}
	return net16{page: makePage(scratch)}, scratch
}

// packNet chooses the form for items.
func packNet(items []item) net16 {
	if len(items) <= splitAt {
		return net16{page: makePage(items)}
	}
	subs := new([256]page)
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].low>>8 == items[0].low>>8 {
			n++
		}
		subs[items[0].low>>8] = makePage(items[:n])
		items = items[n:]
	}
	return net16{subs: subs}
}

func (ns *nets) empty() bool {
	for i := range ns {
		if ns[i].page != nil || ns[i].subs != nil {
			return false
		}
	}
	return true
}
