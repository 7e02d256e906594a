package appliance

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/localapi"
	"github.com/rampart-edge/rampart/logsources"
)

// Figures are what a node has counted since its start, and what is in force. Its keys are
// the sections that `metrics` shows.
type Figures struct {
	Acquisition   []logsources.Status `json:"acquisition"`
	Parsers       ParserFigures       `json:"parsers"`
	Scenarios     ScenarioFigures     `json:"scenarios"`
	Alerts        []AlertFigures      `json:"alerts"`
	Decisions     []DecisionFigures   `json:"decisions"`
	Requests      RequestStatus       `json:"requests"`
	Routes        []RouteFigures      `json:"lapi"`
	Bouncers      []CallerFigures     `json:"lapi-bouncer"`
	Machines      []CallerFigures     `json:"lapi-machine"`
	Lookups       []LookupFigures     `json:"lapi-decisions"`
	Usage         []UsageFigures      `json:"bouncers"`
	Agents        []UsageFigures      `json:"machines"`
	Community     community.Status    `json:"capi"`
	Notifications NotificationStatus  `json:"notifications"`
}

// ParserFigures count lines of logs. Late ones were older than ten seconds when read.
type ParserFigures struct {
	Lines       int64 `json:"lines"`
	Parsed      int64 `json:"parsed"`
	Unparsed    int64 `json:"unparsed"`
	Late        int64 `json:"late"`
	Whitelisted int64 `json:"whitelisted"` // events of lines and requests
}

// ScenarioFigures are about buckets. Those of a fleet count where they are.
type ScenarioFigures struct {
	Loaded    int   `json:"loaded"`
	Buckets   int64 `json:"buckets"`
	Poured    int64 `json:"poured"`
	Overflows int64 `json:"overflows"`
	Cancelled int64 `json:"cancelled"`
	Expired   int64 `json:"expired"`
	Evicted   int64 `json:"evicted"`
}

// AlertFigures count the alerts that are kept.
type AlertFigures struct {
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

// DecisionFigures count decisions in force, those of lists included.
type DecisionFigures struct {
	Reason string `json:"reason"`
	Origin string `json:"origin"`
	Action string `json:"action"`
	Count  int    `json:"count"`
}

// RouteFigures count calls of the Local API. Mean is that of their time, in milliseconds;
// calls that waited for news count with their waiting.
type RouteFigures struct {
	Route    string  `json:"route"`
	Method   string  `json:"method"`
	Requests uint64  `json:"requests"`
	Mean     float64 `json:"mean_ms"`
}

// CallerFigures count calls of one bouncer or agent.
type CallerFigures struct {
	Name     string `json:"name"`
	Route    string `json:"route"`
	Method   string `json:"method"`
	Requests uint64 `json:"requests"`
}

// LookupFigures count lookups of a bouncer: those that gave a decision, and those that
// gave none.
type LookupFigures struct {
	Bouncer string `json:"bouncer"`
	Given   uint64 `json:"given"`
	None    uint64 `json:"none"`
}

// UsageFigures are what a bouncer or an agent told of its work.
type UsageFigures struct {
	Name    string       `json:"name"`
	At      time.Time    `json:"at"` // of its latest report
	Figures []UsageTotal `json:"figures"`
	Dropped int64        `json:"dropped"` // figures that found no place
}

// UsageTotal is one figure. Origin is whose decisions it is about, "" for all; Labels are
// the others.
type UsageTotal struct {
	Name   string            `json:"name"`
	Unit   string            `json:"unit"`
	Origin string            `json:"origin"`
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
}

func showMetrics(l *live, r *http.Request) (any, error) {
	return l.figures(), nil
}

func (l *live) figures() Figures {
	st, e := l.state, l.state.events()
	b := st.buckets.Stats()
	f := Figures{Acquisition: orEmpty(st.tails.Status()),
		Parsers: ParserFigures{Lines: e.Lines, Parsed: e.Lines - e.Unparsed, Unparsed: e.Unparsed, Late: e.Late, Whitelisted: e.Whitelisted},
		Scenarios: ScenarioFigures{Loaded: len(l.settings.rules.All()), Buckets: b.Buckets, Poured: e.Poured, Overflows: e.Overflows,
			Cancelled: st.buckets.cancelled(), Expired: b.Expired, Evicted: b.Evicted},
		Alerts: []AlertFigures{}, Decisions: []DecisionFigures{}, Requests: st.owner.counters.requests(),
		Community: st.exchange.community.Status(), Notifications: st.notifications(l.settings)}
	for reason, n := range fewest(st.book.AlertTally()) {
		f.Alerts = append(f.Alerts, AlertFigures{reason, n})
	}
	slices.SortFunc(f.Alerts, func(a, b AlertFigures) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Reason, b.Reason)) })
	for k, n := range activeDecisions(st.book.Tally()) {
		f.Decisions = append(f.Decisions, DecisionFigures{k.reason, k.origin, k.action, n})
	}
	slices.SortFunc(f.Decisions, func(a, b DecisionFigures) int {
		return cmp.Or(b.Count-a.Count, strings.Compare(a.Reason, b.Reason), strings.Compare(a.Origin, b.Origin), strings.Compare(a.Action, b.Action))
	})
	f.calls(st.api.server.Stats())
	f.usage(st.api.registry.Usage())
	return f
}

// calls takes over what the Local API counted.
func (f *Figures) calls(s localapi.Stats) {
	f.Routes, f.Bouncers, f.Machines, f.Lookups = []RouteFigures{}, []CallerFigures{}, []CallerFigures{}, []LookupFigures{}
	for _, r := range s.Routes {
		one := RouteFigures{Route: r.Route, Method: r.Method, Requests: r.N}
		for _, d := range s.Durations {
			if d.Route == r.Route && d.Method == r.Method && d.Count > 0 {
				one.Mean = float64(int64(d.Sum/float64(d.Count)*1e6)) / 1e3
			}
		}
		f.Routes = append(f.Routes, one)
	}
	for _, c := range s.Bouncers {
		f.Bouncers = append(f.Bouncers, CallerFigures{c.Caller, c.Route, c.Method, c.N})
	}
	for _, c := range s.Machines {
		f.Machines = append(f.Machines, CallerFigures{c.Caller, c.Route, c.Method, c.N})
	}
	for _, b := range s.Lookups {
		f.Lookups = append(f.Lookups, LookupFigures{b.Bouncer, b.OK, b.KO})
	}
}

// usage takes over what bouncers and agents told.
func (f *Figures) usage(reports []localapi.Usage) {
	f.Usage, f.Agents = []UsageFigures{}, []UsageFigures{}
	for _, u := range reports {
		one := UsageFigures{Name: u.Name, At: u.At, Figures: []UsageTotal{}, Dropped: u.Dropped}
		for _, t := range u.Totals {
			total := UsageTotal{Name: t.Name, Unit: t.Unit, Labels: map[string]string{}, Value: t.Value}
			for k, v := range t.Labels {
				if k == "origin" {
					total.Origin = v
				} else {
					total.Labels[k] = v
				}
			}
			one.Figures = append(one.Figures, total)
		}
		if u.Kind == "bouncer" {
			f.Usage = append(f.Usage, one)
		} else {
			f.Agents = append(f.Agents, one)
		}
	}
}
