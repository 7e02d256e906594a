package caddymodule

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

// adminAPI serves everything below /rampart/ on Caddy's admin endpoint. The
// endpoint of a configuration can outlive it, so the node is looked up at each
// request and never kept.
type adminAPI struct{}

// CaddyModule implements caddy.Module.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.rampart", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes implements caddy.AdminRouter.
func (*adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/rampart/", Handler: caddy.AdminHandlerFunc(serveAdmin)}}
}

var errNotRunning = errors.New("rampart does not run in this process: add a rampart block to the global options")

func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	n := runningNode()
	if n == nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errNotRunning}
	}
	n.ServeAdmin(w, r)
	return nil
}
