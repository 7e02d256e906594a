package command

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/appliance"
)

// mostShown is how many nodes, and how many names, a line tells; what is beyond is
// counted.
const mostShown = 8

// writeStorage tells where the state is kept and, of a fleet, how that does.
func (c *call) writeStorage(s *appliance.StorageStatus, line func(name, format string, args ...any)) {
	f := s.Fleet
	if f == nil {
		line("storage", "%s, of this node alone", cmp.Or(s.Kind, appliance.StorageEmbedded))
		return
	}
	r := &f.Redis
	server := r.Kind
	if r.Server != "" {
		server += ", " + r.Server
	}
	line("storage", "redis (%s) %s for %s, prefix %s; without it for %s in all", server, r.State,
		span(c.o.Now().Sub(r.Since)), f.Prefix, span(time.Duration(f.Away*float64(time.Second))))
	if r.Reason != "" {
		line("", "%s", r.Reason)
	}
	line("fleet", "%s", c.fleetLine(f))
	j := &f.Journal
	line("log", "%s, %s; %d sent, %d taken over, %d waiting, %d dropped, %d refused, %s of everything", alone(j.Joined),
		behind(j.LagEntries, j.Lag), j.Sent, j.Adopted, j.Waiting, j.Dropped+j.Lost, j.Refused, count(j.Reconciles, "comparison"))
	b := &f.Buckets
	line("shared", "%s poured in %s, %d merged, %d waiting, %d dropped; %s", count(b.Poured, "event"),
		count(b.Calls, "call"), b.Merged, b.Waiting, b.Dropped, count(b.Overflowed, "overflow"))
	for _, one := range b.Scripts {
		if one.Name == "pour" && one.Calls > 0 {
			line("", "a call takes %.0f µs, 99 of 100 less than %d µs; a script takes %.0f µs in Redis", one.Mean, one.P99, r.EvalMicros)
		}
	}
	if len(f.Unshared) > 0 {
		line("", "not shared, since they look at whole events: %s", namesOf(f.Unshared))
	}
}

// fleetLine names the nodes, this one first.
func (c *call) fleetLine(f *appliance.FleetStatus) string {
	text := fmt.Sprintf("this is %s, id %s", f.Name, f.ID)
	if f.Number >= 0 {
		text += fmt.Sprintf(", number %d", f.Number)
	}
	var others []string
	for _, n := range f.Nodes {
		if n.ID == f.ID {
			continue
		}
		one := n.Name
		if n.Degraded {
			one += " (silent for " + span(c.o.Now().Sub(n.Seen)) + ")"
		} else if n.Lag > 0 {
			one += " (" + behind(n.Lag, 0) + ")"
		}
		others = append(others, one)
	}
	if len(others) == 0 {
		return text + "; no other node is known"
	}
	return text + "; beside it " + namesOf(others)
}

// alone tells whether decisions are shared just now.
func alone(joined bool) string {
	if joined {
		return "shared"
	}
	return "not shared now"
}

// behind is how much of the fleet's log has not been taken over.
func behind(entries int64, lag time.Duration) string {
	if entries == 0 {
		return "nothing behind"
	}
	text := count(entries, "change") + " behind"
	if lag >= time.Second {
		text += " (" + span(lag) + ")"
	}
	return text
}

// namesOf names the first of a list and counts the others.
func namesOf(list []string) string {
	if more := len(list) - mostShown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:mostShown], ", "), more)
	}
	return strings.Join(list, ", ")
}

// fleetRows are the figures of a fleet as CSV has them.
func fleetRows(s *appliance.StorageStatus, add func(key string, v any)) {
	add("storage", cmp.Or(s.Kind, appliance.StorageEmbedded))
	f := s.Fleet
	if f == nil {
		return
	}
	add("storage_state", f.Redis.State)
	add("storage_since", f.Redis.Since.UTC().Format(time.RFC3339))
	add("storage_nodes", len(f.Nodes))
	add("storage_lag", f.Journal.LagEntries)
	add("storage_waiting", f.Journal.Waiting)
	add("storage_refused", f.Journal.Refused)
	add("storage_poured", f.Buckets.Poured)
	add("storage_dropped", f.Buckets.Dropped)
}
