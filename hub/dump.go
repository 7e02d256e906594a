package hub

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
)

// The names of the dumps. CrowdSec compatible: its tools read them.
const (
	parserDump   = "parser-dump.yaml"
	overflowDump = "bucket-dump.yaml"
	pourDump     = "bucketpour-dump.yaml"
)

// WriteDumps writes the results as CrowdSec dumps them, into a folder that is made
// if need be.
func (r *Results) WriteDumps(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("writing dumps: %w", err)
	}
	nodes := map[string]map[string][]nodeDump{}
	for stage, list := range r.Parsers {
		nodes[stage] = map[string][]nodeDump{}
		for name, results := range list {
			nodes[stage][name] = []nodeDump{}
			for i := range results {
				one := nodeDump{Idx: results[i].Idx, Evt: dumpOf(results[i].Evt), Success: results[i].Success}
				nodes[stage][name] = append(nodes[stage][name], one)
			}
		}
	}
	pours := map[string][]*eventDump{}
	for name, events := range r.Pours {
		pours[name] = dumpsOf(events)
	}
	for name, v := range map[string]any{parserDump: nodes, overflowDump: dumpsOf(r.Overflows), pourDump: pours} {
		data, err := yaml.Marshal(v)
		if err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return fmt.Errorf("writing dumps: %w", err)
		}
	}
	return nil
}

type nodeDump struct {
	Idx     int        `yaml:"Idx"`
	Evt     *eventDump `yaml:"Evt"`
	Success bool       `yaml:"Success"`
}

// eventDump is an event by the names of CrowdSec's dumps.
type eventDump struct {
	Type            int               `yaml:"Type,omitempty"`
	ExpectMode      int               `yaml:"ExpectMode,omitempty"`
	Whitelisted     bool              `yaml:"Whitelisted,omitempty"`
	WhitelistReason string            `yaml:"WhitelistReason,omitempty"`
	Stage           string            `yaml:"Stage,omitempty"`
	Line            lineDump          `yaml:"Line,omitempty"`
	Parsed          map[string]string `yaml:"Parsed,omitempty"`
	Enriched        map[string]string `yaml:"Enriched,omitempty"`
	Unmarshaled     map[string]any    `yaml:"Unmarshaled,omitempty"`
	Overflow        overflowFields    `yaml:"Overflow,omitempty"`
	Time            time.Time         `yaml:"Time"`
	StrTime         string            `yaml:"StrTime,omitempty"`
	StrTimeFormat   string            `yaml:"StrTimeFormat,omitempty"`
	MarshaledTime   string            `yaml:"MarshaledTime,omitempty"`
	Process         bool              `yaml:"Process,omitempty"`
	Meta            map[string]string `yaml:"Meta,omitempty"`
}

type lineDump struct {
	Raw     string            `yaml:"Raw,omitempty"`
	Src     string            `yaml:"Src,omitempty"`
	Time    time.Time         `yaml:"time"`
	Labels  map[string]string `yaml:"Labels,omitempty"`
	Process bool              `yaml:"process"`
	Module  string            `yaml:"Module,omitempty"`
}

type overflowFields struct {
	Mapkey      string                 `yaml:"Mapkey,omitempty"`
	BucketID    string                 `yaml:"BucketId,omitempty"`
	Whitelisted bool                   `yaml:"Whitelisted,omitempty"`
	Reprocess   bool                   `yaml:"Reprocess,omitempty"`
	Sources     map[string]*sourceDump `yaml:"Sources,omitempty"`
	Alert       *alertDump             `yaml:"Alert,omitempty"`
	APIAlerts   []*alertDump           `yaml:"APIAlerts,omitempty"`
}

type sourceDump struct {
	AsName    string  `yaml:"asname"`
	AsNumber  string  `yaml:"asnumber"`
	Cn        string  `yaml:"cn"`
	IP        string  `yaml:"ip"`
	Latitude  float32 `yaml:"latitude"`
	Longitude float32 `yaml:"longitude"`
	Range     string  `yaml:"range"`
	Scope     string  `yaml:"scope"`
	Value     string  `yaml:"value"`
}

type alertDump struct {
	Capacity        int32              `yaml:"capacity"`
	CreatedAt       string             `yaml:"createdat"`
	Events          []event.AlertEvent `yaml:"events"`
	EventsCount     int32              `yaml:"eventscount"`
	ID              int64              `yaml:"id"`
	Kind            string             `yaml:"kind"`
	Labels          []string           `yaml:"labels"`
	Leakspeed       string             `yaml:"leakspeed"`
	MachineID       string             `yaml:"machineid"`
	Message         string             `yaml:"message"`
	Meta            event.Meta         `yaml:"meta"`
	Remediation     bool               `yaml:"remediation"`
	Scenario        string             `yaml:"scenario"`
	ScenarioHash    string             `yaml:"scenariohash"`
	ScenarioVersion string             `yaml:"scenarioversion"`
	Simulated       bool               `yaml:"simulated"`
	Source          *sourceDump        `yaml:"source"`
	StartAt         string             `yaml:"startat"`
	StopAt          string             `yaml:"stopat"`
	UUID            string             `yaml:"uuid"`
}

func dumpsOf(events []*event.Event) []*eventDump {
	list := make([]*eventDump, len(events))
	for i, ev := range events {
		list[i] = dumpOf(ev)
	}
	return list
}

func dumpOf(ev *event.Event) *eventDump {
	l, o := &ev.Line, &ev.Overflow
	d := &eventDump{Type: ev.Type, ExpectMode: ev.ExpectMode, Whitelisted: ev.Whitelisted, WhitelistReason: ev.WhitelistReason,
		Stage: ev.Stage, Line: lineDump{l.Raw, l.Src, l.Time, l.Labels, l.Process, l.Module},
		Parsed: ev.Parsed, Enriched: ev.Enriched, Unmarshaled: ev.Unmarshaled, Time: ev.Time, StrTime: ev.StrTime,
		StrTimeFormat: ev.StrTimeFormat, MarshaledTime: ev.MarshaledTime, Process: ev.Process, Meta: ev.Meta,
		Overflow: overflowFields{Mapkey: o.Mapkey, BucketID: o.BucketID, Whitelisted: o.Whitelisted, Reprocess: o.Reprocess}}
	if o.Alert == nil {
		return d
	}
	d.Overflow.Sources = map[string]*sourceDump{}
	for key, s := range o.Sources {
		d.Overflow.Sources[key] = sourceOf(s)
	}
	for i := range o.APIAlerts {
		d.Overflow.APIAlerts = append(d.Overflow.APIAlerts, alertOf(&o.APIAlerts[i]))
	}
	d.Overflow.Alert = alertOf(o.Alert)
	return d
}

func sourceOf(s *event.Source) *sourceDump {
	if s == nil {
		return nil
	}
	return &sourceDump{s.AsName, s.AsNumber, s.Cn, s.IP, s.Latitude, s.Longitude, s.Range, s.Scope, s.Value}
}

func alertOf(a *event.Alert) *alertDump {
	return &alertDump{Capacity: a.Capacity, CreatedAt: a.CreatedAt, Events: a.Events, EventsCount: a.EventsCount, ID: a.ID,
		Kind: a.Kind, Labels: a.Labels, Leakspeed: a.Leakspeed, MachineID: a.MachineID, Message: a.Message, Meta: a.Meta,
		Remediation: a.Remediation, Scenario: a.Scenario, ScenarioHash: a.ScenarioHash, ScenarioVersion: a.ScenarioVersion,
		Simulated: a.Simulated, Source: sourceOf(a.Source), StartAt: a.StartAt, StopAt: a.StopAt, UUID: a.UUID}
}
