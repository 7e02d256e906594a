package command

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/decisions"
)

func decisionsCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "decisions", Aliases: []string{"decision"},
		Short: "List, add and delete decisions"}
	cmd.AddCommand(decisionsList(o), decisionsAdd(o), decisionsDelete(o))
	return cmd
}

// filterFlags are those that pick decisions.
func filterFlags(cmd *cobra.Command, q url.Values) func() url.Values {
	names := map[string]string{"ip": "covering this address", "value": "with exactly this value",
		"type": "of this type (ban, captcha, throttle)", "scope": "of this scope (Ip, Range, …)",
		"origin": "of this origin", "scenario": "for this scenario", "id": "with this id"}
	values := map[string]*string{}
	for name, help := range names {
		values[name] = cmd.Flags().String(name, "", "only decisions "+help)
	}
	return func() url.Values {
		for name, v := range values {
			if *v != "" {
				q.Set(name, *v)
			}
		}
		return q
	}
}

func decisionsList(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the decisions in force", Args: cobra.NoArgs,
		Example: "  rampart decisions list\n  rampart decisions list --ip 192.0.2.7 --all -o json"}
	query := filterFlags(cmd, url.Values{})
	all := cmd.Flags().BoolP("all", "a", false, "expired and deleted ones too")
	return online(o, cmd, func(c *call, _ []string) error {
		q := query()
		if *all {
			q.Set("all", "true")
		}
		var list []decisions.Decision
		if err := c.do(http.MethodGet, "/rampart/decisions", q, nil, &list); err != nil {
			return err
		}
		return c.print(list, decisionTable(list), "No decisions are in force.")
	})
}

func decisionTable(list []decisions.Decision) table {
	t := table{head: []string{"id", "type", "scope", "value", "scenario", "origin", "left", "until", "note"}}
	for _, d := range list {
		note := ""
		switch {
		case d.Suppressed:
			note = "suppressed by the allowlist"
		case d.Simulated:
			note = "simulated"
		}
		t.rows = append(t.rows, []string{strconv.FormatInt(d.ID, 10), d.Type, d.Scope, d.Value,
			d.Scenario, d.Origin, left(d.Until), when(d.Until), note})
	}
	return t
}

// endedTable shows decisions that are no more.
func endedTable(list []decisions.Decision) table {
	t := table{head: []string{"id", "type", "value", "scenario", "made", "was until"}}
	for _, d := range list {
		t.rows = append(t.rows, []string{strconv.FormatInt(d.ID, 10), d.Type, d.Value, d.Scenario, when(d.Created), when(d.Until)})
	}
	return t
}

func decisionsAdd(o Options) *cobra.Command {
	var q appliance.DecisionRequest
	cmd := &cobra.Command{Use: "add ADDRESS|NETWORK", Short: "Ban an address or a network by hand",
		Args:    cobra.MaximumNArgs(1),
		Example: "  rampart decisions add 192.0.2.7 --duration 1d --reason \"abuse mail\"\n  rampart decisions add 192.0.2.0/24 --type captcha"}
	f := cmd.Flags()
	f.StringVarP(&q.Value, "value", "v", "", "what to decide about, instead of the argument")
	f.StringVar(&q.Scope, "scope", "", "scope of the value (default: Ip or Range)")
	f.StringVarP(&q.Type, "type", "t", "ban", "ban, captcha or throttle")
	f.StringVarP(&q.Duration, "duration", "d", "4h", "how long it lasts, such as 90s, 4h or 2d")
	f.StringVarP(&q.Reason, "reason", "R", "", "why, for those who come after you")
	return online(o, cmd, func(c *call, args []string) error {
		if len(args) == 1 {
			q.Value = args[0]
		}
		if q.Value == "" {
			return fmt.Errorf("nothing named to decide about; give an address or a network")
		}
		var a appliance.DecisionAnswer
		if err := c.do(http.MethodPost, "/rampart/decisions", nil, q, &a); err != nil {
			return err
		}
		return c.print(a, decisionTable(a.Decisions), "Nothing was decided.")
	})
}

func decisionsDelete(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "delete", Short: "Delete decisions", Args: cobra.NoArgs,
		Example: "  rampart decisions delete --ip 192.0.2.7\n  rampart decisions delete --origin rampart"}
	query := filterFlags(cmd, url.Values{})
	all := cmd.Flags().Bool("all", false, "every decision")
	return online(o, cmd, func(c *call, _ []string) error {
		q := query()
		if *all {
			q.Set("all", "true")
		}
		var gone appliance.Deleted
		if err := c.do(http.MethodDelete, "/rampart/decisions", q, nil, &gone); err != nil {
			return err
		}
		return c.printDeleted(gone)
	})
}

func (c *call) printDeleted(gone appliance.Deleted) error {
	if c.format == human {
		_, err := fmt.Fprintf(c.out(), "%d decisions deleted.\n", len(gone.Deleted))
		return err
	}
	return c.print(gone, decisionTable(gone.Deleted), "")
}

func unbanCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "unban ADDRESS|NETWORK", Short: "Delete every decision against an address",
		Args: cobra.ExactArgs(1)}
	return online(o, cmd, func(c *call, args []string) error {
		var gone appliance.Deleted
		err := c.do(http.MethodPost, "/rampart/unban", nil, map[string]string{"value": args[0]}, &gone)
		if err != nil {
			return err
		}
		return c.printDeleted(gone)
	})
}
