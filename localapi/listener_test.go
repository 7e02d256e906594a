package localapi

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// listen serves the desk until the test ends.
func (d *desk) listen(c ListenConfig) *Listener {
	d.Helper()
	l, err := Listen(c, d.handler, zap.NewNop())
	d.must(err)
	d.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			d.Errorf("closing: %v", err)
		}
	})
	return l
}

// get asks over a client and returns protocol, status and body.
func (d *desk) get(c *http.Client, method, url string, asks ...ask) (proto string, status int, body string, err error) {
	d.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	d.must(err)
	for _, a := range asks {
		a(r)
	}
	res, err := c.Do(r)
	if err != nil {
		return "", 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return res.Proto, res.StatusCode, string(b), err
}

// client speaks what protocols says, to a network's address.
func client(t testing.TB, set func(*http.Protocols), network, addr string, c *tls.Config) *http.Client {
	t.Helper()
	tr := &http.Transport{Protocols: &http.Protocols{}, TLSClientConfig: c}
	set(tr.Protocols)
	if network != "" {
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

func http1(p *http.Protocols) { p.SetHTTP1(true) }

func h2c(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }

func TestListener(t *testing.T) {
	d := newDesk(t)
	d.server.Use(Config{LocalRegistration: true})
	d.with(route{"GET", "/peer", open, 0, func(c *call) error { return c.json(200, fmt.Sprint(c.peer.Addr, c.peer.Own, c.peer.Local)) }})
	sock := filepath.Join(t.TempDir(), "api.sock")
	l := d.listen(ListenConfig{Address: "127.0.0.1:0", Socket: sock})
	if n := len(l.Addrs()); n != 2 {
		t.Fatalf("listens on %d addresses", n)
	}
	tcp := l.Addrs()[0].String()
	for _, c := range []struct {
		name, proto, want string
		client            *http.Client
		asks              []ask
	}{
		{"http/1.1", "HTTP/1.1", `"127.0.0.1 true true"`, client(t, http1, "", "", nil), nil},
		{"h2c", "HTTP/2.0", `"127.0.0.1 true true"`, client(t, h2c, "", "", nil), nil},
		{"unix", "HTTP/1.1", `"127.0.0.1 true true"`, client(t, http1, "unix", sock, nil), nil},
		{"unix, h2c", "HTTP/2.0", `"127.0.0.1 true true"`, client(t, h2c, "unix", sock, nil), nil},
		{"unix, forwarded", "HTTP/1.1", `"127.0.0.1 true false"`, client(t, http1, "unix", sock, nil), []ask{header("X-Forwarded-For", "192.0.2.1")}},
	} {
		proto, status, body, err := d.get(c.client, "GET", "http://"+tcp+"/peer", c.asks...)
		if err != nil || proto != c.proto || status != 200 || body != c.want {
			t.Errorf("%s: %s %d %s %v", c.name, proto, status, body, err)
		}
	}
	if fi, err := os.Stat(sock); err != nil || fi.Mode().Perm() != socketMode {
		t.Errorf("socket: %v %v", fi.Mode(), err)
	}
	if _, status, _, err := d.get(client(t, http1, "", "", nil), "GET", "http://"+tcp+"/health", header("X-Long", strings.Repeat("x", 2*maxHead))); status != 431 && err == nil {
		t.Errorf("a long head: %d %v", status, err)
	}
}

func TestListenFails(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	used, err := Listen(ListenConfig{Address: "127.0.0.1:0", Socket: filepath.Join(dir, "used")}, http.NotFoundHandler(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]ListenConfig{
		"nowhere":        {},
		"used address":   {Address: used.Addrs()[0].String()},
		"used socket":    {Socket: filepath.Join(dir, "used")},
		"a file":         {Socket: file},
		"no such folder": {Socket: filepath.Join(dir, "x", "y")},
		"no certificate": {Address: "127.0.0.1:0", TLS: TLSConfig{Cert: file, Key: file}},
		"verification":   {Address: "127.0.0.1:0", TLS: TLSConfig{Cert: file, Key: file, ClientAuth: "Sometimes"}},
		"second fails":   {Address: "127.0.0.1:0", Socket: file},
	} {
		if l, err := Listen(c, http.NotFoundHandler(), zap.NewNop()); err == nil {
			t.Errorf("%s: listens on %v", name, l.Addrs())
			_ = l.Close(context.Background())
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file is now %q, %v", b, err)
	}
	if err := used.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestStaleSocket: what a process that died left behind is in nobody's way.
func TestStaleSocket(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "api.sock")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: sock})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(ListenConfig{Socket: sock, SocketMode: 0o600}, http.NotFoundHandler(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(sock); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v %v", fi.Mode(), err)
	}
	if err := l.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(sock); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestListenerClose(t *testing.T) {
	d := newDesk(t)
	inside, leave := make(chan struct{}, 2), make(chan struct{})
	d.with(route{"GET", "/wait", open, 0, func(c *call) error {
		inside <- struct{}{}
		<-leave
		return c.json(200, "done")
	}})
	l, err := Listen(ListenConfig{Address: "127.0.0.1:0"}, d.handler, zap.NewNop())
	d.must(err)
	url := "http://" + l.Addrs()[0].String() + "/wait"
	type result struct {
		body string
		err  error
	}
	results := make(chan result, 2)
	for _, p := range []func(*http.Protocols){http1, h2c} {
		c := client(t, p, "", "", nil)
		go func() {
			_, _, body, err := d.get(c, "GET", url)
			results <- result{body, err}
		}()
		<-inside
	}
	closed := make(chan error)
	go func() { closed <- l.Close(context.Background()) }()
	for { // until nobody is let in any more
		conn, err := net.Dial("tcp", l.Addrs()[0].String())
		if err != nil {
			break
		}
		_ = conn.Close()
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-closed:
		t.Fatalf("closed with calls under way: %v", err)
	default:
	}
	close(leave)
	for range 2 {
		if r := <-results; r.err != nil || r.body != `"done"` {
			t.Errorf("a call under way: %q %v", r.body, r.err)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestCloseCutsOff: whoever does not come to an end does not hold up the stop.
func TestCloseCutsOff(t *testing.T) {
	l, err := Listen(ListenConfig{Address: "127.0.0.1:0"}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", l.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_ = l.Close(ctx)
	if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
		t.Error("the connection lives on")
	}
}
