package appliance

import (
	"sync/atomic"

	"github.com/rampart-edge/rampart/engine"
)

// counters are those of the node, for status and metrics. They only grow.
type counters struct {
	engine    engine.Counters
	unknown   atomic.Int64 // requests without a client address
	passed    atomic.Int64 // requests let through
	dropped   atomic.Int64 // events dropped because the queue was full
	panics    atomic.Int64 // events lost to a fault of ours
	closed    atomic.Int64 // connections closed before a word was said
	banned    atomic.Int64 // 403
	throttled atomic.Int64 // 429
	responded atomic.Int64 // challenges and reserved paths
}

func newCounters() *counters { return &counters{} }

func (c *counters) refused(a Action) {
	switch a {
	case Refuse:
		c.banned.Add(1)
	case Throttle:
		c.throttled.Add(1)
	case Respond:
		c.responded.Add(1)
	}
}
