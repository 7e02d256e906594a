package appliance

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// ownFile writes a scenario that overflows with the sixth request for /x.
func ownFile(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(file, []byte(ownScenario), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// member is the configuration of a node that shares its state at addr.
func member(name, addr string, more Config) Config {
	more.Node, more.Storage = name, StorageConfig{Kind: StorageRedis, Address: addr}
	return more
}

func fleetOf(a *Appliance) *fleet { return a.live.Load().state.fleet }

// ready waits until the nodes share all that they can share.
func ready(t testing.TB, nodes ...*Appliance) {
	t.Helper()
	for _, a := range nodes {
		until(t, "a node shares its state", func() bool {
			f := fleetOf(a)
			return f.client.Up() && f.st.buckets.shared.Load() != nil && f.journal.Stats().Joined
		})
	}
}

// pair are two nodes of a fleet.
func pair(t testing.TB, addr string, more Config) (a, b *Appliance) {
	t.Helper()
	a, b = open(t, member("a", addr, more)), open(t, member("b", addr, more))
	ready(t, a, b)
	return a, b
}

func action(a *Appliance, addr string) decisions.Action {
	return a.Decide(netip.MustParseAddr(addr)).Action
}

// banned waits until both refuse an address.
func banned(t testing.TB, addr string, nodes ...*Appliance) {
	t.Helper()
	until(t, addr+" is refused on every node", func() bool {
		for _, a := range nodes {
			if action(a, addr) != decisions.Ban {
				return false
			}
		}
		return true
	})
}

// TestFleetCountsTogether: an attack that is spread over two nodes overflows with
// the request that it would overflow on one, is alerted once, and is refused by both.
func TestFleetCountsTogether(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	a, b := pair(t, r.Addr(), Config{Scenarios: []string{ownFile(t)}})
	nodes := []*Appliance{a, b}
	for i := range 5 {
		visit(nodes[i%2], from("203.0.113.7"), "/x", 200)
	}
	for _, n := range nodes {
		if err := n.live.Load().state.buckets.shared.Load().Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if got := action(a, "203.0.113.7"); got != decisions.None {
		t.Fatalf("%s after five requests", got)
	}
	visit(b, from("203.0.113.7"), "/x", 200)
	banned(t, "203.0.113.7", a, b)
	if x, y := a.Decide(netip.MustParseAddr("203.0.113.7")), b.Decide(netip.MustParseAddr("203.0.113.7")); x.ID != y.ID {
		t.Errorf("decision %d here and %d there", x.ID, y.ID)
	}
	for _, n := range nodes {
		if v := visit(n, from("203.0.113.7"), "/", 200); v.Action != Refuse || v.Scenario != "own" {
			t.Errorf("%+v", v)
		}
		list := n.live.Load().state.book.Alerts(decisions.AlertFilter{Value: "203.0.113.7"})
		if len(list) != 1 || list[0].EventsCount != 6 || len(list[0].Events) != 6 {
			t.Errorf("%d alerts: %+v", len(list), list)
		}
	}
	total := a.counters.engine.Alerts.Load() + b.counters.engine.Alerts.Load()
	if total != 1 {
		t.Errorf("%d alerts were concluded, want one", total)
	}
}

// TestFailingConditionIsTold: a condition that fails is a problem to look at, wherever
// the buckets are.
func TestFailingConditionIsTold(t *testing.T) {
	f := folder{t, t.TempDir()}
	own := f.write("own.yaml", "name: own/odd\n"+strings.Replace(ownScenario, "type: leaky", "type: conditional", 1)+
		"condition: queue.Queue[7].Meta.source_ip == 'x'\n")
	c := Config{Scenarios: []string{own}}
	alone, shared := open(t, c), open(t, member("a", redistest.Start(t, redistest.Options{}).Addr(), c))
	ready(t, shared)
	for _, a := range []*Appliance{alone, shared} {
		visit(a, from("203.0.113.7"), "/x", 200)
		until(t, "the condition failed", func() bool { return told(a.live.Load().status(), "scenario own/odd failed on 1 events: ") })
	}
}

// TestFleetExplains: what one node refused another can explain, and who is banned on
// one is unbanned on the other.
func TestFleetExplains(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	a, b := pair(t, r.Addr(), Config{Scenarios: []string{ownFile(t)}})
	made := ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: "203.0.113.8", Reason: "test"})
	banned(t, "203.0.113.8", a, b)
	refused := visit(a, from("203.0.113.8"), "/", 200)
	w := why(t, b, refused.Incident)
	if w.Address != "203.0.113.8" || len(w.Decisions) != 1 || w.Decisions[0].ID != made.Decisions[0].ID || len(w.Alerts) != 1 {
		t.Errorf("%+v", w)
	}
	ask[Deleted](t, b, "POST", "/rampart/unban", map[string]string{"value": "203.0.113.8"})
	until(t, "the nodes see each other", func() bool { return len(b.live.Load().status().Storage.Fleet.Nodes) == 2 })
	status, data := call(t, b, "GET", "/rampart/status", nil)
	openDocument(t).answer("GET", "/rampart/status", "/rampart/status", status, data)
	until(t, "the ban is lifted everywhere", func() bool { return action(a, "203.0.113.8") == decisions.None })
}

// TestFleetLists: a list that is put on one node is in force on the others, and so is
// its end.
func TestFleetLists(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	a, b := pair(t, r.Addr(), Config{})
	if status, data := call(t, a, "PUT", "/rampart/lists/bad", "203.0.113.0/24\n2001:db8::/32\n"); status != http.StatusOK {
		t.Fatalf("%d %s", status, data)
	}
	banned(t, "203.0.113.7", a, b)
	refused := visit(b, from("203.0.113.7"), "/", 200)
	if w := why(t, a, refused.Incident); w.Verdict != "ban" || len(w.Decisions) != 1 || w.Decisions[0].Origin != "lists:bad" {
		t.Errorf("%+v", w)
	}
	if status, data := call(t, b, "DELETE", "/rampart/lists/bad", nil); status != http.StatusOK {
		t.Fatalf("%d %s", status, data)
	}
	until(t, "the list is gone everywhere", func() bool { return action(a, "203.0.113.7") == decisions.None })
}

// TestFleetSparesItsOwn: what one node allows it never refuses, whatever the others
// decide: the configuration's list, its trusted proxies, what an operator allows.
func TestFleetSparesItsOwn(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	dir := t.TempDir()
	a := open(t, member("a", r.Addr(), Config{DataDir: dir}))
	b := open(t, member("b", r.Addr(), Config{DataDir: dir, Allow: []string{"198.51.100.0/24"},
		Proxies: func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }}))
	ready(t, a, b)
	for _, addr := range []string{"198.51.100.7", "192.0.2.7", "203.0.113.9"} {
		ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: addr})
	}
	banned(t, "203.0.113.9", a, b) // so b has heard of those before it
	for _, addr := range []string{"198.51.100.7", "192.0.2.7"} {
		if action(a, addr) != decisions.Ban || visit(b, from(addr), "/", 200).Action != Pass {
			t.Errorf("%s: %s where it was banned, %s where it is allowed", addr, action(a, addr), action(b, addr))
		}
	}
	ask[decisions.AllowEntry](t, a, "POST", "/rampart/allowlist", AllowRequest{Value: "203.0.113.9"})
	until(t, "the operator's word is heard everywhere", func() bool {
		return a.Decide(netip.MustParseAddr("203.0.113.9")).Allowed && b.Decide(netip.MustParseAddr("203.0.113.9")).Allowed
	})
}

// TestFleetWithoutRedis: a node goes on by itself and says so; when Redis is back,
// with or without what it had, all know what was decided meanwhile.
func TestFleetWithoutRedis(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	a, b := pair(t, r.Addr(), Config{Scenarios: []string{ownFile(t)}})
	r.Kill()
	until(t, "the nodes notice", func() bool { return !fleetOf(a).client.Up() && !fleetOf(b).client.Up() })
	for i := range 6 {
		want := Pass
		if i == 5 {
			want = Refuse // the request itself, as on a node alone
		}
		if v := visit(a, from("203.0.113.7"), "/x", 200); v.Action != want {
			t.Errorf("request %d: %s, want %s", i+1, v.Action, want)
		}
	}
	if got := action(b, "203.0.113.7"); got != decisions.None {
		t.Errorf("the other node: %s", got)
	}
	until(t, "status says why", func() bool {
		s := a.live.Load().status()
		return s.Storage.Fleet.Redis.State == cluster.StateDegraded && told(s, "Redis is out of use since") && told(s, "connection refused")
	})
	until(t, "the time without Redis counts", func() bool { return gather(t, a)["rampart_storage_degraded_seconds_total{}"] > 0 })
	if m := gather(t, a); m["rampart_storage_up{}"] != 0 {
		t.Error("the metrics say that Redis is up")
	}
	r.Restart(true)
	ready(t, a, b)
	banned(t, "203.0.113.7", a, b)
	until(t, "the problem is gone", func() bool { return !told(a.live.Load().status(), "Redis is out of use") })
	if m := gather(t, a); m["rampart_storage_up{}"] != 1 {
		t.Error("the metrics say that Redis is away")
	}
}

// told reports whether a problem says so.
func told(s Status, text string) bool { return strings.Contains(strings.Join(s.Problems, "\n"), text) }

// TestFleetStartsWithoutRedis: a node starts with what it had, and joins when Redis
// comes; the incident ids of its own secret stay readable.
func TestFleetStartsWithoutRedis(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	first := open(t, member("first", r.Addr(), Config{}))
	ready(t, first)
	r.Pause()
	defer r.Resume()
	late := open(t, member("late", r.Addr(), Config{}))
	ask[DecisionAnswer](t, late, "POST", "/rampart/decisions", DecisionRequest{Value: "203.0.113.8"})
	own := visit(late, from("203.0.113.8"), "/", 200)
	if own.Action != Refuse || fleetOf(late).st.buckets.shared.Load() != nil {
		t.Fatalf("%s; buckets are shared under a secret of the node's own", own.Action)
	}
	if s := late.live.Load().status(); !told(s, "by itself") {
		t.Errorf("problems %q", s.Problems)
	}
	r.Resume()
	ready(t, first, late)
	banned(t, "203.0.113.8", first, late)
	if w := why(t, late, own.Incident); w.Address != "203.0.113.8" || len(w.Decisions) != 1 {
		t.Errorf("an incident of before: %+v", w)
	}
	joint := visit(late, from("203.0.113.8"), "/", 200)
	if w := why(t, first, joint.Incident); w.Address != "203.0.113.8" {
		t.Errorf("an incident of after: %+v", w)
	}
}

// TestFleetSecretIsKept: a node that was in a fleet begins with its secret, and
// offers it to a Redis that has none.
func TestFleetSecretIsKept(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	a := open(t, member("a", r.Addr(), Config{}))
	ready(t, a)
	dir := t.TempDir()
	c := member("b", r.Addr(), Config{DataDir: dir})
	b := New(Options{Node: "test"})
	use(t, b, compiled(t, c))
	ready(t, b)
	fleets := a.live.Load().state.secretInForce()
	if string(b.live.Load().state.secretInForce()) != string(fleets) {
		t.Fatal("the second node has a secret of its own")
	}
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	again := open(t, c)
	if st := again.live.Load().state; string(st.secretInForce()) != string(fleets) || st.buckets.shared.Load() == nil {
		t.Error("the fleet's secret was lost with the restart")
	}
	r.Restart(true)
	ready(t, a, again)
	other := redistest.Start(t, redistest.Options{})
	alone := open(t, member("b", other.Addr(), Config{DataDir: t.TempDir()}))
	ready(t, alone)
	if string(alone.live.Load().state.secretInForce()) == string(fleets) {
		t.Error("two fleets have one secret")
	}
}

// TestFleetChallenges: a challenge that was solved on one node counts on the others,
// and its answer is good once.
func TestFleetChallenges(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	a, b := pair(t, r.Addr(), Config{Captcha: CaptchaConfig{MinSolve: Duration(time.Millisecond)}})
	ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: "203.0.113.7", Type: "captcha"})
	until(t, "the other node challenges too", func() bool { return action(b, "203.0.113.7") == decisions.Captcha })
	page := serve(t, a, browse("/", nil))
	digits, err := testkit.Answer(a.live.Load().state.secretInForce(), "example.com", page.Body.String())
	if err != nil {
		t.Fatal(err)
	}
	token, err := testkit.ChallengeToken(page.Body.String())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // nobody is that fast
	form := url.Values{"t": {token}, "a": {digits}}
	solved := serve(t, a, browse("/.rampart/verify", form))
	if len(solved.Result().Cookies()) == 0 {
		t.Fatalf("%d %v", solved.Code, solved.Header())
	}
	with := browse("/", nil)
	for _, c := range solved.Result().Cookies() {
		with.AddCookie(c)
	}
	if v := b.Begin(with, from("203.0.113.7")); v.Action != Pass {
		t.Errorf("the cookie of one node on another: %s", v.Action)
	}
	until(t, "the other node knows of the answer", func() bool { return fleetOf(b).burns.Stats().Learnt > 0 })
	if w := serve(t, b, browse("/.rampart/verify", form)); len(w.Result().Cookies()) != 0 {
		t.Errorf("an answer was taken twice: %d %v", w.Code, w.Header())
	}
}

// serve has a challenged visitor's request answered.
func serve(t *testing.T, a *Appliance, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	v := a.Begin(r, from("203.0.113.7"))
	if v.Action != Respond {
		t.Fatalf("%s: %s", r.URL, v.Action)
	}
	w := httptest.NewRecorder()
	v.Respond(w, r)
	return w
}

// browse is a request as browsers make it, of a form where there is one.
func browse(target string, form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://example.com"+target, nil)
	r.Header.Set("Sec-Fetch-Site", "none")
	if form != nil {
		r = httptest.NewRequest(http.MethodPost, "http://example.com"+target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	r.Header.Set("User-Agent", "Mozilla/5.0")
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	return r
}

// TestFleetStorageWaitsForStart: a node that runs keeps its storage, and status says
// so.
func TestFleetStorageWaitsForStart(t *testing.T) {
	dir := t.TempDir()
	a := open(t, Config{DataDir: dir, Node: "a"})
	release := use(t, a, compiled(t, member("a", "127.0.0.1:1", Config{DataDir: dir, Contact: "x"})))
	defer release()
	if s := a.live.Load().status(); s.Storage.Kind != StorageEmbedded || s.Storage.Fleet != nil || !told(s, storageNote) {
		t.Errorf("%+v, problems %q", s.Storage, s.Problems)
	}
}

// TestFleetNames: a node without a name of its own has that of its host.
func TestFleetNames(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for node, want := range map[string]string{"": host, "default": host, "edge-1": "edge-1"} {
		if got := (Config{Node: node}).withDefaults().fleetName(); got != want {
			t.Errorf("%q is %q, want %q", node, got, want)
		}
	}
}
