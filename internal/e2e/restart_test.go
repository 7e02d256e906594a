package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// restarting is a node with a scenario of six, fed by requests and by a log.
const restarting = `{
	admin {admin}
	grace_period 5s
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		collection none
		scenarios {dir}/own.yaml
		source file {dir}/app.log {
			labels type=nginx
			from_start
		}
		limits {
			alerts 100000
		}
	}
}
http://127.0.0.1:{port} {
	rampart
	respond "hello" 200
}
`

// withoutRampart is what is left when an operator removes it.
const withoutRampart = `{
	admin {admin}
}
http://127.0.0.1:{port} {
	respond "bare" 200
}
`

// six overflows at the sixth login of a client, by request or by line.
const six = `---
name: six
type: leaky
filter: evt.Meta.http_path startsWith '/login'
groupby: evt.Meta.source_ip
capacity: 5
leakspeed: 10h
labels:
  remediation: true
`

func newRestarting(t *testing.T) *node {
	t.Helper()
	n := newNode(t)
	n.write("own.yaml", six+lineScenario)
	n.write("app.log", "")
	n.write("Caddyfile", n.expand(restarting))
	n.start()
	return n
}

// login tries to log in so many times, each on a connection of its own: one that
// was kept may belong to a configuration or a process that has gone.
func (n *node) login(from string, times int) (last answer) {
	n.t.Helper()
	for range times {
		last = n.send(from, "POST", "/login", "Connection", "close")
	}
	return last
}

// loginLines has the log tell of so many logins, and waits until they are read.
func (n *node) loginLines(from string, times int) {
	n.t.Helper()
	before := n.status().Events.Lines
	for range times {
		n.add("app.log", fmt.Sprintf(`%s - - [%s] "POST /login HTTP/1.1" 401 512 "-" "x"`, from, time.Now().Format("02/Jan/2006:15:04:05 -0700")))
	}
	until(n.t, "the lines are read", func() bool { return n.status().Events.Lines == before+int64(times) })
}

// TestCleanRestart: a stop by SIGTERM keeps half-full buckets, whichever input
// filled them, decisions, the allowlist, and the place in a log that goes on growing.
func TestCleanRestart(t *testing.T) {
	n := newRestarting(t)
	n.login("203.0.113.1", 5)
	n.loginLines("203.0.113.2", 5)
	n.login("203.0.113.3", 3)
	n.loginLines("::ffff:203.0.113.3", 2) // the same, as a server with one socket for both writes it
	n.login("203.0.113.4", 6)
	n.add("app.log", writerLine(0))
	if _, err := n.rampart("allowlist", "add", "198.51.100.0/24"); err != nil {
		t.Fatal(err)
	}
	if out, err := n.rampart("decisions", "add", "203.0.113.9", "--duration", "1h"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	until(t, "the line is counted", func() bool { return n.linesSeen()["/line/0"] == 1 })
	buckets := n.status().Buckets.Buckets
	n.stop()
	n.add("app.log", writerLine(1)) // while nobody reads
	n.start()
	s := n.status()
	if l := s.LastStop; !l.Clean || l.First || l.Restored != int(buckets) || l.Dropped != 0 || len(s.Problems) != 0 {
		t.Errorf("last stop %+v with %d buckets, problems %q", l, buckets, s.Problems)
	}
	for _, ip := range []string{"203.0.113.1", "203.0.113.2", "203.0.113.3"} {
		if got := n.decided(ip); len(got) != 0 {
			t.Errorf("%s was decided about too soon: %+v", ip, got)
		}
	}
	if a := n.login("203.0.113.1", 1); a.remediation() != "ban" {
		t.Errorf("the sixth request met %q", a.remediation())
	}
	n.loginLines("203.0.113.2", 1)
	until(t, "the sixth line bans", func() bool { return len(n.decided("203.0.113.2")) == 1 })
	if a := n.login("203.0.113.3", 1); a.remediation() != "ban" {
		t.Errorf("the sixth event of a mixed bucket met %q", a.remediation())
	}
	for _, ip := range []string{"203.0.113.4", "203.0.113.9"} {
		if got := n.decided(ip); len(got) != 1 {
			t.Errorf("decided about %s: %+v", ip, got)
		}
	}
	if got := ask[[]decisions.AllowEntry](n, "GET", "/rampart/allowlist", nil); !strings.Contains(fmt.Sprint(got), "198.51.100.0/24") {
		t.Errorf("the allowlist is %v", got)
	}
	until(t, "the line written meanwhile is counted", func() bool { return n.linesSeen()["/line/1"] == 1 })
	if seen := n.linesSeen(); seen["/line/0"] != 1 {
		t.Errorf("lines seen: %v", seen)
	}
}

// TestKilled: after kill -9 decisions and offsets are there, half-full buckets are
// not, and status says so until a clean stop.
func TestKilled(t *testing.T) {
	n := newRestarting(t)
	if s := n.status(); !s.LastStop.First || len(s.Problems) != 0 {
		t.Errorf("a first start: %+v, problems %q", s.LastStop, s.Problems)
	}
	n.login("203.0.113.1", 5)
	n.add("app.log", writerLine(0))
	until(t, "the line is counted", func() bool { return n.linesSeen()["/line/0"] == 1 })
	if out, err := n.rampart("decisions", "add", "203.0.113.9", "--duration", "1h"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n.kill() // at once: what was said to be done is
	n.add("app.log", writerLine(1))
	n.start()
	s := n.status()
	if s.LastStop.Clean || s.LastStop.Restored != 0 || len(s.Problems) != 1 || !strings.Contains(s.Problems[0], "half-full buckets were lost") {
		t.Errorf("last stop %+v, problems %q", s.LastStop, s.Problems)
	}
	if out, err := n.rampart("status"); err != nil || !strings.Contains(out, "half-full buckets were lost") {
		t.Errorf("the command status does not say so: %v\n%s", err, out)
	}
	if got := n.decided("203.0.113.9"); len(got) != 1 {
		t.Errorf("the decision is gone: %+v", got)
	}
	if a := n.login("203.0.113.1", 5); a.status != 200 {
		t.Errorf("after five requests: %d", a.status)
	}
	if a := n.login("203.0.113.1", 1); a.remediation() != "ban" {
		t.Errorf("the sixth since met %q", a.remediation())
	}
	until(t, "the line written meanwhile is counted", func() bool { return n.linesSeen()["/line/1"] == 1 })
	if seen := n.linesSeen(); seen["/line/0"] > 1 {
		t.Errorf("a line was counted twice: %v", seen)
	}
	n.stop()
	n.start()
	if s := n.status(); !s.LastStop.Clean || len(s.Problems) != 0 {
		t.Errorf("after a clean stop: %+v, problems %q", s.LastStop, s.Problems)
	}
}

// reported finds the alerts about lines in the log of the node, which the kernel
// keeps when the node is killed: what stands there was poured.
var reported = regexp.MustCompile(`"msg":"alert","scenario":"line","source":"(/line/[^"]+)"`)

// pouredLines counts how often each line was poured, by the node's own log, and
// checks that none was twice, and that each kill lost no more than what was in
// flight: one run of lines.
func (n *node) pouredLines(total, kills int) map[string]int {
	n.t.Helper()
	seen := map[string]int{}
	for _, m := range reported.FindAllStringSubmatch(n.read("rampart.log"), -1) {
		seen[m[1]]++
	}
	lost, gaps := 0, 0
	for i := range total {
		c := seen[fmt.Sprintf("/line/%d", i)]
		if c > 1 {
			n.t.Errorf("line %d was poured %d times", i, c)
		}
		if c == 0 {
			if lost++; i == 0 || seen[fmt.Sprintf("/line/%d", i-1)] > 0 {
				gaps++
			}
		}
	}
	n.t.Logf("%d lines, %d lost in %d gaps, %d kills", total, lost, gaps, kills)
	if gaps > kills {
		n.t.Errorf("%d kills made %d gaps: lines were lost that were not in flight", kills, gaps)
	}
	return seen
}

// TestNoLineTwice: while a log grows the node is killed again and again, at random
// moments. No line is ever poured twice, and what is lost is what was in flight.
func TestNoLineTwice(t *testing.T) {
	n := newRestarting(t)
	writer := n.appendLines("app.log", time.Millisecond)
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	const kills = 8
	for range kills {
		time.Sleep(time.Duration(50+rng.IntN(400)) * time.Millisecond)
		n.kill()
		n.start()
	}
	total := writer.halt()
	last := fmt.Sprintf("/line/%d", total-1)
	until(t, "the last line is counted", func() bool { return n.linesSeen()[last] == 1 })
	seen := n.pouredLines(total, kills)
	for path, c := range n.linesSeen() {
		if c > 1 || seen[path] == 0 {
			t.Errorf("%s: %d alerts are kept, %d were made", path, c, seen[path])
		}
	}
}

// TestTwoNodes: a second process on the same data directory refuses to start and
// names the first, which is not disturbed.
func TestTwoNodes(t *testing.T) {
	n := newRestarting(t)
	n.login("203.0.113.1", 5)
	other := strings.NewReplacer(n.admin, "unix/"+n.path("b.sock"), ":"+n.port, ":"+freePort(t)).Replace(n.expand(restarting))
	n.write("Other", other)
	out, err := n.command("run", "--config", n.path("Other"), "--adapter", "caddyfile").CombinedOutput()
	if err == nil {
		t.Fatal("the second node ran, and ended well")
	}
	if pid := fmt.Sprint(n.cmd.Process.Pid); !strings.Contains(string(out), n.path("state")) || !regexp.MustCompile(`\b`+pid+`\b`).Match(out) {
		t.Errorf("the error does not name the directory and process %s:\n%s", pid, out)
	}
	if a := n.login("203.0.113.1", 1); a.remediation() != "ban" {
		t.Errorf("the sixth request met %q", a.remediation())
	}
	if s := n.status(); len(s.Problems) != 0 {
		t.Errorf("problems %q", s.Problems)
	}
	// With a node name of its own it has a place of its own.
	n.write("Other", strings.Replace(other, "data_dir", "node second\n\t\tdata_dir", 1))
	second := n.command("run", "--config", n.path("Other"), "--adapter", "caddyfile")
	must(t, second.Start())
	defer func() {
		_ = second.Process.Kill()
		_ = second.Wait()
	}()
	until(t, "the second node is up", func() bool {
		_, err := os.Stat(n.path("state/second/rampart.db"))
		return err == nil
	})
	if s := n.status(); s.Node != "default" || len(s.Problems) != 0 {
		t.Errorf("node %s, problems %q", s.Node, s.Problems)
	}
}

// TestBlockRemoved: removing Rampart from the configuration closes the node in a
// process that goes on, and adding it again restores everything.
func TestBlockRemoved(t *testing.T) {
	n := newRestarting(t)
	n.login("203.0.113.1", 5)
	n.login("203.0.113.4", 6)
	n.add("app.log", writerLine(0))
	until(t, "the line is counted", func() bool { return n.linesSeen()["/line/0"] == 1 })
	if err := n.reload(withoutRampart); err != nil {
		t.Fatal(err)
	}
	if a := n.send("203.0.113.4", "GET", "/"); a.body != "bare" {
		t.Errorf("got %d %q", a.status, a.body)
	}
	if b, err := n.try("GET", "/rampart/status", nil); err == nil {
		t.Errorf("the node answers still: %s", b)
	}
	for _, file := range []string{"state/default/buckets.snapshot", "state/default/positions.json"} {
		if n.read(file) == "" {
			t.Errorf("%s was not written", file)
		}
	}
	n.add("app.log", writerLine(1))
	if err := n.reload(restarting); err != nil {
		t.Fatal(err)
	}
	if s := n.status(); !s.LastStop.Clean || s.LastStop.Restored == 0 || len(s.Problems) != 0 {
		t.Errorf("last stop %+v, problems %q", s.LastStop, s.Problems)
	}
	if a := n.login("203.0.113.1", 1); a.remediation() != "ban" {
		t.Errorf("the sixth request met %q", a.remediation())
	}
	if got := n.decided("203.0.113.4"); len(got) != 1 {
		t.Errorf("the decision is gone: %+v", got)
	}
	until(t, "the line written meanwhile is counted", func() bool { return n.linesSeen()["/line/1"] == 1 })
	if seen := n.linesSeen(); seen["/line/0"] != 1 {
		t.Errorf("lines seen: %v", seen)
	}
}

// TestHotSwap: a scenario file is changed, broken and repaired while requests come;
// the buckets of scenarios that stay the same live on.
func TestHotSwap(t *testing.T) {
	n := newRestarting(t)
	n.write("own.yaml", six+lineScenario+strings.Replace(six, "six", "other", 1))
	swaps := func(want int) func() bool { return func() bool { return n.status().Watch.Swaps == want } }
	until(t, "the second scenario runs", swaps(1))
	n.login("203.0.113.1", 5)
	stop, done := make(chan struct{}), make(chan int)
	go func() { // requests all the while, from clients that overflow both scenarios
		sent := 0
		for {
			select {
			case <-stop:
				done <- sent
				return
			default:
				n.send(fmt.Sprintf("2001:db8:%x::1", sent/6), "POST", "/login")
				sent++
			}
		}
	}()
	n.write("own.yaml", six+lineScenario+strings.NewReplacer("six", "other", "capacity: 5", "capacity: 50").Replace(six))
	until(t, "the changed scenario runs", swaps(2))
	n.write("own.yaml", six+"---\nname: broken\ntype: leaky\nfilter: (\n")
	until(t, "the problem is told", func() bool {
		p := n.status().Problems
		return len(p) == 1 && strings.Contains(p[0], "own.yaml")
	})
	if s := n.status(); s.Scenarios.Loaded != 3 {
		t.Errorf("%d scenarios run, want the last good three", s.Scenarios.Loaded)
	}
	if got := n.decided("203.0.113.1"); len(got) != 0 {
		t.Fatalf("decided too soon: %+v", got)
	}
	a := n.login("203.0.113.1", 1)
	if got := n.decided("203.0.113.1"); a.remediation() != "ban" || len(got) != 1 || got[0].Scenario != "six" {
		t.Errorf("the sixth request met %q, decided is %+v", a.remediation(), got)
	}
	if got := n.alerts("scenario=other&value=203.0.113.1"); len(got) != 0 {
		t.Errorf("the scenario that changed kept its bucket: %+v", got)
	}
	n.write("own.yaml", six+lineScenario)
	until(t, "it is repaired", func() bool { s := n.status(); return len(s.Problems) == 0 && s.Scenarios.Loaded == 2 })
	close(stop)
	sent := <-done
	if got := len(n.alerts("scenario=six&limit=10000")); got != sent/6+1 {
		t.Errorf("%d requests overflowed scenario six %d times, want %d", sent, got, sent/6+1)
	}
}
