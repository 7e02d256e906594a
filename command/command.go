// Package command is the command line: a cobra tree that talks to a running node
// over the admin endpoint of its web server, or works offline (replay).
//
//	flags ─► request ─► running node ─► table | JSON | CSV
//
// It starts and stops nothing: `run` and `validate` are the web server's own. How
// the admin endpoint is found and spoken to is given to it, so it knows nothing
// of Caddy. Commands run one at a time.
package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 256 << 20

// Endpoint says where the running node is, as flags have it; empty means the
// usual place.
type Endpoint struct {
	Address string // of the admin endpoint, such as unix//run/rampart/admin.sock
	Config  string // a configuration file that names it
}

// Options connect the commands to the running node.
type Options struct {
	// Request sends one request to the admin endpoint. An error means that nothing
	// answered, and names where it looked.
	Request func(ctx context.Context, at Endpoint, method, path string, body io.Reader) (*http.Response, error)
	// Prefix is how the commands are called in advice: "rampart" or "caddy rampart".
	Prefix string
	// Now is the clock, time.Now by default. People read instants in its zone.
	Now func() time.Time
}

// Commands returns the tree, to be put below a root.
func Commands(o Options) []*cobra.Command {
	if o.Prefix == "" {
		o.Prefix = "rampart"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	all := []*cobra.Command{
		statusCommand(o), decisionsCommand(o), alertsCommand(o), whyCommand(o),
		unbanCommand(o), allowlistCommand(o), listsCommand(o), replayCommand(o), explainCommand(o), lintCommand(o),
		hubtestCommand(o), bouncersCommand(o), machinesCommand(o), lapiCommand(o), allowlistsCommand(o),
		capiCommand(o), notificationsCommand(o), simulationCommand(o), profilesCommand(o), metricsCommand(o), supportCommand(o),
	}
	for _, cmd := range all {
		if cmd.RunE == nil {
			cmd.RunE, cmd.SilenceUsage = subcommand, true
		}
	}
	return all
}

// call is one command's way to the node and to the terminal.
type call struct {
	o      Options
	cmd    *cobra.Command
	at     Endpoint
	format string
	// offline: what is shown comes from a log, with the log's own clock.
	offline bool
}

// online adds the flags of a command that talks to the running node.
func online(o Options, cmd *cobra.Command, run func(c *call, args []string) error) *cobra.Command {
	c := &call{o: o}
	cmd.Flags().StringVar(&c.at.Address, "address", "", "address of the running node's admin endpoint")
	cmd.Flags().StringVarP(&c.at.Config, "config", "c", "", "configuration file that names the admin endpoint")
	return c.runs(cmd, run)
}

// runs has cmd do what run says, in the format that was asked for.
func (c *call) runs(cmd *cobra.Command, run func(c *call, args []string) error) *cobra.Command {
	c.outputFlag(cmd)
	cmd.SilenceUsage = true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.cmd = cmd
		if err := c.checkFormat(); err != nil {
			return err
		}
		return run(c, args)
	}
	return cmd
}

// do sends a request and decodes the answer into out.
func (c *call) do(method, path string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	return c.send(method, path, query, body, out)
}

// send is do for a body that is no JSON.
func (c *call) send(method, path string, query url.Values, body io.Reader, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	resp, err := c.o.Request(c.cmd.Context(), c.at, method, path, body)
	if err != nil {
		return c.unreached(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the node's answer: %w", err)
	}
	if resp.StatusCode >= 300 {
		return answerError(resp.StatusCode, data)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("reading the node's answer: %w", err)
	}
	return nil
}

// unreached says what to do when nothing answers.
func (c *call) unreached(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("asking the running node: %w\nRun this as the user that the node runs as, or as root", err)
	}
	binary, _, _ := strings.Cut(c.o.Prefix, " ")
	return fmt.Errorf("asking the running node: %w\nIs it running (%s run)? Name its admin endpoint with "+
		"--address (such as unix//run/rampart/admin.sock) or --config Caddyfile", err, binary)
}

// nodeError is the node's own word, with its HTTP status.
type nodeError struct {
	status int
	text   string
}

func (e nodeError) Error() string { return e.text }

// isStatus reports whether the node answered err with a status.
func isStatus(err error, status int) bool {
	var e nodeError
	return errors.As(err, &e) && e.status == status
}

// seeList adds to an error about a name that nothing has where names are.
func (c *call) seeList(err error, command string) error {
	if isStatus(err, http.StatusNotFound) {
		return fmt.Errorf("%w; %s %s list shows those that there are", err, c.o.Prefix, command)
	}
	return err
}

// answerError is the node's own word on what went wrong.
func answerError(status int, data []byte) error {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(data, &e) == nil && e.Error != "" {
		return nodeError{status, e.Error}
	}
	if status == http.StatusNotFound {
		return errors.New("the running process has no rampart: it is a plain Caddy, or an older version")
	}
	return fmt.Errorf("the node answered %d %s", status, http.StatusText(status))
}
