package scenarios_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestSnapshotDistinct restores which value is the oldest of a full set.
func TestSnapshotDistinct(t *testing.T) {
	s := leaky(t, "a", "capacity: 100000\nleakspeed: 1ms\ndistinct: evt.Meta.x\n")
	rules := scenarios.NewRules([]*scenarios.Scenario{s})
	m := scenarios.NewMemory(scenarios.MemoryOptions{SampleBytes: -1})
	pour := func(v int) (known bool) {
		before := m.Stats().Discarded
		m.Pour([]scenarios.Drop{{Scenario: s, Key: "k", At: start, Distinct: fmt.Sprint(v), Event: &event.Event{}}})
		return m.Stats().Discarded > before
	}
	for v := range 10_005 {
		pour(v)
	}
	var b bytes.Buffer
	if err := m.Snapshot(&b); err != nil {
		t.Fatal(err)
	}
	m = scenarios.NewMemory(scenarios.MemoryOptions{SampleBytes: -1})
	if kept, _, err := m.Restore(&b, rules); kept != 1 || err != nil {
		t.Fatalf("kept %d, %v", kept, err)
	}
	if pour(10_005) || !pour(10_000) || !pour(6) || pour(5) {
		t.Error("the sixth value must be the one that was forgotten")
	}
}

// TestSnapshot cuts random traces in two: what comes after a restart must be what
// would have come without.
func TestSnapshot(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	whole, types := 0, map[string]int{}
	for n := range 150 {
		s := bucketstest.Scenario(t, bucketstest.Config(rng))
		rules := scenarios.NewRules([]*scenarios.Scenario{s})
		list := bucketstest.Trace(rng, s, n%bucketstest.Traces, n%2 == 0)
		run := func(cut int) (got []bucketstest.Seen, unsaved int64) {
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
			if err != nil || before.Unsaved == 0 && int64(kept) != before.Buckets+before.Blackholes || dropped != 0 {
				t.Fatalf("kept %d, dropped %d, %v; before %+v", kept, dropped, err, before)
			}
			m.Pour(list[cut:])
			m.Flush()
			return got, before.Unsaved
		}
		want, _ := run(0)
		got, unsaved := run(len(list) / 2)
		if unsaved > 0 {
			whole++ // conditions that read whole events: their buckets do not last
			continue
		}
		types[s.Type]++
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("trace %d (-without +with a restart):\n%s", n, d)
		}
	}
	if t.Logf("%d with whole events, else %v", whole, types); min(types["leaky"], types["counter"], types["conditional"], types["bayesian"]) < 10 {
		t.Error("that is too few of one type")
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
	// Numbers of scenarios are others here than they were there.
	fresh = scenarios.NewMemory(scenarios.MemoryOptions{Now: clock(start)})
	both := scenarios.NewRules([]*scenarios.Scenario{b, a})
	fresh.Use(both)
	if kept, _, err := fresh.Restore(bytes.NewReader(buf.Bytes()), both); kept != 20 || err != nil {
		t.Errorf("kept %d, %v", kept, err)
	}
	fresh.Use(rules)
	fresh.Pour([]scenarios.Drop{bucketstest.Drop(a, "3", 3, start, false)})
	// The value that this bucket of a had seen before is still known.
	if st := fresh.Stats(); st.Buckets != 10 || st.Replaced != 10 || st.Discarded != 1 {
		t.Errorf("after b is gone: %+v", st)
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
	const open = "\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: -1\n"
	list := append(compileAll(f, "type: counter"+open+"name: b\nduration: 1h\ndistinct: evt.Meta.id\n",
		"type: conditional"+open+"name: c\nleakspeed: 1h\ncondition: queue.Queue[-5].Meta.id == evt.Meta.id || sum(map(queue.Queue, {len(.Parsed.y)})) > 9\n",
		"type: bayesian"+open+"name: d\nleakspeed: 1h\nbayesian_prior: 0.5\nbayesian_threshold: 0.9\nduration: 2h\n"+
			"bayesian_conditions: [{condition: \"any(queue.Queue[-2:], {.Meta.id == '3'})\", prob_given_evil: 0.8, prob_given_benign: 0.2, guillotine: true}]\n"),
		leaky(f, "a", "capacity: 2\nleakspeed: 1h\ndistinct: evt.Meta.id\nblackhole: 1h\n"))
	m := scenarios.NewMemory(scenarios.MemoryOptions{MaxBuckets: 64})
	for i := range 36 {
		m.Pour([]scenarios.Drop{bucketstest.Drop(list[i%4], fmt.Sprint(i/16), i/4, start, i%3 == 0)})
	}
	var buf bytes.Buffer
	if err := m.Snapshot(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	rules := scenarios.NewRules(list)
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
		for i := range 60 {
			d := bucketstest.Drop(list[i%4], fmt.Sprint(i/16), i/4, start, false)
			d.Distinct = fmt.Sprint(i)
			m.Pour([]scenarios.Drop{d})
		}
		m.Sweep(start.Add(100 * time.Hour))
		m.Flush()
		if err := m.Snapshot(&bytes.Buffer{}); err != nil {
			t.Error(err)
		}
	})
}
