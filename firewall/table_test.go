package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit"
)

func ban(prefix string, until time.Time, origin string) Ban {
	return Ban{Prefix: netip.MustParsePrefix(prefix), Until: until, Origin: origin}
}

// listed renders List for comparison.
func listed(t *Table, from time.Time) (lines []string) {
	for _, b := range t.List() {
		lines = append(lines, fmt.Sprintf("%s %s %s", b.Prefix, b.Until.Sub(from), b.Origin))
	}
	return lines
}

func TestDryRun(t *testing.T) {
	c := testkit.NewClock(time.Unix(1_700_000_000, 0))
	events := make(chan Event, 100)
	table := New(Options{DryRun: true, Now: c.Now, Report: func(e Event) { events <- e }})
	from := c.Now()
	hour := from.Add(time.Hour)
	ctx := context.Background()
	err := table.Start(ctx, BansOf(ban("192.0.2.1/32", hour, "a"), ban("127.0.0.1/32", hour, "a")), parsePrefixes("198.51.100.0/24"))
	if !errors.Is(err, ErrReserved) || errors.Is(err, ErrNoPrivilege) {
		t.Errorf("Start: %v, want a refusal and nothing else", err)
	}
	if err := table.Add(ban("198.51.100.7/32", hour, "b"), ban("2001:db8::1/128", hour.Add(time.Hour), "b")); err != nil {
		t.Error(err)
	}
	want := []string{"192.0.2.1/32 1h0m0s a", "198.51.100.7/32 1h0m0s b", "2001:db8::/64 2h0m0s b"}
	if d := cmp.Diff(want, listed(table, from)); d != "" {
		t.Errorf("list (-want +got):\n%s", d)
	}
	for addr, banned := range map[string]bool{
		"192.0.2.1": true, "::ffff:192.0.2.1": true, "192.0.2.2": false,
		"198.51.100.7": false, // allowed
		"2001:db8::9":  true, "2001:db8:0:1::1": false, "fe80::1%eth0": false,
	} {
		if _, got := table.Explain(netip.MustParseAddr(addr)); got != banned {
			t.Errorf("Explain(%s) = %t, want %t", addr, got, banned)
		}
	}
	c.Advance(61 * time.Minute)
	if d := cmp.Diff([]string{"2001:db8::/64 2h0m0s b"}, listed(table, from)); d != "" {
		t.Errorf("list after an hour (-want +got):\n%s", d)
	}
	s := table.Stats()
	if s.Mode != ModeDryRun || s.Entries != 1 || s.Refused != 1 {
		t.Errorf("stats: %+v", s)
	}
	if err := table.Close(true); err != nil {
		t.Error(err)
	}
	close(events)
	var kinds []string
	for e := range events {
		kinds = append(kinds, fmt.Sprintf("%s +%d -%d", e.Kind, e.Added, e.Removed))
	}
	if d := cmp.Diff([]string{"dry-run +0 -0", "would +2 -0"}, kinds); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if err := table.Add(ban("192.0.2.9/32", hour, "a")); !errors.Is(err, ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
	if err := table.Close(false); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestUpdateSemantics(t *testing.T) {
	c := testkit.NewClock(time.Unix(1_700_000_000, 0))
	from := c.Now()
	at := func(d time.Duration) time.Time { return from.Add(d) }
	const one, two = "2001:db8::1/128", "2001:db8::2/128"
	steps := []struct {
		name string
		do   func(*Table) error
		want []string
	}{
		{"add", func(t *Table) error { return t.Add(ban("192.0.2.1/32", at(time.Hour), "a")) }, []string{"192.0.2.1/32 1h0m0s a"}},
		{"add shorter", func(t *Table) error { return t.Add(ban("192.0.2.1/32", at(time.Minute), "a")) }, []string{"192.0.2.1/32 1h0m0s a"}},
		{"add longer, other origin", func(t *Table) error { return t.Add(ban("192.0.2.1/32", at(2*time.Hour), "b")) }, []string{"192.0.2.1/32 2h0m0s b"}},
		{"set shortens", func(t *Table) error {
			return t.Set(context.Background(), BansOf(ban("192.0.2.1/32", at(time.Minute), "b"), ban("192.0.2.1/32", at(2*time.Minute), "b")), nil)
		}, []string{"192.0.2.1/32 2m0s b"}},
		{"update shortens", func(t *Table) error {
			return t.Update([]Ban{ban("192.0.2.1/32", at(30*time.Second), "b")}, parsePrefixes("192.0.2.1/32"))
		}, []string{"192.0.2.1/32 30s b"}},
		{"remove as mapped", func(t *Table) error { return t.Remove(netip.MustParsePrefix("::ffff:192.0.2.1/128")) }, nil},
		{"remove what is not there", func(t *Table) error { return t.Remove(netip.MustParsePrefix("192.0.2.1/32")) }, nil},
		{"two of a /64", func(t *Table) error { return t.Add(ban(one, at(time.Hour), "a"), ban(two, at(time.Minute), "b")) }, []string{"2001:db8::/64 1h0m0s a"}},
		{"the longer goes", func(t *Table) error { return t.Remove(netip.MustParsePrefix(one)) }, []string{"2001:db8::/64 1m0s b"}},
		{"both again", func(t *Table) error { return t.Add(ban(one, at(time.Hour), "a")) }, []string{"2001:db8::/64 1h0m0s a"}},
		{"as listed", func(t *Table) error { return t.Remove(netip.MustParsePrefix("2001:db8::/64")) }, nil},
		{"a range and one in it", func(t *Table) error {
			return t.Add(ban("2001:db8::/64", at(time.Minute), "a"), ban(one, at(time.Hour), "b"))
		}, []string{"2001:db8::/64 1h0m0s b"}},
		{"the range alone goes", func(t *Table) error { return t.Remove(netip.MustParsePrefix("2001:db8::/64")) }, []string{"2001:db8::/64 1h0m0s b"}},
		{"over already", func(t *Table) error {
			return t.Add(ban("192.0.2.3/32", from, "a"), ban("192.0.2.4/32", time.Time{}, "a"))
		}, []string{"2001:db8::/64 1h0m0s b"}},
		{"empty set", func(t *Table) error { return t.Set(context.Background(), Bans{}, nil) }, nil},
	}
	table := New(Options{DryRun: true, Now: c.Now})
	if err := table.Start(context.Background(), Bans{}, nil); err != nil {
		t.Fatal(err)
	}
	defer table.Close(false)
	for _, s := range steps {
		if err := s.do(table); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if d := cmp.Diff(s.want, listed(table, from)); d != "" {
			t.Fatalf("%s (-want +got):\n%s", s.name, d)
		}
	}
	if s := table.Stats(); s.Lapsed != 2 {
		t.Errorf("%d bans counted as over, want 2", s.Lapsed)
	}
}

func TestManyOriginsShareOne(t *testing.T) {
	table := New(Options{DryRun: true})
	until := time.Now().Add(time.Hour)
	for i := range 2 * maxOrigins {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 32)
		if err := table.Add(Ban{Prefix: p, Until: until, Origin: fmt.Sprintf("lists:%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(table.Stats().Dropped); got != 0 {
		t.Errorf("dry-run counts %d origins", got)
	}
	if got := len(table.origins); got != maxOrigins {
		t.Errorf("%d origins, want %d", got, maxOrigins)
	}
	if b, ok := table.Explain(netip.MustParseAddr("10.1.1.255")); !ok || b.Origin != otherOrigins {
		t.Errorf("the last ban is %+v, want origin %q", b, otherOrigins)
	}
}

// TestNoDumps keeps the calls that read whole sets out of the package: their
// cost grows faster than the set, to half a minute at 400,000 elements.
func TestNoDumps(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{"GetSetElements", "ResetSetElements", "GETSETELEM"} {
			if strings.Contains(string(text), call) {
				t.Errorf("%s uses %s", f, call)
			}
		}
	}
}
