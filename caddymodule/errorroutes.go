package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// errorWatch is the handler that sees what a server's error routes answer. It is
// put there by handlers of ours and does nothing by itself.
type errorWatch struct{}

// ownErrorRoute is an errorWatch in JSON.
const ownErrorRoute = `{"handler":"rampart_errors"}`

// CaddyModule implements caddy.Module.
func (errorWatch) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.rampart_errors", New: func() caddy.Module { return new(errorWatch) }}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (*errorWatch) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	rec, ok := caddyhttp.GetVar(r.Context(), varSeen).(*recorder)
	if !ok || rec.failed == nil {
		return next.ServeHTTP(w, r)
	}
	f := rec.failed
	rec.failed = nil
	return f.answer(w, r, next)
}

// watchErrors puts an errorWatch before the error routes of a server: the
// status that a client gets for an error is theirs to choose, and a scenario is to
// see what the client sees. It reports whether one is there. Error routes are
// provisioned after all others; once they are, it is too late to add one.
func watchErrors(srv *caddyhttp.Server) bool {
	if srv.Errors == nil || len(srv.Errors.Routes) == 0 {
		return false
	}
	if watchesErrors(srv.Errors.Routes[0]) {
		return true
	}
	provisioning := func(r caddyhttp.Route) bool { return len(r.HandlersRaw) > 0 }
	if !slices.ContainsFunc(srv.Routes, provisioning) {
		return false
	}
	ours := caddyhttp.Route{HandlersRaw: []json.RawMessage{json.RawMessage(ownErrorRoute)}}
	srv.Errors.Routes = slices.Insert(srv.Errors.Routes, 0, ours)
	return true
}

func watchesErrors(first caddyhttp.Route) bool {
	if len(first.MatcherSetsRaw) > 0 || len(first.MatcherSets) > 0 {
		return false
	}
	if len(first.HandlersRaw) == 1 {
		return bytes.Equal(first.HandlersRaw[0], []byte(ownErrorRoute))
	}
	if len(first.Handlers) != 1 {
		return false
	}
	_, ours := first.Handlers[0].(*errorWatch)
	return ours
}

// failure is a visit whose handlers returned an error before anything was sent.
type failure struct {
	visit ender
	err   error
	// takeBack ends the wait for error routes that never come; false if the visit
	// was ended meanwhile.
	takeBack func() bool
}

// fail leaves the visit to the error routes of the server. Something on the way
// there may handle the error itself, and then they never run: the visit ends with
// the request at the latest.
func (rec *recorder) fail(ctx context.Context, err error) {
	rec.failed = &failure{visit: rec.visit, err: err, takeBack: func() bool { return true }}
	if ctx.Err() == nil { // when the client has gone, the request's end is not to be seen
		h := rec.Header().Clone() // error routes write to it
		rec.failed.takeBack = context.AfterFunc(ctx, func() { rec.visit.End(errorStatus(err), 0, h) })
	}
}

// answer runs the error routes and ends the visit as they do. If they fail too,
// Caddy answers with the first error.
func (f *failure) answer(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !f.takeBack() {
		return next.ServeHTTP(w, r)
	}
	rec := newRecorder(w, r.Method, f.visit)
	returned := false
	first := f.err
	defer func() { rec.finish(returned, first) }()
	err := next.ServeHTTP(rec, r)
	returned = true
	if err == nil {
		first = nil
	}
	return err
}
