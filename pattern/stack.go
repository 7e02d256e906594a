package pattern

// frame is a way not taken yet: n from pos on. A run began to try places at first,
// is at pos and ends with last, which is -1 for anything else. Without a node it
// restores the slot pos to last.
type frame struct {
	n                *node
	pos, first, last int32
}

// stack holds the ways not taken yet. The first ones need no memory of their own,
// and a search hardly ever has more.
type stack struct {
	size int
	room [32]frame
	more []frame
}

func (s *stack) push(f frame) {
	if s.size < len(s.room) {
		s.room[s.size] = f
	} else {
		s.more = append(s.more, f)
	}
	s.size++
}

// top returns the last way; there is one.
func (s *stack) top() *frame {
	if s.size <= len(s.room) {
		return &s.room[s.size-1]
	}
	return &s.more[len(s.more)-1]
}

func (s *stack) pop() {
	s.size--
	if s.size >= len(s.room) {
		s.more = s.more[:len(s.more)-1]
	}
}
