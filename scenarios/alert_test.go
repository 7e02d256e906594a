package scenarios_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/scenarios"
)

const hubDoc = `type: leaky
name: us/rule
description: d
filter: '1 == 1'
groupby: evt.Meta.group
capacity: 1
leakspeed: 10s
blackhole: 5m
reprocess: true
labels: {remediation: true, service: http}
`

// spill pours events into one bucket and returns what overflows.
func spill(t *testing.T, yaml string, evs ...*event.Event) []*scenarios.Overflow {
	t.Helper()
	list, errs := load(t, scenarios.Item{Path: "alert.yaml", Version: "0.3", Data: []byte(yaml)})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var out []*scenarios.Overflow
	m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) { out = append(out, o) }})
	r := scenarios.NewRules(list)
	for _, ev := range evs {
		m.Pour(r.Drops(ev, scenarios.Whole, ev.Time, nil))
	}
	return out
}

func from(ip string, second int, more ...string) *event.Event {
	ev := &event.Event{Time: start.Add(time.Duration(second) * time.Second), Meta: map[string]string{"source_ip": ip}}
	for i := 0; i+1 < len(more); i += 2 {
		ev.Meta[more[i]] = more[i+1]
	}
	return ev
}

func TestAlert(t *testing.T) {
	a, b := from("3.3.3.3", 0, "http_path", "/a"), from("3.3.3.3", 7, "http_path", "/b", "asn", "x")
	b.Time = b.Time.Add(75104 * time.Nanosecond)
	b.MarshaledTime = "2024-03-01T11:00:07+01:00"
	b.From = event.Provenance{Direct: true, Detect: true, Site: "example.com", Incident: "INC", Inline: true}
	a.From.Direct = true
	b.Enriched = map[string]string{"ASNumber": "64500", "ASNOrg": "Example", "IsoCode": "DE", "Latitude": "50.5", "Longitude": "x"}
	b.Meta["SourceRange"] = "3.3.3.7/24"
	out := spill(t, hubDoc, a, b)
	if len(out) != 1 {
		t.Fatalf("%d overflows", len(out))
	}
	o := out[0]
	ev, err := o.Event()
	if err != nil {
		t.Fatal(err)
	}
	source := &event.Source{Scope: "Ip", Value: "3.3.3.3", IP: "3.3.3.3", Range: "3.3.3.0/24", AsNumber: "64500", AsName: "Example", Cn: "DE", Latitude: 50.5}
	stop := start.Add(7*time.Second + 75*time.Microsecond) // live: whole microseconds
	want := event.Alert{
		Kind: "crowdsec", Scenario: "us/rule", ScenarioHash: o.Scenario.Hash, ScenarioVersion: "0.3",
		Message:     "Ip 3.3.3.3 performed 'us/rule' (2 events over 7.000075s) at 2024-03-01 10:00:07.000075 +0000 UTC",
		EventsCount: 2, StartAt: "2024-03-01T10:00:00Z", StopAt: "2024-03-01T10:00:07.000075Z",
		Capacity: 1, Leakspeed: "10s", Remediation: true, Source: source, Kept: 2, IncidentID: "INC", UUID: ev.Overflow.Alert.UUID,
		Events: []event.AlertEvent{
			{Timestamp: "2024-03-01T10:00:00Z", Meta: event.Meta{{Key: "http_path", Value: "/a"}, {Key: "source_ip", Value: "3.3.3.3"}}},
			{Timestamp: "2024-03-01T11:00:07+01:00", Meta: event.Meta{{Key: "SourceRange", Value: "3.3.3.7/24"}, {Key: "asn", Value: "x"}, {Key: "http_path", Value: "/b"}, {Key: "source_ip", Value: "3.3.3.3"}}},
		},
		ScenarioLabels: map[string]any{"remediation": true, "service": "http"}, Blackhole: 5 * time.Minute,
		Direct: true, Site: "example.com", Stop: stop,
	}
	if d := cmp.Diff(want, *ev.Overflow.Alert); d != "" {
		t.Errorf("alert (-want +got):\n%s", d)
	}
	r := &ev.Overflow
	if ev.Type != event.OverflowType || ev.ExpectMode != event.Live || ev.MarshaledTime != want.StopAt || !r.Reprocess ||
		len(r.Mapkey) != 40 || len(r.APIAlerts) != 1 || r.Alert != &r.APIAlerts[0] || r.Sources["3.3.3.3"] != r.Alert.Source {
		t.Errorf("event %+v", ev)
	}
	if ev.From.Site != "example.com" || !ev.From.Direct || ev.From.Detect || ev.From.Incident != "INC" {
		t.Errorf("provenance %+v", ev.From)
	}
	// A second call makes cells of its own.
	again, _ := o.Event()
	again.Overflow.Alert.Source.Scope = "Range"
	if r.Alert.Source.Scope != "Ip" || o.Scenario.Scope != "Ip" {
		t.Error("alerts share a source")
	}
}

func TestAlertSimulated(t *testing.T) {
	a, b := from("3.3.3.3", 0), from("3.3.3.3", 0)
	a.From.Detect, b.From.Detect = true, true
	ev, err := spill(t, hubDoc, a, b)[0].Event()
	if err != nil || !ev.Overflow.Alert.Simulated || ev.Overflow.Alert.Direct {
		t.Errorf("got %+v, %v", ev.Overflow.Alert, err)
	}
}

// TestAlertReplay keeps the log's own zone.
func TestAlertReplay(t *testing.T) {
	a, b := from("3.3.3.3", 0), from("3.3.3.3", 9*60)
	zone := time.FixedZone("", 3600)
	for _, ev := range []*event.Event{a, b} {
		ev.ExpectMode = event.Replay
		ev.Time = ev.Time.In(zone)
	}
	doc := strings.Replace(hubDoc, "10s", "1h", 1)
	al := spillOne(t, doc, a, b)
	if al.StartAt != "2024-03-01T11:00:00+01:00" || al.StopAt != "2024-03-01T11:09:00+01:00" ||
		!strings.Contains(al.Message, "(2 events over 9m0s) at 2024-03-01 11:09:00 +0100") || al.Leakspeed != "1h0m0s" {
		t.Errorf("got %+v", al)
	}
}

func spillOne(t *testing.T, yaml string, evs ...*event.Event) *event.Alert {
	t.Helper()
	out := spill(t, yaml, evs...)
	if len(out) != 1 {
		t.Fatalf("%d overflows", len(out))
	}
	ev, err := out[0].Event()
	if err != nil {
		t.Fatal(err)
	}
	return ev.Overflow.Alert
}

func TestAlertSources(t *testing.T) {
	doc := strings.Replace(hubDoc, "capacity: 1", "capacity: 3", 1)
	four := []*event.Event{from("9.9.9.9", 0), from("1.1.1.1", 1), from("5.5.5.5", 2), from("1.1.1.1", 3)}
	ev, err := spill(t, doc, four...)[0].Event()
	if err != nil {
		t.Fatal(err)
	}
	r := &ev.Overflow
	if d := cmp.Diff([]string{"1.1.1.1", "5.5.5.5", "9.9.9.9"}, r.GetSources()); d != "" {
		t.Error(d)
	}
	for i, v := range r.GetSources() {
		a := r.APIAlerts[i]
		if a.Source != r.Sources[v] || a.Source.Value != v || a.EventsCount != 4 ||
			!strings.HasPrefix(a.Message, "Ip 3 sources performed 'us/rule' (4 events over 3s)") {
			t.Errorf("alert %d: %+v", i, a)
		}
	}
	// One address that makes no sense does not cost the alert.
	four[1].Meta["source_ip"], four[3].Meta["source_ip"] = "nonsense", ""
	if ev, err = spill(t, doc, four...)[0].Event(); err != nil || len(ev.Overflow.APIAlerts) != 2 {
		t.Errorf("got %v, %v", ev, err)
	}
	for _, e := range four {
		e.Meta["source_ip"] = "x"
	}
	if _, err = spill(t, doc, four...)[0].Event(); !errors.Is(err, scenarios.ErrNoSource) {
		t.Errorf("got %v", err)
	}
}

func TestAlertWidth64(t *testing.T) {
	doc := strings.Replace(strings.Replace(hubDoc, "capacity: 1", "capacity: 2", 1), "evt.Meta.group", "evt.Meta.source_ip", 1)
	evs := []*event.Event{from("2001:db8::1", 0), from("2001:db8::2", 0), from("2001:db8::3", 0)}
	for _, e := range evs {
		e.From.Width64 = true
	}
	out := spill(t, doc, evs...)
	if len(out) != 1 || out[0].Key != "2001:db8::/64" {
		t.Fatalf("got %v", out)
	}
	ev, err := out[0].Event()
	if err != nil {
		t.Fatal(err)
	}
	if a := ev.Overflow.Alert; len(ev.Overflow.APIAlerts) != 1 || a.Source.Value != "2001:db8::3" || !a.Width64 || len(a.Events) != 3 {
		t.Errorf("got %+v", a)
	}
}

func TestAlertScopes(t *testing.T) {
	with := func(scope string) string { return hubDoc + "scope: " + scope + "\n" }
	a, b := from("6.6.6.6", 0, "user", "bob", "SourceRange", "6.6.0.0/16"), from("6.6.6.6", 0, "user", "bob", "SourceRange", "6.6.0.0/16")
	for _, c := range []struct {
		scope string
		want  event.Source
		text  string
	}{
		{"{type: username, expression: evt.Meta.user}", event.Source{Scope: "username", Value: "bob"}, "username bob performed"},
		{"{type: Range}", event.Source{Scope: "Range", Value: "6.6.0.0/16", IP: "6.6.6.6", Range: "6.6.0.0/16"}, "Range 6.6.0.0/16 performed"},
		{"{type: Range, expression: \"'7.0.0.0/8'\"}", event.Source{Scope: "Range", Value: "7.0.0.0/8", IP: "6.6.6.6", Range: "6.6.0.0/16"}, "Range 7.0.0.0/8 performed"},
		{"{type: Ip}", event.Source{Scope: "Ip", Value: "6.6.6.6", IP: "6.6.6.6", Range: "6.6.0.0/16"}, "Ip 6.6.6.6 performed"},
	} {
		al := spillOne(t, with(c.scope), a, b)
		if d := cmp.Diff(&c.want, al.Source); d != "" || !strings.HasPrefix(al.Message, c.text) {
			t.Errorf("%s: %s\n%s", c.scope, al.Message, d)
		}
	}
}

// TestAlertReprocess pours overflows again.
func TestAlertReprocess(t *testing.T) {
	over := func(scope, value, network string) *event.Event {
		s := &event.Source{Scope: scope, Value: value, Range: network}
		if scope == "Ip" {
			s.IP = value
		}
		return &event.Event{Type: event.OverflowType, Time: start, MarshaledTime: "2024-01-01T00:00:00Z",
			Overflow: event.RuntimeAlert{Sources: map[string]*event.Source{value: s}, Alert: &event.Alert{Source: s}}}
	}
	al := spillOne(t, hubDoc+"scope: {type: Range}\n", over("Ip", "6.6.6.6", "6.6.0.0/16"), over("Ip", "6.6.7.7", "6.6.0.0/16"))
	if d := cmp.Diff(&event.Source{Scope: "Range", Value: "6.6.0.0/16", Range: "6.6.0.0/16"}, al.Source); d != "" {
		t.Error(d)
	}
	if len(al.Events) != 2 || len(al.Events[0].Meta) != 0 || al.Events[0].Timestamp != "2024-01-01T00:00:00Z" {
		t.Errorf("events %+v", al.Events)
	}
	al = spillOne(t, hubDoc, over("Ip", "6.6.6.6", ""), over("Ip", "6.6.6.6", ""))
	if al.Source.IP != "6.6.6.6" || al.Source.Scope != "Ip" {
		t.Errorf("same scope: %+v", al.Source)
	}
	for name, evs := range map[string][]*event.Event{
		"an address is no user name": {over("Ip", "6.6.6.6", ""), over("Ip", "6.6.6.6", "")},
		"an address without a range": {over("Ip", "6.6.6.6", ""), over("Ip", "6.6.6.6", "")},
	} {
		scope := "{type: username, expression: evt.Meta.x}"
		if strings.Contains(name, "range") {
			scope = "{type: Range}"
		}
		if _, err := spill(t, hubDoc+"scope: "+scope+"\n", evs...)[0].Event(); !errors.Is(err, scenarios.ErrNoSource) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOverflowFilter(t *testing.T) {
	for filter, want := range map[string]int{
		"queue.Queue[-1].Meta.user == 'eve'":                                  1,
		"queue.Queue[-1].Meta.user == 'bob'":                                  1,
		"signal.GetSources()[0] == '6.6.6.6' && leaky.Total_count == 2":       1,
		"len(queue.Queue) == 2 && queue.Queue[0].Time == queue.Queue[1].Time": 1,
		"leaky.Total_count > 2":                                               0,
		"queue.Queue[7].Meta.user == 'x'":                                     1, // an error lets it pass
	} {
		out := spill(t, strings.Replace(hubDoc, "5m", "10s", 1)+"overflow_filter: "+filter+"\n",
			from("6.6.6.6", 0, "user", "ann"), from("6.6.6.6", 0, "user", "bob"), from("6.6.6.6", 0, "user", "ann"), from("6.6.6.6", 0, "user", "eve"))
		if len(out) != want {
			t.Errorf("%s: %d overflows, want %d", filter, len(out), want)
		}
		// What is turned down begins no blackhole, so that the second burst counts.
		if strings.Contains(filter, "eve") && (len(out) == 0 || out[0].Samples[1].Meta.Get("user") != "eve") {
			t.Errorf("%s: %+v", filter, out)
		}
	}
}
