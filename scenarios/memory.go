package scenarios

import (
	"sync"
	"sync/atomic"
	"time"
)

// MemoryOptions are the bounds of a Memory; zero fields take their default.
type MemoryOptions struct {
	// MaxBuckets bounds buckets and blackholes together, default 1,000,000. Above
	// it, those that were poured into longest ago make way, and are counted.
	MaxBuckets int
	// SampleBytes bounds the samples of all buckets together, default 64 MiB;
	// negative: only the overflowing event itself is kept.
	SampleBytes int64
	// Shards is how many locks there are, a power of two, default 64; fewer are
	// made where MaxBuckets is small.
	Shards int
	Now    func() time.Time
	// Overflow is called for every overflow of Pour, without a lock, from the
	// goroutine that poured. It may be nil.
	Overflow func(*Overflow)
}

// Stats are the figures of a Memory. Buckets, Blackholes and the bytes are of now,
// all others count since it was made.
type Stats struct {
	Buckets     int64 `json:"buckets"`    // live ones, with those that have expired but were not swept
	Blackholes  int64 `json:"blackholes"` // keys without a bucket that may not alert yet
	Bytes       int64 `json:"bytes"`      // of buckets, distinct values and samples, estimated
	SampleBytes int64 `json:"sample_bytes"`

	Poured     int64 `json:"poured"`     // events that counted in a bucket or trigger
	Discarded  int64 `json:"discarded"`  // the distinct value was known
	Cancelled  int64 `json:"cancelled"`  // cancel_on emptied the bucket, or there was none
	Overflowed int64 `json:"overflowed"` // handed on
	Blackholed int64 `json:"blackholed"` // overflows within a blackhole
	Filtered   int64 `json:"filtered"`   // overflows that overflow_filter turned down
	Expired    int64 `json:"expired"`    // buckets that were idle for their life
	Evicted    int64 `json:"evicted"`    // buckets and blackholes lost to MaxBuckets or to the room for values
	Replaced   int64 `json:"replaced"`   // buckets of scenarios that are gone or changed
	Refused    int64 `json:"refused"`    // pours that found no room in the table of scenarios
}

// Memory holds the buckets of one node.
type Memory struct {
	shards []shard
	now    func() time.Time
	sink   func(*Overflow)
	serial atomic.Uint64 // tells apart overflows of one key at one instant
	key    atomic.Pointer[hashKey]
	table  atomic.Pointer[table]
	mu     sync.Mutex // of table's writers
	other  struct{ filtered, refused atomic.Int64 }
	pool   sync.Pool // *pour
}

// NewMemory makes an empty Memory.
func NewMemory(o MemoryOptions) *Memory {
	if o.MaxBuckets <= 0 {
		o.MaxBuckets = 1_000_000
	}
	if o.SampleBytes == 0 {
		o.SampleBytes = 64 << 20
	}
	if o.Shards <= 0 {
		o.Shards = 64
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	n := 1
	// A shard with few buckets would be full long before the others are.
	for n*2 <= o.Shards && o.MaxBuckets/(n*2) >= 1024 || o.MaxBuckets/n > mostInOne {
		n *= 2
	}
	m := &Memory{shards: make([]shard, n), now: o.Now, sink: o.Overflow}
	for i := range m.shards {
		m.shards[i].init(o.MaxBuckets/n, o.SampleBytes/int64(n))
	}
	k := newHashKey()
	m.key.Store(&k)
	m.table.Store(&table{index: map[[16]byte]uint16{}})
	return m
}

func (m *Memory) shard(key *[16]byte) *shard {
	return &m.shards[int(key[15])&(len(m.shards)-1)|int(key[14])<<8&(len(m.shards)-1)]
}

// Use makes r the rules in force: buckets of scenarios whose fingerprint is among
// them live on, the others go. Drops of the old rules that are still under way do
// no harm.
func (m *Memory) Use(r *Rules) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.table.Load()
	next, gone := old.with(r)
	m.table.Store(next)
	for i := range m.shards {
		m.shards[i].purge(gone)
	}
	// Numbers that were already out of use before this call have no drop under way
	// any more.
	m.table.Store(next.reclaim(old))
}

// Sweep frees live buckets and blackholes that are over at now, looking at a
// sixteenth of all. Buckets of a replay, and those that were filled from lines
// older than their reading, follow the log's clock: they go when nothing was
// poured into them for ten minutes.
func (m *Memory) Sweep(now time.Time) {
	t := m.table.Load()
	for i := range m.shards {
		m.shards[i].sweep(instant(now), t.lives)
	}
}

// Stats returns the figures.
func (m *Memory) Stats() Stats {
	var s Stats
	for i := range m.shards {
		m.shards[i].count(&s)
	}
	s.Filtered, s.Refused = m.other.filtered.Load(), m.other.refused.Load()
	return s
}

// slot returns the number of a scenario, giving it one when it is new.
func (m *Memory) slot(s *Scenario) (uint16, bool) {
	if n, ok := m.table.Load().index[s.id]; ok {
		return n, true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.table.Load()
	if n, ok := t.index[s.id]; ok {
		return n, true
	}
	next, n, ok := t.clone().add(s)
	if ok {
		m.table.Store(next)
	}
	return n, ok
}
