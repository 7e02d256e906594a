package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// seedScenario is the example with which this project began, and exactly its keys.
const seedScenario = `type: leaky
filter: evt.Meta.log_type == 'http_access-log' && evt.Meta.http_path == '/wp-login.php' && evt.Meta.http_status == '401'
groupby: evt.Meta.source_ip
capacity: 5
leakspeed: 10s
blackhole: 5m
labels:
  type: wordpress_bruteforce
`

// seedNode runs the seed example as an operator would: a file in a directory,
// everything else as it comes.
func seedNode(t *testing.T) *node {
	t.Helper()
	n := newNode(t)
	n.write("scenarios.d/wordpress_bruteforce.yaml", seedScenario)
	n.write("access.log", "")
	n.write("Caddyfile", n.expand(`{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		scenarios {dir}/scenarios.d
		source file {dir}/access.log {
			labels type=nginx
		}
	}
}
http://127.0.0.1:{port} {
	rampart
	respond /wp-login.php 401
	respond "hello" 200
}
`))
	n.start()
	n.followed()
	return n
}

// seedLine is an access log line of the form in the example: no zone, no referer,
// no agent.
func seedLine(ip string, at time.Time, bytes string) string {
	return fmt.Sprintf(`%s - - [%s] "POST /wp-login.php HTTP/1.1" 401%s`, ip, at.Format("02/Jan/2006:15:04:05"), bytes)
}

// banned checks that ip is banned for five minutes on account of the seed
// example, and by nothing for longer.
func (n *node) bannedForFive(ip string) {
	n.t.Helper()
	var seen []string
	// Another scenario may have overflowed a moment before.
	of := "value=" + ip + "&scenario=wordpress_bruteforce"
	until(n.t, ip+" is banned", func() bool { return len(n.decided(ip)) > 0 && len(n.alerts(of)) > 0 })
	for _, d := range n.decided(ip) {
		seen = append(seen, d.Scenario)
		if length := d.Until.Sub(d.Created).Round(10 * time.Second); d.Type != decisions.TypeBan || length != 5*time.Minute {
			n.t.Errorf("%s: a %s of %s for %s, want a ban of 5m", ip, d.Type, length, d.Scenario)
		}
	}
	if own := n.alerts(of); len(own) != 1 {
		n.t.Errorf("%s: %d alerts of the example, want 1; decisions for %v", ip, len(own), seen)
	} else if a := own[0]; a.EventsCount != 6 || a.Capacity != 5 || !a.Remediation || len(a.Decisions) != 1 {
		n.t.Errorf("%s: alert %+v", ip, a)
	}
}

func TestSeedLive(t *testing.T) {
	n := seedNode(t)
	const attacker, other = "203.0.113.50", "203.0.113.51"
	for i := range 6 {
		if a := n.send(attacker, "POST", "/wp-login.php"); a.status != 401 {
			t.Fatalf("attempt %d got %d", i+1, a.status)
		}
		if i < 5 {
			n.send(other, "POST", "/wp-login.php")
		}
	}
	n.bannedForFive(attacker)
	if a := n.send(attacker, "GET", "/"); a.status != 403 || a.remediation() != "ban" {
		t.Errorf("the attacker got %d %q", a.status, a.remediation())
	}
	until(t, "everything is examined", func() bool { return n.status().Events.Requests >= 11 })
	if ds := n.decided(other); len(ds) > 0 {
		t.Errorf("five attempts led to %+v", ds)
	}
	if a := n.send(other, "GET", "/"); a.status != 200 {
		t.Errorf("who tried five times got %d", a.status)
	}
}

// TestSeedLog reads the same attack from access log lines, with and without the
// size, stamped now.
func TestSeedLog(t *testing.T) {
	n := seedNode(t)
	now := time.Now()
	for i, c := range []struct{ ip, bytes string }{
		{"192.168.1.100", " 512"}, {"192.168.1.101", ""}, {"192.168.1.102", " -"}, {"2001:db8::100", " 512"},
	} {
		for k := range 6 {
			n.add("access.log", seedLine(c.ip, now.Add(time.Duration(k-6)*time.Second), c.bytes))
			if k < 5 {
				n.add("access.log", seedLine(fmt.Sprintf("192.168.2.%d", i), now.Add(time.Duration(k-6)*time.Second), c.bytes))
			}
		}
		n.bannedForFive(c.ip)
	}
	until(t, "all lines are read", func() bool { return n.status().Events.Lines == 44 })
	if s := n.status(); s.Events.Unparsed != 0 || s.Decisions["ban"] == 0 {
		t.Errorf("events %+v, decisions %v", s.Events, s.Decisions)
	}
	for i := range 4 {
		if ds := n.decided(fmt.Sprintf("192.168.2.%d", i)); len(ds) > 0 {
			t.Errorf("five lines led to %+v", ds)
		}
	}
	if a := n.send("192.168.1.100", "GET", "/"); a.status != 403 {
		t.Errorf("the banned address of the log got %d over HTTP", a.status)
	}
}

// TestSeedDropped puts the file there while the node runs.
func TestSeedDropped(t *testing.T) {
	n := newNode(t)
	n.write("scenarios.d/README", "not a scenario")
	n.write("Caddyfile", n.expand(basicWith("collection none\n\t\tscenarios {dir}/scenarios.d")))
	n.start()
	if got := n.status().Scenarios.Loaded; got != 0 {
		t.Fatalf("%d scenarios before there is one", got)
	}
	n.write("scenarios.d/wp.yml", strings.ReplaceAll(seedScenario, "401", "200"))
	until(t, "the new file is in force", func() bool { return n.status().Scenarios.Loaded == 1 })
	for range 6 {
		n.send("203.0.113.52", "GET", "/wp-login.php")
	}
	until(t, "the source is banned", func() bool { return len(n.decided("203.0.113.52")) == 1 })
	if d := n.decided("203.0.113.52")[0]; d.Scenario != "wp" || d.Type != "ban" {
		t.Errorf("decided: %+v", d)
	}
}

// TestSeedReplay runs the example over the very line that it came with.
func TestSeedReplay(t *testing.T) {
	n := newNode(t)
	n.write("wordpress_bruteforce.yaml", seedScenario)
	const line = `192.168.1.100 - - [10/Apr/2024:14:30:00] "POST /wp-login.php HTTP/1.1" 401 512`
	if at := time.Date(2024, 4, 10, 14, 30, 0, 0, time.UTC); seedLine("192.168.1.100", at, " 512") != line {
		t.Fatalf("the test's own line %q is not the example's", seedLine("192.168.1.100", at, " 512"))
	}
	for range 6 {
		n.add("access.log", line)
		n.add("nosize.log", strings.TrimSuffix(line, " 512"))
	}
	for i := range 6 { // one every two seconds: at the sixth, ten seconds in, one has leaked
		n.add("slow.log", strings.Replace(line, "30:00", fmt.Sprintf("30:%02d", 2*i), 1))
	}
	for file, want := range map[string]int{"access.log": 1, "nosize.log": 1, "slow.log": 0} {
		alerts := replayedAlerts(t, "--type", "nginx", "--scenario", n.path("wordpress_bruteforce.yaml"), n.path(file))
		got := 0
		for _, a := range alerts {
			if a.Scenario != "wordpress_bruteforce" {
				continue
			}
			got++
			if a.EventsCount != 6 || a.Source.Value != "192.168.1.100" || len(a.Decisions) != 1 ||
				a.Decisions[0].Type != "ban" || a.Decisions[0].Duration != "5m0s" {
				t.Errorf("%s: %+v", file, a)
			}
		}
		if got != want {
			t.Errorf("%s: %d alerts, want %d", file, got, want)
		}
	}
}
