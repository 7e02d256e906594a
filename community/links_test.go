package community

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/capitest"
)

// TestBlocklists: fetched when they have changed, dropped when the account has them no
// more.
func TestBlocklists(t *testing.T) {
	d := newDesk(t)
	p := d.counted()
	d.server.SetBlocklist("my_list", "captcha", "24h", "61.0.0.1", "61.0.0.2", "62.0.0.0/16")
	d.server.SetBlocklist("other list", "ban", "135m", "61.0.0.9")
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
	must(t, d.book.Allow().CreateList("ours", ""))
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
	if lists := d.book.Allow().Lists(); len(lists) != 2 || lists[1].Name != "ours" {
		t.Errorf("the operators' lists: %+v", lists)
	}
}

// TestTooManyAllowlists: what is left out is said.
func TestTooManyAllowlists(t *testing.T) {
	d := newDesk(t)
	for i := range maxLinks + 1 {
		d.server.SetAllowlist(fmt.Sprint(i), fmt.Sprint("allow", max(i, 1)), `{"value":"60.0.0.2"}`)
	}
	err := d.client.Pull(t.Context())
	for _, want := range []string{"49 allowlists, more than 48", `"allow1": another one`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want something about %q", err, want)
		}
	}
	if n := len(d.client.Status().Allowlists); n != maxLinks-1 {
		t.Errorf("%d allowlists", n)
	}
}
