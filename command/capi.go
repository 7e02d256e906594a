package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
)

func capiCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "capi", Short: "Register at the Central API, see what is sent to it, fetch its lists",
		Long: "The Central API is CrowdSec's, or a server of your own that speaks the same. What of it is used says the community\n" +
			"block of the configuration; without one nothing is sent and nothing is fetched."}
	cmd.AddCommand(capiStatus(o), capiPreview(o), capiRegister(o), capiEnroll(o), capiPull(o))
	return cmd
}

func capiStatus(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "Show whether the Central API can be used, and what it is used for", Args: cobra.NoArgs}
	return online(o, cmd, func(c *call, _ []string) error {
		var s appliance.CentralStatus
		if err := c.do(http.MethodGet, "/rampart/capi", nil, nil, &s); err != nil {
			return err
		}
		if c.format != human {
			return c.print(s, c.capiTable(&s), "")
		}
		c.writeCapi(&s)
		return nil
	})
}

func (c *call) capiTable(s *appliance.CentralStatus) table {
	t := table{head: []string{"key", "value"}}
	add := func(key string, v any) { t.rows = append(t.rows, []string{key, fmt.Sprint(v)}) }
	st := &s.Status
	add("configured", s.Configured)
	add("registered", s.Registered)
	add("works", s.Works)
	add("problem", s.Problem)
	add("url", st.URL)
	add("login", st.Login)
	add("credentials", s.Credentials)
	add("organisation", st.Organisation)
	add("pull", st.Pull)
	add("sharing", st.Sharing)
	add("metrics", st.Metrics)
	add("last_pull", c.when(st.LastPull))
	add("next_pull", c.when(st.NextPull))
	add("last_push", c.when(st.LastPush))
	add("community", st.Community)
	add("lists", len(st.Lists))
	add("queue", st.Queue)
	add("sent", st.Sent)
	add("dropped", st.Dropped)
	add("refused", st.Refused)
	return t
}

func (c *call) writeCapi(s *appliance.CentralStatus) {
	line := c.lines()
	st := &s.Status
	switch {
	case !s.Configured:
		line("state", "off: the configuration has no community block")
		return
	case !s.Registered:
		line("state", "not registered: there is no login in %s; %s capi register gets one", s.Credentials, c.o.Prefix)
		return
	case s.Works:
		line("state", "works: %s as %s", st.URL, st.Login)
	default:
		line("state", "does not work: %s", s.Problem)
	}
	line("login", "in %s", s.Credentials)
	switch {
	case st.Organisation == "":
		line("console", "not enrolled (%s capi enroll KEY)", c.o.Prefix)
	case st.Subscription == "":
		line("console", "enrolled in %s", st.Organisation)
	default:
		line("console", "enrolled in %s (%s)", st.Organisation, st.Subscription)
	}
	switch {
	case !st.Sharing:
		line("signals", "not shared (share in the community block; %s capi preview shows what that would send)", c.o.Prefix)
	default:
		line("signals", "%d sent, %d waiting, %d dropped, %d refused; last pushed %s", st.Sent, st.Queue, st.Dropped, st.Refused, c.when(st.LastPush))
	}
	switch {
	case !st.Pull:
		line("lists", "not fetched")
	case !st.Leads:
		line("lists", "fetched by another node of the fleet")
	default:
		line("lists", "fetched %s, next %s", c.when(st.LastPull), c.when(st.NextPull))
	}
	if st.Pull {
		line("", "community list: %d entries", st.Community)
	}
	for _, l := range st.Lists {
		text := fmt.Sprintf("%s: %d entries until %s", l.Name, l.Entries, c.when(l.Until))
		if l.Problem != "" {
			text += ": " + l.Problem
		}
		line("", "%s", text)
	}
	for _, l := range st.Allowlists {
		text := fmt.Sprintf("allowlist %s: %d entries", l.Name, l.Entries)
		if l.Problem != "" {
			text += ": " + l.Problem
		}
		line("", "%s", text)
	}
	if st.LastError != "" {
		line("last error", "%s: %s", c.when(st.ErrorAt), st.LastError)
	}
}

func capiPreview(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "preview", Short: "Show exactly what is, or would be, sent of alerts", Args: cobra.NoArgs,
		Long: "Shows signals as JSON, with all that is sent of them. Those that wait come first, then those of the newest alerts. With\n" +
			"sharing off nothing is sent; the preview then shows what turning it on would mean."}
	limit := cmd.Flags().IntP("number", "n", 20, "how many signals to show, at most 1000")
	return online(o, cmd, func(c *call, _ []string) error {
		var p appliance.SignalPreview
		if err := c.do(http.MethodGet, "/rampart/capi/signals", url.Values{"limit": {strconv.Itoa(*limit)}}, nil, &p); err != nil {
			return err
		}
		if c.format == human {
			return c.writePreview(&p)
		}
		t := table{head: []string{"scenario", "source", "message", "trust", "decisions", "start", "uuid"}}
		for _, s := range p.Signals {
			t.rows = append(t.rows, []string{s.Scenario, s.Source.Value, s.Message, s.Trust, strconv.Itoa(len(s.Decisions)), c.stamp(s.StartAt), s.UUID})
		}
		return c.print(p, t, "")
	})
}

func (c *call) writePreview(p *appliance.SignalPreview) error {
	out := c.out()
	switch n := len(p.Signals); {
	case !p.Sharing && n == 0:
		fmt.Fprintln(out, "Sharing is off: nothing is sent. There is no alert either that would be.")
	case !p.Sharing:
		fmt.Fprintf(out, "Sharing is off: nothing is sent. With sharing on, %s would look so:\n\n", plural(n, "signal", "signals"))
	case n == 0:
		fmt.Fprintln(out, "Nothing waits, and there is no alert that would be sent.")
	default:
		fmt.Fprintf(out, "%s to send; of the newest alerts %s:\n\n", plural(p.Waiting, "signal waits", "signals wait"), plural(n-p.Waiting, "signal", "signals"))
	}
	for i := range p.Signals {
		text, err := json.MarshalIndent(&p.Signals[i], "", "  ")
		if err != nil {
			return fmt.Errorf("encoding a signal: %w", err)
		}
		fmt.Fprintln(out, printableLines(string(text)))
	}
	return nil
}

func capiRegister(o Options) *cobra.Command {
	var server, file string
	cmd := &cobra.Command{Use: "register", Short: "Get a login at the Central API and keep it in a file", Args: cobra.NoArgs,
		Long: "Without -f the running node registers and uses the login at once; it goes to the file that the configuration\n" +
			"names. With -f the login is written to that file, with nobody's help; CrowdSec's online_api_credentials.yaml is\n" +
			"such a file, too. A file that is there already is never overwritten.",
		Example: "  " + o.Prefix + " capi register\n  " + o.Prefix + " capi register -u https://capi.example.com/ -f /etc/rampart/central_api.yaml"}
	cmd.Flags().StringVarP(&server, "url", "u", "", "the server (default: as configured, else CrowdSec's)")
	cmd.Flags().StringVarP(&file, "file", "f", "", "file to write the login to, without a running node")
	return online(o, cmd, func(c *call, _ []string) error {
		var r appliance.Registration
		var err error
		if file != "" {
			r, err = appliance.RegisterCentral(c.cmd.Context(), server, file)
		} else {
			err = c.do(http.MethodPost, "/rampart/capi/register", nil, map[string]string{"url": server}, &r)
		}
		if err != nil {
			return err
		}
		if c.format != human {
			return c.print(r, table{head: []string{"url", "login", "credentials"}, rows: [][]string{{r.URL, r.Login, r.Credentials}}}, "")
		}
		fmt.Fprintf(c.out(), "Registered at %s as %s; the login is in %s.\n", printable(r.URL), printable(r.Login), printable(r.Credentials))
		if file != "" {
			fmt.Fprintln(c.out(), "Name the file as credentials in the community block of the configuration, and reload it.")
		}
		return nil
	})
}

func capiEnroll(o Options) *cobra.Command {
	var e appliance.Enrolment
	cmd := &cobra.Command{Use: "enroll KEY", Short: "Ask for the node to be shown in the console of an account", Args: one("the KEY that the console shows"),
		Long: "Somebody has to accept the node in the console afterwards. What is shared does not change by it."}
	f := cmd.Flags()
	f.StringVarP(&e.Name, "name", "n", "", "name of the node there (default: its own)")
	f.StringArrayVarP(&e.Tags, "tag", "t", nil, "tag of the node there; may be given again")
	f.BoolVar(&e.Overwrite, "overwrite", false, "enroll again what is enrolled already")
	return online(o, cmd, func(c *call, args []string) error {
		e.Key = args[0]
		var r appliance.Enrolled
		if err := c.do(http.MethodPost, "/rampart/capi/enroll", nil, &e, &r); err != nil {
			return err
		}
		if c.format != human {
			return c.print(r, table{head: []string{"url", "login", "name"}, rows: [][]string{{r.URL, r.Login, r.Name}}}, "")
		}
		_, err := fmt.Fprintf(c.out(), "Asked %s to show this node as %s; accept it in the console of the account.\n", printable(r.URL), printable(r.Name))
		return err
	})
}

func capiPull(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "pull", Short: "Fetch the lists of the Central API now, and show what that changed", Args: cobra.NoArgs}
	return online(o, cmd, func(c *call, _ []string) error {
		var p appliance.Pulled
		if err := c.do(http.MethodPost, "/rampart/capi/pull", nil, nil, &p); err != nil {
			return err
		}
		t := table{head: []string{"list", "entries", "added", "removed", "ended"}}
		for _, l := range p.Lists {
			ended := ""
			if l.Ended || c.format != human {
				ended = strconv.FormatBool(l.Ended)
			}
			t.rows = append(t.rows, []string{l.Name, strconv.Itoa(l.Entries), strconv.Itoa(l.Added), strconv.Itoa(l.Removed), ended})
		}
		if err := c.print(p, t, "Nothing has changed."); err != nil {
			return err
		}
		if p.Problem != "" {
			return errors.New("not everything could be fetched: " + p.Problem)
		}
		return nil
	})
}
