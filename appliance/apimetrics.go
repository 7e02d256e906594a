package appliance

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/localapi"
)

// mostReasons bounds how many reasons are series of their own: a reason may be any
// text that somebody wrote. The rest counts together.
const mostReasons = 1000

// otherReason stands for those beyond.
const otherReason = "other"

// describeAPI names the figures of the Local API and of decisions as CrowdSec does, so
// that dashboards made for it go on to work. CrowdSec compatible: names and labels, but
// that nothing of parsers, sources and buckets is told apart further than it is here.
func (m *metrics) describeAPI() {
	add := func(name, help string, labels ...string) {
		m.descs[name] = prometheus.NewDesc(name, help, labels, nil)
	}
	add("cs_info", "Version of Rampart.", "version")
	add("cs_active_decisions", "Decisions in force, those of lists included.", "reason", "origin", "action")
	add("cs_alerts", "Alerts kept.", "reason")
	add("cs_machines_last_heartbeat_timestamp", "When an agent was last heard of.", "machine")
	add("cs_lapi_route_requests_total", "Calls of the Local API, by route.", "route", "method")
	add("cs_lapi_machine_requests_total", "Calls of the Local API, by agent.", "machine", "route", "method")
	add("cs_lapi_bouncer_requests_total", "Calls of the Local API, by bouncer.", "bouncer", "route", "method")
	add("cs_lapi_decisions_ok_total", "Lookups of a bouncer that gave a decision.", "bouncer")
	add("cs_lapi_decisions_ko_total", "Lookups of a bouncer that gave none.", "bouncer")
	add("cs_lapi_request_duration_seconds", "Time that calls of the Local API took.", "endpoint", "method")
	add("cs_filesource_hits_total", "Lines read from files, by source.", "source", "datasource_type")
	add("cs_journalctlsource_hits_total", "Lines read from the journal, by source.", "source", "datasource_type")
	add("cs_parser_hits_total", "Lines that came to the parsers.")
	add("cs_parser_hits_ok_total", "Lines that a parser knew.")
	add("cs_parser_hits_ko_total", "Lines that no parser knew.")
	add("cs_bucket_poured_total", "Events poured into buckets.")
	add("cs_bucket_overflowed_total", "Buckets that overflowed.")
	add("cs_bucket_canceled_total", "Times that cancel_on emptied a bucket.")
}

// reasonKey is what decisions are told apart by.
type reasonKey struct{ reason, origin, action string }

// collectAPI reads the figures of l.
func collectAPI(out scrape, l *live) {
	st := l.state
	out.gauge("cs_info", 1, cmp.Or(version(), "unknown"))
	for k, n := range activeDecisions(st.book.Tally()) {
		out.gauge("cs_active_decisions", float64(n), k.reason, k.origin, k.action)
	}
	for reason, n := range fewest(st.book.AlertTally()) {
		out.gauge("cs_alerts", float64(n), reason)
	}
	for _, a := range st.api.registry.Machines() {
		if !a.LastHeartbeat.IsZero() {
			out.gauge("cs_machines_last_heartbeat_timestamp", float64(a.LastHeartbeat.Unix()), label(a.Name))
		}
	}
	collectCalls(out, st.api.server.Stats())
	for source, n := range linesBySource(st) {
		out.count(source.series, float64(n), source.name, source.kind)
	}
	c := &st.owner.counters.engine
	out.count("cs_parser_hits_total", float64(c.Lines.Load()))
	out.count("cs_parser_hits_ok_total", float64(c.Lines.Load()-c.Unparsed.Load()))
	out.count("cs_parser_hits_ko_total", float64(c.Unparsed.Load()))
	out.count("cs_bucket_poured_total", float64(c.Poured.Load()))
	out.count("cs_bucket_overflowed_total", float64(c.Overflows.Load()))
	out.count("cs_bucket_canceled_total", float64(st.buckets.cancelled()))
}

// collectCalls reads the figures of the Local API's calls.
func collectCalls(out scrape, s localapi.Stats) {
	for _, r := range s.Routes {
		out.count("cs_lapi_route_requests_total", float64(r.N), r.Route, r.Method)
	}
	for _, c := range s.Machines {
		out.count("cs_lapi_machine_requests_total", float64(c.N), label(c.Caller), c.Route, c.Method)
	}
	for _, c := range s.Bouncers {
		out.count("cs_lapi_bouncer_requests_total", float64(c.N), label(c.Caller), c.Route, c.Method)
	}
	for _, b := range s.Lookups {
		out.count("cs_lapi_decisions_ok_total", float64(b.OK), label(b.Bouncer))
		out.count("cs_lapi_decisions_ko_total", float64(b.KO), label(b.Bouncer))
	}
	for _, d := range s.Durations {
		buckets, sum := map[float64]uint64{}, uint64(0)
		for i, bound := range localapi.DurationBounds {
			sum += d.Buckets[i]
			buckets[bound] = sum
		}
		out.ch <- prometheus.MustNewConstHistogram(out.m.descs["cs_lapi_request_duration_seconds"], d.Count, d.Sum, buckets, d.Route, d.Method)
	}
}

// lineSource is a series of lines read.
type lineSource struct{ series, name, kind string }

func linesBySource(st *state) map[lineSource]int64 {
	out := map[lineSource]int64{}
	for _, s := range st.tails.Status() {
		series := "cs_filesource_hits_total"
		if s.Type == "journald" {
			series = "cs_journalctlsource_hits_total"
		}
		out[lineSource{series, label(s.Name), s.Type}] += s.Lines
	}
	return out
}

// activeDecisions are decisions by reason, origin and action: those of lists as
// bouncers are told of them, and those of the rarest reasons together.
func activeDecisions(tallies []decisions.Tally) map[reasonKey]int {
	slices.SortStableFunc(tallies, func(a, b decisions.Tally) int { return b.N - a.N })
	out := map[reasonKey]int{}
	for i, t := range tallies {
		k := reasonKey{label(t.Scenario), label(t.Origin), label(t.Type)}
		if name, ok := strings.CutPrefix(t.Origin, listOrigin); ok {
			k.reason, k.origin = label(name), strings.TrimSuffix(listOrigin, ":")
		}
		if i >= mostReasons {
			k = reasonKey{reason: otherReason, origin: otherReason, action: otherReason}
		}
		out[k] += t.N
	}
	return out
}

// listOrigin begins the origin of a list's decisions.
const listOrigin = "lists:"

// fewest counts the rarest reasons together.
func fewest(by map[string]int) map[string]int {
	reasons := make([]string, 0, len(by))
	for reason := range by {
		reasons = append(reasons, reason)
	}
	slices.SortFunc(reasons, func(a, b string) int { return cmp.Or(by[b]-by[a], strings.Compare(a, b)) })
	out := map[string]int{}
	for i, reason := range reasons {
		if i >= mostReasons {
			out[otherReason] += by[reason]
			continue
		}
		out[label(reason)] += by[reason]
	}
	return out
}

// label is a text that may be one.
func label(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
