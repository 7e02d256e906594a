package scenarios_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/scenarios"
)

func contexts(t testing.TB, docs ...string) *scenarios.Contexts {
	t.Helper()
	var items []scenarios.ContextItem
	for i, d := range docs {
		items = append(items, scenarios.ContextItem{Path: fmt.Sprint("c", i, ".yaml"), Data: []byte(d)})
	}
	c, err := scenarios.LoadContexts(items, expression.New(expression.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// said pours events into one bucket with contexts and returns the alert's meta.
func said(t *testing.T, c *scenarios.Contexts, evs ...*event.Event) map[string]string {
	t.Helper()
	doc := strings.Replace(hubDoc, "capacity: 1", fmt.Sprintf("capacity: %d", len(evs)-1), 1)
	list, errs := load(t, scenarios.Item{Path: "alert.yaml", Data: []byte(doc)})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var out []*scenarios.Overflow
	m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) { out = append(out, o) }})
	m.UseContexts(c)
	r := scenarios.NewRules(list)
	for _, ev := range evs {
		m.Pour(r.Drops(ev, scenarios.Whole, ev.Time, nil))
	}
	if len(out) != 1 {
		t.Fatalf("%d overflows", len(out))
	}
	ev, err := out[0].Event()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	last := ""
	for _, it := range ev.Overflow.Alert.Meta {
		if it.Key <= last {
			t.Errorf("key %q after %q", it.Key, last)
		}
		got[it.Key], last = it.Value, it.Key
	}
	return got
}

func TestContexts(t *testing.T) {
	a, b, d := from("3.3.3.3", 0, "user", "ann", "n", "1"), from("3.3.3.3", 1, "user", "bob"), from("3.3.3.3", 2, "user", "ann")
	b.Parsed = map[string]string{"port": "22", "q": "<&>"}
	d.Parsed = map[string]string{"port": "2222"}
	d.Unmarshaled = map[string]any{"deep": map[string]any{"who": "eve", "list": []any{"x", 2}}}
	d.Enriched = map[string]string{"IsoCode": "DE"}
	b.Line = event.Line{Raw: "the line", Labels: map[string]string{"type": "syslog"}}
	for name, c := range map[string]struct{ yaml, want string }{
		"in order of appearance, each once": {"k: [evt.Meta.user, evt.Meta.n]", `["ann","1","bob"]`},
		"no value, no key":                  {"k: [evt.Meta.none]", ""},
		"one that fails":                    {"k: [evt.Overflow.Alert.Scenario, evt.Meta.n]", `["1"]`},
		"fields beyond Meta":                {"k: [evt.Parsed.port]", `["22","2222"]`},
		"markup is escaped":                 {"k: [evt.Parsed.q]", `["\u003c\u0026\u003e"]`},
		"line and label":                    {"k: [evt.Line.Raw, evt.Line.Labels.type]", `["the line","syslog"]`},
		"several fields in one":             {"k: [\"evt.Parsed.port != '' ? evt.Meta.user + ':' + evt.Parsed.port : ''\"]", `["bob:22","ann:2222"]`},
		"what cannot be kept":               {"k: ['evt.Unmarshaled.deep?.who']", `["eve"]`},
		"a list of it":                      {"k: ['evt.Unmarshaled.deep?.list']", `["[x 2]"]`},
		"texts":                             {"k: [\"split(evt.Meta.user, 'n')\"]", `["a","bob"]`},
		"a number":                          {"k: [len(evt.Meta.user)]", `["3"]`},
		"numbers":                           {"k: [\"map(1..2, # * len(evt.Meta.user))\"]", `["[3 6]"]`},
		"a float":                           {"k: ['1.5']", `["1.5"]`},
		"true, and false which is nothing":  {"k: [evt.Meta.user == 'bob']", `["true"]`},
		"no float":                          {"k: ['0.0']", ""},
		"neither a rule nor a request":      {"k: [\"match.uri != nil ? match.uri : ''\", \"req.Method != '' ? req.UserAgent() : ''\", \"req != nil ? req.Host : ''\", evt.Enriched.IsoCode]", `["DE"]`},
		"a list by reference":               {"a: &n [evt.Meta.n]\nk: *n", `["1"]`},
		"the wrapper of the Hub":            {"context:\n  k: [evt.Meta.n]", `["1"]`},
		"a key of that name":                {"context: [evt.Meta.n]\nk: [evt.Meta.n]", `["1"]`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := said(t, contexts(t, c.yaml), a, b, d)["k"]; got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	got := said(t, contexts(t, "z: [evt.Meta.n]\na: [evt.Meta.user]\n", "a: [evt.Meta.user, evt.Meta.n]\n---\nb: [evt.Meta.n]"), a, b, d)
	if diff := cmp.Diff(map[string]string{"a": `["ann","1","bob"]`, "b": `["1"]`, "z": `["1"]`}, got); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if got := said(t, nil, a, b); len(got) != 0 {
		t.Errorf("without contexts: %v", got)
	}
}

func TestContextLength(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for name, c := range map[string]struct {
		limit  int
		values []string
		want   []string
	}{
		"all fit":               {40, []string{long(10), long(11)}, []string{long(10), long(11)}},
		"the last goes":         {25, []string{long(10), long(11)}, []string{long(10)}},
		"halves":                {20, []string{long(64), long(9)}, []string{long(10) + "..."}},
		"halves of texts":       {20, []string{strings.Repeat("é", 15)}, []string{strings.Repeat("é", 4) + "..."}},
		"no bound is the bound": {0, []string{long(3000), long(990)}, []string{long(3000), long(990)}},
		"nor is a higher one":   {9999, []string{long(3000), long(999)}, []string{long(3000)}},
	} {
		t.Run(name, func(t *testing.T) {
			evs := []*event.Event{}
			for i, v := range append(c.values, "") {
				evs = append(evs, from("3.3.3.3", i, "v", v))
			}
			text := said(t, contexts(t, "k: [evt.Meta.v]").Limit(c.limit), evs...)["k"]
			var got []string
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestContextErrors(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		want []string
		keys int
	}{
		"an expression":    {"a: [evt.Meta.x, evt.Mata]\nb: [evt.Meta.y]\n", []string{"c.yaml:1: compiling context a: "}, 2},
		"no list":          {"a: evt.Meta.x\nb: [evt.Meta.y]\n", []string{"c.yaml:1: key \"a\" needs a list"}, 1},
		"no map":           {"- a\n", []string{"c.yaml:1: a context file is a map"}, 0},
		"a key twice":      {"a: [evt.Meta.x]\na: [evt.Meta.y]\n", []string{"c.yaml:2: key \"a\" is there twice"}, 1},
		"syntax":           {"a: [", []string{"c.yaml:"}, 0},
		"a list in it":     {"a: [[b]]\n", []string{"c.yaml:1: key \"a\": an expression is needed"}, 0},
		"a long key":       {strings.Repeat("k", 256) + ": [evt.Meta.x]\n", []string{"c.yaml:1: a key has 1 to 255 bytes"}, 0},
		"nothing":          {"", nil, 0},
		"a later document": {"a: [evt.Meta.x]\n---\nb: [1 +]\n", []string{"c.yaml:3: compiling context b"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := scenarios.LoadContexts([]scenarios.ContextItem{{Path: "c.yaml", Data: []byte(c.yaml)}}, expression.New(expression.Options{}))
			var texts []string
			if err != nil {
				texts = strings.Split(err.Error(), "\n")
			}
			if len(got.Keys()) != c.keys || len(texts) != len(c.want) {
				t.Fatalf("keys %q, errors %q", got.Keys(), texts)
			}
			for i := range texts {
				if !strings.Contains(texts[i], c.want[i]) {
					t.Errorf("error %q, want %q", texts[i], c.want[i])
				}
			}
		})
	}
	if _, err := scenarios.LoadContexts([]scenarios.ContextItem{{Path: "c.yaml", Data: make([]byte, 2<<20)}}, nil); err == nil {
		t.Error("a file of 2 MiB was read")
	}
}

// TestContextsHub loads every context of the Hub.
func TestContextsHub(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testkit.Shared(t, "hub"), "contexts", "*", "*.y*ml"))
	if err != nil || len(files) < 9 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var items []scenarios.ContextItem
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, scenarios.ContextItem{Path: f, Data: data})
	}
	c, err := scenarios.LoadContexts(items, expression.New(expression.Options{}))
	if err != nil || len(c.Keys()) < 20 {
		t.Fatalf("keys %q, %v", c.Keys(), err)
	}
	ev := request("404")
	ev.Time, ev.Parsed["dest_port"] = start, "443"
	got := said(t, c, ev, ev)
	for key, want := range map[string]string{
		"target_fqdn": `["shop.example.com"]`, "status": `["404"]`, "method": `["GET"]`, "dst_port": `["443"]`,
		"target_uri": `["/products/garden/chairs?sort=price\u0026page=2"]`, "ja4h": "",
	} {
		if got[key] != want {
			t.Errorf("%s: %s, want %s", key, got[key], want)
		}
	}
}

// TestContextsChange: samples that were made for other contexts do not lend them
// their values; a restart keeps them.
func TestContextsChange(t *testing.T) {
	s := leaky(t, "a", "capacity: 1\nleakspeed: 10s\n")
	ev := from("3.3.3.3", 0)
	ev.Parsed = map[string]string{"a": "A", "b": "B"}
	first, second := contexts(t, "k: [evt.Parsed.a, evt.Unmarshaled.none]"), contexts(t, "k: [evt.Parsed.b]")
	run := func(before, after *scenarios.Contexts, restart bool) string {
		var got *scenarios.Overflow
		o := scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) { got = o }}
		m := scenarios.NewMemory(o)
		m.UseContexts(before)
		m.Pour([]scenarios.Drop{{Scenario: s, At: start, Event: ev}})
		if restart {
			var b bytes.Buffer
			if err := m.Snapshot(&b); err != nil {
				t.Fatal(err)
			}
			m = scenarios.NewMemory(o)
			if _, _, err := m.Restore(&b, scenarios.NewRules([]*scenarios.Scenario{s})); err != nil {
				t.Fatal(err)
			}
		}
		m.UseContexts(after)
		last := from("3.3.3.3", 1)
		m.Pour([]scenarios.Drop{{Scenario: s, At: start, Event: last}})
		alert, err := got.Event()
		if err != nil {
			t.Fatal(err)
		}
		return alert.Overflow.Alert.Meta.Get("k")
	}
	if got := run(first, first, false); got != `["A"]` {
		t.Errorf("the same: %s", got)
	}
	if got := run(first, first, true); got != `["A"]` {
		t.Errorf("the same after a restart: %s", got)
	}
	if got := run(first, second, false); got != "" {
		t.Errorf("others: %s", got)
	}
}

func FuzzContexts(f *testing.F) {
	f.Add([]byte("context:\n  a: [evt.Meta.x, 'evt.Parsed.y + \"z\"']\n"))
	f.Add([]byte("a: &a [evt.Unmarshaled]\nb: *a\n---\n- 1\n"))
	env := expression.New(expression.Options{})
	s := leaky(f, "a", "capacity: 1\nleakspeed: 10s\n")
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _ := scenarios.LoadContexts([]scenarios.ContextItem{{Path: "c.yaml", Data: data}}, env)
		m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) {
			ev, err := o.Event()
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range ev.Overflow.Alert.Meta {
				if len(it.Value) > 4000 || !json.Valid([]byte(it.Value)) {
					t.Errorf("%s: %s", it.Key, it.Value)
				}
			}
		}})
		m.UseContexts(c)
		ev := from("3.3.3.3", 0, "x", "1")
		ev.Parsed = map[string]string{"y": "2"}
		d := scenarios.Drop{Scenario: s, At: start, Event: ev}
		m.Pour([]scenarios.Drop{d, d})
	})
}
