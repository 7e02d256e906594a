package decisions_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

func TestAllowBuiltin(t *testing.T) {
	a := decisions.NewAllow(newClock().Now)
	a.SetBuiltin(decisions.KindHost, []netip.Prefix{prefix("203.0.113.5/32"), {}, prefix("::ffff:203.0.113.6/128")})
	for text, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "0.0.0.0": true, "::": true, "fe80::1%eth0": true,
		"169.254.1.1": true, "203.0.113.5": true, "203.0.113.6": true, "::ffff:127.0.0.1": true,
		"203.0.113.7": false, "10.0.0.1": false, "0.0.0.1": false, "2001:db8::1": false,
	} {
		if got := a.Contains(addr(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if a.Contains(netip.Addr{}) {
		t.Error("the invalid address is allowed")
	}
	if err := a.Remove(prefix("127.0.0.0/8")); !errors.Is(err, decisions.ErrBuiltin) {
		t.Errorf("removing loopback: %v", err)
	}
	a.SetBuiltin(decisions.KindHost, nil)
	if a.Contains(addr("203.0.113.5")) {
		t.Error("an address that is the host's no more is still allowed")
	}
}

func TestAllowEntries(t *testing.T) {
	c := newClock()
	a := decisions.NewAllow(c.Now)
	must(t, a.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.9/24"), Comment: "office", Author: "ann", Until: start.Add(2 * time.Hour)}))
	must(t, a.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.7/32"), Until: start.Add(time.Hour)}))
	if err := a.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.7/32"), Until: start}); err == nil {
		t.Error("an entry that is over was added")
	}
	if err := a.Add(decisions.AllowEntry{}); err == nil {
		t.Error("an entry without a range was added")
	}
	if err := a.Remove(prefix("192.0.3.0/24")); !errors.Is(err, decisions.ErrNotAllowed) {
		t.Errorf("removing what is not there: %v", err)
	}
	type want struct{ contains, covers25, overlaps8, overlapsOut bool }
	check := func(when string, w want) {
		t.Helper()
		got := want{a.Contains(addr("192.0.2.7")), a.Covers(prefix("192.0.2.0/25")), a.Overlaps(prefix("192.0.0.0/8")), a.Overlaps(prefix("192.0.3.0/24"))}
		if got != w {
			t.Errorf("%s: %+v, want %+v", when, got, w)
		}
	}
	check("at first", want{true, true, true, false})
	c.Advance(time.Hour)
	check("when the inner entry is over, the outer one counts", want{true, true, true, false})
	c.Advance(time.Hour)
	check("when both are over, without anybody cleaning up", want{})
	must(t, a.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.7/32")}))
	check("again, for ever", want{true, false, true, false})
	must(t, a.Remove(prefix("192.0.2.7/32")))
	check("removed", want{})
}

func TestAllowList(t *testing.T) {
	c := newClock()
	a := decisions.NewAllow(c.Now)
	must(t, a.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.0/24"), Comment: "office", Author: "ann", Kind: "config"}))
	var got []decisions.AllowEntry
	for _, e := range a.List() {
		if e.Kind == decisions.KindManual {
			got = append(got, e)
		}
	}
	want := []decisions.AllowEntry{{Prefix: prefix("192.0.2.0/24"), Comment: "office", Author: "ann", Kind: "manual", Created: start}}
	if d := cmp.Diff(want, got, cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); d != "" {
		t.Error(d)
	}
	if n := len(a.List()); n != 7 {
		t.Errorf("%d entries, want the 6 of every host and one", n)
	}
}

func TestAllowIsAskedFirst(t *testing.T) {
	c := newClock()
	a := decisions.NewAllow(c.Now)
	s := decisions.NewSet(a, c.Now)
	s.Apply([]decisions.Change{change(1, "192.0.2.0/24", "ban", time.Hour)})
	must(t, a.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.7/32")}))
	if v := s.Lookup(addr("192.0.2.7")); v != (decisions.Verdict{Allowed: true}) {
		t.Errorf("allowed address in a banned range: %+v", v)
	}
	if v := s.Lookup(addr("192.0.2.8")); v.Action != decisions.Ban {
		t.Errorf("its neighbour: %+v", v)
	}
}
