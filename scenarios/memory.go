package scenarios

import (
	"cmp"
	"math"
	"slices"
	"strings"
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
	// Overflow is called for every overflow of Pour, Sweep and Flush, without a lock,
	// from the goroutine that called them. It may be nil.
	Overflow func(*Overflow)
}

// Stats are the figures of a Memory. Buckets, Blackholes and the bytes are of now,
// all others count since it was made.
type Stats struct {
	Buckets     int64 `json:"buckets"`    // live ones, with those that have expired but were not swept
	Blackholes  int64 `json:"blackholes"` // keys without a bucket that may not alert yet
	Bytes       int64 `json:"bytes"`      // of buckets, distinct values, events for conditions and samples, estimated
	SampleBytes int64 `json:"sample_bytes"`

	Poured     int64 `json:"poured"`     // events that counted in a bucket or trigger
	Discarded  int64 `json:"discarded"`  // the distinct value was known
	Cancelled  int64 `json:"cancelled"`  // cancel_on emptied the bucket, or there was none
	Overflowed int64 `json:"overflowed"` // handed on
	Blackholed int64 `json:"blackholed"` // overflows within a blackhole
	Filtered   int64 `json:"filtered"`   // overflows that overflow_filter turned down
	Expired    int64 `json:"expired"`    // buckets that were idle for their life
	Evicted    int64 `json:"evicted"`    // buckets and blackholes lost to MaxBuckets or to the room beside them
	Replaced   int64 `json:"replaced"`   // buckets of scenarios that are gone or changed
	Refused    int64 `json:"refused"`    // pours that found no room in the table of scenarios
	Timed      int64 `json:"timed"`      // buckets that reached the end of their duration
	Forgotten  int64 `json:"forgotten"`  // events that a queue of conditions gave up for newer ones
	Failed     int64 `json:"failed"`     // conditions and overflow filters that failed; see Failures
	Unsaved    int64 `json:"unsaved"`    // buckets that no snapshot can hold: their conditions read whole events
}

// maxShards bounds the number of shards, which samples carry.
const maxShards = 1 << 15

// Memory holds the buckets of one node.
type Memory struct {
	shards []shard
	now    func() time.Time
	sink   func(*Overflow)
	serial atomic.Uint64 // tells apart overflows of one key at one instant
	key    atomic.Pointer[hashKey]
	table  atomic.Pointer[table]
	mu     sync.Mutex // of table's writers
	said   atomic.Pointer[Contexts]
	other  struct{ filtered, refused, failed atomic.Int64 }
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
	for n < maxShards && (n*2 <= o.Shards && o.MaxBuckets/(n*2) >= 1024 || o.MaxBuckets/n > mostInOne) {
		n *= 2
	}
	m := &Memory{shards: make([]shard, n), now: o.Now, sink: o.Overflow}
	for i := range m.shards {
		m.shards[i].init(i, o.MaxBuckets/n, o.SampleBytes/int64(n))
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

// Sweep overflows the live buckets whose duration is over at now, and frees buckets
// and blackholes that are over, looking at a sixteenth of all. Buckets of a replay,
// and those that were filled from lines older than their reading, follow the log's
// clock: they overflow or go when nothing was poured into them for ten minutes.
// Call it once a second.
func (m *Memory) Sweep(now time.Time) {
	t := m.table.Load()
	var out []*burst
	for i := range m.shards {
		out = m.shards[i].sweep(instant(now), t, out)
	}
	m.strike(out)
}

// Flush overflows all buckets with a duration as if it were over. It is for the end
// of a replay, after which no event comes that could tell.
func (m *Memory) Flush() {
	t := m.table.Load()
	var out []*burst
	for i := range m.shards {
		sh := &m.shards[i]
		sh.mu.Lock()
		out = sh.ripe(math.MaxInt64, t, out)
		sh.mu.Unlock()
	}
	m.strike(out)
}

// strike hands on what overflowed at its deadline, in the order of the deadlines.
func (m *Memory) strike(list []*burst) {
	slices.SortFunc(list, func(a, b *burst) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.first, b.first),
			strings.Compare(a.scenario.Name, b.scenario.Name), strings.Compare(a.key, b.key))
	})
	for _, b := range list {
		if o := m.conclude(b); o != nil && m.sink != nil {
			m.sink(o)
		}
	}
}

// UseContexts makes c what alerts say from now on; nil: nothing. What samples that
// were made with other contexts lack stays unsaid.
func (m *Memory) UseContexts(c *Contexts) { m.said.Store(c) }

// Failures returns the scenarios whose conditions or overflow filters failed, in
// order of their names. They count as no overflow, and as one that passes.
func (m *Memory) Failures() []Failure {
	t := m.table.Load()
	var out []Failure
	for i, f := range t.faults {
		if one, ok := f.of(t.scenarios[i]); ok {
			out = append(out, one)
		}
	}
	slices.SortFunc(out, byName)
	return out
}

// Stats returns the figures.
func (m *Memory) Stats() Stats {
	var s Stats
	for i := range m.shards {
		m.shards[i].count(&s)
	}
	s.Filtered, s.Refused, s.Failed = m.other.filtered.Load(), m.other.refused.Load(), m.other.failed.Load()
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
