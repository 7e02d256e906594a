package appliance

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

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

// ServeAdmin answers the API below /rampart/: JSON in, JSON out, an error as
// {"error": text}. docs/openapi.yaml describes it.
func (a *Appliance) ServeAdmin(w http.ResponseWriter, r *http.Request) {
	a.admin.ServeHTTP(w, r)
}

func (a *Appliance) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, way := range routes() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, way) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, notFound("there is no %s %s", r.Method, r.URL.Path))
	})
	return mux
}

func (a *Appliance) answer(w http.ResponseWriter, r *http.Request, way route) {
	l := a.live.Load()
	if l == nil {
		writeError(w, adminError{http.StatusServiceUnavailable, errNotRunning})
		return
	}
	err := only(r, way.params)
	var v any
	if err == nil {
		v, err = way.serve(l, r)
	}
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

// orEmpty makes no list an empty list, for clients that read JSON.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
