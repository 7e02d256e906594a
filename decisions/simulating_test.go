package decisions_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

func TestParseSelector(t *testing.T) {
	for text, want := range map[string]string{
		"crowdsecurity/ssh-bf": "crowdsecurity/ssh-bf", "*": "*", "list:tor": "list:tor", "host:WWW.Example.ORG:8443": "host:www.example.org",
		"host:192.0.2.1": "host:192.0.2.1", "host:[2001:db8::1]:443": "host:2001:db8::1",
		"list:": "list name", "list:a/b": "list name", "host:": "site", "host:a b": "site", "": "missing", "a\nb": "control",
	} {
		got, err := decisions.ParseSelector(text)
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// simulationOf opens a desk's store.
func simulationOf(d *desk) *decisions.SimulationStore {
	d.t.Helper()
	s, damaged, err := decisions.OpenSimulation(d.db, d.now)
	must(d.t, err)
	if len(damaged) > 0 {
		d.t.Errorf("damaged: %v", damaged)
	}
	return s
}

func TestSimulationStore(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	base := &decisions.Simulation{Exclusions: []string{"a", "list:tor", "host:Beta.example"}}
	s := simulationOf(d)
	check := func(when, want string) {
		t.Helper()
		over, got := s.Over(base), []string{}
		for _, name := range []string{"a", "b"} {
			if over.Scenario(name) {
				got = append(got, name)
			}
		}
		for _, name := range []string{"tor", "spam"} {
			if over.List(name) {
				got = append(got, name)
			}
		}
		for _, name := range []string{"BETA.example:443", "shop.example"} {
			if over.Host(name) {
				got = append(got, name)
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %q, want %q", when, text, want)
		}
	}
	check("as configured", "a tor BETA.example:443")
	for _, c := range []struct {
		selector string
		on       bool
	}{{"a", false}, {"b", true}, {"list:tor", false}, {"list:spam", true}, {"host:beta.example", false}, {"host:shop.example", true}} {
		must(t, s.Set(c.selector, c.on, "ann"))
	}
	check("all turned around", "b spam shop.example")
	s = simulationOf(d)
	check("after a restart", "b spam shop.example")
	must(t, s.Set("*", true, "ann"))
	check("all scenarios", "a b spam shop.example")
	must(t, s.Set("a", false, "ann"))
	check("but one", "b spam shop.example")
	must(t, s.Set("*", false, "ann"))
	check("none", "spam shop.example")
	s = simulationOf(d)
	want := []decisions.SimulationChoice{{Selector: "*", By: "ann", At: start}, {Selector: "host:beta.example", By: "ann", At: start}, {Selector: "host:shop.example", On: true, By: "ann", At: start},
		{Selector: "list:spam", On: true, By: "ann", At: start}, {Selector: "list:tor", By: "ann", At: start}}
	if diff := cmp.Diff(want, s.Choices()); diff != "" {
		t.Error(diff)
	}
	for _, c := range s.Choices() {
		must(t, s.Clear(c.Selector))
	}
	check("all taken back", "a tor BETA.example:443")
	if err := s.Set("list:", true, "ann"); err == nil {
		t.Error("a selector that is none")
	}
	must(t, d.db.Put("simulation", "x", []byte("{")))
	must(t, d.db.Put("simulation", "host:Y", []byte(`{"selector":"host:Y","on":true}`)))
	if _, damaged, err := decisions.OpenSimulation(d.db, d.now); err != nil || len(damaged) != 2 {
		t.Errorf("%v, %v", damaged, err)
	}
}

func TestSimulatedAlert(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	over := simulationOf(d).Over(&decisions.Simulation{Exclusions: []string{"test/quiet", "host:beta.example"}})
	for name, tc := range map[string]struct {
		scenario, site string
		events         []string
		want           bool
	}{
		"nothing to do with it":           {"s", "a.example", []string{"a.example"}, false},
		"the scenario":                    {"test/quiet", "a.example", nil, true},
		"the site":                        {"s", "beta.example", []string{"beta.example", "Beta.example:443"}, true},
		"the site, without events":        {"s", "beta.example", nil, true},
		"one request to it, after others": {"s", "beta.example", []string{"a.example", "beta.example"}, false},
		"one request to it, before":       {"s", "a.example", []string{"beta.example"}, false},
		"a log that names the site":       {"s", "", []string{"", "beta.example"}, true},
		"a log that names none":           {"s", "", []string{"", ""}, false},
	} {
		a := &event.Alert{Scenario: tc.scenario, Site: tc.site}
		for _, e := range tc.events {
			a.Events = append(a.Events, event.AlertEvent{Meta: event.Meta{{Key: "target_fqdn", Value: e}}})
		}
		if got := over.Alert(a); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestSimulatedLists: they are listed as simulated and enforced nowhere, from the start
// or from when somebody says so, and again when nobody does.
func TestSimulatedLists(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	put := func(name string, texts ...string) {
		t.Helper()
		var ps []netip.Prefix
		for _, s := range texts {
			ps = append(ps, prefix(s))
		}
		l, _, err := decisions.NewBlocklist(decisions.ListHead{Name: name, Type: "ban", Created: start, Until: start.Add(time.Hour)}, ps)
		must(t, err)
		must(t, d.PutList(l))
	}
	simulate := func(names ...string) {
		t.Helper()
		must(t, d.SimulateLists(func(name string) bool { return strings.Contains(fmt.Sprint(names), name) }))
	}
	check := func(when string, tor, spam bool) {
		t.Helper()
		for value, simulated := range map[string]bool{"192.0.2.1": tor, "198.51.100.1": spam} {
			want := decisions.Ban
			if simulated {
				want = decisions.None
			}
			ds := d.List(decisions.Filter{Value: value})
			if len(ds) != 1 || ds[0].Simulated != simulated || d.action(value) != want {
				t.Errorf("%s: %s: %s, %+v", when, value, d.action(value), ds)
			}
			n, _ := d.Active(value)
			if (n == 0) != simulated {
				t.Errorf("%s: %s: %d in force", when, value, n)
			}
		}
		if n := len(d.Lists()); n != 2 {
			t.Errorf("%s: %d lists", when, n)
		}
	}
	cursor := int64(0)
	told := func(when string, want ...string) {
		t.Helper()
		cs, next := d.ListsSince(cursor)
		cursor = next
		var got []string
		for _, c := range cs {
			got = append(got, fmt.Sprintf("%s %v %v", c.Name, c.Whole, c.Removed))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: told %s", when, diff)
		}
	}
	simulate("tor")
	put("tor", "192.0.2.1/32")
	put("spam", "198.51.100.0/24", "198.51.100.1/32", "203.0.113.9/32")
	d.clock.Advance(time.Second)
	if ds := d.List(decisions.Filter{Value: "198.51.100.0/24"}); len(ds) != 1 {
		t.Errorf("%+v", ds)
	}
	put("spam", "198.51.100.1/32")
	check("one from the start", true, false)
	told("at first", "spam true []")
	simulate("spam")
	check("the other one", false, true)
	told("turned around", "spam false [198.51.100.1/32]", "tor true []")
	put("spam", "198.51.100.1/32", "198.51.100.2/32")
	check("renewed", false, true)
	d.restart()
	check("nothing said after a restart", false, false)
	simulate("tor", "spam")
	check("both", true, true)
	must(t, d.DropList("spam"))
	if n := len(d.Lists()); n != 1 {
		t.Errorf("%d lists", n)
	}
}
