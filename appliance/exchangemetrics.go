package appliance

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
func collectExchange(out scrape, l *live) {
	x := &l.state.exchange
	if s := l.state.api.status(); s.Served {
		out.gauge("api_up", one(s.Problem == ""))
		out.count("api_refused_total", float64(s.Refused))
		out.count("api_limited_total", float64(s.Limited))
	}
	for _, r := range x.notifier.Stats() {
		for result, n := range map[string]uint64{"sent": r.Sent, "failed": r.Failed, "retried": r.Retried, "dropped": r.Dropped, "digested": r.Digested} {
			out.count("notifications_total", float64(n), label(r.Name), result)
		}
		out.gauge("notifications_waiting", float64(r.Waiting), label(r.Name))
	}
	out.count("alerts_untold_total", float64(x.announcer.dropped.Load()))
	if l.settings.config.Community != nil {
		s := x.community.Status()
		out.gauge("community_up", one(s.Reachable))
		for result, n := range map[string]int64{"sent": s.Sent, "dropped": s.Dropped, "refused": s.Refused} {
			out.count("community_signals_total", float64(n), result)
		}
		out.gauge("community_signals_waiting", float64(s.Queue))
		if !s.LastPull.IsZero() {
			out.gauge("community_last_pull_timestamp_seconds", float64(s.LastPull.Unix()))
		}
	}
	for _, f := range x.feeds.Status() {
		out.gauge("list_entries", float64(f.Entries), label(f.Name))
		out.gauge("list_failing", one(f.Problem != ""), label(f.Name))
		if !f.Fetched.IsZero() {
			out.gauge("list_fetched_timestamp_seconds", float64(f.Fetched.Unix()), label(f.Name))
		}
	}
	out.gauge("aggregated_ranges", float64(x.aggregator.Stats().Ranges))
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
