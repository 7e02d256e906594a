package decisions

// slabSize is how many items one allocation of a slab holds.
const slabSize = 512

// slab keeps items of one size in large pieces: where there are a hundred thousand
// of them, what the garbage collector has to look at are a few hundred. T should
// hold no pointers. Items never move, so that a pointer to one is good until its
// slot is given back. No item has slot 0.
type slab[T any] struct {
	pieces []*[slabSize]T
	free   []int32
	used   int32 // slots ever given out, and slot 0
}

// take returns a slot whose item is zero.
func (s *slab[T]) take() (slot int32, item *T) {
	if n := len(s.free); n > 0 {
		slot = s.free[n-1]
		s.free = s.free[:n-1]
		return slot, s.at(slot)
	}
	s.used = max(s.used, 1)
	if int(s.used) >= len(s.pieces)*slabSize {
		s.pieces = append(s.pieces, new([slabSize]T))
	}
	s.used++
	return s.used - 1, s.at(s.used - 1)
}

func (s *slab[T]) at(slot int32) *T { return &s.pieces[slot/slabSize][slot%slabSize] }

// give takes a slot back.
func (s *slab[T]) give(slot int32) {
	var zero T
	*s.at(slot) = zero
	s.free = append(s.free, slot)
}
