package command

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/decisions"
)

func decisionsCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "decisions", Aliases: []string{"decision"},
		Short: "List, add, delete, import and export decisions"}
	cmd.AddCommand(decisionsList(o), decisionsAdd(o), decisionsDelete(o), decisionsImport(o), decisionsExport(o))
	return cmd
}

// textFlag is a flag whose text becomes a parameter of a request.
type textFlag struct{ name, short, help string }

// pickFlags adds flags that pick rows, and --contained, which says what of --range it
// makes. It returns the parameters of those that were given.
func pickFlags(cmd *cobra.Command, contained string, flags ...textFlag) func() url.Values {
	values := make([]*string, len(flags))
	for i, f := range flags {
		values[i] = cmd.Flags().StringP(f.name, f.short, "", f.help)
	}
	inside := cmd.Flags().Bool("contained", false, "with --range: "+contained)
	return func() url.Values {
		q := url.Values{}
		for i, f := range flags {
			if *values[i] != "" {
				q.Set(f.name, *values[i])
			}
		}
		if *inside {
			q.Set("contained", "true")
		}
		return q
	}
}

// ageFlags say when something was made.
func ageFlags() []textFlag {
	return []textFlag{{"since", "", "only those made in the last 90s, 4h, 2d…"}, {"until", "", "only those made so long ago, or longer"}}
}

// filterFlags are those that pick decisions.
func filterFlags(cmd *cobra.Command, more ...textFlag) func() url.Values {
	return pickFlags(cmd, "only decisions inside it", append(more, textFlag{"ip", "i", "only decisions covering this address"},
		textFlag{"range", "r", "only decisions covering all of this network"}, textFlag{"value", "v", "only decisions with exactly this value"},
		textFlag{"type", "t", "only decisions of this type (ban, captcha, throttle)"}, textFlag{"scope", "", "only decisions of this scope (Ip, Range, …)"},
		textFlag{"origin", "", "only decisions of this origin (lists: of all lists)"}, textFlag{"scenario", "s", "only decisions for this scenario"},
		textFlag{"id", "", "only the decision with this id"})...)
}

func decisionsList(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the decisions in force", Args: cobra.NoArgs,
		Example: "  " + o.Prefix + " decisions list\n  " + o.Prefix + " decisions list --ip 192.0.2.7 --all -o json"}
	query := filterFlags(cmd, ageFlags()...)
	all := cmd.Flags().BoolP("all", "a", false, "suppressed ones too")
	limit := cmd.Flags().IntP("limit", "l", shownDecisions, "at most so many, 0 for all (default for json and raw: all)")
	noSimulated := cmd.Flags().Bool("no-simu", false, "without simulated ones")
	return online(o, cmd, func(c *call, _ []string) error {
		q := query()
		plain := len(q) == 0 && !*all && !*noSimulated
		if *all {
			q.Set("all", "true")
		}
		if *noSimulated {
			q.Set("simulated", "false")
		}
		most := *limit
		if c.format != human && !cmd.Flags().Changed("limit") {
			most = 0
		}
		if most > 0 {
			q.Set("limit", strconv.Itoa(most+1)) // one more tells that there are more
		}
		var list []decisions.Decision
		if err := c.do(http.MethodGet, "/rampart/decisions", q, nil, &list); err != nil {
			return err
		}
		more := most > 0 && len(list) > most
		if more {
			list = list[:most]
		}
		if err := c.print(list, c.decisionTable(list), "No decisions are in force."); err != nil || c.format != human {
			return err
		}
		if more {
			fmt.Fprintf(c.out(), "\nThere are more than these %d; --limit 0 shows all, and decisions export writes them to a file.\n", most)
		}
		if !plain {
			return nil
		}
		return c.noteLists()
	})
}

// shownDecisions is how many decisions people are shown. CrowdSec compatible: cscli's
// limit.
const shownDecisions = 100

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
	var ip, network string
	var bypass bool
	cmd := &cobra.Command{Use: "add ADDRESS|NETWORK", Short: "Ban an address or a network by hand",
		Args:    most(1, "one value to decide about"),
		Example: "  " + o.Prefix + " decisions add 192.0.2.7 --duration 1d --reason \"abuse mail\"\n  " + o.Prefix + " decisions add --range 192.0.2.0/24 --type captcha"}
	f := cmd.Flags()
	f.StringVarP(&ip, "ip", "i", "", "address to decide about, instead of the argument")
	f.StringVarP(&network, "range", "r", "", "network to decide about, instead of the argument")
	f.StringVarP(&q.Value, "value", "v", "", "what to decide about, instead of the argument")
	f.StringVar(&q.Scope, "scope", "", "scope of the value (default: Ip or Range)")
	f.StringVarP(&q.Type, "type", "t", "ban", "ban, captcha or throttle")
	f.StringVarP(&q.Duration, "duration", "d", "4h", "how long it lasts, such as 90s, 4h or 2d")
	f.StringVarP(&q.Reason, "reason", "R", "", "why, for those who come after you")
	f.BoolVarP(&bypass, "bypass-allowlist", "B", false, "record it for what is allowed, too; it has no effect there")
	return online(o, cmd, func(c *call, args []string) error {
		given := append(args, nonEmpty(ip, network, q.Value)...)
		if len(given) > 1 {
			return fmt.Errorf("there is more than one value to decide about: %s; give one", strings.Join(given, ", "))
		}
		if len(given) == 0 {
			return errors.New("nothing named to decide about; give an address or a network")
		}
		q.Value, q.UnlessAllowed = given[0], !bypass
		var a appliance.DecisionAnswer
		err := c.do(http.MethodPost, "/rampart/decisions", nil, q, &a)
		if isStatus(err, http.StatusConflict) {
			if !c.asks() {
				return fmt.Errorf("%w\nWhat is not built in comes off with %s allowlists remove LIST ITEM; --bypass-allowlist records the decision all the same", err, o.Prefix)
			}
			fmt.Fprintln(c.cmd.ErrOrStderr(), err)
			if !c.confirm("Record it all the same?") {
				return errNotDone
			}
			q.UnlessAllowed = false
			err = c.do(http.MethodPost, "/rampart/decisions", nil, q, &a)
		}
		if err != nil {
			return err
		}
		if err := c.print(a, c.decisionTable(a.Decisions), "Nothing was decided."); err != nil || c.format != human {
			return err
		}
		for _, d := range a.Decisions {
			if d.Suppressed {
				fmt.Fprintf(c.out(), "It has no effect: %s is on the allowlist (%s allowlists check %s).\n", d.Value, o.Prefix, d.Value)
			}
		}
		return nil
	})
}

// nonEmpty are the texts that say something.
func nonEmpty(texts ...string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

func decisionsDelete(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "delete", Short: "Delete decisions", Args: cobra.NoArgs,
		Example: "  " + o.Prefix + " decisions delete --ip 192.0.2.7\n  " + o.Prefix + " decisions delete --origin rampart"}
	query := filterFlags(cmd)
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
	t := c.decisionTable(gone.Deleted)
	if c.format == human && len(t.rows) > shownDecisions {
		t.rows = t.rows[:shownDecisions]
	}
	if err := c.print(gone, t, none); err != nil || c.format != human {
		return err
	}
	if more := len(gone.Deleted) - len(t.rows); more > 0 {
		fmt.Fprintf(c.out(), "and %d more\n", more)
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
