package localapi

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// maxSentText bounds names and short texts of what machines send, in bytes.
const maxSentText = 512

// alertInput is an alert as it is sent. Pointers tell what is missing from what is
// empty. Further keys are ignored, those that the server makes among them.
type alertInput struct {
	Capacity        *int32            `json:"capacity"`
	Decisions       []decisionInput   `json:"decisions"`
	Events          *[]eventInput     `json:"events"`
	EventsCount     *int32            `json:"events_count"`
	Kind            string            `json:"kind"`
	Leakspeed       *string           `json:"leakspeed"`
	Message         *string           `json:"message"`
	Meta            []*event.MetaItem `json:"meta"`
	Remediation     bool              `json:"remediation"`
	Scenario        *string           `json:"scenario"`
	ScenarioHash    *string           `json:"scenario_hash"`
	ScenarioVersion *string           `json:"scenario_version"`
	Simulated       *bool             `json:"simulated"`
	Source          *sourceInput      `json:"source"`
	StartAt         *string           `json:"start_at"`
	StopAt          *string           `json:"stop_at"`
}

type decisionInput struct {
	Duration  *string `json:"duration"`
	Origin    *string `json:"origin"`
	Scenario  *string `json:"scenario"`
	Scope     *string `json:"scope"`
	Type      *string `json:"type"`
	Value     *string `json:"value"`
	Simulated *bool   `json:"simulated"`
}

type eventInput struct {
	Meta      []*event.MetaItem `json:"meta"`
	Timestamp string            `json:"timestamp"`
}

type sourceInput struct {
	Scope     *string `json:"scope"`
	Value     *string `json:"value"`
	IP        string  `json:"ip"`
	Range     string  `json:"range"`
	AsName    string  `json:"as_name"`
	AsNumber  string  `json:"as_number"`
	Cn        string  `json:"cn"`
	Latitude  float32 `json:"latitude"`
	Longitude float32 `json:"longitude"`
}

// check says which keys alert i of a request lacks.
func (in *alertInput) check(i int) error {
	if in == nil {
		in = &alertInput{}
	}
	var v violations
	for _, f := range []struct {
		ok  bool
		key string
	}{
		{in.Capacity != nil, "capacity"}, {in.Events != nil, "events"}, {in.EventsCount != nil, "events_count"},
		{in.Leakspeed != nil, "leakspeed"}, {in.Message != nil, "message"}, {in.Scenario != nil, "scenario"},
		{in.ScenarioHash != nil, "scenario_hash"}, {in.ScenarioVersion != nil, "scenario_version"},
		{in.Simulated != nil, "simulated"}, {in.Source != nil, "source"}, {in.StartAt != nil, "start_at"}, {in.StopAt != nil, "stop_at"},
	} {
		v.need(f.ok, "%d.%s", i, f.key)
	}
	if s := in.Source; s != nil {
		v.need(s.Scope != nil, "%d.source.scope", i)
		v.need(s.Value != nil, "%d.source.value", i)
	}
	for j := range in.Decisions {
		d := &in.Decisions[j]
		v.need(d.Duration != nil, "%d.decisions.%d.duration", i, j)
		v.need(d.Origin != nil, "%d.decisions.%d.origin", i, j)
		v.need(d.Scenario != nil, "%d.decisions.%d.scenario", i, j)
		v.need(d.Scope != nil, "%d.decisions.%d.scope", i, j)
		v.need(d.Type != nil, "%d.decisions.%d.type", i, j)
		v.need(d.Value != nil, "%d.decisions.%d.value", i, j)
	}
	return v.err()
}

// alert makes the alert, without decisions, of an input that was checked.
func (in *alertInput) alert(machine string, now time.Time) *event.Alert {
	s := in.Source
	a := &event.Alert{
		MachineID: machine, CreatedAt: now.UTC().Format(time.RFC3339), Kind: tidy(in.Kind), Scenario: tidy(*in.Scenario),
		ScenarioHash: tidy(*in.ScenarioHash), ScenarioVersion: tidy(*in.ScenarioVersion), Message: *in.Message,
		EventsCount: *in.EventsCount, Capacity: *in.Capacity, Leakspeed: tidy(*in.Leakspeed),
		Simulated: *in.Simulated, Remediation: in.Remediation,
		Source: &event.Source{
			Scope: canonicalScope(tidy(*s.Scope)), Value: tidy(*s.Value), IP: tidy(s.IP), Range: tidy(s.Range), AsName: tidy(s.AsName),
			AsNumber: tidy(s.AsNumber), Cn: tidy(s.Cn), Latitude: s.Latitude, Longitude: s.Longitude,
		},
		Meta: boundContext(in.Meta),
	}
	a.Stop = instant(*in.StopAt, now)
	if a.Stop.After(now) {
		a.Stop = now // or a short ban could begin in a hundred years, and hold until then
	}
	a.StartAt, a.StopAt = instant(*in.StartAt, now).Format(time.RFC3339Nano), a.Stop.Format(time.RFC3339Nano)
	for i := range *in.Events {
		e := &(*in.Events)[i]
		a.Events = append(a.Events, event.AlertEvent{Timestamp: tidy(e.Timestamp), Meta: boundEvent(e.Meta)})
	}
	a.Direct = direct(a)
	return a
}

// maxAhead is how far ahead of ours a sender's clock may be.
const maxAhead = 24 * time.Hour

// instant reads a time of something that happened. CrowdSec compatible: what is none
// is now. So is what is yet to come.
func instant(text string, now time.Time) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.After(now.Add(maxAhead)) {
		t = now
	}
	return t.UTC()
}

// direct reports whether the packets of an alert's events came from its source, as
// far as can be told: behind HTTP there may be a proxy.
func direct(a *event.Alert) bool {
	if a.Kind == "waf" || a.Kind == "bot-challenge" {
		return false
	}
	for i := range a.Events {
		if a.Events[i].Meta.Get("service") == "http" {
			return false
		}
	}
	return true
}

// tidy cuts a short text, and makes it text.
func tidy(s string) string {
	return strings.ToValidUTF8(cut(s, maxSentText), "")
}

// sentDecisions are those of an alert that can be, and how many are over already.
type sentDecisions struct {
	good []decisions.Decision
	over int
}

// decisions makes those that were sent with the alert a. Those against what cannot be
// are left out; an error means that the whole alert is to be refused.
//
// CrowdSec compatible: an end counts from the alert's last event; durations may begin
// with days; what is over already is taken, and of no effect.
func (in *alertInput) decisions(a *event.Alert, now time.Time) (out sentDecisions, err error) {
	var wide error
	for i := range in.Decisions {
		d, err := in.Decisions[i].decision(a, now)
		if err != nil {
			return out, fmt.Errorf("decision %d: %w", i, err)
		}
		n := d
		switch err := decisions.Normalise(&n, false); {
		case errors.Is(err, decisions.ErrTooWide):
			wide = fmt.Errorf("decision %d: %w", i, err)
		case err != nil:
		case !d.Until.After(now):
			out.over++
		default:
			out.good = append(out.good, d)
		}
	}
	if wide != nil && len(out.good) == 0 && out.over == 0 {
		return out, wide
	}
	return out, nil
}

func (in *decisionInput) decision(a *event.Alert, now time.Time) (decisions.Decision, error) {
	length, err := decisions.ParseDuration(*in.Duration)
	if err != nil {
		return decisions.Decision{}, err
	}
	scope, value := canonicalScope(tidy(*in.Scope)), tidy(*in.Value)
	if scope == decisions.ScopeIP && strings.Contains(value, "/") { // as files of imports have it
		scope = decisions.ScopeRange
	}
	return decisions.Decision{
		Scope: scope, Value: value, Type: tidy(*in.Type), Origin: tidy(*in.Origin),
		Scenario: tidy(*in.Scenario), Created: now, Until: a.Stop.Add(length), Direct: a.Direct,
		Simulated: a.Simulated || in.Simulated != nil && *in.Simulated,
	}, nil
}
