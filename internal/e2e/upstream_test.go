package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// upstream is a web application behind the node. Its first path element says what
// it does; close ends what still hangs.
type upstream struct {
	*httptest.Server
	address string
	done    chan struct{} // closed when the test ends

	slowRequests atomic.Int64 // that have come in
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{code}", u.status)
	mux.HandleFunc("/auth/{scheme}", func(w http.ResponseWriter, r *http.Request) {
		for _, s := range strings.Split(r.PathValue("scheme"), ",") {
			w.Header().Add("WWW-Authenticate", s+` realm="x"`)
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	mux.HandleFunc("/events", u.events)
	mux.HandleFunc("/socket", u.socket)
	mux.HandleFunc("/slow", u.slow)
	mux.HandleFunc("/hints", u.hints)
	mux.HandleFunc("/body", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v", n, err)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		_ = rc.Flush()
		buf := make([]byte, 1024)
		for {
			n, err := r.Body.Read(buf)
			if _, werr := w.Write(buf[:n]); err != nil || werr != nil || rc.Flush() != nil {
				return
			}
		}
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		chunk := bytes.Repeat([]byte("x"), 32<<10)
		for range 512 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/dies", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "not a thousand bytes")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "upstream") })
	u.Server = httptest.NewServer(mux)
	u.address = u.Listener.Addr().String()
	t.Cleanup(func() {
		close(u.done)
		u.CloseClientConnections()
		u.Close()
	})
	return u
}

func (u *upstream) status(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(r.PathValue("code"))
	if err != nil {
		code = http.StatusBadRequest
	}
	w.WriteHeader(code)
	if code != http.StatusNoContent && code != http.StatusNotModified {
		fmt.Fprintln(w, "status", code)
	}
}

// events sends one event and waits for the client to go or the test to end; with
// ?n=3 it sends as many and ends.
func (u *upstream) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	n, err := strconv.Atoi(r.FormValue("n"))
	for i := range max(n, 1) {
		fmt.Fprintf(w, "data: %d\n\n", i)
		_ = http.NewResponseController(w).Flush()
	}
	if err == nil {
		return
	}
	select {
	case <-r.Context().Done():
	case <-u.done:
	}
}

// socket echoes.
func (u *upstream) socket(w http.ResponseWriter, r *http.Request) {
	c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		kind, data, err := c.ReadMessage()
		if err != nil || c.WriteMessage(kind, data) != nil {
			return
		}
	}
}

// slow answers after ?d=, or never.
func (u *upstream) slow(w http.ResponseWriter, r *http.Request) {
	u.slowRequests.Add(1)
	wait := make(<-chan time.Time)
	if d, err := time.ParseDuration(r.FormValue("d")); err == nil {
		wait = time.After(d)
	}
	select {
	case <-wait:
		fmt.Fprint(w, "at last")
	case <-r.Context().Done():
	case <-u.done:
	}
}

// hints sends a 103 before and a trailer after the response.
func (u *upstream) hints(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Link", "</style.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	h.Del("Link")
	h.Set("Trailer", "X-Sum")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprint(w, "hinted")
	h.Set("X-Sum", "42")
}
