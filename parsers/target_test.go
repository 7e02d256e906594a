package parsers

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
)

// TestTargets walks a target of each kind.
func TestTargets(t *testing.T) {
	full := func() *event.Event {
		ev := line("t", "raw")
		ev.Overflow.Alert = &event.Alert{Source: &event.Source{}}
		return ev
	}
	alert := func(change func(*event.Alert)) func(*event.Event) {
		return func(ev *event.Event) { change(ev.Overflow.Alert) }
	}
	cases := []struct {
		target string
		want   func(ev *event.Event) // what is different afterwards; nil: nothing
	}{
		{"evt.StrTime", func(ev *event.Event) { ev.StrTime = "v" }},
		{"StrTime", func(ev *event.Event) { ev.StrTime = "v" }},
		{"evt.evt.StrTime", nil},
		{"StrTimeFormat", func(ev *event.Event) { ev.StrTimeFormat = "v" }},
		{"MarshaledTime", func(ev *event.Event) { ev.MarshaledTime = "v" }},
		{"WhitelistReason", func(ev *event.Event) { ev.WhitelistReason = "v" }},
		{"evt.Line.Raw", func(ev *event.Event) { ev.Line.Raw = "v" }},
		{"evt.Line.Src", func(ev *event.Event) { ev.Line.Src = "v" }},
		{"evt.Line.Module", func(ev *event.Event) { ev.Line.Module = "v" }},
		{"evt.Line.Labels.a", func(ev *event.Event) { ev.Line.Labels = map[string]string{"type": "t", "a": "v"} }},
		{"evt.Parsed.a", func(ev *event.Event) { ev.SetParsed("a", "v") }},
		{"evt.Parsed.a.b.c", func(ev *event.Event) { ev.SetParsed("a", "v") }},
		{"evt.Meta.a", func(ev *event.Event) { ev.SetMeta("a", "v") }},
		{"evt.Enriched.a", func(ev *event.Event) { ev.SetEnriched("a", "v") }},
		{"evt.Unmarshaled.a.b", func(ev *event.Event) { ev.Unmarshaled = map[string]any{"a": "v"} }},
		{"evt.Appsec.Vars.a", func(ev *event.Event) { ev.Appsec.Vars = map[string]string{"a": "v"} }},
		{"evt.Overflow.Mapkey", func(ev *event.Event) { ev.Overflow.Mapkey = "v" }},
		{"evt.Overflow.BucketId", func(ev *event.Event) { ev.Overflow.BucketID = "v" }},
		{"evt.Overflow.Alert.Scenario", alert(func(a *event.Alert) { a.Scenario = "v" })},
		{"evt.Overflow.Alert.ScenarioHash", alert(func(a *event.Alert) { a.ScenarioHash = "v" })},
		{"evt.Overflow.Alert.Message", alert(func(a *event.Alert) { a.Message = "v" })},
		{"evt.Overflow.Alert.StartAt", alert(func(a *event.Alert) { a.StartAt = "v" })},
		{"evt.Overflow.Alert.Source.Scope", alert(func(a *event.Alert) { a.Source.Scope = "v" })},
		{"evt.Overflow.Alert.Source.AsNumber", alert(func(a *event.Alert) { a.Source.AsNumber = "v" })},

		{"", nil}, {"evt", nil}, {"evt.", nil}, {"source_ip", nil}, {"evt.Nope.x", nil}, {"evt.StrTime.x", nil},
		{"evt.Process", nil}, {"evt.Whitelisted", nil}, {"evt.Time", nil}, {"evt.Type", nil}, {"evt.Line", nil}, {"evt.Line.Labels", nil}, {"evt.Meta", nil},
		{"evt.Overflow.Sources.a", nil}, {"evt.Overflow.Alert.Capacity", nil}, {"evt.Overflow.Alert.Source.Latitude", nil}, {"evt.Overflow.Alert.Labels.a", nil},
		{"evt.From.Site", nil}, {"evt.Stamp.text", nil},
	}
	for _, c := range cases {
		got, want := full(), full()
		shared := got.Line.Labels
		if _, write := targetAt(c.target); write != nil {
			write(got, "v")
		} else if c.want != nil {
			t.Errorf("%s cannot be written", c.target)
		}
		if c.want != nil {
			c.want(want)
		}
		if diff := cmp.Diff(want, got, stamps()); diff != "" {
			t.Errorf("%s: %s", c.target, diff)
		}
		if len(shared) != 1 {
			t.Errorf("%s: the labels of the source changed: %v", c.target, shared)
		}
	}
	for _, target := range []string{"Overflow.Alert.Scenario", "Overflow.Alert.Source.Value"} {
		ev := line("t", "raw")
		_, write := targetAt(target)
		write(ev, "v") // behind a nil pointer there is nothing to write to
		if diff := cmp.Diff(line("t", "raw"), ev, stamps()); diff != "" {
			t.Errorf("%s: %s", target, diff)
		}
	}
}
