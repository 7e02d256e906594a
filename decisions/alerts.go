package decisions

import (
	"bytes"
	"container/heap"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
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

// alertHead is what of an alert stays in memory, and the first line of its value
// in the database; the second one is the alert.
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

// alertRecord is an alert in memory.
type alertRecord struct {
	alertHead
	live    int                    // decisions that point at it
	pending atomic.Pointer[[]byte] // its value until that is durable
}

func newAlertRecord(a *event.Alert, now time.Time) *alertRecord {
	r := &alertRecord{alertHead: alertHead{
		ID: a.ID, UUID: a.UUID, Incident: a.IncidentID, At: now, Scenario: a.Scenario, Kind: a.Kind, Simulated: a.Simulated,
	}}
	for _, d := range a.Decisions {
		r.Decisions = append(r.Decisions, d.ID)
	}
	if a.Source != nil {
		r.Scope = a.Source.Scope
		r.Value, _ = normalValue(a.Source.Value)
		if p, _, err := parsePrefix(a.Source.Value); err == nil {
			r.Prefix = p
		}
	}
	return r
}

// encodeAlert makes the value of the database.
func encodeAlert(h *alertHead, a *event.Alert) ([]byte, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encoding alert: %w", err)
	}
	body, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encoding alert: %w", err)
	}
	return append(append(head, '\n'), body...), nil
}

func decodeAlertHead(value []byte) (*alertRecord, error) {
	line, _, ok := bytes.Cut(value, []byte("\n"))
	if !ok {
		return nil, errors.New("no second line")
	}
	r := &alertRecord{}
	return r, json.Unmarshal(line, &r.alertHead)
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

func (f *AlertFilter) matches(r *alertRecord) bool {
	switch {
	case f.Value != "" && f.Value != r.Value,
		f.Scope != "" && !strings.EqualFold(f.Scope, r.Scope),
		f.Scenario != "" && f.Scenario != r.Scenario,
		f.Kind != "" && f.Kind != r.Kind,
		f.Contains.IsValid() && !(r.Prefix.IsValid() && r.Prefix.Contains(f.Contains)),
		!f.Since.IsZero() && r.At.Before(f.Since),
		!f.Until.IsZero() && !r.At.Before(f.Until),
		f.Decided && r.live == 0,
		f.Simulated != nil && *f.Simulated != r.Simulated:
		return false
	}
	return true
}

// alertIndex finds alerts and knows which may go.
type alertIndex struct {
	byID       map[int64]*alertRecord
	byIncident map[string]int64
	order      []int64 // ids ascending, with some that went
	free       idHeap  // of alerts without a decision, with some that went or got one again
}

func newAlertIndex() alertIndex {
	return alertIndex{byID: map[int64]*alertRecord{}, byIncident: map[string]int64{}}
}

func (x *alertIndex) add(r *alertRecord) {
	x.byID[r.ID] = r
	x.order = append(x.order, r.ID)
	if r.Incident != "" {
		x.byIncident[r.Incident] = r.ID
	}
	if r.live == 0 {
		heap.Push(&x.free, r.ID)
	}
}

// hold and release count the decisions of an alert.
func (x *alertIndex) hold(id int64) {
	if r := x.byID[id]; r != nil {
		r.live++
	}
}

func (x *alertIndex) release(id int64) {
	if r := x.byID[id]; r != nil {
		if r.live--; r.live == 0 {
			heap.Push(&x.free, id)
		}
	}
}

// evict removes alerts above limit and those from before since, the oldest first,
// never one that a kept decision points at; it returns their ids.
func (x *alertIndex) evict(limit int, since time.Time) []int64 {
	var out []int64
	for len(x.free) > 0 {
		r := x.byID[x.free[0]]
		if r != nil && r.live == 0 {
			if len(x.byID) <= limit && !r.At.Before(since) {
				break
			}
			delete(x.byID, r.ID)
			if x.byIncident[r.Incident] == r.ID {
				delete(x.byIncident, r.Incident)
			}
			out = append(out, r.ID)
		}
		heap.Pop(&x.free)
	}
	if len(x.order) > 2*len(x.byID)+1024 {
		kept := x.order[:0]
		for _, id := range x.order {
			if x.byID[id] != nil {
				kept = append(kept, id)
			}
		}
		x.order = kept
	}
	return out
}

// idHeap has the lowest id at its head.
type idHeap []int64

func (h idHeap) Len() int           { return len(h) }
func (h idHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h idHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for package heap.
func (h *idHeap) Push(x any) { *h = append(*h, x.(int64)) }

// Pop is for package heap.
func (h *idHeap) Pop() any {
	old := *h
	id := old[len(old)-1]
	*h = old[:len(old)-1]
	return id
}
