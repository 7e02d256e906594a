package cluster

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// secret is what all nodes of tests name their buckets with.
var secret = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

// node is a node's buckets in a test.
type node struct {
	*Buckets
	local *scenarios.Memory
}

// openBuckets makes the buckets of a node, which end with the test or by stop.
func openBuckets(t testing.TB, c *Client, o BucketOptions, sink func(*scenarios.Overflow)) (n *node, stop func()) {
	t.Helper()
	var mu sync.Mutex
	locked := func(o *scenarios.Overflow) {
		mu.Lock()
		defer mu.Unlock()
		sink(o)
	}
	if o.Local == nil {
		o.Local = scenarios.NewMemory(scenarios.MemoryOptions{Overflow: locked, MaxBuckets: 4096, SampleBytes: 1 << 20, Now: o.Now})
	}
	if o.Remote == nil {
		o.Remote = scenarios.NewRemote(scenarios.RemoteOptions{Secret: secret[:]})
	}
	if o.Overflow == nil {
		o.Overflow = func(o *scenarios.Overflow, done func(bool)) {
			locked(o)
			done(true)
		}
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.SampleBytes == 0 {
		o.SampleBytes = 4 << 20
	}
	n = &node{NewBuckets(c, o), o.Local}
	stop = sync.OnceFunc(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return n, stop
}

// keyFor is the name of the bucket of a group.
func keyFor(r *scenarios.Remote, s *scenarios.Scenario, group string) (key [16]byte) {
	d := bucketstest.Drop(s, group, 0, bucketstest.Start, false)
	r.Each([]scenarios.Drop{d}, func(p *scenarios.Pour) { key = p.Key })
	return key
}

// drain waits for the effect of all that was poured.
func drain(t testing.TB, n *node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.Drain(ctx); err != nil {
		t.Fatalf("%v; %+v", err, n.Stats())
	}
}

// ended are buckets of which the suite wants all ends of durations at the end, which
// nobody wants of buckets that go on elsewhere.
type ended struct {
	t testing.TB
	*node
}

func (e ended) Flush() {
	drain(e.t, e.node)
	e.node.Flush()
	e.outbox.deadlines.end(lastInstant)
}

// opener opens buckets for the suite, one after the other in the same Redis.
func opener(c *Client, wipe func()) bucketstest.Open {
	var before func()
	return func(t *testing.T, now func() time.Time, sink func(*scenarios.Overflow)) (bucketstest.Buckets, func()) {
		if before != nil {
			before()
		}
		wipe()
		n, stop := openBuckets(t, c, BucketOptions{absolute: true, FlushEvery: time.Millisecond, Now: now}, sink)
		before = stop
		falls := c.health.falls.Load()
		if !c.Up() {
			t.Error("redis is lost, so that the node counts alone: ", c.Health().Reason)
		}
		return ended{t, n}, func() {
			drain(t, n)
			if c.health.falls.Load() != falls {
				t.Error("redis was lost meanwhile, so that the node counted alone: ", c.Health().Reason)
			}
			if s := n.Stats(); s.Dropped+s.Untaken+s.Failed+s.Retried+s.Forgotten+s.Broken+s.Contended+s.Claimed+s.Late+s.Unknown+s.Damaged > 0 {
				s.Scripts = nil
				t.Errorf("something went wrong on the way: %+v", s)
			}
		}
	}
}

func TestBucketsConformance(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, patient(s.Addr()))
	bucketstest.Run(t, opener(c, func() { s.Do("FLUSHALL") }))
}

func TestBucketsConfigurations(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, patient(s.Addr()))
	bucketstest.Configurations(t, opener(c, func() { s.Do("FLUSHALL") }))
}

// TestBucketsConcurrent pours on one node, and on three that share one Redis.
func TestBucketsConcurrent(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	for name, n := range map[string]int{"one node": 1, "three nodes": 3} {
		t.Run(name, func(t *testing.T) {
			var nodes []bucketstest.Open
			for i := range n {
				c := up(t, i+1, patient(s.Addr()))
				wipe := func() {}
				if i == 0 {
					wipe = func() { s.Do("FLUSHALL") }
				}
				nodes = append(nodes, opener(c, wipe))
			}
			bucketstest.Concurrent(t, nodes...)
		})
	}
}
