package bucketstest

import (
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/scenarios"
)

const writers = 8

// concurrent is one case: eight writers pour so many events each into one bucket.
type concurrent struct {
	name, yaml      string
	each            int
	overflows, size int // how many are wanted, of how many events
}

// Concurrent lets eight goroutines pour into one bucket at once, spread over the
// buckets that open makes: each is a node, and all of them share their state. The
// overflows of all nodes together must be exactly those that one goroutine gives.
func Concurrent(t *testing.T, open ...Open) {
	nine := leaky("groupby: evt.Meta.source_ip\ncapacity: 9\nleakspeed: 1h\n")
	for _, c := range []concurrent{
		{"leaky", nine, 1000, 800, 10},
		{"blackhole", nine + "blackhole: 1m\n", 1000, 1, 10},
		{"condition", conditional + "leakspeed: 1h\ncondition: len(queue.Queue) >= 4\n", 500, 1000, 4},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open) })
	}
}

func (c *concurrent) run(t *testing.T, open []Open) {
	s := Scenario(t, c.yaml)
	on := newStage(t)
	var nodes []Buckets
	var flushes []func()
	for _, o := range open {
		b, flush := o(t, on.now, on.sink)
		nodes, flushes = append(nodes, b), append(flushes, flush)
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range c.each {
				// All within a few milliseconds, of which nothing leaks out, no two at once.
				n := i*writers + w
				nodes[w%len(nodes)].Pour([]scenarios.Drop{Drop(s, "192.0.2.1", n, Start.Add(time.Duration(n)*time.Microsecond), false)})
			}
		})
	}
	wg.Wait()
	for _, flush := range flushes {
		flush()
	}
	c.check(t, on.list(), len(nodes) == 1)
}

// check counts; with all, no sample may be missing.
func (c *concurrent) check(t *testing.T, got []Seen, all bool) {
	if len(got) != c.overflows {
		t.Errorf("%d overflows, want %d", len(got), c.overflows)
	}
	samples := map[string]bool{}
	for _, o := range got {
		if o.Count != c.size || len(o.Samples) > c.size || all && len(o.Samples) != c.size {
			t.Errorf("an overflow of %d events with %d samples, want %d", o.Count, len(o.Samples), c.size)
		}
		for _, id := range o.Samples {
			if samples[id] {
				t.Errorf("event %s is in two overflows", id)
			}
			samples[id] = true
		}
	}
	t.Logf("%d of %d samples", len(samples), len(got)*c.size)
}
