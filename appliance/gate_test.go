package appliance

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// TestDetectSites: nothing is refused there, whatever stands against the client,
// and the reserved path is the site's own. All the same it is seen.
func TestDetectSites(t *testing.T) {
	a := open(t, Config{})
	for value, kind := range map[string]string{"203.0.113.1": "ban", "203.0.113.2": "captcha", "203.0.113.3": "throttle"} {
		ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: value, Type: kind})
		for _, target := range []string{"/", "/.rampart/challenge"} {
			in := from(value)
			if v := visit(a, in, target, 200); v.Action == Pass || v.Incident == "" {
				t.Errorf("%s (%s) on a site that enforces: %s", value, target, v.Action)
			}
			in.Detect = true
			if v := visit(a, in, target, 200); v.Action != Pass || v.Incident != "" || v.DecisionID != 0 {
				t.Errorf("%s (%s) on a watched site: %+v", value, target, v)
			}
		}
	}
	until(t, "watched requests are examined", func() bool { return a.counters.engine.Requests.Load() == 6 })
	// Without a decision the reserved path is answered, and is no incident.
	if v := visit(a, from("203.0.113.9"), "/.rampart/challenge", 200); v.Action != Respond || v.Incident != "" {
		t.Errorf("%+v", v)
	}
}

// TestDetectShieldsNobody: a simulated overflow begins a blackhole for its like
// alone; the same client is refused at once where that is meant.
func TestDetectShieldsNobody(t *testing.T) {
	a := open(t, Config{})
	in := from("203.0.113.7")
	in.Detect = true
	for i := range 30 {
		visit(a, in, fmt.Sprintf("/.env.%d", i), 404)
	}
	if n := a.counters.engine.Alerts.Load(); n == 0 || n > 3 {
		t.Fatalf("%d simulated alerts of 30 requests, want few and some", n)
	}
	scan(t, a, "203.0.113.7")
}

// TestSolvedOnce: a visitor whose cookie was taken off the request is not asked
// again for the same decision; for a newer one it is.
func TestSolvedOnce(t *testing.T) {
	a := open(t, Config{})
	ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: "203.0.113.2", Type: "captcha"})
	in, r := from("203.0.113.2"), request("/")
	verdict := a.Decide(in.Client)
	v := &Visit{live: a.live.Load(), check: &check{solved: verdict}}
	if v.decide(r, in, verdict) {
		t.Error("asked again for the same decision")
	}
	verdict.Created = verdict.Created.Add(time.Minute)
	if !v.decide(r, in, verdict) || v.Action != Respond {
		t.Error("not asked for a newer one")
	}
}

// TestChallengeFigures only grow, also when the challenge changes, and the
// challenge answers under its new options.
func TestChallengeFigures(t *testing.T) {
	dir := t.TempDir()
	a := open(t, Config{DataDir: dir})
	ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: "203.0.113.2", Type: "captcha"})
	for i := range 3 {
		r := request("/")
		r.Header.Set("Accept", "text/html")
		v := a.Begin(r, from("203.0.113.2"))
		w := httptest.NewRecorder()
		if v.Respond(w, r); v.Action != Respond || w.Code != 403 {
			t.Fatalf("%s, %d", v.Action, w.Code)
		}
		if got := a.live.Load().status().Challenge["served"]; got != int64(i+1) {
			t.Errorf("%d served, want %d", got, i+1)
		}
		if got := gather(t, a)["rampart_challenge_total{served }"]; got != float64(i+1) {
			t.Errorf("%v served by the metrics, want %d", got, i+1)
		}
		release := use(t, a, compiled(t, Config{DataDir: dir, Contact: fmt.Sprint(i)}))
		defer release()
	}
	if _, there := gather(t, a)["rampart_challenge_total{burnt_held }"]; there {
		t.Error("what is held is exported as what only grows")
	}
	until(t, "challenges are events", func() bool { return a.counters.engine.Requests.Load() == 3 })
	if got := a.counters.passed.Load(); got != 0 {
		t.Errorf("%d passed", got)
	}
	(&Visit{}).Respond(httptest.NewRecorder(), request("/")) // misuse does nothing
	(&Visit{}).End(200, 0, nil)
}

// TestNetworks: IPv6 clients are counted and decided upon by their /64, unless
// single addresses are asked for.
func TestNetworks(t *testing.T) {
	for prefix, want := range map[int]struct {
		refused   bool
		neighbour decisions.Action
	}{64: {true, decisions.Captcha}, 128: {false, decisions.None}} {
		a := open(t, Config{IPv6Prefix: prefix})
		refused := false
		for i, p := range []string{"/.env", "/.git/config", "/backup.sql", "/id_rsa", "/.aws/credentials"} {
			if v := visit(a, from(fmt.Sprintf("2001:db8::%d", i+1)), p, 404); v.Action != Pass {
				refused = true
			}
		}
		if refused != want.refused {
			t.Errorf("/%d: refused %v", prefix, refused)
		}
		if prefix == 128 {
			scan(t, a, "2001:db8::7")
		}
		if got := a.Decide(from("2001:db8::99").Client).Action; got != want.neighbour {
			t.Errorf("/%d: a neighbour: %s, want %s", prefix, got, want.neighbour)
		}
		if got := a.Decide(from("2001:db8:0:1::1").Client).Action; got != decisions.None {
			t.Errorf("/%d: another network: %s", prefix, got)
		}
	}
}
