package decisions

import "slices"

// scanChunk is how many records are looked at before writers get their turn.
const scanChunk = 64 * slabSize

// narrow looks for what matches s by the narrowest index that there is; if there is
// none, it returns how many slots there are to be scanned. The caller holds mu.
func (b *Book) narrow(s *search, hits *lowest) (slots int32) {
	s.renew(b.index.names)
	take := func(r *record) {
		if s.matches(b.index, r) {
			hits.add(r.id)
		}
	}
	switch {
	case s.ids != nil:
		for _, id := range s.ids {
			r := b.index.byNumber(id)
			if r == nil && !b.fleet.moved.At.IsZero() { // an id from before the node joined a fleet
				r = b.index.byNumber(b.fleet.moved.of(id, b.fleet.moved.At))
			}
			if r != nil {
				take(r)
			}
		}
	case s.value != "":
		for r := range b.index.against(s.valueKey) {
			take(r)
		}
	case s.prefix.IsValid() && (!s.within || s.prefix.IsSingleIP()):
		b.index.covering(s.prefix, take)
	default:
		return b.index.records.used
	}
	return 0
}

// scan looks at the records from a slot on, and returns where to go on. It walks
// them as they lie in memory: by way of the ids it would take ten times as long.
func (b *Book) scan(s *search, hits *lowest, from int32) (next int32) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s.renew(b.index.names)
	x := b.index
	next = min(from+scanChunk, x.records.used)
	for slot := from; slot < next; {
		piece := x.records.pieces[slot/slabSize]
		upTo := min(next, (slot/slabSize+1)*slabSize)
		for i := slot % slabSize; slot < upTo; i, slot = i+1, slot+1 {
			if r := &piece[i]; s.matches(x, r) {
				hits.add(r.id)
			}
		}
	}
	if next >= x.records.used {
		return maxSlot
	}
	return next
}

const maxSlot = 1<<31 - 1

// lowest keeps the lowest ids of those it is given.
type lowest struct {
	most int
	ids  []int64
	bar  int64 // higher ones need not come; 0: none yet
}

func (l *lowest) add(id int64) {
	if l.bar != 0 && id >= l.bar {
		return
	}
	if l.ids = append(l.ids, id); len(l.ids) >= 2*l.most {
		l.cut()
	}
}

func (l *lowest) cut() {
	slices.Sort(l.ids)
	l.ids = slices.Compact(l.ids) // a record that went and came back
	if len(l.ids) >= l.most {
		l.ids = l.ids[:l.most]
		if l.most > 0 {
			l.bar = l.ids[l.most-1]
		}
	}
}

// sorted are the ids that are left, ascending.
func (l *lowest) sorted() []int64 {
	l.cut()
	return l.ids
}
