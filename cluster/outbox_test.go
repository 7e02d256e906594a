package cluster

import (
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// short is how soon overflows are taken over in tests.
const short = 400 * time.Millisecond

// records is how many overflows wait in all outboxes.
func records(t testing.TB, c *Client, b *node) (n int64) {
	t.Helper()
	for i := range shards {
		here, err := c.rdb().HLen(t.Context(), b.keyOf(i, "o")).Result()
		if err != nil {
			t.Fatal(err)
		}
		n += here
	}
	return n
}

// TestTakeOver stops a node between the script's answer and the alert. Another one
// takes the overflow over and concludes it once; the first comes back too late.
func TestTakeOver(t *testing.T) {
	for name, c := range map[string]struct {
		doc string
		cut bool // the first node loses its connection, too
	}{
		"leaky": {leakyDoc, false}, "leaky, cut off": {leakyDoc, true},
		"conditional":   {conditionalDoc + "condition: len(queue.Queue) >= 6\n", false},
		"with a filter": {leakyDoc + "blackhole: 1m\noverflow_filter: leaky.Total_count == 6\n", false},
	} {
		t.Run(name, func(t *testing.T) { takeOver(t, c.doc, c.cut) })
	}
}

func takeOver(t *testing.T, doc string, cut bool) {
	s := redistest.Start(t, redistest.Options{})
	stopped, again := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w := newCrew(t, 2, at(s.Addr()), func(i int, o *BucketOptions) {
		o.claimAfter, o.collectFor = short, short
		if i == 0 {
			o.between = func() {
				once.Do(func() { close(stopped) })
				<-again
			}
		}
	})
	release := sync.OnceFunc(func() { close(again) })
	defer release()
	sc := w.use(doc)[0]
	for i := range 6 {
		w.nodes[0].Pour(now1(sc, i))
	}
	<-stopped
	if n := records(t, w.clients[1], w.nodes[1]); n != 1 {
		t.Fatalf("%d records in the outboxes", n)
	}
	if cut {
		if err := w.clients[0].Close(); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "the other node takes over", func() bool { return len(w.overflows()) == 1 })
	o := w.overflows()[0]
	if w.who[0] != 1 || o.Count != 6 {
		t.Errorf("node %d concluded an overflow of %d events", w.who[0], o.Count)
	}
	// Its only witness is gone, and still it is known who did it.
	if ev, err := o.Event(); err != nil || ev.Overflow.Sources["192.0.2.1"].Value != "192.0.2.1" {
		t.Errorf("the alert: %v", err)
	}
	release()
	if !cut {
		drain(t, w.nodes[0])
		if st := w.nodes[0].Stats(); st.Late != 1 {
			t.Errorf("the first node was late %d times", st.Late)
		}
	}
	drain(t, w.nodes[1])
	time.Sleep(3 * short) // whoever concluded it again would do so by now
	if n := len(w.overflows()); n != 1 {
		t.Errorf("%d overflows", n)
	}
	if n := records(t, w.clients[1], w.nodes[1]); n != 0 {
		t.Errorf("%d records are left", n)
	}
	if st := w.nodes[1].Stats(); st.Claimed != 1 {
		t.Errorf("claimed %d", st.Claimed)
	}
}

// TestSlowSink: while the alert is not recorded, the node keeps the record for itself,
// and deletes it then.
func TestSlowSink(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	var mu sync.Mutex
	var dones []func(bool)
	w := newCrew(t, 2, at(s.Addr()), func(i int, o *BucketOptions) {
		o.claimAfter = short
		if i == 0 {
			o.Overflow = func(_ *scenarios.Overflow, done func(bool)) {
				mu.Lock()
				defer mu.Unlock()
				dones = append(dones, done)
			}
		}
	})
	sc := w.use(leakyDoc)[0]
	for i := range 6 {
		w.nodes[0].Pour(now1(sc, i))
	}
	called := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(dones)
	}
	within(t, "the overflow", func() bool { return called() == 1 })
	time.Sleep(sinkPatience / 2 * short)
	if n := len(w.overflows()); n != 0 || called() != 1 {
		t.Fatalf("taken over %d times, concluded %d times", n, called())
	}
	if n := records(t, w.clients[1], w.nodes[1]); n != 1 {
		t.Errorf("%d records", n)
	}
	dones[0](true)
	dones[0](true) // says nothing new
	drain(t, w.nodes[0])
	if n := records(t, w.clients[1], w.nodes[1]); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

// TestDeafSink: an overflow that the sink has dropped, without a word, is concluded
// again later, and the record goes.
func TestDeafSink(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	var mu sync.Mutex
	heard := 0
	w := newCrew(t, 1, at(s.Addr()), func(_ int, o *BucketOptions) {
		o.claimAfter = short / 4
		o.Overflow = func(_ *scenarios.Overflow, done func(bool)) {
			mu.Lock()
			defer mu.Unlock()
			if heard++; heard > 1 {
				done(true)
			}
		}
	})
	sc := w.use(leakyDoc)[0]
	for i := range 6 {
		w.nodes[0].Pour(now1(sc, i))
	}
	within(t, "it is concluded again", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return heard == 2
	})
	drain(t, w.nodes[0])
	if n := records(t, w.clients[0], w.nodes[0]); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

// TestSinkThatRefuses: what the sink says it will not record is free at once for the
// node that looks next.
func TestSinkThatRefuses(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	w := newCrew(t, 2, at(s.Addr()), func(i int, o *BucketOptions) {
		o.claimAfter = short
		if i == 0 {
			o.Overflow = func(_ *scenarios.Overflow, done func(bool)) { done(false) }
		}
	})
	sc := w.use(leakyDoc)[0]
	for i := range 6 {
		w.nodes[0].Pour(now1(sc, i))
	}
	drain(t, w.nodes[0]) // it has nothing under way any more
	within(t, "another node concludes it", func() bool { return len(w.overflows()) == 1 || w.nodes[0].Stats().Claimed > 0 })
}

// TestForeignScenario: a node leaves overflows of scenarios that it does not have to
// others.
func TestForeignScenario(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	again := make(chan struct{})
	release := sync.OnceFunc(func() { close(again) })
	w := newCrew(t, 3, at(s.Addr()), func(i int, o *BucketOptions) {
		o.claimAfter = short
		if i == 0 {
			o.between = func() { <-again }
		}
	})
	defer release()
	sc := w.use(leakyDoc)[0]
	w.nodes[1].Use(scenarios.NewRules(nil))
	for i := range 6 {
		w.nodes[0].Pour(now1(sc, i))
	}
	within(t, "a node that has the scenario takes over", func() bool { return len(w.overflows()) == 1 })
	if w.who[0] != 2 {
		t.Errorf("node %d concluded it", w.who[0])
	}
}

// TestOutboxHostile: what anybody put into outboxes is of no effect on what belongs
// there.
func TestOutboxHostile(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	w := newCrew(t, 1, at(s.Addr()), func(_ int, o *BucketOptions) { o.claimAfter = short })
	sc := w.use(leakyDoc)[0]
	b, c := w.nodes[0], w.clients[0]
	good := someRecord()
	good.scenario, good.key[0], good.stamp, good.group = sc.ID(), 2, 1, "192.0.2.9"
	bad := good.append(nil)
	bad[len(bad)-1]++
	bad = append(bad, 0)
	put := func(shard int, fields ...any) {
		t.Helper()
		if err := c.rdb().HSet(t.Context(), b.keyOf(shard, "o"), fields...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range shards {
		switch i % 3 {
		case 0:
			if err := c.rdb().Set(t.Context(), b.keyOf(i, "o"), "a text", 0).Err(); err != nil {
				t.Fatal(err)
			}
		case 1:
			put(i, "id", "short", "id2", string(bad), "", string(good.append(nil)[:recordHead]))
		}
	}
	bare := good
	bare.key[0], bare.group, bare.site, bare.incident, bare.source = 5, "", "", "", nil
	put(5, "another, of a bucket without a group", string(bare.append(nil)))
	within(t, "the one without texts is taken over", func() bool { return len(w.overflows()) == 1 })
	w.seen, w.who = nil, nil
	put(2, "an orphan", string(good.append(nil)))
	within(t, "the orphan is taken over", func() bool { return len(w.overflows()) == 1 })
	within(t, "damage is seen", func() bool { return b.Stats().Damaged > 0 })
	for i := range 6 {
		b.Pour(now1(sc, i))
	}
	within(t, "an overflow", func() bool { return len(w.overflows()) == 2 })
	if got := w.overflows()[0]; got.Key != "192.0.2.9" || got.Count != int(good.count) {
		t.Errorf("%s counts %d", got.Key, got.Count)
	}
}

// TestOutboxFull: where nobody concludes any more the outbox does not grow, and who is
// told of an overflow concludes it all the same.
func TestOutboxFull(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	w := newCrew(t, 1, at(s.Addr()), nil)
	b, c := w.nodes[0], w.clients[0]
	for i, sc := range w.use(leakyDoc, conditionalDoc+"condition: len(queue.Queue) >= 6\n") {
		key := keyFor(b.remote, sc, "192.0.2.1")
		box := b.keyOf(shardOf(&key), "o")
		fields := make([]any, 0, 2*10_000)
		for n := range 10_000 {
			fields = append(fields, n, "")
		}
		if err := c.rdb().HSet(t.Context(), box, fields...).Err(); err != nil {
			t.Fatal(err)
		}
		for n := range 6 {
			b.Pour(now1(sc, n))
		}
		w.drain()
		if got := len(w.overflows()); got != i+1 {
			t.Errorf("%s: %d overflows", sc.Name, got)
		}
		if n := c.rdb().HLen(t.Context(), box).Val(); n != 10_000 {
			t.Errorf("%s: the outbox has %d records", sc.Name, n)
		}
	}
	if st := b.Stats(); st.Forgotten != 1 || st.Broken != 0 {
		t.Errorf("%+v", st)
	}
}
