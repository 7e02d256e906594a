package scenarios_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/scenarios"
)

func compileAll(t testing.TB, docs ...string) []*scenarios.Scenario {
	t.Helper()
	list, errs := load(t, scenarios.Item{Path: "rules.yaml", Own: true, Data: []byte(strings.Join(docs, "\n---\n"))})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return list
}

func trigger(name, filter, rest string) string {
	return fmt.Sprintf("type: trigger\nname: %s\nfilter: %q\n%s\n", name, filter, rest)
}

// names lists the drops of an event as name(key).
func names(drops []scenarios.Drop) []string {
	var out []string
	for _, d := range drops {
		out = append(out, d.Scenario.Name+"("+d.Key+")")
	}
	return out
}

// oracle returns a function that evaluates every scenario on an event.
func oracle(t testing.TB, list []*scenarios.Scenario) func(*event.Event) []string {
	t.Helper()
	env := expression.New(expression.Options{})
	filters, groups := make([]*expression.Program, len(list)), make([]*expression.Program, len(list))
	for i, s := range list {
		// The condition hides all requirements, which the oracle must not need.
		p, err := env.Compile("(1 == 2) ? false : ("+s.Filter+")", expression.OnEvent, expression.Bool)
		if err != nil {
			t.Fatal(err)
		}
		filters[i] = p
		if s.GroupBy != "" {
			if groups[i], err = env.Compile(s.GroupBy, expression.OnEvent, expression.String); err != nil {
				t.Fatal(err)
			}
		}
	}
	return func(ev *event.Event) []string {
		var out []string
		for i, s := range list {
			if ok, err := filters[i].Bool(&expression.Vars{Evt: ev}); err != nil || !ok {
				continue
			}
			key := ""
			if groups[i] != nil {
				k, err := groups[i].String(&expression.Vars{Evt: ev})
				if err != nil {
					continue
				}
				key = k
			}
			out = append(out, s.Name+"("+key+")")
		}
		return out
	}
}

// TestDropsOracle compares the index with the evaluation of every scenario.
func TestDropsOracle(t *testing.T) {
	var docs []string
	rng := rand.New(rand.NewPCG(3, 4))
	term := func() string {
		field := []string{"Meta.a", "Meta.b", "Parsed.c", "Line.Labels.d", "Enriched.e", "Line.Src", "Meta.f", "Meta.g", "Parsed.h", "Parsed.i", "Meta.j"}[rng.IntN(11)]
		value := func() string { return []string{"''", "'1'", "'2'", "'3'"}[rng.IntN(4)] }
		switch rng.IntN(10) {
		case 7:
			return fmt.Sprintf("Upper(evt.Meta.j) contains %s", value())
		case 8:
			return fmt.Sprintf("(evt.Meta.j startsWith %s || evt.%s matches '^[0-9]?3')", value(), field)
		case 9:
			return "any(['2', '3', 'x'], {PathUnescape(evt.Meta.j) endsWith #})"
		case 0:
			return fmt.Sprintf("evt.%s in [%s, %s]", field, value(), value())
		case 1:
			return fmt.Sprintf("evt.%s != %s", field, value())
		case 2:
			return fmt.Sprintf("(evt.%s == %s || evt.Meta.a == %s)", field, value(), value())
		case 3:
			return fmt.Sprintf("evt.%s contains '1'", field)
		case 4:
			return "evt.GetType() == 'log'"
		case 5:
			return fmt.Sprintf("evt.SetMeta('j', %s)", value())
		}
		return fmt.Sprintf("evt.%s == %s", field, value())
	}
	for i := range 150 {
		terms := []string{term()}
		for range rng.IntN(4) {
			terms = append(terms, term())
		}
		docs = append(docs, trigger(fmt.Sprintf("s%d", i), strings.Join(terms, " && "), "groupby: evt.Meta.b"))
	}
	list := compileAll(t, docs...)
	rules, every := scenarios.NewRules(list), oracle(t, list)
	matched := 0
	for range 500 {
		value := func() string { return []string{"", "1", "2", "3"}[rng.IntN(4)] }
		meta := map[string]string{"a": value(), "b": value(), "f": value(), "g": value(), "j": value()}
		parsed := map[string]string{"c": value(), "h": value(), "i": value()}
		labels, enriched, src := map[string]string{"d": value()}, map[string]string{"e": value()}, value()
		fresh := func() *event.Event {
			return (&event.Event{Meta: meta, Parsed: parsed, Enriched: enriched, Line: event.Line{Labels: labels, Src: src}}).Clone()
		}
		want := every(fresh())
		got := names(rules.Drops(fresh(), scenarios.Whole, time.Time{}, nil))
		matched += len(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%v (-every scenario +index):\n%s", fresh(), d)
		}
	}
	if matched < 5000 {
		t.Errorf("only %d matches: the events test too little", matched)
	}
}

// TestDropsHub does the same with the Hub's own filters.
func TestDropsHub(t *testing.T) {
	dir := testkit.Shared(t, "hub", "scenarios")
	env := expression.New(expression.Options{})
	var list []*scenarios.Scenario
	seen := map[string]bool{}
	filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(p, "appsec") {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		got, _ := scenarios.Load(scenarios.Item{Path: p, Data: data}, env)
		for _, s := range got {
			// The oracle knows nothing of shared buckets.
			if !seen[s.Name+s.Filter] {
				seen[s.Name+s.Filter] = true
				list = append(list, s)
			}
		}
		return nil
	})
	rules, every := scenarios.NewRules(list), oracle(t, list)
	for _, meta := range []map[string]string{
		{"service": "http", "log_type": "http_access-log", "http_status": "404", "http_path": "/wp-admin/../.env", "http_verb": "GET", "source_ip": "192.0.2.1"},
		{"service": "http", "log_type": "http_access-log", "http_status": "200", "http_path": "/xmlrpc.php", "http_verb": "POST", "source_ip": "192.0.2.1"},
		{"service": "ssh", "log_type": "ssh_failed-auth", "source_ip": "192.0.2.1", "target_user": "root"},
		{"service": "sysmon", "log_type": "x", "source_ip": "2001:db8::1"},
		{},
	} {
		ev := &event.Event{Meta: meta, Parsed: map[string]string{"verb": meta["http_verb"], "request": meta["http_path"], "static_ressource": "false"}}
		if d := cmp.Diff(every(ev.Clone()), names(rules.Drops(ev.Clone(), scenarios.Whole, time.Time{}, nil))); d != "" {
			t.Errorf("%v (-every scenario +index):\n%s", meta, d)
		}
	}
}

// TestDropsShared is CrowdSec's rule for equal name and filter: one bucket, poured
// into once for each scenario.
func TestDropsShared(t *testing.T) {
	list := compileAll(t,
		"type: leaky\nname: a\nfilter: '1 == 1'\ncapacity: 5\nleakspeed: 10s\n",
		"type: leaky\nname: a\nfilter: '1 == 1'\ncapacity: 20\nleakspeed: 1m\ndistinct: evt.Meta.x\n")
	rules := scenarios.NewRules(list)
	var got []int
	m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) { got = append(got, o.Count) }})
	for range 4 {
		drops := rules.Drops(&event.Event{Meta: map[string]string{}}, scenarios.Whole, start, nil)
		if len(drops) != 2 || drops[0].Scenario != list[0] || drops[1].Scenario != list[0] {
			t.Fatalf("drops %v", names(drops))
		}
		m.Pour(drops)
	}
	if d := cmp.Diff([]int{6}, got); d != "" {
		t.Errorf("three events fill a bucket of five (-want +got):\n%s", d)
	}
	// The phase is one for both, though only the second would have to wait.
	list = compileAll(t,
		"type: leaky\nname: a\nfilter: '1 == 1'\ncapacity: 5\nleakspeed: 10s\n",
		"type: leaky\nname: a\nfilter: '1 == 1'\ngroupby: evt.Meta.http_status\ncapacity: 5\nleakspeed: 10s\n")
	if p := scenarios.NewRules(list).WithRequestPhase(responseSide).RequestPhase(); len(p) != 0 {
		t.Errorf("request phase: %v", p)
	}
}

func TestDropsDetails(t *testing.T) {
	list := compileAll(t,
		"type: leaky\nname: a\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip + '/' + evt.Meta.x\ncapacity: 1\nleakspeed: 1s\ndistinct: evt.Meta.x\ncancel_on: evt.Meta.x == 'stop'\n",
		"type: trigger\nname: b\nfilter: evt.Overflow.Alert.Remediation == true\n",
		"type: leaky\nname: c\nfilter: '1 == 1'\ncapacity: 1\nleakspeed: 1s\ndistinct: evt.Unmarshaled.a.b.c\n")
	rules := scenarios.NewRules(list)
	ev := &event.Event{ExpectMode: event.Replay, Meta: map[string]string{"source_ip": "2001:db8:1:2:3::4", "x": "stop"}}
	ev.From.Width64 = true
	got := rules.Drops(ev, scenarios.Whole, start, nil)
	if len(got) != 2 {
		t.Fatalf("drops %v", names(got))
	}
	if d := got[0]; d.Key != "2001:db8:1:2::/64/stop" || d.Distinct != "stop" || !d.Cancel || !d.Replay || !d.At.Equal(start) || d.Event != ev || d.Count != 1 {
		t.Errorf("got %+v", d)
	}
	if !got[1].Uncompared {
		t.Errorf("the distinct expression that fails: %+v", got[1])
	}
	ev.From.Width64 = false
	if k := rules.Drops(ev, scenarios.Whole, start, nil)[0].Key; k != "2001:db8:1:2:3::4/stop" {
		t.Errorf("without width: %s", k)
	}
	ev.From.Width64, ev.Meta["source_ip"] = true, "::ffff:192.0.2.1"
	if k := rules.Drops(ev, scenarios.Whole, start, nil)[0].Key; k != "::ffff:192.0.2.1/stop" {
		t.Errorf("an IPv4 address in IPv6 form: %s", k)
	}
	f := rules.Failures()
	if len(f) != 2 || f[0].Scenario != list[1] || f[0].Count != 3 || f[0].Last == nil {
		t.Errorf("failures: %+v", f)
	}
}

func TestPhases(t *testing.T) {
	list := compileAll(t,
		trigger("request", "evt.Meta.http_path == '/a'", "groupby: evt.Meta.source_ip"),
		trigger("status", "evt.Meta.http_status == '404'", ""),
		trigger("by-status", "1 == 1", "groupby: evt.Meta.http_status"),
		trigger("scope", "1 == 1", "scope: {type: x, expression: evt.Parsed.status}"),
		trigger("opaque", "any(keys(evt.Meta), evt.Meta[#] == 'x')", ""),
		trigger("writes", "evt.SetMeta('a', 'b')", ""),
		trigger("both", "evt.GetMeta('http_status') == '404'", ""),
		trigger("label", "evt.Line.Labels.type == 'x'", ""),
	)
	rules := scenarios.NewRules(list)
	if len(rules.RequestPhase()) != 0 {
		t.Error("nothing is ready before anybody said what the response brings")
	}
	rules = rules.WithRequestPhase(responseSide)
	var got []string
	for _, s := range rules.RequestPhase() {
		got = append(got, s.Name)
	}
	if d := cmp.Diff([]string{"request", "label"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	ev := func() *event.Event {
		return &event.Event{Meta: map[string]string{"http_path": "/a", "http_status": "404", "x": "x"}, Line: event.Line{Labels: map[string]string{"type": "x"}}}
	}
	whole := names(rules.Drops(ev(), scenarios.Whole, start, nil))
	parts := names(rules.Drops(ev(), scenarios.Response, start, rules.Drops(ev(), scenarios.Request, start, nil)))
	if len(whole) != 8 || len(parts) != 8 || parts[0] != "request()" || parts[1] != "label()" {
		t.Errorf("whole %v, parts %v", whole, parts)
	}
}
