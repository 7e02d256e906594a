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

// These bound what one answer shows.
const (
	whyAlerts   = 10
	whyRefusals = 10
	whyEnded    = 20
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
	Decisions []decisions.Decision  `json:"decisions"` // in force or suppressed, the incident's first, then the newest
	Ended     []decisions.Decision  `json:"ended"`     // over or deleted, as their alerts have them
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
	w := newWhy(id)
	w.Incident, w.At = id, at
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
		return w, nil
	}
	w.Verdict, w.Refusals = "pass", orEmpty(w.Refusals)
	w.Ended = st.ended(w)
	w.Summary = "The incident is about no address."
	w.next()
	return w, nil
}

// newWhy has lists where nothing is known.
func newWhy(subject string) *Why {
	return &Why{Subject: subject, Decisions: []decisions.Decision{}, Ended: []decisions.Decision{},
		Alerts: []event.Alert{}, Next: []string{}}
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
	w := newWhy(subject)
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
	v := st.verdict(p)
	w.Verdict = verdictName(v)
	if v.Action != decisions.None {
		w.Until = v.Until
	}
	if v.Allowed {
		w.Allowed = st.allowedBy(a)
	}
	w.Decisions = merge(w.Decisions, st.decisionsFor(p), func(d decisions.Decision) int64 { return d.ID })
	w.Alerts = merge(w.Alerts, st.alertsFor(w, p), func(x event.Alert) int64 { return x.ID })
	w.Ended = st.ended(w)
	if len(w.Refusals) == 0 {
		w.Refusals = orEmpty(st.recent.find(whyRefusals, func(f Refusal) bool { return p.Contains(f.Client) }))
	}
	if b, ok := st.wall.explain(a); ok {
		w.Firewall = &b
	}
	w.summarise(v)
}

// verdict is what holds for all of p.
func (st *state) verdict(p netip.Prefix) Verdict {
	if p.IsSingleIP() {
		return st.book.Set().Lookup(p.Addr())
	}
	if st.allow.Covers(p) {
		return Verdict{Allowed: true}
	}
	var best Verdict
	now := time.Now()
	for _, d := range st.decisionsFor(p) {
		if d.Simulated || d.Suppressed || !d.Until.After(now) || !stronger(d.Action(), d.Until, best) {
			continue
		}
		best = Verdict{Action: d.Action(), ID: d.ID, Created: d.Created, Until: d.Until, Direct: d.Direct}
	}
	return best
}

// stronger orders as lookups do: the stronger action, then the later end.
func stronger(a decisions.Action, until time.Time, than Verdict) bool {
	rank := func(a decisions.Action) int {
		if a == decisions.Other {
			return 1
		}
		return 2 * int(a)
	}
	if rank(a) != rank(than.Action) {
		return rank(a) > rank(than.Action)
	}
	return until.After(than.Until)
}

// decisionsFor are the decisions that cover all of p, the newest first.
func (st *state) decisionsFor(p netip.Prefix) []decisions.Decision {
	ds := slices.DeleteFunc(st.book.List(decisions.Filter{Contains: p.Addr()}), func(d decisions.Decision) bool {
		return d.Prefix().Bits() > p.Bits()
	})
	slices.SortFunc(ds, func(x, y decisions.Decision) int { return y.Created.Compare(x.Created) })
	return ds
}

// alertsFor are the alerts behind the decisions, and those about the address that
// led to none.
func (st *state) alertsFor(w *Why, p netip.Prefix) []event.Alert {
	var out []event.Alert
	for _, d := range w.Decisions[:min(len(w.Decisions), 2*whyAlerts)] {
		if a, ok := st.book.Alert(d.AlertID); ok {
			out = append(out, a)
		}
	}
	f := decisions.AlertFilter{Value: p.String(), Limit: whyAlerts}
	if p.IsSingleIP() {
		f = decisions.AlertFilter{Contains: p.Addr(), Limit: whyAlerts}
	}
	out = append(out, st.book.Alerts(f)...)
	slices.SortFunc(out, func(x, y event.Alert) int { return int(y.ID - x.ID) })
	return out[:min(len(out), 2*whyAlerts)]
}

// ended are the decisions that the alerts led to and that are no more.
func (st *state) ended(w *Why) []decisions.Decision {
	out := []decisions.Decision{}
	for i := range w.Alerts {
		a := &w.Alerts[i]
		for _, d := range a.Decisions {
			if len(out) >= whyEnded || w.decision(d.ID) != nil ||
				slices.ContainsFunc(out, func(o decisions.Decision) bool { return o.ID == d.ID }) {
				continue
			}
			if _, kept := st.decision(d.ID); kept {
				continue
			}
			made, _ := time.Parse(time.RFC3339, a.CreatedAt)
			until, _ := time.Parse(time.RFC3339, d.Until)
			out = append(out, decisions.Decision{ID: d.ID, UUID: d.UUID, AlertID: a.ID, IncidentID: a.IncidentID,
				Scope: d.Scope, Value: d.Value, Type: d.Type, Origin: d.Origin, Scenario: d.Scenario, Host: a.Site,
				Created: made, Until: until, Direct: a.Direct, Simulated: d.Simulated})
		}
	}
	return out
}

func (st *state) allowedBy(a netip.Addr) *decisions.AllowEntry {
	if e, ok := st.allow.Entry(a); ok {
		return &e
	}
	return nil
}

// allowedAs is an entry as people know it.
func allowedAs(e *decisions.AllowEntry) string {
	text := e.Item
	if text == "" {
		text = e.Prefix.String()
	}
	if e.List != "" {
		text += " of allowlist " + e.List
	}
	return e.Kind + " " + text
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
	switch {
	case v.Allowed && w.Allowed != nil:
		w.Summary = fmt.Sprintf("%s is on the allowlist (%s): nothing can be decided against it.", w.Address, allowedAs(w.Allowed))
	case v.Action == decisions.None && len(w.Ended) > 0:
		w.Summary = fmt.Sprintf("%s passes now: what was decided about it has ended.", w.Address)
	case v.Action == decisions.None && len(w.Decisions) == 0:
		w.Summary = fmt.Sprintf("%s passes: nothing is decided about it.", w.Address)
	case v.Action == decisions.None:
		w.Summary = fmt.Sprintf("%s passes: what was decided about it is simulated or suppressed.", w.Address)
	default:
		w.Summary = fmt.Sprintf("%s: %s until %s", w.Address, w.Verdict, v.Until.Local().Format(time.DateTime))
		lift := "rampart unban " + w.Address
		if d := w.decision(v.ID); d != nil {
			w.Summary += fmt.Sprintf(" for %s (decision %d by %s)", d.Scenario, d.ID, d.Origin)
			if name, ok := decisions.ListOf(d.Origin); ok {
				lift = "rampart lists show " + name // single entries cannot be deleted
			}
		}
		w.Summary += "."
		w.Next = append(w.Next, lift, "rampart allowlist add "+w.Address+" --duration 24h")
	}
	w.next()
}

// next names the alert to look at.
func (w *Why) next() {
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
