package command

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/event"
)

// Of many alerts and refusals, why shows the newest.
const (
	shownAlerts   = 3
	shownRefusals = 5
)

func whyCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "why ADDRESS|INCIDENT", Short: "Explain why an address was refused",
		Long: "Explains what holds for an address, or what was behind an incident id that a visitor was shown:\n" +
			"the verdict, the decision, the alert, and the events that filled the bucket.",
		Args: one("an address, a network or an incident id")}
	return online(o, cmd, func(c *call, args []string) error {
		var w appliance.Why
		if err := c.do(http.MethodGet, "/rampart/why/"+subject(args[0]), nil, nil, &w); err != nil {
			return err
		}
		if c.format != human {
			return c.print(w, c.decisionTable(w.Decisions), "")
		}
		return c.writeWhy(&w)
	})
}

func (c *call) writeWhy(w *appliance.Why) error {
	out := c.out()
	fmt.Fprintln(out, printable(w.Summary))
	c.writeRefusals(w)
	if w.Firewall != nil {
		fmt.Fprintf(out, "\nThe firewall drops %s until %s (%s).\n", w.Firewall.Prefix, c.when(w.Firewall.Until), w.Firewall.Origin)
	}
	if len(w.Decisions) > 0 {
		fmt.Fprintln(out, "\nDecisions")
		if err := c.decisionTable(w.Decisions).write(out); err != nil {
			return err
		}
	}
	if len(w.Ended) > 0 {
		fmt.Fprintln(out, "\nDecisions that are over or were deleted")
		if err := c.endedTable(w.Ended).write(out); err != nil {
			return err
		}
	}
	if err := c.writeAlerts(w.Alerts); err != nil {
		return err
	}
	if len(w.Next) > 0 {
		fmt.Fprintln(out, "\nNext")
		for _, n := range w.Next {
			fmt.Fprintln(out, "  "+strings.Replace(n, "rampart", c.o.Prefix, 1))
		}
	}
	return nil
}

// writeAlerts tells the newest alerts and lists the others.
func (c *call) writeAlerts(list []event.Alert) error {
	for i := range list {
		if i == shownAlerts {
			fmt.Fprintln(c.out(), "\nEarlier alerts")
			return c.alertTable(list[i:]).write(c.out())
		}
		fmt.Fprintln(c.out())
		c.writeAlert(&list[i])
	}
	return nil
}

// writeRefusals shows the incident asked for, or the latest ones.
func (c *call) writeRefusals(w *appliance.Why) {
	out, list := c.out(), w.Refusals
	if w.Incident != "" {
		fmt.Fprintf(out, "\nIncident %s of %s\n", w.Incident, c.when(w.At))
	} else if len(list) > 0 {
		list = list[max(0, len(list)-shownRefusals):]
		fmt.Fprintln(out, "\nRefused lately")
	}
	for _, r := range list {
		incident := ""
		if r.Incident != w.Incident {
			incident = ", incident " + r.Incident
		}
		fmt.Fprintf(out, "  %s  %s  %s %s%s  (%s%s)\n", c.when(r.Time), r.Client, printable(r.Method),
			printable(r.Site), printable(r.Path), r.Action, incident)
	}
}
