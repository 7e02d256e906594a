package appliance

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/capitest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// TestCommunityInANode: credentials that come later are taken, the list that they
// open bans, and alerts of engine, agents and operators become signals.
func TestCommunityInANode(t *testing.T) {
	server := capitest.Start(t, nil)
	server.AddMachine("rampart-test", "secret-of-the-test")
	server.SetCommunity(capitest.Group{Scope: "ip", Decisions: []capitest.Decision{{Duration: "24h", Value: "192.0.2.50"}}})
	f := folder{t, t.TempDir()}
	credentials := filepath.Join(f.dir, "capi.yaml")
	a := open(t, served(Config{DataDir: f.dir, Community: &CommunityConfig{Credentials: credentials, Sharing: true,
		Share: []string{"custom", "tainted", "manual"}}}))
	if s := a.live.Load().status(); s.Community.Off == "" || !strings.Contains(strings.Join(s.Problems, "\n"), "the Central API is not used") {
		t.Errorf("without credentials: %+v, %q", s.Community, s.Problems)
	}
	f.write("capi.yaml", fmt.Sprintf("url: %s\nlogin: rampart-test\npassword: secret-of-the-test\n", server.URL))
	until(t, "the list of the community bans", func() bool { return action(a, "192.0.2.50") == decisions.Ban })
	v := a.Decide(netip.MustParseAddr("192.0.2.50"))
	if d, ok := a.live.Load().state.decision(v.ID); !ok || d.Origin != "CAPI" {
		t.Errorf("the decision is %+v", d)
	}
	scan(t, a, "203.0.113.7")
	token := agent(t, a, "web-1")
	if status, text := callAPI(t, fresh(), "POST", "http://"+address(t, a)+"/v1/alerts", alertOf("203.0.113.8"), "Authorization", token); status != 201 {
		t.Fatalf("pushing an alert: %d %s", status, text)
	}
	ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: "203.0.113.9"})
	until(t, "all three are told", func() bool { return a.live.Load().status().Community.Sent >= 3 })
	said := ""
	for _, r := range server.Requests("/v3/signals") {
		said += string(r.Body)
	}
	for _, want := range []string{"203.0.113.7", "203.0.113.8", "203.0.113.9"} {
		if !strings.Contains(said, want) {
			t.Errorf("no signal about %s", want)
		}
	}
}

// TestListsAndRangesInANode: a list from a file is in force until its configuration
// goes, and many bans in a network become one.
func TestListsAndRangesInANode(t *testing.T) {
	f := folder{t, t.TempDir()}
	url := "file://" + f.write("list.txt", "192.0.2.60\n192.0.2.64/28\n")
	a := open(t, Config{DataDir: f.dir, Lists: []FeedConfig{{Name: "own", URL: url, Type: "captcha"}, {Name: "gone", URL: url + ".absent"}},
		Aggregate: &AggregateConfig{Count: 3}})
	until(t, "the list is in force", func() bool { return action(a, "192.0.2.70") == decisions.Captcha })
	until(t, "the other one is missed", func() bool {
		return strings.Contains(strings.Join(a.live.Load().status().Problems, "\n"), "list gone cannot be fetched")
	})
	for i := range 3 {
		ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: fmt.Sprint("198.51.100.", i+1)})
	}
	until(t, "the range is banned", func() bool { return action(a, "198.51.100.200") == decisions.Ban })
	if s := a.live.Load().status().Aggregate; !s.On || s.Made != 1 {
		t.Errorf("status: %+v", s)
	}
	all := gather(t, a)
	for name, want := range map[string]float64{"rampart_list_entries{own }": 2, "rampart_list_failing{gone }": 1, "rampart_aggregated_ranges{}": 1,
		"cs_active_decisions{own lists captcha }": 2} {
		if got := metric(all, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	use(t, a, compiled(t, Config{DataDir: f.dir}))
	until(t, "the list goes with its configuration", func() bool { return action(a, "192.0.2.70") == decisions.None })
}

// TestWhoLeadsAFleet: a node whose configuration has no lists and no ranges keeps the
// others of its fleet from neither; one that had them hands over.
func TestWhoLeadsAFleet(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	server := capitest.Start(t, nil)
	server.AddMachine("rampart-test", "secret-of-the-test")
	server.SetCommunity(capitest.Group{Scope: "ip", Decisions: []capitest.Decision{{Duration: "24h", Value: "192.0.2.50"}}})
	f := folder{t, t.TempDir()}
	full := Config{DataDir: f.dir, Aggregate: &AggregateConfig{Count: 3}, Lists: []FeedConfig{{Name: "own", URL: "file://" + f.write("list.txt", "192.0.2.60\n")}},
		Community: &CommunityConfig{Credentials: f.write("capi.yaml", fmt.Sprintf("url: %s\nlogin: rampart-test\npassword: secret-of-the-test\n", server.URL))}}
	a := open(t, member("a", s.Addr(), Config{}))
	ready(t, a)
	b := open(t, member("b", s.Addr(), full))
	ready(t, b)
	banned(t, "192.0.2.50", a, b)
	banned(t, "192.0.2.60", a, b)
	for i := range 3 {
		ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: fmt.Sprint("198.51.100.", i+1)})
	}
	banned(t, "198.51.100.200", a, b)

	use(t, b, compiled(t, member("b", s.Addr(), Config{DataDir: f.dir})))
	until(t, "what was fetched goes with its configuration", func() bool {
		return action(a, "192.0.2.50") == decisions.None && action(a, "192.0.2.60") == decisions.None
	})
	full.DataDir = ""
	open(t, member("c", s.Addr(), full))
	banned(t, "192.0.2.50", a, b)
	banned(t, "192.0.2.60", a, b)
}

// TestReasonsAreBounded: whoever writes reasons does not make series without end.
func TestReasonsAreBounded(t *testing.T) {
	by := map[string]int{"often": 7}
	var tallies []decisions.Tally
	for i := range 3 * mostReasons {
		by[fmt.Sprint("reason ", i)] = 1
		tallies = append(tallies, decisions.Tally{Scenario: fmt.Sprint("reason ", i), Origin: "cscli", Type: "ban", N: 1})
	}
	few := fewest(by)
	active := activeDecisions(append(tallies, decisions.Tally{Scenario: "often", Origin: "cscli", Type: "ban", N: 7}))
	if len(few) != mostReasons+1 || few["often"] != 7 || few[otherReason] != 2*mostReasons+1 {
		t.Errorf("%d reasons, often %d, other %d", len(few), few["often"], few[otherReason])
	}
	if len(active) != mostReasons+1 || active[reasonKey{"often", "cscli", "ban"}] != 7 {
		t.Errorf("%d series", len(active))
	}
	if got := label("a\xffb"); got != "a\uFFFDb" {
		t.Errorf("label %q", got)
	}
}
