package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestDeadline has three nodes feed counters and all three look for deadlines: each
// counter ends once, when its duration is over, with the events of all.
func TestDeadline(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	w := newCrew(t, 3, at(s.Addr()), nil)
	sc := w.use(counterDoc + "duration: 5s\n")[0]
	const keys, each = 20, 9
	for i := range each {
		for k := range keys {
			d := now1(sc, i)
			d[0].Key = fmt.Sprint("192.0.2.", k)
			w.nodes[i%3].Pour(d)
		}
	}
	w.drain()
	for _, n := range w.nodes {
		n.Sweep(time.Now())
	}
	w.drain()
	if n := len(w.overflows()); n != 0 {
		t.Fatalf("%d counters end at once", n)
	}
	within(t, "all counters end", func() bool {
		for _, n := range w.nodes {
			n.Sweep(time.Now())
		}
		w.drain()
		return len(w.overflows()) >= keys
	})
	counts, events := map[string]int{}, map[string]int{}
	for _, o := range w.overflows() {
		counts[o.Key] += o.Count
		events[o.Key] += len(o.Samples)
		if d := o.At.Sub(o.First); d != 5*time.Second || o.Incident != "" {
			t.Errorf("%s ends after %v", o.Key, d)
		}
		if ids := bucketstest.See(o).Samples; len(ids) != each {
			t.Errorf("%s has the samples %v", o.Key, ids)
		}
	}
	if len(w.overflows()) != keys || len(counts) != keys {
		t.Errorf("%d overflows of %d keys", len(w.overflows()), len(counts))
	}
	for key, n := range counts {
		if n != each {
			t.Errorf("%s counts %d events", key, n)
		}
	}
	if n := w.scheduled(); n != 0 {
		t.Errorf("%d deadlines are left", n)
	}
}

// scheduled is how many deadlines there are.
func (w *crew) scheduled() (n int64) {
	b := w.nodes[0]
	for _, s := range *b.known.Load() {
		for i := range shards {
			here, err := w.clients[0].rdb().ZCard(w.t.Context(), b.deadlineKey(s, i)).Result()
			if err != nil {
				w.t.Error(err)
			}
			n += here
		}
	}
	return n
}

// TestDeadlineOfTheGone: the node that fed a counter is gone when it ends.
func TestDeadlineOfTheGone(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	w := newCrew(t, 2, at(s.Addr()), hasty)
	sc := w.use(counterDoc + "duration: 300ms\n")[0]
	for i := range 4 {
		w.nodes[0].Pour(now1(sc, i))
	}
	drain(t, w.nodes[0])
	w.stop[0]()
	if err := w.clients[0].Close(); err != nil {
		t.Fatal(err)
	}
	within(t, "the counter ends", func() bool {
		w.nodes[1].Sweep(time.Now())
		return len(w.overflows()) == 1
	})
	o := w.overflows()[0]
	if ev, err := o.Event(); o.Count != 4 || err != nil || ev.Overflow.Sources["192.0.2.1"].Value == "" {
		t.Errorf("counts %d, %v", o.Count, err)
	}
}

// TestDeadlineOfLate: events that came late may be followed by more, so their counter
// waits ten minutes, and ends at its own time all the same.
func TestDeadlineOfLate(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	now := bucketstest.Start
	var got seen
	b, _ := openBuckets(t, c, BucketOptions{absolute: true, Now: func() time.Time { return now }}, got.sink)
	sc := bucketstest.Scenario(t, counterDoc+"duration: 10s\n")
	first := now.Add(-time.Minute)
	b.Pour([]scenarios.Drop{bucketstest.Drop(sc, "192.0.2.1", 0, first, false), bucketstest.Drop(sc, "192.0.2.2", 0, now, false)})
	drain(t, b)
	look := func(at time.Time, want int) {
		t.Helper()
		b.outbox.deadlines.end(at.UnixMicro())
		drain(t, b)
		if len(got) != want {
			t.Fatalf("%d counters are over at %v, want %d", len(got), at, want)
		}
	}
	look(now, 0)
	look(now.Add(10*time.Second-time.Microsecond), 0)
	look(now.Add(10*time.Second), 1)
	look(now.Add(600*time.Second), 1)
	look(now.Add(602*time.Second), 2)
	if o := got[1]; o.Key != "192.0.2.1" || !o.At.Equal(first.Add(10*time.Second)) {
		t.Errorf("%+v", o)
	}
}
