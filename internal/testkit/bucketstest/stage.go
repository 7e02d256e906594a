package bucketstest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/scenarios"
)

// stage is the clock of a case and where its overflows go. Buckets may use both from
// goroutines of their own.
type stage struct {
	t    testing.TB
	mu   sync.Mutex
	at   time.Time
	seen []Seen
	ids  map[string]bool
}

func newStage(t testing.TB) *stage { return &stage{t: t, at: Start, ids: map[string]bool{}} }

func (s *stage) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *stage) set(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
}

// sink takes an overflow; none may have the ID of another.
func (s *stage) sink(o *scenarios.Overflow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, See(o))
	if s.ids[o.ID] {
		s.t.Errorf("two overflows have the id %s", o.ID)
	}
	s.ids[o.ID] = true
}

// list is what was seen so far.
func (s *stage) list() []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}
