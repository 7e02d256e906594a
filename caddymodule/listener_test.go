package caddymodule

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// bans is a door that turns away the addresses in it.
type bans struct {
	mu    sync.Mutex
	set   map[netip.Addr]bool
	asked int
}

func newBans(addrs ...string) *bans {
	b := &bans{set: map[netip.Addr]bool{}}
	for _, a := range addrs {
		b.set[netip.MustParseAddr(a)] = true
	}
	return b
}

func (b *bans) Refuses(peer netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	return b.set[peer]
}

// serve accepts from ln and says hello to each connection once it has sent a byte.
func serve(t *testing.T, ln net.Listener) {
	t.Helper()
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
					_, _ = c.Write([]byte("hello"))
				}
			}()
		}
	}()
}

// greet connects, speaks first and returns what it hears.
func greet(network, addr string, from net.Addr) (string, error) {
	d := net.Dialer{LocalAddr: from, Timeout: 10 * time.Second}
	c, err := d.Dial(network, addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte("x")); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

// TestListenerClosesBanned: over TCP, one client is let in and the other is reset.
func TestListenerClosesBanned(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, &doorListener{Listener: ln, door: newBans("127.0.0.2")})
	addr := ln.Addr().String()
	if got, err := greet("tcp", addr, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); got != "hello" {
		t.Errorf("allowed client: %q, %v", got, err)
	}
	if got, err := greet("tcp", addr, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}); got != "" || err == nil {
		t.Errorf("banned client: %q, %v", got, err)
	}
}

// TestListenerUnix: connections without an address pass, and as they are.
func TestListenerUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	door := newBans()
	serve(t, &doorListener{Listener: ln, door: door})
	if got, err := greet("unix", path, nil); got != "hello" || door.asked != 0 {
		t.Errorf("%q, %v, asked %d times", got, err, door.asked)
	}
}

// slowConn is a connection whose address is only known once it has been read
// from, as behind a proxy that announces it.
type slowConn struct {
	net.Conn
	addr    net.Addr
	blocked chan struct{}
}

func (c *slowConn) RemoteAddr() net.Addr {
	<-c.blocked
	return c.addr
}

// oneListener accepts what is put into it.
type oneListener chan net.Conn

func (l oneListener) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l oneListener) Close() error   { return nil }
func (l oneListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestListenerDoesNotWait: a connection that is slow to tell its address holds up
// nobody, and is judged when it is read.
func TestListenerDoesNotWait(t *testing.T) {
	inner := make(oneListener, 2)
	ln := &doorListener{Listener: inner, door: newBans("192.0.2.1")}
	blocked := make(chan struct{})
	for _, ip := range []string{"192.0.2.1", "192.0.2.2"} {
		a, b := net.Pipe()
		t.Cleanup(func() { a.Close(); b.Close() })
		go func() { _, _ = b.Write([]byte("x")) }()
		inner <- &slowConn{Conn: a, addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}, blocked: blocked}
	}
	banned, err1 := ln.Accept() // would hang if the address were asked for
	allowed, err2 := ln.Accept()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	close(blocked)
	buf := make([]byte, 1)
	for range 2 {
		if n, err := banned.Read(buf); n != 0 || err != io.EOF {
			t.Errorf("banned: %d bytes, %v", n, err)
		}
	}
	if n, err := allowed.Read(buf); n != 1 || err != nil {
		t.Errorf("allowed: %d bytes, %v", n, err)
	}
}

// TestListenerError: errors of the listener below are returned as they are.
func TestListenerError(t *testing.T) {
	inner := make(oneListener)
	close(inner)
	if _, err := (&doorListener{Listener: inner, door: newBans()}).Accept(); err != net.ErrClosed {
		t.Errorf("got %v", err)
	}
}

// TestPeerOf: mapped addresses and zones are taken off, the unknown is the zero
// address.
func TestPeerOf(t *testing.T) {
	for _, tc := range []struct {
		addr net.Addr
		want netip.Addr
	}{
		{&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 9}, netip.MustParseAddr("192.0.2.1")},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 9}, netip.MustParseAddr("fe80::1")},
		{&net.UDPAddr{IP: net.ParseIP("192.0.2.1"), Port: 9}, netip.MustParseAddr("192.0.2.1")},
		{&net.UnixAddr{Name: "/x"}, netip.Addr{}},
		{nil, netip.Addr{}},
	} {
		if got := peerOf(tc.addr); got != tc.want {
			t.Errorf("%v: %v", tc.addr, got)
		}
	}
}

// TestListenerInCaddy: before TLS, before PROXY headers and after them, with both
// HTTP versions; nothing is lost for those who are let in.
func TestListenerInCaddy(t *testing.T) {
	pair := testkit.NewCertificate(t, t.TempDir(), "site")
	for _, wrappers := range []string{"rampart\ntls", "proxy_protocol\nrampart\ntls", "tls\nrampart", "rampart\nproxy_protocol\nhttp_redirect\ntls"} {
		t.Run(wrappers, func(t *testing.T) {
			port := freePort(t)
			if wrappers == "tls\nrampart" {
				wrappers = "proxy_protocol\ntls\nrampart" // tls alone may not be first
			}
			load(t, withGlobals(t, rampartBlock(t, "")+"\nservers {\nlistener_wrappers {\n"+wrappers+"\n}\n}",
				fmt.Sprintf("https://localhost:%d {\nbind 127.0.0.1\ntls %s %s\nrampart\nrespond {http.request.proto}\n}", port, pair.CertFile, pair.KeyFile)))
			for proto, c := range map[string]*http.Client{"HTTP/2.0": client(t, pair.Pool), "HTTP/1.1": client(t, pair.Pool)} {
				if proto == "HTTP/1.1" {
					tr := c.Transport.(*http.Transport)
					tr.ForceAttemptHTTP2, tr.TLSNextProto = false, map[string]func(string, *tls.Conn) http.RoundTripper{}
				}
				resp, err := c.Get(fmt.Sprintf("https://localhost:%d/", port))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(body) != proto {
					t.Errorf("%s: %q, %v", proto, body, err)
				}
			}
		})
	}
}
