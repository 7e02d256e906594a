package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

// TestAdminLists: put, shown, replaced, in force, told, removed; there after a
// restart.
func TestAdminLists(t *testing.T) {
	dir := t.TempDir()
	a := open(t, Config{DataDir: dir})
	if list := ask[[]ListStatus](t, a, "GET", "/rampart/lists", nil); list == nil || len(list) != 0 {
		t.Errorf("at first %v", list)
	}
	got := ask[ListAnswer](t, a, "PUT", "/rampart/lists/bad-1?duration=2d&scenario=why%20not", "# x\n192.0.2.101\n192.0.2.101\n198.51.100.0/24\n198.51.100.7\nx y\n0.0.0.0/0\n2001:db8::/48 ; z\n")
	want := decisions.ListReport{Lines: 8, Bad: 1, TooWide: 1, Duplicates: 1, Covered: 1, Problems: got.Report.Problems}
	if diff := cmp.Diff(want, got.Report); diff != "" || len(got.Report.Problems) != 2 || !strings.HasPrefix(got.Report.Problems[0], `line 6: "x y"`) {
		t.Errorf("%s\n%q", diff, got.Report.Problems)
	}
	l := got.List
	if got.Replaced || l.Name != "bad-1" || l.Origin != "lists:bad-1" || l.Type != "ban" || l.Scenario != "why not" || l.Until.Sub(l.Created) != 48*time.Hour ||
		l.Entries != 3 || l.Addresses4 != 1 || l.Ranges4 != 1 || l.All6 != 1 || l.Suppressed != 0 || l.FirstID == 0 || l.Version == 0 {
		t.Errorf("%+v", l)
	}
	if again := ask[ListAnswer](t, a, "PUT", "/rampart/lists/bad-1?type=captcha", "192.0.2.102\n192.0.2.101\n192.0.2.100/32\n"); !again.Replaced ||
		again.List.Entries != 3 || again.List.Version <= l.Version || again.List.Until.Sub(again.List.Created) != 48*time.Hour || again.List.Scenario != "why not" || again.List.Type != "captcha" {
		t.Errorf("%+v", again)
	}
	ask[ListAnswer](t, a, "PUT", "/rampart/lists/bans", "203.0.113.0/28\n")
	if v := visit(a, from("203.0.113.7"), "/", 200); v.Action != Refuse || v.Origin != "lists:bans" || v.Scenario != "bans" {
		t.Errorf("%+v", v)
	} else if w := ask[Why](t, a, "GET", "/rampart/why/"+v.Incident, nil); w.Verdict != "ban" || len(w.Decisions) != 1 || w.Decisions[0].Value != "203.0.113.0/28" {
		t.Errorf("%+v", w)
	}
	if v := visit(a, from("192.0.2.102"), "/", 200); v.Action != Respond {
		t.Errorf("%s", v.Action)
	}
	w := ask[Why](t, a, "GET", "/rampart/why/203.0.113.7", nil)
	if w.Verdict != "ban" || len(w.Decisions) != 1 || !strings.Contains(w.Summary, "lists:bans") || len(w.Next) != 2 || w.Next[0] != "rampart lists show bans" {
		t.Errorf("%+v", w)
	}
	if ds := ask[[]decisions.Decision](t, a, "GET", "/rampart/decisions?origin=lists:bad-1", nil); len(ds) != 3 || ds[0].Value != "192.0.2.102" {
		t.Errorf("%+v", ds)
	}
	d := ask[ListDetail](t, a, "GET", "/rampart/lists/bad-1?limit=2", nil)
	if !slices.Equal(d.First, []string{"192.0.2.100", "192.0.2.101"}) || d.List.Entries != 3 {
		t.Errorf("%+v", d)
	}
	gone := ask[Deleted](t, a, "POST", "/rampart/unban", map[string]string{"value": "203.0.113.7"})
	if len(gone.Deleted) != 0 || !slices.Equal(gone.Lists, []string{"bans"}) {
		t.Errorf("unbanned: %+v", gone)
	}
	ask[decisions.AllowEntry](t, a, "POST", "/rampart/allowlist", AllowRequest{Value: "203.0.113.7"})
	if v := visit(a, from("203.0.113.7"), "/", 200); v.Action != Pass {
		t.Errorf("allowed: %s", v.Action)
	}
	if err := a.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	a = open(t, Config{DataDir: dir})
	if list := ask[[]ListStatus](t, a, "GET", "/rampart/lists", nil); len(list) != 2 || list[0].Name != "bad-1" || list[1].Name != "bans" {
		t.Errorf("restarted: %+v", list)
	}
	if v := visit(a, from("203.0.113.8"), "/", 200); v.Action != Refuse {
		t.Errorf("restarted: %s", v.Action)
	}
	if l := ask[ListStatus](t, a, "DELETE", "/rampart/lists/bans", nil); l.Entries != 1 {
		t.Errorf("%+v", l)
	}
	if v := visit(a, from("203.0.113.8"), "/", 200); v.Action != Pass {
		t.Errorf("removed: %s", v.Action)
	}
}

func TestAdminListsRefuse(t *testing.T) {
	a := open(t, Config{})
	ask[ListAnswer](t, a, "PUT", "/rampart/lists/there", "192.0.2.101")
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/rampart/lists?name=x", "", 400, `"name" is unknown`},
		{"GET", "/rampart/lists/none", "", 404, `no list "none"`},
		{"GET", "/rampart/lists/there?limit=-1", "", 400, "limit"},
		{"GET", "/rampart/lists/there?limit=10001", "", 400, "limit"},
		{"PUT", "/rampart/lists/a%20b", "192.0.2.101", 400, "list name"},
		{"PUT", "/rampart/lists/..%2Fx", "192.0.2.101", 400, "list name"},
		{"PUT", "/rampart/lists/x?typ=ban", "192.0.2.101", 400, `"typ" is unknown`},
		{"PUT", "/rampart/lists/x?type=bann", "192.0.2.101", 400, `type "bann"`},
		{"PUT", "/rampart/lists/x?duration=4", "192.0.2.101", 400, `duration "4"`},
		{"PUT", "/rampart/lists/x?scenario=%1b", "192.0.2.101", 400, "scenario"},
		{"PUT", "/rampart/lists/there", "", 400, "no address in the list"},
		{"PUT", "/rampart/lists/there", "<html>\n<body>\n", 400, `line 1: "<html>"`},
		{"PUT", "/rampart/lists/there", strings.Repeat("#"+strings.Repeat(" ", 98)+"\n", MaxListBody/100+1), 413, "split it"},
		{"DELETE", "/rampart/lists/none", "", 404, `no list "none"`},
		{"DELETE", "/rampart/lists/there?all=true", "", 400, `"all" is unknown`},
	} {
		status, data := call(t, a, tt.method, tt.path, tt.body)
		var e map[string]string
		if err := json.Unmarshal(data, &e); err != nil || status != tt.status || !strings.Contains(e["error"], tt.want) {
			t.Errorf("%s %s: %d %q, want %d with %q", tt.method, tt.path, status, e["error"], tt.status, tt.want)
		}
	}
	if list := ask[[]ListStatus](t, a, "GET", "/rampart/lists", nil); len(list) != 1 || list[0].Entries != 1 {
		t.Errorf("%+v", list)
	}
}

// TestListAsForm: a client that says that the list is a form, as curl does, is
// understood.
func TestListAsForm(t *testing.T) {
	a := open(t, Config{})
	w, r := httptest.NewRecorder(), httptest.NewRequest("PUT", "/rampart/lists/x?type=throttle", strings.NewReader("192.0.2.101\n"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a.ServeAdmin(w, r)
	if w.Code != 200 || a.Decide(netip.MustParseAddr("192.0.2.101")).Action != decisions.Throttle {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestListSparesProxies: a trusted proxy that is on a list is let through, also by
// the firewall.
func TestListSparesProxies(t *testing.T) {
	proxy := netip.MustParseAddr("192.0.2.101")
	a := open(t, Config{Trusted: func(x netip.Addr) bool { return x == proxy }, Firewall: FirewallConfig{Mode: FirewallDryRun}})
	f := &fence{t: t, Appliance: a}
	got := ask[ListAnswer](t, a, "PUT", "/rampart/lists/x", "192.0.2.101\n192.0.2.102\n")
	if v := a.Decide(proxy); !v.Allowed || got.List.Suppressed != 1 {
		t.Errorf("%+v, %+v", v, got.List)
	}
	f.expect("a proxy is listed", "192.0.2.102/32")
}

// putList puts a list and waits for nothing.
func (f *fence) putList(name, query string, lines ...string) {
	f.t.Helper()
	ask[ListAnswer](f.t, f.Appliance, "PUT", "/rampart/lists/"+name+query, strings.Join(lines, "\n"))
}

// TestListsInTheKernel: bans of lists are there with the list's end, also after a
// restart; what is replaced, allowed or removed goes, and what else is decided about
// the same address stays.
func TestListsInTheKernel(t *testing.T) {
	f := openFence(t)
	local := f.decide("192.0.2.101", "ssh", "", true, time.Hour)
	f.putList("x", "?duration=2d", "192.0.2.101", "192.0.2.102", "198.51.100.0/24", "2001:db8::7")
	f.putList("soft", "?type=captcha", "203.0.113.1")
	f.expect("put", "192.0.2.101/32", "192.0.2.102/32", "198.51.100.0/24", "2001:db8::/64")
	w := f.state().wall
	ends := func(when, addr string, length time.Duration, origin string) {
		t.Helper()
		if b, ok := w.table.Explain(netip.MustParseAddr(addr)); !ok || time.Until(b.Until).Round(time.Minute) != length || b.Origin != origin {
			t.Errorf("%s: %s ends at %s by %s", when, addr, b.Until, b.Origin)
		}
	}
	ends("put", "192.0.2.101", 48*time.Hour, "lists:x")
	if _, err := f.state().book.Delete(decisions.Filter{ID: local.ID}, "test"); err != nil {
		t.Fatal(err)
	}
	f.expect("its own ban ends", "192.0.2.101/32", "192.0.2.102/32", "198.51.100.0/24", "2001:db8::/64")
	f.decide("192.0.2.101", "ssh", "", true, time.Hour)
	f.expect("banned once more", "192.0.2.101/32", "192.0.2.102/32", "198.51.100.0/24", "2001:db8::/64")
	ends("banned once more", "192.0.2.101", 48*time.Hour, "lists:x")
	f.putList("x", "?duration=7d", "192.0.2.103", "192.0.2.102", "198.51.100.0/24")
	f.expect("replaced", "192.0.2.101/32", "192.0.2.102/32", "192.0.2.103/32", "198.51.100.0/24")
	ends("replaced", "192.0.2.101", time.Hour, "crowdsec")
	ends("replaced", "192.0.2.102", 7*24*time.Hour, "lists:x")
	for _, p := range []string{"192.0.2.102/32", "198.51.100.7/32"} {
		if err := f.state().allow.Add(decisions.AllowEntry{Prefix: netip.MustParsePrefix(p)}); err != nil {
			t.Fatal(err)
		}
	}
	f.expect("allowed", "192.0.2.101/32", "192.0.2.103/32", "198.51.100.0/24")
	if _, ok := w.table.Explain(netip.MustParseAddr("198.51.100.7")); ok {
		t.Error("an allowed address in a listed network is dropped")
	}
	if err := f.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	g := &fence{t, open(t, Config{DataDir: f.dir, Firewall: FirewallConfig{Mode: FirewallDryRun}}), f.dir}
	g.expect("restarted", "192.0.2.101/32", "192.0.2.103/32", "198.51.100.0/24")
	ask[ListStatus](t, g.Appliance, "DELETE", "/rampart/lists/x", nil)
	g.expect("removed", "192.0.2.101/32")
}

// TestEscalationByList: who is on a list and keeps sending leaves no note behind.
func TestEscalationByList(t *testing.T) {
	f := openFence(t)
	f.putList("x", "", "192.0.2.101")
	for range 20 {
		visit(f.Appliance, from("192.0.2.101"), "/", 200)
	}
	f.expect("listed", "192.0.2.101/32")
	if n := len(f.state().wall.escalated.ids); n != 0 {
		t.Errorf("%d notes", n)
	}
}

// TestListsLeaveRoom: lists that fill the kernel leave place for the node's own bans.
func TestListsLeaveRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("left out with -short: needs some hundred megabytes")
	}
	f := openFence(t)
	f.decide("192.0.2.101", "ssh", "", true, time.Minute) // the first that would make place
	prefixes := make([]netip.Prefix, maxBans)
	for i := range prefixes {
		prefixes[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	now := time.Now()
	l, _, err := decisions.NewBlocklist(decisions.ListHead{Name: "x", Type: "ban", Created: now, Until: now.Add(time.Hour)}, prefixes)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.state().listKeeper().PutList(l); err != nil {
		t.Fatal(err)
	}
	f.entries()
	s := f.live.Load().status().Firewall
	if s.Entries != maxBans-ownBans+1 || s.Unlisted != ownBans || s.Evicted != 0 {
		t.Errorf("%+v", s)
	}
	if _, ok := f.state().wall.explainIn("192.0.2.101"); !ok {
		t.Error("the node's own ban is not there")
	}
}

func (w *wall) explainIn(a string) (string, bool) {
	b, ok := w.table.Explain(netip.MustParseAddr(a))
	return fmt.Sprint(b), ok
}

// TestEndOfListBans: the kernel's end of a list that is renewed all the time follows
// now and then, is never later than the list's, and never half as far away.
func TestEndOfListBans(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	begin := now
	b := listBans{ends: map[string]time.Time{}}
	writes := 0
	for ; now.Sub(begin) < 30*24*time.Hour; now = now.Add(time.Hour) {
		l, _, err := decisions.NewBlocklist(decisions.ListHead{Name: "x", Type: "ban", Created: now, Until: now.Add(7 * 24 * time.Hour)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		end := b.end(l, now)
		if !end.Equal(b.ends["x"]) {
			writes++
		}
		b.lists, b.ends["x"] = []*decisions.Blocklist{l}, end
		if end.After(l.Until) || end.Sub(now) <= 84*time.Hour || b.lag(now) {
			t.Fatalf("after %s: the end is %s away", now.Sub(begin), end.Sub(now))
		}
	}
	if writes < 8 || writes > 9 {
		t.Errorf("written %d times in 30 days", writes)
	}
	// Nobody renews it any more: the table catches up.
	last := b.lists[0]
	for ; !b.ends["x"].Equal(last.Until); now = now.Add(time.Minute) {
		if b.ends["x"].Before(now) {
			t.Fatal("the bans ended too soon")
		}
		if b.lag(now) {
			b.ends["x"] = b.end(last, now)
		}
	}
	short, _, err := decisions.NewBlocklist(decisions.ListHead{Name: "x", Type: "ban", Created: now, Until: now.Add(time.Hour)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if end := b.end(short, now); !end.Equal(short.Until) {
		t.Errorf("a shorter one ends at %s, want %s", end, short.Until)
	}
}
