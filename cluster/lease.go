package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	leaseFor = 5 * time.Second
	// leaseMargin is what a node believes less than Redis grants: the clocks of the
	// two may run at different speed.
	leaseMargin = 500 * time.Millisecond
)

//go:embed lease.lua
var leaseSource string

// Lease is a right that one node at a time has, of those that want it. It is taken as
// soon as it is free and renewed in the background. By Redis' clock no two nodes hold it; when Redis
// itself forgets (a fail-over that loses the last writes), the node that held it
// stops to believe so as soon as it notices that Redis was away.
type Lease struct {
	c      *Client
	name   string
	wanted func() bool // nil: always
	// until is how long it is held, in ns of the client's clock since its start; falls
	// is how often Redis had been lost when it was granted.
	until atomic.Int64
	falls atomic.Int64
}

// leases are those of a client.
type leases struct {
	mu     sync.Mutex
	list   []*Lease
	wake   chan struct{}
	script *script
}

// Lease returns the lease with that name: letters, digits and dashes. It is taken
// and renewed until the client is closed.
func (c *Client) Lease(name string) *Lease { return c.LeaseWhile(name, nil) }

// LeaseWhile returns the lease with that name, which is taken and renewed while wanted
// says so, and then given back. It is asked about once a second, from the time of this
// call on, by another goroutine. Whoever was first to ask for a name says when it is
// wanted.
func (c *Client) LeaseWhile(name string, wanted func() bool) *Lease {
	c.leases.mu.Lock()
	defer c.leases.mu.Unlock()
	for _, l := range c.leases.list {
		if l.name == name {
			return l
		}
	}
	l := &Lease{c: c, name: name, wanted: wanted}
	c.leases.list = append(c.leases.list, l)
	poke(c.leases.wake)
	return l
}

// Held reports whether this node has the lease now.
func (l *Lease) Held() bool {
	return l.c.Up() && l.falls.Load() == l.c.health.falls.Load() && l.c.elapsed() < time.Duration(l.until.Load())
}

func (l *Lease) key() string { return l.c.key("{j}", "lease", l.name) }

// tend takes or renews it where it is wanted, and gives it back where it is not.
func (l *Lease) tend(ctx context.Context) error {
	switch {
	case l.wanted == nil || l.wanted():
		return l.renew(ctx)
	case l.until.Load() != 0:
		return l.release(ctx)
	}
	return nil
}

// renew takes or renews it. The time is counted from before the call, so that Redis
// never gives it to another while it is believed to be held here.
func (l *Lease) renew(ctx context.Context) error {
	sent, falls := l.c.elapsed(), l.c.health.falls.Load()
	v, err := l.c.leases.script.Run(ctx, []string{l.key()}, l.c.owner(), leaseFor.Milliseconds())
	if err != nil {
		return fmt.Errorf("renewing lease %s (key %s): %w", l.name, l.key(), err)
	}
	if v != int64(1) {
		l.until.Store(0)
		return nil
	}
	l.falls.Store(falls)
	l.until.Store(int64(sent + leaseFor - leaseMargin))
	return nil
}

// release gives it back.
func (l *Lease) release(ctx context.Context) error {
	l.until.Store(0)
	if _, err := l.c.leases.script.Run(ctx, []string{l.key()}, l.c.owner(), 0); err != nil {
		return fmt.Errorf("releasing lease %s: %w", l.name, err)
	}
	return nil
}

// all is the list as it is now.
func (l *leases) all() []*Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list[:len(l.list):len(l.list)]
}
