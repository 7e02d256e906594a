package localapi

import (
	"crypto/rand"
	"sync/atomic"
)

// maxWaiting bounds the calls that wait for news. Each holds a channel and a timer.
const maxWaiting = 512

// streams is what the streams of decisions have in common.
type streams struct {
	epoch   string // of the cursors made since New
	waiting atomic.Int32
}

func newStreams() *streams { return &streams{epoch: rand.Text()} }

// enter reports whether one more call may wait; then it has to leave.
func (s *streams) enter() bool {
	if s.waiting.Add(1) <= maxWaiting {
		return true
	}
	s.leave()
	return false
}

func (s *streams) leave() { s.waiting.Add(-1) }
