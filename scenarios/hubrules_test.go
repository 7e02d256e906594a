package scenarios_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit/hubset"
	"github.com/rampart-edge/rampart/scenarios"
)

// twoWays are the same scenarios, with an index and closures and without.
type twoWays struct {
	fast, plain *scenarios.Rules
	filters     []*expression.Program
	constants   [][]string
}

func bothWays(t testing.TB, m *hubset.Maker, paths []string) twoWays {
	t.Helper()
	env := hubset.Env(t, false)
	list := hubScenarios(t, env, paths)
	w := twoWays{fast: scenarios.NewRules(list), plain: scenarios.NewRules(hubScenarios(t, hubset.Env(t, true), paths))}
	for _, s := range list {
		p, err := env.Compile(s.Filter, expression.OnEvent, expression.Bool)
		if err != nil {
			t.Fatal(err)
		}
		w.filters = append(w.filters, p)
		w.constants = append(w.constants, m.Constants(s.Filter))
	}
	return w
}

// dropsOf is all that drops say.
func dropsOf(list []scenarios.Drop) (out []string) {
	for _, d := range list {
		out = append(out, fmt.Sprintf("%s %q %q %v %v", d.Scenario.Name, d.Key, d.Distinct, d.Uncompared, d.Cancel))
	}
	return out
}

// agree shows an event to both, and compares what they say and what they leave.
func (w *twoWays) agree(t *testing.T, ev *event.Event) int {
	t.Helper()
	a, b := ev.Clone(), ev.Clone()
	got := dropsOf(w.fast.Drops(a, scenarios.Whole, start, nil))
	want := dropsOf(w.plain.Drops(b, scenarios.Whole, start, nil))
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("%+v\n(-plain +fast):\n%s", ev, d)
	}
	if d := cmp.Diff(b.Meta, a.Meta) + cmp.Diff(b.Parsed, a.Parsed); d != "" {
		t.Fatalf("%+v\nis left otherwise (-plain +fast):\n%s", ev, d)
	}
	return len(got)
}

// failures are how often the expressions of each scenario failed.
func failures(r *scenarios.Rules) map[string]int64 {
	out := map[string]int64{}
	for i, f := range r.Failures() {
		out[fmt.Sprint(i, f.Scenario.Name)] = f.Count
	}
	return out
}

// TestHubRules holds the index, the closures and the shared results to the machine
// that runs every filter of the Hub, one after the other.
func TestHubRules(t *testing.T) {
	m := hubset.NewMaker(t, 1)
	for _, set := range []struct {
		name  string
		paths []string
		each  int
		near  int
	}{{"sixty", hubset.Scenarios(t, hubset.Benchmark()...), 5, 6000}, {"all", hubset.Files(t, "scenarios"), 2, 1200}} {
		t.Run(set.name, func(t *testing.T) {
			w := bothWays(t, m, set.paths)
			events := hubset.Events(t, set.each)
			n, hits := 0, map[bool]int{}
			for _, ev := range events {
				hits[w.agree(t, ev) > 0]++
			}
			for ; n < set.near; n++ {
				i := n % len(w.filters)
				ev := events[m.IntN(len(events))]
				hits[w.agree(t, m.Near(ev, w.filters[i], w.constants[i])) > 0]++
			}
			if d := cmp.Diff(failures(w.plain), failures(w.fast)); d != "" {
				t.Errorf("failures (-plain +fast):\n%s", d)
			}
			t.Logf("%d scenarios, %d events, %d of them poured", len(w.filters), len(events)+n, hits[true])
			if hits[true] < n/10 || hits[false] < n/10 {
				t.Error("too few to say anything")
			}
		})
	}
}

// TestHubDropsAllocate: what pours nothing allocates nothing, and the rest only the
// keys of its buckets.
func TestHubDropsAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	rules := scenarios.NewRules(hubScenarios(t, hubset.Env(t, false), hubset.Scenarios(t, hubset.Benchmark()...)))
	events := typicalEvents(t)
	for kind, most := range map[string]float64{"static": 0, "ssh": 0, "page": 2} {
		var out []scenarios.Drop
		n := testing.AllocsPerRun(200, func() { out = rules.Drops(events[kind], scenarios.Whole, start, out[:0]) })
		if n > most {
			t.Errorf("%s: %v allocations for %d drops, at most %v", kind, n, len(out), most)
		}
	}
}

// TestHubRulesTogether: several goroutines ask the same rules, while more programs
// are compiled that look for something in the same texts.
func TestHubRulesTogether(t *testing.T) {
	env := hubset.Env(t, false)
	rules := scenarios.NewRules(hubScenarios(t, env, hubset.Scenarios(t, hubset.Benchmark()...)))
	events := typicalEvents(t)
	want := map[string][]string{}
	for kind, ev := range events {
		want[kind] = dropsOf(rules.Drops(ev.Clone(), scenarios.Whole, start, nil))
	}
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 50 {
				for kind, ev := range events {
					if d := cmp.Diff(want[kind], dropsOf(rules.Drops(ev.Clone(), scenarios.Whole, start, nil))); d != "" {
						t.Errorf("%s: %s", kind, d)
					}
				}
			}
		})
	}
	for i := range 50 {
		if _, err := env.Compile(fmt.Sprintf("Upper(evt.Meta.http_path) contains 'NEW%d'", i), expression.OnEvent, expression.Bool); err != nil {
			t.Error(err)
		}
	}
	work.Wait()
}

// FuzzHubFilters lets any texts meet the filters of the benchmark's sixty scenarios.
func FuzzHubFilters(f *testing.F) {
	f.Add("/index.php", "id=1 UNION ALL SELECT", "sqlmap/1.5", "https://x/", "index.php", ".php", "GET", "404", uint8(0))
	f.Add("/core/skin/login.aspx", "${jndi:ldap}", "Aboundex", "", "w00tw00t.at.ISC.SANS.DFind", ".action", "POST", "401", uint8(1))
	f.Add("/.%2e/.%2E/%2e%2e/ſ\u212a", "<svg", "360Spider", "${JNDI:", "c99.php", "", "CONNECT", "400", uint8(2))
	var w *twoWays
	f.Fuzz(func(t *testing.T, path, args, agent, referer, file, ext, verb, status string, kind uint8) {
		if w == nil {
			made := bothWays(t, hubset.NewMaker(t, 2), hubset.Scenarios(t, hubset.Benchmark()...))
			w = &made
		}
		log := []string{"http_access-log", "http_error-log", "ssh_failed-auth", ""}[kind%4]
		service := []string{"http", "ssh"}[kind/4%2]
		w.agree(t, &event.Event{
			Meta: map[string]string{"log_type": log, "service": service, "http_path": path, "http_verb": verb, "http_status": status,
				"http_user_agent": agent, "source_ip": "192.0.2.1", "target_user": args},
			Parsed: map[string]string{"request": path, "http_args": args, "http_user_agent": agent, "http_referer": referer,
				"file_name": file, "file_ext": ext, "file_dir": path, "file_frag": file, "verb": verb, "static_ressource": "false"},
		})
	})
}
