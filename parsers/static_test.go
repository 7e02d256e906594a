package parsers

import (
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

func testEnv() *expression.Env { return expression.New(expression.Options{Now: clock}) }

func TestStatics(t *testing.T) {
	cases := []struct {
		name, static string
		field        string
		want         string
		lost         bool
	}{
		{"literal", "{meta: a, value: x}", "Meta.a", "x", false},
		{"literal wins over expression", "{meta: a, value: x, expression: evt.Line.Raw}", "Meta.a", "x", false},
		{"text", "{meta: a, expression: evt.Line.Raw}", "Meta.a", "raw", false},
		{"int", "{meta: a, expression: len('abc')}", "Meta.a", "3", false},
		{"float has six decimals", "{meta: a, expression: 1/3}", "Meta.a", "0.333333", false},
		{"whole float too", "{meta: a, expression: '443.0 * 1'}", "Meta.a", "443.000000", false},
		{"nil is skipped", "{meta: keep, expression: nil}", "Meta.keep", "old", false},
		{"map is skipped", "{meta: keep, expression: evt.Unmarshaled}", "Meta.keep", "old", false},
		{"list is skipped", "{meta: keep, expression: \"filter(['a'], true)\"}", "Meta.keep", "old", false},
		{"empty text is skipped", "{meta: keep, expression: evt.Parsed.none}", "Meta.keep", "old", false},
		{"run time error is skipped", "{meta: keep, expression: evt.Unmarshaled.x.y}", "Meta.keep", "old", false},
		{"bool loses the event", "{meta: a, expression: 1 == 1}", "Meta.a", "", true},
		{"int64 loses the event", "{meta: a, expression: evt.Time.Unix()}", "Meta.a", "", true},
		{"time loses the event", "{meta: a, expression: evt.Time}", "Meta.a", "", true},
		{"list of texts loses the event", "{meta: a, expression: \"evt.Overflow.GetSources()\"}", "Meta.a", "", true},
		{"negative int", "{meta: a, expression: 0 - 7}", "Meta.a", "-7", false},
		{"text of any", "{meta: a, expression: \"{'k': 'v'}['k']\"}", "Meta.a", "v", false},
		{"int of any", "{meta: a, expression: \"{'k': 7}['k']\"}", "Meta.a", "7", false},
		{"bool of any loses the event", "{meta: a, expression: \"{'k': true}['k']\"}", "Meta.a", "", true},
		{"a condition", "{meta: a, expression: \"evt.Line.Raw == 'raw' ? 'yes' : 'no'\"}", "Meta.a", "yes", false},
		{"duration loses the event", "{meta: a, expression: duration('1s')}", "Meta.a", "", true},
		{"parsed wins over meta", "{parsed: a, meta: b, value: x}", "Parsed.a", "x", false},
		{"meta wins over target", "{meta: a, target: StrTime, value: x}", "Meta.a", "x", false},
		{"enriched beside a target", "{enriched: a, target: StrTime, value: x}", "Enriched.a", "x", false},
		{"target", "{target: evt.StrTime, value: x}", "StrTime", "x", false},
		{"target of a map", "{target: Parsed.a.b, value: x}", "Parsed.a", "x", false},
		{"target of a label", "{target: evt.Line.Labels.new, value: x}", "Line.Labels.new", "x", false},
		{"target that is no text", "{target: evt.Process, value: x}", "Meta.keep", "old", false},
		{"unknown target", "{target: source_ip, value: x}", "Meta.keep", "old", false},
		{"target behind nil", "{target: evt.Overflow.Alert.Source.Value, value: x}", "Meta.keep", "old", false},
		{"unknown method", "{method: HttpLookup, value: x}", "Meta.keep", "old", false},
		{"known method without data", "{method: GeoIpCity, expression: evt.Line.Raw}", "Enriched.IsoCode", "", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newTwin(t, staged("s00", "name: n\nstatics:\n  - "+c.static+"\n  - {meta: after, value: '1'}\n"), expression.Options{Now: clock}, Options{Now: clock})
			ev := line("t", "raw")
			ev.SetMeta("keep", "old")
			if diff := w.same(ev); diff != "" {
				t.Fatal(diff)
			}
			shared := ev.Line.Labels
			out := w.fast.Parse(ev)
			if (out.Err != nil) != c.lost || out.Parsed == c.lost {
				t.Fatalf("%+v", out)
			}
			if got := fieldAt(c.field)(ev); got != c.want {
				t.Errorf("%s is %q, want %q", c.field, got, c.want)
			}
			if (ev.Meta["after"] == "1") == c.lost {
				t.Errorf("the next static: %v", ev.Meta)
			}
			if len(shared) != 1 {
				t.Errorf("the labels of the source changed: %v", shared)
			}
		})
	}
}

func TestOverflowTargets(t *testing.T) {
	p := load(t, staged("s00", "name: n\nstatics:\n  - {target: evt.Overflow.Alert.Source.Value, value: 2001:db8::/64}\n  - {target: evt.Overflow.Alert.Source.Scope, value: Range}\n"))
	ev := &event.Event{Type: event.OverflowType}
	ev.Overflow.Alert = &event.Alert{Source: &event.Source{Scope: "Ip", Value: "2001:db8::1"}}
	p.Parse(ev)
	if s := ev.Overflow.Alert.Source; s.Scope != "Range" || s.Value != "2001:db8::/64" {
		t.Fatalf("%+v", s)
	}
}

func TestUnmarshalMethod(t *testing.T) {
	p := load(t, staged("s00", "name: n\nstatics:\n  - {method: UnmarshalJSON, value: x}\n  - {meta: a, expression: evt.Unmarshaled.a.b}\n"))
	ev := line("t", `{"a":{"b":"c"}}`)
	if p.Parse(ev); ev.Meta["a"] != "c" {
		t.Fatalf("%+v", ev)
	}
	ev = line("t", "[1")
	if out := p.Parse(ev); !out.Parsed || len(ev.Meta) != 0 {
		t.Fatalf("%+v %+v", out, ev)
	}
}

// TestGrokStatics: enriched may stand alone below a grok, where nothing checks it.
func TestGrokStatics(t *testing.T) {
	p := load(t, staged("s00", "name: n\ngrok: {apply_on: Line.Raw, pattern: '%{WORD:w}', statics: [{enriched: e, expression: evt.Parsed.w}]}\n"))
	ev := line("t", "word")
	if p.Parse(ev); ev.Enriched["e"] != "word" {
		t.Fatalf("%v", ev.Enriched)
	}
}

// TestGrokInput: what a grok's expression may give.
func TestGrokInput(t *testing.T) {
	for _, c := range []struct {
		expression string
		want       string // of x; "fails" where the grok does
	}{
		{"evt.Line.Raw", "raw"}, {"evt.Line.Raw + '1'", "raw1"}, {"40 + 2", "42"}, {"1/2", "0"}, {"evt.Parsed.none", ""}, {"evt.Meta", ""}, {"nil", ""}, {"1 == 1", ""},
		{"evt.Unmarshaled.a.b", "fails"},
	} {
		w := newTwin(t, staged("s00", "name: n\ngrok: {expression: "+quote(c.expression)+", pattern: '^%{DATA:x}(\\.|$)'}\n"), expression.Options{Now: clock}, Options{Now: clock})
		ev := line("t", "raw")
		if diff := w.same(ev); diff != "" {
			t.Fatal(diff)
		}
		out := w.fast.Parse(ev)
		if x, ok := ev.Parsed["x"]; out.Parsed != (c.want != "fails") || ok != out.Parsed || ok && x != c.want {
			t.Errorf("%s: %+v, x is %q, want %q", c.expression, out, x, c.want)
		}
	}
	p := load(t, staged("s00", "name: n\ngrok: {apply_on: Line.Raw, expression: \"'other'\", pattern: '%{WORD:x}'}\n"))
	if ev := line("t", "raw"); !p.Parse(ev).Parsed || ev.Parsed["x"] != "raw" {
		t.Errorf("apply_on does not win: %v", ev.Parsed)
	}
}

// TestLoadErrors: every bad document is one error that names file, line and what
// to do, and the others are loaded.
func TestLoadErrors(t *testing.T) {
	const good = "name: good\nstatics: [{meta: good, value: '1'}]\n"
	cases := []struct{ name, yaml, want string }{
		{"unknown key", "name: n\nfiltr: x\nstatics: [{meta: a, value: b}]\n", "p.yaml:5 (document 2): unknown key \"filtr\""},
		{"duplicate key", "name: n\nname: m\n", "p.yaml:5 (document 2): "},
		{"syntax", "name: [\n", "p.yaml:"},
		{"a list for a text", "name: n\nfilter: [a]\nstatics: [{meta: a, value: b}]\n", "p.yaml:5 (document 2): reading YAML: a text is needed here"},
		{"empty node", "name: n\nfilter: 'true'\n", "p.yaml:5 (document 2): node n does nothing"},
		{"only a stash", "name: n\nstash: [{name: a, key: b, value: c, ttl: 1s}]\n", "node n does nothing"},
		{"empty child", "name: n\nnodes:\n  - filter: 'true'\n", "p.yaml:6 (document 2): node child-n does nothing"},
		{"onsuccess", "name: n\nonsuccess: stop\nstatics: [{meta: a, value: b}]\n", "p.yaml:5 (document 2): onsuccess is \"stop\": use next_stage"},
		{"filter", "name: n\nfilter: evt.Nope == 1\nstatics: [{meta: a, value: b}]\n", "p.yaml:5 (document 2): compiling filter: "},
		{"filter is no bool", "name: n\nfilter: \"'x'\"\nstatics: [{meta: a, value: b}]\n", "p.yaml:5 (document 2): compiling filter: "},
		{"grok name", "name: n\ngrok: {name: NOPE, apply_on: message}\n", "p.yaml:5 (document 2): grok of node n: no such grok pattern: NOPE"},
		{"grok reference", "name: n\ngrok: {pattern: '%{NOPE:x}', apply_on: message}\n", "no such grok pattern: %{NOPE}"},
		{"grok regexp", "name: n\ngrok: {pattern: '(%{WORD:x}', apply_on: message}\n", "p.yaml:5 (document 2): node n: compiling grok"},
		{"grok without input", "name: n\ngrok: {pattern: '%{WORD:x}'}\n", "neither apply_on nor expression"},
		{"grok without pattern", "name: n\ngrok: {expression: evt.Line.Raw}\n", "neither name nor pattern"},
		{"pattern that refers to itself", "name: n\npattern_syntax: {A: '%{B}', B: '%{A}'}\nstatics: [{meta: a, value: b}]\n", "more than 40 levels"},
		{"static without destination", "name: n\nstatics: [{value: b}]\n", "p.yaml:5 (document 2): a static needs"},
		{"static with enriched alone", "name: n\nstatics: [{enriched: a, value: b}]\n", "a static needs"},
		{"static without source", "name: n\nstatics: [{meta: a}]\n", "p.yaml:5 (document 2): static a has neither"},
		{"static with empty value", "name: n\nstatics: [{meta: a, value: ''}]\n", "has neither value nor expression"},
		{"whitelist ip", "name: n\nwhitelist: {reason: r, ip: [192.0.2.0/24]}\n", "p.yaml:5 (document 2): whitelist ip: "},
		{"whitelist cidr", "name: n\nwhitelist: {reason: r, cidr: [192.0.2.1]}\n", "p.yaml:5 (document 2): whitelist cidr: "},
		{"stash ttl", "name: n\nstatics: [{meta: a, value: b}]\nstash: [{name: a, key: \"'b'\", value: \"'c'\", ttl: soon}]\n", "p.yaml:6 (document 2): stash ttl"},
		{"format", "name: n\nformat: '4.0'\nstatics: [{meta: a, value: b}]\n", "format \"4.0\" is not supported"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, err := Load([]Item{{Path: "p.yaml", Stage: "s00", Data: []byte(good + "---\n" + c.yaml)}}, testEnv(), Options{Now: clock})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			ev := line("t", "x")
			if out := p.Parse(ev); !out.Parsed || ev.Meta["good"] != "1" || ev.Meta["a"] != "" {
				t.Fatalf("the good document did not load: %+v %v", out, ev.Meta)
			}
		})
	}
}

func TestLoadSkipsForeignDocuments(t *testing.T) {
	p := load(t, staged("s00", "filter: 'true'\n---\n---\nname: n\nstatics: [{meta: a, value: b}]\n"))
	if ev := line("t", "x"); !p.Parse(ev).Parsed || ev.Meta["a"] != "b" {
		t.Fatalf("%+v", ev)
	}
}

// TestLoadHub: every parser of the Hub loads, but for those that need the methods
// of evt.Appsec, which come with the WAF.
func TestLoadHub(t *testing.T) {
	var items []Item
	for _, item := range hubParsers(t) {
		_, err := Load([]Item{item}, testEnv(), Options{})
		if err != nil && strings.Contains(err.Error(), "event.Appsec has no method") {
			t.Logf("not loaded: %v", err)
			continue
		}
		if err != nil {
			t.Error(err)
		}
		items = append(items, item)
	}
	if _, err := Load(items, testEnv(), Options{}); err != nil {
		t.Errorf("all together: %v", err)
	}
	t.Logf("%d files", len(items))
}
