package scenarios

import (
	"encoding/binary"
)

const (
	pageBytes  = 64 << 10
	recordHead = 12 // position of the record before, length of the body
	shared     = 1 << 31
	sharedSize = 10
)

// place is where a sample is: a record in the ring of a shard.
type place struct {
	shard uint16
	at    uint64 // 0: none
}

// sample is one of a chain: the body itself, or the place that it shares.
type sample struct {
	body  []byte
	place place
}

// ring holds the samples of one shard in a fixed number of pages; the newest page
// takes the place of the oldest. A record knows the one before it of the same
// bucket. An event that goes into several buckets has its body in the record of the
// first; those of the others say where that is, and have shared in their length.
// Positions only grow, so that one of a page that was overwritten is recognized.
// Position 0 is none.
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
	rec, pos := r.record(prev, len(a)+len(b))
	if pos != 0 {
		binary.LittleEndian.PutUint32(rec[8:], uint32(len(a)+len(b)))
		copy(rec[recordHead:], a)
		copy(rec[recordHead+len(a):], b)
	}
	return pos
}

// share appends a record whose body is elsewhere.
func (r *ring) share(prev uint64, where place) uint64 {
	rec, pos := r.record(prev, sharedSize)
	if pos != 0 {
		binary.LittleEndian.PutUint32(rec[8:], shared|sharedSize)
		binary.LittleEndian.PutUint16(rec[recordHead:], where.shard)
		binary.LittleEndian.PutUint64(rec[recordHead+2:], where.at)
	}
	return pos
}

// record makes room for one with a body of n bytes; position 0 if it does not fit.
func (r *ring) record(prev uint64, n int) ([]byte, uint64) {
	if n += recordHead; n > r.size {
		return nil, 0
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
	r.head += uint64(n)
	return rec, pos
}

// get returns the sample at pos, whose body is in the ring, and the position of the
// record before it; ok is false for one that is overwritten.
func (r *ring) get(pos uint64) (prev uint64, s sample, ok bool) {
	if pos == 0 || pos >= r.head {
		return 0, s, false
	}
	// The page being written is that of the last byte that was.
	now := r.page(r.head - 1)
	if r.page(pos)+uint64(len(r.pages)) <= now {
		return 0, s, false
	}
	rec := r.pages[r.page(pos)%uint64(len(r.pages))][pos%uint64(r.size):]
	n := binary.LittleEndian.Uint32(rec[8:])
	body := rec[recordHead : recordHead+int(n&^shared)]
	if n&shared != 0 {
		s.place = place{binary.LittleEndian.Uint16(body), binary.LittleEndian.Uint64(body[2:])}
	} else {
		s.body = body
	}
	return binary.LittleEndian.Uint64(rec), s, true
}

// last returns copies of the newest n samples of the chain that ends at pos, oldest
// first, with room for one more.
func (r *ring) last(pos uint64, n int) []sample { return new(chain).last(r, pos, n) }

// chain is memory for samples that are of no use any more when the next are taken.
type chain struct {
	list   []sample
	bodies []byte
}

// last is ring.last.
func (c *chain) last(r *ring, pos uint64, n int) []sample {
	count, size := 0, 0
	for at := pos; count < n; count++ {
		prev, s, ok := r.get(at)
		if !ok {
			break
		}
		at, size = prev, size+len(s.body)
	}
	if cap(c.list) <= count {
		c.list = make([]sample, count, count+1)
	}
	if cap(c.bodies) < size {
		c.bodies = make([]byte, 0, size)
	}
	c.list, c.bodies = c.list[:count], c.bodies[:0]
	for i := count - 1; i >= 0; i-- {
		prev, s, _ := r.get(pos)
		if s.place.at == 0 {
			from := len(c.bodies)
			c.bodies = append(c.bodies, s.body...)
			s.body = c.bodies[from:len(c.bodies):len(c.bodies)]
		}
		c.list[i], pos = s, prev
	}
	return c.list
}

// body fetches the body of a sample, which takes the lock of the shard that has it:
// the caller holds none. It may be in room, or not. Nothing means that it was
// overwritten.
func (m *Memory) body(s sample, room []byte) []byte {
	if s.place.at == 0 || int(s.place.shard) >= len(m.shards) {
		return s.body
	}
	sh := &m.shards[s.place.shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, s, _ = sh.ring.get(s.place.at)
	return append(room[:0], s.body...)
}
