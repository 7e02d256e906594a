package command

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/decisions"
)

func allowlistCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "allowlist",
		Short: "List, add and delete what can never be banned (allowlists: with names)"}
	cmd.AddCommand(allowlistList(o), allowlistAdd(o), allowlistDelete(o))
	return cmd
}

func allowlistList(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the allowlist", Args: cobra.NoArgs}
	return online(o, cmd, func(c *call, _ []string) error {
		var list []decisions.AllowEntry
		if err := c.do(http.MethodGet, "/rampart/allowlist", nil, nil, &list); err != nil {
			return err
		}
		return c.print(list, c.allowTable(list), "The allowlist is empty.")
	})
}

func (c *call) allowTable(list []decisions.AllowEntry) table {
	t := table{head: []string{"network", "kind", "until", "comment", "list"}}
	for _, e := range list {
		item := e.Item
		if e.Prefix.IsValid() {
			item = e.Prefix.String()
		}
		t.rows = append(t.rows, []string{item, e.Kind, c.when(e.Until), e.Comment, e.List})
	}
	return t
}

func allowlistAdd(o Options) *cobra.Command {
	var q appliance.AllowRequest
	cmd := &cobra.Command{Use: "add ADDRESS|NETWORK|NAME|URL", Short: "Allow an address, a network, a host name, or what a URL lists",
		Args:    one("an address, a network, a host name or a URL"),
		Example: "  " + o.Prefix + " allowlist add 192.0.2.0/24 --comment office\n  " + o.Prefix + " allowlist add 192.0.2.7 --duration 24h"}
	cmd.Flags().StringVarP(&q.Duration, "duration", "d", "", "how long, such as 90s, 4h or 2d (default: for ever)")
	cmd.Flags().StringVar(&q.Comment, "comment", "", "why, for those who come after you")
	return online(o, cmd, func(c *call, args []string) error {
		q.Value = args[0]
		var e decisions.AllowEntry
		if err := c.do(http.MethodPost, "/rampart/allowlist", nil, q, &e); err != nil {
			return err
		}
		return c.print(e, c.allowTable([]decisions.AllowEntry{e}), "")
	})
}

func allowlistDelete(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "delete ADDRESS|NETWORK", Short: "Delete an entry of the allowlist", Args: one("an address or a network")}
	return online(o, cmd, func(c *call, args []string) error {
		var gone map[string]string
		q := url.Values{"value": {args[0]}}
		if err := c.do(http.MethodDelete, "/rampart/allowlist", q, nil, &gone); err != nil {
			return err
		}
		if c.format != human {
			return c.print(gone, table{head: []string{"deleted"}, rows: [][]string{{gone["deleted"]}}}, "")
		}
		_, err := fmt.Fprintf(c.out(), "%s is no longer on the allowlist.\n", gone["deleted"])
		return err
	})
}
