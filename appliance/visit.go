package appliance

import (
	"cmp"
	"net/http"
	"net/netip"
	"time"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/scenarios"
)

// Arrival is what the web server knows about where a request came from.
type Arrival struct {
	// Client is the address the server takes for the client's, unmapped and without
	// zone. The zero Addr (unknown) lets the request pass unexamined.
	Client netip.Addr
	// Name is Client as the server writes it, if it does. It is only looked at to save
	// the writing.
	Name string
	// Peer is the address that the connection came from.
	Peer netip.Addr
	// Trusted: the peer is a trusted proxy.
	Trusted bool
	// Detect: the site only detects; nothing is refused.
	Detect bool
	// TLS: the client speaks https.
	TLS bool
}

// Action is what is to happen to a request.
type Action uint8

// nameless is the site of a request that names none (HTTP/1.0): a decision without
// a site would be taken for one that has no HTTP layer to act in.
const nameless = "-"

// The actions.
const (
	Pass     Action = iota
	Refuse          // 403
	Throttle        // 429 with RetryAfter
	Respond         // Visit.Respond writes the whole answer
)

// Visit is one request on its way through. Action and what explains it are set by
// Begin; a visit that passes is ended with End.
type Visit struct {
	Action     Action
	Incident   string        // 26 characters, set if the request is refused or challenged
	RetryAfter time.Duration // for Throttle
	Scenario   string        // what the decision is for
	Origin     string
	DecisionID int64

	live     *live
	event    *event.Event
	whole    bool // no scenario has seen the event yet
	reserved bool
	// check is nil as long as nothing but passing was considered, as for most visits:
	// it is larger than all the rest.
	check *check
}

// check is what a visit needs to be challenged or refused.
type check struct {
	solved  Verdict // whose challenge the visitor has solved
	visitor captcha.Visitor
}

func (v *Visit) checked() *check {
	if v.check == nil {
		v.check = &check{}
	}
	return v.check
}

// Begin looks at a request before it is proxied: decisions first, then the
// scenarios that need no response. It never waits for anything but memory.
func (a *Appliance) Begin(r *http.Request, in Arrival) *Visit {
	v := &Visit{}
	v.Begin(a, r, in)
	return v
}

// Begin is the Appliance's, for an empty visit that is part of something larger.
func (v *Visit) Begin(a *Appliance, r *http.Request, in Arrival) {
	l := a.live.Load()
	if l == nil {
		return
	}
	if !in.Client.IsValid() {
		a.counters.unknown.Add(1)
		return
	}
	if in.Trusted {
		l.state.proxies.meet(in.Peer)
	}
	v.live = l
	verdict := l.state.book.Set().Lookup(in.Client)
	v.reserved = !in.Detect && l.gate.Reserved(r.URL.Path)
	if !in.Detect && v.decide(r, in, verdict) {
		return
	}
	l.gate.Strip(r)
	v.observe(r, in)
	if v.Action == Pass {
		a.counters.passed.Add(1)
	}
}

// source is the text of the client's address.
func (in *Arrival) source() string {
	var room [netipLength]byte
	if text := in.Client.AppendTo(room[:0]); string(text) == in.Name {
		return in.Name
	}
	return in.Client.String()
}

// netipLength is room for any address without a zone.
const netipLength = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")

// decide applies a verdict; it reports whether the request goes no further.
func (v *Visit) decide(r *http.Request, in Arrival, verdict Verdict) bool {
	switch {
	case verdict.Allowed || verdict.Action == decisions.None:
		if !v.reserved {
			return false
		}
	case verdict.Action == decisions.Captcha:
		c := v.checked()
		c.visitor = captcha.Visitor{Client: in.Client, Host: r.Host, TLS: in.TLS,
			DecisionID: verdict.ID, DecisionCreated: verdict.Created}
		if !v.reserved && (c.solved == verdict || v.live.gate.Solved(r, c.visitor)) {
			c.solved = verdict // its cookie is not passed on, so it cannot be asked for again
			return false
		}
	case verdict.Action == decisions.Throttle:
		v.refuse(r, in, verdict, Throttle)
		return true
	default:
		v.refuse(r, in, verdict, Refuse)
		return true
	}
	v.refuse(r, in, verdict, Respond)
	return true
}

// refuse marks the visit refused, under a new incident id, and counts the hit.
func (v *Visit) refuse(r *http.Request, in Arrival, verdict Verdict, act Action) {
	st, now := v.live.state, time.Now()
	v.Action, v.DecisionID = act, verdict.ID
	if v.Incident == "" && verdict.ID != 0 { // nothing is refused below the reserved path
		v.Incident = st.minter.Mint(now, verdict.ID)
	}
	if act == Throttle {
		v.RetryAfter = max(verdict.Until.Sub(now), time.Second)
	}
	if d, ok := st.decision(verdict.ID); ok {
		v.Scenario, v.Origin = d.Scenario, d.Origin
	}
	v.checked().visitor = captcha.Visitor{Client: in.Client, Host: r.Host, TLS: in.TLS, Direct: direct(in),
		DecisionID: verdict.ID, DecisionCreated: verdict.Created, Incident: v.Incident}
	st.owner.counters.refused(act)
	if verdict.ID != 0 {
		st.recent.add(Refusal{Incident: v.Incident, Time: now, Client: in.Client, Site: r.Host,
			Method: r.Method, Path: r.URL.Path, Action: act.String(), DecisionID: verdict.ID})
	}
	if act == Refuse && direct(in) {
		st.hit(verdict.ID, in.Client, v.live.settings.config.Firewall.Hits)
	}
	if v.event != nil {
		v.live.engine.Done(v.event)
		v.event = nil
	}
}

// observe makes the event of a request and shows it to the request-phase
// scenarios; the request that overflows one is itself refused.
func (v *Visit) observe(r *http.Request, in Arrival) {
	defer v.survive()
	e := v.live.engine
	v.event = e.Event()
	requestFields(v.event, r, in.source(), v.live.settings.splits())
	v.event.From = event.Provenance{Inline: true, At: time.Now(), Site: cmp.Or(r.Host, nameless), Direct: direct(in),
		Detect: in.Detect, Width64: v.live.settings.config.IPv6Prefix == 64}
	v.event.Time = v.event.From.At
	if !v.live.inline {
		v.whole = true
		return
	}
	if !e.Enrich(v.event) {
		e.Done(v.event)
		v.event = nil
		return
	}
	over := e.Inline(v.live.state.buckets, v.event)
	if len(over) == 0 {
		return
	}
	v.overflow(r, in, over)
}

// overflow concludes what the request overflowed, and applies what follows from
// it to the request itself.
func (v *Visit) overflow(r *http.Request, in Arrival, over []*scenarios.Overflow) {
	st := v.live.state
	if !st.book.Ready() || v.live.settings.remote {
		// The disk does not keep up, or somebody far away has to be asked, and a request
		// waits for neither: a worker concludes.
		st.queue.offer(finished{live: v.live, over: over})
		return
	}
	v.Incident = st.minter.Mint(time.Now(), 0)
	for _, o := range over {
		o.Incident = v.Incident
		v.live.engine.Overflow(o)
	}
	verdict := st.book.Set().Lookup(in.Client)
	if in.Detect || !v.decide(r, in, verdict) {
		v.Incident = ""
	}
}

// survive lets a request go its way whose event brought a fault to light. Nobody
// knows what became of the event.
func (v *Visit) survive() {
	if p := recover(); p != nil {
		v.event = nil
		v.live.state.owner.fault(p)
	}
}

// direct: the packets of the connection came from the client itself.
func direct(in Arrival) bool { return !in.Trusted && in.Peer == in.Client }

// Respond writes the answer of a visit whose Action is Respond: the challenge, or
// what lies below the reserved path.
func (v *Visit) Respond(w http.ResponseWriter, r *http.Request) {
	if v.Action != Respond {
		return
	}
	if v.reserved {
		v.live.gate.ServeReserved(w, r, v.check.visitor)
		return
	}
	v.live.gate.Intercept(w, r, v.check.visitor)
}

// End hands the finished request to the scenarios that want it: status and size as
// sent, headers of the response. Only the first call counts; it may be made while the
// response goes on, for connections that are upgraded.
func (v *Visit) End(status int, size int64, h http.Header) {
	ev := v.event
	if ev == nil {
		return
	}
	v.event = nil
	defer v.survive()
	responseFields(ev, status, h)
	if !v.whole && v.live.engine.Settled(ev) {
		v.live.engine.Done(ev) // as most: no worker is woken for it
		return
	}
	v.live.state.queue.offer(finished{live: v.live, event: ev, whole: v.whole})
}

// Refuses reports whether connections from a peer are to be closed before a word
// is said, and counts the hit.
func (a *Appliance) Refuses(peer netip.Addr) bool {
	l := a.live.Load()
	if l == nil {
		return false
	}
	verdict := l.state.book.Set().Lookup(peer)
	if verdict.Allowed || verdict.Action != decisions.Ban {
		return false
	}
	a.counters.closed.Add(1)
	l.state.hit(verdict.ID, peer, l.settings.config.Firewall.Hits)
	return true
}

// String names the action as logs and headers do.
func (a Action) String() string {
	switch a {
	case Refuse:
		return "ban"
	case Throttle:
		return "throttle"
	case Respond:
		return "captcha"
	}
	return "pass"
}
