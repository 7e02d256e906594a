package appliance

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/firewall"
)

// whyAlerts and whyRefusals bound what one answer shows.
const (
	whyAlerts   = 10
	whyRefusals = 10
)

// Why explains one address, network or incident: what holds now, and the evidence.
type Why struct {
	Subject   string                `json:"subject"`
	Incident  string                `json:"incident,omitempty"`
	At        time.Time             `json:"at,omitzero"` // of the incident
	Address   string                `json:"address,omitempty"`
	Verdict   string                `json:"verdict"` // pass, allowed, ban, captcha, throttle
	Until     time.Time             `json:"until,omitzero"`
	Summary   string                `json:"summary"`
	Allowed   *decisions.AllowEntry `json:"allowed_by,omitempty"`
	Decisions []decisions.Decision  `json:"decisions"` // newest first, expired ones too
	Alerts    []event.Alert         `json:"alerts"`    // newest first, with their events
	Refusals  []Refusal             `json:"refusals"`  // newest last
	Firewall  *firewall.Ban         `json:"firewall,omitempty"`
	Next      []string              `json:"next"` // commands that help
}

func adminWhy(l *live, r *http.Request) (any, error) {
	subject := r.PathValue("subject")
	if p, err := ParsePrefix(subject); err == nil {
		return l.state.whyPrefix(subject, p), nil
	}
	return l.state.whyIncident(subject)
}

func (st *state) whyIncident(id string) (any, error) {
	at, decision, ok := st.minter.Open(id)
	if !ok {
		return nil, badRequest(fmt.Errorf("%q is neither an address nor an incident id (26 letters and digits)", id))
	}
	w := &Why{Subject: id, Incident: id, At: at}
	w.Refusals = st.recent.find(1, func(f Refusal) bool { return f.Incident == id })
	if a, ok := st.book.Incident(id); ok {
		w.Alerts = append(w.Alerts, a)
	}
	if d, ok := st.decision(decision); ok {
		w.Decisions = append(w.Decisions, d)
	}
	if decision != 0 && len(w.Alerts) == 0 { // the decision may be over, its alert is kept longer
		if a, ok := st.book.Decided(decision, at.Add(time.Second)); ok {
			w.Alerts = append(w.Alerts, a)
		}
	}
	if len(w.Alerts) == 0 && len(w.Decisions) == 0 && len(w.Refusals) == 0 {
		return nil, notFound("incident %s is not known here: its records are gone, or it is another node's", id)
	}
	if p, ok := w.source(); ok {
		st.fill(w, p)
	}
	return w, nil
}

// source is the address or network that an incident is about.
func (w *Why) source() (netip.Prefix, bool) {
	if len(w.Refusals) > 0 {
		a := w.Refusals[0].Client
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	if len(w.Alerts) > 0 && w.Alerts[0].Source != nil {
		if p, err := ParsePrefix(w.Alerts[0].Source.Value); err == nil {
			return p, true
		}
	}
	if len(w.Decisions) > 0 {
		if p, err := ParsePrefix(w.Decisions[0].Value); err == nil {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

func (st *state) whyPrefix(subject string, p netip.Prefix) *Why {
	w := &Why{Subject: subject}
	st.fill(w, p)
	return w
}

// fill adds all that is known about a source.
func (st *state) fill(w *Why, p netip.Prefix) {
	a := p.Addr()
	w.Address = p.String()
	if p.IsSingleIP() {
		w.Address = a.String()
	}
	v := st.book.Set().Lookup(a)
	w.Verdict = verdictName(v)
	if v.Action != decisions.None {
		w.Until = v.Until
	}
	if v.Allowed {
		w.Allowed = st.allowedBy(a)
	}
	w.Decisions = merge(w.Decisions, st.decisionsFor(p), func(d decisions.Decision) int64 { return d.ID })
	w.Alerts = merge(w.Alerts, st.alertsFor(w, p), func(x event.Alert) int64 { return x.ID })
	if len(w.Refusals) == 0 {
		w.Refusals = orEmpty(st.recent.find(whyRefusals, func(f Refusal) bool { return p.Contains(f.Client) }))
	}
	if b, ok := st.wall.explain(a); ok {
		w.Firewall = &b
	}
	w.summarise(v)
}

func (st *state) decisionsFor(p netip.Prefix) []decisions.Decision {
	var ds []decisions.Decision
	if p.IsSingleIP() {
		ds = st.book.List(decisions.Filter{Contains: p.Addr()})
	} else {
		ds = st.book.List(decisions.Filter{Value: p.String()})
	}
	slices.SortFunc(ds, func(x, y decisions.Decision) int { return y.Created.Compare(x.Created) })
	return ds
}

// alertsFor are the alerts behind the decisions, and those about the address that
// led to none.
func (st *state) alertsFor(w *Why, p netip.Prefix) []event.Alert {
	var out []event.Alert
	for _, d := range w.Decisions {
		if a, ok := st.book.Alert(d.AlertID); ok {
			out = append(out, a)
		}
	}
	value := p.String()
	if p.IsSingleIP() {
		value = p.Addr().String()
	}
	out = append(out, st.book.Alerts(decisions.AlertFilter{Value: value, Limit: whyAlerts})...)
	slices.SortFunc(out, func(x, y event.Alert) int { return int(y.ID - x.ID) })
	return out[:min(len(out), 2*whyAlerts)]
}

func (st *state) allowedBy(a netip.Addr) *decisions.AllowEntry {
	for _, e := range st.allow.List() {
		if e.Prefix.Contains(a) {
			return &e
		}
	}
	return nil
}

// merge appends what is not there yet, and never returns nil.
func merge[T any](have, more []T, id func(T) int64) []T {
	out := orEmpty(have)
	for _, m := range more {
		if !slices.ContainsFunc(out, func(h T) bool { return id(h) == id(m) }) {
			out = append(out, m)
		}
	}
	return out
}

func verdictName(v Verdict) string {
	switch {
	case v.Allowed:
		return "allowed"
	case v.Action == decisions.Captcha:
		return "captcha"
	case v.Action == decisions.Throttle:
		return "throttle"
	case v.Action == decisions.None:
		return "pass"
	}
	return "ban"
}

// summarise says it in a sentence and names the next steps.
func (w *Why) summarise(v Verdict) {
	w.Next = []string{}
	switch {
	case v.Allowed && w.Allowed != nil:
		w.Summary = fmt.Sprintf("%s is on the allowlist (%s %s): nothing can be decided against it.",
			w.Address, w.Allowed.Kind, w.Allowed.Prefix)
	case v.Action == decisions.None && len(w.Decisions) == 0:
		w.Summary = fmt.Sprintf("%s passes: nothing is decided about it.", w.Address)
	case v.Action == decisions.None:
		w.Summary = fmt.Sprintf("%s passes now: what was decided about it has ended.", w.Address)
	default:
		w.Summary = fmt.Sprintf("%s: %s until %s", w.Address, w.Verdict, v.Until.Local().Format(time.DateTime))
		if d := w.decision(v.ID); d != nil {
			w.Summary += fmt.Sprintf(" for %s (decision %d by %s)", d.Scenario, d.ID, d.Origin)
		}
		w.Summary += "."
		w.Next = append(w.Next, "rampart unban "+w.Address, "rampart allowlist add "+w.Address+" --duration 24h")
	}
	if len(w.Alerts) > 0 {
		w.Next = append(w.Next, fmt.Sprintf("rampart alerts inspect %d", w.Alerts[0].ID))
	}
}

func (w *Why) decision(id int64) *decisions.Decision {
	for i := range w.Decisions {
		if w.Decisions[i].ID == id {
			return &w.Decisions[i]
		}
	}
	return nil
}
