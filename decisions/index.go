package decisions

import (
	"container/heap"
	"net/netip"
	"slices"
	"time"
)

// record is a decision in memory. Only the writer changes it, under the Book's
// lock.
type record struct {
	Decision
	prefix netip.Prefix // of scope Ip and Range
	cursor int64        // of its latest change, 0 if never announced
	place  int          // in the heap
	gone   bool
}

// index finds records by id, by value and by their end.
type index struct {
	byID    map[int64]*record
	byValue map[string][]*record
	due     dueHeap

	suppressed int
	inForce    map[string]int // by type, those neither suppressed nor simulated
}

func newIndex() index {
	return index{byID: map[int64]*record{}, byValue: map[string][]*record{}, inForce: map[string]int{}}
}

// tally counts r in, or with -1 out.
func (x *index) tally(r *record, n int) {
	switch {
	case r.Suppressed:
		x.suppressed += n
	case !r.Simulated:
		if x.inForce[r.Type] += n; x.inForce[r.Type] == 0 {
			delete(x.inForce, r.Type)
		}
	}
}

// suppress changes whether r is suppressed.
func (x *index) suppress(r *record, to bool) {
	x.tally(r, -1)
	r.Suppressed = to
	x.tally(r, 1)
}

func (x *index) add(r *record) {
	x.byID[r.ID] = r
	x.byValue[r.Value] = append(x.byValue[r.Value], r)
	heap.Push(&x.due, r)
	x.tally(r, 1)
}

func (x *index) remove(r *record) {
	delete(x.byID, r.ID)
	heap.Remove(&x.due, r.place)
	x.tally(r, -1)
	list := x.byValue[r.Value]
	if len(list) == 1 {
		delete(x.byValue, r.Value)
		return
	}
	i := slices.Index(list, r)
	list[i] = list[len(list)-1]
	list[len(list)-1] = nil
	x.byValue[r.Value] = list[:len(list)-1]
}

// extend moves the end of r.
func (x *index) extend(r *record, until time.Time) {
	r.Until = until
	heap.Fix(&x.due, r.place)
}

// same returns the record that d says again: of the same value, measure, cause
// and evidence. Direct counts, so that hearsay never prolongs a ban that may act
// below HTTP.
func (x *index) same(d *Decision, now time.Time) *record {
	for _, r := range x.byValue[d.Value] {
		if r.Scope == d.Scope && r.Type == d.Type && r.Origin == d.Origin && r.Scenario == d.Scenario &&
			r.Direct == d.Direct && r.Simulated == d.Simulated && r.Suppressed == d.Suppressed && r.Until.After(now) {
			return r
		}
	}
	return nil
}

// covering calls fn for the records of a and of the ranges around it.
func (x *index) covering(a netip.Addr, fn func(*record)) {
	a = plain(a)
	for bits := a.BitLen(); bits >= 0; bits-- {
		p := netip.PrefixFrom(a, bits).Masked()
		key := p.String()
		if p.IsSingleIP() {
			key = a.String()
		}
		for _, r := range x.byValue[key] {
			if r.prefix == p {
				fn(r)
			}
		}
	}
}

// dueHeap has the record that ends first at its head.
type dueHeap []*record

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].Until.Before(h[j].Until) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is for package heap.
func (h *dueHeap) Push(x any) {
	r := x.(*record)
	r.place = len(*h)
	*h = append(*h, r)
}

// Pop is for package heap.
func (h *dueHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return r
}
