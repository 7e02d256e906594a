package command

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
)

func whyCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "why ADDRESS|INCIDENT", Short: "Explain why an address was refused",
		Long: "Explains what holds for an address, or what was behind an incident id that a visitor was shown:\n" +
			"the verdict, the decision, the alert, and the events that filled the bucket.",
		Args: cobra.ExactArgs(1)}
	return online(o, cmd, func(c *call, args []string) error {
		var w appliance.Why
		// A network has a slash, which the path may keep.
		path := "/rampart/why/" + strings.ReplaceAll(url.PathEscape(args[0]), "%2F", "/")
		if err := c.do(http.MethodGet, path, nil, nil, &w); err != nil {
			return err
		}
		if c.format != human {
			return c.print(w, decisionTable(w.Decisions), "")
		}
		return writeWhy(c.out(), &w, o.Prefix)
	})
}

func writeWhy(out io.Writer, w *appliance.Why, prefix string) error {
	fmt.Fprintln(out, printable(w.Summary))
	if w.Incident != "" {
		fmt.Fprintf(out, "\nIncident %s of %s\n", w.Incident, when(w.At))
	}
	for _, r := range w.Refusals {
		fmt.Fprintf(out, "  refused %s  %s  %s %s%s  (%s, incident %s)\n", when(r.Time), r.Client, printable(r.Method),
			printable(r.Site), printable(r.Path), r.Action, r.Incident)
	}
	if w.Firewall != nil {
		fmt.Fprintf(out, "\nThe firewall drops %s until %s (%s).\n", w.Firewall.Prefix, when(w.Firewall.Until), w.Firewall.Origin)
	}
	if len(w.Decisions) > 0 {
		fmt.Fprintln(out, "\nDecisions")
		if err := decisionTable(w.Decisions).write(out); err != nil {
			return err
		}
	}
	if len(w.Ended) > 0 {
		fmt.Fprintln(out, "\nDecisions that are over or were deleted")
		if err := endedTable(w.Ended).write(out); err != nil {
			return err
		}
	}
	for i := range w.Alerts {
		fmt.Fprintln(out)
		writeAlert(out, &w.Alerts[i])
	}
	if len(w.Next) > 0 {
		fmt.Fprintln(out, "\nNext")
		for _, n := range w.Next {
			fmt.Fprintln(out, "  "+strings.Replace(n, "rampart", prefix, 1))
		}
	}
	return nil
}
