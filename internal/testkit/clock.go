package testkit

import (
	"sync/atomic"
	"time"
)

// Clock is a time that a test moves. It is safe for concurrent use.
type Clock struct{ ns atomic.Int64 }

// NewClock returns a clock that stands at an instant.
func NewClock(at time.Time) *Clock {
	c := &Clock{}
	c.ns.Store(at.UnixNano())
	return c
}

// Now is the clock's time, in UTC.
func (c *Clock) Now() time.Time { return time.Unix(0, c.ns.Load()).UTC() }

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) { c.ns.Add(int64(d)) }
