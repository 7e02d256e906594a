package appliance

import (
	"github.com/prometheus/client_golang/prometheus"
)

// describeExchange names what is exported of notifications, the Central API and lists.
func (*metrics) describeExchange(add func(name, help string, labels ...string)) {
	add("api_up", "Whether the Local API is open as configured.")
	add("api_refused_total", "Calls of the Local API whose key, token or certificate opened nothing.")
	add("api_limited_total", "Logins and registrations that came too fast.")
	add("notifications_total", "Notifications, by receiver and result.", "receiver", "result")
	add("notifications_waiting", "Alerts that wait for a receiver.", "receiver")
	add("alerts_untold_total", "Alerts that found no place on their way to receivers and Central API.")
	add("community_up", "Whether the last call of the Central API succeeded.")
	add("community_signals_total", "Signals for the Central API, by what became of them.", "result")
	add("community_signals_waiting", "Signals that wait for the Central API.")
	add("community_last_pull_timestamp_seconds", "When lists were last pulled.")
	add("list_entries", "Entries of a list from a URL.", "list")
	add("list_fetched_timestamp_seconds", "When a list was last fetched.", "list")
	add("list_failing", "Whether the last try to fetch a list failed.", "list")
	add("aggregated_ranges", "Ranges banned since many of their addresses are.")
}

// collectExchange reads the figures of l.
func (m *metrics) collectExchange(ch chan<- prometheus.Metric, l *live) {
	gauge := func(name string, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.descs[name], prometheus.GaugeValue, v, labels...)
	}
	count := func(name string, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.descs[name], prometheus.CounterValue, float64(v), labels...)
	}
	x := &l.state.exchange
	if s := l.state.api.status(); s.Served {
		gauge("api_up", one(s.Problem == ""))
		count("api_refused_total", s.Refused)
		count("api_limited_total", s.Limited)
	}
	for _, r := range x.notifier.Stats() {
		for result, n := range map[string]uint64{"sent": r.Sent, "failed": r.Failed, "retried": r.Retried, "dropped": r.Dropped, "digested": r.Digested} {
			count("notifications_total", n, label(r.Name), result)
		}
		gauge("notifications_waiting", float64(r.Waiting), label(r.Name))
	}
	count("alerts_untold_total", uint64(x.announcer.dropped.Load()))
	if l.settings.config.Community != nil {
		s := x.community.Status()
		gauge("community_up", one(s.Reachable))
		for result, n := range map[string]int64{"sent": s.Sent, "dropped": s.Dropped, "refused": s.Refused} {
			count("community_signals_total", uint64(n), result)
		}
		gauge("community_signals_waiting", float64(s.Queue))
		if !s.LastPull.IsZero() {
			gauge("community_last_pull_timestamp_seconds", float64(s.LastPull.Unix()))
		}
	}
	for _, f := range x.feeds.Status() {
		gauge("list_entries", float64(f.Entries), label(f.Name))
		gauge("list_failing", one(f.Problem != ""), label(f.Name))
		if !f.Fetched.IsZero() {
			gauge("list_fetched_timestamp_seconds", float64(f.Fetched.Unix()), label(f.Name))
		}
	}
	gauge("aggregated_ranges", float64(x.aggregator.Stats().Ranges))
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
