package appliance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/rampart-edge/rampart/decisions"
)

// maxAdminBody bounds what an admin request may send, in bytes.
const maxAdminBody = 1 << 20

// maxAdminText bounds a reason or comment, in bytes.
const maxAdminText = 512

// errNotRunning is the answer before the first settings and after Close.
var errNotRunning = errors.New("rampart is not running in this process; is there a rampart block in its configuration?")

// adminError is an error with its HTTP status.
type adminError struct {
	status int
	err    error
}

func (e adminError) Error() string { return e.err.Error() }
func (e adminError) Unwrap() error { return e.err }

func badRequest(err error) error { return adminError{http.StatusBadRequest, err} }

func notFound(format string, args ...any) error {
	return adminError{http.StatusNotFound, fmt.Errorf(format, args...)}
}

// admin is one call of the API: request in, value out.
type admin func(l *live, r *http.Request) (any, error)

// ServeAdmin answers the API below /rampart/: JSON in, JSON out, an error as
// {"error": text}. docs/openapi.yaml describes it.
func (a *Appliance) ServeAdmin(w http.ResponseWriter, r *http.Request) {
	a.admin.ServeHTTP(w, r)
}

// routes are those of the API, by method and path.
func routes() map[string]admin {
	all := map[string]admin{
		"GET /rampart/status":           adminStatus,
		"GET /rampart/decisions":        listDecisions,
		"POST /rampart/decisions":       addDecision,
		"DELETE /rampart/decisions":     deleteDecisions,
		"GET /rampart/alerts":           listAlerts,
		"GET /rampart/alerts/{id}":      showAlert,
		"GET /rampart/why/{subject...}": adminWhy,
		"POST /rampart/unban":           unban,
		"GET /rampart/allowlist":        listAllowed,
		"POST /rampart/allowlist":       addAllowed,
		"DELETE /rampart/allowlist":     deleteAllowed,
		"GET /rampart/lists":            listLists,
		"GET /rampart/lists/{name}":     showList,
		"PUT /rampart/lists/{name}":     putList,
		"DELETE /rampart/lists/{name}":  dropList,

		"GET /rampart/decisions/export":  exportDecisions,
		"POST /rampart/decisions/import": importDecisions,
		"DELETE /rampart/alerts":         deleteAlerts,
		"DELETE /rampart/alerts/{id}":    deleteAlert,
		"POST /rampart/alerts/flush":     flushAlerts,

		"GET /rampart/allowlists":                 listAllowlists,
		"POST /rampart/allowlists":                createAllowlist,
		"GET /rampart/allowlists/{name}":          showAllowlist,
		"DELETE /rampart/allowlists/{name}":       deleteAllowlist,
		"POST /rampart/allowlists/{name}/items":   addAllowItems,
		"DELETE /rampart/allowlists/{name}/items": removeAllowItems,
		"GET /rampart/allowed/{value...}":         checkAllowed,

		"GET /rampart/bouncers":                  listBouncers,
		"POST /rampart/bouncers":                 addBouncer,
		"DELETE /rampart/bouncers":               pruneBouncers,
		"GET /rampart/bouncers/{name}":           showBouncer,
		"DELETE /rampart/bouncers/{name}":        deleteBouncer,
		"GET /rampart/machines":                  listMachines,
		"POST /rampart/machines":                 addMachine,
		"DELETE /rampart/machines":               pruneMachines,
		"GET /rampart/machines/{name}":           showMachine,
		"DELETE /rampart/machines/{name}":        deleteMachine,
		"POST /rampart/machines/{name}/validate": validateMachine,
	}
	maps.Copy(all, exchangeRoutes())
	return all
}

func (a *Appliance) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, f := range routes() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, f) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, notFound("there is no %s %s", r.Method, r.URL.Path))
	})
	return mux
}

func (a *Appliance) answer(w http.ResponseWriter, r *http.Request, f admin) {
	l := a.live.Load()
	if l == nil {
		writeError(w, adminError{http.StatusServiceUnavailable, errNotRunning})
		return
	}
	v, err := f(l, r)
	if err == nil && r.Method != http.MethodGet {
		// What an operator was told is done survives everything.
		err = l.state.book.Flush(r.Context())
	}
	if err != nil {
		writeError(w, err)
		return
	}
	if s, ok := v.(stream); ok {
		s(w)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// stream is an answer that is written as it is made.
type stream func(w http.ResponseWriter)

func writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var ae adminError
	switch {
	case errors.As(err, &ae):
		status = ae.status
	case errors.Is(err, decisions.ErrClosed):
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client has gone; there is nobody to tell
}

// readBody decodes a JSON body strictly.
func readBody(r *http.Request, into any) error {
	dec := json.NewDecoder(io.LimitReader(r.Body, maxAdminBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil && dec.More() {
		err = errors.New("there is more than one JSON value")
	}
	if err != nil {
		return badRequest(fmt.Errorf("reading the request body: %w", err))
	}
	return nil
}

// only refuses parameters that are not among names: a misspelt one would select
// more than was meant.
func only(r *http.Request, names ...string) error {
	for name := range r.URL.Query() {
		if !slices.Contains(names, name) {
			return badRequest(fmt.Errorf("parameter %q is unknown; known are %s", name, strings.Join(names, ", ")))
		}
	}
	return nil
}

// text refuses what does not fit into a record: too long, or with characters that
// move a terminal's cursor.
func text(name, value string) error {
	if len(value) > maxAdminText || strings.ContainsFunc(value, unicode.IsControl) {
		return badRequest(fmt.Errorf("%s is not possible; write at most %d bytes without control characters", name, maxAdminText))
	}
	return nil
}

// orEmpty makes no list an empty list, for clients that read JSON.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
