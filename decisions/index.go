package decisions

import (
	"container/heap"
	"iter"
	"net/netip"
	"time"
)

// index has the records and finds them by id, by value and by their end. Nothing
// in it that grows with them holds pointers.
type index struct {
	records slab[record]
	odd     map[int32]oddTexts
	later   map[int32]laterEnds // of records with more echoes than one
	names   *names
	keys    keyer

	byID    map[int64]int32 // slots
	byValue map[key]chained
	due     dueHeap
	buried  []*record // gone for good; see bury

	suppressed int
	// inForce counts by type, and tallies more closely, those neither suppressed nor
	// simulated.
	inForce map[string]int
	tallies map[tallied]int
}

// chained are the first and the last record of a value, which their next connect.
type chained struct{ first, last int32 }

func newIndex(names *names, keys keyer) *index {
	x := &index{odd: map[int32]oddTexts{}, later: map[int32]laterEnds{}, names: names, keys: keys, byID: map[int64]int32{}, byValue: map[key]chained{}, inForce: map[string]int{},
		tallies: map[tallied]int{}}
	x.due.records = &x.records
	return x
}

// tally counts r in, or with -1 out.
func (x *index) tally(r *record, n int) {
	switch {
	case r.suppressed:
		x.suppressed += n
	case !r.simulated:
		kind := x.names.text(r.kind)
		if x.inForce[kind] += n; x.inForce[kind] == 0 {
			delete(x.inForce, kind)
		}
		k := tallied{r.scenario, r.origin, r.kind}
		if x.tallies[k] += n; x.tallies[k] == 0 {
			delete(x.tallies, k)
		}
	}
}

// suppress changes whether r is suppressed.
func (x *index) suppress(r *record, to bool) {
	x.tally(r, -1)
	r.suppressed = to
	x.tally(r, 1)
}

// add makes a record of a decision in normal form, whose prefix is p.
func (x *index) add(d *Decision, p netip.Prefix) *record {
	slot, r := x.records.take()
	r.slot = slot
	x.pack(r, d, p)
	x.byID[r.id] = slot
	c := x.byValue[r.key]
	if c.first == 0 {
		c.first = slot
	} else {
		x.records.at(c.last).next = slot
	}
	c.last = slot
	x.byValue[r.key] = c
	heap.Push(&x.due, slot)
	x.tally(r, 1)
	return r
}

// remove takes r out. It keeps its slot until it is buried.
func (x *index) remove(r *record) {
	delete(x.byID, r.id)
	x.setEchoes(r, nil)
	heap.Remove(&x.due, int(r.place))
	x.tally(r, -1)
	c, before := x.byValue[r.key], int32(0)
	for slot := c.first; slot != r.slot; slot = x.records.at(slot).next {
		before = slot
	}
	if before == 0 {
		c.first = r.next
	} else {
		x.records.at(before).next = r.next
	}
	if c.last == r.slot {
		c.last = before
	}
	r.next = 0
	if c.first == 0 {
		delete(x.byValue, r.key)
	} else {
		x.byValue[r.key] = c
	}
}

// bury says that nobody will ask for r again, which is gone. Its slot is given to
// another only after reap: jobs under way still name r.
func (x *index) bury(r *record) { x.buried = append(x.buried, r) }

func (x *index) reap() {
	for _, r := range x.buried {
		x.release(r)
	}
	clear(x.buried)
	x.buried = x.buried[:0]
}

// extend moves the end of r.
func (x *index) extend(r *record, until time.Time) {
	r.until = until.UnixMilli()
	heap.Fix(&x.due, int(r.place))
}

// byNumber returns the record with an id, or nil.
func (x *index) byNumber(id int64) *record {
	if slot := x.byID[id]; slot != 0 {
		return x.records.at(slot)
	}
	return nil
}

// all are the records, in no order.
func (x *index) all() iter.Seq[*record] {
	return func(yield func(*record) bool) {
		for _, slot := range x.byID {
			if !yield(x.records.at(slot)) {
				return
			}
		}
	}
}

// against are the records of a value.
func (x *index) against(k key) iter.Seq[*record] {
	return func(yield func(*record) bool) {
		for slot := x.byValue[k].first; slot != 0; {
			r := x.records.at(slot)
			if slot = r.next; !yield(r) {
				return
			}
		}
	}
}

// first is the record that ends first.
func (x *index) first() *record { return x.records.at(x.due.slots[0]) }

// same returns the record that d says again: of the same value, measure, cause
// and evidence. Direct counts, so that hearsay never prolongs a ban that may act
// below HTTP.
func (x *index) same(d *Decision, p netip.Prefix, now time.Time) *record {
	for r := range x.against(x.keyFor(d.Value, p)) {
		b := x.brief(r)
		if b.Scope == d.Scope && b.Type == d.Type && b.Origin == d.Origin && b.Scenario == d.Scenario &&
			b.Direct == d.Direct && b.Simulated == d.Simulated && b.Suppressed == d.Suppressed && b.Until.After(now) {
			return r
		}
	}
	return nil
}

// keyFor is the key of a value, whose prefix is p.
func (x *index) keyFor(value string, p netip.Prefix) key {
	if p.IsValid() {
		return keyOf(p)
	}
	return x.keys.of(value)
}

// covering calls fn for the records of p, which is plain, and of the ranges around it.
func (x *index) covering(p netip.Prefix, fn func(*record)) {
	for bits := p.Bits(); bits >= 0; bits-- {
		for r := range x.against(keyOf(netip.PrefixFrom(p.Addr(), bits).Masked())) {
			if r.target {
				fn(r)
			}
		}
	}
}

// dueHeap has the record that ends first at its head.
type dueHeap struct {
	records *slab[record]
	slots   []int32
}

func (h *dueHeap) Len() int { return len(h.slots) }
func (h *dueHeap) Less(i, j int) bool {
	return h.records.at(h.slots[i]).until < h.records.at(h.slots[j]).until
}

func (h *dueHeap) Swap(i, j int) {
	h.slots[i], h.slots[j] = h.slots[j], h.slots[i]
	h.records.at(h.slots[i]).place, h.records.at(h.slots[j]).place = int32(i), int32(j)
}

// Push is for package heap.
func (h *dueHeap) Push(x any) {
	slot := x.(int32)
	h.records.at(slot).place = int32(len(h.slots))
	h.slots = append(h.slots, slot)
}

// Pop is for package heap.
func (h *dueHeap) Pop() any {
	slot := h.slots[len(h.slots)-1]
	h.slots = h.slots[:len(h.slots)-1]
	return slot
}
