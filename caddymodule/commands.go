package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/command"
)

// Commands is Rampart's command tree, connected to Caddy's admin endpoint. Prefix
// is how they are called in advice: "rampart" or "caddy rampart".
func Commands(prefix string) []*cobra.Command {
	return command.Commands(command.Options{Request: request, Prefix: prefix})
}

// caddyCommand is the tree under one name, for any build of Caddy with Rampart.
func caddyCommand() caddycmd.Command {
	return caddycmd.Command{
		Name:  appName,
		Short: "Asks and steers the Rampart node that runs in Caddy",
		Long: `Shows what Rampart decided and why, adds and lifts decisions, runs scenarios
over old logs, explains lines, and checks and tests items. All but replay,
explain, lint and hubtest talk to a running Caddy over its admin endpoint.`,
		CobraFunc: func(cmd *cobra.Command) {
			bin := caddy.CustomBinaryName
			if bin == "" {
				bin = "caddy"
			}
			cmd.AddCommand(Commands(bin + " " + appName)...)
		},
	}
}

// request sends a request to the admin endpoint of a running Caddy. Unlike
// Caddy's own client it returns the answers that are errors, too.
func request(ctx context.Context, at command.Endpoint, method, path string, body io.Reader) (*http.Response, error) {
	text, err := adminAddress(at)
	if err != nil {
		return nil, err
	}
	addr, err := caddy.ParseNetworkAddress(text)
	if err != nil || addr.PortRangeSize() > 1 || addr.IsFdNetwork() {
		return nil, fmt.Errorf("admin endpoint %s is no address to connect to; use HOST:PORT or unix//PATH", text)
	}
	network, dial, origin := addr.Network, addr.JoinHostPort(0), "http://"+addr.JoinHostPort(0)
	if addr.IsUnixNetwork() {
		dial, _, _ = strings.Cut(addr.Host, "|") // permissions of the socket
		origin = "http://127.0.0.1"              // Caddy takes any request on a socket for this host
	}
	r, err := http.NewRequestWithContext(ctx, method, origin+path, body)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	if !addr.IsUnixNetwork() {
		r.Header.Set("Origin", origin)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, dial)
		}}}
	resp, err := c.Do(r)
	if err != nil {
		return nil, fmt.Errorf("no answer from the admin endpoint %s: %w", text, errors.Unwrap(err))
	}
	return resp, nil
}

// errAdminOff: the configuration closes the only way in.
var errAdminOff = errors.New("the configuration has admin off, so nothing can be asked; give it a socket such as unix//run/rampart/admin.sock")

// adminAddress is where the admin endpoint is: as given, or as the configuration
// file says, or as the Caddyfile in the working directory says, or Caddy's default.
func adminAddress(at command.Endpoint) (string, error) {
	if at.Address != "" {
		return at.Address, nil
	}
	file := at.Config
	if file == "" {
		if _, err := os.Stat("Caddyfile"); err != nil {
			return caddy.DefaultAdminListen, nil
		}
		file = "Caddyfile"
	}
	config, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading configuration: %w", err)
	}
	if filepath.Ext(file) != ".json" {
		adapter := caddyconfig.GetAdapter("caddyfile")
		if adapter == nil {
			return "", errors.New("this build of Caddy reads no Caddyfiles; give --address")
		}
		if config, _, err = adapter.Adapt(config, map[string]any{"filename": file}); err != nil {
			return "", fmt.Errorf("adapting %s: %w", file, err)
		}
	}
	var c struct {
		Admin caddy.AdminConfig `json:"admin"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return "", fmt.Errorf("reading %s: %w", file, err)
	}
	switch {
	case c.Admin.Disabled:
		return "", fmt.Errorf("%s: %w", file, errAdminOff)
	case c.Admin.Listen != "":
		return c.Admin.Listen, nil
	}
	return caddy.DefaultAdminListen, nil
}
