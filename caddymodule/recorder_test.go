package caddymodule

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/gorilla/websocket"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// behindProbe runs Caddy with a probe named like the test before the directives
// given, on plain HTTP and on TLS, and returns both URLs.
func behindProbe(t *testing.T, directives string) (plain, secure string, c *http.Client) {
	t.Helper()
	pair := testkit.NewCertificate(t, t.TempDir(), "site")
	p1, p2 := freePort(t), freePort(t)
	route := fmt.Sprintf("bind 127.0.0.1\nroute {\nrampart_probe %s\n%s\n}\n", nodeNameOf(t), directives)
	load(t, withGlobals(t, "", fmt.Sprintf("http://localhost:%d {\n%s}\nhttps://localhost:%d {\ntls %s %s\n%s}",
		p1, route, p2, pair.CertFile, pair.KeyFile, route)))
	return fmt.Sprintf("http://localhost:%d", p1), fmt.Sprintf("https://localhost:%d", p2), client(t, pair.Pool)
}

func upstream(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return "reverse_proxy " + s.Listener.Addr().String()
}

// TestRecorderWebSocket: an upgraded connection works both ways, and its visit
// ends when it is upgraded, not when it is closed.
func TestRecorderWebSocket(t *testing.T) {
	up := websocket.Upgrader{}
	plain, _, _ := behindProbe(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, data, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, append([]byte("echo "), data...)) != nil {
				return
			}
		}
	}))
	conn, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(plain, "http")+"/socket", nil)
	if err != nil {
		t.Fatalf("dialling: %v (%v)", err, resp)
	}
	defer conn.Close()
	if status, _ := visitOf(nodeNameOf(t)).wait(t); status != http.StatusSwitchingProtocols {
		t.Errorf("visit ended with %d", status)
	}
	for _, text := range []string{"one", strings.Repeat("two", 50_000)} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != "echo "+text {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	}
}

// TestRecorderStream: events that the upstream flushes arrive while it goes on.
func TestRecorderStream(t *testing.T) {
	more := make(chan struct{})
	directive := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-more // closed or fed by the client once it has seen the event
		}
	})
	plain, secure, c := behindProbe(t, directive)
	for _, url := range []string{plain, secure} {
		resp, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(resp.Body)
		for i := range 3 {
			got, err := lines.ReadString('\n')
			if err != nil || got != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("%s: event %d: %q, %v", url, i, got, err)
			}
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			more <- struct{}{}
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if status, size := visitOf(nodeNameOf(t)).wait(t); status != 200 || size != 27 {
		t.Errorf("visit ended with %d, %d bytes", status, size)
	}
}

// TestRecorderTrailersAndHints: HTTP/1.1 and HTTP/2, early hints before and
// trailers after the response; names of ours do not come from upstream.
func TestRecorderTrailersAndHints(t *testing.T) {
	plain, secure, c := behindProbe(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		h.Del("Link")
		h.Set("Trailer", "X-Sum")
		h.Set(headerIncident, "FORGED")
		h.Set(headerRemediation, "none")
		h.Set("X-Other", "kept")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "body")
		h.Set("X-Sum", "42")
	}))
	for i, url := range []string{plain, secure} {
		var hints []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprintf("%d %s", code, h.Get("Link")))
			return nil
		}}
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != "body" || resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %d %q %v", url, resp.StatusCode, body, err)
		}
		if want := []string{"103 </a.css>; rel=preload"}; len(hints) != 1 || hints[0] != want[0] {
			t.Errorf("%s: hints %q", url, hints)
		}
		if got := resp.Trailer.Get("X-Sum"); got != "42" {
			t.Errorf("%s: trailer %q", url, got)
		}
		if resp.ProtoMajor != i+1 {
			t.Errorf("%s: HTTP/%d", url, resp.ProtoMajor)
		}
		if resp.Header.Get(headerIncident)+resp.Header.Get(headerRemediation) != "" || resp.Header.Get("X-Other") != "kept" {
			t.Errorf("%s: headers %v", url, resp.Header)
		}
	}
	if status, size := visitOf(nodeNameOf(t)).wait(t); status != http.StatusCreated || size != 4 {
		t.Errorf("visit ended with %d, %d bytes", status, size)
	}
}

// countingWrapper is a listener wrapper whose connections count what reaches them
// by ReadFrom, which is how the server hands over files for sendfile.
type countingWrapper struct{}

var sentByFile atomic.Int64

func init() { caddy.RegisterModule(countingWrapper{}) }

func (countingWrapper) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.listeners.rampart_counting", New: func() caddy.Module { return new(countingWrapper) }}
}
func (*countingWrapper) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { d.Next(); return nil }
func (*countingWrapper) WrapListener(ln net.Listener) net.Listener       { return countingListener{ln} }

type countingListener struct{ net.Listener }

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c.(*net.TCPConn)}, nil
}

type countingConn struct{ *net.TCPConn }

func (c countingConn) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(r)
	for {
		limited, ok := r.(*io.LimitedReader)
		if !ok {
			break
		}
		r = limited.R
	}
	if _, ok := r.(*os.File); ok {
		sentByFile.Add(n)
	}
	return n, err
}

// TestRecorderSendfile: a file goes to the connection as a file.
func TestRecorderSendfile(t *testing.T) {
	dir := t.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
	if err := os.WriteFile(filepath.Join(dir, "big.bin"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	load(t, withGlobals(t, "servers {\nlistener_wrappers {\nrampart_counting\ntls\n}\n}",
		fmt.Sprintf("http://localhost:%d {\nbind 127.0.0.1\nroute {\nrampart_probe %s\nfile_server {\nroot %s\n}\n}\n}", port, nodeNameOf(t), dir)))
	sentByFile.Store(0)
	resp, err := client(t, nil).Get(fmt.Sprintf("http://localhost:%d/big.bin", port))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	if _, size := visitOf(nodeNameOf(t)).wait(t); size != int64(len(content)) {
		t.Errorf("visit saw %d bytes", size)
	}
	if n := sentByFile.Load(); n < int64(len(content))-4096 { // the server sniffs the beginning
		t.Errorf("only %d of %d bytes went by file", n, len(content))
	}
}

// TestRecorderStatus: the status at the end of a visit is the one that the client
// gets.
func TestRecorderStatus(t *testing.T) {
	for _, tc := range []struct {
		directives string
		status     int
		client     int // 0: the connection breaks
	}{
		{"respond gone 410", 410, 410},
		{"respond 204", 204, 204},
		{"", 0, 200}, // nobody answers: 0 in the access log, too
		{"rampart_probe x error", http.StatusTeapot, http.StatusTeapot},
		{"rampart_probe x plain-error", 500, 500},
		{"rampart_probe x late-error", 202, 202},
		{"rampart_probe x panic", 0, 0},
		{"rampart_probe x abort", 200, 0},
		{"rampart_probe x raw-hijack", 101, 101},
	} {
		t.Run(tc.directives, func(t *testing.T) {
			plain, _, c := behindProbe(t, tc.directives)
			resp, err := c.Get(plain)
			got := 0
			if err == nil {
				got = resp.StatusCode
				if _, err := io.Copy(io.Discard, resp.Body); err != nil && resp.StatusCode != 101 {
					got = 0
				}
				resp.Body.Close()
			}
			if got != tc.client {
				t.Errorf("the client got %d (%v), not %d", got, err, tc.client)
			}
			if status, _ := visitOf(nodeNameOf(t)).wait(t); status != tc.status {
				t.Errorf("visit ended with %d, not %d", status, tc.status)
			}
		})
	}
}

// writerLog is a response writer that keeps what it is asked to do.
type writerLog struct {
	header http.Header
	calls  []string
}

func (w *writerLog) Header() http.Header    { return w.header }
func (w *writerLog) WriteHeader(status int) { w.calls = append(w.calls, fmt.Sprint("header ", status)) }
func (w *writerLog) Write(p []byte) (int, error) {
	w.calls = append(w.calls, "write "+string(p))
	return len(p), nil
}
func (w *writerLog) Flush() { w.calls = append(w.calls, "flush") }

// TestRecorderCalls: what reaches the writer below, in order, and when the visit
// ends.
func TestRecorderCalls(t *testing.T) {
	for _, tc := range []struct {
		name, method string
		do           func(w http.ResponseWriter)
		want         string
		ended        bool // before finish
		status       int
		size         int64
	}{
		{"connect tunnel", "CONNECT", func(w http.ResponseWriter) { w.WriteHeader(200) }, "header 200", true, 200, 0},
		{"connect refused", "CONNECT", func(w http.ResponseWriter) { w.WriteHeader(502) }, "header 502", false, 502, 0},
		{"get", "GET", func(w http.ResponseWriter) { w.WriteHeader(200) }, "header 200", false, 200, 0},
		{"switching", "GET", func(w http.ResponseWriter) { w.WriteHeader(101) }, "header 101", true, 101, 0},
		{"informational", "GET", func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(100); w.WriteHeader(404) },
			"header 103,header 100,header 404", false, 404, 0},
		{"implicit", "GET", func(w http.ResponseWriter) { _, _ = w.Write([]byte("abc")) }, "header 200,write abc", false, 200, 3},
		{"flush first", "GET", func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }, "header 200,flush", false, 200, 0},
		{"old flush", "GET", func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, "header 200,flush", false, 200, 0},
		{"read from", "GET", func(w http.ResponseWriter) { _, _ = io.Copy(w, strings.NewReader("abcd")) }, "header 200,write abcd", false, 200, 4},
		{"twice", "GET", func(w http.ResponseWriter) { w.WriteHeader(500); w.WriteHeader(200) }, "header 500,header 200", false, 500, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, v := &writerLog{header: http.Header{}}, &visit{ended: make(chan struct{})}
			rec := newRecorder(w, tc.method, v)
			tc.do(rec)
			if got := strings.Join(w.calls, ","); got != tc.want {
				t.Errorf("calls %q, not %q", got, tc.want)
			}
			if ended := v.calls > 0; ended != tc.ended {
				t.Errorf("ended before the handler returned: %t", ended)
			}
			rec.finish(true, nil)
			if v.status != tc.status || v.size != tc.size {
				t.Errorf("ended with %d, %d bytes", v.status, v.size)
			}
		})
	}
}

// TestRecorderNoHijack: where the connection cannot be taken over, that is said,
// and the visit goes on.
func TestRecorderNoHijack(t *testing.T) {
	v := &visit{ended: make(chan struct{})}
	rec := newRecorder(&writerLog{header: http.Header{}}, "GET", v)
	if _, _, err := rec.Hijack(); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("got %v", err)
	}
	if rec.finish(true, caddyhttp.Error(409, nil)); v.status != 409 {
		t.Errorf("status %d", v.status)
	}
}

// BenchmarkRecorder is what the recorder adds to a request.
func BenchmarkRecorder(b *testing.B) {
	b.ReportAllocs()
	w, body := &discard{header: http.Header{}}, []byte("body")
	v := &visit{ended: make(chan struct{})}
	v.End(0, 0, nil)
	for b.Loop() {
		rec := newRecorder(w, "GET", v)
		rec.WriteHeader(200)
		_, _ = rec.Write(body)
		rec.finish(true, nil)
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
