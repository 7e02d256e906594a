// Package rampart is what xcaddy imports to build Rampart into Caddy:
//
//	xcaddy build --with github.com/rampart-edge/rampart
//
// It has no API: importing it registers the modules of package caddymodule.
package rampart

import _ "github.com/rampart-edge/rampart/caddymodule" // registers the modules
