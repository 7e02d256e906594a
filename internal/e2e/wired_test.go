//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// Addresses on the wire: 10.77.0.1 is the node's, the others are the client's.
const (
	attacker  = "10.77.0.2"
	other     = "10.77.0.3"
	third     = "10.77.0.4"
	proxy     = "10.77.0.5"
	proxied   = "10.77.0.6"
	sixth     = "fd77:0:0:2::" // a network of the client's
	sitePort  = "8080"
	plainPort = "2222" // a service without HTTP, like SSH
)

// wired is a node in a network namespace, and clients in another one.
type wired struct {
	*node
	server, client *testkit.Namespace
	http           map[string]*http.Client // by the client's address
}

// wire prepares a node behind a cable. It skips the test where that needs more
// rights than it has.
func wire(t testing.TB) *wired {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the whole binary; left out with -short")
	}
	server, client := testkit.Namespaces(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("skipped: looking at the kernel's rules needs the nft command")
	}
	for _, a := range []string{other, third, proxy, proxied} {
		client.AddAddress(t, netip.PrefixFrom(netip.MustParseAddr(a), 16))
	}
	w := &wired{node: newNode(t), server: server, client: client, http: map[string]*http.Client{}}
	w.wrap("exec ip netns exec " + server.Name)
	w.url = "http://10.77.0.1:" + sitePort
	w.echo()
	return w
}

// wrap runs the node's program behind a command that ends in becoming it.
func (n *node) wrap(command string) {
	n.t.Helper()
	n.write("rampart.sh", fmt.Sprintf("#!/bin/sh\n%s %s \"$@\"\n", command, n.binary))
	n.binary = n.path("rampart.sh")
	if err := os.Chmod(n.binary, 0o755); err != nil {
		n.t.Fatal(err)
	}
}

// echo is a service on plainPort of the node's machine that sends back what it gets.
func (w *wired) echo() {
	w.t.Helper()
	ln, err := w.server.Listen("tcp", ":"+plainPort)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // ends with the connection
			}()
		}
	}()
}

// up writes the configuration and starts the node. Text stands in for parts of it.
func (w *wired) up(firewall, servers, rampart string) {
	w.t.Helper()
	w.configure(firewall, servers, rampart)
	w.start()
}

func (w *wired) configure(firewall, servers, rampart string) {
	w.t.Helper()
	w.write("Caddyfile", w.expand(fmt.Sprintf(`{
	admin {admin}
	%s
	rampart {
		data_dir {state}
		source file {dir}/auth.log {
			labels type=syslog
		}
		firewall {
			%s
		}
		%s
	}
}
http://10.77.0.1:%s {
	rampart
	respond "hello" 200
}
`, servers, firewall, rampart, sitePort)))
	if _, err := os.Stat(w.path("auth.log")); err != nil {
		w.write("auth.log", "")
	}
}

// dial opens a TCP connection from one of the client's addresses.
func (w *wired) dial(from, port string, patience time.Duration) (net.Conn, error) {
	to := "10.77.0.1"
	if strings.Contains(from, ":") {
		to = "fd77::1"
	}
	d := &net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return w.client.Dial(d, "tcp", net.JoinHostPort(to, port))
}

// reaches reports whether a new connection from an address gets an answer.
func (w *wired) reaches(from string) bool {
	c, err := w.dial(from, plainPort, 700*time.Millisecond)
	if err != nil {
		return false
	}
	defer c.Close()
	return answers(c, 700*time.Millisecond)
}

// answers reports whether an echo comes back in time.
func answers(c net.Conn, patience time.Duration) bool {
	want := fmt.Appendf(nil, "%020d", time.Now().UnixNano())
	if _, err := c.Write(want); err != nil {
		return false
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return false
	}
	got := make([]byte, len(want))
	for { // late answers to earlier questions come first
		if _, err := io.ReadFull(c, got); err != nil {
			return false
		}
		if string(got) == string(want) {
			return true
		}
	}
}

// web makes a request from one of the client's addresses, on behalf of another
// one if that is not "". An error means that there was no answer.
func (w *wired) web(from, onBehalf, path string, header ...string) (answer, error) {
	w.t.Helper()
	c := w.http[from]
	if c == nil {
		c = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				return w.dial(from, sitePort, time.Second)
			}}}
		w.http[from] = c
	}
	req, err := http.NewRequest(http.MethodGet, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Mozilla/5.0")
	if onBehalf != "" {
		req.Header.Set("X-Forwarded-For", onBehalf)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

// must is web for a client that is known to get an answer.
func (w *wired) must(from, onBehalf, path string) answer {
	w.t.Helper()
	a, err := w.web(from, onBehalf, path)
	if err != nil {
		w.t.Fatalf("%s got no answer: %v", from, err)
	}
	return a
}

// guess writes what sshd writes when somebody tries passwords.
func (n *node) guess(from string, times int) {
	n.t.Helper()
	var lines []string
	for i := range times {
		lines = append(lines, fmt.Sprintf("%s gate sshd[%d]: Failed password for invalid user admin from %s port %d ssh2",
			time.Now().Format(time.Stamp), 900+i, from, 40000+i))
	}
	n.add("auth.log", lines...)
}

// banned waits until a ban of an address is in force and returns when it was seen.
func (n *node) banned(ip string) time.Time {
	n.t.Helper()
	until(n.t, ip+" is banned", func() bool {
		for _, d := range n.decided(ip) {
			if d.Type == "ban" {
				return true
			}
		}
		return false
	})
	return time.Now()
}

func (n *node) why(subject string) appliance.Why {
	n.t.Helper()
	return ask[appliance.Why](n, "GET", "/rampart/why/"+subject, nil)
}

// do runs one of our commands, which must succeed.
func (n *node) do(args ...string) string {
	n.t.Helper()
	out, err := n.rampart(args...)
	if err != nil {
		n.t.Fatalf("rampart %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// rules are the kernel's rules on the node's machine.
func (w *wired) rules() string {
	w.t.Helper()
	return w.server.Run(w.t, "nft", "list", "ruleset")
}

// stream sends datagrams from an address without a pause and counts those that
// arrive.
type stream struct {
	sent, got atomic.Int64
}

func (w *wired) stream(from string) *stream {
	w.t.Helper()
	in, err := w.server.ListenPacket("udp", "10.77.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	var out net.Conn
	err = w.client.Do(func() error {
		out, err = (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}).Dial("udp", in.LocalAddr().String())
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	s := &stream{}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		buf := make([]byte, 64)
		for {
			if _, _, err := in.ReadFrom(buf); err != nil {
				return
			}
			s.got.Add(1)
		}
	}()
	go func() {
		defer close(ended)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if _, err := out.Write([]byte("x")); err == nil {
					s.sent.Add(1)
				}
			}
		}
	}()
	w.t.Cleanup(func() {
		close(stop)
		<-ended
		if err := errors.Join(out.Close(), in.Close()); err != nil {
			w.t.Error(err)
		}
	})
	return s
}

// silent watches for a while and reports what got through, failing if nothing was sent.
func (s *stream) silent(t *testing.T, what string, during func()) {
	t.Helper()
	sent, got := s.sent.Load(), s.got.Load()
	during()
	if s.sent.Load() == sent {
		t.Fatalf("%s: nothing was sent", what)
	}
	if through := s.got.Load() - got; through != 0 {
		t.Errorf("%s: %d of %d packets got through", what, through, s.sent.Load()-sent)
	}
}
