package scenarios_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/scenarios"
)

func conditionOf(t testing.TB, name, condition, rest string) *scenarios.Scenario {
	t.Helper()
	return compileAll(t, fmt.Sprintf("type: conditional\nname: %s\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: -1\nleakspeed: 1h\ncondition: %q\n%s", name, condition, rest))[0]
}

// TestQueueBound: what CrowdSec keeps without a bound ends at a thousand events, and
// each that makes way is counted.
func TestQueueBound(t *testing.T) {
	var last *scenarios.Overflow
	for _, c := range []struct {
		condition string
		text      int // bytes of the field that it reads
		events    int
		forgotten int64
		overflows bool
	}{
		{"len(queue.Queue) >= 1000", 1, 1000, 0, true},
		{"len(queue.Queue) > 1000", 1, 3000, 2000, false},
		{"any(queue.Queue[-9:], {.Meta.x == evt.Meta.id}) && len(queue.Queue) > 1000", 1, 1100, 100, false},
		{"queue.Queue[0].Meta.id == '700'", 1, 1700, 700, true},
		{"sum(map(queue.Queue, {len(.Meta.x)})) > 300000", 4000, 200, 135, false},
		{"queue.Queue[0].Meta.x == '' && any(queue.Queue, {len(keys(.Meta)) > 100})", 1, 1020, 20, false},
	} {
		s := conditionOf(t, "a", c.condition, "")
		last = nil
		m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) { last = o }})
		for i := range c.events {
			d := bucketstest.Drop(s, "192.0.2.1", i, start, false)
			d.Event.Meta["x"] = strings.Repeat("x", c.text)
			m.Pour([]scenarios.Drop{d})
		}
		if st := m.Stats(); st.Forgotten != c.forgotten || (last != nil) != c.overflows || st.Bytes > 8<<20 {
			t.Errorf("%s: overflow %v, %+v", c.condition, last, st)
		}
		if last != nil && (last.Count != c.events || len(last.Samples) != 1000) {
			t.Errorf("%s: count %d, %d samples", c.condition, last.Count, len(last.Samples))
		}
	}
}

// TestQueueFailures counts conditions that fail, by scenario.
func TestQueueFailures(t *testing.T) {
	a, b := conditionOf(t, "a", "queue.Queue[-2].Meta.id == '0'", ""), conditionOf(t, "b", "len(queue.Queue) > 9", "overflow_filter: queue.Queue[50].Meta.x == ''\n")
	m := scenarios.NewMemory(scenarios.MemoryOptions{})
	for i := range 20 {
		m.Pour([]scenarios.Drop{bucketstest.Drop(a, "192.0.2.1", i, start, false), bucketstest.Drop(b, "192.0.2.1", i, start, false)})
	}
	got := m.Failures()
	// a fails at the first event of each bucket; b's filter at each overflow.
	if len(got) != 2 || got[0].Scenario != a || got[0].Count != 2 || got[1].Count != 2 || got[1].Last == nil || m.Stats().Failed != 4 || m.Stats().Overflowed != 3 {
		t.Errorf("failures %+v, %+v", got, m.Stats())
	}
}

// TestQueueSeesCopies: the event of a pour belongs to whoever poured it, and is
// changed after that.
func TestQueueSeesCopies(t *testing.T) {
	for _, condition := range []string{
		"len(queue.Queue) == 3 && queue.Queue[0].Meta.id == '0' && queue.Queue[1].Parsed.p == '1' && queue.Queue[2].Time.Minute() == 2",
		"len(queue.Queue) == 3 && queue.Queue[0].Meta.id == '0' && queue.Queue[1].Parsed.p == '1' && queue.Queue[1].Unmarshaled.u == 1 && len(keys(queue.Queue[0].Meta)) == 3",
	} {
		s := conditionOf(t, "a", condition, "")
		m := scenarios.NewMemory(scenarios.MemoryOptions{})
		d := bucketstest.Drop(s, "192.0.2.1", 0, start, false)
		for i := range 3 {
			d.Event.Meta["id"] = fmt.Sprint(i)
			d.Event.Parsed = map[string]string{"p": fmt.Sprint(i)}
			d.Event.SetParsed("p", fmt.Sprint(i))
			d.Event.Unmarshaled = map[string]any{"u": i}
			d.Event.Time = start.Add(time.Duration(i) * time.Minute)
			m.Pour([]scenarios.Drop{d})
			clear(d.Event.Unmarshaled)
			clear(d.Event.Parsed)
		}
		if n := m.Stats().Overflowed; n != 1 {
			t.Errorf("%s: %d overflows", condition, n)
		}
	}
}

// TestQueueAllocations: a pour whose condition is told quickly makes no garbage.
func TestQueueAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := conditionOf(t, "a", "let bad = filter(queue.Queue, {#.Meta.log_type == 'ssh_failed-auth'}); len(bad) >= 4 && MedianInterval(map(bad[-4:], {#.Time})) > duration('10m')", "")
	m := scenarios.NewMemory(scenarios.MemoryOptions{SampleBytes: 1 << 20})
	batch := []scenarios.Drop{{Scenario: s, Key: "203.0.113.77", At: start, Event: sshEvent(map[string]string{"ip": "203.0.113.77", "user": "root"}, start)}}
	for range 10_000 {
		m.Pour(batch)
	}
	if n := testing.AllocsPerRun(1000, func() { m.Pour(batch) }); n > 0.5 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestQueueRace: conditions run without the shard's lock, and still every one is
// asked of exactly the events that came before: every fourth overflows, whoever
// pours.
func TestQueueRace(t *testing.T) {
	quick, whole := conditionOf(t, "a", "len(queue.Queue) >= 4", ""), conditionOf(t, "b", "sum(map(queue.Queue, {len(.Meta.log_type)})) >= 16", "")
	timed := count(t, "c", "duration: 1ms\n")
	var mu sync.Mutex
	got, counted := map[string]int{}, 0
	m := scenarios.NewMemory(scenarios.MemoryOptions{Now: clock(start), Overflow: func(o *scenarios.Overflow) {
		mu.Lock()
		defer mu.Unlock()
		got[o.Scenario.Name]++
		if o.Scenario.Type == scenarios.Counter {
			counted += o.Count
		} else if o.Count != 4 || len(o.Samples) != 4 {
			t.Errorf("overflow of %d events, %d samples", o.Count, len(o.Samples))
		}
	}})
	var pours sync.WaitGroup
	for range 8 {
		pours.Go(func() {
			for i := range 500 {
				d := bucketstest.Drop(quick, "k", i, start, false)
				e, f := d, d
				e.Scenario, f.Scenario = whole, timed
				f.At = start.Add(time.Duration(i) * 100 * time.Microsecond)
				m.Pour([]scenarios.Drop{d, e, f})
				if i%50 == 0 {
					m.Sweep(f.At)
				}
			}
		})
	}
	pours.Wait()
	m.Flush()
	if got["a"] != 1000 || got["b"] != 1000 || counted != 4000 {
		t.Errorf("%v, %d events counted, want 1000, 1000 and 4000", got, counted)
	}
}

// TestQueueFlood: a million sources with conditions, durations and distinct values
// stay below the bound; an attacker who goes on is not forgotten.
func TestQueueFlood(t *testing.T) {
	const most = 30_000
	list := []*scenarios.Scenario{
		conditionOf(t, "a", "len(queue.Queue) >= 20 && sum(map(queue.Queue, {len(.Meta.http_path)})) > 0", ""), count(t, "b", "duration: 1h\ndistinct: evt.Meta.http_path\n"),
		compileAll(t, "type: bayesian\nname: c\nfilter: '1 == 1'\ncapacity: -1\nleakspeed: 1h\nbayesian_prior: 0.1\nbayesian_threshold: 0.9\nbayesian_conditions: [{condition: 'any(queue.Queue, {len(keys(.Meta)) > 9})', prob_given_evil: 0.9, prob_given_benign: 0.1, guillotine: true}]\n")[0],
	}
	overflows := 0
	now := start
	m := scenarios.NewMemory(scenarios.MemoryOptions{
		MaxBuckets: most, SampleBytes: 4 << 20, Now: func() time.Time { return now }, Overflow: func(o *scenarios.Overflow) {
			if o.Key == "attacker" && o.Scenario.Type == scenarios.Conditional {
				overflows++
			}
		},
	})
	ev := &event.Event{Time: start, Meta: map[string]string{"source_ip": "192.0.2.1", "http_path": "/abc"}}
	n := 1_000_000
	if testing.Short() || raceEnabled {
		n = 60_000
	}
	peak := int64(0)
	for i := range n {
		now = start.Add(time.Duration(i) * 50 * time.Microsecond) // 20,000 a second
		m.Pour([]scenarios.Drop{{Scenario: list[i%3], Key: fmt.Sprint("flood", i), At: now, Distinct: "/abc", Event: ev}})
		if i%2000 == 0 && i/2000 < 20 {
			m.Pour([]scenarios.Drop{{Scenario: list[0], Key: "attacker", At: now, Event: ev}})
		}
		if i%20_000 == 0 {
			m.Sweep(now)
			peak = max(peak, m.Stats().Bytes)
		}
	}
	st := m.Stats()
	if st.Buckets+st.Blackholes > most || st.Poured-st.Buckets-st.Evicted-20 > 1 || st.Evicted == 0 {
		t.Errorf("buckets that nobody counted: %+v", st)
	}
	// Entries, what is beside them, samples; each shard has room of its own.
	if limit := int64(most*(100+128) + 4<<20 + 32<<20); peak > limit {
		t.Errorf("%d bytes at most, the bound is %d", peak, limit)
	}
	if overflows != 1 {
		t.Errorf("%d overflows of the attacker, want 1", overflows)
	}
	m.Flush()
	for range 40 {
		m.Sweep(start.Add(48 * time.Hour))
	}
	if st := m.Stats(); st.Buckets != 0 || st.Bytes != st.SampleBytes {
		t.Errorf("after all is over: %+v", st)
	}
}
