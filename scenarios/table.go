package scenarios

import (
	"maps"
	"math"
	"slices"
)

// table gives each fingerprint a small number that buckets carry. It is replaced,
// never changed.
type table struct {
	index map[[16]byte]uint16
	ids   [][16]byte
	// scenarios are the newest with that fingerprint.
	scenarios []*Scenario
	faults    []*fails // what went wrong while a bucket was asked
	retired   []bool   // not of the rules in force; buckets of theirs may still appear
	free      []uint16
}

func (t *table) clone() *table {
	return &table{
		index: maps.Clone(t.index), ids: slices.Clone(t.ids), scenarios: slices.Clone(t.scenarios),
		faults: slices.Clone(t.faults), retired: slices.Clone(t.retired), free: slices.Clone(t.free),
	}
}

// add changes t, which must be a clone; ok is false when all numbers are taken.
func (t *table) add(s *Scenario) (*table, uint16, bool) {
	if last := len(t.free) - 1; last >= 0 {
		n := t.free[last]
		t.free = t.free[:last]
		t.index[s.id], t.ids[n], t.scenarios[n], t.faults[n], t.retired[n] = n, s.id, s, &fails{}, false
		return t, n, true
	}
	if len(t.ids) > math.MaxUint16 {
		return t, 0, false
	}
	n := uint16(len(t.ids))
	t.index[s.id] = n
	t.ids = append(t.ids, s.id)
	t.scenarios = append(t.scenarios, s)
	t.faults = append(t.faults, &fails{})
	t.retired = append(t.retired, false)
	return t, n, true
}

// with returns the table for r, and which numbers are not of r.
func (t *table) with(r *Rules) (next *table, gone []bool) {
	next = t.clone()
	keep := make(map[[16]byte]bool, len(r.all))
	for _, s := range r.all {
		keep[s.id] = true
		if n, ok := next.index[s.id]; ok {
			next.scenarios[n] = s
		} else {
			next, _, _ = next.add(s)
		}
	}
	for id, n := range next.index {
		next.retired[n] = !keep[id]
	}
	return next, slices.Clone(next.retired)
}

// reclaim returns t without the numbers that were retired in old already.
func (t *table) reclaim(old *table) *table {
	next := t.clone()
	for id, n := range t.index {
		if t.retired[n] && int(n) < len(old.retired) && old.retired[n] && old.ids[n] == id {
			delete(next.index, id)
			next.free = append(next.free, n)
		}
	}
	return next
}
