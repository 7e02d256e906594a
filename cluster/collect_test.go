package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestCollectWithoutOne has a node that fed the bucket go away, known to be gone or
// still in the table: the alert comes all the same, with what the others have.
func TestCollectWithoutOne(t *testing.T) {
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprint("known to be gone: ", known), func(t *testing.T) {
			s := redistest.Start(t, redistest.Options{})
			tune := hasty
			if known {
				tune = nil
			}
			w := newCrew(t, 3, at(s.Addr()), tune)
			sc := w.use(leakyDoc)[0]
			for i := range 5 {
				w.nodes[i%3].Pour(now1(sc, i))
				drain(t, w.nodes[i%3])
			}
			w.stop[2]() // events 2; events 1 and 4 are node 1's
			if known {
				if err := w.clients[2].Close(); err != nil {
					t.Fatal(err)
				}
				within(t, "it is missed", func() bool { return alive(w.clients[0]) == 2 })
			}
			begin := time.Now()
			w.nodes[0].Pour(now1(sc, 5))
			drain(t, w.nodes[0])
			t.Logf("alerted after %v", time.Since(begin))
			if len(w.overflows()) != 1 {
				t.Fatalf("%d overflows", len(w.overflows()))
			}
			o := bucketstest.See(w.overflows()[0])
			if d := cmp.Diff([]string{"0", "1", "3", "4", "5"}, o.Samples); d != "" || o.Count != 6 {
				t.Errorf("count %d, samples (-want +got):\n%s", o.Count, d)
			}
			if got := w.nodes[0].Stats().CollectTimeouts > 0; got == known {
				t.Errorf("waited in vain: %v", got)
			}
		})
	}
}

// TestCollectAlone: nobody is asked about buckets that this node alone fed.
func TestCollectAlone(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	w := newCrew(t, 2, at(s.Addr()), nil)
	sc := w.use(leakyDoc)[0]
	for i := range 6 {
		w.nodes[0].Pour(now1(sc, i))
	}
	w.drain()
	if got := w.overflows(); len(got) != 1 || len(got[0].Samples) != 6 {
		t.Errorf("%d overflows", len(got))
	}
	if n := w.nodes[1].Stats().Answered; n != 0 {
		t.Errorf("%d questions", n)
	}
}

// TestCollectHostile: messages that nobody of the fleet sent do no harm.
func TestCollectHostile(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	w := newCrew(t, 2, at(s.Addr()), hasty)
	sc := w.use(leakyDoc)[0]
	k := w.nodes[0].outbox.samples
	shout := func(text string) { s.Do("PUBLISH", k.channel(k.self), text) }
	q := question{number: 1, asker: nodeID(2), limit: mostAsked + 1}
	shout(string(q.append(nil)))
	shout("")
	shout("A")
	shout(strings.Repeat("A", 1<<20))
	// An answer to each number that will be asked under, by somebody who is not asked,
	// with samples of its own invention.
	for n := range uint64(4) {
		a := answer{number: k.last + n, from: nodeID(9), kept: []scenarios.Kept{{N: 1, Sample: []byte("x")}}}
		shout(string(a.append(nil)))
	}
	for range 2000 {
		q.limit = 1
		shout(string(q.append(nil)))
	}
	for i := range 12 {
		w.nodes[i%2].Pour(now1(sc, i))
		drain(t, w.nodes[i%2])
	}
	got := w.overflows()
	if len(got) != 2 {
		t.Fatalf("%d overflows", len(got))
	}
	for _, o := range got {
		for _, smp := range o.Samples {
			if smp.Meta.Get("id") == "" {
				t.Errorf("a sample that nobody saw: %+v", smp)
			}
		}
	}
	if st := w.nodes[0].Stats(); st.Damaged < 4 {
		t.Errorf("%+v", st)
	}
}

// TestMerge: each number once, what this node has before what others say, the newest.
func TestMerge(t *testing.T) {
	b := &Buckets{evidence: scenarios.NewEvidence(1 << 20)}
	k := &collector{b: b}
	sc := bucketstest.Scenario(t, leakyDoc+"cache_size: 3\n")
	it := &spilled{record: record{gen: 7, count: 10}, scenario: sc, sample: []byte("ten")}
	b.evidence.Put(it.record.key, 7, 8, []byte("eight"))
	b.evidence.Put(it.record.key, 6, 9, []byte("another bucket's"))
	got := k.merge(it, []scenarios.Kept{{N: 10, Sample: []byte("false")}, {N: 7, Sample: []byte("seven")}, {N: 8, Sample: []byte("false")}, {N: 6, Sample: []byte("six")}, {N: 5, Sample: []byte("five")}})
	want := [][]byte{[]byte("six"), []byte("seven"), []byte("eight"), []byte("ten")}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAnswerIsBounded(t *testing.T) {
	a := answer{number: 3, from: nodeID(1)}
	for n := range uint32(100) {
		a.kept = append(a.kept, scenarios.Kept{N: n + 1, Sample: make([]byte, 60<<10)})
	}
	text := string(a.append(nil))
	got, err := decodeAnswer(text)
	if err != nil || len(text) > mostAnswer {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if n := len(got.kept); n != 17 || got.kept[n-1].N != 100 {
		t.Errorf("%d samples are left", n)
	}
	for name, bad := range map[string]answer{
		"numbers that fall": {kept: []scenarios.Kept{{N: 2}, {N: 2}}},
		"number zero":       {kept: []scenarios.Kept{{N: 0}}},
		"a long sample":     {kept: []scenarios.Kept{{N: 1, Sample: make([]byte, mostSample+1)}}},
	} {
		bad.from = nodeID(1)
		if _, err := decodeAnswer(string(bad.append(nil))); !errors.Is(err, errMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzQuestion(f *testing.F) {
	q := question{number: 5, asker: nodeID(3), key: [16]byte{1}, gen: -1, upTo: 9, limit: 7}
	f.Add(string(q.append(nil)))
	f.Fuzz(func(t *testing.T, text string) {
		q, err := decodeQuestion(text)
		if err == nil && string(q.append(nil)) != text {
			t.Errorf("%q is read as %+v", text, q)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	a := answer{number: 5, from: nodeID(3), kept: []scenarios.Kept{{N: 3, Sample: []byte("abc")}, {N: 9}}}
	f.Add(string(a.append(nil)))
	f.Fuzz(func(t *testing.T, text string) {
		a, err := decodeAnswer(text)
		if err != nil {
			return
		}
		if string(a.append(nil)) != text || !slices.IsSortedFunc(a.kept, func(x, y scenarios.Kept) int { return int(int64(x.N) - int64(y.N)) }) {
			t.Errorf("%q is read as %+v", text, a)
		}
	})
}

// TestCollectSlow: that questions do not get through as soon as they would have to is
// no sign that Redis is lost.
func TestCollectSlow(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	p := redistest.NewProxy(t, s.Addr())
	c := up(t, 1, at(p.Addr()))
	n, _ := openBuckets(t, c, BucketOptions{}, func(*scenarios.Overflow) {})
	k := n.outbox.samples
	p.Stall()
	begin := time.Now()
	for range failuresToFall {
		pipe := c.rdb().Pipeline()
		pipe.Publish(t.Context(), k.channel(nodeID(2)), "question")
		k.wait(pipe, nil)
	}
	if up, took := c.Up(), time.Since(begin); !up && took < callTimeout {
		t.Errorf("Redis is given up after %v", took)
	}
	if n.Stats().CollectTimeouts != failuresToFall {
		t.Errorf("%+v", n.Stats())
	}
}
