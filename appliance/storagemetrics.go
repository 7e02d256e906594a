package appliance

import (
	"github.com/rampart-edge/rampart/cluster"
)

// describeStorage names what is exported of a node in a fleet.
func (*metrics) describeStorage(add func(name, help string, labels ...string)) {
	add("storage_up", "Whether Redis is in use; 0: the node goes on by itself.")
	add("storage_degraded_seconds_total", "Seconds without Redis.")
	add("storage_nodes", "Nodes of the fleet, by whether they were heard of lately.", "state")
	add("storage_evictions", "Keys that Redis threw out for want of memory, since it started.")
	add("storage_pours_waiting", "Events that wait to be poured into shared buckets.")
	add("storage_pours_total", "Events for shared buckets, by what became of them.", "result")
	add("storage_pours_merged_total", "Events that went to Redis as one with an equal one.")
	add("storage_overflows_total", "Shared buckets that overflowed, handed on by this node.")
	add("storage_calls_total", "Calls of scripts in Redis, by script.", "script")
	add("storage_call_errors_total", "Calls of scripts in Redis that failed, by script.", "script")
	add("storage_call_seconds_total", "Time that calls of scripts took as seen from here, by script.", "script")
	add("storage_calls_retried_total", "Calls for shared buckets that were made again.")
	add("storage_journal_lag", "Changes in the fleet's journal that this node has not taken over.")
	add("storage_journal_lag_seconds", "Time between the last change in the fleet's journal and the last taken over.")
	add("storage_journal_waiting", "Changes of this node that Redis does not have.")
	add("storage_journal_total", "Changes of decisions and lists, by what became of them.", "result")
	add("storage_reconciles_total", "Times the node compared everything with Redis.")
	add("storage_challenges_late_total", "Challenge answers that two nodes let pass.")
}

// collectStorage reads the figures.
func collectStorage(out scrape, s *FleetStatus) {
	gauge := func(name string, v float64, labels ...string) { out.gauge("storage_"+name, v, labels...) }
	count := func(name string, n int64, labels ...string) { out.count("storage_"+name, float64(n), labels...) }
	silent := 0
	for _, n := range s.Nodes {
		if n.Degraded {
			silent++
		}
	}
	gauge("up", one(s.Redis.State == cluster.StateUp))
	out.count("storage_degraded_seconds_total", s.Away)
	gauge("nodes", float64(len(s.Nodes)-silent), "heard")
	gauge("nodes", float64(silent), "silent")
	gauge("evictions", float64(s.Redis.Evictions))
	b, j := &s.Buckets, &s.Journal
	gauge("pours_waiting", float64(b.Waiting))
	for result, n := range map[string]int64{"poured": b.Poured, "discarded": b.Discarded, "cancelled": b.Cancelled,
		"dropped": b.Dropped, "refused": b.Refused, "failed": b.Failed, "untaken": b.Untaken} {
		count("pours_total", n, result)
	}
	count("pours_merged_total", b.Merged)
	count("overflows_total", b.Overflowed)
	count("calls_retried_total", b.Retried)
	for _, c := range b.Scripts {
		count("calls_total", c.Calls, c.Name)
		count("call_errors_total", c.Errors, c.Name)
		out.count("storage_call_seconds_total", c.Mean*float64(c.Calls)/1e6, c.Name)
	}
	gauge("journal_lag", float64(j.LagEntries))
	gauge("journal_lag_seconds", j.Lag.Seconds())
	gauge("journal_waiting", float64(j.Waiting))
	for result, n := range map[string]int64{"sent": j.Sent, "adopted": j.Adopted, "known": j.Known, "refused": j.Refused, "dropped": j.Dropped, "lost": j.Lost} {
		count("journal_total", n, result)
	}
	count("reconciles_total", j.Reconciles)
	count("challenges_late_total", s.Spent.Late)
}
