package appliance

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// selection is what a request wants of the decisions.
type selection struct {
	decisions.Filter
	// prefix is met by decisions that cover all of it, or that are inside it.
	prefix netip.Prefix
	within bool
	// after and before are when it was made, at the earliest and the latest.
	after, before time.Time
	limit         int // 0: all
}

// selectionOf reads the parameters that select decisions.
func selectionOf(r *http.Request) (s selection, err error) {
	s.Filter = decisions.Filter{Value: param(r, "value"), Scope: param(r, "scope"), Type: param(r, "type"), Origin: param(r, "origin"),
		Scenario: param(r, "scenario")}
	if text := param(r, "id"); text != "" {
		if s.ID, err = strconv.ParseInt(text, 10, 64); err != nil {
			return s, badRequest(fmt.Errorf("id %q is not a number", text))
		}
	}
	if s.Contains, s.prefix, s.within, err = place(r); err != nil {
		return s, err
	}
	simulated, err := flag(r, "simulated", true)
	if err != nil {
		return s, err
	}
	if !simulated {
		s.Simulated = new(bool)
	}
	if s.after, s.before, err = ages(r); err != nil {
		return s, err
	}
	s.limit, err = limit(r, 0, 0, math.MaxInt32)
	return s, err
}

// takes reports whether d passes what the Book is not asked about.
func (s *selection) takes(d *decisions.Decision) bool {
	switch {
	case !s.after.IsZero() && d.Created.Before(s.after), !s.before.IsZero() && d.Created.After(s.before):
		return false
	case !s.prefix.IsValid():
		return true
	}
	outer, inner := d.Prefix(), s.prefix
	if s.within {
		outer, inner = inner, outer
	}
	return inner.IsValid() && outer.IsValid() && outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// query is what the Book is asked for decisions in force.
func (s *selection) query() decisions.Query {
	q := decisions.Query{Value: s.Value, Scenario: s.Scenario, Prefix: s.prefix, Within: s.within, Simulated: s.Simulated == nil || *s.Simulated}
	if a := s.Contains; a.IsValid() {
		q.Prefix, q.Within = netip.PrefixFrom(a, a.BitLen()), false
	}
	if s.ID != 0 {
		q.IDs = []int64{s.ID}
	}
	for text, list := range map[string]*[]string{s.Scope: &q.Scopes, s.Type: &q.Types, s.Origin: &q.Origins} {
		if text != "" {
			*list = []string{text}
		}
	}
	return q
}

// inForce yields the decisions in force that are selected, by ascending ids and those of
// lists behind them.
func (s *selection) inForce(b *decisions.Book) iter.Seq[decisions.Decision] {
	return func(yield func(decisions.Decision) bool) {
		n := 0
		for d := range b.Query(s.query()) {
			if !s.takes(&d) {
				continue
			}
			if n++; !yield(d) || n == s.limit {
				return
			}
		}
	}
}

func listDecisions(l *live, r *http.Request) (any, error) {
	s, err := selectionOf(r)
	if err != nil {
		return nil, err
	}
	all, err := flag(r, "all", false)
	if err != nil {
		return nil, err
	}
	s.Active = !all
	var list []decisions.Decision
	if s.Active && s.prefix.IsValid() { // the entries of lists there, too
		every := s
		every.limit = 0
		list = slices.SortedFunc(every.inForce(l.state.book), func(x, y decisions.Decision) int { return cmp.Compare(y.ID, x.ID) })
	} else {
		list = slices.DeleteFunc(l.state.book.List(s.Filter), func(d decisions.Decision) bool { return !s.takes(&d) })
	}
	if s.limit > 0 && len(list) > s.limit {
		list = list[:s.limit]
	}
	return orEmpty(list), nil
}

// exportDecisions answers with decisions in force, however many there are, one after
// the other.
func exportDecisions(l *live, r *http.Request) (any, error) {
	s, err := selectionOf(r)
	if err != nil {
		return nil, err
	}
	return stream(func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		enc, next := json.NewEncoder(w), "["
		for d := range s.inForce(l.state.book) {
			if _, err := w.Write([]byte(next)); err != nil {
				return // the client has gone
			}
			if err := enc.Encode(&d); err != nil {
				return
			}
			next = ","
		}
		if next == "[" {
			next = "[]"
		} else {
			next = "]"
		}
		_, _ = w.Write([]byte(next)) // so here
	}), nil
}

// DecisionRequest is a decision made by hand.
type DecisionRequest struct {
	Value    string `json:"value"`              // address, network, or a value of Scope
	Scope    string `json:"scope,omitempty"`    // default: Ip or Range, from the value
	Type     string `json:"type,omitempty"`     // default: ban
	Duration string `json:"duration,omitempty"` // default: 4h
	Reason   string `json:"reason,omitempty"`
	// UnlessAllowed: refuse it, where it would be recorded without effect since the
	// allowlist covers the value.
	UnlessAllowed bool `json:"unless_allowed,omitempty"`
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
	if p := d.Prefix(); q.UnlessAllowed && l.state.allow.Covers(p) {
		return nil, adminError{http.StatusConflict, fmt.Errorf("%s is allowed%s; a decision has no effect there", d.Value, l.allowedBy(p))}
	}
	a := manualAlert(d, q.Reason, l.engine.Machine)
	ds := []decisions.Decision{d}
	// An operator's word is recorded as it is; against what is allowed it is kept
	// suppressed, and the answer says so.
	if err := l.state.book.Append(a, ds); err != nil {
		return nil, err
	}
	l.announce(a, ds)
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

// allowedBy names the item that covers p, for people.
func (l *live) allowedBy(p netip.Prefix) string {
	for _, r := range l.state.allow.Reasons(p) {
		item, err := ParsePrefix(r.Item)
		if err == nil && (item.Bits() > p.Bits() || !item.Contains(p.Addr())) {
			continue
		}
		if r.Builtin {
			return fmt.Sprintf(" by %s (built in: %s)", r.Item, r.List)
		}
		return fmt.Sprintf(" by %s of allowlist %s", r.Item, r.List)
	}
	return ""
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
	s, err := selectionOf(r)
	if err != nil {
		return nil, err
	}
	if s.prefix.IsValid() {
		gone, err := l.state.book.DeleteQuery(s.query(), "operator")
		return Deleted{Deleted: orEmpty(gone)}, err
	}
	if s.Filter == (decisions.Filter{}) {
		if param(r, "all") != "true" {
			return nil, badRequest(errors.New("nothing named to delete; give id, value, ip, range, scope, type, origin or scenario, or all=true"))
		}
		s.Active = true
	}
	return l.state.remove(s.Filter)
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
