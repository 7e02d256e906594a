package command

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/localapi"
)

func bouncersCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "bouncers", Aliases: []string{"bouncer"}, Short: "List, add and delete bouncers of the Local API"}
	cmd.AddCommand(bouncersList(o), bouncersAdd(o), bouncersDelete(o), bouncersInspect(o), bouncersPrune(o))
	return cmd
}

func bouncerPath(name string) string { return "/rampart/bouncers/" + url.PathEscape(name) }

func bouncersList(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the bouncers", Args: cobra.NoArgs}
	return online(o, cmd, func(c *call, _ []string) error {
		var list []appliance.BouncerStatus
		if err := c.do(http.MethodGet, "/rampart/bouncers", nil, nil, &list); err != nil {
			return err
		}
		return c.print(list, c.bouncerTable(list), "There are no bouncers; add one with "+o.Prefix+" bouncers add NAME.")
	})
}

func (c *call) bouncerTable(list []appliance.BouncerStatus) table {
	t := table{head: []string{"name", "ip", "last pull", "type", "version", "auth", "note"}}
	for _, b := range list {
		note := ""
		if b.AutoCreated {
			note = "made by itself"
		}
		t.rows = append(t.rows, []string{b.Name, b.IP, c.seen(b.LastPull), b.Type, b.Version, b.Auth, note})
	}
	return t
}

func bouncersAdd(o Options) *cobra.Command {
	var q appliance.BouncerRequest
	cmd := &cobra.Command{Use: "add NAME", Short: "Let a bouncer call, and show its key", Args: one("the NAME of a bouncer"),
		Long:    "Makes the key of a bouncer. It is shown this once and kept nowhere.",
		Example: "  " + o.Prefix + " bouncers add nginx\n  " + o.Prefix + " bouncers add nginx -o raw"}
	cmd.Flags().StringVarP(&q.Key, "key", "k", "", "the key (default: a new one)")
	return online(o, cmd, func(c *call, args []string) error {
		q.Name = args[0]
		var a appliance.BouncerAnswer
		err := c.do(http.MethodPost, "/rampart/bouncers", nil, q, &a)
		if isStatus(err, http.StatusConflict) {
			return fmt.Errorf("%w\nGive another NAME, or delete that one first (%s bouncers delete %s)", err, o.Prefix, q.Name)
		}
		if err != nil {
			return err
		}
		switch c.format {
		case jsonF:
			return c.print(a, table{}, "")
		case raw:
			_, err := fmt.Fprintln(c.out(), printable(a.Key))
			return err
		}
		fmt.Fprintf(c.out(), "API key for '%s':\n\n   %s\n\nKeep it: it is kept nowhere, and cannot be shown again.\n", printable(a.Name), printable(a.Key))
		c.adviseURL(a.URL)
		return nil
	})
}

// adviseURL says where the API is.
func (c *call) adviseURL(at string) {
	if at == "" {
		fmt.Fprintln(c.out(), "The Local API has no address of its own on this node; add an api block to the configuration, or use that of a site with rampart_lapi.")
		return
	}
	fmt.Fprintf(c.out(), "The Local API of this node is at %s\n", printable(at))
}

func bouncersDelete(o Options) *cobra.Command {
	var absent bool
	cmd := &cobra.Command{Use: "delete NAME...", Aliases: []string{"remove"}, Short: "Delete bouncers; their keys open nothing from then on",
		Args: least(1, "the NAME of a bouncer")}
	cmd.Flags().BoolVar(&absent, "ignore-missing", false, "no error for one that is not there")
	return online(o, cmd, func(c *call, args []string) error {
		return eachNamed(c, args, absent, "bouncer", bouncerPath)
	})
}

// eachNamed deletes rows one after the other; one that fails does not keep the others.
func eachNamed(c *call, names []string, absent bool, what string, path func(string) string) error {
	gone := []map[string]any{}
	var bad []error
	t := table{head: []string{"deleted"}}
	for _, name := range names {
		var row map[string]any
		err := c.do(http.MethodDelete, path(name), nil, nil, &row)
		switch {
		case err != nil && absent && isStatus(err, http.StatusNotFound):
		case err != nil:
			bad = append(bad, err)
		default:
			gone = append(gone, row)
			t.rows = append(t.rows, []string{name})
			if c.format == human {
				fmt.Fprintf(c.out(), "The %s %s is deleted.\n", what, printable(name))
			}
		}
	}
	if c.format != human {
		if err := c.print(gone, t, ""); err != nil {
			return err
		}
	}
	return errors.Join(bad...)
}

func bouncersInspect(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "inspect NAME", Short: "Show a bouncer with what it reported", Args: one("the NAME of a bouncer")}
	return online(o, cmd, func(c *call, args []string) error {
		var d appliance.BouncerDetail
		if err := c.do(http.MethodGet, bouncerPath(args[0]), nil, nil, &d); err != nil {
			return err
		}
		if c.format != human {
			return c.print(d, c.bouncerTable([]appliance.BouncerStatus{d.Bouncer}), "")
		}
		b := d.Bouncer
		pairs := [][2]string{{"name", b.Name}, {"ip", b.IP}, {"type", b.Type}, {"version", b.Version}, {"auth", b.Auth},
			{"created", c.when(b.Created)}, {"last pull", c.seen(b.LastPull)}}
		for _, s := range d.Streams {
			pairs = append(pairs, [2]string{"stream " + s.Type, c.when(s.At)})
		}
		return c.writeCaller(pairs, d.Usage)
	})
}

// writeCaller shows a caller's row and its figures.
func (c *call) writeCaller(pairs [][2]string, u *appliance.UsageStatus) error {
	if u != nil {
		pairs = append(pairs, [2]string{"os", u.OS}, [2]string{"features", strings.Join(u.Features, " ")}, [2]string{"reported", c.when(u.At)})
	}
	for _, p := range pairs {
		if p[1] != "" {
			fmt.Fprintf(c.out(), "%-14s %s\n", p[0], printable(p[1]))
		}
	}
	if u == nil {
		_, err := fmt.Fprintln(c.out(), "\nIt has reported no figures.")
		return err
	}
	fmt.Fprintln(c.out())
	return usageTable(u.Totals).write(c.out())
}

// labelled are the labels of a figure, sorted.
func labelled(labels map[string]string) string {
	var list []string
	for k, v := range labels {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func usageTable(totals []localapi.Total) table {
	t := table{head: []string{"figure", "of", "value", "unit"}}
	for _, f := range totals {
		t.rows = append(t.rows, []string{f.Name, labelled(f.Labels), strconv.FormatFloat(f.Value, 'f', -1, 64), f.Unit})
	}
	slices.SortFunc(t.rows, func(x, y []string) int { return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1])) })
	return t
}

func bouncersPrune(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "prune", Short: "Delete the bouncers that have not called for a while", Args: cobra.NoArgs,
		Example: "  " + o.Prefix + " bouncers prune --duration 30d"}
	p := pruneFlags(cmd, "1h")
	return online(o, cmd, func(c *call, _ []string) error {
		return prune(c, p, "/rampart/bouncers", "bouncer", c.bouncerTable)
	})
}

// pruning is what a prune was asked for.
type pruning struct {
	duration    string
	unvalidated bool
	force       bool
}

func pruneFlags(cmd *cobra.Command, standard string) *pruning {
	p := &pruning{}
	cmd.Flags().StringVarP(&p.duration, "duration", "d", standard, "without a sign of life for so long, such as 10m or 30d")
	cmd.Flags().BoolVar(&p.force, "force", false, "do not ask")
	return p
}

// prune shows what would go, asks, and deletes it.
func prune[T any](c *call, p *pruning, path, what string, show func([]T) table) error {
	if _, err := appliance.ParseDuration(p.duration); err != nil {
		return err
	}
	q := url.Values{"unused": {p.duration}}
	if p.unvalidated {
		q.Set("unvalidated", "true")
	}
	var rows []T
	if err := c.do(http.MethodGet, path, q, nil, &rows); err != nil {
		return err
	}
	if len(rows) > 0 && !p.force {
		question := "Delete " + count(len(rows), what) + "?"
		if !c.asks() {
			return fmt.Errorf("%s There is nobody to ask; give --force", question)
		}
		if err := show(rows).write(c.cmd.ErrOrStderr()); err != nil {
			return err
		}
		if !c.confirm(question) {
			return errNotDone
		}
	}
	if len(rows) > 0 {
		if err := c.do(http.MethodDelete, path, q, nil, &rows); err != nil {
			return err
		}
	}
	if err := c.print(rows, show(rows), "No "+what+" has been silent for so long; nothing was deleted."); err != nil || c.format != human || len(rows) == 0 {
		return err
	}
	_, err := fmt.Fprintf(c.out(), "%s deleted.\n", count(len(rows), what))
	return err
}
