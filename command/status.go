package command

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/logsources"
)

func statusCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "Show how the running node does", Args: cobra.NoArgs}
	return online(o, cmd, func(c *call, _ []string) error {
		var s appliance.Status
		if err := c.do(http.MethodGet, "/rampart/status", nil, nil, &s); err != nil {
			return err
		}
		if c.format != human {
			return c.print(s, statusTable(&s), "")
		}
		c.writeStatus(&s)
		return nil
	})
}

func statusTable(s *appliance.Status) table {
	t := table{head: []string{"key", "value"}}
	add := func(key string, v any) { t.rows = append(t.rows, []string{key, fmt.Sprint(v)}) }
	add("node", s.Node)
	add("started", s.Started.UTC().Format(time.RFC3339))
	add("scenarios", s.Scenarios.Loaded)
	add("buckets", s.Buckets.Buckets)
	add("buckets_evicted", s.Buckets.Evicted)
	for _, t := range slices.Sorted(maps.Keys(s.Decisions)) {
		add("decisions_"+t, s.Decisions[t])
	}
	add("decisions_suppressed", s.Suppressed)
	add("lines", s.Events.Lines)
	add("lines_unparsed", s.Events.Unparsed)
	add("requests", s.Events.Requests)
	add("requests_banned", s.Requests.Banned)
	add("requests_throttled", s.Requests.Throttled)
	add("requests_challenged", s.Requests.Responded)
	add("requests_without_client_address", s.Requests.Unknown)
	add("alerts", s.Events.Alerts)
	add("dropped", s.Events.Dropped)
	add("firewall", s.Firewall.Active)
	fleetRows(&s.Storage, add)
	exchangeRows(s, add)
	add("problems", len(s.Problems))
	return t
}

func (c *call) writeStatus(s *appliance.Status) {
	line := c.lines()
	line("node", "%s, up %s, state in %s", s.Node, span(c.o.Now().Sub(s.Started)), s.DataDir)
	line("last stop", "%s", lastStop(s))
	line("scenarios", "%d loaded, %d of them before the response", s.Scenarios.Loaded, len(s.Scenarios.RequestPhase))
	if len(s.Scenarios.Blockers) > 0 {
		line("", "all run after the response because of %s", strings.Join(s.Scenarios.Blockers, ", "))
	}
	if s.Watch.Files > 0 {
		line("files", "%d watched, %s taken", s.Watch.Files, count(s.Watch.Swaps, "change"))
	}
	line("decisions", "%s; %d suppressed by the allowlist (%d entries)", decided(s), s.Suppressed, s.Allowed)
	line("requests", "%d passed, %d banned, %d throttled, %d challenged, %s closed", s.Requests.Passed,
		s.Requests.Banned, s.Requests.Throttled, s.Requests.Responded, count(s.Requests.Closed, "connection"))
	line("lines", "%d read, %d of no known form, %d older than 10s when read", s.Events.Lines, s.Events.Unparsed, s.Events.Late)
	line("buckets", "%d held, %d evicted; %s, %s", s.Buckets.Buckets, s.Buckets.Evicted,
		count(s.Events.Overflows, "overflow"), count(s.Events.Alerts, "alert"))
	line("queue", "%d waiting; %d examined, %d dropped", s.Events.Queued, s.Events.Requests, s.Events.Dropped)
	line("firewall", "%s", firewallLine(&s.Firewall))
	c.writeStorage(&s.Storage, line)
	c.writeExchange(s, line)
	for i := range s.Sources {
		line("source", "%s", sourceLine(&s.Sources[i]))
	}
	if len(s.Problems) == 0 {
		line("problems", "none")
	}
	for _, p := range s.Problems {
		for i, part := range strings.Split(p, "\n") {
			if i == 0 {
				line("problem", "%s", part)
			} else {
				line("", "%s", part)
			}
		}
	}
}

func decided(s *appliance.Status) string {
	var parts []string
	for _, t := range slices.Sorted(maps.Keys(s.Decisions)) {
		parts = append(parts, fmt.Sprintf("%d %s", s.Decisions[t], t))
	}
	if len(parts) == 0 {
		return "none in force"
	}
	return strings.Join(parts, ", ")
}

func firewallLine(f *appliance.FirewallStatus) string {
	text := f.Active
	if f.Active != f.Mode {
		text += " instead of " + f.Mode
	}
	if f.Active == appliance.FirewallOff {
		return text
	}
	if f.Table != "" {
		text += ", table inet " + f.Table
	}
	if f.Owner {
		text += " protected by the kernel"
	}
	packets := uint64(0)
	for _, d := range f.Dropped {
		packets += d.Packets
	}
	text += fmt.Sprintf(", %s, %d packets dropped", count(f.Entries, "ban"), packets)
	if f.Repairs > 0 {
		text += fmt.Sprintf(", repaired %d times", f.Repairs)
	}
	if f.Active == appliance.FirewallDryRun {
		text += " (it only says what it would do)"
	}
	return text
}

// sourceLine says what a log gave, and what of it went wrong.
func sourceLine(s *logsources.Status) string {
	text := fmt.Sprintf("%s: %s", s.Name, count(s.Lines, "line"))
	if s.LastLineAge >= 0 && !s.LastLine.IsZero() {
		text += ", the last " + span(s.LastLineAge) + " ago"
	}
	for _, n := range []struct {
		count int64
		what  string
	}{{s.TooLong, "%d too long and skipped"}, {s.Binary, "%d binary"}, {s.Truncations, "truncated %d×"},
		{s.Rotations, "rotated %d×"}, {s.Restarts, "restarted %d×"}} {
		if n.count > 0 {
			text += ", " + fmt.Sprintf(n.what, n.count)
		}
	}
	if s.State != logsources.Running {
		text += fmt.Sprintf(" (%s)", s.State)
	}
	return text
}

func lastStop(s *appliance.Status) string {
	switch {
	case s.LastStop.First:
		return "none, this is the first start"
	case s.LastStop.Clean:
		return fmt.Sprintf("clean, %s kept, %d of scenarios that are gone", count(s.LastStop.Restored, "bucket"), s.LastStop.Dropped)
	}
	return s.LastStop.Note
}
