package decisions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/rampart-edge/rampart/event"
)

const alertBucket = "alerts"

// AlertFilter selects alerts; what is empty does not restrict.
type AlertFilter struct {
	IDs                []int64
	Value, Scope, Kind string
	Scenario           string     // the alert's, or that of one of its decisions
	Contains           netip.Addr // alerts whose source is or covers it
	Machine            string     // that reported it
	Since, Until       time.Time  // recorded at or after, and before
	// StartedAfter and StartedBefore are about the first event: at or after, and at
	// or before. An alert that does not say counts as begun when it was recorded.
	StartedAfter, StartedBefore time.Time
	Decided                     bool // with a decision that is still kept
	Simulated                   *bool

	// What follows is about the decisions of an alert, as they were when it was
	// made: one of them has to meet all four, so alerts that led to none never do.
	// Prefix is as in Query; Origin too: "lists" is any list.
	Prefix               netip.Prefix
	Within               bool
	Origin, DecisionType string

	// InForce true: a decision that it led to is in force, perhaps prolonged by a
	// later alert; false: it led to none at all. CrowdSec compatible: both.
	InForce *bool
	// HideLists leaves out what tells of lists: alerts of kind "capi", whose source
	// is a list, or that led to a decision of a list or the community's.
	HideLists bool

	Oldest bool // the oldest first, not the newest
	Limit  int  // 0: 100, negative: all
}

const defaultAlertLimit = 100

// alertHead is the first line of an alert's value in the database, from which an
// alertRecord is made; the second one is the alert.
type alertHead struct {
	ID        int64     `json:"id"`
	UUID      string    `json:"uuid"`
	Incident  string    `json:"incident,omitempty"`
	At        time.Time `json:"at"`
	Start     time.Time `json:"start"` // of its first event; zero: the head is of before this was kept
	Machine   string    `json:"machine,omitempty"`
	Scope     string    `json:"scope,omitempty"`
	Value     string    `json:"value,omitempty"` // in normal form
	Scenario  string    `json:"scenario,omitempty"`
	Kind      string    `json:"kind,omitempty"`
	Simulated bool      `json:"simulated,omitempty"`
	Led       []ledHead `json:"led,omitempty"`

	size int // of the value in the database, bytes
}

// ledHead is a decision that an alert led to.
type ledHead struct {
	ID       int64        `json:"id"`
	Type     string       `json:"type"`
	Origin   string       `json:"origin"`
	Scenario string       `json:"scenario,omitempty"` // "": the alert's
	Prefix   netip.Prefix `json:"prefix,omitzero"`    // that it covers, if it is against addresses
}

func newAlertHead(a *event.Alert, now time.Time) alertHead {
	h := alertHead{
		ID: a.ID, UUID: a.UUID, Incident: a.IncidentID, At: now, Start: now, Machine: a.MachineID,
		Scenario: a.Scenario, Kind: a.Kind, Simulated: a.Simulated,
	}
	if t, err := time.Parse(time.RFC3339, a.StartAt); err == nil {
		h.Start = boundedTime(t)
	}
	for i := range a.Decisions {
		d := &a.Decisions[i]
		l := ledHead{ID: d.ID, Type: d.Type, Origin: d.Origin, Prefix: (&Decision{Scope: d.Scope, Value: d.Value}).Prefix()}
		if d.Scenario != a.Scenario {
			l.Scenario = d.Scenario
		}
		h.Led = append(h.Led, l)
	}
	if a.Source != nil {
		h.Scope = a.Source.Scope
		h.Value, _ = normalValue(a.Source.Value)
	}
	return h
}

// encodeAlert makes the value of the database, whose end is the alert's JSON.
func encodeAlert(h *alertHead, a *event.Alert) (value, body []byte, err error) {
	head, err := json.Marshal(h)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding alert: %w", err)
	}
	body, err = json.Marshal(a)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding alert: %w", err)
	}
	value = append(append(head, '\n'), body...)
	h.size = len(value)
	return value, body, nil
}

func decodeAlertHead(value []byte) (h alertHead, err error) {
	line, _, ok := bytes.Cut(value, []byte("\n"))
	if !ok {
		return h, errors.New("no second line")
	}
	if err = json.Unmarshal(line, &h); err != nil {
		return h, err
	}
	if h.Start.IsZero() {
		a, err := decodeAlert(value)
		if err != nil {
			return h, err
		}
		h = newAlertHead(&a, h.At)
	}
	h.size = len(value)
	return h, nil
}

func decodeAlert(value []byte) (event.Alert, error) {
	var a event.Alert
	_, body, _ := bytes.Cut(value, []byte("\n"))
	if err := json.Unmarshal(body, &a); err != nil {
		return a, err
	}
	// Alerts are kept as the Local API shows them, where this is text only.
	a.Stop, _ = time.Parse(time.RFC3339Nano, a.StopAt)
	return a, nil
}
