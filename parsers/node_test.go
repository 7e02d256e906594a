package parsers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// staged makes items of texts, each "stage" and YAML, in order.
func staged(pairs ...string) []Item {
	var items []Item
	for i := 0; i < len(pairs); i += 2 {
		items = append(items, Item{Path: fmt.Sprintf("%s/%02d.yaml", pairs[i], i), Stage: pairs[i], Data: []byte(pairs[i+1])})
	}
	return items
}

// child returns the YAML of a child that succeeds or not and notes that it ran.
func child(name string, ok bool, extra string) string {
	is := map[bool]string{true: "==", false: "!="}[ok]
	return fmt.Sprintf("- name: %s\n  filter: evt.SetParsed('ran_%s', '1') && evt.Line.Module %s 'file'\n  statics: [{parsed: done_%s, value: '1'}]\n%s", name, name, is, name, extra)
}

func indent(s string) string {
	return strings.ReplaceAll("\n"+strings.TrimSuffix(s, "\n"), "\n", "\n  ") + "\n"
}

// TestNode covers the table of parents and children, and the order of effects.
func TestNode(t *testing.T) {
	const hit, miss = "grok: {apply_on: Line.Raw, pattern: '%{WORD:w}'}\n", "grok: {apply_on: Line.Raw, pattern: 'nowhere %{WORD:w}'}\n"
	ok, ko := child("ok", true, ""), child("ko", false, "")
	late := child("late", true, "")
	cases := []struct {
		name, yaml string
		parsed     bool
		parsedKeys string // that must be there
		absentKeys string
	}{
		{"grok matched, last child fails", hit + "nodes:" + indent(ok+ko), true, "w done_ok ran_ko self", "done_ko"},
		{"no grok, next_stage, first success ends", "onsuccess: next_stage\nnodes:" + indent(ko+ok+late), true, "ran_ko done_ok self", "ran_late"},
		{"no grok, last child decides: fails", "nodes:" + indent(ok+ko), false, "done_ok ran_ko", "self"},
		{"no grok, last child decides: succeeds", "nodes:" + indent(ko+ok), true, "done_ok self", ""},
		{"failed grok, next_stage, a child succeeds", miss + "onsuccess: next_stage\nnodes:" + indent(ko+ok+late), true, "done_ok self", "w ran_late"},
		{"failed grok, last child fails", miss + "nodes:" + indent(ok+ko), false, "done_ok", "self"},
		{"failed grok, no children", miss, false, "", "self"},
		{"no grok, no children", "", true, "self", ""},
		{"failed grok with grok statics, a child succeeds",
			"grok: {apply_on: Line.Raw, pattern: 'nowhere %{WORD:w}', statics: [{parsed: g, value: '1'}]}\nnodes:" + indent(ok), true, "done_ok self", "g"},
		{"captures of a failed node stay", "nodes:" + indent("- nodes:"+indent("- "+hit+"  statics: [{parsed: x, value: '1'}]\n- filter: 'false'\n  statics: [{parsed: y, value: '1'}]")), false, "w x", "self y"},
		{"filter that fails at run time", "filter: evt.Unmarshaled.a.b == 'x'\n", false, "", "self"},
		{"filter by label", "filter: evt.Line.Labels.type == 'other'\n", false, "", "self"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := load(t, staged("s00", "name: top\n"+c.yaml+"statics: [{parsed: self, value: '1'}]\n"))
			ev := line("t", "word")
			if out := p.Parse(ev); out.Parsed != c.parsed || out.Err != nil {
				t.Fatalf("outcome %+v, want parsed %v", out, c.parsed)
			}
			for _, k := range strings.Fields(c.parsedKeys) {
				if _, ok := ev.Parsed[k]; !ok {
					t.Errorf("Parsed lacks %q: %v", k, ev.Parsed)
				}
			}
			for _, k := range strings.Fields(c.absentKeys) {
				if _, ok := ev.Parsed[k]; ok {
					t.Errorf("Parsed has %q: %v", k, ev.Parsed)
				}
			}
			if ev.Process != c.parsed {
				t.Errorf("Process is %v", ev.Process)
			}
		})
	}
}

// TestStages covers promotion: by nodes, by children, twice, and not at all.
func TestStages(t *testing.T) {
	promote := func(name string) string {
		return "name: " + name + "\nonsuccess: next_stage\nstatics: [{parsed: " + name + ", value: '1'}]\n"
	}
	stay := func(name string) string { return strings.ReplaceAll(promote(name), "next_stage", "continue") }
	fails := func(name string) string { return "filter: 'false'\n" + promote(name) }
	double := "name: double\nonsuccess: next_stage\nnodes:\n  - onsuccess: next_stage\n    statics: [{parsed: inner, value: '1'}]\n"
	cases := []struct {
		name   string
		items  []Item
		parsed bool
		ran    string
	}{
		{"one after the other", staged("s00", promote("a"), "s01", promote("b"), "s02", stay("c")), true, "a b c"},
		{"nobody promotes", staged("s00", stay("a"), "s01", stay("b")), false, "a"},
		{"promotion ends the stage", staged("s00", promote("a"), "s00", promote("z"), "s01", stay("b")), true, "a b"},
		{"without promotion later nodes run", staged("s00", stay("a"), "s00", promote("z"), "s01", stay("b")), true, "a z b"},
		{"next_stage in the last stage ends it", staged("s00", promote("a"), "s01", promote("b"), "s01", stay("c")), true, "a b"},
		{"the last stage needs a success", staged("s00", promote("a"), "s01", fails("b")), false, "a"},
		{"child and parent promote: one stage is skipped", staged("s00", double, "s01", stay("b"), "s02", stay("c")), true, "double c"},
		{"two promotions near the end", staged("s01", double, "s02", stay("c")), true, "double c"},
		{"no nodes at all", nil, true, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, ev, ran := load(t, c.items), line("t", "x"), []string{}
			out := p.Observe(ev, func(_, node string, _ *event.Event, ok bool) {
				if ok {
					ran = append(ran, node)
				}
			})
			if got := strings.Join(ran, " "); out.Parsed != c.parsed || got != c.ran {
				t.Fatalf("parsed %v, ran %q, want %v, %q", out.Parsed, got, c.parsed, c.ran)
			}
		})
	}
}

// TestParseFrom is the way of live requests.
func TestParseFrom(t *testing.T) {
	p := load(t, staged("s00", "name: raw\nstatics: [{parsed: raw, value: '1'}]\n",
		"s02", "name: never\nfilter: 'false'\nstatics: [{parsed: never, value: '1'}]\n",
		"s02", "name: skipped\nstatics: [{parsed: skipped, value: '1'}]\n",
		"s03", "name: last\nstatics: [{parsed: last, value: '1'}]\n"))
	for _, from := range []string{"s02", "s01"} {
		ev := line("t", "x")
		if out := p.ParseFrom(from, ev, func(name string) bool { return name == "skipped" }); !out.Parsed {
			t.Fatalf("from %s: %+v", from, out)
		}
		if diff := cmp.Diff(map[string]string{"last": "1"}, ev.Parsed); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestPostoverflow(t *testing.T) {
	items := staged("s00-enrich", "name: e\nfilter: 'false'\nstatics: [{parsed: e, value: '1'}]\n",
		"s01-whitelist", "name: w\nwhitelist: {reason: ours, ip: ['192.0.2.1']}\n")
	p, err := Load(items, testEnv(), Options{Now: clock, Postoverflow: true})
	if err != nil {
		t.Fatal(err)
	}
	ev := &event.Event{Type: event.OverflowType}
	ev.Overflow.Sources = map[string]*event.Source{"192.0.2.1": {Scope: "Ip", Value: "192.0.2.1"}}
	if out := p.Parse(ev); !out.Parsed || !ev.Whitelisted || !ev.Overflow.Whitelisted || ev.WhitelistReason != "ours" {
		t.Fatalf("%+v %+v", out, ev)
	}
}

func TestWhitelist(t *testing.T) {
	cases := []struct {
		name, yaml, source string
		want               bool
	}{
		{"ip", "ip: ['192.0.2.1']", "192.0.2.1", true},
		{"other ip", "ip: ['192.0.2.1']", "192.0.2.2", false},
		{"cidr", "cidr: ['192.0.2.0/24']", "192.0.2.9", true},
		{"v6", "cidr: ['2001:db8::/32']", "2001:db8::9", true},
		{"mapped is not unmapped", "cidr: ['192.0.2.0/24']", "::ffff:192.0.2.9", false},
		{"expression", "expression: [\"evt.Meta.source_ip == '192.0.2.5'\"]", "192.0.2.5", true},
		{"expressions are alternatives", "expression: ['1 == 2', '1 == 1']", "192.0.2.5", true},
		{"a failing expression ends them", "expression: ['evt.Unmarshaled.a.b', '1 == 1']", "192.0.2.5", false},
		{"ip or expression", "ip: ['192.0.2.1']\n  expression: ['1 == 2']", "192.0.2.1", true},
		{"no address", "ip: ['192.0.2.1']", "unknown", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := load(t, staged("s00", "name: w\nwhitelist:\n  reason: because\n  "+c.yaml+"\nstatics: [{parsed: own, value: '1'}]\n",
				"s00", "name: later\nstatics: [{parsed: later, value: '1'}]\nwhitelist: {reason: second, expression: ['1 == 1']}\n"))
			ev := line("t", "x")
			ev.SetMeta("source_ip", c.source)
			if out := p.Parse(ev); !out.Parsed {
				t.Fatal(out)
			}
			reason := "second"
			if c.want {
				reason = "because"
			}
			if !ev.Whitelisted || ev.WhitelistReason != reason || (ev.Parsed["own"] == "1") != c.want || ev.Parsed["later"] != "1" {
				t.Fatalf("%+v", ev)
			}
		})
	}
}

func TestStash(t *testing.T) {
	p := load(t, staged("s00", `name: writer
filter: evt.Line.Raw startsWith 'set'
grok: {apply_on: Line.Raw, pattern: 'set %{WORD:k} %{WORD:v}'}
stash:
  - {name: memory, key: evt.Parsed.k, value: evt.Parsed.v, ttl: 1m, size: 2}
`, "s00", `name: reader
filter: evt.Line.Raw startsWith 'get'
statics:
  - {parsed: got, expression: "GetFromStash('memory', evt.Line.Raw[4:])"}
`))
	for _, c := range []struct{ raw, got string }{
		{"get a", ""}, {"set a 1", ""}, {"get a", "1"}, {"set b 2", ""}, {"set c 3", ""}, {"get a", ""}, {"get c", "3"}, {"setx", ""},
	} {
		ev := line("t", c.raw)
		p.Parse(ev)
		if ev.Parsed["got"] != c.got {
			t.Fatalf("%s: %q, want %q", c.raw, ev.Parsed["got"], c.got)
		}
	}
}

// TestStashStrategies: whom a full stash of two forgets, and when.
func TestStashStrategies(t *testing.T) {
	// Lines are "set KEY" and "get KEY"; of get it is written down whether it was there.
	cases := []struct{ strategy, lines, kept string }{
		{"LRU", "set a, set b, get a, set c", "a c"},
		{"LRU", "set a, set b, set a, set c", "a c"},
		{"LFU", "set a, set b, get b, get b, get a, set c", "b c"},
		{"ARC", "set a, set b, get a, set c", "a c"},
		{"other", "set a, set b, get a, set c", "a c"},
		{"", "set a, set b, get a, set c", "a c"},
		{"LRU", "set a, later, set b", "b"},
		{"LRU", "set a, soon, get a, soon", ""},
	}
	for _, c := range cases {
		t.Run(c.strategy+": "+c.lines, func(t *testing.T) {
			now := clock()
			env := expression.New(expression.Options{Now: func() time.Time { return now }})
			stash := fmt.Sprintf("{name: memory, key: evt.Parsed.k, value: evt.Parsed.k, ttl: 1m, size: 2, strategy: %q}", c.strategy)
			p, err := Load(staged("s00", "name: set\nfilter: evt.Line.Raw startsWith 'set'\ngrok: {apply_on: Line.Raw, pattern: 'set %{WORD:k}'}\nstash: ["+stash+"]\n",
				"s00", "name: get\nfilter: evt.Line.Raw startsWith 'get'\nstatics: [{parsed: got, expression: \"GetFromStash('memory', evt.Line.Raw[4:])\"}]\n"), env, Options{Now: clock})
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range strings.Split(c.lines, ", ") {
				switch text {
				case "later":
					now = now.Add(61 * time.Second)
				case "soon":
					now = now.Add(31 * time.Second)
				default:
					p.Parse(line("t", text))
				}
			}
			var kept []string
			for _, k := range []string{"a", "b", "c"} {
				ev := line("t", "get "+k)
				if p.Parse(ev); ev.Parsed["got"] == k {
					kept = append(kept, k)
				}
			}
			if got := strings.Join(kept, " "); got != c.kept {
				t.Fatalf("kept %q, want %q", got, c.kept)
			}
		})
	}
}

// TestStashSkips: a stash takes texts, after a grok that matched, or on a node that
// has none; of two with one name both are written and the first is read.
func TestStashSkips(t *testing.T) {
	get := "name: get\nstatics: [{parsed: got, expression: \"GetFromStash('m', 'k')\"}]\n"
	for _, c := range []struct{ name, yaml, want string }{
		{"a node without a grok", "statics: [{meta: a, value: b}]\nstash: [{name: m, key: \"'k'\", value: evt.Line.Raw, ttl: 1m}]\n", "raw"},
		{"a grok that failed", "grok: {apply_on: Line.Raw, pattern: 'x%{WORD:x}'}\nstash: [{name: m, key: \"'k'\", value: evt.Line.Raw, ttl: 1m}]\n", ""},
		{"a node that fails by its children", "nodes: [{filter: 'false', statics: [{meta: a, value: b}]}]\nstash: [{name: m, key: \"'k'\", value: evt.Line.Raw, ttl: 1m}]\n", "raw"},
		{"a number for a value", "statics: [{meta: a, value: b}]\nstash: [{name: m, key: \"'k'\", value: \"{'v': 1}['v']\", ttl: 1m}]\n", ""},
		{"a run time error", "statics: [{meta: a, value: b}]\nstash: [{name: m, key: evt.Unmarshaled.a.b, value: evt.Line.Raw, ttl: 1m}]\n", ""},
		{"captures of the grok are there", "grok: {apply_on: Line.Raw, pattern: '%{WORD:x}'}\nstash: [{name: m, key: \"'k'\", value: evt.Parsed.x + '!', ttl: 1m}]\n", "raw!"},
		{"two of one name", "statics: [{meta: a, value: b}]\nstash: [{name: m, key: \"'k'\", value: \"'one'\", ttl: 1m}, {name: m, key: \"'k'\", value: \"'two'\", ttl: 1m}]\n", "two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev := line("t", "raw")
			if load(t, staged("s00", "name: n\n"+c.yaml, "s00", get)).Parse(ev); ev.Parsed["got"] != c.want {
				t.Fatalf("got %q, want %q", ev.Parsed["got"], c.want)
			}
		})
	}
}

// TestEntry: an event that has no time gets the clock's, in UTC; one that has a
// stage enters there.
func TestEntry(t *testing.T) {
	cest := time.FixedZone("CEST", 7200)
	p, err := Load(staged("s00", "name: a\nonsuccess: next_stage\nstatics: [{parsed: a, value: '1'}]\n", "s01", "name: b\nstatics: [{parsed: b, value: '1'}]\n"),
		testEnv(), Options{Now: func() time.Time { return clock().In(cest) }})
	if err != nil {
		t.Fatal(err)
	}
	ev := line("t", "x")
	if out := p.Parse(ev); !out.Parsed || ev.Time != clock() || ev.Stage != "s01" {
		t.Fatalf("%+v %v %s", out, ev.Time, ev.Stage)
	}
	ev = line("t", "x")
	ev.Stage, ev.Time = "s01", clock().Add(time.Hour)
	if out := p.Parse(ev); !out.Parsed || ev.Parsed["a"] != "" || ev.Parsed["b"] != "1" || ev.Time != clock().Add(time.Hour) {
		t.Fatalf("%+v %v", out, ev)
	}
}
