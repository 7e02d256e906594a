package appliance

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// MaxImport is how many decisions one request may import.
const MaxImport = 5000

// originImport is the origin of imported decisions. CrowdSec compatible: bouncers and
// dashboards know it.
const originImport = "cscli-import"

// ImportRow is a decision to import.
type ImportRow struct {
	Value    string `json:"value"`
	Scope    string `json:"scope,omitempty"`    // default: Ip or Range, from the value
	Type     string `json:"type,omitempty"`     // default: ban
	Duration string `json:"duration,omitempty"` // default: 4h
	Reason   string `json:"reason,omitempty"`   // default: manual
}

// ImportRequest has decisions to import, one alert stands behind them all.
type ImportRequest struct {
	From string      `json:"from,omitempty"` // what they were read from, for people
	Rows []ImportRow `json:"rows"`
	// BypassAllowlist records those that the allowlist covers too, without effect.
	BypassAllowlist bool `json:"bypass_allowlist,omitempty"`
}

// ImportAnswer is what became of them.
type ImportAnswer struct {
	AlertID int64 `json:"alert_id,omitempty"` // none where nothing was recorded
	// Made are in force, of which Known prolonged, or repeat, decisions that there were.
	Made  int `json:"made"`
	Known int `json:"known"`
	// Suppressed of those made have no effect: the allowlist covers them.
	Suppressed int `json:"suppressed"`
	// Allowed were left out for the same reason, Refused since they are not possible.
	Allowed int           `json:"allowed"`
	Refused []RefusedItem `json:"refused"`
}

// importDecisions records many decisions at once.
func importDecisions(l *live, r *http.Request) (any, error) {
	var q ImportRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	if err := text("from", q.From); err != nil {
		return nil, err
	}
	if len(q.Rows) == 0 || len(q.Rows) > MaxImport {
		return nil, badRequest(fmt.Errorf("%d rows; give 1 to %d", len(q.Rows), MaxImport))
	}
	now := time.Now()
	out := ImportAnswer{Refused: []RefusedItem{}}
	var ds []decisions.Decision
	var at []int // rows of ds
	known := map[int64]bool{}
	for i, row := range q.Rows {
		d, err := row.decision(now)
		if err != nil {
			out.Refused = append(out.Refused, RefusedItem{At: i, Value: row.Value, Why: err.Error()})
			continue
		}
		l.spareProxy(d)
		if !q.BypassAllowlist && l.state.allow.Covers(d.Prefix()) {
			out.Allowed++
			continue
		}
		for like := range l.state.book.Query(decisions.Query{Value: d.Value, Origins: []string{d.Origin}}) {
			known[like.ID] = true
		}
		ds, at = append(ds, d), append(at, i)
	}
	if len(ds) == 0 {
		return out, nil
	}
	a := importAlert(&q, len(ds), l.engine.Machine, now)
	err := l.state.book.Append(a, ds)
	if a.ID == 0 {
		return nil, err
	}
	out.AlertID = a.ID
	for i := range ds {
		d := &ds[i]
		if d.ID == 0 { // Append found wrong what decision did not
			out.Refused = append(out.Refused, RefusedItem{At: at[i], Value: d.Value, Why: "it cannot be recorded"})
			continue
		}
		out.Made++
		if known[d.ID] {
			out.Known++
		}
		if d.Suppressed {
			out.Suppressed++
		}
		known[d.ID] = true
	}
	l.announce(a, slices.DeleteFunc(ds, func(d decisions.Decision) bool { return d.ID == 0 }))
	return out, nil
}

// decision is what a row asks for.
func (row *ImportRow) decision(now time.Time) (decisions.Decision, error) {
	q := DecisionRequest{Value: strings.TrimSpace(row.Value), Scope: row.Scope, Type: row.Type, Duration: row.Duration}
	if err := text("reason", row.Reason); err != nil {
		return decisions.Decision{}, err
	}
	switch {
	case strings.EqualFold(q.Scope, decisions.ScopeIP), strings.EqualFold(q.Scope, decisions.ScopeRange):
		q.Scope = "" // the value says which
	}
	d, err := q.decision(now)
	d.Origin, d.Scenario = originImport, cmp.Or(row.Reason, "manual")
	if err == nil && !d.Prefix().IsValid() && (d.Scope == decisions.ScopeIP || d.Scope == decisions.ScopeRange) {
		err = errors.New("neither an address nor a network")
	}
	return d, err
}

// importAlert stands behind what is imported.
// CrowdSec compatible: the source of an import is empty.
func importAlert(q *ImportRequest, n int, node string, now time.Time) *event.Alert {
	at := now.UTC().Format(time.RFC3339Nano)
	name := fmt.Sprintf("import %s: %d decisions", cmp.Or(q.From, "from elsewhere"), n)
	if n == 1 {
		name = strings.TrimSuffix(name, "s")
	}
	return &event.Alert{Kind: "rampart", Scenario: name, MachineID: node, CreatedAt: at, StartAt: at, StopAt: at, Stop: now, Message: name,
		Source: &event.Source{}, Remediation: true, Direct: true, Events: []event.AlertEvent{}}
}
