// Command rampart is Caddy with Rampart and Caddy's standard modules built in.
package main

import (
	_ "time/tzdata" // profiles may name a time zone that the system does not have

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // Caddy's own modules

	_ "github.com/rampart-edge/rampart" // Rampart's modules
)

func main() {
	caddy.CustomBinaryName = "rampart"
	caddy.CustomLongDescription = `Rampart is a reverse proxy that detects attacks in live requests and in logs
with the same leaky buckets, answers with 403, 429 or a CAPTCHA, and drops
repeat offenders in the kernel. It is Caddy with the app "rampart" built in.

	$ rampart run --config Caddyfile`
	caddycmd.Main()
}
