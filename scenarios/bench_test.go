package scenarios_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/scenarios"
)

// request is a live request as the engine hands it on: 12 fields of Meta.
func request(status string) *event.Event {
	ev := httpEvent(map[string]string{
		"ip": "203.0.113.77", "path": "/products/garden/chairs?sort=price&page=2", "status": status, "verb": "GET",
		"ua": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36", "host": "shop.example.com",
	}, start)
	ev.MarshaledTime = start.Format(time.RFC3339Nano)
	ev.From.Inline = true
	ev.Meta["timestamp"] = ev.MarshaledTime
	ev.Meta["http_args_len"], ev.Meta["datasource_type"], ev.Meta["datasource_path"] = "17", "http", "rampart"
	return ev
}

// keys are a million addresses in one text. They are poured in its order, so that
// the benchmark itself fetches no memory: a request brings its own address. The
// buckets were made in another order, so that each is somewhere else than the last.
type keys string

func (k keys) key(i int) string { return string(k[i*12 : i*12+12]) }

// million fills a Memory with a million buckets.
func million(b *testing.B, s *scenarios.Scenario) (*scenarios.Memory, keys) {
	b.Helper()
	m := scenarios.NewMemory(scenarios.MemoryOptions{MaxBuckets: 1_200_000})
	var text strings.Builder
	for i := range 1 << 20 {
		fmt.Fprintf(&text, "10.%02d.%03d.%02x", i>>16, i>>8&255, i&255)
	}
	all := keys(text.String())
	ev := request("200")
	for i := range 1 << 20 {
		i = i * 7919 * 131 & (1<<20 - 1)
		m.Pour([]scenarios.Drop{{Scenario: s, Key: all.key(i), At: start, Event: ev}})
	}
	if n := m.Stats().Buckets; n != 1<<20 {
		b.Fatalf("%d buckets", n)
	}
	return m, all
}

// BenchmarkPour pours into one of a million live buckets, each time another; hot,
// it is always the same thousand of them. Each has one event a second.
func BenchmarkPour(b *testing.B) {
	s := leaky(b, "a", "capacity: 40\nleakspeed: 500ms\n")
	for _, c := range []struct {
		name   string
		among  int
		replay bool
	}{{"live", 1 << 20, false}, {"replay", 1 << 20, true}, {"hot", 1 << 10, false}} {
		b.Run(c.name, func(b *testing.B) {
			m, all := million(b, s)
			batch := []scenarios.Drop{{Scenario: s, At: start, Event: request("200"), Replay: c.replay}}
			b.ReportAllocs()
			i := 0
			defer testkit.CPU(b)()
			for b.Loop() {
				i++
				batch[0].Key = all.key(i & (c.among - 1))
				batch[0].At = start.Add(time.Duration(i) * (time.Second / time.Duration(c.among)))
				m.Pour(batch)
			}
			runtime.KeepAlive(m)
		})
	}
}

// BenchmarkPourEvent pours one event into four of a million buckets, as most events
// that fit anything do: it is encoded once. The time is that of all four.
func BenchmarkPourEvent(b *testing.B) {
	s := leaky(b, "a", "capacity: 40\nleakspeed: 500ms\n")
	m, all := million(b, s)
	var batch []scenarios.Drop
	for _, name := range []string{"a", "b", "c", "d"} {
		batch = append(batch, scenarios.Drop{Scenario: leaky(b, name, "capacity: 40\nleakspeed: 500ms\n"), Event: request("200")})
	}
	b.ReportAllocs()
	i := 0
	defer testkit.CPU(b)()
	for b.Loop() {
		i++
		for n := range batch {
			batch[n].Event, batch[n].Key = batch[0].Event, all.key(i&1023)
			batch[n].At = start.Add(time.Duration(i) * time.Millisecond)
		}
		m.Pour(batch)
	}
}

// BenchmarkFilters is what each of our scenarios costs on a benign page view.
func BenchmarkFilters(b *testing.B) {
	for _, name := range append(builtinNames(b, "http/*.yaml"), builtinNames(b, "wordpress/*.yaml")...) {
		b.Run(strings.TrimSuffix(name, ".yaml"), func(b *testing.B) {
			rules := scenarios.NewRules(loadBuiltin(b, name))
			ev := request("200")
			var out []scenarios.Drop
			b.ReportAllocs()
			defer testkit.CPU(b)()
			for b.Loop() {
				out = rules.Drops(ev, scenarios.Whole, start, out[:0])
			}
		})
	}
}

// BenchmarkBucketBytes reports what a bucket costs the process, without samples.
func BenchmarkBucketBytes(b *testing.B) {
	s := leaky(b, "a", "capacity: 40\nleakspeed: 500ms\n")
	for b.Loop() {
		var before, after runtime.MemStats
		m := scenarios.NewMemory(scenarios.MemoryOptions{MaxBuckets: 1_200_000, SampleBytes: -1})
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range 1 << 20 {
			m.Pour([]scenarios.Drop{{Scenario: s, Key: fmt.Sprint(i), At: start, Event: &event.Event{}}})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "B/bucket")
		runtime.KeepAlive(m)
	}
}

// BenchmarkDrops finds what a live event pours, with all our HTTP scenarios: both
// phases together.
func BenchmarkDrops(b *testing.B) {
	names := append(builtinNames(b, "http/*.yaml"), builtinNames(b, "wordpress/*.yaml")...)
	rules := scenarios.NewRules(loadBuiltin(b, names...)).WithRequestPhase(responseSide)
	for _, status := range []string{"200", "404"} {
		b.Run(status, func(b *testing.B) {
			ev := request(status)
			var out []scenarios.Drop
			b.ReportAllocs()
			defer testkit.CPU(b)()
			for b.Loop() {
				out = rules.Drops(ev, scenarios.Request, start, out[:0])
				out = rules.Drops(ev, scenarios.Response, start, out)
			}
			b.ReportMetric(float64(len(out)), "drops")
		})
	}
	b.Run("ssh", func(b *testing.B) {
		ev := sshEvent(map[string]string{"ip": "203.0.113.77", "user": "root"}, start)
		var out []scenarios.Drop
		b.ReportAllocs()
		for b.Loop() {
			out = rules.Drops(ev, scenarios.Whole, start, out[:0])
		}
	})
}

// TestPourAllocations pins the hot path: a pour into a bucket that is there.
func TestPourAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := leaky(t, "a", "capacity: 40\nleakspeed: 1us\n")
	distinct := leaky(t, "b", "capacity: 40\nleakspeed: 1us\ndistinct: evt.Meta.x\n")
	m := scenarios.NewMemory(scenarios.MemoryOptions{SampleBytes: 1 << 20})
	at := start
	batch := []scenarios.Drop{
		{Scenario: s, Key: "203.0.113.77", Event: request("200")},
		{Scenario: distinct, Key: "203.0.113.77", Distinct: "/a", Event: request("200")},
	}
	pour := func() {
		at = at.Add(time.Microsecond)
		batch[0].At, batch[1].At = at, at
		m.Pour(batch)
	}
	// The ring's pages are made once.
	for range 10_000 {
		pour()
	}
	if n := testing.AllocsPerRun(1000, pour); n > 0.5 {
		t.Errorf("%v allocations for two pours, want 0", n)
	}
}

// BenchmarkPourCondition pours failed and good logins into buckets with conditions
// of the usual shapes, which hold up to a hundred events each.
func BenchmarkPourCondition(b *testing.B) {
	for name, condition := range map[string]string{
		"length":   "len(queue.Queue) >= 4000",
		"filter":   "let bad = filter(queue.Queue, {#.Meta.log_type == 'ssh_failed-auth'}); len(bad) >= 4 && MedianInterval(map(bad[-4:], {#.Time})) > duration('10m')",
		"any":      "any(queue.Queue, {.Meta.user == 'a'}) and any(queue.Queue, {.Meta.user == 'b'})",
		"distance": "len(queue.Queue) >= 2 and Distance(queue.Queue[-1].Enriched.Latitude, queue.Queue[-1].Enriched.Longitude, queue.Queue[-2].Enriched.Latitude, queue.Queue[-2].Enriched.Longitude) > 1000",
		"whole":    "sum(map(queue.Queue, {len(.Meta.user)})) > 100000",
	} {
		b.Run(name, func(b *testing.B) {
			s := compileAll(b, "type: conditional\nname: c\nfilter: '1 == 1'\ncapacity: -1\nleakspeed: 2h\ngroupby: evt.Meta.source_ip\ncondition: "+strconv.Quote(condition)+"\n")[0]
			m := scenarios.NewMemory(scenarios.MemoryOptions{})
			ev := sshEvent(map[string]string{"ip": "203.0.113.77", "user": "root"}, start)
			ev.Enriched = map[string]string{"Latitude": "48.1", "Longitude": "11.5"}
			keys := make([]string, 1000)
			for i := range keys {
				keys[i] = fmt.Sprint("203.0.113.", i)
			}
			batch := []scenarios.Drop{{Scenario: s, At: start, Event: ev}}
			b.ReportAllocs()
			i := 0
			defer testkit.CPU(b)()
			for b.Loop() {
				i++
				batch[0].Key = keys[i%1000]
				batch[0].At = start.Add(time.Duration(i) * time.Millisecond)
				// After a hundred the bucket is made anew.
				batch[0].Cancel = i/1000%100 == 0
				m.Pour(batch)
			}
		})
	}
}
