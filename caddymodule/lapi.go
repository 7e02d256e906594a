package caddymodule

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// lapiDirective is the name of the directive that serves the Local API.
const lapiDirective = "rampart_lapi"

// LAPIHandler serves the Local API of the node, which CrowdSec's bouncers, agents and
// cscli speak, under a site: /v1/ and /health. Everything else goes on to the next
// handler. Callers have none of the privileges of loopback here. It needs the app
// "rampart" with an api block.
type LAPIHandler struct {
	node     *node
	api      http.Handler
	clientIP clientHeaders
}

// CaddyModule implements caddy.Module.
func (LAPIHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers." + lapiDirective, New: func() caddy.Module { return new(LAPIHandler) }}
}

// Provision implements caddy.Provisioner.
func (h *LAPIHandler) Provision(ctx caddy.Context) error {
	app, err := configuredApp(ctx)
	if err != nil {
		return err
	}
	if app.API == nil {
		return errors.New(lapiDirective + " serves nothing without the Local API: add api to the rampart block, with off in it if sites alone shall serve it")
	}
	if srv, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		if h.clientIP, err = app.clientHeaders(srv); err != nil {
			return err
		}
	}
	h.node = app.node
	h.api = h.node.LocalAPI(h.client)
	return nil
}

// client is the address that Caddy has for the sender of a request.
func (h *LAPIHandler) client(r *http.Request) netip.Addr {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	addr, _, _ := h.clientIP.client(r, vars)
	return addr
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *LAPIHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !strings.HasPrefix(r.URL.Path, "/v1/") && r.URL.Path != "/health" {
		return next.ServeHTTP(w, r)
	}
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		return caddyhttp.Error(http.StatusTooEarly, errUnverified)
	}
	if err := h.node.await(r.Context()); err != nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	h.api.ServeHTTP(w, r)
	return nil
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	rampart_lapi [<matcher>]
func (h *LAPIHandler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() || d.NextBlock(0) {
		return d.Errf("%s takes no arguments; what it serves is in api of the rampart block", lapiDirective)
	}
	return nil
}

// parseLAPI reads the directive of a site.
func parseLAPI(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	if h.Option(appName) == nil {
		h.Next()
		return nil, h.Errf("the directive %s needs a rampart block in the global options, with api in it", lapiDirective)
	}
	handler := new(LAPIHandler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}
