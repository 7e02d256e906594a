package cluster

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// tally gathers the overflows of several nodes.
type tally struct {
	mu  sync.Mutex
	got seen
	ids map[string]bool
}

func (y *tally) sink(o *scenarios.Overflow) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.got.sink(o)
	if y.ids == nil {
		y.ids = map[string]bool{}
	}
	y.ids[o.ID] = true
}

// fleet opens the buckets of so many nodes.
func fleet(t *testing.T, n int, config Config, sink func(*scenarios.Overflow)) (out []*node) {
	t.Helper()
	for i := range n {
		c := up(t, i+1, config)
		within(t, "a number", func() bool { return c.Number() >= 0 })
		b, _ := openBuckets(t, c, BucketOptions{}, sink)
		out = append(out, b)
	}
	return out
}

// TestPourConcurrently: eight writers on two nodes, exactly every tenth pour
// overflows; with a blackhole exactly the first.
func TestPourConcurrently(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	for name, c := range map[string]struct {
		yaml string
		want int
	}{"": {nine, 800}, "blackhole": {nine + "blackhole: 1h\n", 1}, "filter": {nine + "overflow_filter: 'true'\nblackhole: 1h\n", 1}} {
		t.Run(name, func(t *testing.T) {
			s.Do("FLUSHALL")
			var y tally
			nodes := fleet(t, 2, at(s.Addr()), y.sink)
			sc := bucketstest.Scenario(t, c.yaml)
			var writers sync.WaitGroup
			for w := range 8 {
				writers.Go(func() {
					for i := range 1000 {
						nodes[w%2].Pour([]scenarios.Drop{bucketstest.Drop(sc, "192.0.2.1", i, time.Now(), false)})
						if i%8 == 0 {
							time.Sleep(time.Millisecond)
						}
					}
				})
			}
			writers.Wait()
			quiet := int64(0)
			for _, n := range nodes {
				drain(t, n)
				st := n.Stats()
				quiet += st.Blackholed
				if st.Untaken+st.Dropped+st.Failed > 0 {
					t.Fatalf("%+v", st)
				}
			}
			if len(y.got) != c.want || len(y.ids) != c.want || quiet != int64(800-c.want) {
				t.Errorf("%d overflows with %d ids, %d within a blackhole", len(y.got), len(y.ids), quiet)
			}
			for _, o := range y.got {
				if o.Count != 10 {
					t.Errorf("an overflow counts %d", o.Count)
				}
			}
		})
	}
}

// TestPourClock: a node whose clock is an hour fast shares buckets all the same, and
// what came some seconds ago counts from then.
func TestPourClock(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	var y tally
	const fast = time.Hour
	right, wrong := up(t, 1, at(s.Addr())), up(t, 2, at(s.Addr()))
	a, _ := openBuckets(t, right, BucketOptions{}, y.sink)
	b, _ := openBuckets(t, wrong, BucketOptions{Now: func() time.Time { return time.Now().Add(fast) }}, y.sink)
	sc := bucketstest.Scenario(t, "type: leaky\nfilter: '1 == 1'\ncapacity: 2\nleakspeed: 1h\n")
	begin := time.Now()
	a.Pour([]scenarios.Drop{bucketstest.Drop(sc, "192.0.2.1", 0, begin.Add(-10*time.Second), false)})
	drain(t, a)
	b.Pour([]scenarios.Drop{bucketstest.Drop(sc, "192.0.2.1", 1, begin.Add(fast-5*time.Second), false)})
	drain(t, b)
	a.Pour([]scenarios.Drop{bucketstest.Drop(sc, "192.0.2.1", 2, begin.Add(time.Minute), false)}) // not after now
	drain(t, a)
	if len(y.got) != 1 || y.got[0].Count != 3 {
		t.Fatalf("%+v", y.got)
	}
	o := y.got[0]
	if d := o.First.Sub(begin); d < -11*time.Second || d > -5*time.Second {
		t.Errorf("the first event was %v after the start, want 10 s before", d)
	}
	if now := time.Now(); o.At.Before(begin) || o.At.After(now.Add(time.Second)) {
		t.Errorf("overflow at %v, it is %v", o.At, now)
	}
}

// TestPourCluster pours into a Redis Cluster from two nodes while slots move.
func TestPourCluster(t *testing.T) {
	cl := redistest.StartCluster(t)
	var y tally
	nodes := fleet(t, 2, Config{Cluster: cl.Addrs()}, y.sink)
	sc := bucketstest.Scenario(t, nine)
	const keys, pours = 24, 600
	each := map[string]int{}
	slots := map[int]bool{}
	for k := range keys {
		key := fmt.Sprint("192.0.2.", k)
		each[key] = 2 * pours
		nodes[0].remote.Each([]scenarios.Drop{bucketstest.Drop(sc, key, 0, time.Now(), false)}, func(p *scenarios.Pour) {
			slot := cl.Slot(nodes[0].keyOf(shardOf(&p.Key), "b:x"))
			if want := slotOf("s" + fmt.Sprint(shardOf(&p.Key))); slot != want {
				t.Errorf("slot %d, computed %d", slot, want)
			}
			slots[slot] = true
		})
	}
	var writers sync.WaitGroup
	for _, n := range nodes {
		writers.Go(func() {
			for i := range pours {
				for k := range keys {
					n.Pour([]scenarios.Drop{bucketstest.Drop(sc, fmt.Sprint("192.0.2.", k), i, time.Now(), false)})
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	moved := 0
	for slot := range slots { // all of them, one after the other, some while nothing of it has moved yet
		to := (cl.Owner(slot) + 1) % 3
		if moved++; moved%2 == 0 {
			cl.BeginMove(slot, to)
			time.Sleep(50 * time.Millisecond)
			cl.EndMove(slot, to)
		} else {
			cl.MoveSlot(slot, to)
		}
	}
	writers.Wait()
	for _, n := range nodes {
		drain(t, n)
		st := n.Stats()
		if st.Untaken+st.Dropped+st.Failed > 0 {
			t.Errorf("%+v", st)
		}
		t.Logf("%d slots moved; calls %d, made again %d", moved, st.Calls, st.Retried)
	}
	checkTenths(t, y.got, y.ids, each)
}
