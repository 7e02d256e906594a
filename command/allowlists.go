package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
)

const (
	// allowBatch is how many items go to the node at a time.
	allowBatch = 500
	// maxAllowLine bounds a line of a file of items, in bytes.
	maxAllowLine = 4 << 10
	// maxAllowItems bounds such a file: a node keeps no more.
	maxAllowItems = 100_000
)

func allowlistsCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "allowlists", Short: "List, make and change named lists of what can never be banned",
		Long: "Allowlists are named lists of addresses, networks, host names and URLs of such lists. What any of them has cannot be\n" +
			"banned. The list default is always there (" + o.Prefix + " allowlist add puts entries on it)."}
	cmd.AddCommand(allowlistsList(o), allowlistsInspect(o), allowlistsCreate(o), allowlistsDelete(o), allowlistsAdd(o),
		allowlistsRemove(o), allowlistsImport(o), allowlistsCheck(o))
	return cmd
}

func allowlistPath(name string) string { return "/rampart/allowlists/" + url.PathEscape(name) }

func allowlistsList(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the allowlists", Args: cobra.NoArgs}
	return online(o, cmd, func(c *call, _ []string) error {
		var list []appliance.AllowListStatus
		if err := c.do(http.MethodGet, "/rampart/allowlists", nil, nil, &list); err != nil {
			return err
		}
		return c.print(list, c.allowlistTable(list), "There are no allowlists.")
	})
}

func (c *call) allowlistTable(list []appliance.AllowListStatus) table {
	t := table{head: []string{"name", "items", "description", "created", "updated", "managed"}}
	for _, l := range list {
		managed := ""
		if l.Managed {
			managed = "by the Central API"
		}
		t.rows = append(t.rows, []string{l.Name, strconv.Itoa(l.Items), l.Description, c.when(l.Created), c.when(l.Updated), managed})
	}
	return t
}

func allowlistsInspect(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "inspect NAME", Short: "Show an allowlist with its items", Args: one("the NAME of an allowlist")}
	return online(o, cmd, func(c *call, args []string) error {
		var d appliance.AllowListDetail
		if err := c.do(http.MethodGet, allowlistPath(args[0]), nil, nil, &d); err != nil {
			return err
		}
		t := table{head: []string{"value", "until", "comment", "created", "stands for", "note"}}
		for _, i := range d.Items {
			note, stands := "", ""
			if s := i.Source; s != nil {
				note, stands = s.Problem, strconv.Itoa(s.Prefixes)
				if c.format == human {
					stands = plural(s.Prefixes, "network", "networks")
				}
			}
			t.rows = append(t.rows, []string{i.Value, c.when(i.Until), i.Comment, c.when(i.Created), stands, note})
		}
		if c.format != human {
			return c.print(d, t, "")
		}
		if err := c.allowlistTable([]appliance.AllowListStatus{d.List}).write(c.out()); err != nil {
			return err
		}
		fmt.Fprintln(c.out())
		return c.print(d, t, "It is empty.")
	})
}

func allowlistsCreate(o Options) *cobra.Command {
	var q appliance.AllowListRequest
	cmd := &cobra.Command{Use: "create NAME", Short: "Make an allowlist", Args: one("the NAME of an allowlist"),
		Example: "  " + o.Prefix + " allowlists create office --description \"our own\""}
	cmd.Flags().StringVarP(&q.Description, "description", "d", "", "what it is for")
	return online(o, cmd, func(c *call, args []string) error {
		q.Name = args[0]
		var l appliance.AllowListStatus
		if err := c.do(http.MethodPost, "/rampart/allowlists", nil, q, &l); err != nil {
			return err
		}
		if c.format != human {
			return c.print(l, c.allowlistTable([]appliance.AllowListStatus{l}), "")
		}
		_, err := fmt.Fprintf(c.out(), "The allowlist %s is made; put something on it with %s allowlists add %s ITEM.\n", printable(l.Name), c.o.Prefix, printable(l.Name))
		return err
	})
}

func allowlistsDelete(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "delete NAME", Short: "Delete an allowlist with its items", Args: one("the NAME of an allowlist")}
	return online(o, cmd, func(c *call, args []string) error {
		var l appliance.AllowListStatus
		if err := c.do(http.MethodDelete, allowlistPath(args[0]), nil, nil, &l); err != nil {
			return err
		}
		if c.format != human {
			return c.print(l, c.allowlistTable([]appliance.AllowListStatus{l}), "")
		}
		_, err := fmt.Fprintf(c.out(), "The allowlist %s is deleted, and %s with it.\n", printable(l.Name), count(l.Items, "item"))
		return err
	})
}

// itemFlags are those of items to add.
func itemFlags(cmd *cobra.Command, q *appliance.AllowItemsRequest) {
	cmd.Flags().StringVarP(&q.Duration, "expiration", "e", "", "how long, such as 24h or 7d (default: for ever)")
	cmd.Flags().StringVarP(&q.Comment, "comment", "d", "", "why, for those who come after you")
}

func allowlistsAdd(o Options) *cobra.Command {
	var q appliance.AllowItemsRequest
	cmd := &cobra.Command{Use: "add NAME ITEM...", Short: "Put addresses, networks, host names or URLs on an allowlist",
		Args: least(2, "the NAME of an allowlist and an ITEM"),
		Long: "Puts items on an allowlist, or renews them. A host name and the URL of a list of addresses are looked up from time to\n" +
			"time; every node does so for itself.",
		Example: "  " + o.Prefix + " allowlists add office 192.0.2.0/24 vpn.example.org -d office -e 7d"}
	itemFlags(cmd, &q)
	return online(o, cmd, func(c *call, args []string) error {
		q.Items = args[1:]
		a, err := c.allowItems(args[0], &q, nil)
		if err != nil {
			return err
		}
		return c.writeItems(a, "on", nil)
	})
}

// allowItems adds items, some at a time.
func (c *call) allowItems(name string, q *appliance.AllowItemsRequest, bar *bar) (*appliance.AllowItemsAnswer, error) {
	all := &appliance.AllowItemsAnswer{List: name, Done: []string{}, Refused: []appliance.RefusedItem{}}
	for from := 0; from < len(q.Items); from += allowBatch {
		part := *q
		part.Items = q.Items[from:min(from+allowBatch, len(q.Items))]
		var a appliance.AllowItemsAnswer
		if err := c.do(http.MethodPost, allowlistPath(name)+"/items", nil, part, &a); err != nil {
			if from > 0 {
				err = fmt.Errorf("%w\nThe first %d items were done", err, from)
			}
			return all, err
		}
		all.Done = append(all.Done, a.Done...)
		for _, r := range a.Refused {
			r.At += from
			all.Refused = append(all.Refused, r)
		}
		all.Suppressed, all.Holding, all.LookedUp = all.Suppressed+a.Suppressed, all.Holding+a.Holding, all.LookedUp+a.LookedUp
		bar.draw(int64(from+len(part.Items)), int64(len(q.Items)), fmt.Sprintf("%d items", from+len(part.Items)))
	}
	return all, nil
}

// writeItems tells what became of items; lines are where they were in a file.
func (c *call) writeItems(a *appliance.AllowItemsAnswer, where string, lines []int) error {
	if c.format != human {
		t := table{head: []string{"value", "result"}}
		for _, v := range a.Done {
			t.rows = append(t.rows, []string{v, "done"})
		}
		for _, r := range a.Refused {
			t.rows = append(t.rows, []string{r.Value, r.Why})
		}
		if err := c.print(a, t, ""); err != nil {
			return err
		}
	} else {
		c.tellItems(a, where)
	}
	return refusals(a.Refused, lines)
}

// tellItems is writeItems for people.
func (c *call) tellItems(a *appliance.AllowItemsAnswer, where string) {
	w := c.out()
	switch list := printable(a.List); {
	case len(a.Done) == 1:
		fmt.Fprintf(w, "%s is %s the allowlist %s.\n", printable(a.Done[0]), where, list)
	case len(a.Done) > 1:
		fmt.Fprintf(w, "%d items are %s the allowlist %s.\n", len(a.Done), where, list)
	}
	if a.Suppressed > 0 {
		fmt.Fprintln(w, plural(a.Suppressed, "decision is", "decisions are")+" not enforced any more.")
	}
	if a.Holding > 0 {
		fmt.Fprintln(w, plural(a.Holding, "decision against a larger network holds", "decisions against larger networks hold")+" for the rest of it.")
	}
	if a.Restored > 0 {
		fmt.Fprintln(w, plural(a.Restored, "decision is", "decisions are")+" enforced again.")
	}
	if a.LookedUp > 0 {
		fmt.Fprintf(w, "%s looked up now; see %s allowlists inspect %s.\n", plural(a.LookedUp, "item is", "items are"), c.o.Prefix, printable(a.List))
	}
}

// refusals are an error that names what was not done, nil if all was. lines are the
// lines of the items, nil where they are not of a file.
func refusals(refused []appliance.RefusedItem, lines []int) error {
	var b strings.Builder
	for i, r := range refused {
		if i == maxComplaints {
			fmt.Fprintf(&b, "\n  and %d more", len(refused)-maxComplaints)
			break
		}
		if lines != nil {
			fmt.Fprintf(&b, "\n  line %d: %s", lines[r.At], printable(r.Why))
		} else {
			fmt.Fprintf(&b, "\n  %s", printable(r.Why))
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return fmt.Errorf("%s left out:%s", plural(len(refused), "item was", "items were"), b.String())
}

func allowlistsRemove(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "remove NAME ITEM...", Short: "Take items off an allowlist", Args: least(2, "the NAME of an allowlist and an ITEM")}
	return online(o, cmd, func(c *call, args []string) error {
		var a appliance.AllowItemsAnswer
		if err := c.do(http.MethodDelete, allowlistPath(args[0])+"/items", url.Values{"value": args[1:]}, nil, &a); err != nil {
			return err
		}
		return c.writeItems(&a, "no longer on", nil)
	})
}

func allowlistsImport(o Options) *cobra.Command {
	var q appliance.AllowItemsRequest
	var quiet bool
	cmd := &cobra.Command{Use: "import NAME FILE|-", Short: "Put the lines of a file on an allowlist",
		Args: exactly(2, "the NAME of an allowlist and a FILE, or - for the standard input"),
		Long: "Reads an item from each line; what follows a # or ; is a comment. Lines that are none are named and left out.\n" +
			"To have a list from a URL kept up to date, add the URL itself."}
	itemFlags(cmd, &q)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	return online(o, cmd, func(c *call, args []string) error {
		bar := c.newBar(quiet)
		defer bar.clear()
		in, err := c.open(args[1], bar)
		if err != nil {
			return err
		}
		defer in.close()
		var lines []int
		if q.Items, lines, err = readItems(in); err != nil {
			return err
		}
		a, err := c.allowItems(args[0], &q, bar)
		bar.clear()
		if err != nil {
			return err
		}
		return c.writeItems(a, "on", lines)
	})
}

// readItems reads items and the lines that they are in.
func readItems(in io.Reader) (items []string, lines []int, err error) {
	s := bufio.NewScanner(in)
	s.Buffer(nil, maxAllowLine)
	n := 1
	for ; s.Scan(); n++ {
		if len(items) == maxAllowItems {
			return nil, nil, fmt.Errorf("there are more than %d items; a node keeps no more, so allow networks instead", maxAllowItems)
		}
		line := s.Text()
		if i := strings.IndexAny(line, ";"); i >= 0 {
			line = line[:i]
		}
		if i := strings.Index(line, "#"); i == 0 || i > 0 && (line[i-1] == ' ' || line[i-1] == '\t') { // one within a URL is its own
			line = line[:i]
		}
		if line = strings.TrimSpace(line); line != "" {
			items, lines = append(items, line), append(lines, n)
		}
	}
	switch {
	case s.Err() != nil:
		return nil, nil, fmt.Errorf("reading items: line %d: %w", n, s.Err())
	case len(items) == 0:
		return nil, nil, errors.New("there is no item in the file")
	}
	return items, lines, nil
}

func allowlistsCheck(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "check ADDRESS|NETWORK...", Short: "Tell whether addresses are allowed, and by what", Args: least(1, "an address or a network")}
	return online(o, cmd, func(c *call, args []string) error {
		answers := []appliance.Allowed{}
		t := table{head: []string{"value", "allowed", "by", "list", "comment"}}
		for _, arg := range args {
			var a appliance.Allowed
			if err := c.do(http.MethodGet, "/rampart/allowed/"+subject(arg), nil, nil, &a); err != nil {
				return err
			}
			answers = append(answers, a)
			state := "no"
			switch {
			case a.Allowed:
				state = "yes"
			case len(a.Reasons) > 0:
				state = "in part"
			default:
				t.rows = append(t.rows, []string{a.Value, state, "", "", ""})
			}
			for _, r := range a.Reasons {
				t.rows = append(t.rows, []string{a.Value, state, r.Item, r.List, r.Comment})
			}
		}
		return c.print(answers, t, "")
	})
}
