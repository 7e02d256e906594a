// Command rampart is Caddy with Rampart and Caddy's standard modules built in.
// Rampart's commands are at its root, beside Caddy's own.
package main

import (
	_ "time/tzdata" // profiles may name a time zone that the system does not have

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // Caddy's own modules
	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/caddymodule"
	"github.com/rampart-edge/rampart/command"
)

func main() {
	caddy.CustomBinaryName = "rampart"
	caddy.CustomLongDescription = `Rampart is a reverse proxy that detects attacks in live requests and in logs
with the same leaky buckets, answers them with 403, 429 or a CAPTCHA, and drops
repeat offenders in the kernel. It is Caddy with the app "rampart" built in.

	$ rampart validate --config Caddyfile
	$ rampart run --config Caddyfile
	$ rampart status`
	for _, c := range caddymodule.Commands("rampart") {
		register(c)
	}
	caddycmd.Main()
}

// register puts a command at the root, unless Caddy has one of that name: what an
// operator knows of Caddy stays as it is.
func register(c *cobra.Command) {
	if _, taken := caddycmd.Commands()[c.Name()]; taken {
		return
	}
	caddycmd.RegisterCommand(caddycmd.Command{Name: c.Name(), Short: c.Short,
		CobraFunc: func(at *cobra.Command) { command.Graft(at, c) }})
}
