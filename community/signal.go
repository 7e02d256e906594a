package community

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// Trust in a signal, by where its scenario comes from. CrowdSec compatible.
const (
	TrustManual    = "manual"    // a person decided
	TrustTainted   = "tainted"   // a Hub scenario that was changed
	TrustCustom    = "custom"    // of no Hub
	TrustCertified = "certified" // as the Hub has it
)

// Signal is what is told of an alert. CrowdSec compatible: an item of
// AddSignalsRequest. Events and lines are never in it.
type Signal struct {
	Context   []event.MetaItem `json:"context"` // null unless it is shared
	CreatedAt string           `json:"created_at,omitempty"`
	Decisions []SignalDecision `json:"decisions,omitempty"`
	Kind      string           `json:"kind,omitempty"`
	MachineID string           `json:"machine_id,omitempty"`
	Message   string           `json:"message"`
	Scenario  string           `json:"scenario"`
	Hash      string           `json:"scenario_hash"`
	Trust     string           `json:"scenario_trust,omitempty"`
	Version   string           `json:"scenario_version"`
	Source    event.Source     `json:"source"`
	StartAt   string           `json:"start_at"`
	StopAt    string           `json:"stop_at"`
	UUID      string           `json:"uuid,omitempty"`
}

// SignalDecision is a decision as a signal has it. Duration is Go duration text; the ID
// is always 0.
type SignalDecision struct {
	Duration string `json:"duration"`
	ID       int64  `json:"id"`
	Origin   string `json:"origin"`
	Scenario string `json:"scenario"`
	Scope    string `json:"scope"`
	Type     string `json:"type"`
	UUID     string `json:"uuid,omitempty"`
	Value    string `json:"value"`
}

// Reasons for which an alert makes no signal.
var (
	errSimulated = errors.New("simulated")
	errAllowed   = errors.New("allowlisted")
	errNoSource  = errors.New("without a source")
	errDerived   = errors.New("of a range, the addresses of which have signals of their own")
	errNotShared = errors.New("of a kind that is not shared")
)

// newSignal makes the signal of an alert, or says why there is none.
func (c *Client) newSignal(a *event.Alert, share *Share, login string) (Signal, error) {
	if a.Simulated {
		return Signal{}, errSimulated
	}
	if a.Source == nil || a.Source.Scope == "" || a.Kind == "capi" {
		return Signal{}, errNoSource
	}
	if a.Scenario == decisions.OriginAggregate {
		return Signal{}, errDerived
	}
	if d := (decisions.Decision{Scope: a.Source.Scope, Value: a.Source.Value}); c.o.Allow.Covers(d.Prefix()) {
		return Signal{}, errAllowed
	}
	s := Signal{CreatedAt: a.CreatedAt, Kind: a.Kind, Message: a.Message, Scenario: a.Scenario, Hash: a.ScenarioHash,
		Version: a.ScenarioVersion, Source: *a.Source, StartAt: a.StartAt, StopAt: a.StopAt, UUID: a.UUID, MachineID: login}
	if share.Names {
		s.MachineID = a.MachineID
	}
	for i := range a.Decisions {
		if d := &a.Decisions[i]; !d.Simulated && !d.Suppressed {
			s.Decisions = append(s.Decisions, newSignalDecision(d))
		}
	}
	if len(a.Decisions) > 0 && len(s.Decisions) == 0 {
		if slices.ContainsFunc(a.Decisions, func(d event.AlertDecision) bool { return d.Simulated }) {
			return Signal{}, errSimulated
		}
		return Signal{}, errAllowed
	}
	s.Trust = trust(&s)
	if !share.of(s.Trust) {
		return Signal{}, fmt.Errorf("%w: %s", errNotShared, s.Trust)
	}
	if share.Context {
		s.Context = append([]event.MetaItem{}, a.Meta...)
	}
	return s, nil
}

func newSignalDecision(d *event.AlertDecision) SignalDecision {
	out := SignalDecision{Duration: d.Duration, Origin: d.Origin, Scenario: d.Scenario, Scope: d.Scope, Type: d.Type, UUID: d.UUID, Value: d.Value}
	if _, err := time.ParseDuration(d.Duration); err != nil {
		// The server knows no days.
		if left, err := decisions.ParseDuration(d.Duration); err == nil {
			out.Duration = left.String()
		}
	}
	return out
}

// trust says where a signal comes from. CrowdSec compatible, but that decisions which
// people made by "rampart" or imported are theirs as well: they are no detections.
func trust(s *Signal) string {
	if len(s.Decisions) > 0 {
		switch s.Decisions[0].Origin {
		case "cscli", "cscli-import", "rampart":
			return TrustManual
		}
	}
	switch {
	case s.Hash == "":
		return TrustCustom
	case s.Version == "" || s.Version == "?":
		return TrustTainted
	}
	return TrustCertified
}

// of reports whether signals of a trust are shared.
func (s *Share) of(trust string) bool {
	switch trust {
	case TrustManual:
		return s.Manual
	case TrustTainted:
		return s.Tainted
	case TrustCustom:
		return s.Custom
	}
	return true
}

// encode returns the JSON that is sent.
func (s *Signal) encode() ([]byte, error) {
	body, err := json.Marshal(s)
	if err == nil && len(body) > maxSignal {
		err = fmt.Errorf("%d bytes, at most %d are sent", len(body), maxSignal)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding a signal: %w", err)
	}
	return body, nil
}

// alertDecisions are decisions as an alert has them.
func alertDecisions(ds []decisions.Decision, now time.Time) []event.AlertDecision {
	out := make([]event.AlertDecision, 0, len(ds))
	for i := range ds {
		d := &ds[i]
		if d.ID == 0 {
			continue // it was not made
		}
		out = append(out, event.AlertDecision{ID: d.ID, UUID: d.UUID, Type: d.Type, Scope: d.Scope, Value: d.Value, Origin: d.Origin,
			Scenario: d.Scenario, Duration: d.Until.Sub(now).Round(time.Second).String(), Simulated: d.Simulated, Suppressed: d.Suppressed})
	}
	return out
}
