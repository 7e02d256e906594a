package command

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
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
		writeStatus(c.out(), &s)
		return nil
	})
}

func statusTable(s *appliance.Status) table {
	t := table{head: []string{"key", "value"}}
	add := func(key string, v any) { t.rows = append(t.rows, []string{key, fmt.Sprint(v)}) }
	add("node", s.Node)
	add("started", s.Started.Format(time.RFC3339))
	add("scenarios", s.Scenarios.Loaded)
	add("buckets", s.Buckets.Buckets)
	for _, t := range slices.Sorted(maps.Keys(s.Decisions)) {
		add("decisions_"+t, s.Decisions[t])
	}
	add("lines", s.Events.Lines)
	add("requests", s.Events.Requests)
	add("alerts", s.Events.Alerts)
	add("dropped", s.Events.Dropped)
	add("firewall", s.Firewall.Active)
	add("problems", len(s.Problems))
	return t
}

func writeStatus(w io.Writer, s *appliance.Status) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s%s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("node", "%s, up %s, state in %s", s.Node, time.Since(s.Started).Round(time.Second), s.DataDir)
	line("last stop", "%s", lastStop(s))
	line("scenarios", "%d loaded, %d of them before the response", s.Scenarios.Loaded, len(s.Scenarios.RequestPhase))
	if len(s.Scenarios.Blockers) > 0 {
		line("", "all run after the response because of %s", strings.Join(s.Scenarios.Blockers, ", "))
	}
	var parts []string
	for _, t := range slices.Sorted(maps.Keys(s.Decisions)) {
		parts = append(parts, fmt.Sprintf("%d %s", s.Decisions[t], t))
	}
	if len(parts) == 0 {
		parts = []string{"none in force"}
	}
	line("decisions", "%s; %d suppressed by the allowlist (%d entries)", strings.Join(parts, ", "), s.Suppressed, s.Allowed)
	line("requests", "%d seen, %d banned, %d throttled, %d challenged, %d connections closed",
		s.Events.Requests, s.Requests.Banned, s.Requests.Throttled, s.Requests.Responded, s.Requests.Closed)
	line("lines", "%d read, %d of no known form, %d counted at their own time", s.Events.Lines, s.Events.Unparsed, s.Events.Late)
	line("buckets", "%d held, %d evicted; %d overflows, %d alerts", s.Buckets.Buckets, s.Buckets.Evicted,
		s.Events.Overflows, s.Events.Alerts)
	line("queue", "%d waiting, %d dropped", s.Events.Queued, s.Events.Dropped)
	line("firewall", "%s", firewall(&s.Firewall))
	for _, src := range s.Sources {
		line("source", "%s: %d lines%s", src.Name, src.Lines, lastLine(src.LastLine))
	}
	if len(s.Problems) == 0 {
		line("problems", "none")
	}
	for _, p := range s.Problems {
		line("problem", "%s", p)
	}
}

func firewall(f *appliance.FirewallStatus) string {
	out := f.Active
	if f.Active == appliance.FirewallOff {
		return out
	}
	if f.Table != "" {
		out += ", table inet " + f.Table
	}
	if f.Owner {
		out += " protected by the kernel"
	}
	var packets uint64
	for _, d := range f.Dropped {
		packets += d.Packets
	}
	out += fmt.Sprintf(", %d bans, %d packets dropped", f.Entries, packets)
	if f.Repairs > 0 {
		out += fmt.Sprintf(", repaired %d times", f.Repairs)
	}
	return out
}

func lastLine(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", the last " + time.Since(t).Round(time.Second).String() + " ago"
}

func lastStop(s *appliance.Status) string {
	switch {
	case s.LastStop.First:
		return "none, this is the first start"
	case s.LastStop.Clean:
		return fmt.Sprintf("clean, %d buckets kept, %d of scenarios that are gone", s.LastStop.Restored, s.LastStop.Dropped)
	}
	return s.LastStop.Note
}
