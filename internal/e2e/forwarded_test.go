package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// forwarded is a site behind a trusted proxy that answers every log-in with 401.
const forwarded = `{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32 198.18.0.0/15
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		allow 192.0.2.0/25 2001:db8:a11::/48
		source file {dir}/auth.log
	}
}
http://127.0.0.1:{port} {
	rampart
	respond /wp-login.php 401
	respond "hello"
}
`

// TestForgedForwarding sends log-ins through the trusted proxy, which appends the
// true client to what the client says itself.
func TestForgedForwarding(t *testing.T) {
	n := newNode(t)
	n.write("auth.log", "")
	n.write("Caddyfile", n.expand(forwarded))
	n.start()
	long := strings.TrimSuffix(strings.Repeat(victim+", ", 100), ", ")
	junk := strings.TrimSuffix(strings.Repeat(`unknown, "_x", [::1%25lo]:1, 999.1.1.1, fe80::1%eth0, ::ffff:`+victim+", ", 17), ", ")
	var sources []string
	for i, c := range []struct{ before, after string }{
		{victim + ", ", ""},
		{victim + ",", ""},
		{victim + ", 198.18.0.7, ", ""},
		{victim + ", ", ", 198.18.0.7, 198.18.0.8"},
		{long + ", ", ""},
		{junk + ", ", ""},
		{strings.Repeat("x", 8000) + ", ", ""},
		{", , " + victim + " , ,, ", ""},
		{victim + ":443, ", ":52311"},
		{victim + ", ::ffff:", ""},
		{victim6 + ", ", " "},
		{"\t" + victim + ",\t", ""},
		{victim + "\x80, ", ""},
	} {
		source := fmt.Sprintf("198.51.100.%d", 20+i)
		sources = append(sources, source)
		n.logIn(t, c.before+source+c.after, "X-Real-IP", victim, "Forwarded", "for="+victim, "CF-Connecting-IP", victim,
			"True-Client-IP", victim, "Client-IP", victim, "X-Client-IP", victim, "X-Cluster-Client-IP", victim)
	}
	// The true client in a header line of its own, behind the client's.
	sources = append(sources, "198.51.100.50", "2001:db8:7::1")
	n.logIn(t, victim, "+X-Forwarded-For", "198.51.100.50")
	n.logIn(t, victim, "+X-Forwarded-For", "[2001:db8:7::1]:4000")
	n.onlyNames(sources...)
	for _, s := range sources {
		if len(n.decided(s)) == 0 {
			t.Errorf("nothing is decided about %s", s)
		}
	}
}

// TestForgedNameless: what stands left of an entry that is no address may be the
// client's own word, even though the proxy is trusted. Then nobody is named, and
// the requests are counted.
func TestForgedNameless(t *testing.T) {
	n := newNode(t)
	n.write("auth.log", "")
	n.write("Caddyfile", n.expand(forwarded))
	n.start()
	for _, after := range []string{", unknown", ", unix:", ", _hidden, 198.18.0.7", `, "`, ", 300.1.1.1", ", -"} {
		n.logIn(t, victim+after)
	}
	until(t, "the requests are counted", func() bool { return n.status().Requests.Unknown == 6*7 })
	n.logIn(t, victim+", 198.51.100.70") // and a source that is named, to compare
	n.onlyNames("198.51.100.70")
}

// logIn fails to log in seven times.
func (n *node) logIn(t *testing.T, forwarded string, header ...string) {
	t.Helper()
	for range 7 {
		req, err := http.NewRequest("POST", n.url+"/wp-login.php", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", forwarded)
		for i := 0; i+1 < len(header); i += 2 {
			if name, ok := strings.CutPrefix(header[i], "+"); ok {
				req.Header.Add(name, header[i+1])
			} else {
				req.Header.Set(header[i], header[i+1])
			}
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%.60q: %v", forwarded, err)
		}
		resp.Body.Close()
	}
}

// TestForgedPeer: who is not a trusted proxy names nobody. The true source here is
// another address of loopback, which cannot be banned; it is what the alert names.
func TestForgedPeer(t *testing.T) {
	n := newNode(t)
	n.write("auth.log", "")
	n.write("Caddyfile", n.expand(forwarded))
	n.start()
	for i := range 7 {
		for _, target := range []string{"/wp-login.php", "/wp-login.php?a=%0AX-Forwarded-For:%20" + victim, "/wp-login.php?" + victim} {
			head := "POST " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: " + victim + "\r\nConnection: close\r\n"
			if got := n.raw(t, "127.0.0.2", head+"\r\n"); !strings.HasPrefix(got, "HTTP/1.1 401") {
				t.Errorf("attempt %d got %.60q", i, got)
			}
		}
		// A line break in the target or in a header makes the request malformed.
		for _, head := range []string{
			"POST /wp-login.php\n HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + victim + "\r\n",
			"POST /wp-login.php\r HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + victim + "\r\n",
			"POST /wp-login.php HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r" + victim + "\r\n",
		} {
			if got := n.raw(t, "127.0.0.2", head+"\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") {
				t.Errorf("%q got %.60q", head, got)
			}
		}
	}
	n.onlyNames("127.0.0.2")
	if ds := n.decided("127.0.0.2"); slices.ContainsFunc(ds, func(d decisions.Decision) bool { return !d.Suppressed }) {
		t.Errorf("loopback: %+v", ds)
	}
}

// raw sends bytes from an address of loopback and returns the answer.
func (n *node) raw(t *testing.T, from, request string) string {
	t.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", "127.0.0.1:"+n.port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil && len(b) == 0 {
		t.Fatal(err)
	}
	return string(b)
}

// TestUntouchable: loopback, this host, trusted proxies and the allowlist are never
// refused, whoever asks for it: live requests, log lines, an operator.
func TestUntouchable(t *testing.T) {
	n := newNode(t)
	n.write("auth.log", "")
	n.write("Caddyfile", n.expand(forwarded))
	n.start()
	n.followed()
	if out, err := n.rampart("allowlist", "add", "198.51.100.200"); err != nil {
		t.Fatal(err, out)
	}
	safe := append([]string{"127.0.0.1", "127.9.9.9", "::1", "198.18.0.7", "198.19.255.1", "192.0.2.7", "2001:db8:a11::7",
		"198.51.100.200", "::ffff:192.0.2.7"}, hostAddresses(t)...)
	for _, ip := range safe {
		n.logIn(t, ip)
		for range 8 {
			n.add("auth.log", sshFailure(time.Now(), "root", ip))
		}
		out, err := n.rampart("decisions", "add", "--bypass-allowlist", ip)
		if err != nil || !strings.Contains(out, "suppressed by the allowlist") {
			t.Errorf("decisions add %s: %v\n%s", ip, err, out)
		}
	}
	until(t, "all lines are read", func() bool { return n.status().Events.Lines == int64(8*len(safe)) })
	for _, network := range []string{"127.0.0.0/8", "198.18.0.0/15", "192.0.2.0/28", "2001:db8:a11:1::/64"} {
		if out, err := n.rampart("decisions", "add", "--bypass-allowlist", network); err != nil || !strings.Contains(out, "suppressed") {
			t.Errorf("decisions add %s: %v\n%s", network, err, out)
		}
	}
	// Around what is allowed a ban holds, and still lets it through.
	if out, err := n.rampart("decisions", "add", "192.0.0.0/16"); err != nil || strings.Contains(out, "suppressed") {
		t.Errorf("decisions add 192.0.0.0/16: %v\n%s", err, out)
	}
	if a := n.send("192.0.9.9", "GET", "/"); a.status != 403 {
		t.Errorf("beside the allowlist: %d", a.status)
	}
	for _, ip := range safe {
		for _, d := range n.decided(ip) {
			if !d.Suppressed && d.Value != "192.0.0.0/16" {
				t.Errorf("%s: %+v", ip, d)
			}
		}
		if a := n.send(ip, "GET", "/"); a.status != 200 {
			t.Errorf("%s got %d %s", ip, a.status, a.remediation())
		}
	}
	if s := n.status(); s.Suppressed == 0 {
		t.Error("nothing was suppressed, so nothing was shown")
	}
	n.checkWords("198.18.0.7", "trusted_proxies")
}

// checkWords: `why` says what protects an address.
func (n *node) checkWords(ip, word string) {
	n.t.Helper()
	if out, err := n.rampart("why", ip); err != nil || !strings.Contains(out, word) {
		n.t.Errorf("why %s: %v\n%s", ip, err, out)
	}
}

// hostAddresses are those of this machine that a log could name.
func hostAddresses(t *testing.T) []string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() {
			out = append(out, n.IP.String())
		}
	}
	return out
}
