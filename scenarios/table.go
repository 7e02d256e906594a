package scenarios

import (
	"maps"
	"math"
	"slices"
)

// table gives each fingerprint a small number that buckets carry. It is replaced,
// never changed.
type table struct {
	index   map[[16]byte]uint16
	ids     [][16]byte
	lives   []int64 // nanoseconds
	keeps   []int   // samples of a bucket, without that of the event that overflows it
	retired []bool  // not of the rules in force; buckets of theirs may still appear
	free    []uint16
}

func (t *table) clone() *table {
	return &table{
		index: maps.Clone(t.index), ids: slices.Clone(t.ids), lives: slices.Clone(t.lives),
		keeps: slices.Clone(t.keeps), retired: slices.Clone(t.retired), free: slices.Clone(t.free),
	}
}

// add changes t, which must be a clone; ok is false when all numbers are taken.
func (t *table) add(s *Scenario) (*table, uint16, bool) {
	if last := len(t.free) - 1; last >= 0 {
		n := t.free[last]
		t.free = t.free[:last]
		t.index[s.id], t.ids[n], t.lives[n], t.keeps[n], t.retired[n] = n, s.id, int64(s.life), s.keep-1, false
		return t, n, true
	}
	if len(t.ids) > math.MaxUint16 {
		return t, 0, false
	}
	n := uint16(len(t.ids))
	t.index[s.id] = n
	t.ids = append(t.ids, s.id)
	t.lives = append(t.lives, int64(s.life))
	t.keeps = append(t.keeps, s.keep-1)
	t.retired = append(t.retired, false)
	return t, n, true
}

// with returns the table for r, and which numbers are not of r.
func (t *table) with(r *Rules) (next *table, gone []bool) {
	next = t.clone()
	keep := make(map[[16]byte]bool, len(r.all))
	for _, s := range r.all {
		keep[s.id] = true
		if _, ok := next.index[s.id]; !ok {
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
