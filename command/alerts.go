package command

import (
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
		Example: "  " + o.Prefix + " alerts list --since 1h\n  " + o.Prefix + " alerts list --value 192.0.2.7 -o json"}
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
		return c.print(list, c.alertTable(list), "There are no alerts.")
	})
}

// alertTable lists alerts; those of a replay have no id.
func (c *call) alertTable(list []event.Alert) table {
	t := table{head: []string{"id", "at", "source", "scenario", "events", "decisions", "note"}}
	for i := range list {
		a := &list[i]
		id, note, made := "", "", ""
		if a.ID != 0 {
			id = strconv.FormatInt(a.ID, 10)
		}
		if a.Simulated {
			note = "simulated"
		}
		for j, d := range a.Decisions {
			if j > 0 {
				made += " "
			}
			made += d.Type + ":" + d.Value
			if d.Suppressed {
				note = "suppressed by the allowlist"
			}
		}
		t.rows = append(t.rows, []string{id, c.stamp(a.StopAt), a.GetValue(), a.Scenario,
			strconv.Itoa(int(a.EventsCount)), made, note})
	}
	return t
}

func alertsInspect(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "inspect ID", Short: "Show an alert with its events", Args: one("the ID of an alert")}
	return online(o, cmd, func(c *call, args []string) error {
		var a event.Alert
		if err := c.do(http.MethodGet, "/rampart/alerts/"+url.PathEscape(args[0]), nil, nil, &a); err != nil {
			return err
		}
		if c.format != human {
			return c.print(a, c.alertTable([]event.Alert{a}), "")
		}
		c.writeAlert(&a)
		return nil
	})
}
