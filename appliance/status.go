package appliance

import (
	"fmt"
	"net/http"
	"time"

	"github.com/rampart-edge/rampart/community"
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
	Journal    JournalStatus       `json:"journal"`
	Events     EventStatus         `json:"events"`
	Requests   RequestStatus       `json:"requests"`
	Sources    []logsources.Status `json:"sources"`
	Firewall   FirewallStatus      `json:"firewall"`
	Challenge  map[string]int64    `json:"challenge"`
	Storage    StorageStatus       `json:"storage"`
	API        APIStatus           `json:"api"`
	// Community is the Central API, Lists are those from URLs.
	Community     community.Status       `json:"community"`
	Lists         []community.FeedStatus `json:"lists"`
	Notifications NotificationStatus     `json:"notifications"`
	Aggregate     AggregateStatus        `json:"aggregate"`
	Problems      []string               `json:"problems"`
}

// ScenarioStatus is what runs, and when.
type ScenarioStatus struct {
	Loaded       int      `json:"loaded"`
	RequestPhase []string `json:"request_phase"`
	// Blockers are the parsers and whitelists for whose sake nothing can run
	// before the response.
	Blockers []string `json:"request_phase_blocked_by,omitempty"`
	// Failing are the scenarios whose expressions failed on some event, which then
	// did not count.
	Failing []ScenarioFailure `json:"failing"`
}

// ScenarioFailure is a scenario whose expressions fail.
type ScenarioFailure struct {
	Scenario string `json:"scenario"`
	Count    int64  `json:"count"`
	Last     string `json:"last_error"`
}

// JournalStatus is how the memory of decisions and alerts does.
type JournalStatus struct {
	Alerts           int    `json:"alerts"`
	Queued           int    `json:"queued"` // changes on their way to the disk
	Blocked          int64  `json:"blocked"`
	WriteFailures    int64  `json:"write_failures"`
	WriteError       string `json:"write_error,omitempty"` // of the latest attempt
	EvictedDecisions int64  `json:"decisions_evicted"`
	Damaged          int64  `json:"damaged_records"`
}

// EventStatus counts events and what became of them.
type EventStatus struct {
	Lines       int64 `json:"lines"`
	Unparsed    int64 `json:"unparsed"`
	Late        int64 `json:"late"`
	Whitelisted int64 `json:"whitelisted"`
	Requests    int64 `json:"requests"` // examined to the end
	Dropped     int64 `json:"dropped"`  // not examined to the end: the queue was full
	Panics      int64 `json:"panics"`   // lost to a fault of Rampart
	Poured      int64 `json:"poured"`
	Overflows   int64 `json:"overflows"`
	Sourceless  int64 `json:"overflows_without_source"`
	Forgiven    int64 `json:"overflows_forgiven"`
	Looping     int64 `json:"overflows_looping"`
	Alerts      int64 `json:"alerts"`
	Known       int64 `json:"alerts_known"` // another node had recorded them
	Failed      int64 `json:"alerts_failed"`
	Queued      int   `json:"queued"`
}

// RequestStatus counts requests by what was done with them.
type RequestStatus struct {
	Passed    int64 `json:"passed"`
	Banned    int64 `json:"banned"`
	Throttled int64 `json:"throttled"`
	Responded int64 `json:"challenged"`
	Closed    int64 `json:"connections_closed"`
	Unknown   int64 `json:"without_client_address"`
}

func adminStatus(l *live, _ *http.Request) (any, error) { return l.status(), nil }

// status costs the same however many decisions there are.
func (l *live) status() Status {
	st := l.state
	book := st.book.Stats()
	s := Status{Node: l.settings.config.Node, DataDir: st.dir, Started: st.started, LastStop: st.last,
		Scenarios: l.scenarios(), Watch: st.watch.status(), Decisions: book.InForce, Suppressed: book.Suppressed,
		Allowed: st.allow.Len(), Buckets: st.buckets.Stats(), Sources: orEmpty(st.tails.Status()),
		Firewall: st.wall.status(), Challenge: challenges(l.gate, l.passed), Events: st.events(),
		Requests: st.owner.counters.requests(),
		Journal: JournalStatus{Alerts: book.Alerts, Queued: book.Queued, Blocked: book.Blocked,
			WriteFailures: book.WriteFailures, EvictedDecisions: book.EvictedDecisions, Damaged: book.Damaged}}
	if book.WriteError != nil {
		s.Journal.WriteError = book.WriteError.Error()
	}
	s.Storage = st.storageStatus(l.settings.rules.All())
	x := &st.exchange
	s.API, s.Community, s.Lists = st.api.status(), x.community.Status(), orEmpty(x.feeds.Status())
	s.Notifications, s.Aggregate = st.notifications(l.settings), st.aggregated(l.settings)
	s.Problems = append(s.problems(), s.Storage.problems()...)
	s.Problems = append(s.Problems, s.API.problems()...)
	s.Problems = append(s.Problems, l.exchangeProblems(&s)...)
	s.Problems = append(s.Problems, st.allowed.problems()...)
	s.Problems = append(s.Problems, l.settings.itemProblems()...)
	s.Problems = append(s.Problems, st.unheeded(l.settings)...)
	return s
}

// itemProblems are what is wrong with items of the Hub, in words.
func (s *Settings) itemProblems() []string {
	var out []string
	for _, list := range []struct {
		what  string
		texts []string
	}{{"do not work and are left out", s.faults}, {"work with less than they ask for", s.notes}} {
		switch n := len(list.texts); n {
		case 0:
		case 1:
			out = append(out, "an item of the hub: "+list.texts[0])
		default:
			out = append(out, fmt.Sprintf("%d items of the hub %s; the first: %s", n, list.what, list.texts[0]))
		}
	}
	return out
}

func (l *live) scenarios() ScenarioStatus {
	rules := l.settings.rules
	s := ScenarioStatus{Loaded: len(rules.All()), RequestPhase: []string{}, Blockers: l.settings.blockers,
		Failing: []ScenarioFailure{}}
	for _, sc := range rules.RequestPhase() {
		s.RequestPhase = append(s.RequestPhase, sc.Name)
	}
	loaded := map[[16]byte]bool{}
	for _, sc := range rules.All() {
		loaded[sc.ID()] = true
	}
	for _, f := range append(rules.Failures(), l.state.failures()...) {
		if loaded[f.Scenario.ID()] {
			s.Failing = append(s.Failing, ScenarioFailure{Scenario: f.Scenario.Name, Count: f.Count, Last: f.Last.Error()})
		}
	}
	return s
}

// failures are those of conditions and overflow filters, wherever the buckets are.
func (st *state) failures() []scenarios.Failure {
	list := st.buckets.Failures()
	if st.fleet != nil {
		list = append(list, st.fleet.remote.Failures()...)
	}
	return list
}

func (st *state) events() EventStatus {
	c := &st.owner.counters.engine
	return EventStatus{Lines: c.Lines.Load(), Unparsed: c.Unparsed.Load(), Late: c.Late.Load(),
		Whitelisted: c.Whitelisted.Load(), Requests: c.Requests.Load(), Dropped: st.owner.counters.dropped.Load(),
		Panics: st.owner.counters.panics.Load(), Poured: c.Poured.Load(), Overflows: c.Overflows.Load(),
		Sourceless: c.Sourceless.Load(), Forgiven: c.Forgiven.Load(), Looping: c.Looping.Load(),
		Alerts: c.Alerts.Load(), Known: c.Known.Load(), Failed: c.Failed.Load(), Queued: len(st.queue.visits) + len(st.queue.over)}
}

func (c *counters) requests() RequestStatus {
	return RequestStatus{Passed: c.passed.Load(), Banned: c.banned.Load(), Throttled: c.throttled.Load(), Responded: c.responded.Load(),
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
	if n := s.Requests.Unknown; n > 0 {
		out = append(out, fmt.Sprintf("%d requests passed unexamined since nobody knows who sent them: a trusted proxy wrote "+
			"something else than an address into the header of client addresses, or the connection had none", n))
	}
	if s.Journal.WriteError != "" {
		out = append(out, fmt.Sprintf("the journal is not written, %d changes wait: %s", s.Journal.Queued, s.Journal.WriteError))
	}
	for _, f := range s.Scenarios.Failing {
		out = append(out, fmt.Sprintf("scenario %s failed on %d events: %s", f.Scenario, f.Count, f.Last))
	}
	if s.Events.Panics > 0 {
		out = append(out, fmt.Sprintf("%d events were lost to a fault of Rampart; the log has its place: please report it", s.Events.Panics))
	}
	if s.Events.Dropped > 0 {
		out = append(out, "requests went undetected since the queue was full; raise limits queue or workers")
	}
	return out
}
