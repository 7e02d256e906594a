package parsers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// steps traces an event and writes the tree down, a line for each node.
func steps(p *Pipeline, ev *event.Event) string {
	var list []Step
	p.Trace(ev, func(s Step) { list = append(list, s) })
	slices.SortFunc(list, func(a, b Step) int { return a.Order - b.Order })
	var out strings.Builder
	for _, s := range list {
		fmt.Fprintf(&out, "%s%s %s#%d %v", strings.Repeat("  ", s.Depth), s.Stage, s.Node, s.Index, s.OK)
		if s.Reason != "" {
			fmt.Fprintf(&out, " %s", s.Reason)
		}
		if s.Whitelisted {
			out.WriteString(" whitelisted")
		}
		for _, c := range s.Changes {
			if c.Field != "Time" {
				fmt.Fprintf(&out, " | %s", c)
			}
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func TestTrace(t *testing.T) {
	cases := []struct {
		name  string
		items []Item
		want  string
	}{
		{"every depth, each with what it did itself", staged("s00", `name: top
onsuccess: next_stage
grok: {apply_on: Line.Raw, pattern: '%{WORD:first}', statics: [{meta: a, expression: evt.Parsed.first}]}
nodes:
  - filter: evt.Parsed.first == 'nothing'
    statics: [{parsed: x, value: '1'}]
  - name: inner
    nodes:
      - grok: {apply_on: first, pattern: '%{INT:n}'}
      - statics: [{meta: a, value: changed}, {target: evt.StrTime, value: now}]
  - statics: [{parsed: never, value: '1'}]
statics: [{meta: b, value: last}]
`, "s01", "name: second\nstatics: [{meta: c, value: '1'}]\n"), `s00 top#0 true | Meta.a = "one" | Meta.b = "last" | Parsed.first = "one" | Stage = "s01" (was "s00")
  s00 child-top#0 false filter
  s00 inner#1 true
    s00 child-inner#0 false grok
    s00 child-inner#1 true | Meta.a = "changed" (was "one") | StrTime = "now"
s01 second#0 true | Meta.c = "1"
`},
		{"what a failed node leaves", staged("s00", `name: top
filter: evt.SetMeta('m', '1')
nodes:
  - grok: {apply_on: Line.Raw, pattern: '%{WORD:first}'}
  - filter: evt.Unmarshaled.a.b == 1
    statics: [{parsed: x, value: '1'}]
`), `s00 top#0 false children | Meta.m = "1"
  s00 child-top#0 true | Parsed.first = "one"
  s00 child-top#1 false filter
`},
		{"an error", staged("s00", "name: top\nnodes:\n  - statics: [{meta: a, value: '1'}, {meta: b, expression: 1 == 1}]\n", "s00", "name: later\nstatics: [{meta: c, value: '1'}]\n"),
			`s00 top#0 false error
  s00 child-top#0 false error | Meta.a = "1"
`},
		{"a whitelist", staged("s00", "name: top\nwhitelist: {reason: r, expression: ['1 == 1']}\n", "s00", "name: w\nwhitelist: {reason: r, expression: ['1 == 2']}\nstatics: [{meta: a, value: '1'}]\n"),
			"s00 top#0 true whitelisted | WhitelistReason = \"r\" | Whitelisted = \"true\" (was \"false\")\ns00 w#1 true\n"},
		{"a decoded tree", staged("s00", "name: top\nfilter: UnmarshalJSON('{\"a\":1}', evt.Unmarshaled, 'j') in ['', nil]\nstatics: [{meta: a, value: '1'}]\n"),
			"s00 top#0 true | Meta.a = \"1\" | Unmarshaled.j = \"{\\\"a\\\":1}\"\n"},
		{"grok without its text", staged("s00", "name: top\ngrok: {apply_on: none, pattern: '%{WORD:first}'}\n"), "s00 top#0 false grok\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, steps(load(t, c.items), line("t", "one 2"))); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// TestTraceOverflow: a postoverflow's changes to the alert are seen, though an
// event and its clone share it.
func TestTraceOverflow(t *testing.T) {
	p := load(t, staged("s00", "name: n\nstatics: [{target: evt.Overflow.Alert.Source.Scope, value: Range}]\n"))
	ev := &event.Event{Type: event.OverflowType}
	ev.Overflow.Alert = &event.Alert{Source: &event.Source{Scope: "Ip"}}
	if diff := cmp.Diff("s00 n#0 true | Overflow.Alert.Source.Scope = \"Range\" (was \"Ip\")\n", steps(p, ev)); diff != "" {
		t.Fatal(diff)
	}
}

// TestTraceChangesNothing: a traced event ends as one that nobody watched.
func TestTraceChangesNothing(t *testing.T) {
	p := builtin(t)
	for _, l := range []*event.Event{line("syslog", sshdLine), line("syslog", otherLine), line("nginx", combinedLine), line("caddy", caddyLine)} {
		plain, traced := l.Clone(), l.Clone()
		want, got := p.Parse(plain), p.Trace(traced, func(Step) {})
		if diff := cmp.Diff(plain, traced, stamps()); diff != "" || want != got {
			t.Fatalf("%+v, %+v: %s", want, got, diff)
		}
	}
}

// TestDebug: a node with debug set writes its steps and those of its children,
// nobody else does.
func TestDebug(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	items := staged("s00", "name: quiet\nstatics: [{meta: q, value: '1'}]\nnodes:\n  - name: loud\n    debug: true\n    nodes: [{filter: 'false', statics: [{meta: x, value: '1'}]}]\n    statics: [{meta: a, value: '1'}]\n")
	p, err := Load(items, expression.New(expression.Options{Now: clock}), Options{Now: clock, Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	p.Parse(line("t", "x"))
	var got []string
	for _, e := range logs.All() {
		f := e.ContextMap()
		got = append(got, fmt.Sprintf("%s: %v ok=%v reason=%v changes=%v", e.Message, f["node"], f["ok"], f["reason"], f["changes"]))
	}
	want := []string{"parser node: child-loud ok=false reason=filter changes=", "parser node: loud ok=false reason=children changes="}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}
