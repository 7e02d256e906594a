package command

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/event"
)

func alertsCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "alerts", Aliases: []string{"alert"}, Short: "List and inspect alerts"}
	cmd.AddCommand(alertsList(o), alertsInspect(o))
	return cmd
}

func alertsList(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List alerts, newest first", Args: cobra.NoArgs,
		Example: "  rampart alerts list --since 1h\n  rampart alerts list --value 192.0.2.7 -o json"}
	f := cmd.Flags()
	value := f.String("value", "", "only alerts about this address or network")
	scenario := f.String("scenario", "", "only alerts of this scenario")
	since := f.String("since", "", "only alerts of the last 90s, 4h, 2d…")
	limit := f.IntP("limit", "l", 50, "at most so many")
	return online(o, cmd, func(c *call, _ []string) error {
		q := url.Values{"limit": {strconv.Itoa(*limit)}}
		for k, v := range map[string]string{"value": *value, "scenario": *scenario, "since": *since} {
			if v != "" {
				q.Set(k, v)
			}
		}
		var list []event.Alert
		if err := c.do(http.MethodGet, "/rampart/alerts", q, nil, &list); err != nil {
			return err
		}
		return c.print(list, alertTable(list), "There are no alerts.")
	})
}

func alertTable(list []event.Alert) table {
	t := table{head: []string{"id", "at", "source", "scenario", "events", "decisions", "note"}}
	for i := range list {
		a := &list[i]
		note := ""
		if a.Simulated {
			note = "simulated"
		}
		made := ""
		for j, d := range a.Decisions {
			if j > 0 {
				made += " "
			}
			made += d.Type + ":" + d.Value
		}
		t.rows = append(t.rows, []string{strconv.FormatInt(a.ID, 10), a.StopAt, a.GetValue(), a.Scenario,
			strconv.Itoa(int(a.EventsCount)), made, note})
	}
	return t
}

func alertsInspect(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "inspect ID", Short: "Show an alert with its events", Args: cobra.ExactArgs(1)}
	return online(o, cmd, func(c *call, args []string) error {
		var a event.Alert
		if err := c.do(http.MethodGet, "/rampart/alerts/"+url.PathEscape(args[0]), nil, nil, &a); err != nil {
			return err
		}
		if c.format != human {
			return c.print(a, alertTable([]event.Alert{a}), "")
		}
		writeAlert(c.out(), &a)
		return nil
	})
}

// writeAlert tells one alert: the sentence, then the events that filled the bucket.
func writeAlert(w io.Writer, a *event.Alert) {
	fmt.Fprintf(w, "alert %d: %s\n", a.ID, printable(a.Message))
	fmt.Fprintf(w, "  scenario  %s\n  from      %s\n  to        %s\n", a.Scenario, a.StartAt, a.StopAt)
	if a.IncidentID != "" {
		fmt.Fprintf(w, "  incident  %s\n", a.IncidentID)
	}
	for _, d := range a.Decisions {
		fmt.Fprintf(w, "  decision  %d: %s %s for %s\n", d.ID, d.Type, d.Value, d.Duration)
	}
	if len(a.Events) == 0 {
		return
	}
	fmt.Fprintf(w, "  events    %d of %d kept\n", len(a.Events), a.EventsCount)
	for _, e := range a.Events {
		fmt.Fprintf(w, "    %s  %s\n", e.Timestamp, printable(eventLine(e.Meta)))
	}
}

// eventLine is an event in one line: the request or the login, then what else.
func eventLine(m event.Meta) string {
	if path := m.Get("http_path"); path != "" {
		return fmt.Sprintf("%s %s%s → %s %q", m.Get("http_verb"), m.Get("target_fqdn"), path,
			orDash(m.Get("http_status")), m.Get("http_user_agent"))
	}
	line := ""
	for _, it := range m {
		switch it.Key {
		case "timestamp", "datasource_path", "datasource_type", "machine":
			continue
		}
		if line != "" {
			line += " "
		}
		line += it.Key + "=" + it.Value
	}
	return line
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
