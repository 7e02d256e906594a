package scenarios

import "encoding/binary"

const (
	pageBytes  = 64 << 10
	recordHead = 12 // position of the record before, length of the body
)

// ring holds the samples of one shard in a fixed number of pages; the newest page
// takes the place of the oldest. A record knows the one before it of the same
// bucket. Positions only grow, so that one of a page that was overwritten is
// recognized. Position 0 is none.
type ring struct {
	pages [][]byte // made when first written
	size  int      // of a page
	head  uint64   // where the next record goes
	bytes int64    // in pages that were made
}

// newRing makes a ring of at most budget bytes; one too small holds nothing.
func newRing(budget int64) ring {
	size := min(max(budget/8, 1<<10), pageBytes)
	n := budget / size
	if budget <= 0 || n == 0 {
		return ring{}
	}
	return ring{pages: make([][]byte, n), size: int(size), head: uint64(size)}
}

func (r *ring) page(pos uint64) uint64 { return pos / uint64(r.size) }

// put appends a record whose body is a and b and returns its position, 0 if it
// does not fit.
func (r *ring) put(prev uint64, a, b []byte) uint64 {
	n := recordHead + len(a) + len(b)
	if n > r.size {
		return 0
	}
	if left := uint64(r.size) - r.head%uint64(r.size); left < uint64(n) {
		r.head += left
	}
	slot := r.page(r.head) % uint64(len(r.pages))
	if r.pages[slot] == nil {
		r.pages[slot] = make([]byte, r.size)
		r.bytes += int64(r.size)
	}
	pos := r.head
	rec := r.pages[slot][pos%uint64(r.size):]
	binary.LittleEndian.PutUint64(rec, prev)
	binary.LittleEndian.PutUint32(rec[8:], uint32(len(a)+len(b)))
	copy(rec[recordHead:], a)
	copy(rec[recordHead+len(a):], b)
	r.head += uint64(n)
	return pos
}

// get returns the body at pos, valid until the next put, and the position of the
// record before it; ok is false for one that is overwritten.
func (r *ring) get(pos uint64) (prev uint64, body []byte, ok bool) {
	if pos == 0 || pos >= r.head {
		return 0, nil, false
	}
	// The page being written is that of the last byte that was.
	now := r.page(r.head - 1)
	if r.page(pos)+uint64(len(r.pages)) <= now {
		return 0, nil, false
	}
	rec := r.pages[r.page(pos)%uint64(len(r.pages))][pos%uint64(r.size):]
	n := binary.LittleEndian.Uint32(rec[8:])
	return binary.LittleEndian.Uint64(rec), rec[recordHead : recordHead+int(n)], true
}

// last returns copies of the newest n bodies of the chain that ends at pos,
// oldest first.
func (r *ring) last(pos uint64, n int) [][]byte {
	var bodies [][]byte
	for len(bodies) < n {
		prev, body, ok := r.get(pos)
		if !ok {
			break
		}
		bodies = append(bodies, append([]byte(nil), body...))
		pos = prev
	}
	for i, j := 0, len(bodies)-1; i < j; i, j = i+1, j-1 {
		bodies[i], bodies[j] = bodies[j], bodies[i]
	}
	return bodies
}
