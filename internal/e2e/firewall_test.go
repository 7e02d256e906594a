//go:build linux

package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestKernelDropsAnSSHOffender: what the log tells of a client is enough to drop
// its packets, of new connections and of those that are open, for every service.
// Unban and expiry let it in again.
func TestKernelDropsAnSSHOffender(t *testing.T) {
	t.Parallel()
	w := wire(t)
	w.up("mode nftables", "", "")
	open, err := w.dial(attacker, plainPort, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	flow := w.stream(attacker)
	until(t, "all is open", func() bool { return answers(open, time.Second) && w.reaches(attacker) && flow.got.Load() > 0 })

	w.guess(attacker, 7)
	seen := w.banned(attacker)
	if b := w.why(attacker).Firewall; b == nil {
		until(t, "why tells of the firewall", func() bool { return w.why(attacker).Firewall != nil })
	}
	time.Sleep(time.Until(seen.Add(time.Second)))
	flow.silent(t, "a second after the ban", func() {
		if answers(open, time.Second) {
			t.Error("a connection that was open goes on")
		}
		if w.reaches(attacker) {
			t.Error("a new connection is answered")
		}
		if a, err := w.web(attacker, "", "/"); err == nil {
			t.Errorf("the site answers %d", a.status)
		}
	})
	if !w.reaches(other) {
		t.Error("another client is dropped too")
	}
	st := w.status()
	if st.Firewall.Active != "nftables" || st.Firewall.Entries != 1 || st.Firewall.Dropped["crowdsec"].Packets == 0 {
		t.Errorf("status of the firewall: %+v", st.Firewall)
	}
	for _, c := range [][]string{{"why", attacker}, {"status"}} {
		if out := w.do(c...); !strings.Contains(out, "firewall") || strings.Contains(out, "problem ") {
			t.Errorf("%v says\n%s", c, out)
		}
	}

	w.do("unban", attacker)
	until(t, "new connections are answered after unban", func() bool { return w.reaches(attacker) })
	until(t, "the open connection goes on", func() bool { return answers(open, time.Second) })

	w.do("decisions", "add", attacker, "--duration", "4s", "--reason", "test")
	end := w.decided(attacker)[0].Until
	until(t, "the ban by hand drops", func() bool { return !w.reaches(attacker) })
	flow.silent(t, "until the ban ends", func() { time.Sleep(time.Until(end.Add(-200 * time.Millisecond))) })
	until(t, "it ends", func() bool { return w.reaches(attacker) })
	if time.Now().Before(end) {
		t.Error("the ban ended before its time")
	}
	until(t, "nothing is left of it", func() bool { return w.status().Firewall.Entries == 0 && !strings.Contains(w.rules(), attacker) })
}

// TestAllowedClientInABannedNetwork: the allowlist outranks bans in the kernel, in
// whatever order they came.
func TestAllowedClientInABannedNetwork(t *testing.T) {
	t.Parallel()
	w := wire(t)
	w.up("mode nftables", "", "")
	flow := w.stream(other)
	w.do("decisions", "add", "10.77.0.0/24")
	until(t, "the network is dropped", func() bool { return !w.reaches(attacker) && !w.reaches(other) })
	w.do("allowlist", "add", attacker)
	until(t, "the allowed client gets through", func() bool { return w.reaches(attacker) })
	if a := w.must(attacker, "", "/"); a.status != 200 {
		t.Errorf("the site answers it %d", a.status)
	}
	flow.silent(t, "its neighbour", func() {
		w.do("allowlist", "add", third, "--duration", "1h")
		until(t, "a second one gets through", func() bool { return w.reaches(third) })
	})
	w.do("allowlist", "delete", attacker)
	until(t, "the first one is dropped again", func() bool { return !w.reaches(attacker) })
	if !w.reaches(third) {
		t.Error("with it the second one is dropped")
	}
	w.do("unban", "10.77.0.0/24")
	until(t, "all get through", func() bool { return w.reaches(attacker) && w.reaches(other) && w.reaches(third) })
}

// TestForeignHandsWithOwner: the kernel keeps other programs off our table.
func TestForeignHandsWithOwner(t *testing.T) {
	t.Parallel()
	w := wire(t)
	w.server.Run(t, "nft", "add table inet foreign { chain c { type filter hook input priority 0 ; } ; }")
	w.up("mode nftables", "", "")
	if !w.status().Firewall.Owner {
		t.Skip("skipped: this kernel has no owner flag for tables")
	}
	if !strings.Contains(w.rules(), "table inet foreign") {
		t.Error("somebody else's table went when ours came")
	}
	w.do("decisions", "add", attacker)
	until(t, "the ban drops", func() bool { return !w.reaches(attacker) })
	flow := w.stream(attacker)
	flow.silent(t, "while others try", func() {
		if out, err := w.server.Command("nft", "flush ruleset").CombinedOutput(); err != nil {
			t.Logf("flush ruleset: %v: %s", err, out)
		}
		for _, c := range []string{"delete table inet rampart", "flush table inet rampart", "flush map inet rampart ban4",
			"delete element inet rampart ban4 { 10.77.0.2 }", "add rule inet rampart pre accept"} {
			if _, err := w.server.Command("nft", c).CombinedOutput(); err == nil {
				t.Errorf("nft %s worked", c)
			}
		}
		time.Sleep(time.Second)
	})
	if rules := w.rules(); !strings.Contains(rules, attacker) || strings.Contains(rules, "table inet foreign") {
		t.Errorf("after flush ruleset:\n%s", rules)
	}
	if st := w.status().Firewall; st.Repairs != 0 || st.Errors != 0 {
		t.Errorf("status: %+v", st)
	}
}

// TestForeignHandsWithoutOwner: where the kernel does not keep others off, what
// they break is mended within a minute.
func TestForeignHandsWithoutOwner(t *testing.T) {
	t.Parallel()
	w := wire(t)
	w.up("mode nftables\nowner off", "", "")
	w.do("decisions", "add", attacker)
	until(t, "the ban drops", func() bool { return !w.reaches(attacker) })
	for i, c := range []string{"flush ruleset", "delete element inet %s ban4 { 10.77.0.2 }"} {
		if strings.Contains(c, "%s") {
			c = fmt.Sprintf(c, w.status().Firewall.Table)
		}
		w.server.Run(t, "nft", c)
		broken := time.Now()
		for w.status().Firewall.Repairs != int64(i+1) {
			if time.Since(broken) > time.Minute {
				t.Fatalf("a minute after nft %s: %+v", c, w.status().Firewall)
			}
			time.Sleep(50 * time.Millisecond)
		}
		flow := w.stream(attacker)
		flow.silent(t, "repaired after "+c, func() {
			if w.reaches(attacker) {
				t.Errorf("after nft %s and the repair the banned client gets through", c)
			}
		})
	}
	if !strings.Contains(w.read("rampart.log"), "somebody changed the table") {
		t.Error("the log does not tell that somebody changed the table")
	}
}

// TestKilledAndStartedAgain: bans hold without the node and through its start,
// and what ended or was allowed meanwhile is not there afterwards.
func TestKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	w := wire(t)
	w.up("mode nftables", "", "")
	w.guess(attacker, 7)
	w.banned(attacker)
	w.do("decisions", "add", third)
	w.do("decisions", "add", other, "--duration", "8s")
	until(t, "all three are dropped", func() bool { return !w.reaches(attacker) && !w.reaches(other) && !w.reaches(third) })
	end := w.decided(other)[0].Until
	time.Sleep(1500 * time.Millisecond) // the journal is written behind
	flow := w.stream(attacker)
	flow.silent(t, "killed and started again", func() {
		w.kill()
		time.Sleep(time.Until(end.Add(500 * time.Millisecond)))
		w.configure("mode nftables", "", "allow "+third)
		w.start()
		until(t, "what ended or was allowed gets through", func() bool { return w.reaches(other) && w.reaches(third) })
		if w.reaches(attacker) {
			t.Error("the third one gets through too")
		}
		if f := w.status().Firewall; f.Active != "nftables" || f.Entries != 1 {
			t.Errorf("status: %+v", f)
		}
	})
	for _, gone := range []string{other, third} {
		if rules := w.rules(); strings.Contains(rules, gone+" timeout") {
			t.Errorf("%s is still in the rules:\n%s", gone, rules)
		}
	}
	if n := strings.Count(w.rules(), "table inet rampart"); n != 1 {
		t.Errorf("%d tables of ours", n)
	}

	flow.silent(t, "stopped and started again", func() {
		w.stop()
		if w.reaches(attacker) {
			t.Error("the ban ended with the process")
		}
		w.start()
		time.Sleep(500 * time.Millisecond)
	})
	w.stop()
	w.configure("mode off", "", "")
	w.start()
	if rules := w.rules(); strings.Contains(rules, "table") || !w.reaches(attacker) {
		t.Errorf("after starting with the firewall off there is still\n%s", rules)
	}
	if a := w.must(attacker, "", "/"); a.status != 403 {
		t.Errorf("with the firewall off the site answers the banned client %d", a.status)
	}
}

// TestChangedFirewall: another owner flag or table name leaves no gap and no table
// behind.
func TestChangedFirewall(t *testing.T) {
	t.Parallel()
	w := wire(t)
	w.up("mode nftables", "", "")
	w.do("decisions", "add", attacker)
	until(t, "the ban drops", func() bool { return !w.reaches(attacker) })
	flow := w.stream(attacker)
	flow.silent(t, "reloads", func() {
		for _, firewall := range []string{"mode nftables\nowner off", "mode nftables\ntable wall", "mode nftables\ntable wall\nhits 5"} {
			w.configure(firewall, "", "")
			if err := w.reload(w.read("Caddyfile")); err != nil {
				t.Fatal(err)
			}
			if f := w.status().Firewall; f.Active != "nftables" || f.Problem != "" || f.Entries != 1 {
				t.Errorf("%q: %+v", firewall, f)
			}
		}
		time.Sleep(200 * time.Millisecond)
	})
	if rules := w.rules(); strings.Contains(rules, "table inet rampart") || strings.Count(rules, "table inet") != 1 {
		t.Errorf("left behind:\n%s", rules)
	}
	w.configure("mode dry-run", "", "")
	if err := w.reload(w.read("Caddyfile")); err != nil {
		t.Fatal(err)
	}
	if rules := w.rules(); strings.Contains(rules, "table") || !w.reaches(attacker) {
		t.Errorf("in dry-run there is still\n%s", rules)
	}
}

// TestWithoutTheRight: a node that may not change nftables says so once, clearly,
// and refuses over HTTP all the same.
func TestWithoutTheRight(t *testing.T) {
	n := newNode(t)
	if os.Geteuid() == 0 {
		n.wrap("exec setpriv --bounding-set -net_admin --inh-caps -net_admin")
	}
	n.write("Caddyfile", n.expand(basicWith("firewall {\n\t\t\tmode nftables\n\t\t}")))
	n.start()
	n.do("decisions", "add", "203.0.113.9")
	f := n.status().Firewall
	if f.Mode != "nftables" || f.Active != "dry-run" || f.Entries != 1 {
		t.Errorf("status: %+v", f)
	}
	out := n.do("status")
	for _, want := range []string{"CAP_NET_ADMIN", "AmbientCapabilities", "dry-run instead of nftables, 1 ban"} {
		if !strings.Contains(out, want) {
			t.Errorf("status does not say %s:\n%s", want, out)
		}
	}
	if n := strings.Count(n.read("rampart.log"), "setcap cap_net_admin"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
	if a := n.send("203.0.113.9", "GET", "/"); a.status != 403 {
		t.Errorf("over HTTP the banned client gets %d", a.status)
	}
	if w := n.why("203.0.113.9"); w.Firewall != nil {
		t.Error("why says that the firewall drops, which it does not")
	}
}

// TestDoorBeforeTLS: the listener wrapper ends a banned peer's connection without
// a byte of TLS; a challenged one's goes on.
func TestDoorBeforeTLS(t *testing.T) {
	t.Parallel()
	w := wire(t)
	w.write("Caddyfile", w.expand(`{
	admin {admin}
	skip_install_trust
	auto_https disable_redirects
	servers {
		listener_wrappers {
			rampart
			tls
		}
	}
	rampart {
		data_dir {state}
	}
}
https://10.77.0.1:8443 {
	tls internal
	rampart
	respond "hello" 200
}
`))
	w.start()
	shake := func(from string) (int64, error) {
		c, err := w.dial(from, "8443", patience)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		counted := &countedConn{Conn: c}
		s := tls.Client(counted, &tls.Config{InsecureSkipVerify: true, ServerName: "10.77.0.1"})
		_ = s.SetDeadline(time.Now().Add(patience))
		if err := s.Handshake(); err != nil {
			return counted.read, err
		}
		fmt.Fprint(s, "GET / HTTP/1.1\r\nHost: 10.77.0.1:8443\r\nConnection: close\r\n\r\n")
		_, err = io.ReadAll(s)
		return counted.read, err
	}
	until(t, "the certificate is there", func() bool { n, err := shake(attacker); return err == nil && n > 0 })
	w.do("decisions", "add", attacker)
	w.do("decisions", "add", other, "--type", "captcha")
	for range 3 {
		if n, err := shake(attacker); err == nil || n != 0 {
			t.Errorf("the banned peer read %d bytes, error %v", n, err)
		}
	}
	if _, err := shake(other); err != nil {
		t.Errorf("the challenged peer: %v", err)
	}
	if closed := w.status().Requests.Closed; closed != 3 {
		t.Errorf("%d connections counted as closed, want 3", closed)
	}
	w.do("unban", attacker)
	if _, err := shake(attacker); err != nil {
		t.Errorf("after unban: %v", err)
	}
}

type countedConn struct {
	net.Conn
	read int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read += int64(n)
	return n, err
}
