package community

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// puts counts what the Book is told of lists, and refuses drops while stuck.
type puts struct {
	*decisions.Book
	n     map[string]int
	stuck bool
	drops int // refused
}

func (p *puts) DropList(name string) error {
	if p.stuck {
		p.drops++
		return errors.New("stuck")
	}
	return p.Book.DropList(name)
}

func (p *puts) PutList(l *decisions.Blocklist) error {
	p.n[l.Name]++
	return p.Book.PutList(l)
}

// counted makes the desk count puts.
func (d *desk) counted() *puts {
	p := &puts{Book: d.book, n: map[string]int{}}
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
	d.server.SetCommunity(group("ip", "24h", strings.Fields(numbered(0, 100))...))
	must(t, d.client.Pull(t.Context()))
	d.server.SetCommunity(group("ip", "24h", "60.0.0.2"))
	must(t, d.client.Pull(t.Context()))
	if s := d.client.Status(); s.Community != 101 {
		t.Errorf("%d entries, want the hundred that were there and a new one", s.Community)
	}
	d.pull(25 * time.Hour)
	d.expectList("CAPI", "60.0.0.2")
	d.server.SetCommunity()
	d.pull(25 * time.Hour)
	d.expectList("CAPI", "")
}

// TestPulledElsewhere: another node's community list is not brought back to what this
// one knew, and after a start it is pulled anew.
func TestPulledElsewhere(t *testing.T) {
	d := newDesk(t)
	d.server.SetCommunity(group("ip", "24h", "60.0.0.1"), group("ip", "10m", "60.0.0.2"), group("ip", "1m", "60.0.0.1"))
	d.pull(5 * time.Minute)
	d.expectList("CAPI", "60.0.0.1 60.0.0.2") // of two lengths the longer one holds
	l, _, err := decisions.NewBlocklist(decisions.ListHead{Name: "CAPI", From: "CAPI", Type: "ban", Created: d.clock.Now(), Until: testStart.Add(20 * time.Hour)},
		[]netip.Prefix{netip.MustParsePrefix("60.0.0.7/32")})
	must(t, err)
	must(t, d.book.PutList(l))
	d.pull(30 * time.Minute)
	d.expectList("CAPI", "60.0.0.7")
	d.restart()
	d.pull(time.Minute)
	d.expectList("CAPI", "60.0.0.1 60.0.0.2")
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

	row, err := json.Marshal(sharedLinks{testStart, []allowlistLink{{ID: "1", Name: "my_allow", URL: d.server.URL + "al/1"}}})
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

// TestCannotBeWithdrawn: what is not wanted any more and cannot be dropped is tried
// again, less and less often.
func TestCannotBeWithdrawn(t *testing.T) {
	d := newDesk(t)
	d.server.SetCommunity(group("ip", "24h", "60.0.0.1"))
	d.pull(time.Minute)
	must(t, d.feeds.Use([]Feed{{Name: "f", URL: d.server.PutFile("f", "198.51.100.1\n")}}))
	d.fetch(time.Minute)
	p := d.counted()
	p.stuck = true
	d.use(func(c *Config) { c.NoCommunity = true })
	must(t, d.feeds.Use(nil))
	steps := func(do func(context.Context)) {
		t.Helper()
		p.stuck, p.drops = true, 0
		d.steps(5*time.Minute, time.Second, do)
		if p.drops < 3 || p.drops > 20 {
			t.Errorf("tried %d times in five minutes", p.drops)
		}
		p.stuck = false
		d.steps(15*time.Minute, time.Second, do)
	}
	steps(d.client.pullDue)
	d.expectList("CAPI", "")
	d.expectList("f", "198.51.100.1")
	p.stuck = true
	d.use(func(c *Config) { c.Pull = false })
	d.pull(15 * time.Minute)
	p.stuck = false
	d.use(func(c *Config) { c.Pull, c.NoCommunity = true, false }) // waits for nothing
	d.client.pullDue(t.Context())
	d.expectList("CAPI", "60.0.0.1")
	steps(d.feeds.step)
	d.expectList("f", "")
}

// TestCommunityThatCoversTooMuch: entries that are possible each, and too many.
func TestCommunityThatCoversTooMuch(t *testing.T) {
	for name, format := range map[string]string{"IPv4": "%d.0.0.0/8", "IPv6": "2%03x::/16"} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.server.SetCommunity(group("ip", "24h", "60.0.0.1"))
			must(t, d.client.Pull(t.Context()))
			var wide []string
			for i := range map[string]int{"IPv4": 17, "IPv6": 513}[name] {
				wide = append(wide, fmt.Sprintf(format, 20+i))
			}
			d.server.Change([]capitest.Group{group("range", "24h", wide...)})
			if err := d.client.Pull(t.Context()); err == nil || !strings.Contains(err.Error(), "a sixteenth of the "+name) {
				t.Errorf("got %v", err)
			}
			d.expectList("CAPI", "60.0.0.1")
		})
	}
}
