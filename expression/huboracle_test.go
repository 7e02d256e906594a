package expression_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit/hubset"
)

// addHubData loads the data files that the items of the Hub name.
func addHubData(t testing.TB, env *expression.Env) {
	t.Helper()
	loaded := 0
	for _, folder := range []string{"scenarios", "postoverflows"} {
		for _, path := range hubset.Files(t, folder) {
			for dec := yaml.NewDecoder(bytes.NewReader(hubset.Read(t, path))); ; {
				var doc struct{ Data []expression.DataFile }
				if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				for _, d := range doc.Data {
					if d.Type != "" && env.AddData(d) == nil {
						loaded++
					}
				}
			}
		}
	}
	if loaded < 15 {
		t.Fatalf("only %d data files", loaded)
	}
}

// outcome is all that a run shows.
type outcome struct {
	Value  any
	Failed bool
	Meta   map[string]string
	Parsed map[string]string
	Trees  map[string]any
}

// outcomeOf runs a program on a copy of an event.
func outcomeOf(p *expression.Program, kind expression.Kind, ev *event.Event, memo *expression.Memo) outcome {
	ev = ev.Clone()
	v := &expression.Vars{Evt: ev, Memo: memo}
	var out any
	var err error
	if kind == expression.Bool {
		out, err = p.Bool(v)
	} else {
		out, err = p.Any(v)
	}
	if err != nil {
		out = nil
	}
	return outcome{out, err != nil, ev.Meta, ev.Parsed, ev.Unmarshaled}
}

// TestHubExpressions holds every expression of the Hub over an event to the machine,
// on events that come close to what it asks for.
func TestHubExpressions(t *testing.T) {
	fast, plain := hubset.Env(t, false), hubset.Env(t, true)
	addHubData(t, fast)
	addHubData(t, plain)
	events := append(hubset.Events(t, 3), overflow())
	m := hubset.NewMaker(t, 3)
	var memo expression.Memo
	runs, failed, positive, expressions := 0, 0, 0, 0
	for _, x := range hubExpressions(t) {
		if x.on != expression.OnEvent {
			continue
		}
		p, err := fast.Compile(x.source, x.on, x.kind)
		if err != nil {
			t.Errorf("%s:%d: %v", x.file, x.line, err)
			continue
		}
		q, err := plain.Compile(x.source, x.on, x.kind)
		if err != nil {
			t.Fatal(err)
		}
		expressions++
		constants := m.Constants(x.source)
		for i := range 10 {
			ev := events[m.IntN(len(events))]
			if i%5 == 4 {
				ev = events[len(events)-1]
			}
			if i%5 != 0 {
				ev = m.Near(ev, p, constants)
			}
			want := outcomeOf(q, x.kind, ev, nil)
			memo.Reset()
			for _, with := range []*expression.Memo{nil, &memo, &memo} {
				if p.Reads().Writes {
					memo.Reset() // it was another copy that it wrote to
				}
				if d := cmp.Diff(want, outcomeOf(p, x.kind, ev, with)); d != "" {
					t.Fatalf("%s:%d: %s\nof %+v (memo: %v)\n(-plain +fast):\n%s", x.file, x.line, x.source, ev, with != nil, d)
				}
			}
			runs++
			if want.Failed {
				failed++
			} else if want.Value != false && want.Value != "" && want.Value != nil {
				positive++
			}
		}
	}
	t.Logf("%d expressions, %d events; %d runs failed, %d gave something", expressions, runs, failed, positive)
	if failed < 100 || positive < runs/4 {
		t.Error("too few to say anything")
	}
}

// overflow is the event of an overflow.
func overflow() *event.Event {
	alert := event.Alert{Scenario: "crowdsecurity/auditd-sus-exec", Remediation: true,
		Source: &event.Source{Scope: "Ip", Value: "2001:db8::1", IP: "2001:db8::1", Range: "2001:db8::/32"},
		Events: []event.AlertEvent{{Meta: event.Meta{{Key: "exe", Value: "/nix/store/x/bin/.y-wrapped"}, {Key: "parent_progname", Value: "/usr/bin/dnf"}}}}}
	return &event.Event{Type: event.OverflowType, Enriched: map[string]string{"reverse_dns": "crawl-66-249-66-1.googlebot.com."},
		Overflow: event.RuntimeAlert{Alert: &alert, APIAlerts: []event.Alert{alert}, Sources: map[string]*event.Source{"2001:db8::1": alert.Source}}}
}
