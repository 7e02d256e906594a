package scenarios

import "slices"

const (
	// maxDistinct is how many values one bucket remembers; the oldest make way.
	maxDistinct = 10_000
	// listed is how many values are searched one by one before a map is made.
	listed = 32
)

// values is the set of distinct values of one bucket, as keyed 64-bit hashes in
// order of arrival.
type values struct {
	list   []uint64
	index  map[uint64]struct{} // nil while the list is short
	oldest int                 // what is replaced next in a full list
}

func (v *values) has(h uint64) bool {
	if v.index != nil {
		_, ok := v.index[h]
		return ok
	}
	return slices.Contains(v.list, h)
}

// add stores a value that is not there and returns by how many bytes it grew.
func (v *values) add(h uint64) int64 {
	if len(v.list) >= maxDistinct {
		delete(v.index, v.list[v.oldest])
		v.list[v.oldest] = h
		v.index[h] = struct{}{}
		v.oldest = (v.oldest + 1) % len(v.list)
		return 0
	}
	before := v.bytes()
	v.list = append(v.list, h)
	switch {
	case v.index != nil:
		v.index[h] = struct{}{}
	case len(v.list) > listed:
		v.index = make(map[uint64]struct{}, 2*listed)
		for _, x := range v.list {
			v.index[x] = struct{}{}
		}
	}
	return v.bytes() - before
}

// bytes estimates what the set occupies.
func (v *values) bytes() int64 {
	n := int64(cap(v.list)) * 8
	if v.index != nil {
		n += int64(len(v.index)) * 16
	}
	return n
}
