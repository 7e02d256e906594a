package notify

import (
	"slices"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// Alert is what templates are given, as a list. CrowdSec compatible: names of fields
// and methods, and the JSON form, which is that of the Local API's alerts. The
// texts are no pointers, as they are there: a template that prints them cannot tell,
// and comparing or quoting them works here.
type Alert struct {
	Capacity        int32       `json:"capacity"`
	CreatedAt       string      `json:"created_at,omitempty"`
	Decisions       []*Decision `json:"decisions"`
	Events          []*Event    `json:"events"`
	EventsCount     int32       `json:"events_count"`
	ID              int64       `json:"id,omitempty"`
	Kind            string      `json:"kind,omitempty"`
	Labels          []string    `json:"labels"`
	Leakspeed       string      `json:"leakspeed"`
	MachineID       string      `json:"machine_id,omitempty"`
	Message         string      `json:"message"`
	Meta            event.Meta  `json:"meta,omitempty"`
	Remediation     bool        `json:"remediation,omitempty"`
	Scenario        string      `json:"scenario"`
	ScenarioHash    string      `json:"scenario_hash"`
	ScenarioVersion string      `json:"scenario_version"`
	Simulated       bool        `json:"simulated"`
	Source          *Source     `json:"source"`
	StartAt         string      `json:"start_at"`
	StopAt          string      `json:"stop_at"`
	UUID            string      `json:"uuid,omitempty"`

	// IncidentID and Site are ours: what the visitor was shown, and where.
	IncidentID string `json:"-"`
	Site       string `json:"-"`
}

// Source is who did it; it is never nil in an alert that a template sees.
type Source struct {
	AsName    string  `json:"as_name,omitempty"`
	AsNumber  string  `json:"as_number,omitempty"`
	Cn        string  `json:"cn,omitempty"`
	IP        string  `json:"ip,omitempty"`
	Latitude  float32 `json:"latitude,omitempty"`
	Longitude float32 `json:"longitude,omitempty"`
	Range     string  `json:"range,omitempty"`
	Scope     string  `json:"scope"`
	Value     string  `json:"value"`
}

// Decision is one of those that the alert led to.
type Decision struct {
	Duration  string `json:"duration"`
	ID        int64  `json:"id,omitempty"`
	Origin    string `json:"origin"`
	Scenario  string `json:"scenario"`
	Scope     string `json:"scope"`
	Simulated bool   `json:"simulated"`
	Type      string `json:"type"`
	Until     string `json:"until,omitempty"`
	UUID      string `json:"-"`
	Value     string `json:"value"`

	// Suppressed is ours: the allowlist covers the value, so it has no effect.
	Suppressed bool `json:"-"`
}

// Event is one of those that filled the bucket.
type Event struct {
	Meta      event.Meta `json:"meta"`
	Timestamp string     `json:"timestamp"`
}

// GetScope returns the scope of the source.
func (a *Alert) GetScope() string { return a.Source.Scope }

// GetValue returns the value of the source.
func (a *Alert) GetValue() string { return a.Source.Value }

// GetScenario returns the name of the scenario.
func (a *Alert) GetScenario() string { return a.Scenario }

// GetEventsCount returns how many events were poured.
func (a *Alert) GetEventsCount() int32 { return a.EventsCount }

// HasRemediation: the alert is to lead to decisions.
func (a *Alert) HasRemediation() bool { return a.Remediation }

// GetMeta returns the values under key of all events, in their order.
func (a *Alert) GetMeta(key string) []string {
	var values []string
	for _, e := range a.Events {
		for _, it := range e.Meta {
			if it.Key == key {
				values = append(values, it.Value)
			}
		}
	}
	return values
}

// GetAsNumberName returns number and name of the autonomous system.
func (s *Source) GetAsNumberName() string {
	return (&event.Source{AsNumber: s.AsNumber, AsName: s.AsName}).GetAsNumberName()
}

// String returns the source as people write it.
func (s *Source) String() string {
	return (&event.Source{Value: s.Value, Cn: s.Cn, AsNumber: s.AsNumber, AsName: s.AsName}).String()
}

// newAlert copies what an alert says, so that who changes it later changes no
// message that waits.
func newAlert(a *event.Alert) *Alert {
	out := &Alert{
		Capacity: a.Capacity, CreatedAt: a.CreatedAt, EventsCount: a.EventsCount, ID: a.ID, Kind: a.Kind,
		Leakspeed: a.Leakspeed, MachineID: a.MachineID, Message: a.Message, Meta: slices.Clone(a.Meta),
		Remediation: a.Remediation, Scenario: a.Scenario, ScenarioHash: a.ScenarioHash, ScenarioVersion: a.ScenarioVersion,
		Simulated: a.Simulated, StartAt: a.StartAt, StopAt: a.StopAt, UUID: a.UUID, IncidentID: a.IncidentID, Site: a.Site,
		Source: &Source{}, Decisions: make([]*Decision, 0, len(a.Decisions)), Events: make([]*Event, 0, len(a.Events)),
	}
	if s := a.Source; s != nil {
		*out.Source = Source{AsName: s.AsName, AsNumber: s.AsNumber, Cn: s.Cn, IP: s.IP, Latitude: s.Latitude,
			Longitude: s.Longitude, Range: s.Range, Scope: s.Scope, Value: s.Value}
	}
	for i := range a.Decisions {
		d := &a.Decisions[i]
		out.Decisions = append(out.Decisions, &Decision{Duration: d.Duration, ID: d.ID, Origin: d.Origin, Scenario: d.Scenario,
			Scope: d.Scope, Simulated: d.Simulated, Type: d.Type, Until: d.Until, UUID: d.UUID, Value: d.Value, Suppressed: d.Suppressed})
	}
	for i := range a.Events {
		out.Events = append(out.Events, &Event{Meta: slices.Clone(a.Events[i].Meta), Timestamp: a.Events[i].Timestamp})
	}
	return out
}

// size is about how many bytes the alert takes while it waits.
func (a *Alert) size() int {
	const alone, item = 1024, 64
	n := alone + len(a.Message) + len(a.Decisions)*4*item
	for _, it := range a.Meta {
		n += item + len(it.Key) + len(it.Value)
	}
	for _, e := range a.Events {
		n += item
		for _, it := range e.Meta {
			n += item + len(it.Key) + len(it.Value)
		}
	}
	return n
}

// sample is the alert that Test sends: an address for documentation, and words that
// nobody takes for an attack.
func sample(now time.Time) *Alert {
	at := now.UTC().Format(time.RFC3339)
	return &Alert{
		Capacity: 1, CreatedAt: at, EventsCount: 1, Kind: "rampart", Leakspeed: "10s", MachineID: "test",
		Message:  "test notification: nothing happened, and nobody is banned",
		Scenario: "rampart/test", StartAt: at, StopAt: at, Simulated: true, Remediation: true,
		Source: &Source{AsName: "Example", AsNumber: "64496", Cn: "ZZ", IP: "192.0.2.1", Range: "192.0.2.0/24", Scope: "Ip", Value: "192.0.2.1"},
		Decisions: []*Decision{{Duration: "4h", Origin: "rampart", Scenario: "rampart/test", Scope: "Ip", Simulated: true,
			Type: "ban", Value: "192.0.2.1"}},
		Events: []*Event{{Timestamp: at, Meta: event.Meta{{Key: "log_type", Value: "test"}, {Key: "source_ip", Value: "192.0.2.1"}}}},
	}
}
