package community

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/capitest"
)

func group(scope, duration string, values ...string) capitest.Group {
	g := capitest.Group{Scenario: "crowdsecurity/ssh-bf", Scope: scope}
	for _, v := range values {
		g.Decisions = append(g.Decisions, capitest.Decision{Value: v, Duration: duration})
	}
	return g
}

// puts counts what the Book is told of lists.
type puts struct {
	*decisions.Book
	n map[string]int
}

func (p *puts) PutList(l *decisions.Blocklist) error {
	p.n[l.Name]++
	return p.Book.PutList(l)
}

// counted makes the desk count puts.
func (d *desk) counted() *puts {
	p := &puts{d.book, map[string]int{}}
	d.client.o.Lists, d.feeds.o.Lists = p, p
	return p
}

// TestCommunityList: all of it first, then changes; entries go when their own end comes.
func TestCommunityList(t *testing.T) {
	d := newDesk(t)
	d.server.SetCommunity(group("ip", "24h0m0s", "60.0.0.1", "60.0.0.2"), group("range", "12h0m0s", "60.1.0.0/24"),
		group("ip", "5h", "60.1.0.9", "60.0.0.3"), group("Country", "5h", "XX"), group("ip", "5h", "0.0.0.0/0", "nonsense"), group("ip", "0s", "60.9.9.9"))
	p := d.counted()
	d.pull(time.Minute)
	d.expectList("CAPI", "60.0.0.1 60.0.0.2 60.0.0.3 60.1.0.0/24")
	if _, until := d.list("CAPI"); !until.Equal(testStart.Add(24 * time.Hour)) {
		t.Errorf("until %s", until)
	}
	if s := d.client.Status(); s.Skipped != 3 || s.Community != 4 || !s.Reachable || s.LastPull.IsZero() || s.NextPull.IsZero() {
		t.Errorf("got %+v", s)
	}
	found := d.book.List(decisions.Filter{Value: "60.1.0.77"})
	if len(found) == 0 {
		found = d.book.List(decisions.Filter{Contains: netip.MustParseAddr("60.1.0.77")})
	}
	if len(found) != 1 || found[0].Origin != "CAPI" || found[0].Type != "ban" || found[0].Scenario != communityScenario {
		t.Errorf("found %+v", found)
	}
	uris := d.server.Requests("/v3/decisions")
	if len(uris) != 1 || uris[0].URI != "/v3/decisions/stream?startup=true" {
		t.Errorf("requests %+v", uris)
	}

	d.server.Change([]capitest.Group{group("ip", "24h", "60.0.0.4")}, capitest.Deleted{Scope: "ip", Decisions: []string{"60.0.0.2", "60.1.0.0/24"}})
	d.pull(2*time.Hour + 6*time.Minute)
	// The address of the range that went is its own again.
	d.expectList("CAPI", "60.0.0.1 60.0.0.3 60.0.0.4 60.1.0.9")
	if uris = d.server.Requests("/v3/decisions"); len(uris) != 2 || uris[1].URI != "/v3/decisions/stream" {
		t.Errorf("requests %+v", uris)
	}
	if p.n["CAPI"] != 2 {
		t.Errorf("%d puts", p.n["CAPI"])
	}
	d.pull(3 * time.Hour)
	d.expectList("CAPI", "60.0.0.1 60.0.0.4")
	if p.n["CAPI"] != 3 {
		t.Errorf("%d puts: pulls without changes are none", p.n["CAPI"])
	}
	d.server.Change(nil, capitest.Deleted{Scope: "ip", Decisions: []string{"60.0.0.1", "60.0.0.4"}})
	d.pull(3 * time.Hour)
	d.expectList("CAPI", "")
}

// TestSameAgain: a list that is told again for longer keeps its entries and their
// numbers.
func TestSameAgain(t *testing.T) {
	d := newDesk(t)
	d.server.SetCommunity(group("ip", "24h", "60.0.0.1", "60.0.0.2"))
	must(t, d.client.Pull(t.Context()))
	before := d.book.Lists()[0]
	d.clock.Advance(time.Hour)
	must(t, d.client.Pull(t.Context()))
	after := d.book.Lists()[0]
	if after.Base != before.Base || !after.Until.Equal(testStart.Add(25*time.Hour)) || after.Version <= before.Version {
		t.Errorf("base %d, then %d; until %s", before.Base, after.Base, after.Until)
	}
}

// TestRestartOfPull: the whole is asked for again, what was deleted meanwhile goes; and
// not before it is due.
func TestRestartOfPull(t *testing.T) {
	d := newDesk(t)
	d.server.SetCommunity(group("ip", "24h", "60.0.0.1", "60.0.0.2", "60.0.0.3"), group("ip", "90m", "60.0.0.4"))
	d.pull(time.Minute)
	d.clock.Advance(time.Hour)
	d.restart()
	d.pull(25 * time.Minute)
	d.expectRequests("/v3/decisions", 1)
	d.expectList("CAPI", "60.0.0.1 60.0.0.2 60.0.0.3 60.0.0.4")
	d.pull(10 * time.Minute) // ends are known after a restart
	d.expectList("CAPI", "60.0.0.1 60.0.0.2 60.0.0.3")
	d.server.SetCommunity(group("ip", "24h", "60.0.0.1", "60.0.0.3"))
	d.restart()
	d.pull(time.Hour)
	d.expectList("CAPI", "60.0.0.1 60.0.0.3")
	if rs := d.server.Requests("/v3/decisions"); len(rs) != 2 || !strings.Contains(rs[1].URI, "startup=true") {
		t.Errorf("requests %+v", rs)
	}
}

// TestWholeThatIsNothing: a server that has lost its list does not take ours away at
// once.
func TestWholeThatIsNothing(t *testing.T) {
	d := newDesk(t)
	d.server.SetCommunity(group("ip", "24h", "60.0.0.1"))
	must(t, d.client.Pull(t.Context()))
	d.server.SetCommunity()
	must(t, d.client.Pull(t.Context()))
	d.expectList("CAPI", "60.0.0.1")
	d.pull(25 * time.Hour)
	d.expectList("CAPI", "")
}

// TestPullFails: what was in force stays, and the next pull begins anew.
func TestPullFails(t *testing.T) {
	d := newDesk(t)
	d.server.SetCommunity(group("ip", "24h", "60.0.0.1"))
	d.server.SetBlocklist("my_list", "captcha", "24h", "61.0.0.1")
	must(t, d.client.Pull(t.Context()))
	d.server.SetCommunity(group("ip", "24h", "60.0.0.1", "60.0.0.7"))
	for _, fault := range []capitest.Fault{capitest.Cut, capitest.Reset, capitest.Unavailable, capitest.TooMany, capitest.Internal, capitest.Lost} {
		d.server.FailNext("/v3/decisions", fault)
		if err := d.client.Pull(t.Context()); err == nil {
			t.Errorf("%s is no error", fault)
		}
		d.expectList("CAPI", "60.0.0.1")
	}
	for _, fault := range []capitest.Fault{capitest.Cut, capitest.Unavailable, capitest.Forbidden} {
		d.server.SetBlocklist("my_list", "captcha", "24h", "61.0.0.1", "61.0.0.2")
		d.server.FailNext("/bl/", fault)
		if err := d.client.Pull(t.Context()); err == nil || !strings.Contains(err.Error(), "my_list") {
			t.Errorf("%s: %v", fault, err)
		}
		d.expectList("CAPI", "60.0.0.1 60.0.0.7")
		d.expectList("my_list", "61.0.0.1")
	}
	if s := d.client.Status(); len(s.Lists) != 1 || s.Lists[0].Problem == "" || s.Lists[0].Entries != 1 {
		t.Errorf("got %+v", s.Lists)
	}
}

// TestBlocklists: fetched when they have changed, dropped when the account has them no
// more.
func TestBlocklists(t *testing.T) {
	d := newDesk(t)
	p := d.counted()
	d.server.SetBlocklist("my_list", "captcha", "24h", "61.0.0.1", "61.0.0.2", "62.0.0.0/16")
	d.server.SetBlocklist("other list", "ban", "1h", "61.0.0.9")
	d.pull(time.Minute)
	d.expectList("my_list", "61.0.0.1 61.0.0.2 62.0.0.0/16")
	d.expectList("other_list", "61.0.0.9")
	if v := d.book.List(decisions.Filter{Value: "61.0.0.2"}); len(v) != 1 || v[0].Type != "captcha" || v[0].Origin != "lists:my_list" {
		t.Errorf("found %+v", v)
	}
	rs := d.server.Requests("/bl/my_list")
	if len(rs) != 1 || rs[0].Header.Get("If-Modified-Since") != "" || rs[0].Header.Get("Authorization") != "" {
		t.Fatalf("requests %+v", rs)
	}
	base := d.book.Lists()[0].Base
	d.pull(2*time.Hour + 6*time.Minute)
	rs = d.server.Requests("/bl/my_list")
	if len(rs) != 2 || rs[1].Status != 304 || rs[1].Header.Get("If-Modified-Since") != testStart.Format("Mon, 02 Jan 2006 15:04:05 GMT") || rs[1].Header.Get("If-None-Match") == "" {
		t.Fatalf("requests %+v", rs)
	}
	if l := d.book.Lists()[0]; l.Base != base || l.Until.Sub(d.clock.Now()) < 23*time.Hour {
		t.Errorf("unchanged: base %d, then %d; until %s", base, l.Base, l.Until)
	}
	if p.n["my_list"] != 2 {
		t.Errorf("%d puts", p.n["my_list"])
	}
	// One that ends before the pull after next is fetched anyway.
	if rs = d.server.Requests("/bl/other"); len(rs) != 2 || rs[1].Status != 200 {
		t.Errorf("requests %+v", rs)
	}
	d.server.SetBlocklist("my_list", "captcha", "24h", "61.0.0.2", "61.0.0.3")
	d.server.Unsubscribe("other list")
	d.pull(2*time.Hour + 6*time.Minute)
	d.expectList("my_list", "61.0.0.2 61.0.0.3")
	d.expectList("other_list", "")
	d.server.SetBlocklist("my_list", "ban", "24h", "61.0.0.2", "61.0.0.3")
	d.pull(2*time.Hour + 6*time.Minute)
	if v := d.book.List(decisions.Filter{Value: "61.0.0.2"}); len(v) != 1 || v[0].Type != "ban" {
		t.Errorf("another remediation: %+v", v)
	}
	d.server.OmitLinks(true)
	d.pull(2*time.Hour + 6*time.Minute)
	d.expectList("my_list", "61.0.0.2 61.0.0.3")
}

// TestBlocklistByDate: a server without tags.
func TestBlocklistByDate(t *testing.T) {
	d := newDesk(t)
	d.server.OmitTags(true)
	d.server.SetBlocklist("my_list", "ban", "24h", "61.0.0.1")
	must(t, d.client.Pull(t.Context()))
	d.clock.Advance(time.Minute)
	d.restart()
	must(t, d.client.Pull(t.Context()))
	if rs := d.server.Requests("/bl/"); len(rs) != 2 || rs[1].Status != 304 {
		t.Errorf("requests %+v", rs)
	}
}

// TestListOfAnother: what an operator imported is not replaced.
func TestListOfAnother(t *testing.T) {
	d := newDesk(t)
	l, _, err := decisions.NewBlocklist(decisions.ListHead{Name: "my_list", Type: "ban", Created: testStart, Until: testStart.Add(time.Hour)},
		[]netip.Prefix{netip.MustParsePrefix("9.9.9.9/32")})
	must(t, err)
	must(t, d.book.PutList(l))
	d.server.SetBlocklist("my_list", "ban", "24h", "61.0.0.1")
	if err := d.client.Pull(t.Context()); err == nil || !strings.Contains(err.Error(), "not the account's") {
		t.Errorf("got %v", err)
	}
	d.expectList("my_list", "9.9.9.9")
	d.server.Unsubscribe("my_list")
	must(t, d.client.Pull(t.Context()))
	d.expectList("my_list", "9.9.9.9")
}

// TestAllowlists: what they cover is not enforced, even if that is all that a list has.
func TestAllowlists(t *testing.T) {
	d := newDesk(t)
	d.server.SetCommunity(group("ip", "24h", "60.0.0.2"))
	d.server.SetBlocklist("my_list", "ban", "24h", "62.0.0.1")
	d.server.SetAllowlist("0b1e3a30-0000-4000-8000-000000000001", "my_allow", `{"value":"62.0.0.0/8","description":"partner","created_at":"2026-01-01T00:00:00Z"}`,
		`{"value":"60.0.0.2","expiration":"2030-01-01T00:00:00Z"}`, ``, `{"value":"60.0.0.3","expiration":"2020-01-01T00:00:00Z"}`)
	must(t, d.client.Pull(t.Context()))
	for _, ip := range []string{"60.0.0.2", "62.0.0.1"} {
		if v := d.book.List(decisions.Filter{Value: ip, Active: true}); len(v) != 0 {
			t.Errorf("%s: %+v", ip, v)
		}
		if !d.book.Allow().Contains(netip.MustParseAddr(ip)) {
			t.Errorf("%s is not allowed", ip)
		}
	}
	if s := d.client.Status(); len(s.Allowlists) != 1 || s.Allowlists[0].Name != "my_allow" || s.LastError != "" {
		t.Errorf("got %+v", s)
	}
	managed := func() (names []string) {
		for _, l := range d.book.Allow().Lists() {
			if l.Managed {
				names = append(names, l.Name)
			}
		}
		return names
	}
	d.server.SetAllowlist("0b1e3a30-0000-4000-8000-000000000001", "my_allow", `{"value":"60.0.0.2"}`, `{"value":"0.0.0.0/0"}`, `nonsense`)
	err := d.client.Pull(t.Context())
	if err == nil || !strings.Contains(err.Error(), "2 lines are left out") {
		t.Errorf("got %v", err)
	}
	if d.book.Allow().Contains(netip.MustParseAddr("62.0.0.1")) || !d.book.Allow().Contains(netip.MustParseAddr("60.0.0.2")) {
		t.Error("the list is not what it is now")
	}
	d.server.FailNext("/al/", capitest.Unavailable)
	if err := d.client.Pull(t.Context()); err == nil {
		t.Error("a failure is no error")
	}
	if len(managed()) != 1 {
		t.Error("a failure takes the list away")
	}
	d.server.Unsubscribe("my_allow")
	must(t, d.client.Pull(t.Context()))
	if names := managed(); len(names) != 0 {
		t.Errorf("left: %q", names)
	}
}

// TestWhoPulls: one node at a time; the others fetch allowlists from where that one was
// told they are.
func TestWhoPulls(t *testing.T) {
	d := newDesk(t)
	leads := false
	table := rows{}
	d.o.Leads, d.o.Shared = func() bool { return leads }, table
	d.restart()
	d.server.SetCommunity(group("ip", "24h", "60.0.0.1"))
	d.server.SetAllowlist("1", "my_allow", `{"value":"60.0.0.2"}`)
	d.pull(5 * time.Hour)
	d.expectRequests("/", 0)

	row, err := json.Marshal(sharedLinks{testStart, []AllowlistLink{{ID: "1", Name: "my_allow", URL: d.server.URL + "al/1"}}})
	must(t, err)
	must(t, table.Put(sharedTable, linksKey, row))
	d.server.FailNext("/al/", capitest.Unavailable)
	d.pull(time.Hour)
	d.expectRequests("/al/", 2)
	if !d.book.Allow().Contains(netip.MustParseAddr("60.0.0.2")) {
		t.Error("not allowed here")
	}
	leads = true
	d.pull(time.Minute)
	d.expectList("CAPI", "60.0.0.1")
	var told sharedLinks
	must(t, json.Unmarshal(table[linksKey], &told))
	if len(told.Links) != 1 || !told.At.After(testStart) {
		t.Errorf("told %+v", told)
	}
	d.pull(3 * time.Hour)
	leads = false
	d.pull(time.Minute)
	leads = true
	d.pull(2 * time.Hour)
	rs := d.server.Requests("/v3/decisions")
	if last := rs[len(rs)-1]; !strings.Contains(last.URI, "startup=true") {
		t.Errorf("having led before: %s", last.URI)
	}
}

// rows are a shared table of one node.
type rows map[string][]byte

func (r rows) Put(_, key string, value []byte) error { r[key] = value; return nil }

func (r rows) Each(_ string, fn func(string, []byte) error) error {
	for k, v := range r {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// TestOptionsOfPull: what is not wanted is not asked for.
func TestOptionsOfPull(t *testing.T) {
	for config, want := range map[*Config]string{
		{}: "?startup=true", {NoCommunity: true}: "?community_pull=false&startup=true", {NoLists: true}: "?additional_pull=false&startup=true"} {
		if got := streamPath(*config, true); got != "decisions/stream"+want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := streamPath(Config{}, false); got != "decisions/stream" {
		t.Errorf("got %s", got)
	}
	d := newDesk(t)
	d.use(func(c *Config) { c.Pull = false })
	d.pull(5 * time.Hour)
	d.expectRequests("/", 0)
	d.config.PullEvery = time.Second
	if err := d.client.Use(d.config); err == nil {
		t.Error("a pull every second is taken")
	}
}

// TestRun: the loops end, and no step is under way afterwards.
func TestRun(t *testing.T) {
	d := newDesk(t)
	d.server.SetCommunity(group("ip", "24h", "60.0.0.1"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); d.client.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); d.client.Status().Community == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was pulled")
		}
	}
	d.alert(1, "crowdsecurity/ssh-bf")
	cancel()
	<-ended
	if s := d.client.Status(); s.Queue+int(s.Sent) != 1 {
		t.Errorf("what was offered last: %+v", s)
	}
}

// TestNotWanted: what was pulled goes when it is turned off, and stays where only the
// credentials are not there.
func TestNotWanted(t *testing.T) {
	d := newDesk(t)
	d.server.SetCommunity(group("ip", "24h", "60.0.0.1"))
	d.server.SetBlocklist("my_list", "ban", "24h", "61.0.0.1")
	d.server.SetAllowlist("1", "my_allow", `{"value":"60.0.0.2"}`)
	d.pull(time.Minute)
	allowed := func() bool { return d.book.Allow().Contains(netip.MustParseAddr("60.0.0.2")) }
	file := d.config.Credentials
	d.use(func(c *Config) { c.Credentials = file + ".away" })
	d.pull(time.Minute)
	d.expectList("CAPI", "60.0.0.1")
	d.use(func(c *Config) { c.Credentials, c.NoCommunity = file, true })
	d.pull(time.Minute)
	d.expectList("CAPI", "")
	d.expectList("my_list", "61.0.0.1")
	d.use(func(c *Config) { c.NoCommunity, c.NoLists = false, true })
	d.pull(3 * time.Hour)
	d.expectList("CAPI", "60.0.0.1")
	d.expectList("my_list", "")
	if allowed() {
		t.Error("the allowlist stays")
	}
	d.use(func(c *Config) { c.NoLists = false })
	must(t, d.client.Pull(t.Context()))
	d.use(func(c *Config) { *c = Config{} })
	d.pull(time.Minute)
	d.expectList("CAPI", "")
	d.expectList("my_list", "")
	if allowed() {
		t.Error("the allowlist stays")
	}
}
