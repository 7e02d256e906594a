package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/decisions"
)

func listsCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "lists", Aliases: []string{"list"}, Short: "Import, list, show, refresh and remove large lists of addresses",
		Long: "A list is a file of addresses and networks that the same is decided about, such as those that people publish. It\n" +
			"comes into force as a whole and is replaced as a whole; the allowlist outranks it."}
	cmd.AddCommand(listsImport(o), listsList(o), listsShow(o), listsRefresh(o), listsRemove(o))
	return cmd
}

// listPath is where the node has the list of a name.
func listPath(name string) string { return "/rampart/lists/" + url.PathEscape(name) }

// listWish is what an import asks for.
type listWish struct {
	kind, duration, scenario string
	quiet                    bool
}

func listsImport(o Options) *cobra.Command {
	var w listWish
	cmd := &cobra.Command{Use: "import NAME FILE|-", Short: "Bring a list into force, in place of the one of that name",
		Args: exactly(2, "the NAME of a list and its FILE, or - for the standard input"),
		Long: "Reads an address or a network from each line; what follows a # or ; is a comment. Lines that are neither are named\n" +
			"and left out. With - the list is the standard input.",
		Example: "  " + o.Prefix + " lists import drop drop.txt\n  curl -s https://example.com/list.txt | " + o.Prefix + " lists import example - --type captcha --duration 1d"}
	f := cmd.Flags()
	f.StringVarP(&w.kind, "type", "t", "", "ban, captcha or throttle (default: as before, else ban)")
	f.StringVarP(&w.duration, "duration", "d", "", "how long it is in force, such as 4h or 2d (default: as before, else 7d)")
	f.StringVar(&w.scenario, "scenario", "", "why, for those who come after you (default: as before, else the name)")
	f.BoolVarP(&w.quiet, "quiet", "q", false, "show no progress")
	return online(o, cmd, func(c *call, args []string) error { return c.importList(args[0], args[1], &w) })
}

func (c *call) importList(name, file string, w *listWish) error {
	if err := decisions.CheckListName(name); err != nil {
		return err
	}
	bar := c.newBar(w.quiet)
	defer bar.clear()
	text, err := c.listText(file, bar)
	if err != nil {
		return err
	}
	q := url.Values{}
	for key, value := range map[string]string{"type": w.kind, "duration": w.duration, "scenario": w.scenario} {
		if value != "" {
			q.Set(key, value)
		}
	}
	var a appliance.ListAnswer
	body := &watched{r: bytes.NewReader(text), bar: bar, total: int64(len(text)), what: "sent"}
	if err := c.send(http.MethodPut, listPath(name), q, body, &a); err != nil {
		return err
	}
	bar.clear()
	if c.format != human {
		return c.print(a, listTable(c, a.List), "")
	}
	return c.writeImport(&a)
}

// listText reads a list, or the standard input.
func (c *call) listText(file string, bar *bar) ([]byte, error) {
	in, err := c.open(file, bar)
	if err != nil {
		return nil, err
	}
	defer in.close()
	text, err := io.ReadAll(io.LimitReader(in, appliance.MaxListBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the list: %w", err)
	case len(text) > appliance.MaxListBody:
		return nil, fmt.Errorf("the list has more than %d MiB; split it into several", appliance.MaxListBody>>20)
	case len(bytes.TrimSpace(text)) == 0:
		return nil, errors.New("the list is empty; to end one, use lists remove")
	}
	return text, nil
}

func (c *call) writeImport(a *appliance.ListAnswer) error {
	out, l, r := c.out(), &a.List, &a.Report
	verb := "is in force"
	if a.Replaced {
		verb = "is in force in place of the one before"
	}
	fmt.Fprintf(out, "List %s %s until %s: %s of %s.\n", l.Name, verb, c.when(l.Until), l.Type, entries(l))
	if l.Suppressed > 0 {
		fmt.Fprintf(out, "%s no effect: the allowlist outranks it.\n", plural(l.Suppressed, "of them has", "of them have"))
	}
	var left []string
	for _, p := range []struct {
		n         int
		one, many string
	}{{r.Duplicates, "duplicate", "duplicates"}, {r.Covered, "inside a network of the list", "inside networks of the list"},
		{r.TooWide, "too wide a network", "too wide networks"}, {r.Bad, "neither an address nor a network", "neither addresses nor networks"}} {
		if p.n > 0 {
			left = append(left, plural(p.n, p.one, p.many))
		}
	}
	if len(left) > 0 {
		fmt.Fprintf(out, "Left out: %s.\n", strings.Join(left, ", "))
	}
	for _, p := range r.Problems {
		fmt.Fprintf(out, "  %s\n", printable(p))
	}
	if more := r.Bad + r.TooWide - len(r.Problems); more > 0 {
		fmt.Fprintf(out, "  and %d more\n", more)
	}
	return nil
}

// plural is "1 one" or "7 many".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// entries says what a list has.
func entries(l *appliance.ListStatus) string {
	var parts []string
	if l.Addresses4 > 0 {
		parts = append(parts, plural(l.Addresses4, "IPv4 address", "IPv4 addresses"))
	}
	if l.Ranges4 > 0 {
		parts = append(parts, plural(l.Ranges4, "IPv4 network", "IPv4 networks"))
	}
	if l.All6 > 0 {
		parts = append(parts, plural(l.All6, "IPv6 address or network", "IPv6 addresses and networks"))
	}
	if n := len(parts); n > 1 {
		return strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	return strings.Join(parts, "")
}

func listTable(c *call, lists ...appliance.ListStatus) table {
	t := table{head: []string{"name", "type", "entries", "suppressed", "scenario", "left", "until", "from", "url", "fetched", "problem"}}
	for _, l := range lists {
		suppressed := ""
		if l.Suppressed > 0 || c.format != human {
			suppressed = strconv.Itoa(l.Suppressed)
		}
		left, until, fetched := "none", c.when(l.Until), ""
		if !l.Until.IsZero() {
			left = c.left(l.Until)
		}
		if !l.Fetched.IsZero() {
			fetched = c.when(l.Fetched)
		}
		t.rows = append(t.rows, []string{l.Name, l.Type, strconv.Itoa(l.Entries), suppressed, l.Scenario, left, until, l.From, l.URL, fetched, l.Problem})
	}
	return t
}

func listsList(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the lists in force, where they come from, and what keeps them from being fresh", Args: cobra.NoArgs}
	return online(o, cmd, func(c *call, _ []string) error {
		var lists []appliance.ListStatus
		if err := c.do(http.MethodGet, "/rampart/lists", nil, nil, &lists); err != nil {
			return err
		}
		return c.print(lists, listTable(c, lists...), "No lists are in force.")
	})
}

func listsShow(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "show NAME", Short: "Show a list and its first entries", Args: one("the NAME of a list"),
		Long: "Shows a list and its first entries. Whether an address is on it says `why` or `decisions list --ip`."}
	limit := cmd.Flags().IntP("limit", "l", 20, "how many entries to show, at most 10000")
	return online(o, cmd, func(c *call, args []string) error {
		var d appliance.ListDetail
		if err := c.do(http.MethodGet, listPath(args[0]), url.Values{"limit": {strconv.Itoa(*limit)}}, nil, &d); err != nil {
			return err
		}
		t := table{head: []string{"value"}}
		for _, value := range d.First {
			t.rows = append(t.rows, []string{value})
		}
		if c.format != human {
			return c.print(d, t, "")
		}
		if err := listTable(c, d.List).write(c.out()); err != nil {
			return err
		}
		fmt.Fprintln(c.out())
		for _, value := range d.First {
			fmt.Fprintln(c.out(), "  "+printable(value))
		}
		if more := d.List.Entries - len(d.First); more > 0 {
			fmt.Fprintf(c.out(), "  and %d more\n", more)
		}
		return nil
	})
}

func listsRefresh(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "refresh NAME", Short: "Fetch a list of the configuration now", Args: one("the NAME of a list")}
	return online(o, cmd, func(c *call, args []string) error {
		var r appliance.Refreshed
		if err := c.do(http.MethodPost, listPath(args[0])+"/refresh", nil, nil, &r); err != nil {
			return err
		}
		if c.format != human {
			return c.print(r, table{head: []string{"name", "entries", "added", "removed"},
				rows: [][]string{{r.List.Name, strconv.Itoa(r.List.Entries), strconv.Itoa(r.Added), strconv.Itoa(r.Removed)}}}, "")
		}
		_, err := fmt.Fprintf(c.out(), "List %s was fetched: %s, %d new and %d gone; in force until %s.\n", r.List.Name, entries(&r.List),
			r.Added, r.Removed, c.when(r.List.Until))
		return err
	})
}

func listsRemove(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "remove NAME", Aliases: []string{"delete"}, Short: "End a list", Args: one("the NAME of a list")}
	return online(o, cmd, func(c *call, args []string) error {
		var l appliance.ListStatus
		if err := c.do(http.MethodDelete, listPath(args[0]), nil, nil, &l); err != nil {
			return err
		}
		if c.format != human {
			return c.print(l, listTable(c, l), "")
		}
		_, err := fmt.Fprintf(c.out(), "List %s is no longer in force (%s).\n", l.Name, entries(&l))
		return err
	})
}

// noteLists says that there are lists beside the decisions that are shown.
func (c *call) noteLists() error {
	var lists []appliance.ListStatus
	if err := c.do(http.MethodGet, "/rampart/lists", nil, nil, &lists); err != nil || len(lists) == 0 {
		return err
	}
	lists = slices.DeleteFunc(lists, func(l appliance.ListStatus) bool { return l.Until.IsZero() })
	if len(lists) == 0 {
		return nil
	}
	sum := 0
	for _, l := range lists {
		sum += l.Entries
	}
	_, err := fmt.Fprintf(c.out(), "\nBeside them %s in force (%s lists list): %s.\n", plural(len(lists), "list is", "lists are"), c.o.Prefix,
		plural(sum, "address or network", "addresses and networks"))
	return err
}
