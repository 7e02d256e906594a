package scenarios_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/internal/testkit/hubset"
	"github.com/rampart-edge/rampart/scenarios"
)

// hubScenarios loads scenarios of the Hub by path.
func hubScenarios(t testing.TB, env *expression.Env, paths []string) (list []*scenarios.Scenario) {
	t.Helper()
	for _, p := range paths {
		good, err := scenarios.Load(scenarios.Item{Path: p, Data: hubset.Read(t, p)}, env)
		if err != nil && len(good) == 0 {
			t.Errorf("%s: %v", p, err)
		}
		list = append(list, good...)
	}
	return list
}

// typicalEvents are what the benchmark's log mostly has, and an attack.
func typicalEvents(t testing.TB) map[string]*event.Event {
	t.Helper()
	p := hubset.Pipeline(t)
	access := func(request, status string) *event.Event {
		return hubset.Parse(p, "nginx", `203.0.113.7 - - [10/Oct/2025:13:55:36 +0000] "`+request+` HTTP/1.1" `+status+
			` 5123 "https://shop.example.com/products/leather/1006" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) `+
			`AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36"`)
	}
	return map[string]*event.Event{
		"page":   access("GET /products/leather/1006", "200"),
		"query":  access("GET /products/leather/1006?q=ceramic+light&page=6", "200"),
		"404":    access("GET /products/leather/1007", "404"),
		"static": access("GET /assets/img/lamp-1006.jpg", "200"),
		"ssh": hubset.Parse(p, "syslog", "Dec 10 06:55:48 LabSZ sshd[24200]: "+
			"Failed password for root from 173.234.31.186 port 38926 ssh2"),
		"attack": access("GET /index.php?id=1%20UNION%20ALL%20SELECT%20../../etc/passwd", "404"),
	}
}

// BenchmarkHubDrops asks the filters of the benchmark's sixty scenarios, and those of
// the whole Hub, about one event.
func BenchmarkHubDrops(b *testing.B) {
	events := typicalEvents(b)
	for _, set := range []struct {
		name  string
		paths []string
	}{{"sixty", hubset.Scenarios(b, hubset.Benchmark()...)}, {"all", hubset.Files(b, "scenarios")}} {
		for _, way := range []string{"fast", "plain"} {
			rules := scenarios.NewRules(hubScenarios(b, hubset.Env(b, way == "plain"), set.paths))
			for _, kind := range []string{"page", "query", "404", "static", "ssh", "attack"} {
				b.Run(set.name+"/"+way+"/"+kind, func(b *testing.B) {
					ev := events[kind]
					var out []scenarios.Drop
					b.ReportAllocs()
					defer testkit.CPU(b)()
					for b.Loop() {
						out = rules.Drops(ev, scenarios.Whole, start, out[:0])
					}
					b.ReportMetric(float64(len(out)), "drops")
				})
			}
		}
	}
}

// BenchmarkHubLoad compiles all scenarios of the Hub, and makes the tables that the
// first event needs.
func BenchmarkHubLoad(b *testing.B) {
	paths, ev := hubset.Files(b, "scenarios"), typicalEvents(b)["attack"]
	var tables, heap float64
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		rules := scenarios.NewRules(hubScenarios(b, hubset.Env(b, false), paths))
		begin := time.Now()
		rules.Drops(ev, scenarios.Whole, start, nil)
		tables += time.Since(begin).Seconds()
		runtime.GC()
		runtime.ReadMemStats(&after)
		heap += float64(after.HeapAlloc-before.HeapAlloc) / (1 << 20)
		runtime.KeepAlive(rules)
	}
	b.ReportMetric(tables/float64(b.N)*1e3, "ms-first-event")
	b.ReportMetric(heap/float64(b.N), "MiB")
}
