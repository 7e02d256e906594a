package scenarios_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestSamplesShared pours events into several scenarios at once, which keep one body
// of each between them: every alert has what it would have alone.
func TestSamplesShared(t *testing.T) {
	doc := func(name, rest string) string {
		return "type: leaky\nname: " + name + "\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\nleakspeed: 1m\n" + rest
	}
	list := compileAll(t, doc("a", "capacity: 3\n"), doc("b", "capacity: 5\n"), doc("c", "capacity: 3\nscope: {type: user, expression: evt.Meta.x}\n"),
		doc("d", "capacity: 9\ncache_size: 2\n"), doc("e", "capacity: 4\nscope: {type: Range}\n"), doc("f", "capacity: 2\nduration: 30s\n"),
		"type: conditional\nname: g\nfilter: '1 == 1'\ncapacity: -1\nleakspeed: 1m\ncondition: len(queue.Queue) >= 6\ngroupby: evt.Meta.source_ip")
	rng := rand.New(rand.NewPCG(3, 9))
	play := func(rounds int, alone, restart bool) map[string][]string {
		got := map[string][]string{}
		o := scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) {
			ev, err := o.Event()
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(bucketstest.See(o), ev.Overflow.GetSources())
			for i := range o.Samples {
				text += fmt.Sprint(" ", o.Samples[i].Source)
			}
			got[o.Scenario.Name] = append(got[o.Scenario.Name], text)
		}}
		m := scenarios.NewMemory(o)
		for i := range rounds {
			var batch []scenarios.Drop
			d := bucketstest.Drop(list[0], fmt.Sprint("192.0.2.", i*i%5), i, start.Add(time.Duration(i)*time.Second), true)
			d.Event.Meta["x"], d.Event.Meta["SourceRange"] = fmt.Sprint(i%3), "192.0.2.0/24"
			for _, s := range list {
				d.Scenario = s
				batch = append(batch, d)
				if alone {
					m.Pour(batch)
					batch = nil
				}
			}
			if !alone && i%7 == 3 { // in another order
				rng.Shuffle(len(batch), func(a, b int) { batch[a], batch[b] = batch[b], batch[a] })
			}
			m.Pour(batch)
			if restart && i == rounds/2 {
				var b bytes.Buffer
				if err := m.Snapshot(&b); err != nil {
					t.Fatal(err)
				}
				m = scenarios.NewMemory(o)
				if _, _, err := m.Restore(&b, scenarios.NewRules(list)); err != nil {
					t.Fatal(err)
				}
			}
		}
		m.Flush()
		return got
	}
	want := play(400, true, false)
	if len(want) != len(list) {
		t.Fatalf("only %d scenarios overflowed", len(want))
	}
	for _, restart := range []bool{false, true} {
		if d := cmp.Diff(want, play(400, false, restart)); d != "" {
			t.Errorf("restart %v (-alone +together):\n%s", restart, d)
		}
	}
}

// TestSamplesOverwritten: with far too little room samples are missing, but never
// those of another bucket.
func TestSamplesOverwritten(t *testing.T) {
	a, b := leaky(t, "a", "capacity: 7\nleakspeed: 1h\n"), leaky(t, "b", "capacity: 9\nleakspeed: 1h\n")
	whole, cut := 0, 0
	m := scenarios.NewMemory(scenarios.MemoryOptions{MaxBuckets: 4096, SampleBytes: 256 << 10, Overflow: func(o *scenarios.Overflow) {
		for i := range o.Samples {
			s := &o.Samples[i]
			if s.Source.IP != o.Key || s.Meta.Get("source_ip") != o.Key || !strings.HasPrefix(s.Meta.Get("pad"), o.Key) {
				t.Errorf("sample of %s in a bucket of %s", s.Source.IP, o.Key)
			}
		}
		if last := len(o.Samples) - 1; last < 0 || !s64(o.Samples[last].Time).Equal(s64(o.At)) {
			t.Errorf("the overflowing event is missing")
		}
		if whole++; len(o.Samples) < o.Count {
			cut++
		}
	}})
	rng := rand.New(rand.NewPCG(5, 5))
	for i := range 20_000 {
		ip := fmt.Sprint("192.0.2.", rng.IntN(60))
		d := bucketstest.Drop(a, ip, i, start.Add(time.Duration(i)*time.Millisecond), false)
		d.Event.Meta["pad"] = ip + strings.Repeat("x", rng.IntN(300))
		e := d
		e.Scenario = b
		m.Pour([]scenarios.Drop{d, e})
	}
	if cut == 0 || cut == whole {
		t.Errorf("%d overflows, %d without all samples: the test tests nothing", whole, cut)
	}
}

func s64(t time.Time) time.Time { return t.Truncate(time.Microsecond) }
