package decisions_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

// items writes a list's items as people read them.
func items(l decisions.AllowList) []string {
	out := []string{}
	for _, e := range l.Items {
		out = append(out, e.Text())
	}
	return out
}

// listed returns the allowlist of a name.
func listed(t *testing.T, a *decisions.Allow, name string) decisions.AllowList {
	t.Helper()
	for _, l := range a.Lists() {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("there is no allowlist %s", name)
	return decisions.AllowList{}
}

func TestParseAllowItem(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7": "|192.0.2.7/32", " 192.0.2.9/24 ": "|192.0.2.0/24", "::ffff:192.0.2.7": "|192.0.2.7/32", "2001:DB8::/32": "|2001:db8::/32",
		"Office.Example.ORG.": "office.example.org|", "localhost": "localhost|", "a_b.example": "a_b.example|",
		"https://example.org/list.txt": "https://example.org/list.txt|", "http://192.0.2.1:8080/x?y=z": "http://192.0.2.1:8080/x?y=z|",
		"": "missing", "192.0.2": "expected an address", "192.0.2.300": "expected an address", "a b": "expected an address", "-a.example": "expected an address",
		"a..b": "expected an address", "example.org/x": "expected an address", "ftp://example.org/": "URL", "https:///x": "URL", "https://ann:secret@example.org/": "password",
		strings.Repeat("a.", 200) + "b": "expected an address", "a\nb": "control",
	} {
		item, p, err := decisions.ParseAllowItem(text)
		got := item + "|"
		if p.IsValid() {
			got += p.String()
		}
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error has the password", text)
		}
	}
}

func TestAllowLists(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	a := d.allow
	must(t, a.CreateList("office", "the people at work"))
	for name, err := range map[string]error{"office": decisions.ErrAllowListExists, "default": decisions.ErrAllowListExists, "": decisions.ErrAllowListExists} {
		if got := a.CreateList(name, ""); !errors.Is(got, err) {
			t.Errorf("making %q: %v", name, got)
		}
	}
	if err := a.CreateList("a\tb", ""); err == nil {
		t.Error("a name with a tab")
	}
	both := prefix("192.0.2.0/24")
	must(t, a.Add(decisions.AllowEntry{Prefix: both, Until: start.Add(time.Hour)}))
	must(t, a.Add(decisions.AllowEntry{Prefix: both, List: "office", Comment: "x", Until: start.Add(2 * time.Hour)}))
	must(t, a.Add(decisions.AllowEntry{Item: "192.0.2.7", List: "office"}))
	must(t, a.Add(decisions.AllowEntry{Item: "vpn.example.org", List: "office"}))
	if err := a.Add(decisions.AllowEntry{Prefix: both, List: "other"}); !errors.Is(err, decisions.ErrNoAllowList) {
		t.Errorf("adding to a list that is not there: %v", err)
	}
	check := func(when string) {
		t.Helper()
		if diff := cmp.Diff([]string{"192.0.2.0/24"}, items(listed(t, d.allow, "default"))); diff != "" {
			t.Errorf("%s: default: %s", when, diff)
		}
		l := listed(t, d.allow, "office")
		if diff := cmp.Diff([]string{"192.0.2.0/24", "192.0.2.7", "vpn.example.org"}, items(l)); diff != "" || l.Description != "the people at work" || l.Updated.IsZero() {
			t.Errorf("%s: %+v: %s", when, l, diff)
		}
	}
	check("at first")
	d.restart()
	check("after a restart")
	a = d.allow
	d.clock.Advance(time.Hour)
	d.Expire(d.clock.Now())
	if !a.Covers(both) {
		t.Error("the other list lives on")
	}
	d.clock.Advance(time.Hour)
	if a.Covers(both) || !a.Contains(addr("192.0.2.7")) {
		t.Error("only the single address is left")
	}
	for _, tc := range []struct {
		list, item string
		err        error
	}{{"default", "192.0.2.7", decisions.ErrNotAllowed}, {"office", "192.0.2.8", decisions.ErrNotAllowed}, {"none", "192.0.2.7", decisions.ErrNoAllowList},
		{"default", "127.0.0.0/8", decisions.ErrBuiltin}, {"office", "192.0.2.7", nil}} {
		if err := a.RemoveItem(tc.list, tc.item); !errors.Is(err, tc.err) {
			t.Errorf("removing %s of %s: %v", tc.item, tc.list, err)
		}
	}
	if err := a.DeleteList("default"); err == nil {
		t.Error("the default list went")
	}
	must(t, a.Add(decisions.AllowEntry{Item: "192.0.2.7", List: "office"}))
	must(t, a.DeleteList("office"))
	if err := a.DeleteList("office"); !errors.Is(err, decisions.ErrNoAllowList) || a.Contains(addr("192.0.2.7")) {
		t.Errorf("deleted twice: %v", err)
	}
	d.restart()
	if l := d.allow.Lists(); len(l) != 1 || l[0].Name != decisions.DefaultAllowList || len(l[0].Items) != 0 {
		t.Errorf("left: %+v", l)
	}
}

// TestAllowListSuppresses: an entry of any list suppresses what it covers, and only
// that; when the last one goes, the decision is back.
func TestAllowListSuppresses(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	must(t, d.allow.CreateList("office", ""))
	d.ban("192.0.2.7", "ban", time.Hour)
	d.ban("192.0.0.0/16", "ban", time.Hour)
	cursor := d.Cursor()
	must(t, d.allow.Add(decisions.AllowEntry{Item: "192.0.2.0/24", List: "office"}))
	must(t, d.allow.Add(decisions.AllowEntry{Item: "192.0.2.7"}))
	d.expectChanges("allowed", &cursor, "-1 192.0.2.7")
	if d.action("192.0.2.7") != decisions.None || d.action("192.0.2.8") != decisions.None || d.action("192.0.3.1") != decisions.Ban {
		t.Error("of the range the allowed part is let through, and no other")
	}
	must(t, d.allow.DeleteList("office"))
	d.expectChanges("still in the other list", &cursor)
	must(t, d.allow.RemoveItem("", "192.0.2.7"))
	d.expectChanges("in none", &cursor, "+1 192.0.2.7")
}

func TestReplaceList(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	d.ban("192.0.2.1", "ban", time.Hour)
	l := decisions.AllowList{Name: "console", Description: "from there", Managed: true, Created: start.Add(-time.Hour), Items: []decisions.AllowEntry{
		{Item: "192.0.2.1", Comment: "one"}, {Item: "192.0.2.2", Until: start.Add(-time.Second)}, {Item: "not an item"}, {Prefix: prefix("192.0.2.0/30"), Until: start.Add(time.Hour)}}}
	if err := d.allow.ReplaceList(l); err == nil || !strings.Contains(err.Error(), "not an item") {
		t.Errorf("the bad item: %v", err)
	}
	check := func(when string, want ...string) {
		t.Helper()
		got := listed(t, d.allow, "console")
		if diff := cmp.Diff(want, items(got)); diff != "" || !got.Managed || got.Description != "from there" || !got.Created.Equal(start.Add(-time.Hour)) {
			t.Errorf("%s: %+v: %s", when, got, diff)
		}
		for _, e := range got.Items {
			if e.Kind != decisions.KindManaged {
				t.Errorf("%s: %+v", when, e)
			}
		}
	}
	check("at first", "192.0.2.0/30", "192.0.2.1")
	if d.action("192.0.2.1") != decisions.None {
		t.Error("it is not allowed")
	}
	d.restart()
	check("after a restart", "192.0.2.0/30", "192.0.2.1")
	for what, err := range map[string]error{
		"adding":    d.allow.Add(decisions.AllowEntry{Item: "192.0.2.9", List: "console"}),
		"removing":  d.allow.RemoveItem("console", "192.0.2.1"),
		"replacing": d.allow.ReplaceList(decisions.AllowList{Name: "console"}),
	} {
		if !errors.Is(err, decisions.ErrManaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	d.clock.Advance(2 * time.Hour)
	d.Expire(d.clock.Now())
	check("one is over", "192.0.2.1")
	l.Items = []decisions.AllowEntry{{Item: "192.0.2.5"}}
	must(t, d.allow.ReplaceList(l))
	check("replaced", "192.0.2.5")
	if d.allow.Contains(addr("192.0.2.1")) {
		t.Error("what is in the list no more is allowed")
	}
	must(t, d.allow.CreateList("ours", ""))
	if err := d.allow.ReplaceList(decisions.AllowList{Name: "ours", Managed: true}); !errors.Is(err, decisions.ErrAllowListExists) {
		t.Errorf("taking an operator's list: %v", err)
	}
	if err := d.allow.ReplaceList(decisions.AllowList{Name: "default", Managed: true}); err == nil {
		t.Error("the default list was taken")
	}
	must(t, d.allow.ReplaceList(decisions.AllowList{Name: "ours", Items: []decisions.AllowEntry{{Item: "192.0.2.6"}, {Item: "192.0.2.7"}}}))
	must(t, d.allow.ReplaceList(decisions.AllowList{Name: "ours", Items: []decisions.AllowEntry{{Item: "192.0.2.7"}, {Item: "192.0.2.8"}}}))
	d.restart()
	if diff := cmp.Diff([]string{"192.0.2.7", "192.0.2.8"}, items(listed(t, d.allow, "ours"))); diff != "" {
		t.Error(diff)
	}
}

func TestResolve(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	must(t, d.allow.CreateList("l", ""))
	must(t, d.allow.Add(decisions.AllowEntry{Item: "vpn.example", List: "l"}))
	must(t, d.allow.Add(decisions.AllowEntry{Item: "https://example.org/l", Until: start.Add(time.Hour)}))
	must(t, d.allow.Add(decisions.AllowEntry{Item: "192.0.2.1"}))
	d.ban("198.51.100.1", "ban", 9*time.Hour)
	must(t, d.allow.Resolve("l", "VPN.example.", []netip.Prefix{prefix("198.51.100.1/32"), prefix("2001:db8::1/128"), {}}))
	must(t, d.allow.Resolve("default", "https://example.org/l", []netip.Prefix{prefix("203.0.113.0/24"), prefix("203.0.113.7/32")}))
	wide := make([]netip.Prefix, 5)
	for i := range wide {
		wide[i] = prefix(fmt.Sprintf("%d.0.0.0/8", 20+i))
	}
	for what, tc := range map[string]struct {
		item string
		ps   []netip.Prefix
		err  error
	}{
		"nothing":          {"vpn.example", nil, decisions.ErrSuspicious},
		"too wide":         {"vpn.example", []netip.Prefix{prefix("10.0.0.0/7")}, decisions.ErrTooWide},
		"too wide, IPv6":   {"vpn.example", []netip.Prefix{prefix("2000::/15")}, decisions.ErrTooWide},
		"too much":         {"vpn.example", wide, decisions.ErrSuspicious},
		"not there":        {"other.example", []netip.Prefix{prefix("192.0.2.9/32")}, decisions.ErrNotAllowed},
		"not to be looked": {"192.0.2.1", []netip.Prefix{prefix("192.0.2.9/32")}, decisions.ErrNotAllowed},
	} {
		if err := d.allow.Resolve("l", tc.item, tc.ps); !errors.Is(err, tc.err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	check := func(when string, want map[string]bool) {
		t.Helper()
		for a, want := range want {
			if got := d.allow.Contains(addr(a)); got != want {
				t.Errorf("%s: %s: %v", when, a, got)
			}
		}
	}
	all := map[string]bool{"198.51.100.1": true, "2001:db8::1": true, "203.0.113.9": true, "10.0.0.1": false, "20.0.0.1": false}
	check("at first", all)
	if d.action("198.51.100.1") != decisions.None {
		t.Error("the decision is not suppressed")
	}
	d.restart()
	check("after a restart", all)
	want := []decisions.AllowSource{{List: "default", Item: "https://example.org/l", Prefixes: 1}, {List: "l", Item: "vpn.example", Prefixes: 2}}
	if diff := cmp.Diff(want, d.allow.Sources()); diff != "" {
		t.Error(diff)
	}
	must(t, d.allow.Resolve("l", "vpn.example", []netip.Prefix{prefix("198.51.100.2/32")}))
	d.clock.Advance(time.Hour)
	d.Expire(d.clock.Now())
	check("changed, and one is over", map[string]bool{"198.51.100.1": false, "198.51.100.2": true, "203.0.113.9": false})
	if d.action("198.51.100.1") != decisions.Ban {
		t.Error("the decision is not back")
	}
	must(t, d.allow.RemoveItem("l", "vpn.example"))
	must(t, d.allow.Add(decisions.AllowEntry{Item: "vpn.example", List: "l"}))
	d.restart()
	check("removed and added again", map[string]bool{"198.51.100.2": false})
}

// TestResolveBound: all names and URLs together have a bound.
func TestResolveBound(t *testing.T) {
	a := decisions.NewAllow(newClock().Now)
	must(t, a.Add(decisions.AllowEntry{Item: "https://example.org/a"}))
	must(t, a.Add(decisions.AllowEntry{Item: "https://example.org/b"}))
	ps := make([]netip.Prefix, 200_000)
	for i := range ps {
		ps[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 15), byte(i >> 7), byte(i << 1)}), 32)
	}
	must(t, a.Resolve("", "https://example.org/a", ps))
	if err := a.Resolve("", "https://example.org/b", ps); !errors.Is(err, decisions.ErrSuspicious) {
		t.Errorf("got %v", err)
	}
	must(t, a.Resolve("", "https://example.org/b", ps[:60_000]))
	must(t, a.Resolve("", "https://example.org/a", ps[:1]))
	must(t, a.Resolve("", "https://example.org/b", ps))
}

// TestReasonsOracle holds Reasons, Covers, Contains and Overlaps to a look at every
// entry, while entries of several lists come and go.
func TestReasonsOracle(t *testing.T) {
	for seed := range uint64(10) {
		c := newClock()
		a := decisions.NewAllow(c.Now)
		r := rand.New(rand.NewPCG(seed, 3))
		names := []string{"default", "b", "c"}
		must(t, a.CreateList("b", ""))
		must(t, a.CreateList("c", ""))
		any := func() netip.Prefix {
			if r.IntN(3) == 0 {
				return netip.PrefixFrom(addr(fmt.Sprintf("2001:db8::%x", r.IntN(16))), 120+r.IntN(9)).Masked()
			}
			return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(32))}), 24+r.IntN(9)).Masked()
		}
		must(t, a.Add(decisions.AllowEntry{Item: "h.example", List: "c", Comment: "name"}))
		var name []netip.Prefix
		for range 300 {
			switch r.IntN(8) {
			case 0:
				c.Advance(time.Duration(r.IntN(20)) * time.Minute)
			case 1:
				for _, e := range a.List() {
					if e.Kind == decisions.KindManual && e.Item == "" && r.IntN(4) == 0 {
						must(t, a.RemoveItem(e.List, e.Text()))
					}
				}
			case 2:
				name = []netip.Prefix{any(), any()}
				must(t, a.Resolve("c", "h.example", name))
			default:
				e := decisions.AllowEntry{Prefix: any(), List: names[r.IntN(3)], Comment: fmt.Sprint(r.IntN(9))}
				if r.IntN(2) == 0 {
					e.Until = c.Now().Add(time.Duration(1+r.IntN(60)) * time.Minute)
				}
				must(t, a.Add(e))
			}
			p := any()
			compareReasons(t, a, c.Now(), p, name)
		}
	}
}

func compareReasons(t *testing.T, a *decisions.Allow, now time.Time, p netip.Prefix, name []netip.Prefix) {
	t.Helper()
	var want []decisions.AllowReason
	covers := false
	for _, e := range a.List() {
		ps := []netip.Prefix{e.Prefix}
		if e.Item != "" {
			ps = name
		}
		if e.Kind != decisions.KindManual || !e.Until.IsZero() && !e.Until.After(now) {
			continue
		}
		if slices.ContainsFunc(ps, p.Overlaps) {
			want = append(want, decisions.AllowReason{List: e.ListName(), Item: e.Text(), Comment: e.Comment})
		}
		covers = covers || slices.ContainsFunc(ps, func(q netip.Prefix) bool { return q.Overlaps(p) && q.Bits() <= p.Bits() })
	}
	slices.SortFunc(want, func(x, y decisions.AllowReason) int {
		return strings.Compare(x.List+"\x00"+x.Item, y.List+"\x00"+y.Item)
	})
	if d := cmp.Diff(want, a.Reasons(p)); d != "" {
		t.Fatalf("reasons of %s: %s", p, d)
	}
	if a.Overlaps(p) != (len(want) > 0) || a.Covers(p) != covers || p.IsSingleIP() && a.Contains(p.Addr()) != covers {
		t.Fatalf("%s: covers %v, overlaps %v, want %v and %v", p, a.Covers(p), a.Overlaps(p), covers, len(want) > 0)
	}
	e, ok := a.Entry(p.Addr())
	if ok != a.Contains(p.Addr()) || ok && e.Item == "" && !e.Prefix.Contains(p.Addr()) {
		t.Fatalf("entry for %s: %+v, %v", p.Addr(), e, ok)
	}
}

func TestReasonsBuiltin(t *testing.T) {
	a := decisions.NewAllow(newClock().Now)
	must(t, a.Add(decisions.AllowEntry{Item: "127.0.0.5", Comment: "mine"}))
	want := []decisions.AllowReason{{List: "default", Item: "127.0.0.5", Comment: "mine"}, {List: "loopback", Item: "127.0.0.0/8", Comment: "built in", Builtin: true}}
	if d := cmp.Diff(want, a.Reasons(prefix("127.0.0.5/32"))); d != "" {
		t.Error(d)
	}
	if got := a.Reasons(prefix("0.0.0.0/0")); len(got) != 4 {
		t.Errorf("all of IPv4: %+v", got)
	}
	if got := a.Reasons(netip.Prefix{}); got != nil {
		t.Errorf("nothing: %+v", got)
	}
}

// TestAllowCosts: questions of lookups allocate nothing, however many lists there are.
func TestAllowCosts(t *testing.T) {
	a := decisions.NewAllow(time.Now)
	l := decisions.AllowList{Name: "m", Managed: true}
	for i := range 2000 {
		e := decisions.AllowEntry{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 0, byte(i >> 8), byte(i)}), 32)}
		if i%2 == 0 {
			e.Until = time.Now().Add(time.Hour)
		}
		l.Items = append(l.Items, e)
	}
	must(t, a.ReplaceList(l))
	must(t, a.Add(decisions.AllowEntry{Item: "100.0.0.0/24"}))
	for _, text := range []string{"100.0.0.8", "100.0.7.8", "100.1.0.0", "::1"} {
		p := netip.PrefixFrom(addr(text), addr(text).BitLen())
		if n := testing.AllocsPerRun(100, func() { a.Contains(p.Addr()); a.Covers(p) }); n != 0 {
			t.Errorf("%s: %.0f allocations", text, n)
		}
	}
}
