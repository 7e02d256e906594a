package captcha

import (
	"sync"
	"time"
)

// meter is this node's own token bucket, for work that costs its CPU no matter
// who asked for it.
type meter struct {
	rate rate
	now  func() time.Time
	mu   sync.Mutex
	full int64
}

func (m *meter) take() (ok bool, retry time.Duration) {
	now := m.now().UnixNano()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.full, retry = m.rate.take(m.full, now)
	return retry == 0, retry
}
