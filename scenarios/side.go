package scenarios

// side is what some buckets have beside their entry: distinct values, events for
// conditions, a deadline.
type side struct {
	values  values
	queue   *queue // nil: no condition looks at the events
	timer   *timer // nil: the bucket has no deadline
	tripped uint64 // guillotines of a bayesian network that have fallen
}

const sideSize = 64

func (s *side) bytes() int64 {
	n := int64(sideSize) + s.values.bytes()
	if s.queue != nil {
		n += s.queue.bytes()
	}
	if s.timer != nil {
		n += s.timer.bytes()
	}
	return n
}

// sides are those of a shard. Entries name theirs by number, so that they hold no
// pointer and the collector need not look at them. Number 0 is none.
type sides struct {
	all   []side
	free  []uint32
	bytes int64
}

// at returns side n, valid until the next is made.
func (s *sides) at(n uint32) *side { return &s.all[n-1] }

// known reports whether side n has the distinct value h.
func (s *sides) known(n uint32, h uint64) bool { return n != 0 && s.at(n).values.has(h) }

// of returns the side of an entry, and makes it where there is none.
func (s *sides) of(e *entry) *side {
	if e.side == 0 {
		if last := len(s.free) - 1; last >= 0 {
			e.side, s.free = s.free[last], s.free[:last]
		} else {
			s.all = append(s.all, side{})
			e.side = uint32(len(s.all))
		}
		s.bytes += sideSize
	}
	return s.at(e.side)
}

// remove gives up side n.
func (s *sides) remove(n uint32) {
	sd := s.at(n)
	s.bytes -= sd.bytes()
	*sd = side{}
	s.free = append(s.free, n)
}
