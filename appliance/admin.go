package appliance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// maxAdminBody bounds what an admin request may send, in bytes.
const maxAdminBody = 1 << 20

// maxAdminText bounds a reason or comment, in bytes.
const maxAdminText = 512

// errNotRunning is the answer before the first settings and after Close.
var errNotRunning = errors.New("rampart is not running in this process; is there a rampart block in its configuration?")

// adminError is an error with its HTTP status.
type adminError struct {
	status int
	err    error
}

func (e adminError) Error() string { return e.err.Error() }
func (e adminError) Unwrap() error { return e.err }

func badRequest(err error) error { return adminError{http.StatusBadRequest, err} }

func notFound(format string, args ...any) error {
	return adminError{http.StatusNotFound, fmt.Errorf(format, args...)}
}

// admin is one call of the API: request in, value out.
type admin func(l *live, r *http.Request) (any, error)

// ServeAdmin answers the API below /rampart/: JSON in, JSON out, an error as
// {"error": text}. docs/openapi.yaml describes it.
func (a *Appliance) ServeAdmin(w http.ResponseWriter, r *http.Request) {
	a.admin.ServeHTTP(w, r)
}

// routes are those of the API, by method and path.
func routes() map[string]admin {
	return map[string]admin{
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
		"GET /rampart/lists":            listLists,
		"GET /rampart/lists/{name}":     showList,
		"PUT /rampart/lists/{name}":     putList,
		"DELETE /rampart/lists/{name}":  dropList,
	}
}

func (a *Appliance) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, f := range routes() {
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
	v, err := f(l, r)
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
	switch {
	case errors.As(err, &ae):
		status = ae.status
	case errors.Is(err, decisions.ErrClosed):
		status = http.StatusServiceUnavailable
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
	err := dec.Decode(into)
	if err == nil && dec.More() {
		err = errors.New("there is more than one JSON value")
	}
	if err != nil {
		return badRequest(fmt.Errorf("reading the request body: %w", err))
	}
	return nil
}

// only refuses parameters that are not among names: a misspelt one would select
// more than was meant.
func only(r *http.Request, names ...string) error {
	for name := range r.URL.Query() {
		if !slices.Contains(names, name) {
			return badRequest(fmt.Errorf("parameter %q is unknown; known are %s", name, strings.Join(names, ", ")))
		}
	}
	return nil
}

// text refuses what does not fit into a record: too long, or with characters that
// move a terminal's cursor.
func text(name, value string) error {
	if len(value) > maxAdminText || strings.ContainsFunc(value, unicode.IsControl) {
		return badRequest(fmt.Errorf("%s is not possible; write at most %d bytes without control characters", name, maxAdminText))
	}
	return nil
}

func listDecisions(l *live, r *http.Request) (any, error) {
	f, err := filterOf(r)
	if err != nil {
		return nil, err
	}
	f.Active = r.FormValue("all") != "true"
	return orEmpty(l.state.book.List(f)), nil
}

func filterOf(r *http.Request) (decisions.Filter, error) {
	if err := only(r, "id", "value", "ip", "scope", "type", "origin", "scenario", "all"); err != nil {
		return decisions.Filter{}, err
	}
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

func addDecision(l *live, r *http.Request) (any, error) {
	var q DecisionRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	if err := text("reason", q.Reason); err != nil {
		return nil, err
	}
	d, err := q.decision(time.Now())
	if err != nil {
		return nil, badRequest(err)
	}
	l.spareProxy(d)
	a := manualAlert(d, q.Reason, l.engine.Machine)
	ds := []decisions.Decision{d}
	// An operator's word is recorded as it is; against what is allowed it is kept
	// suppressed, and the answer says so.
	if err := l.state.book.Append(a, ds); err != nil {
		return nil, err
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
	switch q.Type {
	case decisions.TypeBan, decisions.TypeCaptcha, decisions.TypeThrottle:
	default:
		return decisions.Decision{}, fmt.Errorf("type %q is not possible; use ban, captcha or throttle", q.Type)
	}
	length, err := positive(q.Duration)
	if err != nil {
		return decisions.Decision{}, err
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
	return d, decisions.Normalise(&d, false)
}

// spareProxy puts the address that d is against on the allowlist if it is that of a
// trusted proxy.
func (l *live) spareProxy(d decisions.Decision) {
	p, trusted := d.Prefix(), l.settings.config.Trusted
	if trusted == nil || !p.IsSingleIP() || !trusted(p.Addr()) {
		return
	}
	l.state.proxies.meet(p.Addr())
	l.state.proxies.learn()
}

// positive reads a duration that is more than nothing.
func positive(s string) (time.Duration, error) {
	d, err := ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("duration %q is not possible; write it as 90s, 1h30m or 2d", s)
	}
	return d, nil
}

// manualAlert is the alert that stands behind a decision made by hand.
func manualAlert(d decisions.Decision, reason, node string) *event.Alert {
	at := d.Created.UTC().Format(time.RFC3339Nano)
	src := &event.Source{Scope: d.Scope, Value: d.Value}
	switch d.Scope {
	case decisions.ScopeIP:
		src.IP = d.Value
	case decisions.ScopeRange:
		src.Range = d.Value
	}
	return &event.Alert{Kind: "rampart", Scenario: d.Scenario, MachineID: node, CreatedAt: at, StartAt: at,
		StopAt: at, Stop: d.Created, Message: fmt.Sprintf("%s of %s by hand: %s", d.Type, d.Value, reason),
		Source: src, Remediation: true, Direct: true, Events: []event.AlertEvent{}}
}

// Deleted is what an unban or a deletion took away.
type Deleted struct {
	Deleted []decisions.Decision `json:"deleted"`
	// Lists decide the same still: single entries of them cannot be deleted.
	Lists []string `json:"lists,omitempty"`
}

func deleteDecisions(l *live, r *http.Request) (any, error) {
	f, err := filterOf(r)
	if err != nil {
		return nil, err
	}
	if f == (decisions.Filter{}) {
		if r.FormValue("all") != "true" {
			return nil, badRequest(errors.New("nothing named to delete; give id, value, ip, scope, type, origin or scenario, or all=true"))
		}
		f.Active = true
	}
	return l.state.remove(f)
}

func (st *state) remove(f decisions.Filter) (any, error) {
	gone, err := st.book.Delete(f, "operator")
	if err != nil {
		return nil, err
	}
	return Deleted{Deleted: orEmpty(gone), Lists: st.listsOf(f)}, nil
}

func unban(l *live, r *http.Request) (any, error) {
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
		return l.state.remove(decisions.Filter{Contains: p.Addr()})
	}
	return l.state.remove(decisions.Filter{Value: p.String()})
}

func listAlerts(l *live, r *http.Request) (any, error) {
	if err := only(r, "value", "scenario", "limit", "since"); err != nil {
		return nil, err
	}
	f := decisions.AlertFilter{Value: r.FormValue("value"), Scenario: r.FormValue("scenario"), Limit: 50}
	if s := r.FormValue("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 10_000 {
			return nil, badRequest(fmt.Errorf("limit %q is not a number from 1 to 10000", s))
		}
		f.Limit = n
	}
	if s := r.FormValue("since"); s != "" {
		d, err := positive(s)
		if err != nil {
			return nil, badRequest(err)
		}
		f.Since = time.Now().Add(-d)
	}
	return orEmpty(l.state.book.Alerts(f)), nil
}

func showAlert(l *live, r *http.Request) (any, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, badRequest(fmt.Errorf("alert id %q is not a number", r.PathValue("id")))
	}
	if a, ok := l.state.book.Alert(id); ok {
		return a, nil
	}
	return nil, notFound("there is no alert %d; `alerts list` shows those that are kept", id)
}

// orEmpty makes no list an empty list, for clients that read JSON.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
