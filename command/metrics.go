package command

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
)

// section is a part of the metrics: its name is the key of the node's answer.
type section struct {
	name, title string
	text        int // columns, from the left, that say what a row is about; the others are figures
	rows        func(c *call, f *appliance.Figures) table
	value       func(f *appliance.Figures) any
}

// sections are all of them, in the order in which they are shown.
func sections() []section {
	return []section{
		{"acquisition", "Logs", 3, acquisitionRows, func(f *appliance.Figures) any { return f.Acquisition }},
		{"parsers", "Lines", 0, parserRows, func(f *appliance.Figures) any { return f.Parsers }},
		{"scenarios", "Scenarios", 0, scenarioRows, func(f *appliance.Figures) any { return f.Scenarios }},
		{"requests", "Requests", 0, requestRows, func(f *appliance.Figures) any { return f.Requests }},
		{"alerts", "Alerts kept", 1, alertRows, func(f *appliance.Figures) any { return f.Alerts }},
		{"decisions", "Decisions in force", 3, decisionRows, func(f *appliance.Figures) any { return f.Decisions }},
		{"lapi", "Local API", 2, routeRows, func(f *appliance.Figures) any { return f.Routes }},
		{"lapi-bouncer", "Local API, by bouncer", 3, func(_ *call, f *appliance.Figures) table { return callerRows("bouncer", f.Bouncers) }, func(f *appliance.Figures) any { return f.Bouncers }},
		{"lapi-machine", "Local API, by machine", 3, func(_ *call, f *appliance.Figures) table { return callerRows("machine", f.Machines) }, func(f *appliance.Figures) any { return f.Machines }},
		{"lapi-decisions", "Lookups of bouncers", 1, lookupRows, func(f *appliance.Figures) any { return f.Lookups }},
		{"bouncers", "What bouncers did", 6, func(c *call, f *appliance.Figures) table { return usageRows(c, "bouncer", f.Usage) }, func(f *appliance.Figures) any { return f.Usage }},
		{"machines", "What machines did", 6, func(c *call, f *appliance.Figures) table { return usageRows(c, "machine", f.Agents) }, func(f *appliance.Figures) any { return f.Agents }},
		{"capi", "Central API", 0, communityRows, func(f *appliance.Figures) any { return f.Community }},
		{"notifications", "Notifications", 2, notificationRows, func(f *appliance.Figures) any { return f.Notifications }},
	}
}

func sectionNames() []string {
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	return names
}

func metricsCommand(o Options) *cobra.Command {
	show := func(c *call, args []string) error { return c.showMetrics(args) }
	cmd := &cobra.Command{Use: "metrics", Short: "Show what the node has counted", Args: cobra.NoArgs,
		Long: "Shows figures since the node's start, and what is in force. Sections: " + strings.Join(sectionNames(), ", ") + "."}
	one := &cobra.Command{Use: "show [SECTION...]", Short: "Show figures, of some sections only if they are named",
		Example: "  " + o.Prefix + " metrics show decisions bouncers\n  " + o.Prefix + " metrics show lapi -o json"}
	list := &cobra.Command{Use: "list", Short: "List the sections", Args: cobra.NoArgs}
	online(o, list, func(c *call, _ []string) error {
		t := table{head: []string{"section", "title"}}
		for _, s := range sections() {
			t.rows = append(t.rows, []string{s.name, s.title})
		}
		return c.print(sectionNames(), t, "")
	})
	cmd.AddCommand(online(o, one, show), list)
	return online(o, cmd, show)
}

func (c *call) showMetrics(names []string) error {
	for _, name := range names {
		if !slices.Contains(sectionNames(), name) {
			return fmt.Errorf("there is no section %q; there are %s", name, strings.Join(sectionNames(), ", "))
		}
	}
	var f appliance.Figures
	if err := c.do(http.MethodGet, "/rampart/metrics", nil, nil, &f); err != nil {
		return err
	}
	chosen := slices.DeleteFunc(sections(), func(s section) bool { return len(names) > 0 && !slices.Contains(names, s.name) })
	switch c.format {
	case jsonF:
		out := map[string]any{}
		for _, s := range chosen {
			out[s.name] = s.value(&f)
		}
		return c.print(out, table{}, "")
	case raw:
		return c.print(nil, rawFigures(c, &f, chosen), "")
	}
	shown := 0
	for _, s := range chosen {
		t := s.rows(c, &f)
		if len(t.rows) == 0 {
			if len(names) > 0 {
				fmt.Fprintf(c.out(), "%s: nothing yet.\n", s.title)
			}
			continue
		}
		if shown++; shown > 1 {
			fmt.Fprintln(c.out())
		}
		fmt.Fprintln(c.out(), s.title)
		if err := t.write(c.out()); err != nil {
			return err
		}
	}
	return nil
}

// rawFigures are all sections in one table, one row a figure.
func rawFigures(c *call, f *appliance.Figures, chosen []section) table {
	out := table{head: []string{"section", "about", "figure", "value"}}
	for _, s := range chosen {
		t := s.rows(c, f)
		for _, row := range t.rows {
			var about []string
			for i, cell := range row[:s.text] {
				if cell != "" && t.head[i] != "told" { // an instant would make another row of each report
					about = append(about, t.head[i]+"="+cell)
				}
			}
			for i, cell := range row[s.text:] {
				out.rows = append(out.rows, []string{s.name, strings.Join(about, " "), t.head[s.text+i], cell})
			}
		}
	}
	return out
}

func number[N int | int64 | uint64](n N) string { return fmt.Sprint(n) }

func acquisitionRows(_ *call, f *appliance.Figures) table {
	t := table{head: []string{"source", "type", "state", "lines", "bytes", "too_long", "binary", "restarts"}}
	for _, s := range f.Acquisition {
		t.rows = append(t.rows, []string{s.Name, s.Type, fmt.Sprint(s.State), number(s.Lines), number(s.Bytes), number(s.TooLong), number(s.Binary), number(s.Restarts)})
	}
	return t
}

func parserRows(_ *call, f *appliance.Figures) table {
	p := &f.Parsers
	return table{head: []string{"lines", "parsed", "unparsed", "late", "whitelisted"},
		rows: [][]string{{number(p.Lines), number(p.Parsed), number(p.Unparsed), number(p.Late), number(p.Whitelisted)}}}
}

func scenarioRows(_ *call, f *appliance.Figures) table {
	s := &f.Scenarios
	return table{head: []string{"loaded", "buckets", "poured", "overflows", "cancelled", "expired", "evicted"},
		rows: [][]string{{number(s.Loaded), number(s.Buckets), number(s.Poured), number(s.Overflows), number(s.Cancelled), number(s.Expired), number(s.Evicted)}}}
}

func requestRows(_ *call, f *appliance.Figures) table {
	r := &f.Requests
	return table{head: []string{"passed", "banned", "throttled", "challenged", "closed", "without_address"},
		rows: [][]string{{number(r.Passed), number(r.Banned), number(r.Throttled), number(r.Responded), number(r.Closed), number(r.Unknown)}}}
}

func alertRows(_ *call, f *appliance.Figures) table {
	t := table{head: []string{"reason", "count"}}
	for _, a := range f.Alerts {
		t.rows = append(t.rows, []string{a.Reason, number(a.Count)})
	}
	return t
}

func decisionRows(_ *call, f *appliance.Figures) table {
	t := table{head: []string{"reason", "origin", "action", "count"}}
	for _, d := range f.Decisions {
		t.rows = append(t.rows, []string{d.Reason, d.Origin, d.Action, number(d.Count)})
	}
	return t
}

func routeRows(_ *call, f *appliance.Figures) table {
	t := table{head: []string{"route", "method", "requests", "mean_ms"}}
	for _, r := range f.Routes {
		t.rows = append(t.rows, []string{r.Route, r.Method, number(r.Requests), strconv.FormatFloat(r.Mean, 'f', -1, 64)})
	}
	return t
}

func callerRows(who string, list []appliance.CallerFigures) table {
	t := table{head: []string{who, "route", "method", "requests"}}
	for _, r := range list {
		t.rows = append(t.rows, []string{r.Name, r.Route, r.Method, number(r.Requests)})
	}
	return t
}

func lookupRows(_ *call, f *appliance.Figures) table {
	t := table{head: []string{"bouncer", "given", "none"}}
	for _, l := range f.Lookups {
		t.rows = append(t.rows, []string{l.Bouncer, number(l.Given), number(l.None)})
	}
	return t
}

// usageRows are what others told of themselves: one row a figure.
func usageRows(c *call, who string, list []appliance.UsageFigures) table {
	t := table{head: []string{who, "origin", "figure", "labels", "unit", "told", "value"}}
	for _, u := range list {
		for _, one := range u.Figures {
			t.rows = append(t.rows, []string{u.Name, one.Origin, one.Name, labelled(one.Labels), one.Unit, c.when(u.At), strconv.FormatFloat(one.Value, 'f', -1, 64)})
		}
	}
	return t
}

func communityRows(_ *call, f *appliance.Figures) table {
	s := &f.Community
	if !s.Enabled && s.Queue == 0 && s.Sent == 0 && s.Community == 0 {
		return table{}
	}
	return table{head: []string{"community_entries", "lists", "allowlists", "signals_waiting", "sent", "dropped", "refused"},
		rows: [][]string{{number(s.Community), number(len(s.Lists)), number(len(s.Allowlists)), number(s.Queue), number(s.Sent), number(s.Dropped), number(s.Refused)}}}
}

func notificationRows(_ *call, f *appliance.Figures) table {
	t := table{head: []string{"receiver", "type", "sent", "waiting", "failed", "dropped", "digested"}}
	for _, r := range f.Notifications.Receivers {
		t.rows = append(t.rows, []string{r.Name, r.Type, number(r.Sent), number(r.Waiting), number(r.Failed), number(r.Dropped), number(r.Digested)})
	}
	return t
}
