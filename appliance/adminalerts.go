package appliance

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// maxAlertsShown bounds the alerts of one answer.
const maxAlertsShown = 10_000

// alertsOf reads the parameters that select alerts.
func alertsOf(r *http.Request) (f decisions.AlertFilter, err error) {
	f = decisions.AlertFilter{Value: param(r, "value"), Scenario: param(r, "scenario"), Scope: param(r, "scope"), DecisionType: param(r, "type"),
		Origin: param(r, "origin"), Kind: param(r, "kind"), Machine: param(r, "machine")}
	if f.Contains, f.Prefix, f.Within, err = place(r); err != nil {
		return f, err
	}
	lists, err := flag(r, "lists", true)
	if err != nil {
		return f, err
	}
	f.HideLists = !lists
	if param(r, "decided") != "" {
		is, err := flag(r, "decided", false)
		if err != nil {
			return f, err
		}
		f.InForce = &is
	}
	f.Since, f.Until, err = ages(r)
	return f, err
}

func listAlerts(l *live, r *http.Request) (any, error) {
	f, err := alertsOf(r)
	if err == nil {
		f.Limit, err = limit(r, 50, 1, maxAlertsShown)
	}
	if err != nil {
		return nil, err
	}
	return orEmpty(l.state.book.Alerts(f)), nil
}

// alertID reads the id in the path.
func alertID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0, badRequest(fmt.Errorf("alert id %q is not a number", r.PathValue("id")))
	}
	return id, nil
}

func noAlert(id int64) error {
	return notFound("there is no alert %d; `alerts list` shows those that are kept", id)
}

func showAlert(l *live, r *http.Request) (any, error) {
	id, err := alertID(r)
	if err != nil {
		return nil, err
	}
	a, ok := l.state.book.Alert(id)
	if !ok {
		return nil, noAlert(id)
	}
	return a, nil
}

// AlertsDeleted counts alerts that were deleted, and decisions that ended with them.
type AlertsDeleted struct {
	Alerts    int `json:"alerts"`
	Decisions int `json:"decisions"`
	// Spared are alerts that stayed, since a decision comes from them.
	Spared int `json:"spared,omitempty"`
}

func deleteAlerts(l *live, r *http.Request) (any, error) {
	f, err := alertsOf(r)
	if err != nil {
		return nil, err
	}
	switch q := r.URL.Query(); {
	case len(q) == 0:
		return nil, badRequest(errors.New("nothing named to delete; give a filter, or all=true"))
	case q.Has("all") && (len(q) > 1 || q.Get("all") != "true"):
		return nil, badRequest(errors.New("all=true stands alone: it deletes every alert"))
	}
	n, ended, err := l.state.book.DeleteAlerts(f, "operator")
	return AlertsDeleted{Alerts: n, Decisions: len(ended)}, err
}

func deleteAlert(l *live, r *http.Request) (any, error) {
	id, err := alertID(r)
	if err != nil {
		return nil, err
	}
	n, ended, err := l.state.book.DeleteAlerts(decisions.AlertFilter{IDs: []int64{id}}, "operator")
	if err == nil && n == 0 {
		err = noAlert(id)
	}
	return AlertsDeleted{Alerts: n, Decisions: len(ended)}, err
}

// FlushRequest says which alerts may stay. At least one of the two is given.
type FlushRequest struct {
	MaxItems *int   `json:"max_items,omitempty"` // so many, the newest
	MaxAge   string `json:"max_age,omitempty"`   // those of so long a time
}

// flushAlerts deletes old alerts, but none that would take a decision with it. What a
// later alert prolonged is that one's.
func flushAlerts(l *live, r *http.Request) (any, error) {
	var q FlushRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	var since time.Time
	switch {
	case q.MaxItems == nil && q.MaxAge == "":
		return nil, badRequest(errors.New("nothing named to delete; give max_items, max_age or both"))
	case q.MaxItems != nil && *q.MaxItems < 0:
		return nil, badRequest(fmt.Errorf("max_items %d is less than none", *q.MaxItems))
	case q.MaxAge != "":
		d, err := positive(q.MaxAge)
		if err != nil {
			return nil, badRequest(err)
		}
		since = time.Now().Add(-d)
	}
	book := l.state.book
	above := 0 // how many of the oldest are too many
	if q.MaxItems != nil {
		for _, n := range book.AlertTally() {
			above += n
		}
		above -= *q.MaxItems
	}
	stands := map[int64]bool{}
	for a := range book.AlertSeq(decisions.AlertFilter{Decided: true, Limit: -1}) {
		stands[a.ID] = true
	}
	var out AlertsDeleted
	var ids []int64
	for a := range book.AlertSeq(decisions.AlertFilter{Oldest: true, Limit: -1}) {
		made, err := time.Parse(time.RFC3339, a.CreatedAt)
		old := err == nil && !since.IsZero() && made.Before(since)
		if !old && above <= 0 {
			if err == nil && made.After(since) {
				break
			}
			continue
		}
		above--
		if stands[a.ID] {
			out.Spared++
			continue
		}
		ids = append(ids, a.ID)
	}
	if len(ids) == 0 { // an empty filter is all
		return out, nil
	}
	n, ended, err := book.DeleteAlerts(decisions.AlertFilter{IDs: ids}, "operator")
	out.Alerts, out.Decisions = n, len(ended)
	return out, err
}
