package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// crew is a fleet of nodes in one process, and what overflowed on any of them.
type crew struct {
	t       testing.TB
	clients []*Client
	nodes   []*node
	stop    []func()
	mu      sync.Mutex
	seen    []*scenarios.Overflow
	who     []int // the node of each
}

// newCrew starts n nodes that know each other; tune changes their options. They wait
// for each other's samples for as long as it takes on a busy machine.
func newCrew(t testing.TB, n int, config Config, tune func(i int, o *BucketOptions)) *crew {
	t.Helper()
	w := &crew{t: t}
	for i := range n {
		c := up(t, i+1, config)
		opts := BucketOptions{FlushEvery: time.Millisecond, collectFor: 20 * time.Second}
		if tune != nil {
			tune(i, &opts)
		}
		b, stop := openBuckets(t, c, opts, func(o *scenarios.Overflow) { w.take(i, o) })
		w.clients, w.nodes, w.stop = append(w.clients, c), append(w.nodes, b), append(w.stop, stop)
	}
	for _, c := range w.clients {
		within(t, "all nodes know each other", func() bool { return alive(c) == n && c.Number() >= 0 })
	}
	for _, b := range w.nodes {
		k := b.outbox.samples
		within(t, "all nodes listen", func() bool {
			got, err := w.clients[0].rdb().PubSubNumSub(t.Context(), k.channel(k.self)).Result()
			return err == nil && got[k.channel(k.self)] > 0
		})
	}
	return w
}

// alive is how many nodes a client knows that have a number.
func alive(c *Client) (n int) {
	for _, one := range c.Nodes() {
		if !one.Degraded && one.Number >= 0 {
			n++
		}
	}
	return n
}

// hasty is for a crew some of whose nodes will not answer.
func hasty(_ int, o *BucketOptions) { o.collectFor = time.Second }

func (w *crew) take(i int, o *scenarios.Overflow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen, w.who = append(w.seen, o), append(w.who, i)
}

// overflows returns what there was so far.
func (w *crew) overflows() []*scenarios.Overflow {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

func (w *crew) drain() {
	for _, n := range w.nodes {
		drain(w.t, n)
	}
}

// use makes the scenarios known to all nodes.
func (w *crew) use(yaml ...string) (list []*scenarios.Scenario) {
	for _, doc := range yaml {
		list = append(list, bucketstest.Scenario(w.t, doc))
	}
	for _, n := range w.nodes {
		n.Use(scenarios.NewRules(list))
	}
	return list
}

const (
	leakyDoc       = "type: leaky\nname: leaky\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: 5\nleakspeed: 1h\n"
	conditionalDoc = "type: conditional\nname: conditional\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: -1\nleakspeed: 1h\n"
	counterDoc     = "type: counter\nname: counter\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: -1\n"
)

// now1 is one event that happens now.
func now1(s *scenarios.Scenario, id int) []scenarios.Drop {
	return []scenarios.Drop{bucketstest.Drop(s, "192.0.2.1", id, time.Now(), false)}
}

// TestCompareRace has writers on two nodes pour into one bucket whose condition looks
// at all its events: as many overflows as one process would have, and each event in
// one of them.
func TestCompareRace(t *testing.T) {
	const writers, each = 8, 500
	s := redistest.Start(t, redistest.Options{})
	w := newCrew(t, 2, at(s.Addr()), nil)
	sc := w.use(conditionalDoc + "condition: len(queue.Queue) >= 4\n")[0]
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for j := range each {
				w.nodes[i%2].Pour(now1(sc, i*each+j))
			}
		})
	}
	all.Wait()
	w.drain()
	ids := map[string]bool{}
	events, samples := map[string]bool{}, 0
	for _, o := range w.overflows() {
		ids[o.ID] = true
		if o.Count != 4 || len(o.Samples) > 4 {
			t.Fatalf("an overflow of %d events has %d samples", o.Count, len(o.Samples))
		}
		for _, smp := range o.Samples {
			events[smp.Meta.Get("id")] = true
			samples++
		}
	}
	if len(ids) != writers*each/4 || len(w.overflows()) != len(ids) || len(events) != samples {
		t.Errorf("%d overflows with %d ids, want %d; %d samples of %d events", len(w.overflows()), len(ids), writers*each/4, samples, len(events))
	}
	if samples != writers*each {
		t.Errorf("%d samples, want %d", samples, writers*each)
	}
	for _, n := range w.nodes {
		st := n.Stats()
		if st.Untaken != 0 || st.Contended != 0 {
			t.Errorf("%+v", st)
		}
		t.Logf("calls %d, collected %d, answered %d, timeouts %d", st.Calls, st.Collected, st.Answered, st.CollectTimeouts)
	}
}

// TestRoundRobin spreads attacks over the nodes, event by event: they overflow at the
// same event as on one, once, and with the newest samples in order.
func TestRoundRobin(t *testing.T) {
	docs := []string{
		leakyDoc, leakyDoc + "cache_size: 2\n", leakyDoc + "blackhole: 1m\n",
		leakyDoc + "overflow_filter: any(queue.Queue, {.Meta.id == '17'})\n",
		conditionalDoc + "condition: len(queue.Queue) >= 7\n",
		conditionalDoc + "blackhole: 1m\ncondition: len(queue.Queue) >= 7\n",
		conditionalDoc + "blackhole: 1m\noverflow_filter: any(queue.Queue, {.Meta.id == '17'})\ncondition: len(queue.Queue) >= 4\n",
	}
	for nodes := 2; nodes <= 3; nodes++ {
		s := redistest.Start(t, redistest.Options{})
		w := newCrew(t, nodes, at(s.Addr()), nil)
		list := w.use(docs...)
		for i, sc := range list {
			t.Run(fmt.Sprint(nodes, " nodes, scenario ", i), func(t *testing.T) { w.roundRobin(t, sc, docs[i]) })
		}
	}
}

func (w *crew) roundRobin(t *testing.T, sc *scenarios.Scenario, doc string) {
	before := len(w.overflows())
	model := bucketstest.NewModel(t, doc)
	for i := range 40 {
		n := w.nodes[i%len(w.nodes)]
		d := now1(sc, i)
		model.Pour(d)
		n.Pour(d)
		drain(t, n)
	}
	type short struct {
		count   int
		samples []string
	}
	var want, got []short
	for _, o := range model.Seen {
		want = append(want, short{o.Count, o.Samples})
	}
	for _, o := range w.overflows()[before:] {
		got = append(got, short{o.Count, bucketstest.See(o).Samples})
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(short{})); d != "" || len(want) == 0 {
		t.Errorf("(-one process +fleet):\n%s\n%s", d, doc)
	}
}

// TestRoundRobinAtOnce is the same without a pause between the events: the answers to
// other nodes are still under way when the bucket overflows.
func TestRoundRobinAtOnce(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	w := newCrew(t, 3, at(s.Addr()), nil)
	sc := w.use(leakyDoc)[0]
	const rounds = 200
	for i := range rounds {
		for j := range 6 {
			d := now1(sc, i*6+j)
			d[0].Key = strconv.Itoa(i)
			w.nodes[j%3].Pour(d)
		}
	}
	w.drain()
	missing := 0
	for _, o := range w.overflows() {
		ids := bucketstest.See(o).Samples
		slices.Sort(ids)
		if ids = slices.Compact(ids); o.Count != 6 || len(ids) != 6 {
			missing++
			t.Logf("an overflow of %d events has the samples %v", o.Count, ids)
		}
	}
	if n := len(w.overflows()); n != rounds || missing > 0 {
		t.Errorf("%d overflows, want %d; %d without all their samples", n, rounds, missing)
	}
}
