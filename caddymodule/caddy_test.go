package caddymodule

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestMain keeps Caddy's own files out of the home directory.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "rampart-caddymodule-")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_DATA_HOME", dir)
	os.Setenv("XDG_CONFIG_HOME", dir)
	caddy.RegisterModule(&probe{})
	httpcaddyfile.RegisterHandlerDirective("rampart_probe", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		p := new(probe)
		h.Next()
		h.Args(&p.Name, &p.Fault)
		return p, nil
	})
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// probe is a handler that records what comes after it, or misbehaves by itself.
type probe struct {
	Name  string `json:"name"`
	Fault string `json:"fault,omitempty"`
}

func (*probe) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.rampart_probe", New: func() caddy.Module { return new(probe) }}
}

func (p *probe) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	switch p.Fault {
	case "":
		return pass(newRecorder(w, r.Method, visitOf(p.Name)), r, next, false)
	case "error":
		return caddyhttp.Error(http.StatusTeapot, fmt.Errorf("fault"))
	case "plain-error":
		return fmt.Errorf("fault")
	case "late-error":
		w.WriteHeader(http.StatusAccepted)
		return caddyhttp.Error(http.StatusTeapot, fmt.Errorf("fault"))
	case "panic":
		panic(http.ErrAbortHandler)
	case "abort":
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
		panic(http.ErrAbortHandler)
	case "raw-hijack":
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
		return err
	}
	return fmt.Errorf("no fault %s", p.Fault)
}

// visit remembers how it ended.
type visit struct {
	mu     sync.Mutex
	calls  int
	status int
	size   int64
	header http.Header
	ended  chan struct{}
}

var (
	visitsMu sync.Mutex
	visits   = map[string]*visit{}
)

func visitOf(name string) *visit {
	visitsMu.Lock()
	defer visitsMu.Unlock()
	if visits[name] == nil {
		visits[name] = &visit{ended: make(chan struct{})}
	}
	return visits[name]
}

func (v *visit) End(status int, size int64, h http.Header) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.calls++; v.calls == 1 {
		v.status, v.size, v.header = status, size, h.Clone()
		close(v.ended)
	}
}

// wait returns status and size of the first End.
func (v *visit) wait(t *testing.T) (int, int64) {
	t.Helper()
	select {
	case <-v.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the visit did not end")
	}
	return v.status, v.size
}

// freePort is a port on 127.0.0.1 that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// withGlobals puts the options that every test needs before those given, and
// sites after them.
func withGlobals(t *testing.T, global, sites string) string {
	t.Helper()
	if !strings.Contains(global, "admin ") {
		global = "admin off\n" + global
	}
	return fmt.Sprintf("{\npersist_config off\nstorage file_system %s\nauto_https off\ngrace_period 2s\n%s\n}\n%s\n",
		t.TempDir(), global, sites)
}

// rampartBlock is a global block with a node and data directory of the test's own.
func rampartBlock(t *testing.T, more string) string {
	t.Helper()
	return fmt.Sprintf("rampart {\nnode %s\ndata_dir %s\n%s\n}", nodeNameOf(t), t.TempDir(), more)
}

func nodeNameOf(t *testing.T) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())
}

// load runs a Caddyfile in this process until the test ends.
func load(t *testing.T, text string) {
	t.Helper()
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	if err := caddy.Load(mustAdapt(t, text), true); err != nil {
		t.Fatalf("loading: %v", err)
	}
}

// validate does what "caddy validate" does, in this process.
func validate(t *testing.T, text string) error {
	t.Helper()
	config := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON(mustAdapt(t, text), config); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(config)
}

// client is one without a pool shared between tests; h2 makes it speak HTTP/2.
func client(t *testing.T, roots *x509.CertPool) *http.Client {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// validateJSON is validate for a configuration in JSON.
func validateJSON(t *testing.T, text string) error {
	t.Helper()
	config := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON([]byte(text), config); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(config)
}

// runningApp is the app of the configuration that runs.
func runningApp(t *testing.T) *App {
	t.Helper()
	v, err := caddy.ActiveContext().AppIfConfigured("rampart")
	if err != nil {
		t.Fatal(err)
	}
	return v.(*App)
}
