package scenarios

import (
	"container/heap"
	"math"
	"sync"
)

// entry is what one key has: a bucket, a blackhole, or both. It holds no pointer,
// so that the collector need not look at a million of them.
type entry struct {
	key     [16]byte
	level   uint64 // see leak
	last    int64  // instant of the last event that fitted; replay: ns, live: µs
	first   int64  // ns
	touched int64  // ns, of the last pour
	hole    int64  // ns; an overflow before it is discarded
	sample  uint64 // position of the newest sample
	count   uint32
	side    uint32 // number of what there is beside it
	wall    uint32 // seconds since 1970 on our own clock at the last pour
	slot    uint16
	flags   uint16
}

// Flags of an entry.
const (
	used    = 1 << iota // the slab's place is taken
	filled              // there is a bucket
	replay              // it counts with CrowdSec's arithmetic on the log's clock
	late                // its last event was older than its reading
	direct              // all events came straight from the source
	detect              // all events were for sites that only detect
	watched             // and the overflow that began the blackhole was so fed
	laned               // it is one of a lane
)

const (
	entryBytes = 80  // of an entry itself
	chunk      = 128 // entries that are allocated together
	candidates = 8   // entries that are compared to find one to evict
	// idle is how long, in seconds, buckets on the log's clock wait for more.
	idle = 600
	// roomEach is how many bytes of sides there are for each bucket that may be, and
	// roomLeast how many there are at least in a shard.
	roomEach, roomLeast = 128, 1 << 20
)

// shard is a part of the buckets under one lock.
type shard struct {
	mu sync.Mutex
	// turn is held by a pour into a bucket with conditions from the moment in which
	// the event is appended until its conditions have been asked and the bucket has
	// overflowed or not. Conditions are programs: they run without mu, so that other
	// pours and requests never wait for one, and still each is asked of exactly the
	// events up to its own, as if there were one goroutine. A lock for each bucket
	// would cost memory in a million of them, and a retry when the bucket has changed
	// meanwhile would run the program again. turn is taken before mu.
	turn   sync.Mutex
	index  keymap
	slab   slab
	size   int // entries in the slab
	free   []uint32
	sides  sides
	timers timers
	ring   ring
	max    int
	room   int64
	hand   int // where eviction looks next
	broom  int // where sweeping looks next
	filled int64
	number uint16
	stats  Stats
}

func (sh *shard) init(number, buckets int, samples int64) {
	sh.number = uint16(number)
	sh.max = min(max(buckets, 1), mostInOne)
	sh.ring = newRing(samples)
	sh.room = max(int64(sh.max)*roomEach, roomLeast)
}

func (sh *shard) at(n uint32) *entry { return sh.slab.at(n) }

// slab holds entries in chunks, so that they stay where they are.
type slab [][]entry

func (s slab) at(n uint32) *entry { return &s[n/chunk][n%chunk] }

func (sh *shard) find(key *[16]byte) *entry {
	n, ok := sh.index.find(key, &sh.slab)
	if !ok {
		return nil
	}
	return sh.at(n)
}

// add makes an entry for key, which has none.
func (sh *shard) add(key *[16]byte, slot uint16) *entry {
	for sh.index.n >= sh.max {
		sh.evict(nil, false)
	}
	var n uint32
	if last := len(sh.free) - 1; last >= 0 {
		n, sh.free = sh.free[last], sh.free[:last]
	} else {
		if sh.size%chunk == 0 {
			sh.slab = append(sh.slab, make([]entry, chunk))
		}
		n = uint32(sh.size)
		sh.size++
	}
	e := sh.at(n)
	*e = entry{key: *key, slot: slot, flags: used, hole: math.MinInt64}
	sh.index.add(key, n, &sh.slab)
	return e
}

// spill ends the bucket of e; a blackhole stays.
func (sh *shard) spill(e *entry) {
	if e.side != 0 {
		if t := sh.sides.at(e.side).timer; t != nil {
			heap.Remove(&sh.timers, t.place)
		}
		sh.sides.remove(e.side)
	}
	e.side, e.sample, e.count = 0, 0, 0
	e.flags &= used | replay | late | watched
	sh.filled--
}

// release gives up the entry.
func (sh *shard) release(e *entry) {
	if e.flags&filled != 0 {
		sh.spill(e)
	}
	n, _ := sh.index.find(&e.key, &sh.slab)
	sh.index.remove(&e.key, &sh.slab)
	*e = entry{}
	sh.free = append(sh.free, n)
	if sh.index.n == 0 {
		sh.clear()
	}
}

// clear returns the memory of a shard that has run empty.
func (sh *shard) clear() {
	sh.index = keymap{}
	sh.slab, sh.free, sh.size = nil, nil, 0
	sh.sides, sh.timers = sides{}, nil
	sh.hand, sh.broom = 0, 0
}

// evict gives up the entry that was touched longest ago among a few, going round
// the slab, but not spare; with sided only one that has a side. It looks at a
// bounded number of entries.
func (sh *shard) evict(spare *entry, sided bool) {
	var oldest *entry
	for looked := 0; looked < candidates || oldest == nil && looked < sh.size; looked++ {
		if sh.hand >= sh.size {
			sh.hand = 0
		}
		e := sh.at(uint32(sh.hand))
		sh.hand++
		if e.flags&used == 0 || e == spare || sided && e.side == 0 {
			continue
		}
		if oldest == nil || e.touched < oldest.touched {
			oldest = e
		}
	}
	if oldest != nil {
		sh.stats.Evicted++
		sh.release(oldest)
	}
}

// trim evicts until the sides fit, but not keep.
func (sh *shard) trim(keep *entry) {
	for sh.sides.bytes > sh.room && len(sh.sides.all)-len(sh.sides.free) > 1 {
		sh.evict(keep, true)
	}
}

// sweep looks at all deadlines and a sixteenth of the slab; it appends what
// overflows.
func (sh *shard) sweep(now int64, t *table, out []*burst) []*burst {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	out = sh.ripe(now, t, out)
	sh.brush(func(e *entry) { sh.dust(e, now, t) })
	return out
}

// brush goes on around the slab, through a sixteenth of it. What it visits may be
// released.
func (sh *shard) brush(visit func(*entry)) {
	for range sh.size/16 + min(sh.size, chunk) {
		if sh.size == 0 {
			return // what was released was the last
		}
		if sh.broom >= sh.size {
			sh.broom = 0
		}
		e := sh.at(uint32(sh.broom))
		sh.broom++
		if e.flags&used != 0 {
			visit(e)
		}
	}
}

func (sh *shard) dust(e *entry, now int64, t *table) {
	onLogClock := e.flags&(replay|late) != 0
	if onLogClock && now/1e9-int64(e.wall) <= idle {
		return
	}
	if e.flags&filled != 0 {
		if e.side != 0 && sh.sides.at(e.side).timer != nil {
			return // it has a deadline instead
		}
		life := int64(0)
		if int(e.slot) < len(t.scenarios) {
			life = int64(t.scenarios[e.slot].life)
		}
		if !onLogClock && now <= later(e.touched, life) {
			return
		}
		sh.spill(e)
		sh.stats.Expired++
	}
	if onLogClock || e.hole <= now {
		sh.release(e)
	}
}

// purge gives up the entries of scenarios that are gone, by their number.
func (sh *shard) purge(gone []bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for n := range sh.size {
		// Releasing the last entry empties the slab.
		if n >= sh.size {
			return
		}
		e := sh.at(uint32(n))
		if e.flags&used != 0 && int(e.slot) < len(gone) && gone[e.slot] {
			if e.flags&filled != 0 {
				sh.stats.Replaced++
			}
			sh.release(e)
		}
	}
}

func (sh *shard) count(s *Stats) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.Buckets += sh.filled
	s.Blackholes += int64(sh.index.n) - sh.filled
	s.SampleBytes += sh.ring.bytes
	s.Bytes += int64(len(sh.slab))*chunk*entryBytes + int64(len(sh.index.slots))*4 + sh.sides.bytes + sh.ring.bytes
	s.Poured += sh.stats.Poured
	s.Discarded += sh.stats.Discarded
	s.Cancelled += sh.stats.Cancelled
	s.Overflowed += sh.stats.Overflowed
	s.Blackholed += sh.stats.Blackholed
	s.Expired += sh.stats.Expired
	s.Evicted += sh.stats.Evicted
	s.Replaced += sh.stats.Replaced
	s.Timed += sh.stats.Timed
	s.Forgotten += sh.stats.Forgotten
	s.Unsaved += sh.stats.Unsaved
}
