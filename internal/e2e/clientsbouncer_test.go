//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// wiredForeign is a node behind a cable that leaves its machine's firewall alone, and
// the configuration of CrowdSec's firewall bouncer.
func wiredForeign(t *testing.T) (*wired, *foreign) {
	t.Helper()
	clientsRoot(t)
	w := wire(t)
	const lapi = "127.0.0.1:8081"
	w.up("mode off", "", "api {\n\t\t\tlisten "+lapi+"\n\t\t}")
	f := foreigners(t, w.node, "http://"+lapi)
	f.in = func(program string, args ...string) *exec.Cmd { return w.server.Command(program, args...) }
	f.write("bouncer.yaml", f.expand(`mode: nftables
pid_dir: {dir}/
update_frequency: 1s
daemonize: false
log_mode: stdout
log_level: debug
api_url: `+f.lapi+`
api_key: `+f.key("firewall")+`
disable_ipv6: false
deny_action: DROP
supported_decisions_types: [ban]
blacklists_ipv4: crowdsec-blacklists
blacklists_ipv6: crowdsec6-blacklists
nftables:
  ipv4: {enabled: true, set-only: false, table: crowdsec, chain: crowdsec-chain}
  ipv6: {enabled: true, set-only: false, table: crowdsec6, chain: crowdsec6-chain}
prometheus: {enabled: false}
`))
	return w, f
}

// firewallBouncer runs the bouncer on the node's machine.
func (f *foreign) firewallBouncer(w *wired) (stop func()) {
	f.t.Helper()
	stop = f.keep("bouncer.log", f.client("crowdsec-firewall-bouncer", "-c", f.path("bouncer.yaml")))
	until(f.t, "the bouncer has its table", func() bool { return strings.Contains(w.rules(), "crowdsec-blacklists") })
	return stop
}

// TestClientFirewallBouncer: what the node decides, whoever made it do so, the bouncer
// drops in the kernel, and lets in again.
func TestClientFirewallBouncer(t *testing.T) {
	t.Parallel()
	w, f := wiredForeign(t)
	f.firewallBouncer(w)
	flow := w.stream(attacker)
	until(t, "all is open", func() bool { return w.reaches(attacker) && w.reaches(other) && flow.got.Load() > 0 })

	f.tell("successfully added", "decisions", "add", "-i", attacker, "-d", "1h")
	until(t, "the ban by cscli drops", func() bool { return !w.reaches(attacker) })
	flow.silent(t, "while it is banned", func() {
		if !w.reaches(other) {
			t.Error("another client is dropped too")
		}
		if _, err := w.web(attacker, "", "/"); err == nil {
			t.Error("the site answers")
		}
	})
	f.tell("1 decision(s) deleted", "decisions", "delete", "-i", attacker)
	until(t, "it gets through after the deletion", func() bool { return w.reaches(attacker) })

	// What our own engine finds in a log.
	w.guess(other, 7)
	w.banned(other)
	until(t, "the engine's ban drops", func() bool { return !w.reaches(other) })
	w.do("unban", other)
	until(t, "it gets through after unban", func() bool { return w.reaches(other) })

	// Deleting an alert, which the server of CrowdSec announces to nobody.
	f.tell("successfully added", "decisions", "add", "-i", third, "-d", "1h")
	until(t, "the third is dropped", func() bool { return !w.reaches(third) })
	f.tell("alert(s) deleted", "alerts", "delete", "-i", third)
	until(t, "it gets through after its alert was deleted", func() bool { return w.reaches(third) })

	// An allow entry.
	f.tell("successfully added", "decisions", "add", "-i", proxied, "-d", "1h")
	until(t, "the fourth is dropped", func() bool { return !w.reaches(proxied) })
	w.do("allowlist", "add", proxied)
	until(t, "it gets through when it is allowed", func() bool { return w.reaches(proxied) })

	f.tell("successfully added", "decisions", "add", "-i", sixth+"9", "-d", "1h")
	until(t, "IPv6 is in its set", func() bool { return strings.Contains(w.rules(), sixth+"9") })
}

// TestClientFirewallBouncerLongerBan: a ban that outlives a shorter one of the same
// address goes on. The bouncer keeps the first end it is told and forgets the element
// then; it must be told again.
func TestClientFirewallBouncerLongerBan(t *testing.T) {
	t.Parallel()
	w, f := wiredForeign(t)
	f.firewallBouncer(w)
	// On a busy machine the short ban may end before the long one comes; then another
	// address has more time.
	for i, ip := range []string{attacker, other, third} {
		short := 10 * time.Second << i
		begun := time.Now()
		f.tell("successfully added", "decisions", "add", "-i", ip, "-d", short.String())
		for w.reaches(ip) && time.Since(begun) < short {
		}
		f.tell("successfully added", "decisions", "add", "-i", ip, "-d", "1h")
		if time.Since(begun) >= short {
			continue
		}
		time.Sleep(time.Until(begun.Add(short)))
		left := regexp.MustCompile(regexp.QuoteMeta(ip) + ` timeout \S+ expires (\S+)`)
		until(t, "the long ban is in the set", func() bool {
			m := left.FindStringSubmatch(w.rules())
			return m != nil && strings.Contains(m[1], "59m")
		})
		if w.reaches(ip) {
			t.Error("it gets through")
		}
		f.tell("decision(s) deleted", "decisions", "delete", "-i", ip)
		until(t, "it gets through after the deletion", func() bool { return w.reaches(ip) })
		return
	}
	t.Error("each short ban ended before the long one came")
}

// TestClientFirewallBouncerReturns: the node's restart and the bouncer's change nothing
// of what is banned.
func TestClientFirewallBouncerReturns(t *testing.T) {
	t.Parallel()
	w, f := wiredForeign(t)
	stop := f.firewallBouncer(w)
	f.tell("successfully added", "decisions", "add", "-i", attacker, "-d", "1h")
	f.tell("successfully added", "decisions", "add", "-i", other, "-d", "1h")
	until(t, "both are dropped", func() bool { return !w.reaches(attacker) && !w.reaches(other) })
	w.stop()
	if w.reaches(attacker) {
		t.Error("without the node the ban ends")
	}
	w.start()
	f.tell("1 decision(s) deleted", "decisions", "delete", "-i", other)
	until(t, "what was deleted after the restart gets through", func() bool { return w.reaches(other) })
	if w.reaches(attacker) {
		t.Error("after the node's restart the other ban is gone")
	}
	stop()
	f.firewallBouncer(w)
	until(t, "the bouncer that returns drops again", func() bool { return !w.reaches(attacker) })
	if !w.reaches(other) {
		t.Error("and what was deleted before")
	}
}

// customBouncer runs the custom bouncer with a script that writes down how it is called.
func (f *foreign) customBouncer(key string) {
	f.t.Helper()
	f.write("script.sh", f.expand("#!/bin/sh\nfor a in \"$@\"; do printf '%s\\t' \"$a\"; done >> {dir}/calls\necho >> {dir}/calls\n"))
	if err := os.Chmod(f.path("script.sh"), 0o755); err != nil {
		f.t.Fatal(err)
	}
	f.write("custom.yaml", f.expand(`bin_path: {dir}/script.sh
feed_via_stdin: false
piddir: {dir}/
update_frequency: 1s
cache_retention_duration: 1s
daemonize: false
log_mode: stdout
log_level: debug
api_url: `+f.lapi+`
api_key: `+key+`
prometheus: {enabled: false}
`))
	f.keep("custom.log", f.client("crowdsec-custom-bouncer", "-c", f.path("custom.yaml")))
}

// called waits until the script was called for a value, and returns how: the decision
// as the bouncer has it.
func (f *foreign) called(verb, value string) map[string]any {
	f.t.Helper()
	var out map[string]any
	until(f.t, fmt.Sprintf("the script is called: %s %s", verb, value), func() bool {
		for line := range strings.Lines(f.read("calls")) {
			args := strings.Split(strings.TrimRight(line, "\t\n"), "\t")
			if len(args) != 5 || args[0] != verb || args[1] != value {
				continue
			}
			if err := json.Unmarshal([]byte(args[4]), &out); err != nil {
				f.t.Fatalf("called with %q: %v", args, err)
			}
			if s, err := strconv.Atoi(args[2]); err != nil || verb == "add" && s <= 0 {
				f.t.Fatalf("called with %q: no seconds", args)
			}
			out["reason of the call"] = args[3]
			return true
		}
		return false
	})
	return out
}

// TestClientCustomBouncer: the script hears of what was there before, of what comes
// and of what goes.
func TestClientCustomBouncer(t *testing.T) {
	t.Parallel()
	f := foreignNode(t)
	f.tell("successfully added", "decisions", "add", "-i", "203.0.113.1", "-R", "from before")
	f.customBouncer(f.key("custom"))
	before := f.called("add", "203.0.113.1")
	if before["reason of the call"] != "from before" || before["origin"] != "cscli" || before["type"] != "ban" || before["scope"] != "Ip" {
		t.Errorf("called with %v", before)
	}
	f.tell("successfully added", "decisions", "add", "-r", "198.51.100.0/24", "-t", "captcha")
	if got := f.called("add", "198.51.100.0/24"); got["type"] != "captcha" || got["scope"] != "Range" {
		t.Errorf("called with %v", got)
	}
	f.tell("decision(s) deleted", "decisions", "delete", "-i", "203.0.113.1")
	f.called("del", "203.0.113.1")
	f.tell("successfully added", "decisions", "add", "-i", "203.0.113.2", "-d", "12s") // long enough to be told on a busy machine
	f.called("add", "203.0.113.2")
	f.called("del", "203.0.113.2") // it ends by itself
	if strings.Contains(f.read("calls"), "del\t198.51.100.0/24") {
		t.Error("the range was deleted by nobody")
	}
}

// TestClientWrongKey: a bouncer with a key that nobody gave it is told so, and nothing else.
func TestClientWrongKey(t *testing.T) {
	t.Parallel()
	f := foreignNode(t)
	f.tell("successfully added", "decisions", "add", "-i", "203.0.113.1")
	f.customBouncer("some other key")
	until(t, "the bouncer is told", func() bool { return strings.Contains(f.read("custom.log"), "access forbidden") })
	if calls := f.read("calls"); calls != "" {
		t.Errorf("it calls its script: %s", calls)
	}
}
