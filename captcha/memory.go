package captcha

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

const (
	memoryShards = 16
	// maxBurnt bounds the spent tokens held, at some 40 bytes each.
	maxBurnt = 1 << 20
	// maxRates bounds the rate counters of one generation in one shard; there
	// are two generations, so 131,072 in all.
	maxRates = 4096
)

// Memory is the Store of a single node. It is safe for concurrent use.
type Memory struct {
	now     func() time.Time
	seed    maphash.Seed
	burns   [memoryShards]burnShard
	rates   [memoryShards]rateShard
	limit   int64
	held    atomic.Int64
	full    atomic.Int64
	evicted atomic.Int64
}

// burnShard keeps spent ids by the minute in which they expire, so that
// forgetting is dropping whole minutes.
type burnShard struct {
	mu      sync.Mutex
	minutes map[int64]map[[16]byte]struct{}
	swept   int64 // the minute up to which expired ones are gone
}

// rateShard keeps counters in two generations. When the young one is full it
// becomes the old one, and those not used since the last change are forgotten.
type rateShard struct {
	mu         sync.Mutex
	young, old map[string]int64
}

// NewMemory returns an empty Memory; a nil clock is time.Now.
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{now: now, seed: maphash.MakeSeed(), limit: maxBurnt}
}

// Burn implements Store.
func (m *Memory) Burn(_ context.Context, id [16]byte, expires time.Time) (bool, error) {
	minute, current := expires.Unix()/60, m.now().Unix()/60
	if minute < current {
		return false, nil // its minute may have been dropped already
	}
	if m.held.Load() >= m.limit {
		for i := range m.burns {
			m.sweep(&m.burns[i], current)
		}
		if m.held.Load() >= m.limit {
			m.full.Add(1)
			return false, ErrStoreFull
		}
	}
	s := &m.burns[id[0]%memoryShards]
	m.sweep(s, current)
	s.mu.Lock()
	defer s.mu.Unlock()
	if minute < s.swept {
		return false, nil
	}
	ids := s.minutes[minute]
	if _, spent := ids[id]; spent {
		return false, nil
	}
	if ids == nil {
		ids = make(map[[16]byte]struct{})
		if s.minutes == nil {
			s.minutes = make(map[int64]map[[16]byte]struct{})
		}
		s.minutes[minute] = ids
	}
	ids[id] = struct{}{}
	m.held.Add(1)
	return true, nil
}

func (m *Memory) sweep(s *burnShard, current int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.swept >= current {
		return
	}
	s.swept = current
	for minute, ids := range s.minutes {
		if minute < current {
			m.held.Add(-int64(len(ids)))
			delete(s.minutes, minute)
		}
	}
}

// Allow implements Store.
func (m *Memory) Allow(_ context.Context, key string, period time.Duration, burst int) (bool, time.Duration) {
	now := m.now().UnixNano()
	var retry time.Duration
	m.set(key, now, func(full int64) int64 {
		full, retry = rate{period, burst}.take(full, now)
		return full
	})
	return retry == 0, retry
}

// Raise is told by those who share the counters that the bucket named key will be
// full at that instant, in ns since 1970, and not earlier: tokens were taken
// elsewhere.
func (m *Memory) Raise(key string, full int64) {
	now := m.now().UnixNano()
	if full <= now {
		return
	}
	m.set(key, now, func(ours int64) int64 { return max(ours, full) })
}

// set replaces the instant at which the bucket named key is full, 0 if unknown.
func (m *Memory) set(key string, now int64, change func(full int64) int64) {
	s := &m.rates[maphash.String(m.seed, key)%memoryShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	full, known := s.young[key]
	if !known {
		full = s.old[key]
		delete(s.old, key)
	}
	next := change(full)
	if !known && len(s.young) >= maxRates {
		m.turn(s, now)
	}
	if s.young == nil {
		s.young = make(map[string]int64)
	}
	s.young[key] = next
}

// turn starts a new generation and counts the counters that were forgotten
// before they were back at full.
func (m *Memory) turn(s *rateShard, now int64) {
	for key, full := range s.old {
		if _, alive := s.young[key]; !alive && full > now {
			m.evicted.Add(1)
		}
	}
	s.old, s.young = s.young, make(map[string]int64)
}

// Stats counts what is held and what was refused or forgotten.
func (m *Memory) Stats() map[string]int64 {
	return map[string]int64{
		"burnt_held": m.held.Load(), "burnt_full": m.full.Load(), "rates_evicted": m.evicted.Load(),
	}
}
