package appliance

import (
	"net/http"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/logsources"
	"github.com/rampart-edge/rampart/scenarios"
)

// Status is how a node does.
type Status struct {
	Node       string              `json:"node"`
	DataDir    string              `json:"data_dir"`
	Started    time.Time           `json:"started"`
	LastStop   lastStop            `json:"last_stop"`
	Scenarios  ScenarioStatus      `json:"scenarios"`
	Watch      WatchStatus         `json:"watched_files"`
	Decisions  map[string]int      `json:"decisions"` // in force, by type
	Suppressed int                 `json:"decisions_suppressed"`
	Allowed    int                 `json:"allowlist"`
	Buckets    scenarios.Stats     `json:"buckets"`
	Events     EventStatus         `json:"events"`
	Requests   RequestStatus       `json:"requests"`
	Sources    []logsources.Status `json:"sources"`
	Firewall   FirewallStatus      `json:"firewall"`
	Challenge  map[string]int64    `json:"challenge"`
	Problems   []string            `json:"problems"`
}

// ScenarioStatus is what runs, and when.
type ScenarioStatus struct {
	Loaded       int      `json:"loaded"`
	RequestPhase []string `json:"request_phase"`
	// Blockers are the parsers and whitelists for whose sake nothing can run
	// before the response.
	Blockers []string `json:"request_phase_blocked_by,omitempty"`
}

// EventStatus counts events and what became of them.
type EventStatus struct {
	Lines       int64 `json:"lines"`
	Unparsed    int64 `json:"unparsed"`
	Late        int64 `json:"late"`
	Whitelisted int64 `json:"whitelisted"`
	Requests    int64 `json:"requests"`
	Dropped     int64 `json:"dropped"`
	Poured      int64 `json:"poured"`
	Overflows   int64 `json:"overflows"`
	Sourceless  int64 `json:"overflows_without_source"`
	Alerts      int64 `json:"alerts"`
	Failed      int64 `json:"alerts_failed"`
	Queued      int   `json:"queued"`
}

// RequestStatus counts what was answered in place of the site.
type RequestStatus struct {
	Banned    int64 `json:"banned"`
	Throttled int64 `json:"throttled"`
	Responded int64 `json:"challenged"`
	Closed    int64 `json:"connections_closed"`
	Unknown   int64 `json:"without_client_address"`
}

func adminStatus(st *state, _ *http.Request) (any, error) { return st.status(), nil }

func (st *state) status() Status {
	l := st.owner.live.Load()
	rules := l.settings.rules
	s := Status{Node: l.settings.config.Node, DataDir: st.dir, Started: st.started, LastStop: st.last,
		Scenarios: ScenarioStatus{Loaded: len(rules.All()), RequestPhase: []string{}, Blockers: l.settings.blockers},
		Watch:     st.watch.status(), Decisions: map[string]int{}, Allowed: len(st.allow.List()),
		Buckets: st.buckets.Stats(), Sources: st.tails.Status(), Firewall: st.wall.status(),
		Challenge: l.gate.Stats(), Events: st.events(), Requests: st.owner.counters.requests()}
	for _, sc := range rules.RequestPhase() {
		s.Scenarios.RequestPhase = append(s.Scenarios.RequestPhase, sc.Name)
	}
	real := false
	for _, d := range st.book.List(decisions.Filter{Active: true, Simulated: &real}) {
		s.Decisions[d.Type]++
	}
	s.Suppressed = st.book.Stats().Suppressed
	s.Problems = s.problems()
	return s
}

func (st *state) events() EventStatus {
	c := &st.owner.counters.engine
	return EventStatus{Lines: c.Lines.Load(), Unparsed: c.Unparsed.Load(), Late: c.Late.Load(),
		Whitelisted: c.Whitelisted.Load(), Requests: c.Requests.Load(), Dropped: st.owner.counters.dropped.Load(),
		Poured: c.Poured.Load(), Overflows: c.Overflows.Load(), Sourceless: c.Sourceless.Load(),
		Alerts: c.Alerts.Load(), Failed: c.Failed.Load(), Queued: len(st.queue.visits)}
}

func (c *counters) requests() RequestStatus {
	return RequestStatus{Banned: c.banned.Load(), Throttled: c.throttled.Load(), Responded: c.responded.Load(),
		Closed: c.closed.Load(), Unknown: c.unknown.Load()}
}

// problems are what an operator should look at, in words.
func (s Status) problems() []string {
	out := []string{}
	if s.LastStop.Note != "" {
		out = append(out, s.LastStop.Note)
	}
	if s.Watch.Problem != "" {
		out = append(out, "changed files were not taken, the last good state is in force: "+s.Watch.Problem)
	}
	if s.Firewall.Problem != "" {
		out = append(out, s.Firewall.Problem)
	}
	for _, src := range s.Sources {
		if src.Error != "" {
			out = append(out, "source "+src.Name+": "+src.Error)
		}
	}
	if s.Events.Dropped > 0 {
		out = append(out, "requests went undetected since the queue was full; raise limits queue or workers")
	}
	return out
}
