package appliance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// maxAdminBody bounds what an admin request may send, in bytes.
const maxAdminBody = 1 << 20

// errNotRunning is the answer before the first settings and after Close.
var errNotRunning = errors.New("rampart is not running in this process; is there a rampart block in its configuration?")

// adminError is an error with its HTTP status.
type adminError struct {
	status int
	err    error
}

func (e adminError) Error() string { return e.err.Error() }

func badRequest(err error) error { return adminError{http.StatusBadRequest, err} }

func notFound(format string, args ...any) error {
	return adminError{http.StatusNotFound, fmt.Errorf(format, args...)}
}

// admin is one call of the API: request in, value out.
type admin func(st *state, r *http.Request) (any, error)

// ServeAdmin answers the API below /rampart/: JSON in, JSON out, an error as
// {"error": text}. docs/openapi.yaml describes it.
func (a *Appliance) ServeAdmin(w http.ResponseWriter, r *http.Request) {
	a.mux().ServeHTTP(w, r)
}

func (a *Appliance) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, f := range map[string]admin{
		"GET /rampart/status":           adminStatus,
		"GET /rampart/decisions":        listDecisions,
		"POST /rampart/decisions":       addDecision,
		"DELETE /rampart/decisions":     deleteDecisions,
		"GET /rampart/alerts":           listAlerts,
		"GET /rampart/alerts/{id}":      showAlert,
		"GET /rampart/why/{subject...}": adminWhy,
		"POST /rampart/unban":           unban,
		"GET /rampart/allowlist":        listAllowed,
		"POST /rampart/allowlist":       addAllowed,
		"DELETE /rampart/allowlist":     deleteAllowed,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, f) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, notFound("there is no %s %s", r.Method, r.URL.Path))
	})
	return mux
}

func (a *Appliance) answer(w http.ResponseWriter, r *http.Request, f admin) {
	l := a.live.Load()
	if l == nil {
		writeError(w, adminError{http.StatusServiceUnavailable, errNotRunning})
		return
	}
	v, err := f(l.state, r)
	if err == nil && r.Method != http.MethodGet {
		// What an operator was told is done survives everything.
		err = l.state.book.Flush(r.Context())
	}
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

func writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var ae adminError
	if errors.As(err, &ae) {
		status = ae.status
	}
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client has gone; there is nobody to tell
}

// readBody decodes a JSON body strictly.
func readBody(r *http.Request, into any) error {
	dec := json.NewDecoder(io.LimitReader(r.Body, maxAdminBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return badRequest(fmt.Errorf("reading the request body: %w", err))
	}
	return nil
}

func listDecisions(st *state, r *http.Request) (any, error) {
	f, err := filterOf(r)
	if err != nil {
		return nil, err
	}
	f.Active = r.FormValue("all") != "true"
	return orEmpty(st.book.List(f)), nil
}

func filterOf(r *http.Request) (decisions.Filter, error) {
	f := decisions.Filter{Value: r.FormValue("value"), Scope: r.FormValue("scope"), Type: r.FormValue("type"),
		Origin: r.FormValue("origin"), Scenario: r.FormValue("scenario")}
	if s := r.FormValue("id"); s != "" {
		id, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return f, badRequest(fmt.Errorf("id %q is not a number", s))
		}
		f.ID = id
	}
	if s := r.FormValue("ip"); s != "" {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return f, badRequest(fmt.Errorf("ip %q is not an address", s))
		}
		f.Contains = a.Unmap()
	}
	return f, nil
}

// DecisionRequest is a decision made by hand.
type DecisionRequest struct {
	Value    string `json:"value"`              // address, network, or a value of Scope
	Scope    string `json:"scope,omitempty"`    // default: Ip or Range, from the value
	Type     string `json:"type,omitempty"`     // default: ban
	Duration string `json:"duration,omitempty"` // default: 4h
	Reason   string `json:"reason,omitempty"`
}

// DecisionAnswer is what became of it.
type DecisionAnswer struct {
	AlertID   int64                `json:"alert_id"`
	Decisions []decisions.Decision `json:"decisions"`
}

func addDecision(st *state, r *http.Request) (any, error) {
	var q DecisionRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	d, err := q.decision(time.Now())
	if err != nil {
		return nil, badRequest(err)
	}
	a := manualAlert(d, q.Reason, st.owner.node)
	ds := []decisions.Decision{d}
	if err := (*journal)(st).Append(a, ds); err != nil {
		return nil, badRequest(err)
	}
	return DecisionAnswer{AlertID: a.ID, Decisions: ds}, nil
}

func (q DecisionRequest) decision(now time.Time) (decisions.Decision, error) {
	if q.Type == "" {
		q.Type = "ban"
	}
	if q.Duration == "" {
		q.Duration = "4h"
	}
	length, err := ParseDuration(q.Duration)
	if err != nil || length <= 0 {
		return decisions.Decision{}, fmt.Errorf("duration %q is not possible; write it as 90s, 1h30m or 2d", q.Duration)
	}
	d := decisions.Decision{Scope: q.Scope, Value: q.Value, Type: q.Type, Origin: "rampart",
		Scenario: "manual", Created: now, Until: now.Add(length), Direct: true}
	if q.Reason != "" {
		d.Scenario = "manual: " + q.Reason
	}
	if d.Scope == "" {
		p, err := ParsePrefix(q.Value)
		if err != nil {
			return d, err
		}
		d.Scope, d.Value = "Range", p.String()
		if p.IsSingleIP() {
			d.Scope, d.Value = "Ip", p.Addr().String()
		}
	}
	return d, nil
}

// manualAlert is the alert that stands behind a decision made by hand.
func manualAlert(d decisions.Decision, reason, node string) *event.Alert {
	at := d.Created.UTC().Format(time.RFC3339Nano)
	src := &event.Source{Scope: d.Scope, Value: d.Value}
	if d.Scope == "Ip" {
		src.IP = d.Value
	}
	return &event.Alert{Kind: "rampart", Scenario: d.Scenario, MachineID: node, CreatedAt: at, StartAt: at,
		StopAt: at, Stop: d.Created, Message: fmt.Sprintf("%s of %s by hand: %s", d.Type, d.Value, reason),
		Source: src, Remediation: true, Direct: true, Events: []event.AlertEvent{}}
}

// Deleted is what an unban or a deletion took away.
type Deleted struct {
	Deleted []decisions.Decision `json:"deleted"`
}

func deleteDecisions(st *state, r *http.Request) (any, error) {
	f, err := filterOf(r)
	if err != nil {
		return nil, err
	}
	if f == (decisions.Filter{}) && r.FormValue("all") != "true" {
		return nil, badRequest(errors.New("nothing named to delete; give id, value, ip, scope, type, origin or scenario, or all=true"))
	}
	return st.remove(f)
}

func (st *state) remove(f decisions.Filter) (any, error) {
	f.Active = true
	gone, err := st.book.Delete(f, "operator")
	if err != nil {
		return nil, err
	}
	return Deleted{Deleted: orEmpty(gone)}, nil
}

func unban(st *state, r *http.Request) (any, error) {
	var q struct {
		Value string `json:"value"`
	}
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	p, err := ParsePrefix(q.Value)
	if err != nil {
		return nil, badRequest(err)
	}
	if p.IsSingleIP() {
		return st.remove(decisions.Filter{Contains: p.Addr()})
	}
	return st.remove(decisions.Filter{Value: p.String()})
}

func listAlerts(st *state, r *http.Request) (any, error) {
	f := decisions.AlertFilter{Value: r.FormValue("value"), Scenario: r.FormValue("scenario"), Limit: 50}
	if s := r.FormValue("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 10_000 {
			return nil, badRequest(fmt.Errorf("limit %q is not a number from 1 to 10000", s))
		}
		f.Limit = n
	}
	if s := r.FormValue("since"); s != "" {
		d, err := ParseDuration(s)
		if err != nil {
			return nil, badRequest(err)
		}
		f.Since = time.Now().Add(-d)
	}
	return orEmpty(st.book.Alerts(f)), nil
}

func showAlert(st *state, r *http.Request) (any, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, badRequest(fmt.Errorf("alert id %q is not a number", r.PathValue("id")))
	}
	if a, ok := st.book.Alert(id); ok {
		return a, nil
	}
	return nil, notFound("there is no alert %d; `alerts list` shows those that are kept", id)
}

// AllowRequest adds an entry to the allowlist.
type AllowRequest struct {
	Value    string `json:"value"`
	Duration string `json:"duration,omitempty"` // default: for ever
	Comment  string `json:"comment,omitempty"`
}

func listAllowed(st *state, _ *http.Request) (any, error) { return orEmpty(st.allow.List()), nil }

func addAllowed(st *state, r *http.Request) (any, error) {
	var q AllowRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	p, err := ParsePrefix(q.Value)
	if err != nil {
		return nil, badRequest(err)
	}
	e := decisions.AllowEntry{Prefix: p, Comment: q.Comment, Author: "operator", Created: time.Now()}
	if q.Duration != "" {
		d, err := ParseDuration(q.Duration)
		if err != nil || d <= 0 {
			return nil, badRequest(fmt.Errorf("duration %q is not possible; write it as 90s, 1h30m or 2d", q.Duration))
		}
		e.Until = e.Created.Add(d)
	}
	if err := st.allow.Add(e); err != nil {
		return nil, badRequest(err)
	}
	st.wall.look()
	return e, nil
}

func deleteAllowed(st *state, r *http.Request) (any, error) {
	p, err := ParsePrefix(r.FormValue("value"))
	if err != nil {
		return nil, badRequest(err)
	}
	if err := st.allow.Remove(p); err != nil {
		return nil, notFound("%w", err)
	}
	st.wall.look()
	return map[string]string{"deleted": p.String()}, nil
}

// orEmpty makes no list an empty list, for clients that read JSON.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
