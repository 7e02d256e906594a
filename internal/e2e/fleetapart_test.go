package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// holds are a node's decisions in force, by value and id.
func (n *node) holds() (out []string) {
	n.t.Helper()
	for _, d := range ask[[]decisions.Decision](n, "GET", "/rampart/decisions", nil) {
		out = append(out, fmt.Sprintf("%s %s %d", d.Value, d.Type, d.ID))
	}
	slices.Sort(out)
	return out
}

// TestFleetCutOff: one node has no way to Redis, while decisions are made and lifted
// on it and on the others. When it is back, all have the same, whether Redis still
// has the log of what it missed, and whether it was restarted meanwhile, or not.
func TestFleetCutOff(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Options{})
	line := redistest.NewProxy(t, r.Addr())
	f := startFleet(t, 3, func(i int) string {
		if i == 2 {
			return "address " + line.Addr()
		}
		return "address " + r.Addr()
	}, "")
	for round, forgotten := range []bool{false, true} {
		f.cutOff(r, line, round, forgotten)
	}
}

func (f *fleet) cutOff(r *redistest.Server, line *redistest.Proxy, round int, forgotten bool) {
	t := f.t
	t.Helper()
	a, b, c := f.nodes[0], f.nodes[1], f.nodes[2]
	ip := func(i int) string { return fmt.Sprintf("198.51.100.%d", 50*round+i) }
	var want []string
	for i, by := range []*node{a, a, c, c} {
		by.do("decisions", "add", ip(i))
		f.refused(ip(i))
	}
	reconciles := c.storage().Journal.Reconciles
	line.Cut()
	until(t, "the node is alone", func() bool { return c.storage().Redis.State == cluster.StateDegraded })
	b.do("unban", ip(0)) // another's, elsewhere
	c.do("unban", ip(1)) // another's, here
	c.do("unban", ip(2)) // its own, here
	a.do("unban", ip(3)) // its own, elsewhere
	for i := 10; i < 20; i++ {
		a.do("decisions", "add", ip(i))
		want = append(want, ip(i))
	}
	b.do("unban", ip(10))
	want = want[1:]
	for i := 20; i < 23; i++ {
		c.do("decisions", "add", ip(i), "--duration", "2h")
		want = append(want, ip(i))
	}
	c.do("unban", ip(20))
	want = slices.DeleteFunc(want, func(s string) bool { return s == ip(20) })
	b.do("allowlist", "add", ip(30))
	c.do("allowlist", "add", ip(31))
	alone, joint := fmt.Sprintf("203.0.113.%d", 10*round), fmt.Sprintf("203.0.113.%d", 10*round+1)
	for p := range probesToFill {
		c.send(alone, "GET", fmt.Sprintf("/missing/%d", p))
		f.nodes[p%2].send(joint, "GET", fmt.Sprintf("/missing/%d", p))
	}
	c.refusedAt(alone)
	a.refusedAt(joint)
	b.refusedAt(joint)
	if forgotten {
		r.Do("XTRIM", "rampart:{j}:log", "MAXLEN", "1")
		c.stop()
		c.start()
		c.refusedAt(alone)
	}
	line.Heal()
	back := time.Now()
	f.refused(joint)
	f.oneAlert(joint)
	f.oneAlert(alone)
	for _, from := range want {
		f.refused(from)
	}
	until(t, "all nodes hold the same", func() bool {
		return slices.Equal(a.holds(), b.holds()) && slices.Equal(b.holds(), c.holds())
	})
	t.Logf("all nodes hold the same %s after the line was mended", time.Since(back).Round(time.Millisecond))
	var got []string
	for _, h := range c.holds() {
		value, _, _ := strings.Cut(h, " ")
		got = append(got, value)
	}
	for _, v := range append(want, alone, joint) {
		if !slices.Contains(got, v) {
			t.Errorf("nobody holds %s", v)
		}
	}
	for _, i := range []int{0, 1, 2, 3, 10, 20} {
		if slices.Contains(got, ip(i)) {
			t.Errorf("%s was lifted and is back", ip(i))
		}
	}
	for i, n := range f.nodes {
		for _, v := range []string{ip(30), ip(31)} {
			if w := n.why(v); w.Verdict != "allowed" {
				t.Errorf("%s, allowed elsewhere, is %q on node %d", v, w.Verdict, i)
			}
		}
	}
	if s := c.storage().Journal; forgotten && s.Reconciles == 0 || !forgotten && s.Reconciles != reconciles {
		t.Errorf("compared everything %d times; the log was cut: %v", s.Reconciles, forgotten)
	}
	f.ready(c)
}

// ownCapacity is a scenario of which there are versions.
const ownCapacity = `type: leaky
name: own
filter: evt.Meta.http_path startsWith '/missing'
groupby: evt.Meta.source_ip
capacity: %d
leakspeed: 1h
labels:
  service: ssh
  remediation: true
`

// TestFleetUpgrade: nodes with different versions of a scenario count apart, and
// refuse together.
func TestFleetUpgrade(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Options{})
	f := newFleet(t, 2, at(r.Addr()), "collection none\nscenarios {dir}/own.yaml")
	a, b := f.nodes[0], f.nodes[1]
	a.write("own.yaml", fmt.Sprintf(ownCapacity, 5))
	b.write("own.yaml", fmt.Sprintf(ownCapacity, 8))
	f.start()
	for _, n := range f.nodes {
		if n.status().Scenarios.Loaded != 1 {
			t.Fatalf("%d scenarios", n.status().Scenarios.Loaded)
		}
	}
	visits := func(n *node, from string, times int) {
		t.Helper()
		for range times {
			if s := n.send(from, "GET", "/missing").status; s != 404 {
				t.Errorf("%s got %d", from, s)
			}
		}
	}
	count := func(from string, want int32) {
		t.Helper()
		f.refused(from)
		for _, n := range f.nodes {
			until(t, "the alert", func() bool { return len(n.alerts("value="+from)) > 0 })
			if list := n.alerts("value=" + from); len(list) != 1 || list[0].EventsCount != want {
				t.Errorf("%d alerts about %s, want one of %d events: %+v", len(list), from, want, list)
			}
		}
	}
	const first, second, third = "203.0.113.1", "203.0.113.2", "203.0.113.3"
	for _, from := range []string{first, second} {
		visits(a, from, 5)
		visits(b, from, 8)
	}
	f.settled()
	for _, n := range f.nodes {
		for _, from := range []string{first, second} {
			if list := n.alerts("value=" + from); len(list) != 0 {
				t.Errorf("counted together: %+v", list)
			}
		}
	}
	visits(a, first, 1)
	count(first, 6)
	visits(b, second, 1)
	count(second, 9)

	a.write("own.yaml", fmt.Sprintf(ownCapacity, 8)) // and now A is upgraded too
	until(t, "the new version runs", func() bool { return strings.Contains(a.read("rampart.log"), "changed files are in force") })
	visits(a, third, 4)
	visits(b, third, 4)
	f.settled()
	visits(a, third, 1)
	count(third, 9)
}

// shopper is a browser at a site that several nodes serve under one name.
type shopper struct {
	t      *testing.T
	ip     string
	cookie string
}

const shopHost = "shop.example"

func (s *shopper) do(n *node, method, path, body string) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, n.url+path, strings.NewReader(body))
	must(s.t, err)
	req.Host = shopHost
	for k, v := range map[string]string{"X-Forwarded-For": s.ip, "Accept": "text/html", "User-Agent": suspectAgent, "Cookie": s.cookie} {
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	must(s.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(s.t, err)
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// TestFleetChallenge: a challenge of one node may be answered at another, once in
// all, and counts at a third. Incident ids of one are explained by all.
func TestFleetChallenge(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Options{})
	f := startFleet(t, 3, at(r.Addr()), "")
	secret, _ := r.Do("GET", "rampart:{j}:secret:node").(string)
	if len(secret) < 16 {
		t.Fatalf("no secret in Redis")
	}
	s := &shopper{t: t, ip: "203.0.113.7"}
	f.attack(s.ip, probesToFill, 0)
	f.refused(s.ip)

	page := s.do(f.nodes[0], "GET", "/", "")
	token, err := testkit.ChallengeToken(page.body)
	must(t, err)
	digits, err := testkit.Answer([]byte(secret), shopHost, page.body)
	must(t, err)
	form := url.Values{"t": {token}, "a": {digits}}.Encode()
	solved := s.do(f.nodes[1], "POST", "/.rampart/verify", form)
	s.cookie, _, _ = strings.Cut(solved.header.Get("Set-Cookie"), ";")
	if solved.status != 303 || s.cookie == "" {
		t.Fatalf("the answer at another node: %d %v", solved.status, solved.header)
	}
	for i, n := range f.nodes {
		if a := s.do(n, "GET", "/", ""); a.status != 200 {
			t.Errorf("node %d answers who solved it %d", i, a.status)
		}
	}
	again := &shopper{t: t, ip: s.ip}
	for _, i := range []int{1, 2, 0} {
		until(t, "the node knows of the answer", func() bool { return i == 1 || f.nodes[i].storage().Spent.Learnt > 0 })
		if a := again.do(f.nodes[i], "POST", "/.rampart/verify", form); a.status != 403 || a.header.Get("Set-Cookie") != "" {
			t.Errorf("the same answer at node %d: %d %v", i, a.status, a.header)
		}
	}
	incident := page.header.Get("X-Rampart-Incident")
	for i, n := range f.nodes {
		w := n.why(incident)
		if w.Address != s.ip || len(w.Decisions) == 0 || len(w.Alerts) != 1 || w.Alerts[0].Scenario != probing {
			t.Errorf("node %d explains incident %s: %+v", i, incident, w)
		}
		if out := n.do("why", incident); !strings.Contains(out, s.ip) || !strings.Contains(out, probing) {
			t.Errorf("node %d says of incident %s\n%s", i, incident, out)
		}
	}
}
