package scenarios_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestSourcesOfLines is what the format says of each field of a source.
func TestSourcesOfLines(t *testing.T) {
	with := func(meta, enriched map[string]string) *event.Event {
		return &event.Event{Time: start, Meta: meta, Enriched: enriched}
	}
	ip := map[string]string{"source_ip": "192.0.2.7"}
	for name, c := range map[string]struct {
		scope string
		ev    *event.Event
		want  *event.Source // nil: no alert
	}{
		"an address": {"{}", with(ip, nil), &event.Source{Scope: "Ip", Value: "192.0.2.7", IP: "192.0.2.7"}},
		"it is taken as it is written": {"{type: Ip}", with(map[string]string{"source_ip": "2001:DB8:0::1"}, nil),
			&event.Source{Scope: "Ip", Value: "2001:DB8:0::1", IP: "2001:DB8:0::1"}},
		"everything that is known": {"{}", with(map[string]string{"source_ip": "192.0.2.7", "SourceRange": "192.0.2.9/24"},
			map[string]string{"ASNumber": "64500", "ASNNumber": "1", "ASNOrg": "Example", "IsoCode": "DE", "Latitude": "48.5", "Longitude": "-11.25"}),
			&event.Source{Scope: "Ip", Value: "192.0.2.7", IP: "192.0.2.7", Range: "192.0.2.0/24", AsNumber: "64500", AsName: "Example", Cn: "DE", Latitude: 48.5, Longitude: -11.25}},
		"the other name of the AS": {"{}", with(ip, map[string]string{"ASNNumber": "64501"}),
			&event.Source{Scope: "Ip", Value: "192.0.2.7", IP: "192.0.2.7", AsNumber: "64501"}},
		"a place that is none": {"{}", with(ip, map[string]string{"Latitude": "north", "Longitude": ""}),
			&event.Source{Scope: "Ip", Value: "192.0.2.7", IP: "192.0.2.7"}},
		"no address":              {"{}", with(map[string]string{"user": "bob"}, nil), nil},
		"an address that is none": {"{}", with(map[string]string{"source_ip": "192.0.2.777"}, nil), nil},
		"a range that is none":    {"{}", with(map[string]string{"source_ip": "192.0.2.7", "SourceRange": "192.0.2.0"}, nil), nil},
		"a range":                 {"{type: Range}", with(map[string]string{"source_ip": "192.0.2.7", "SourceRange": "192.0.2.0/24"}, nil), &event.Source{Scope: "Range", Value: "192.0.2.0/24", IP: "192.0.2.7", Range: "192.0.2.0/24"}},
		"a range that is unknown": {"{type: Range}", with(ip, nil), &event.Source{Scope: "Range", IP: "192.0.2.7"}},
		"a range without address": {"{type: Range}", with(map[string]string{"SourceRange": "192.0.2.0/24"}, nil), nil},
		"a range of its own": {"{type: Range, expression: \"evt.Meta.net\"}", with(map[string]string{"source_ip": "192.0.2.7", "SourceRange": "192.0.2.0/24", "net": "192.0.0.0/16"}, nil),
			&event.Source{Scope: "Range", Value: "192.0.0.0/16", IP: "192.0.2.7", Range: "192.0.2.0/24"}},
		"a name":              {"{type: username, expression: evt.Meta.user}", with(map[string]string{"user": "bob"}, map[string]string{"IsoCode": "DE"}), &event.Source{Scope: "username", Value: "bob"}},
		"a name that is none": {"{type: username, expression: evt.Meta.user}", with(ip, nil), &event.Source{Scope: "username"}},
		"a number is no text": {"{type: size, expression: len(evt.Meta)}", with(ip, nil), &event.Source{Scope: "size"}},
		"a name that fails":   {"{type: username, expression: evt.Overflow.Alert.Scenario}", with(ip, nil), nil},
	} {
		t.Run(name, func(t *testing.T) {
			out := spill(t, "type: trigger\nname: us/rule\ndescription: d\nfilter: '1 == 1'\nscope: "+c.scope+"\n", c.ev)
			ev, err := out[0].Event()
			if c.want == nil {
				if !errors.Is(err, scenarios.ErrNoSource) {
					t.Errorf("%v, %v", ev, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			a := ev.Overflow.Alert
			if d := cmp.Diff(c.want, a.Source); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if ev.Overflow.Sources[c.want.Value] != a.Source || a.Capacity != 0 || a.Leakspeed != "0s" || a.EventsCount != 1 || a.StartAt != a.StopAt ||
				a.Message != c.want.Scope+" "+c.want.Value+" performed 'us/rule' (1 events over 0s) at "+start.String() {
				t.Errorf("%+v", a)
			}
		})
	}
}

// TestSourcesAreShared: what a postoverflow writes to the alert's source shows in
// Sources, under the name that it had; not in the scenario, and not in later alerts.
func TestSourcesAreShared(t *testing.T) {
	doc := "type: trigger\nname: us/rule\ndescription: d\nfilter: '1 == 1'\n"
	over := spill(t, doc, from("2001:db8:85a3::1", 0), from("2001:db8:85a3::2", 1))
	ev, err := over[0].Event()
	if err != nil {
		t.Fatal(err)
	}
	ev.Overflow.Alert.Source.Scope = "Range"
	ev.Overflow.Alert.Source.Value = "2001:db8:85a3::/64"
	want := &event.Source{Scope: "Range", Value: "2001:db8:85a3::/64", IP: "2001:db8:85a3::1"}
	if d := cmp.Diff(want, ev.Overflow.Sources["2001:db8:85a3::1"]); d != "" {
		t.Errorf("in Sources (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, ev.Overflow.APIAlerts[0].Source); d != "" {
		t.Errorf("in the alert (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"2001:db8:85a3::1"}, ev.Overflow.GetSources()); d != "" {
		t.Error(d)
	}
	later, err := over[1].Event()
	if err != nil || later.Overflow.Alert.Source.Scope != "Ip" || over[1].Scenario.Scope != "Ip" {
		t.Errorf("a later alert: %+v, %v", later.Overflow.Alert.Source, err)
	}
}

// TestAlertConditional is one of two addresses, with what only its type has.
func TestAlertConditional(t *testing.T) {
	doc := `type: conditional
name: us/travel
description: d
filter: '1 == 1'
groupby: evt.Meta.user
capacity: -1
leakspeed: 3h
condition: len(queue.Queue) >= 2 and Distance(queue.Queue[-1].Enriched.Latitude, queue.Queue[-1].Enriched.Longitude, queue.Queue[-2].Enriched.Latitude, queue.Queue[-2].Enriched.Longitude) > 1000
`
	a, b := from("198.51.100.1", 0, "user", "bob"), from("203.0.113.2", 1800, "user", "bob")
	a.Enriched = map[string]string{"Latitude": "48.1", "Longitude": "11.5", "IsoCode": "DE"}
	b.Enriched = map[string]string{"Latitude": "40.7", "Longitude": "-74.0", "IsoCode": "US"}
	out := spill(t, doc, a, b)
	if len(out) != 1 {
		t.Fatalf("%d overflows", len(out))
	}
	ev, err := out[0].Event()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"198.51.100.1", "203.0.113.2"}, ev.Overflow.GetSources()); d != "" || len(ev.Overflow.APIAlerts) != 2 {
		t.Fatal(d)
	}
	al := ev.Overflow.APIAlerts[1]
	if al.Source.Cn != "US" || al.Capacity != -1 || al.Leakspeed != "3h0m0s" || al.EventsCount != 2 || len(al.Events) != 2 || al.Remediation ||
		al.Message != "Ip 2 sources performed 'us/travel' (2 events over 30m0s) at "+start.Add(30*time.Minute).String() {
		t.Errorf("%+v", al)
	}
}
