package command

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
)

func machinesCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "machines", Aliases: []string{"machine"}, Short: "List, add, validate and delete agents of the Local API"}
	cmd.AddCommand(machinesList(o), machinesAdd(o), machinesValidate(o), machinesDelete(o), machinesInspect(o), machinesPrune(o))
	return cmd
}

func machinePath(name string) string { return "/rampart/machines/" + url.PathEscape(name) }

func machinesList(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the agents", Args: cobra.NoArgs}
	return online(o, cmd, func(c *call, _ []string) error {
		var list []appliance.MachineStatus
		if err := c.do(http.MethodGet, "/rampart/machines", nil, nil, &list); err != nil {
			return err
		}
		return c.print(list, c.machineTable(list), "There are no machines; add one with "+o.Prefix+" machines add NAME.")
	})
}

func (c *call) machineTable(list []appliance.MachineStatus) table {
	t := table{head: []string{"name", "ip", "last heartbeat", "last push", "status", "version", "auth"}}
	for _, m := range list {
		status := "validated"
		if !m.Validated {
			status = "not validated"
		}
		t.rows = append(t.rows, []string{m.Name, m.IP, c.seen(m.LastHeartbeat), c.seen(m.LastPush), status, m.Version, m.Auth})
	}
	return t
}

func machinesAdd(o Options) *cobra.Command {
	var q appliance.MachineRequest
	var file, at string
	var auto bool
	cmd := &cobra.Command{Use: "add [NAME]", Short: "Let an agent log in, and show its password", Args: most(1, "one NAME"),
		Long: "Makes a validated agent. Its password is shown this once, or written to a file that cscli and agents read\n" +
			"(local_api_credentials.yaml), and kept nowhere.",
		Example: "  " + o.Prefix + " machines add web1 -f local_api_credentials.yaml\n  " + o.Prefix + " machines add web1 --password …"}
	f := cmd.Flags()
	f.StringVarP(&q.Password, "password", "p", "", "the password (default: a new one)")
	f.BoolVarP(&auto, "auto", "a", false, "a new password, and without NAME a new name")
	f.StringVarP(&file, "file", "f", "", "file to write the credentials to")
	f.StringVarP(&at, "url", "u", "", "URL of the Local API in that file (default: that of this node)")
	f.BoolVar(&q.Force, "force", false, "in place of the agent, and the file, that are there")
	return online(o, cmd, func(c *call, args []string) error {
		if len(args) == 1 {
			q.Name = args[0]
		}
		switch {
		case q.Name == "" && !auto:
			return errors.New("an agent needs a NAME; or give --auto for a new one")
		case auto && q.Password != "":
			return errors.New("--auto makes a password; leave out --password")
		}
		return c.addMachine(&q, file, at)
	})
}

// addMachine opens the file before the agent is made: a password that cannot be
// written down is lost.
func (c *call) addMachine(q *appliance.MachineRequest, file, at string) error {
	var w *ownFile
	if file != "" {
		var err error
		if w, err = newCredentialsFile(file, q.Force); err != nil {
			return err
		}
		defer w.close()
	}
	var a appliance.MachineAnswer
	err := c.do(http.MethodPost, "/rampart/machines", nil, q, &a)
	if isStatus(err, http.StatusConflict) {
		return fmt.Errorf("%w\nGive another NAME; --force gives this one a new password", err)
	}
	if err != nil {
		return err
	}
	if at == "" {
		at = a.URL
	}
	if w != nil {
		if at == "" {
			at = "http://127.0.0.1:8080/"
		}
		text, err := (&credentials{URL: at, Login: a.Name, Password: a.Password}).text()
		if err == nil {
			err = w.write(text)
		}
		if err != nil {
			return fmt.Errorf("%w; the machine %s is there: add it again with --force", err, a.Name)
		}
	}
	if c.format != human {
		return c.print(a, table{head: []string{"name", "password", "url"}, rows: [][]string{{a.Name, a.Password, at}}}, "")
	}
	fmt.Fprintf(c.out(), "The machine %s may log in.\n", printable(a.Name))
	if w != nil {
		_, err := fmt.Fprintf(c.out(), "Its credentials are in %s, for the Local API at %s\n", printable(file), printable(at))
		if a.URL == "" {
			c.adviseURL("")
		}
		return err
	}
	fmt.Fprintf(c.out(), "Password:\n\n   %s\n\nKeep it: it is kept nowhere, and cannot be shown again.\n", printable(a.Password))
	c.adviseURL(a.URL)
	return nil
}

func machinesValidate(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "validate NAME", Short: "Let an agent log in that has registered itself", Args: one("the NAME of a machine")}
	return online(o, cmd, func(c *call, args []string) error {
		var m appliance.MachineStatus
		if err := c.do(http.MethodPost, machinePath(args[0])+"/validate", nil, nil, &m); err != nil {
			return c.seeList(err, "machines")
		}
		if c.format != human {
			return c.print(m, c.machineTable([]appliance.MachineStatus{m}), "")
		}
		_, err := fmt.Fprintf(c.out(), "The machine %s may log in.\n", printable(m.Name))
		return err
	})
}

func machinesDelete(o Options) *cobra.Command {
	var absent bool
	cmd := &cobra.Command{Use: "delete NAME...", Aliases: []string{"remove"}, Short: "Delete agents; they are logged out at once",
		Args: least(1, "the NAME of a machine")}
	cmd.Flags().BoolVar(&absent, "ignore-missing", false, "no error for one that is not there")
	return online(o, cmd, func(c *call, args []string) error {
		return eachNamed(c, args, absent, "machine", machinePath)
	})
}

func machinesInspect(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "inspect NAME", Short: "Show an agent with what it reported", Args: one("the NAME of a machine")}
	return online(o, cmd, func(c *call, args []string) error {
		var d appliance.MachineDetail
		if err := c.do(http.MethodGet, machinePath(args[0]), nil, nil, &d); err != nil {
			return err
		}
		if c.format != human {
			return c.print(d, c.machineTable([]appliance.MachineStatus{d.Machine}), "")
		}
		m := d.Machine
		status := "validated"
		if !m.Validated {
			status = "not validated; let it log in with " + o.Prefix + " machines validate " + m.Name
		}
		return c.writeCaller([][2]string{{"name", m.Name}, {"ip", m.IP}, {"status", status}, {"version", m.Version}, {"auth", m.Auth},
			{"created", c.when(m.Created)}, {"last heartbeat", c.seen(m.LastHeartbeat)}, {"last push", c.seen(m.LastPush)},
			{"scenarios", strings.Join(m.Scenarios, " ")}}, d.Usage)
	})
}

func machinesPrune(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "prune", Short: "Delete the agents that have not been heard of for a while", Args: cobra.NoArgs,
		Example: "  " + o.Prefix + " machines prune --duration 30d\n  " + o.Prefix + " machines prune --not-validated-only --force"}
	p := pruneFlags(cmd, "10m")
	cmd.Flags().BoolVar(&p.unvalidated, "not-validated-only", false, "only those that nobody has validated")
	return online(o, cmd, func(c *call, _ []string) error {
		return prune(c, p, "/rampart/machines", "machine", c.machineTable)
	})
}
