package appliance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/capitest"
)

// ownProfiles notify two receivers, of which one is there, and one of ranges.
const ownProfiles = `name: addresses
filters: ['Alert.GetScope() == "Ip" && Alert.Remediation']
decisions: [{type: ban, duration: 1h}]
notifications: [hook, nobody]
on_success: break
---
name: ranges
filters: ['GetDecisionsCount(Alert.GetValue()) > 100', 'Alert.GetScope() == "Range"']
decisions: [{type: captcha}]
`

// exchangeNode is a node with a Central API, receivers of notifications and a list from a
// URL, all of which the test has in hand.
type exchangeNode struct {
	*Appliance
	t      *testing.T
	capi   *capitest.Server
	config Config
	hooked chan string // what the receiver got
}

func openExchangeNode(t *testing.T) *exchangeNode {
	n := &exchangeNode{t: t, capi: capitest.Start(t, nil), hooked: make(chan string, 16)}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case n.hooked <- string(body):
		default:
		}
	}))
	t.Cleanup(hook.Close)
	f := folder{t, t.TempDir()}
	if err := os.Mkdir(filepath.Join(f.dir, "receivers"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.write("receivers/hook.yaml", "type: http\nname: hook\nurl: "+hook.URL+"/PLANTED-webhook\nformat: '{{range .}}{{.Scenario}}{{end}}'\n")
	f.write("receivers/bad.yaml", "type: http\nname: [PLANTED-value]\nurl: x\n")
	n.config = Config{DataDir: f.dir + "/state", Profiles: f.write("profiles.yaml", ownProfiles), Notifications: f.dir + "/receivers",
		Simulation: SimulationConfig{Except: []string{"own/soft"}, File: f.write("simulation.yaml", "exclusions: [own/softer]\n")},
		Community:  &CommunityConfig{URL: n.capi.URL},
		API: &APIConfig{Socket: f.dir + "/api.sock", AutoRegistration: &AutoRegistration{
			Token: "PLANTED-token-PLANTED-token-PLANTED", Ranges: []string{"127.0.0.0/8"}}},
		Lists: []FeedConfig{{Name: "feed", URL: n.capi.PutFile("feed.txt", "192.0.2.200\n192.0.2.201\n") + "?key=PLANTED-key"},
			{Name: "gone", URL: strings.Replace(n.capi.URL, "//", "//me:PLANTED-password@", 1) + "none.txt"}}}
	n.Appliance = open(t, n.config)
	return n
}

func (n *exchangeNode) lists() map[string]ListStatus {
	out := map[string]ListStatus{}
	for _, l := range ask[[]ListStatus](n.t, n.Appliance, "GET", "/rampart/lists", nil) {
		out[l.Name] = l
	}
	return out
}

// TestAdminCentral: registration, enrolment, fetching, and what would be told.
func TestAdminCentral(t *testing.T) {
	n := openExchangeNode(t)
	s := ask[CentralStatus](t, n.Appliance, "GET", "/rampart/capi", nil)
	if !s.Configured || s.Registered || s.Works || !strings.Contains(s.Problem, "not registered") {
		t.Errorf("before: %+v", s)
	}
	r := ask[Registration](t, n.Appliance, "POST", "/rampart/capi/register", map[string]string{})
	if info, err := os.Stat(r.Credentials); err != nil || info.Mode().Perm() != 0o600 || r.URL != n.capi.URL {
		t.Errorf("%+v: %v %v", r, info, err)
	}
	if diff := cmp.Diff([]string{r.Login}, n.capi.Machines()); diff != "" {
		t.Error(diff)
	}
	ask[Enrolled](t, n.Appliance, "POST", "/rampart/capi/enroll", Enrolment{Key: "k", Tags: []string{"a", "b"}, Overwrite: true})
	if all := n.capi.Enrolled(); len(all) != 1 || !strings.Contains(string(all[0]), `"tags":["a","b"]`) || !strings.Contains(string(all[0]), `"name":"default"`) {
		t.Errorf("enrolled %s", all)
	}
	ask[Pulled](t, n.Appliance, "POST", "/rampart/capi/pull", nil)
	n.capi.SetBlocklist("paid", "ban", "24h", "198.51.100.1", "198.51.100.2")
	p := ask[Pulled](t, n.Appliance, "POST", "/rampart/capi/pull", nil)
	if diff := cmp.Diff([]PulledList{{Name: "paid", Entries: 2, Added: 2}}, p.Lists); diff != "" || p.Problem != "" {
		t.Errorf("a new list: %s %s", diff, p.Problem)
	}
	n.capi.SetBlocklist("paid", "ban", "24h", "198.51.100.1", "198.51.100.3", "198.51.100.4")
	p = ask[Pulled](t, n.Appliance, "POST", "/rampart/capi/pull", nil)
	if diff := cmp.Diff([]PulledList{{Name: "paid", Entries: 3, Added: 2, Removed: 1}}, p.Lists); diff != "" {
		t.Errorf("a changed list: %s", diff)
	}
	if l := n.lists()["paid"]; l.From != listAccount || l.Fetched.IsZero() || l.URL != n.capi.URL {
		t.Errorf("%+v", l.ListSource)
	}
	if s = ask[CentralStatus](t, n.Appliance, "GET", "/rampart/capi", nil); !s.Works || s.Status.Login != r.Login || s.Problem != "" {
		t.Errorf("after: %+v", s)
	}
	scan(t, n.Appliance, "192.0.2.7")
	v := ask[SignalPreview](t, n.Appliance, "GET", "/rampart/capi/signals?limit=1", nil)
	if v.Sharing || len(v.Signals) != 1 || v.Signals[0].Source.Value != "192.0.2.7" || len(n.capi.Signals()) != 0 {
		t.Errorf("a preview with sharing off: %+v, sent %v", v, n.capi.Signals())
	}
}

// TestRegisterCentral needs no node.
func TestRegisterCentral(t *testing.T) {
	server := capitest.Start(t, nil)
	file := filepath.Join(t.TempDir(), "central.yaml")
	r, err := RegisterCentral(t.Context(), strings.TrimSuffix(server.URL, "/"), file)
	if err != nil || len(server.Machines()) != 1 || r.Login != server.Machines()[0] {
		t.Fatalf("%+v: %v", r, err)
	}
	if c, err := community.ReadCredentials(file); err != nil || c.Login != r.Login || c.URL != server.URL {
		t.Errorf("%+v: %v", c, err)
	}
	if _, err = RegisterCentral(t.Context(), server.URL, file); err == nil || len(server.Machines()) != 1 {
		t.Errorf("a file that is there: %v, %v", err, server.Machines())
	}
}

// TestAdminListOrigins: where lists come from, why one is not there, and fetching anew.
func TestAdminListOrigins(t *testing.T) {
	n := openExchangeNode(t)
	until(t, "the first tries", func() bool {
		l := n.lists()
		return l["feed"].Entries == 2 && l["gone"].Problem != ""
	})
	ask[ListAnswer](t, n.Appliance, "PUT", "/rampart/lists/mine", "192.0.2.9")
	l := n.lists()
	if l["feed"].From != listFetched || l["feed"].URL != n.capi.URL+"bl/feed.txt" || l["feed"].Fetched.IsZero() {
		t.Errorf("%+v", l["feed"])
	}
	if g := l["gone"]; !g.Until.IsZero() || g.Entries != 0 || strings.Contains(g.URL, "PLANTED") {
		t.Errorf("%+v", g)
	}
	if l["mine"].From != listImported {
		t.Errorf("%+v", l["mine"])
	}
	n.capi.PutFile("feed.txt", "192.0.2.200\n192.0.2.202\n192.0.2.203\n")
	if r := ask[Refreshed](t, n.Appliance, "POST", "/rampart/lists/feed/refresh", nil); r.Added != 2 || r.Removed != 1 || r.List.Entries != 3 {
		t.Errorf("%+v", r)
	}
}

// TestAdminSimulation: a choice is in force at once, outranks the configuration, and
// survives a restart.
func TestAdminSimulation(t *testing.T) {
	n := openExchangeNode(t)
	const path = "/rampart/simulation"
	rules := func(s SimulationStatus) (out []string) {
		for _, r := range s.Rules {
			out = append(out, fmt.Sprintf("%s %t %s %t", r.Selector, r.On, r.From, r.Overruled))
		}
		return out
	}
	s := ask[SimulationStatus](t, n.Appliance, "GET", path, nil)
	if diff := cmp.Diff([]string{"* false file false", "own/softer true file false", "own/soft true configuration false"}, rules(s)); diff != "" || s.All {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"own/softer", "own/soft"}, s.Unknown); diff != "" {
		t.Error(diff)
	}
	ask[ListAnswer](t, n.Appliance, "PUT", "/rampart/lists/mine", "192.0.2.9")
	if v := visit(n.Appliance, from("192.0.2.9"), "/", 200); v.Action != Refuse {
		t.Fatalf("a list in force: %+v", v)
	}
	s = ask[SimulationStatus](t, n.Appliance, "POST", path, SimulationRequest{Selectors: []string{"list:mine", "own/soft", "rampart/http-probing"}, On: true})
	if v := visit(n.Appliance, from("192.0.2.9"), "/", 200); v.Action == Refuse {
		t.Errorf("a list that simulates refuses: %+v", v)
	}
	if diff := cmp.Diff([]string{"* false file false", "own/softer true file false", "own/soft true configuration true",
		"list:mine true operator false", "own/soft true operator false", "rampart/http-probing true operator false"}, rules(s)); diff != "" {
		t.Error(diff)
	}
	s = ask[SimulationStatus](t, n.Appliance, "POST", path, SimulationRequest{Selectors: []string{"*"}, On: true})
	if !s.All || len(s.Rules) != 5 || !s.Rules[0].Overruled || !s.Rules[1].Overruled {
		t.Errorf("%+v", s)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.Appliance = open(t, n.config)
	if again := ask[SimulationStatus](t, n.Appliance, "GET", path, nil); !again.All || len(again.Rules) != 5 {
		t.Errorf("after a restart: %+v", again)
	}
	ask[SimulationStatus](t, n.Appliance, "DELETE", path+"?selector=list:mine", nil)
	if v := visit(n.Appliance, from("192.0.2.9"), "/", 200); v.Action != Refuse {
		t.Errorf("the list is taken back, and does not refuse: %+v", v)
	}
	if s = ask[SimulationStatus](t, n.Appliance, "DELETE", path, nil); s.All || len(s.Rules) != 3 {
		t.Errorf("after a reset: %+v", s)
	}
}

// TestAdminNotifications: who is told, what is wrong, and a sample that arrives.
func TestAdminNotifications(t *testing.T) {
	n := openExchangeNode(t)
	s := ask[Notifications](t, n.Appliance, "GET", "/rampart/notifications", nil)
	if len(s.Receivers) != 1 || s.Receivers[0].Name != "hook" || len(s.Faults) != 1 || cmp.Diff([]string{"nobody"}, s.Unknown) != "" ||
		cmp.Diff([]string{"addresses"}, s.Receivers[0].Profiles) != "" {
		t.Errorf("%+v", s)
	}
	if got := ask[Notified](t, n.Appliance, "POST", "/rampart/notifications/hook/test", nil); got.Type != "http" {
		t.Errorf("%+v", got)
	}
	select {
	case <-n.hooked:
	case <-time.After(30 * time.Second):
		t.Error("nothing arrived")
	}
}

// TestAdminProfiles: an alert that is kept, one that is given, and profiles to try.
func TestAdminProfiles(t *testing.T) {
	n := openExchangeNode(t)
	list := ask[[]decisions.ProfileSummary](t, n.Appliance, "GET", "/rampart/profiles", nil)
	if len(list) != 2 || list[0].Decisions[0].Duration != "1h0m0s" || !list[0].Stops || len(list[1].Filters) != 2 {
		t.Errorf("%+v", list)
	}
	scan(t, n.Appliance, "192.0.2.7")
	until(t, "the alert", func() bool { return len(ask[[]event.Alert](t, n.Appliance, "GET", "/rampart/alerts", nil)) > 0 })
	kept := ask[[]event.Alert](t, n.Appliance, "GET", "/rampart/alerts?limit=1", nil)[0]
	text, err := json.Marshal(&kept)
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]ProfileTestRequest{"by its id": {ID: kept.ID}, "as JSON": {Alert: text}} {
		got := ask[ProfileTest](t, n.Appliance, "POST", "/rampart/profiles/test", q)
		if len(got.Decisions) != 1 || got.Decisions[0].Value != "192.0.2.7" || got.Decisions[0].Until.Sub(got.Decisions[0].Created) != time.Hour ||
			cmp.Diff([]string{"hook", "nobody"}, got.Notifications) != "" || cmp.Diff([]string{"nobody"}, got.Unknown) != "" {
			t.Errorf("%s: %+v", name, got)
		}
		if len(got.Profiles) != 2 || !got.Profiles[0].Decides || !got.Profiles[0].Stops || got.Profiles[1].Reached || got.Profiles[1].Filters[0].Tried {
			t.Errorf("%s: %+v", name, got.Profiles)
		}
	}
	next := "name: next\nfilters: ['GetDecisionsCount(Alert.GetValue()) > 100', 'Alert.GetScope() == \"Ip\"']\nduration_expr: '\"7h\"'\ndecisions: [{type: throttle}]\n"
	got := ask[ProfileTest](t, n.Appliance, "POST", "/rampart/profiles/test", ProfileTestRequest{ID: kept.ID, Profiles: next})
	if len(got.Decisions) != 1 || got.Decisions[0].Type != "throttle" || got.Profiles[0].Duration != "7h0m0s" || got.Profiles[0].Filters[0].True || !got.Profiles[0].Filters[1].True {
		t.Errorf("profiles to try: %+v", got)
	}
	file := filepath.Join(t.TempDir(), "next.yaml")
	if err := os.WriteFile(file, []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := ReadAlert(text)
	if err != nil {
		t.Fatal(err)
	}
	offline, err := ExplainProfiles(file, a)
	if diff := cmp.Diff(got.Profiles[0].Filters, offline.Profiles[0].Filters); err != nil || diff != "" || len(offline.Decisions) != 1 {
		t.Errorf("without a node: %v %s %+v", err, diff, offline)
	}
	if after := ask[[]event.Alert](t, n.Appliance, "GET", "/rampart/alerts?limit=1", nil); after[0].ID != kept.ID {
		t.Error("testing recorded something")
	}
}

// TestOpenAPIExchange: answers of these routes are what the document says, whatever the
// status.
func TestOpenAPIExchange(t *testing.T) {
	d := openDocument(t)
	n := openExchangeNode(t)
	until(t, "the first tries", func() bool { return n.lists()["feed"].Entries == 2 && n.lists()["gone"].Problem != "" })
	scan(t, n.Appliance, "192.0.2.7")
	until(t, "the alert", func() bool { return len(ask[[]event.Alert](t, n.Appliance, "GET", "/rampart/alerts", nil)) > 0 })
	alert := ask[[]event.Alert](t, n.Appliance, "GET", "/rampart/alerts?limit=1", nil)[0]
	ask[ListAnswer](t, n.Appliance, "PUT", "/rampart/lists/mine", "192.0.2.9")
	down := func(path string) func() {
		return func() { n.capi.FailNext(path, capitest.Forbidden, capitest.Forbidden, capitest.Forbidden) }
	}
	for _, c := range []struct {
		method, path, at string
		body             any
		status           int
		before           func()
	}{
		{"GET", "/rampart/capi", "", nil, 200, nil},
		{"GET", "/rampart/capi?x=y", "", nil, 400, nil},
		{"POST", "/rampart/capi/pull", "", nil, 409, nil},
		{"POST", "/rampart/capi/enroll", "", Enrolment{Key: "k"}, 409, nil},
		{"POST", "/rampart/capi/register", "", map[string]string{"url": "http://127.0.0.1:1/"}, 502, nil},
		{"POST", "/rampart/capi/register", "", map[string]string{"x": "y"}, 400, nil},
		{"POST", "/rampart/capi/register", "", map[string]string{}, 200, nil},
		{"GET", "/rampart/capi", "", nil, 200, nil},
		{"GET", "/rampart/capi/signals", "", nil, 200, nil},
		{"GET", "/rampart/capi/signals?limit=0", "", nil, 400, nil},
		{"POST", "/rampart/capi/enroll", "", Enrolment{Key: "k"}, 200, nil},
		{"POST", "/rampart/capi/enroll", "", Enrolment{Key: " "}, 400, nil},
		{"POST", "/rampart/capi/enroll", "", Enrolment{Key: "k"}, 400, down("/v3/watchers/enroll")},
		{"POST", "/rampart/capi/pull", "", nil, 200, nil},
		{"POST", "/rampart/capi/pull?x=y", "", nil, 400, nil},
		{"GET", "/rampart/lists", "", nil, 200, nil},
		{"POST", "/rampart/lists/feed/refresh", "/rampart/lists/{name}/refresh", nil, 200, nil},
		{"POST", "/rampart/lists/gone/refresh", "/rampart/lists/{name}/refresh", nil, 502, nil},
		{"POST", "/rampart/lists/mine/refresh", "/rampart/lists/{name}/refresh", nil, 409, nil},
		{"POST", "/rampart/lists/none/refresh", "/rampart/lists/{name}/refresh", nil, 404, nil},
		{"POST", "/rampart/lists/feed/refresh?x=y", "/rampart/lists/{name}/refresh", nil, 400, nil},
		{"GET", "/rampart/notifications", "", nil, 200, nil},
		{"GET", "/rampart/notifications?x=y", "", nil, 400, nil},
		{"POST", "/rampart/notifications/hook/test", "/rampart/notifications/{name}/test", nil, 200, nil},
		{"POST", "/rampart/notifications/none/test", "/rampart/notifications/{name}/test", nil, 404, nil},
		{"POST", "/rampart/notifications/hook/test?x=y", "/rampart/notifications/{name}/test", nil, 400, nil},
		{"GET", "/rampart/simulation", "", nil, 200, nil},
		{"GET", "/rampart/simulation?x=y", "", nil, 400, nil},
		{"POST", "/rampart/simulation", "", SimulationRequest{Selectors: []string{"host:www.example.com", "*"}, On: true}, 200, nil},
		{"POST", "/rampart/simulation", "", SimulationRequest{Selectors: []string{}}, 400, nil},
		{"POST", "/rampart/simulation", "", SimulationRequest{Selectors: []string{"x", "host:"}}, 400, nil},
		{"DELETE", "/rampart/simulation?selector=list:", "/rampart/simulation", nil, 400, nil},
		{"DELETE", "/rampart/simulation", "", nil, 200, nil},
		{"GET", "/rampart/profiles", "", nil, 200, nil},
		{"GET", "/rampart/profiles?x=y", "", nil, 400, nil},
		{"POST", "/rampart/profiles/test", "", ProfileTestRequest{ID: alert.ID}, 200, nil},
		{"POST", "/rampart/profiles/test", "", ProfileTestRequest{ID: alert.ID, Profiles: "name: x\nfilters: [nothing]\n"}, 400, nil},
		{"POST", "/rampart/profiles/test", "", ProfileTestRequest{ID: 4711}, 404, nil},
		{"POST", "/rampart/profiles/test", "", ProfileTestRequest{}, 400, nil},
		{"POST", "/rampart/profiles/test", "", `{"alert": {"scenario": "x"}}`, 400, nil},
		{"POST", "/rampart/profiles/test", "", `{"alert": {"scenario": "x", "source": {"scope": "Range", "value": "192.0.2.0/24"}}}`, 200, nil},
		{"GET", "/rampart/metrics", "", nil, 200, nil},
		{"GET", "/rampart/metrics?x=y", "", nil, 400, nil},
		{"GET", "/rampart/support", "", nil, 200, nil},
		{"GET", "/rampart/support?alerts=true", "", nil, 200, nil},
		{"GET", "/rampart/support?x=y", "", nil, 400, nil},
	} {
		if c.before != nil {
			c.before()
		}
		if c.at == "" {
			c.at, _, _ = strings.Cut(c.path, "?")
		}
		status, data := call(t, n.Appliance, c.method, c.path, c.body)
		if status != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, status, data, c.status)
			continue
		}
		d.answer(c.method, c.path, c.at, status, data)
	}
	plain := open(t, Config{})
	for path, at := range map[string]string{"/rampart/capi/pull": "", "/rampart/capi/register": "", "/rampart/capi/enroll": "",
		"/rampart/notifications/x/test": "/rampart/notifications/{name}/test"} {
		status, data := call(t, plain, "POST", path, `{"key": "k"}`)
		if path == "/rampart/capi/register" {
			status, data = call(t, plain, "POST", path, "{}")
		}
		if status != http.StatusConflict {
			t.Errorf("%s of a node without: %d %s", path, status, data)
			continue
		}
		if at == "" {
			at = path
		}
		d.answer("POST", path, at, status, data)
	}
}
