package command

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/event"
)

func alertsCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "alerts", Aliases: []string{"alert"}, Short: "List, inspect and delete alerts"}
	cmd.AddCommand(alertsList(o), alertsInspect(o), alertsDelete(o), alertsFlush(o))
	return cmd
}

func alertsList(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List alerts, newest first", Args: cobra.NoArgs,
		Example: "  " + o.Prefix + " alerts list --since 1h\n  " + o.Prefix + " alerts list --value 192.0.2.7 -o json"}
	query := alertFlags(cmd)
	all := cmd.Flags().BoolP("all", "a", false, "also those about lists and the Central API")
	limit := cmd.Flags().IntP("limit", "l", 50, "at most so many, up to 10000")
	return online(o, cmd, func(c *call, _ []string) error {
		q := query()
		q.Set("limit", strconv.Itoa(*limit))
		if !*all && !q.Has("origin") {
			q.Set("lists", "false")
		}
		var list []event.Alert
		if err := c.do(http.MethodGet, "/rampart/alerts", q, nil, &list); err != nil {
			return err
		}
		return c.print(list, c.alertTable(list), "There are no alerts.")
	})
}

// alertFlags are those that pick alerts.
func alertFlags(cmd *cobra.Command) func() url.Values {
	return pickFlags(cmd, "with a decision inside it", append(ageFlags(), textFlag{"ip", "i", "only alerts about this address, or a network around it"},
		textFlag{"range", "r", "only alerts with a decision covering all of this network"}, textFlag{"value", "v", "only alerts about this address or network"},
		textFlag{"scope", "", "only alerts of this scope (Ip, Range, …)"}, textFlag{"scenario", "s", "only alerts of this scenario"},
		textFlag{"type", "", "only alerts with a decision of this type"}, textFlag{"origin", "", "only alerts with a decision of this origin"},
		textFlag{"kind", "", "only alerts of this kind"}, textFlag{"machine", "", "only alerts that this machine reported"})...)
}

// shownOfAlert is how many decisions of an alert people see in a list: an import has
// thousands.
const shownOfAlert = 3

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
			if d.Suppressed {
				note = "suppressed by the allowlist"
			}
			if c.format == human && j >= shownOfAlert {
				continue
			}
			if j > 0 {
				made += " "
			}
			made += d.Type + ":" + d.Value
		}
		if more := len(a.Decisions) - shownOfAlert; c.format == human && more > 0 {
			made += fmt.Sprintf(" and %d more", more)
		}
		t.rows = append(t.rows, []string{id, c.stamp(a.StopAt), a.GetValue(), a.Scenario,
			strconv.Itoa(int(a.EventsCount)), made, note})
	}
	return t
}

func alertsInspect(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "inspect ID...", Short: "Show alerts with their events", Args: least(1, "the ID of an alert")}
	details := cmd.Flags().BoolP("details", "d", false, "every event with all that is known of it")
	return online(o, cmd, func(c *call, args []string) error {
		for _, arg := range args {
			var a event.Alert
			if err := c.do(http.MethodGet, "/rampart/alerts/"+url.PathEscape(arg), nil, nil, &a); err != nil {
				return err
			}
			if c.format != human {
				if err := c.print(a, c.alertTable([]event.Alert{a}), ""); err != nil {
					return err
				}
				continue
			}
			c.writeAlert(&a)
			if *details {
				c.writeDetails(&a)
			}
		}
		return nil
	})
}

// writeDetails shows all that was kept of an alert.
func (c *call) writeDetails(a *event.Alert) {
	w := c.out()
	if len(a.Meta) > 0 {
		fmt.Fprintln(w, "\n  context")
	}
	for _, m := range a.Meta {
		fmt.Fprintf(w, "    %-24s %s\n", printable(m.Key), printable(m.Value))
	}
	for i, e := range a.Events {
		fmt.Fprintf(w, "\n  event %d at %s\n", i+1, c.stamp(e.Timestamp))
		for _, m := range e.Meta {
			fmt.Fprintf(w, "    %-24s %s\n", printable(m.Key), printable(m.Value))
		}
	}
}

func alertsDelete(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "delete", Short: "Delete alerts; the decisions that they led to end", Args: cobra.NoArgs,
		Example: "  " + o.Prefix + " alerts delete --id 7\n  " + o.Prefix + " alerts delete --ip 192.0.2.7"}
	query := alertFlags(cmd)
	id := cmd.Flags().String("id", "", "the alert with this id")
	all := cmd.Flags().Bool("all", false, "every alert")
	return online(o, cmd, func(c *call, _ []string) error {
		q, path := query(), "/rampart/alerts"
		switch {
		case *id != "" && (len(q) > 0 || *all), *all && len(q) > 0:
			return errors.New("--id and --all stand alone; leave out the other filters")
		case *id != "":
			path += "/" + url.PathEscape(*id)
		case *all:
			q.Set("all", "true")
		case len(q) == 0:
			return errors.New("nothing named to delete; give --id, a filter, or --all")
		}
		return c.deleteAlerts(http.MethodDelete, path, q, nil)
	})
}

func alertsFlush(o Options) *cobra.Command {
	var q appliance.FlushRequest
	cmd := &cobra.Command{Use: "flush", Short: "Delete old alerts, but none that a decision comes from", Args: cobra.NoArgs,
		Example: "  " + o.Prefix + " alerts flush --max-items 5000 --max-age 7d"}
	items := cmd.Flags().Int("max-items", 5000, "how many alerts may stay")
	cmd.Flags().StringVar(&q.MaxAge, "max-age", "7d", "how old alerts may be")
	return online(o, cmd, func(c *call, _ []string) error {
		q.MaxItems = items
		return c.deleteAlerts(http.MethodPost, "/rampart/alerts/flush", nil, q)
	})
}

// deleteAlerts sends a deletion and tells what went.
func (c *call) deleteAlerts(method, path string, q url.Values, in any) error {
	var a appliance.AlertsDeleted
	if err := c.do(method, path, q, in, &a); err != nil {
		return err
	}
	if c.format != human {
		return c.print(a, table{head: []string{"alerts", "decisions", "spared"},
			rows: [][]string{{strconv.Itoa(a.Alerts), strconv.Itoa(a.Decisions), strconv.Itoa(a.Spared)}}}, "")
	}
	fmt.Fprintf(c.out(), "%s deleted", count(a.Alerts, "alert"))
	if a.Decisions > 0 {
		fmt.Fprintf(c.out(), ", and %s ended", count(a.Decisions, "decision"))
	}
	fmt.Fprintln(c.out(), ".")
	if a.Spared > 0 {
		fmt.Fprintf(c.out(), "%s: a decision comes from them.\n", plural(a.Spared, "alert stayed", "alerts stayed"))
	}
	return nil
}
