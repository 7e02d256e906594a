package cluster

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestCompareRetried loses calls before they reach Redis and answers of calls that
// ran. Nothing is counted twice and nothing is lost.
func TestCompareRetried(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c, lose := losing(t, at(s.Addr()), 6)
	var got seen
	b, _ := openBuckets(t, c, BucketOptions{}, got.sink)
	lose(b.outbox.compare)
	docs := []string{conditionalDoc + "condition: len(queue.Queue) >= 10\n", counterDoc + "duration: 1h\ndistinct: evt.Meta.x\n"}
	const each = 100
	for _, doc := range docs {
		sc := bucketstest.Scenario(t, doc)
		for i := range each {
			for k := range 3 {
				d := bucketstest.Drop(sc, fmt.Sprint("192.0.2.", k), i, time.Now(), false)
				d.Distinct = fmt.Sprint(i)
				b.Pour([]scenarios.Drop{d})
			}
		}
	}
	drain(t, b)
	b.outbox.deadlines.end(0)
	drain(t, b)
	if len(got) != 3*each/10 {
		t.Errorf("%d overflows, want %d", len(got), 3*each/10)
	}
	for _, o := range got {
		if o.Count != 10 || len(o.Samples) != 10 {
			t.Errorf("%+v", o)
		}
	}
	if st := b.Stats(); st.Poured != 2*3*each || st.Untaken != 0 || st.Discarded != 0 || st.Retried < 20 {
		t.Errorf("%+v", st)
	}
}

// TestCompareContended has somebody else change the bucket whenever this node has
// looked at it: it gives up in time, and its own memory counts.
func TestCompareContended(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	var b *node
	var key atomic.Pointer[string] // once b is there
	c := hooked(t, 1, at(s.Addr()), aroundPipelines(func(cmds []redis.Cmder, run func() error) error {
		err := run()
		if k := key.Load(); k != nil && runs(cmds, b.outbox.compare) {
			state, _ := s.Do("GET", *k).(string)
			if len(state) > 20 {
				s.Do("SET", *k, state[:3]+fmt.Sprintf("%016d", rand.IntN(1e9))+state[19:])
			}
		}
		return err
	}))
	var got seen
	b, _ = openBuckets(t, c, BucketOptions{}, got.sink)
	sc := bucketstest.Scenario(t, conditionalDoc+"condition: len(queue.Queue) >= 2\n")
	b.Pour(now1(sc, 0))
	drain(t, b)
	name := s.Do("KEYS", "*:b:*").([]any)[0].(string)
	key.Store(&name)
	b.Pour(now1(sc, 1))
	b.Pour(now1(sc, 2))
	drain(t, b)
	if st := b.Stats(); st.Contended != 2 || st.Untaken != 2 {
		t.Errorf("%+v", st)
	}
	if len(got) != 1 || got[0].Count != 2 {
		t.Errorf("its own memory has not counted: %+v", got)
	}
}

// TestCompareDamaged puts all sorts of things where buckets are. They begin anew, and
// other buckets go on.
func TestCompareDamaged(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	w := newCrew(t, 1, at(s.Addr()), nil)
	list := w.use(conditionalDoc+"condition: len(queue.Queue) >= 3\ndistinct: evt.Meta.x\nblackhole: 0s\n", counterDoc+"duration: 1h\n")
	b := w.nodes[0]
	good := [2][16]byte{keyFor(b.remote, list[0], "good"), keyFor(b.remote, list[1], "good")}
	pour := func(key string, n int) {
		d := now1(list[0], n)
		d[0].Key, d[0].Distinct = key, fmt.Sprint(n)
		b.Pour(d)
		d = now1(list[1], n)
		d[0].Key = key
		b.Pour(d)
		drain(t, b)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	junk := func() string {
		text := make([]byte, rng.IntN(300))
		for i := range text {
			text[i] = byte(rng.Uint32())
		}
		if len(text) > 0 && rng.IntN(2) == 0 {
			text[0] = 1
		}
		return string(text)
	}
	for round := range 60 {
		pour("bad", 0)
		pour("good", 0)
		pour("good", 1)
		for _, v := range s.Do("KEYS", "*").([]any) {
			name := v.(string)
			if strings.Contains(name, "{j}") || strings.Contains(name, "{n}") {
				continue
			}
			if strings.HasSuffix(name, string(good[0][:])) || strings.HasSuffix(name, string(good[1][:])) {
				continue
			}
			if strings.Contains(name, ":c:") || strings.Contains(name, ":o") || strings.Contains(name, ":t:") {
				if round%2 == 0 {
					continue
				}
			}
			s.Do("DEL", name)
			switch rng.IntN(4) {
			case 0:
				s.Do("SET", name, junk())
			case 1:
				s.Do("RPUSH", name, junk(), junk())
			case 2:
				s.Do("SADD", name, junk())
			case 3:
				s.Do("HSET", name, junk(), junk())
			}
		}
		before := len(w.overflows())
		pour("good", 2) // overflows
		if got := w.overflows(); len(got) != before+1 || got[before].Key != "good" || got[before].Count != 3 {
			t.Fatalf("round %d: a good bucket suffers from a bad one: %d overflows", round, len(got)-before)
		}
		pour("bad", 1) // may be lost
		for n := range 3 {
			pour("bad", 10+n)
		}
		found := false
		for _, o := range w.overflows()[before+1:] {
			found = found || o.Key == "bad"
		}
		if !found {
			t.Fatalf("round %d: the bucket does not recover: %+v", round, b.Stats())
		}
		s.Do("FLUSHALL")
		within(t, "a number", func() bool { return w.clients[0].Number() >= 0 })
	}
}

// TestCompareCluster runs nodes on a Redis Cluster.
func TestCompareCluster(t *testing.T) {
	s := redistest.StartCluster(t)
	w := newCrew(t, 2, Config{Cluster: s.Addrs()}, nil)
	list := w.use(conditionalDoc+"condition: len(queue.Queue) >= 4\n", counterDoc+"duration: 6s\n", leakyDoc)
	const keys, each = 30, 12
	var all sync.WaitGroup
	for i, n := range w.nodes {
		all.Go(func() {
			for j := range each / 2 {
				for k := range keys {
					for _, sc := range list {
						d := now1(sc, i*each+j)
						d[0].Key = fmt.Sprint("192.0.2.", k)
						n.Pour(d)
					}
				}
			}
		})
	}
	all.Wait()
	w.drain()
	defer func() {
		for _, n := range w.nodes {
			t.Logf("%+v", n.Stats())
		}
	}()
	within(t, "the counters end", func() bool {
		for _, n := range w.nodes {
			n.Sweep(time.Now())
		}
		w.drain()
		return len(w.overflows()) >= keys*(each/4+1+each/6)
	})
	counts := map[string]int{}
	for _, o := range w.overflows() {
		counts[o.Scenario.Name]++
		if len(o.Samples) != o.Count {
			t.Errorf("%s of %s counts %d and has %d samples", o.Scenario.Name, o.Key, o.Count, len(o.Samples))
		}
	}
	if counts["conditional"] != keys*each/4 || counts["counter"] != keys || counts["leaky"] != keys*each/6 {
		t.Errorf("%v", counts)
	}
	if n := records(t, w.clients[0], w.nodes[0]); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

func FuzzStepReply(f *testing.F) {
	head := string(make([]byte, stepHead))
	f.Add("\x02"+head[1:]+"record", "", false)
	f.Add("\x01"+head[1:]+string(make([]byte, 24)), "a record", true)
	f.Fuzz(func(t *testing.T, text, record string, ask bool) {
		var v any = text
		if ask {
			v = []any{text, []any{record}}
		}
		s, err := decodeStep(v)
		if err == nil && (s.at < 0 || s.first < 0 || s.gen < 0 || (s.status == stepAsk) != ask || ask && len(s.token) != 16) {
			t.Errorf("%q is read as %+v", text, s)
		}
	})
}
