//go:build linux

package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// shortBans are profiles whose bans a test can wait for, but for one client's.
const shortBans = `name: long
filters:
  - Alert.Remediation && Alert.GetValue() == "10.77.0.3"
decisions:
  - type: ban
    duration: 1h
on_success: break
---
name: short
filters:
  - Alert.Remediation
decisions:
  - type: ban
    duration: 6s
on_success: break
`

// bait is a scenario without a blackhole: it overflows again as soon as a ban is over.
const bait = `type: leaky
filter: evt.Meta.log_type == 'http_access-log' && evt.Meta.http_path startsWith '/bait'
groupby: evt.Meta.source_ip
capacity: 2
leakspeed: 10s
labels:
  service: http
`

// baited is the configuration of both.
const baited = "profiles {dir}/profiles.yaml\nscenarios {dir}/bait.yaml"

// scan overflows the bucket of bait.
func (w *wired) scan(from, onBehalf string) {
	w.t.Helper()
	for range 6 {
		a, err := w.web(from, onBehalf, "/bait", "Accept", "text/html")
		if err != nil {
			return // dropped already
		}
		if a.status == 403 {
			return
		}
	}
	w.t.Errorf("%s%s is not refused after a scan", from, onBehalf)
}

// TestRepeatOffendersOverHTTP: the first ban shows a page; the second one, or
// going on regardless, is answered in the kernel.
func TestRepeatOffendersOverHTTP(t *testing.T) {
	t.Parallel()
	w := wire(t)
	w.write("profiles.yaml", shortBans)
	w.write("bait.yaml", bait)
	w.up("mode nftables\nhits 10", "", baited)

	w.scan(attacker, "")
	first := w.banned(attacker)
	if a := w.must(attacker, "", "/"); a.status != 403 || a.remediation() != "ban" {
		t.Errorf("the first ban: %d %s, want a page", a.status, a.remediation())
	}
	if w.status().Firewall.Entries != 0 {
		t.Error("the first ban is in the kernel already")
	}

	w.scan(other, "")
	w.banned(other)
	dropped := false
	for i := 0; i < 40 && !dropped; i++ {
		_, err := w.web(other, "", "/")
		dropped = err != nil
		if dropped && i < 8 {
			t.Errorf("dropped after %d requests, 10 are allowed", i+1)
		}
	}
	if !dropped || w.reaches(other) {
		t.Error("a client that keeps sending is not dropped")
	}

	until(t, "the first ban is over", func() bool { return len(w.decided(attacker)) == 0 })
	if time.Since(first) < 5*time.Second {
		t.Errorf("it lasted %s", time.Since(first))
	}
	if !w.reaches(attacker) {
		t.Error("a client whose ban is over is dropped")
	}
	time.Sleep(time.Second)
	w.scan(attacker, "")
	w.banned(attacker)
	until(t, "the second ban drops", func() bool { return !w.reaches(attacker) })
	until(t, "and ends", func() bool { return w.reaches(attacker) })
}

// TestLadderEndsInTheKernel: with nothing configured, a scanner that ignores its
// challenge is banned, and one that goes on even then is dropped. Over IPv6 that
// holds for all addresses of a customer together.
func TestLadderEndsInTheKernel(t *testing.T) {
	t.Parallel()
	w := wire(t)
	for i := range 3 {
		w.client.AddAddress(t, netip.PrefixFrom(netip.MustParseAddr(fmt.Sprint(sixth, i+1)), 32))
	}
	w.up("mode nftables", "", "")
	for _, from := range [][]string{{attacker}, {sixth + "1", sixth + "2", sixth + "3"}} {
		var seen []string
		for i := range 400 {
			a, err := w.web(from[i%len(from)], "", fmt.Sprintf("/.env.%d", i), "Accept", "text/html")
			did := a.remediation()
			if err != nil {
				did = "dropped"
			}
			if len(seen) == 0 || seen[len(seen)-1] != did {
				seen = append(seen, did)
			}
			if err != nil {
				break
			}
		}
		if got := strings.Join(seen, ","); got != ",captcha,ban,dropped" {
			t.Errorf("%s met %q", from[0], got)
		}
		for _, a := range from {
			if w.reaches(a) {
				t.Errorf("%s is not dropped", a)
			}
		}
	}
	if !w.reaches(other) {
		t.Error("another client is dropped")
	}
}

// TestProxiedClientsStayOutOfTheKernel: who was seen through a proxy is refused
// there, and neither that address nor the proxy is ever dropped.
func TestProxiedClientsStayOutOfTheKernel(t *testing.T) {
	t.Parallel()
	w := wire(t)
	w.write("profiles.yaml", shortBans)
	w.write("bait.yaml", bait)
	w.up("mode nftables\nhits 5", "servers {\ntrusted_proxies static "+proxy+"/32\ntrusted_proxies_strict\n}",
		baited)
	for range 2 {
		w.scan(proxy, proxied)
		w.banned(proxied)
		for range 30 {
			if a := w.must(proxy, proxied, "/"); a.status != 403 {
				t.Fatalf("the proxied client got %d", a.status)
			}
			if a := w.must(proxied, "", "/"); a.status != 403 {
				t.Fatalf("the same address without the proxy got %d", a.status)
			}
		}
		if !w.reaches(proxied) || !w.reaches(proxy) {
			t.Fatal("the address or its proxy is dropped")
		}
		until(t, "the ban ends", func() bool { return len(w.decided(proxied)) == 0 })
	}
	if a := w.must(proxy, attacker, "/"); a.status != 200 {
		t.Errorf("another client of the proxy got %d", a.status)
	}
	// Nobody can ban the proxy: not its own requests, not the log, not by network.
	w.guess(proxy, 10)
	w.guess(attacker, 10)
	w.banned(attacker)
	for i := range 10 {
		if a := w.must(proxy, "", fmt.Sprintf("/.env.%d", i)); a.status != 200 {
			t.Fatalf("the proxy itself got %d", a.status)
		}
	}
	w.do("decisions", "add", "10.77.0.0/24")
	until(t, "the network is dropped", func() bool { return !w.reaches(third) })
	if !w.reaches(proxy) {
		t.Error("with its network the proxy is dropped")
	}
	if a := w.must(proxy, "192.0.2.1", "/"); a.status != 200 {
		t.Errorf("a client of the proxy got %d", a.status)
	}
}

// TestNetworkOfAProxyNeverSeen: a network is banned before its trusted proxy has
// sent anything.
func TestNetworkOfAProxyNeverSeen(t *testing.T) {
	t.Parallel()
	w := wire(t)
	w.up("mode nftables", "servers {\ntrusted_proxies static "+proxy+"/32\ntrusted_proxies_strict\n}", "")
	w.do("decisions", "add", "10.77.0.0/24")
	until(t, "the network is dropped", func() bool { return !w.reaches(third) })
	if !w.reaches(proxy) {
		t.Error("with its network the proxy is dropped")
	}
}
