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
	Value, Scope, Scenario, Kind string
	Contains                     netip.Addr // alerts whose source is or covers it
	Since, Until                 time.Time  // recorded at or after, and before
	Decided                      bool       // with a decision that is still kept
	Simulated                    *bool
	Limit                        int // newest first; 0: 100, negative: all
}

const defaultAlertLimit = 100

// alertHead is the first line of an alert's value in the database, from which an
// alertRecord is made; the second one is the alert.
type alertHead struct {
	ID        int64        `json:"id"`
	UUID      string       `json:"uuid"`
	Incident  string       `json:"incident,omitempty"`
	At        time.Time    `json:"at"`
	Scope     string       `json:"scope,omitempty"`
	Value     string       `json:"value,omitempty"` // in normal form
	Prefix    netip.Prefix `json:"prefix,omitzero"`
	Scenario  string       `json:"scenario,omitempty"`
	Kind      string       `json:"kind,omitempty"`
	Simulated bool         `json:"simulated,omitempty"`
	Decisions []int64      `json:"decisions,omitempty"` // ids of those it led to
}

func newAlertHead(a *event.Alert, now time.Time) alertHead {
	h := alertHead{
		ID: a.ID, UUID: a.UUID, Incident: a.IncidentID, At: now, Scenario: a.Scenario, Kind: a.Kind, Simulated: a.Simulated,
	}
	for _, d := range a.Decisions {
		h.Decisions = append(h.Decisions, d.ID)
	}
	if a.Source != nil {
		h.Scope = a.Source.Scope
		h.Value, _ = normalValue(a.Source.Value)
		if p, _, err := parsePrefix(a.Source.Value); err == nil {
			h.Prefix = p
		}
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
	return value, body, nil
}

func decodeAlertHead(value []byte) (h alertHead, err error) {
	line, _, ok := bytes.Cut(value, []byte("\n"))
	if !ok {
		return h, errors.New("no second line")
	}
	return h, json.Unmarshal(line, &h)
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
