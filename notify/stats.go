package notify

import (
	"sync"
	"time"
)

// Stats is how one receiver fares since it was first used. Sent, Failed and Empty
// count messages, the others alerts.
type Stats struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Waiting  int    `json:"waiting"`  // in its queue, or under way
	Untold   int    `json:"untold"`   // that the next digest will tell of
	Sent     uint64 `json:"sent"`     // digests and tests too
	Failed   uint64 `json:"failed"`   // given up, or not to be rendered
	Empty    uint64 `json:"empty"`    // the template made nothing of them, and nothing was sent
	Retried  uint64 `json:"retried"`  // tries after the first of a message
	Dropped  uint64 `json:"dropped"`  // found the queue full, or were left when it ended
	Digested uint64 `json:"digested"` // exceeded the rate

	LastSent    time.Time `json:"last_sent,omitzero"`
	LastError   string    `json:"last_error,omitempty"` // without addresses, which may hold secrets
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

// figures are the Stats of a receiver that runs.
type figures struct {
	mu sync.Mutex
	s  Stats
}

// note changes them.
func (f *figures) note(change func(*Stats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.s)
}

func (f *figures) get() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.s
}

func (f *figures) failed(err error, at time.Time) {
	f.note(func(s *Stats) { s.Failed, s.LastError, s.LastErrorAt = s.Failed+1, err.Error(), at })
}

func (f *figures) sent(at time.Time) {
	f.note(func(s *Stats) { s.Sent, s.LastSent = s.Sent+1, at })
}
