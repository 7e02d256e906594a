package scenarios

import (
	"encoding/binary"
	"slices"
	"sync"
)

const (
	evidenceHead = 28 // of a record's body: key, generation, number
	// chainSize is what the index takes for one bucket.
	chainSize = 64
)

// Kept is one sample of a bucket: that of its event number N, the first being 1.
type Kept struct {
	N      uint32
	Sample []byte
}

// Evidence keeps the samples of buckets that are kept elsewhere: those of the events
// that this node saw. When a bucket overflows, whoever concludes it asks the nodes
// that fed it. Its memory is bounded; the newest sample takes the place of the
// oldest, whosever that is. It is safe for concurrent use.
//
// A bucket is named by its key and its generation, the instant of its first event.
// One that overflows and begins anew within one microsecond has the same name
// again: a number that is not above the one before it begins a new list.
type Evidence struct {
	mu    sync.Mutex
	ring  ring
	page  uint64 // that is written to
	ends  []int  // of each page: how much of it is written
	index map[chainKey]link
	most  int // entries of index
}

type chainKey struct {
	key [16]byte
	gen int64
}

// link is the newest record of a chain.
type link struct {
	at uint64
	n  uint32
}

// NewEvidence makes one of at most so many bytes; one too small keeps nothing.
func NewEvidence(bytes int64) *Evidence {
	e := &Evidence{ring: newRing(bytes * 4 / 5), index: map[chainKey]link{}, most: int(max(bytes/5/chainSize, 0))}
	e.ends = make([]int, len(e.ring.pages))
	return e
}

// Put keeps the sample of event n of a bucket. Numbers of one bucket come in
// ascending order.
func (e *Evidence) Put(key [16]byte, gen int64, n uint32, sample []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	size := recordHead + evidenceHead + len(sample)
	if len(sample) == 0 || size > e.ring.size || e.most == 0 {
		return
	}
	if e.ring.page(e.ring.head+uint64(size)-1) != e.page {
		e.turn()
	}
	k := chainKey{key, gen}
	before, known := e.index[k]
	for ; !known && len(e.index) >= e.most; before, known = e.index[k] {
		e.turn()
	}
	if known && n <= before.n {
		before.at = 0
	}
	rec, at := e.ring.record(before.at, evidenceHead+len(sample))
	binary.LittleEndian.PutUint32(rec[8:], uint32(evidenceHead+len(sample)))
	body := rec[recordHead:]
	copy(body, key[:])
	binary.LittleEndian.PutUint64(body[16:], uint64(gen))
	binary.LittleEndian.PutUint32(body[24:], n)
	copy(body[evidenceHead:], sample)
	e.ends[e.slot(at)] = int(at%uint64(e.ring.size)) + size
	e.index[k] = link{at, n}
}

func (e *Evidence) slot(at uint64) uint64 { return e.ring.page(at) % uint64(len(e.ring.pages)) }

// turn goes on to the next page. Buckets whose newest sample is in what was written
// there before are forgotten.
func (e *Evidence) turn() {
	size := uint64(e.ring.size)
	e.page++
	e.ring.head = e.page * size
	slot := e.slot(e.ring.head)
	old := e.ring.head - uint64(len(e.ring.pages))*size
	for from := 0; from < e.ends[slot]; {
		rec := e.ring.pages[slot][from:]
		k := chainKey{gen: int64(binary.LittleEndian.Uint64(rec[recordHead+16:]))}
		copy(k.key[:], rec[recordHead:])
		if e.index[k].at == old+uint64(from) {
			delete(e.index, k)
		}
		from += recordHead + int(binary.LittleEndian.Uint32(rec[8:]))
	}
	e.ends[slot] = 0
}

// Newest returns the newest samples of a bucket up to event upTo, at most limit,
// oldest first. The caller may keep them.
func (e *Evidence) Newest(key [16]byte, gen int64, upTo uint32, limit int) []Kept {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Kept
	for at := e.index[chainKey{key, gen}].at; len(out) < limit; {
		prev, s, ok := e.ring.get(at)
		if !ok || len(s.body) < evidenceHead {
			break
		}
		if n := binary.LittleEndian.Uint32(s.body[24:]); n <= upTo {
			out = append(out, Kept{n, slices.Clone(s.body[evidenceHead:])})
		}
		at = prev
	}
	slices.Reverse(out)
	return out
}

// Bytes estimates the memory in use.
func (e *Evidence) Bytes() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ring.bytes + int64(len(e.index))*chainSize
}
