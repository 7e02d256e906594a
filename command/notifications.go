package command

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
)

func notificationsCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "notifications", Aliases: []string{"notification"}, Short: "List and test those who are notified of alerts",
		Long: "Receivers are YAML files in the folder that the configuration names (notifications DIR), written as CrowdSec's.\n" +
			"A profile names those that it notifies."}
	cmd.AddCommand(notificationsList(o), notificationsInspect(o), notificationsTest(o))
	return cmd
}

func (c *call) receivers() (n appliance.Notifications, err error) {
	return n, c.do(http.MethodGet, "/rampart/notifications", nil, nil, &n)
}

func receiverTable(c *call, list []appliance.ReceiverStatus) table {
	t := table{head: []string{"name", "type", "profiles", "sent", "waiting", "failed", "dropped", "digested", "last sent", "last error"}}
	for _, r := range list {
		t.rows = append(t.rows, []string{r.Name, r.Type, strings.Join(r.Profiles, " "), strconv.FormatUint(r.Sent, 10), strconv.Itoa(r.Waiting),
			strconv.FormatUint(r.Failed, 10), strconv.FormatUint(r.Dropped, 10), strconv.FormatUint(r.Digested, 10), c.when(r.LastSent), r.LastError})
	}
	return t
}

func notificationsList(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the receivers, who has them notified, and how that goes", Args: cobra.NoArgs}
	return online(o, cmd, func(c *call, _ []string) error {
		n, err := c.receivers()
		if err != nil {
			return err
		}
		empty := "No receiver is configured; add `notifications DIR` with a folder of their YAML."
		if n.Dir != "" {
			empty = "There is no receiver in " + printable(n.Dir) + "."
		}
		if err := c.print(n, receiverTable(c, n.Receivers), empty); err != nil || c.format != human {
			return err
		}
		for _, f := range n.Faults {
			fmt.Fprintf(c.out(), "Left out: %s\n", printable(f))
		}
		if len(n.Unknown) > 0 {
			fmt.Fprintf(c.out(), "Profiles notify %s, and no receiver is named so.\n", printable(strings.Join(n.Unknown, ", ")))
		}
		return nil
	})
}

func notificationsInspect(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "inspect NAME", Short: "Show one receiver in full", Args: one("the NAME of a receiver")}
	return online(o, cmd, func(c *call, args []string) error {
		n, err := c.receivers()
		if err != nil {
			return err
		}
		for i := range n.Receivers {
			if n.Receivers[i].Name == args[0] {
				return c.writeReceiver(&n.Receivers[i])
			}
		}
		text := fmt.Sprintf("there is no receiver %q; %s notifications list shows those that there are", args[0], c.o.Prefix)
		for _, f := range n.Faults {
			text += "\nleft out: " + printable(f)
		}
		return errors.New(text)
	})
}

func (c *call) writeReceiver(r *appliance.ReceiverStatus) error {
	if c.format != human {
		return c.print(r, receiverTable(c, []appliance.ReceiverStatus{*r}), "")
	}
	line := c.lines()
	line("name", "%s", r.Name)
	line("type", "%s", r.Type)
	profiles := strings.Join(r.Profiles, ", ")
	if profiles == "" {
		profiles = "none: nobody has it notified"
	}
	line("profiles", "%s", profiles)
	line("messages", "%d sent, %d failed, %d empty, %d tried again", r.Sent, r.Failed, r.Empty, r.Retried)
	line("alerts", "%d waiting, %d dropped, %d beyond the rate, %d of them for the next digest", r.Waiting, r.Dropped, r.Digested, r.Untold)
	line("last sent", "%s", c.when(r.LastSent))
	if r.LastError != "" {
		line("last error", "%s: %s", c.when(r.LastErrorAt), r.LastError)
	}
	return nil
}

func notificationsTest(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "test NAME", Short: "Send a harmless sample through a receiver", Args: one("the NAME of a receiver"),
		Long: "Sends a made-up alert through the receiver's template, once and at once, past its queue and rate."}
	return online(o, cmd, func(c *call, args []string) error {
		var n appliance.Notified
		if err := c.do(http.MethodPost, "/rampart/notifications/"+url.PathEscape(args[0])+"/test", nil, nil, &n); err != nil {
			return c.seeList(err, "notifications")
		}
		if c.format != human {
			return c.print(n, table{head: []string{"name", "type", "took_ms"}, rows: [][]string{{n.Name, n.Type, strconv.FormatInt(n.Took, 10)}}}, "")
		}
		_, err := fmt.Fprintf(c.out(), "A sample was sent to %s (%s) in %d ms; look whether it arrived as you want it.\n", n.Name, n.Type, n.Took)
		return err
	})
}
