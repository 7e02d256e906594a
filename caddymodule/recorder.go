package caddymodule

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// ender is told once how a request ended; later calls do nothing.
type ender interface {
	End(status int, size int64, h http.Header)
}

// recorder notes the status and size of a response on its way out. It buffers
// nothing, and everything else that a response writer can do still goes through:
// flushing, hijacking, informational responses, trailers, sendfile.
//
// It belongs to one request and is not pooled: a handler that writes after it has
// returned would write into another client's response.
type recorder struct {
	*caddyhttp.ResponseWriterWrapper
	wrapper   caddyhttp.ResponseWriterWrapper
	visit     ender
	connect   bool
	committed bool
	failed    *failure // what error routes are to answer
	status    int
	size      int64
}

func newRecorder(w http.ResponseWriter, method string, visit ender) *recorder {
	rec := &recorder{}
	rec.init(w, method, visit)
	return rec
}

func (rec *recorder) init(w http.ResponseWriter, method string, visit ender) {
	rec.visit, rec.connect = visit, method == http.MethodConnect
	rec.wrapper.ResponseWriter = w
	rec.ResponseWriterWrapper = &rec.wrapper
}

// WriteHeader implements http.ResponseWriter.
func (rec *recorder) WriteHeader(status int) {
	if rec.committed {
		rec.wrapper.WriteHeader(status) // the server complains of it, as without us
		return
	}
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		rec.wrapper.WriteHeader(status)
		return
	}
	rec.committed, rec.status = true, status
	h := rec.Header()
	delete(h, headerIncident) // only ours mean anything
	delete(h, headerRemediation)
	rec.wrapper.WriteHeader(status)
	if rec.tunnel() {
		rec.visit.End(status, 0, h)
	}
}

// tunnel: the connection now carries another protocol, for as long as it likes.
// Scenarios do not wait for its end.
func (rec *recorder) tunnel() bool {
	return rec.status == http.StatusSwitchingProtocols || rec.connect && rec.status >= 200 && rec.status < 300
}

// Write implements http.ResponseWriter.
func (rec *recorder) Write(p []byte) (int, error) {
	rec.commit()
	n, err := rec.wrapper.Write(p)
	rec.size += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom, so that files can be sent without copying.
func (rec *recorder) ReadFrom(r io.Reader) (int64, error) {
	rec.commit()
	n, err := rec.wrapper.ReadFrom(r)
	rec.size += n
	return n, err
}

// FlushError is what http.ResponseController calls. A flush sends the header.
func (rec *recorder) FlushError() error {
	rec.commit()
	return http.NewResponseController(rec.wrapper.ResponseWriter).Flush()
}

// Flush implements http.Flusher, for handlers that look for it.
func (rec *recorder) Flush() { _ = rec.FlushError() }

// Hijack implements http.Hijacker. Who takes over the connection without a word
// has upgraded it.
func (rec *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(rec.wrapper.ResponseWriter).Hijack()
	if err == nil && !rec.committed {
		rec.committed, rec.status = true, http.StatusSwitchingProtocols
		rec.visit.End(rec.status, 0, rec.Header())
	}
	return conn, rw, err
}

func (rec *recorder) commit() {
	if !rec.committed {
		rec.WriteHeader(http.StatusOK)
	}
}

// finish ends the visit with the status that Caddy's access log has: the one that
// was sent, or else that of the error. It is 0 where no handler wrote anything: the
// server then sends 200 by itself, or after a panic nothing.
func (rec *recorder) finish(returned bool, err error) {
	status := rec.status
	if returned && err != nil && !rec.committed {
		status = errorStatus(err)
	}
	rec.visit.End(status, rec.size, rec.Header())
}

func errorStatus(err error) int {
	var he caddyhttp.HandlerError
	if errors.As(err, &he) && he.StatusCode != 0 {
		return he.StatusCode
	}
	return http.StatusInternalServerError
}
