package scenarios_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"encoding/binary"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/scenarios"
	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
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
		o := m.Inline(bucketstest.Drop(s, "192.0.2.1", i, start, false))
		if (o != nil) != (i%3 == 2) {
			t.Errorf("event %d: overflow %v", i, o)
		}
	}
	d := bucketstest.Drop(s, "192.0.2.2", 0, start, false)
	d.Count = 9
	if o := m.Inline(d); o == nil || o.Count != 3 || len(sent) != 2 {
		t.Errorf("nine at once: %v, sent %v", o, sent)
	}
	if s := m.Stats(); s.Poured != 16 || s.Overflowed != 5 || s.Buckets != 1 {
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
		n = 200_000
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
	for i := range 60_000 {
		for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			m.Pour([]scenarios.Drop{{Scenario: s, Key: key, At: start, Distinct: fmt.Sprint(i), Event: &event.Event{}}})
		}
	}
	st := m.Stats()
	if st.Bytes > 2<<20 || st.Evicted == 0 {
		t.Errorf("%+v", st)
	}
	// A value that was just seen is known, whatever was forgotten before.
	m.Pour([]scenarios.Drop{{Scenario: s, Key: "h", At: start, Distinct: "59999", Event: &event.Event{}}})
	if got := m.Stats().Discarded; got != 1 {
		t.Errorf("%d discarded, want 1", got)
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

// TestSnapshot cuts random traces in two: what comes after a restart must be what
// would have come without.
func TestSnapshot(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for n := range 60 {
		s := bucketstest.Scenario(t, bucketstest.Config(rng))
		rules := scenarios.NewRules([]*scenarios.Scenario{s})
		list := bucketstest.Trace(rng, s, n%7, n%2 == 0)
		run := func(cut int) (got []bucketstest.Seen) {
			sink := func(o *scenarios.Overflow) { got = append(got, bucketstest.See(o)) }
			m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: sink})
			m.Pour(list[:cut])
			var b bytes.Buffer
			if err := m.Snapshot(&b); err != nil {
				t.Fatal(err)
			}
			before := m.Stats()
			m = scenarios.NewMemory(scenarios.MemoryOptions{Overflow: sink, Shards: 8})
			kept, dropped, err := m.Restore(&b, rules)
			if err != nil || int64(kept) != before.Buckets+before.Blackholes || dropped != 0 {
				t.Fatalf("kept %d, dropped %d, %v; before %+v", kept, dropped, err, before)
			}
			m.Pour(list[cut:])
			return got
		}
		want := run(0)
		if d := cmp.Diff(want, run(len(list)/2)); d != "" {
			t.Fatalf("trace %d (-without +with a restart):\n%s", n, d)
		}
	}
}

func TestRestoreErrors(t *testing.T) {
	a, b := leaky(t, "a", "capacity: 2\nleakspeed: 1h\ndistinct: evt.Meta.id\n"), leaky(t, "b", "capacity: 2\nleakspeed: 1h\n")
	m := scenarios.NewMemory(scenarios.MemoryOptions{})
	for i := range 10 {
		m.Pour([]scenarios.Drop{bucketstest.Drop(a, fmt.Sprint(i), i, start, false), bucketstest.Drop(b, fmt.Sprint(i), i, start, false)})
	}
	var buf bytes.Buffer
	if err := m.Snapshot(&buf); err != nil {
		t.Fatal(err)
	}
	rules := scenarios.NewRules([]*scenarios.Scenario{a})
	if _, _, err := m.Restore(bytes.NewReader(buf.Bytes()), rules); !errors.Is(err, scenarios.ErrInUse) {
		t.Errorf("into a memory in use: %v", err)
	}
	fresh := scenarios.NewMemory(scenarios.MemoryOptions{})
	if kept, dropped, err := fresh.Restore(bytes.NewReader(buf.Bytes()), rules); kept != 10 || dropped != 10 || err != nil {
		t.Errorf("kept %d, dropped %d, %v", kept, dropped, err)
	}
	// Every byte counts, and so does every one that is missing.
	for i := 0; i < buf.Len(); i += 3 {
		bad := bytes.Clone(buf.Bytes())
		bad[i] ^= 0x41
		if _, _, err := scenarios.NewMemory(scenarios.MemoryOptions{}).Restore(bytes.NewReader(bad), rules); err == nil {
			t.Fatalf("byte %d changed: no error", i)
		}
		if _, _, err := scenarios.NewMemory(scenarios.MemoryOptions{}).Restore(bytes.NewReader(buf.Bytes()[:i]), rules); !errors.Is(err, scenarios.ErrDamaged) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

// FuzzRestore mends the checksums, so that the fuzzer gets behind them.
func FuzzRestore(f *testing.F) {
	a := leaky(f, "a", "capacity: 2\nleakspeed: 1h\ndistinct: evt.Meta.id\nblackhole: 1h\n")
	m := scenarios.NewMemory(scenarios.MemoryOptions{MaxBuckets: 64})
	for i := range 9 {
		m.Pour([]scenarios.Drop{bucketstest.Drop(a, fmt.Sprint(i/4), i, start, i%2 == 0)})
	}
	var buf bytes.Buffer
	if err := m.Snapshot(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	rules := scenarios.NewRules([]*scenarios.Scenario{a})
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.Clone(data)
		for rest := data; len(rest) >= 8; {
			n := min(int(binary.LittleEndian.Uint32(rest)), len(rest)-8)
			binary.LittleEndian.PutUint32(rest, uint32(n))
			binary.LittleEndian.PutUint32(rest[4:], crc32.Checksum(rest[8:8+n], crc32.MakeTable(crc32.Castagnoli)))
			rest = rest[8+n:]
		}
		m := scenarios.NewMemory(scenarios.MemoryOptions{MaxBuckets: 64, SampleBytes: 1 << 16, Overflow: func(o *scenarios.Overflow) { o.Event() }})
		m.Restore(bytes.NewReader(data), rules)
		for i := range 20 {
			d := bucketstest.Drop(a, fmt.Sprint(i/4), i, start, false)
			d.Distinct = fmt.Sprint(i)
			m.Pour([]scenarios.Drop{d})
		}
		m.Sweep(start.Add(100 * time.Hour))
		if err := m.Snapshot(&bytes.Buffer{}); err != nil {
			t.Error(err)
		}
	})
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
