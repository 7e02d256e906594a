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
		Example: "  " + o.Prefix + " decisions list\n  " + o.Prefix + " decisions list --ip 192.0.2.7 --all -o json"}
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
		if err := c.print(list, c.decisionTable(list), "No decisions are in force."); err != nil || c.format != human || len(q) > 0 {
			return err
		}
		return c.noteLists()
	})
}

func (c *call) decisionTable(list []decisions.Decision) table {
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
			d.Scenario, d.Origin, c.left(d.Until), c.when(d.Until), note})
	}
	return t
}

// endedTable shows decisions that are no more.
func (c *call) endedTable(list []decisions.Decision) table {
	t := table{head: []string{"id", "type", "value", "scenario", "made", "was until"}}
	for _, d := range list {
		t.rows = append(t.rows, []string{strconv.FormatInt(d.ID, 10), d.Type, d.Value, d.Scenario,
			c.when(d.Created), c.when(d.Until)})
	}
	return t
}

func decisionsAdd(o Options) *cobra.Command {
	var q appliance.DecisionRequest
	cmd := &cobra.Command{Use: "add ADDRESS|NETWORK", Short: "Ban an address or a network by hand",
		Args:    cobra.MaximumNArgs(1),
		Example: "  " + o.Prefix + " decisions add 192.0.2.7 --duration 1d --reason \"abuse mail\"\n  " + o.Prefix + " decisions add 192.0.2.0/24 --type captcha"}
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
		if err := c.print(a, c.decisionTable(a.Decisions), "Nothing was decided."); err != nil || c.format != human {
			return err
		}
		for _, d := range a.Decisions {
			if d.Suppressed {
				fmt.Fprintf(c.out(), "It has no effect: %s is on the allowlist (%s allowlist list).\n", d.Value, o.Prefix)
			}
		}
		return nil
	})
}

func decisionsDelete(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "delete", Short: "Delete decisions", Args: cobra.NoArgs,
		Example: "  " + o.Prefix + " decisions delete --ip 192.0.2.7\n  " + o.Prefix + " decisions delete --origin rampart"}
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
		return c.printDeleted(gone, "No decision in force is like that; nothing was deleted.")
	})
}

// printDeleted shows what is no longer in force; none is what people read when
// there was nothing.
func (c *call) printDeleted(gone appliance.Deleted, none string) error {
	if len(gone.Lists) > 0 {
		none = "Nothing was deleted."
	}
	if err := c.print(gone, c.decisionTable(gone.Deleted), none); err != nil || c.format != human {
		return err
	}
	if len(gone.Deleted) > 0 {
		fmt.Fprintf(c.out(), "%s deleted.\n", count(len(gone.Deleted), "decision"))
	}
	for _, name := range gone.Lists {
		fmt.Fprintf(c.out(), "The list %s still holds; none of its entries can be deleted alone. Allow the address (%s allowlist add) or end the list (%s lists remove %s).\n",
			name, c.o.Prefix, c.o.Prefix, name)
	}
	for _, d := range gone.Deleted {
		if d.Scope == decisions.ScopeRange {
			fmt.Fprintf(c.out(), "Note: the %s of %s held for all of that network, which passes again.\n", d.Type, d.Value)
		}
	}
	return nil
}

func unbanCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "unban ADDRESS|NETWORK", Short: "Delete every decision against an address",
		Long: "Deletes every decision against an address, those against networks around it included.",
		Args: one("an address or a network")}
	return online(o, cmd, func(c *call, args []string) error {
		var gone appliance.Deleted
		err := c.do(http.MethodPost, "/rampart/unban", nil, map[string]string{"value": args[0]}, &gone)
		if err != nil {
			return err
		}
		return c.printDeleted(gone, "No decision is in force against "+args[0]+"; nothing was deleted.")
	})
}
