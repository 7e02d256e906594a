package decisions

import (
	"cmp"
	"slices"
)

// page is an immutable block of entries of up to 65536 IPv4 addresses that share
// their upper half, sorted by the lower half, entries of one address by
// compareEntries. First come the lower halves, four to a word, then the entries,
// three words each: one allocation without pointers, and a search touches the
// dense part only.
type page []uint64

// item is an entry with the lower half of its address, outside a page.
type item struct {
	low uint16
	e   entry
}

const entryWords = 3

// count returns how many entries there are: a page of n has 3n + ceil(n/4) words.
func (p page) count() int { return 4 * len(p) / (4*entryWords + 1) }

func (p page) low(i int) uint16 { return uint16(p[i>>2] >> (16 * (uint(i) & 3))) }

func (p page) entry(n, i int) entry {
	w := p[(n+3)/4+entryWords*i:]
	_ = w[2]
	return entry{what: w[0], until: int64(w[1]), born: int64(w[2])}
}

// find returns the index of the first entry of low, or of where it would be.
func (p page) find(n int, low uint16) int {
	lo, hi := 0, n
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if p.low(m) < low {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// items appends the page's content to dst.
func (p page) items(dst []item) []item {
	n := p.count()
	for i := range n {
		dst = append(dst, item{p.low(i), p.entry(n, i)})
	}
	return dst
}

// makePage packs items, which must be sorted.
func makePage(items []item) page {
	n := len(items)
	if n == 0 {
		return nil
	}
	keys := (n + 3) / 4
	p := make(page, keys+entryWords*n)
	for i, it := range items {
		p[i>>2] |= uint64(it.low) << (16 * (uint(i) & 3))
		w := p[keys+entryWords*i:]
		w[0], w[1], w[2] = it.e.what, uint64(it.e.until), uint64(it.e.born)
	}
	return p
}

// edit4 is an edit of one IPv4 address.
type edit4 struct {
	key uint32
	edit
}

// applyItems returns items after edits, sorted. Edits are sorted by key and id,
// one for each pair; items is reused.
func applyItems(items []item, edits []edit4) []item {
	byPair := func(ed edit4, it item) int {
		return cmp.Or(cmp.Compare(uint16(ed.key), it.low), cmp.Compare(ed.e.id(), it.e.id()))
	}
	items = slices.DeleteFunc(items, func(it item) bool {
		_, hit := slices.BinarySearchFunc(edits, it, byPair)
		return hit
	})
	for _, ed := range edits {
		if !ed.gone {
			items = append(items, item{uint16(ed.key), ed.e})
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.low, b.low), compareEntries(a.e, b.e))
	})
	return items
}
