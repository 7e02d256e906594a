package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/appliance"
)

// Modes of a handler, and what it sends to clients it refuses.
const (
	modeEnforce = "enforce"
	modeDetect  = "detect"
	blockPage   = "page"
	blockError  = "error"
)

// Names of request variables, thus of placeholders such as
// {http.vars.rampart.incident}, and of access-log fields.
const (
	varSeen     = "rampart.seen"
	varAction   = "rampart.action"
	varIncident = "rampart.incident"
	varScenario = "rampart.scenario"

	logAction   = "rampart_action"
	logIncident = "rampart_incident"
	logScenario = "rampart_scenario"
)

// Handler examines the requests of a site: it refuses or challenges clients with
// a decision against them, and shows all others to the scenarios. It needs the
// app "rampart" to be configured.
type Handler struct {
	// Mode is "enforce", or "detect" for a site that is only watched: nothing is
	// refused, and what only such sites saw makes simulated alerts. Default: enforce.
	Mode string `json:"mode,omitempty"`
	// Block is what refused clients get: "page", a page or a JSON body of ours, or
	// "error", an error with status 403 or 429 for the site's handle_errors routes.
	// Default: page.
	Block string `json:"block,omitempty"`

	node     *node
	page     *refusalPage
	now      func() time.Time
	errors   bool // the server's error routes tell what they answer
	clientIP clientHeaders
}

// CaddyModule implements caddy.Module.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.rampart", New: func() caddy.Module { return new(Handler) }}
}

// Provision borrows nothing: the handler keeps the node of the app, which stays
// callable for as long as there are requests.
func (h *Handler) Provision(ctx caddy.Context) error {
	if err := h.check(); err != nil {
		return err
	}
	app, err := configuredApp(ctx)
	if err != nil {
		return err
	}
	if srv, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		if h.clientIP, err = app.clientHeaders(srv); err != nil {
			return err
		}
		app.cover(srv)
		h.errors = watchErrors(srv)
	}
	h.node, h.now = app.node, time.Now
	h.page, err = newRefusalPage()
	return err
}

func (h *Handler) check() error {
	switch h.Mode {
	case "", modeEnforce, modeDetect:
	default:
		return fmt.Errorf("mode %q is unknown; use %s or %s", h.Mode, modeEnforce, modeDetect)
	}
	switch h.Block {
	case "", blockPage, blockError:
	default:
		return fmt.Errorf("block %q is unknown; use %s or %s", h.Block, blockPage, blockError)
	}
	return nil
}

// configuredApp is the app of the configuration that is being provisioned.
func configuredApp(ctx caddy.Context) (*App, error) {
	v, err := ctx.AppIfConfigured(appName)
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, fmt.Errorf("%w: add a rampart block to the global options", err)
	}
	if err != nil {
		return nil, err
	}
	app, ok := v.(*App)
	if !ok {
		return nil, fmt.Errorf("app %s is a %T, not Rampart's", appName, v)
	}
	return app, nil
}

// errUnverified: on HTTP/3, early data comes from an address that anyone can
// forge. The client sends the request again once the handshake is done.
var errUnverified = errors.New("client address is not verified yet (0-RTT)")

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	ctx := r.Context()
	vars, _ := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	if vars[varSeen] != nil {
		return next.ServeHTTP(w, r) // error routes, or the directive twice: a request counts once
	}
	if vars != nil {
		vars[varSeen] = true
	}
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		return caddyhttp.Error(http.StatusTooEarly, errUnverified)
	}
	if err := h.node.await(ctx); err != nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	received := asReceived(r)
	p := &passage{}
	visit := &p.visit
	visit.Begin(h.node.Appliance, received, h.arrival(r, vars))
	if visit.Action == appliance.Pass {
		p.recorder.init(w, r.Method, visit)
		return pass(&p.recorder, r, next, h.errors)
	}
	note(ctx, visit)
	switch {
	case visit.Action == appliance.Respond:
		visit.Respond(w, received)
		return nil
	case h.Block == blockError:
		return h.refuseWithError(w, visit)
	}
	h.page.write(w, r, h.notice(visit))
	return nil
}

// passage is all that one request needs, in one allocation.
type passage struct {
	visit    appliance.Visit
	recorder recorder
}

// arrival is what Caddy knows of the client.
func (h *Handler) arrival(r *http.Request, vars map[string]any) appliance.Arrival {
	in := appliance.Arrival{Detect: h.Mode == modeDetect, TLS: r.TLS != nil}
	in.Client, in.Name, in.Trusted = h.clientIP.client(r, vars)
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		in.Peer = peer.Addr().WithZone("").Unmap()
	}
	if in.Trusted && !in.TLS {
		in.TLS = r.Header.Get("X-Forwarded-Proto") == "https"
	}
	return in
}

// asReceived is the request as the client sent it, with headers and body shared.
// Handlers before this one may have rewritten it, as handle_path does; scenarios
// are about what was asked for, and so is the way back from a challenge.
func asReceived(r *http.Request) *http.Request {
	orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || orig.Method == r.Method && orig.RequestURI == r.RequestURI {
		return r
	}
	received := r.WithContext(r.Context())
	received.Method, received.RequestURI, received.URL = orig.Method, orig.RequestURI, orig.URL
	return received
}

// pass proxies the request and tells the visit how it ended, also when a handler
// aborts the response by a panic. With routed, an error goes to error routes that
// tell what they answer; they find the recorder in a variable. It is set before the
// request goes on: afterwards the upstream's connections may still read variables.
func pass(rec *recorder, r *http.Request, next caddyhttp.Handler, routed bool) (err error) {
	if routed {
		caddyhttp.SetVar(r.Context(), varSeen, rec)
	}
	returned := false
	defer func() {
		if routed && err != nil && !rec.committed {
			rec.fail(r.Context(), err)
			return
		}
		rec.finish(returned, err)
	}()
	err = next.ServeHTTP(rec, r)
	returned = true
	return err
}

// note puts what was decided where the site's own configuration and the access
// log can see it.
func note(ctx context.Context, visit *appliance.Visit) {
	caddyhttp.SetVar(ctx, varAction, visit.Action.String())
	caddyhttp.SetVar(ctx, varIncident, visit.Incident)
	caddyhttp.SetVar(ctx, varScenario, visit.Scenario)
	extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	if !ok {
		return
	}
	extra.Set(zap.String(logAction, visit.Action.String()))
	if visit.Incident != "" {
		extra.Set(zap.String(logIncident, visit.Incident))
	}
	if visit.Scenario != "" {
		extra.Set(zap.String(logScenario, visit.Scenario))
	}
}

func (h *Handler) notice(visit *appliance.Visit) notice {
	n := notice{Status: http.StatusForbidden, Remediation: visit.Action.String(),
		Incident: visit.Incident, Time: h.now().UTC(), Contact: h.node.Contact()}
	if visit.Action == appliance.Throttle {
		n.Status, n.RetryAfter = http.StatusTooManyRequests, visit.RetryAfter
	}
	return n
}

// refuseWithError leaves the answer to the site's error routes; the headers that
// explain a refusal are set all the same.
func (h *Handler) refuseWithError(w http.ResponseWriter, visit *appliance.Visit) error {
	n := h.notice(visit)
	n.headers(w.Header())
	return caddyhttp.HandlerError{Err: fmt.Errorf("refused by rampart, incident %s", n.Incident),
		StatusCode: n.Status, ID: n.Incident}
}
