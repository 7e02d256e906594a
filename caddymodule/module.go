package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// appName is the module id of the app and the name of its option and directive.
const appName = "rampart"

func init() {
	caddy.RegisterModule(new(App))
	caddy.RegisterModule(Handler{})
	caddy.RegisterModule(LAPIHandler{})
	caddy.RegisterModule(errorWatch{})
	caddy.RegisterModule(ListenerWrapper{})
	caddy.RegisterModule(adminAPI{})
	httpcaddyfile.RegisterGlobalOption(appName, parseGlobal)
	httpcaddyfile.RegisterHandlerDirective(appName, parseDirective)
	// Before redirects and rewrites, so that rules see the request as it came; after
	// header, so that refusals carry the site's own headers.
	httpcaddyfile.RegisterDirectiveOrder(appName, httpcaddyfile.Before, "redir")
	httpcaddyfile.RegisterHandlerDirective(lapiDirective, parseLAPI)
	// This one comes to stand right before redir, thus after the one above.
	httpcaddyfile.RegisterDirectiveOrder(lapiDirective, httpcaddyfile.Before, "redir")
	caddycmd.RegisterCommand(caddyCommand())
}

// Interface guards.
var (
	_ caddy.App                   = (*App)(nil)
	_ caddy.Provisioner           = (*App)(nil)
	_ caddy.CleanerUpper          = (*App)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
	_ caddy.Provisioner           = (*LAPIHandler)(nil)
	_ caddyhttp.MiddlewareHandler = (*LAPIHandler)(nil)
	_ caddyfile.Unmarshaler       = (*LAPIHandler)(nil)
	_ caddyhttp.MiddlewareHandler = (*errorWatch)(nil)
	_ caddy.Provisioner           = (*ListenerWrapper)(nil)
	_ caddy.ListenerWrapper       = (*ListenerWrapper)(nil)
	_ caddyfile.Unmarshaler       = (*ListenerWrapper)(nil)
	_ caddy.AdminRouter           = (*adminAPI)(nil)
)
