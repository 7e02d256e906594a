package scenarios_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/scenarios"
)

func leaky(t testing.TB, name, rest string) *scenarios.Scenario {
	t.Helper()
	return compileAll(t, "type: leaky\nname: "+name+"\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\n"+rest)[0]
}

func clock(at time.Time) func() time.Time { return func() time.Time { return at } }

// TestMemoryInline returns overflows instead of sending them.
func TestMemoryInline(t *testing.T) {
	s := leaky(t, "a", "capacity: 2\nleakspeed: 10s\n")
	var sent []bucketstest.Seen
	m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) { sent = append(sent, bucketstest.See(o)) }})
	for i := range 7 {
		out := m.Inline([]scenarios.Drop{bucketstest.Drop(s, "192.0.2.1", i, start, false)})
		if want := i % 3 / 2; len(out) != want {
			t.Errorf("event %d: overflows %v, want %d", i, out, want)
		}
	}
	batch := []scenarios.Drop{bucketstest.Drop(s, "192.0.2.2", 0, start, false), bucketstest.Drop(s, "192.0.2.3", 0, start, false)}
	batch[0].Count, batch[1].Count = 9, 3
	out := m.Inline(batch)
	if len(out) != 4 || out[0].Count != 3 || out[2].Key != "192.0.2.2" || out[3].Key != "192.0.2.3" || len(sent) != 0 {
		t.Errorf("twelve at once: %v, sent %v", out, sent)
	}
	if s := m.Stats(); s.Poured != 19 || s.Overflowed != 6 || s.Buckets != 1 {
		t.Errorf("stats %+v", s)
	}
}

// TestMemoryBound floods with a million keys while one attacker goes on.
func TestMemoryBound(t *testing.T) {
	const most = 50_000
	s := leaky(t, "a", "capacity: 20\nleakspeed: 1h\nblackhole: 1h\n")
	overflows := 0
	m := scenarios.NewMemory(scenarios.MemoryOptions{
		MaxBuckets: most, SampleBytes: 4 << 20, Now: clock(start), Overflow: func(*scenarios.Overflow) { overflows++ },
	})
	ev := &event.Event{Time: start, Meta: map[string]string{"source_ip": "192.0.2.1", "http_path": "/abc"}}
	n := 1_000_000
	if testing.Short() {
		n = 300_000
	}
	for i := range n {
		at := start.Add(time.Duration(i) * time.Microsecond)
		m.Pour([]scenarios.Drop{{Scenario: s, Key: fmt.Sprint("flood", i), At: at, Event: ev}})
		// Every ten thousandth request is the attacker's: he must not be forgotten.
		if i%10_000 == 0 && i/10_000 < 21 {
			m.Pour([]scenarios.Drop{{Scenario: s, Key: "attacker", At: at, Event: ev}})
		}
	}
	st := m.Stats()
	if st.Buckets+st.Blackholes > most || st.Buckets < most*9/10 {
		t.Errorf("%d buckets and %d blackholes, at most %d may be", st.Buckets, st.Blackholes, most)
	}
	if gone := st.Poured - 21 - st.Buckets - st.Evicted; gone < -1 || gone > 1 {
		t.Errorf("buckets that nobody counted: %d of %+v", gone, st)
	}
	if st.SampleBytes > 4<<20 || st.Bytes > most*160+4<<20 {
		t.Errorf("%d bytes, %d of samples", st.Bytes, st.SampleBytes)
	}
	if overflows != 1 {
		t.Errorf("%d overflows of the attacker, want 1", overflows)
	}
	// All of it is over two hours after the last life: 21 × 1 h.
	for range 40 {
		m.Sweep(start.Add(48 * time.Hour))
	}
	if st := m.Stats(); st.Buckets != 0 || st.Blackholes != 0 || st.Bytes-st.SampleBytes != 0 {
		t.Errorf("after sweeping: %+v", st)
	}
}

// TestMemoryDistinctBound keeps the values of slow attackers within bounds.
func TestMemoryDistinctBound(t *testing.T) {
	s := leaky(t, "a", "capacity: 100000\nleakspeed: 1ms\ndistinct: evt.Meta.x\n")
	m := scenarios.NewMemory(scenarios.MemoryOptions{MaxBuckets: 1000, SampleBytes: -1})
	known := int64(0)
	for i := range 30_000 {
		for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			// What was just poured is known at once, whatever had to make way for it.
			d := scenarios.Drop{Scenario: s, Key: key, At: start, Distinct: fmt.Sprint(i), Event: &event.Event{}}
			m.Pour([]scenarios.Drop{d, d})
			known++
		}
	}
	st := m.Stats()
	if st.Bytes > 2<<20 || st.Evicted == 0 || st.Discarded != known {
		t.Errorf("%d discarded, want %d: %+v", st.Discarded, known, st)
	}
}

// TestMemorySamplesBound says how many events were kept.
func TestMemorySamplesBound(t *testing.T) {
	s := leaky(t, "a", "capacity: 5\nleakspeed: 10s\n")
	var out []*scenarios.Overflow
	m := scenarios.NewMemory(scenarios.MemoryOptions{MaxBuckets: 1000, SampleBytes: 8 << 10, Overflow: func(o *scenarios.Overflow) { out = append(out, o) }})
	pour := func(key string, i int) {
		d := bucketstest.Drop(s, "192.0.2.1", i, start, false)
		d.Event.Meta["http_path"] = strings.Repeat("x", 300)
		d.Key = key
		m.Pour([]scenarios.Drop{d})
	}
	pour("a", 0)
	pour("a", 1)
	for i := range 100 {
		pour(fmt.Sprint("other", i), i)
	}
	for i := 2; i < 6; i++ {
		pour("a", i)
	}
	if len(out) != 1 {
		t.Fatalf("%d overflows", len(out))
	}
	ev, err := out[0].Event()
	if err != nil {
		t.Fatal(err)
	}
	if a := ev.Overflow.Alert; a.EventsCount != 6 || a.Kept != 4 || len(a.Events) != 4 || a.Events[0].GetMeta("id") != "2" {
		t.Errorf("count %d, kept %d, %v", a.EventsCount, a.Kept, a.Events)
	}
	// A huge event is cut, not lost, and none at all is kept where there is no room.
	pour("b", 0)
	huge := bucketstest.Drop(s, "192.0.2.1", 9, start, false)
	for i := range 200 {
		huge.Event.Meta[fmt.Sprint("k", i)] = strings.Repeat("é", 5000)
	}
	huge.Key, huge.Count = "c", 6
	m.Pour([]scenarios.Drop{huge})
	last := out[len(out)-1].Samples
	if len(last) == 0 || len(last[len(last)-1].Meta) == 0 || last[len(last)-1].Source.IP != "192.0.2.1" {
		t.Errorf("huge event: %d samples", len(last))
	}
}

// TestMemoryUse keeps the buckets of scenarios that did not change.
func TestMemoryUse(t *testing.T) {
	a, b := leaky(t, "a", "capacity: 2\nleakspeed: 1h\n"), leaky(t, "b", "capacity: 2\nleakspeed: 1h\n")
	changed := leaky(t, "b", "capacity: 3\nleakspeed: 1h\n")
	again := compileAll(t, "type: leaky\nname: a\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: 2\nleakspeed: 1h\ndescription: new\nlabels: {x: y}\n")[0]
	var got []string
	m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) {
		got = append(got, fmt.Sprint(o.Scenario.Name, o.Scenario.Description, o.Count))
	}})
	m.Use(scenarios.NewRules([]*scenarios.Scenario{a, b}))
	pour := func(s *scenarios.Scenario, n int) {
		for i := range n {
			m.Pour([]scenarios.Drop{bucketstest.Drop(s, "192.0.2.1", i, start, false)})
		}
	}
	pour(a, 2)
	pour(b, 2)
	m.Use(scenarios.NewRules([]*scenarios.Scenario{changed, again}))
	pour(again, 1)
	pour(changed, 1)
	if d := cmp.Diff([]string{"anew3"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if st := m.Stats(); st.Replaced != 1 || st.Buckets != 1 {
		t.Errorf("stats %+v", st)
	}
	// Many reloads with ever new scenarios do not use up the numbers.
	for i := range 300 {
		m.Use(scenarios.NewRules([]*scenarios.Scenario{again, leaky(t, fmt.Sprint("n", i), "capacity: 2\nleakspeed: 1h\n")}))
	}
	pour(again, 3)
	if len(got) != 2 {
		t.Errorf("after many reloads: %v", got)
	}
}

// TestMemorySweep leaves what still counts.
func TestMemorySweep(t *testing.T) {
	now := start
	s := leaky(t, "a", "capacity: 2\nleakspeed: 10s\n")
	m := scenarios.NewMemory(scenarios.MemoryOptions{Now: func() time.Time { return now }})
	pour := func(key string, at time.Time, replay bool) {
		m.Pour([]scenarios.Drop{{Scenario: s, Key: key, At: at, Replay: replay, Event: &event.Event{}}})
	}
	sweep := func(after time.Duration) int64 {
		now = start.Add(after)
		for range 20 {
			m.Sweep(now)
		}
		return m.Stats().Buckets
	}
	pour("live", start, false)
	pour("late", start.Add(-time.Hour), false)
	pour("replay", start.Add(-20*time.Hour), true)
	if n := sweep(30 * time.Second); n != 3 {
		t.Errorf("at the end of its life: %d", n)
	}
	if n := sweep(31 * time.Second); n != 2 {
		t.Errorf("after its life: %d", n)
	}
	if n := sweep(10 * time.Minute); n != 2 {
		t.Errorf("ten minutes later: %d", n)
	}
	if n := sweep(11 * time.Minute); n != 0 {
		t.Errorf("eleven minutes later: %d", n)
	}
}

// TestMemoryRace pours, sweeps, swaps rules and writes snapshots all at once, and
// counts: every sixth of the pours of a key must overflow.
func TestMemoryRace(t *testing.T) {
	s := leaky(t, "a", "capacity: 5\nleakspeed: 1h\ndistinct: evt.Meta.id\n")
	black := leaky(t, "b", "capacity: 1\nleakspeed: 1h\nblackhole: 1h\n")
	rules := scenarios.NewRules([]*scenarios.Scenario{s, black})
	var mu sync.Mutex
	got, ids := map[string]int{}, map[string]bool{}
	m := scenarios.NewMemory(scenarios.MemoryOptions{Now: clock(start), Overflow: func(o *scenarios.Overflow) {
		mu.Lock()
		defer mu.Unlock()
		got[o.Scenario.Name+o.Key]++
		if ids[o.ID] {
			t.Errorf("id %s twice", o.ID)
		}
		ids[o.ID] = true
	}})
	m.Use(rules)
	var pours, others sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		pours.Go(func() {
			for i := range 3000 {
				d := bucketstest.Drop(s, fmt.Sprint("k", i%10), i, start, false)
				d.Distinct = fmt.Sprint(w, "-", i)
				e := d
				e.Scenario = black
				m.Pour([]scenarios.Drop{d, e})
			}
		})
	}
	for _, f := range []func(){
		func() { m.Sweep(start) },
		func() { m.Use(rules) },
		func() { m.Snapshot(&bytes.Buffer{}) },
		func() { m.Stats() },
	} {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	pours.Wait()
	close(stop)
	others.Wait()
	for k := range 10 {
		if n := got[fmt.Sprint("ak", k)]; n != 4*300/6 {
			t.Errorf("key %d: %d overflows, want %d", k, n, 4*300/6)
		}
		if n := got[fmt.Sprint("bk", k)]; n != 1 {
			t.Errorf("key %d: %d overflows within a blackhole", k, n)
		}
	}
}
