package cluster

import (
	"fmt"
	"slices"
	"strings"
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

func (y *tally) count() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return len(y.got)
}

// fleet opens the buckets of so many nodes.
func fleet(t *testing.T, n int, config Config, sink func(*scenarios.Overflow)) (out []*node, stop func()) {
	t.Helper()
	var stops []func()
	for i := range n {
		c := up(t, i+1, config)
		within(t, "a number", func() bool { return c.Number() >= 0 })
		b, end := openBuckets(t, c, BucketOptions{}, sink)
		out, stops = append(out, b), append(stops, end)
	}
	return out, func() {
		for _, end := range stops {
			end()
		}
	}
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
			nodes, _ := fleet(t, 2, at(s.Addr()), y.sink)
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

// move moves a slot while pours go on, and waits until all servers agree who has it
// and which epochs they have: the next move might begin with a server that does not
// know yet that another's word counts for more than its own, and lose the slot again.
func move(t *testing.T, cl *redistest.Cluster, slot, to int, slowly bool) {
	t.Helper()
	cl.BeginMove(slot, to)
	if slowly {
		time.Sleep(50 * time.Millisecond)
	}
	cl.EndMove(slot, to)
	id := fmt.Sprint(cl.Servers()[to].Do("CLUSTER", "MYID"))
	within(t, "all servers agree", func() bool {
		agreed, epochs := true, ""
		for i, s := range cl.Servers() {
			if i == 0 {
				epochs = epochsIn(s)
			}
			agreed = agreed && epochsIn(s) == epochs
			if ownerIn(s, slot) != id {
				agreed = false
				_, _ = s.Try("CLUSTER", "SETSLOT", fmt.Sprint(slot), "NODE", id)
			}
		}
		return agreed
	})
}

// epochsIn is what s thinks each server's epoch is.
func epochsIn(s *redistest.Server) string {
	var list []string
	for _, line := range strings.Split(strings.TrimSpace(fmt.Sprint(s.Do("CLUSTER", "NODES"))), "\n") {
		if f := strings.Fields(line); len(f) > 6 {
			list = append(list, f[0]+" "+f[6])
		}
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// ownerIn is the id of the server that s thinks has the slot.
func ownerIn(s *redistest.Server, slot int) string {
	ranges, _ := s.Do("CLUSTER", "SLOTS").([]any)
	for _, r := range ranges {
		entry := r.([]any)
		if entry[0].(int64) <= int64(slot) && int64(slot) <= entry[1].(int64) {
			return fmt.Sprint(entry[2].([]any)[2])
		}
	}
	return ""
}

// TestPourCluster pours into a Redis Cluster from two nodes while slots move.
func TestPourCluster(t *testing.T) {
	cl := redistest.StartCluster(t)
	sc := bucketstest.Scenario(t, nine)
	const keys, pours = 24, 600
	// A machine that is so busy that Redis counts as away shows nothing of this.
	for attempt := range 4 {
		var y tally
		nodes, stop := fleet(t, 2, Config{Cluster: cl.Addrs()}, y.sink)
		each := map[string]int{}
		slots := map[int]bool{}
		name := func(k int) string { return fmt.Sprintf("192.0.%d.%d", attempt, k) }
		for k := range keys {
			each[name(k)] = 2 * pours
			slots[slotUsed(t, cl, nodes[0], sc, name(k))] = true
		}
		var writers sync.WaitGroup
		for _, n := range nodes {
			writers.Go(func() {
				for i := range pours {
					for k := range keys {
						n.Pour([]scenarios.Drop{bucketstest.Drop(sc, name(k), i, time.Now(), false)})
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
		moved := 0
		for slot := range slots { // all of them, one after the other, some while nothing of it has moved yet
			moved++
			move(t, cl, slot, (cl.Owner(slot)+1)%3, moved%2 == 0)
		}
		writers.Wait()
		untaken := int64(0)
		for _, n := range nodes {
			drain(t, n)
			st := n.Stats()
			if untaken += st.Untaken + st.Cleared; st.Dropped+st.Failed > 0 {
				t.Errorf("%+v", st)
			}
			t.Logf("%d slots moved; calls %d, made again %d", moved, st.Calls, st.Retried)
		}
		stop()
		if untaken == 0 {
			checkTenths(t, y.got, y.ids, each)
			return
		}
	}
	t.Error("redis was given up in every attempt")
}

// slotUsed is the slot of the bucket of key, as the cluster computes it.
func slotUsed(t *testing.T, cl *redistest.Cluster, n *node, sc *scenarios.Scenario, group string) int {
	key := keyFor(n.remote, sc, group)
	slot := cl.Slot(n.keyOf(shardOf(&key), "b:x"))
	if want := slotOf(fmt.Sprint("s", shardOf(&key))); slot != want {
		t.Errorf("slot %d, computed %d", slot, want)
	}
	return slot
}

// TestPourStuckSlot: a slot whose move does not end holds up no other.
func TestPourStuckSlot(t *testing.T) {
	cl := redistest.StartCluster(t)
	var y tally
	nodes, _ := fleet(t, 1, Config{Cluster: cl.Addrs()}, y.sink)
	n, sc := nodes[0], bucketstest.Scenario(t, nine)
	pour := func(key string, times int) {
		d := bucketstest.Drop(sc, key, 0, time.Now(), false)
		d.Count = times
		n.Pour([]scenarios.Drop{d})
	}
	stuck := slotUsed(t, cl, n, sc, "192.0.2.1")
	other := ""
	for k := 2; other == ""; k++ { // another slot of the same group
		key := fmt.Sprint("192.0.2.", k)
		if slot := slotUsed(t, cl, n, sc, key); slot != stuck && slot*clusterGroups/16384 == stuck*clusterGroups/16384 {
			other = key
		}
	}
	pour("192.0.2.1", 5)
	drain(t, n)
	cl.BeginMove(stuck, (cl.Owner(stuck)+1)%3)
	pour("192.0.2.1", 10)
	pour(other, 10)
	within(t, "both overflow, one in the node's own memory", func() bool { return y.count() == 2 })
	if st := n.Stats(); st.Untaken != 10 || st.Failed > 0 {
		t.Errorf("%+v", st)
	}
	pour("192.0.2.1", 10)
	pour(other, 10)
	drain(t, n)
	if st := n.Stats(); st.Untaken != 20 || len(y.got) != 4 {
		t.Errorf("%d overflows, %+v", len(y.got), st)
	}
}

// TestCompareStuckSlot is TestPourStuckSlot for what goes step by step.
func TestCompareStuckSlot(t *testing.T) {
	cl := redistest.StartCluster(t)
	var y tally
	nodes, _ := fleet(t, 1, Config{Cluster: cl.Addrs()}, y.sink)
	n, sc := nodes[0], bucketstest.Scenario(t, conditionalDoc+"condition: len(queue.Queue) >= 6\n")
	pour := func(key string) {
		for i := range 6 {
			n.Pour([]scenarios.Drop{bucketstest.Drop(sc, key, i, time.Now(), false)})
		}
	}
	stuck, other := slotUsed(t, cl, n, sc, "192.0.2.1"), ""
	for k := 2; other == ""; k++ {
		if key := fmt.Sprint("192.0.2.", k); slotUsed(t, cl, n, sc, key) != stuck {
			other = key
		}
	}
	n.Pour([]scenarios.Drop{bucketstest.Drop(sc, "192.0.2.1", 9, time.Now(), false)})
	drain(t, n)
	cl.BeginMove(stuck, (cl.Owner(stuck)+1)%3)
	pour("192.0.2.1")
	pour(other)
	within(t, "both overflow, one in the node's own memory", func() bool { return y.count() == 2 })
	if st := n.Stats(); st.Untaken != 6 || st.Failed > 0 {
		t.Errorf("%+v", st)
	}
	pour(other)
	pour("192.0.2.1")
	within(t, "both overflow again", func() bool { return y.count() == 4 })
}
