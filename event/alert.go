package event

import (
	"encoding/json"
	"strings"
	"time"
)

// Alert is what a scenario has to say about one source. Its JSON form is the
// alert model of CrowdSec's Local API, with a few fields of ours after it.
type Alert struct {
	ID              int64           `json:"id,omitempty"`
	UUID            string          `json:"uuid,omitempty"`
	MachineID       string          `json:"machine_id,omitempty"`
	CreatedAt       string          `json:"created_at,omitempty"` // RFC 3339
	Kind            string          `json:"kind,omitempty"`       // crowdsec, waf, cscli…
	Scenario        string          `json:"scenario"`
	ScenarioHash    string          `json:"scenario_hash"`
	ScenarioVersion string          `json:"scenario_version"`
	Message         string          `json:"message"`
	EventsCount     int32           `json:"events_count"`
	StartAt         string          `json:"start_at"` // RFC 3339 with nanoseconds
	StopAt          string          `json:"stop_at"`
	Capacity        int32           `json:"capacity"`
	Leakspeed       string          `json:"leakspeed"` // Go duration text
	Simulated       bool            `json:"simulated"`
	Remediation     bool            `json:"remediation"`
	Events          []AlertEvent    `json:"events"`
	Source          *Source         `json:"source"`
	Meta            Meta            `json:"meta,omitempty"`
	Labels          []string        `json:"labels,omitempty"`
	Decisions       []AlertDecision `json:"decisions,omitempty"`

	// IncidentID is shown to the visitor whose request overflowed the bucket.
	IncidentID string `json:"incident_id,omitempty"`
	// Kept is how many of EventsCount events are in Events.
	Kept int32 `json:"events_kept,omitempty"`

	// ScenarioLabels are the labels of the scenario, for profiles.
	ScenarioLabels map[string]any `json:"-"`
	// Blackhole is the scenario's; a ban without a duration lasts as long.
	Blackhole time.Duration `json:"-"`
	// Direct, Site and Width64 are those of the events; see Provenance.
	Direct  bool   `json:"direct,omitempty"`
	Site    string `json:"site,omitempty"`
	Width64 bool   `json:"-"`
	// Stop is StopAt as an instant.
	Stop time.Time `json:"-"`
}

// AlertEvent is one of the events that filled the bucket.
type AlertEvent struct {
	Timestamp string `json:"timestamp"`
	Meta      Meta   `json:"meta"`
}

// MetaItem is one key with its value.
type MetaItem struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Meta is a list of keys and values, sorted by key.
type Meta []MetaItem

// AlertDecision is a decision as the alert model carries it.
type AlertDecision struct {
	ID        int64  `json:"id,omitempty"`
	UUID      string `json:"uuid,omitempty"`
	Type      string `json:"type"`
	Scope     string `json:"scope"`
	Value     string `json:"value"`
	Origin    string `json:"origin"`
	Scenario  string `json:"scenario"`
	Duration  string `json:"duration"`
	Until     string `json:"until,omitempty"`
	Simulated bool   `json:"simulated,omitempty"`

	// Suppressed: the allowlist covered the value when the alert was made, so that
	// the decision had no effect. Ours; CrowdSec makes no such decision.
	Suppressed bool `json:"suppressed,omitempty"`
}

// Source is who did it. Scope is "Ip", "Range", "AS", "Country" or a name of
// the scenario's own.
type Source struct {
	Scope     string  `json:"scope"`
	Value     string  `json:"value"`
	IP        string  `json:"ip,omitempty"`
	Range     string  `json:"range,omitempty"`
	AsName    string  `json:"as_name,omitempty"`
	AsNumber  string  `json:"as_number,omitempty"`
	Cn        string  `json:"cn,omitempty"`
	Latitude  float32 `json:"latitude,omitempty"`
	Longitude float32 `json:"longitude,omitempty"`
}

// Get returns the value under key, "" where there is none.
func (m Meta) Get(key string) string {
	for _, it := range m {
		if it.Key == key {
			return it.Value
		}
	}
	return ""
}

// GetMeta returns the event's value under key.
func (e AlertEvent) GetMeta(key string) string { return e.Meta.Get(key) }

func (a *Alert) eventMeta(key string) string {
	for i := range a.Events {
		if v := a.Events[i].Meta.Get(key); v != "" {
			return v
		}
	}
	return ""
}

// GetScope returns the scope of the source, "" where there is none.
func (a *Alert) GetScope() string {
	if a.Source == nil {
		return ""
	}
	return a.Source.Scope
}

// GetValue returns the value of the source, "" where there is none.
func (a *Alert) GetValue() string {
	if a.Source == nil {
		return ""
	}
	return a.Source.Value
}

// GetScenario returns the name of the scenario.
func (a *Alert) GetScenario() string { return a.Scenario }

// GetEventsCount returns how many events were poured.
func (a *Alert) GetEventsCount() int32 { return a.EventsCount }

// GetMeta returns the value of the alert's own meta (its context) under key.
func (a *Alert) GetMeta(key string) string { return a.Meta.Get(key) }

// GetLabel returns a text label of the scenario, "" where there is none. It is
// ours: CrowdSec's profiles cannot ask for labels.
func (a *Alert) GetLabel(key string) string {
	s, _ := a.ScenarioLabels[key].(string)
	return s
}

// GetScope returns the scope.
func (s *Source) GetScope() string { return s.Scope }

// GetValue returns the value.
func (s *Source) GetValue() string { return s.Value }

// GetAsNumberName returns number and name of the autonomous system.
func (s *Source) GetAsNumberName() string {
	return strings.TrimSpace(s.AsNumber + " " + s.AsName)
}

// String returns the source as people write it: value, country, AS.
func (s *Source) String() string {
	out := s.Value
	if s.Cn != "" {
		out += " (" + s.Cn + ")"
	}
	if as := s.GetAsNumberName(); as != "" {
		out += " " + as
	}
	return out
}

// MarshalJSON writes an empty list for no meta, as the model's clients expect.
func (m Meta) MarshalJSON() ([]byte, error) {
	if m == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]MetaItem(m))
}
