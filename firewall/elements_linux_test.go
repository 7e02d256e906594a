package firewall

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// TestLoad counts with the nft command what 100,000 bans became: releases of
// the library lost elements of long lists without an error.
func TestLoad(t *testing.T) {
	needNft(t)
	const n = 100_000
	count := func(ns *testkit.Namespace) int {
		return strings.Count(ns.Run(t, "nft", "list", "map", "inet", "rampart", "ban4"), " expires ")
	}
	ns := testkit.SingleNamespace(t)
	bans := manyBans(n)
	table := started(t, ns, Options{Owner: true}, bans[:n/2])
	if got := count(ns); got != n/2 {
		t.Errorf("%d elements after Start, want %d", got, n/2)
	}
	if err := table.Set(context.Background(), BansOf(bans...), nil); err != nil {
		t.Fatal(err)
	}
	if got := count(ns); got != n {
		t.Errorf("%d elements after Set, want %d", got, n)
	}
	written := table.Stats().Written
	if err := table.Set(context.Background(), BansOf(bans...), nil); err != nil {
		t.Fatal(err)
	}
	if again := table.Stats().Written; again != written {
		t.Errorf("an equal Set wrote %d elements", again-written)
	}
	if s := table.Stats(); s.Entries != n || s.Errors != 0 || s.Repairs != 0 {
		t.Errorf("stats: %+v", s)
	}
	if err := table.Set(context.Background(), BansOf(bans[:10]...), nil); err != nil {
		t.Fatal(err)
	}
	if got := count(ns); got != 10 {
		t.Errorf("%d elements at the end, want 10", got)
	}
}

func TestMaxEntriesInKernel(t *testing.T) {
	needNft(t)
	ns := testkit.SingleNamespace(t)
	var seen events
	table := started(t, ns, Options{MaxEntries: 100, Report: seen.add}, nil)
	now := time.Now()
	for i := range 150 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, 1, byte(i)}), 32)
		mustAdd(t, table, Ban{p, now.Add(time.Hour + time.Duration(i)*time.Minute), "a"})
	}
	mustAdd(t, table, ban("10.1.2.1/32", now.Add(time.Minute), "a"))
	got := listElements(t, ns)
	if len(got) != 100 {
		t.Errorf("%d elements, want 100", len(got))
	}
	if _, ok := got[netip.MustParsePrefix("10.1.1.50/32")]; !ok {
		t.Error("the 100th longest ban is missing")
	}
	if s := table.Stats(); s.Evicted != 51 || s.Entries != 100 || s.Errors != 0 {
		t.Errorf("stats: %+v", s)
	}
	eventually(t, "a report", func() bool { _, ok := seen.last(EventEvicting); return ok })
	if err := table.Set(context.Background(), BansOf(manyBans(300)...), nil); err != nil {
		t.Fatal(err)
	}
	if got := listElements(t, ns); len(got) != 100 {
		t.Errorf("%d elements after Set of 300, want 100", len(got))
	}
}

// TestDurationsInKernel sees to it that no odd duration becomes a ban for ever.
func TestDurationsInKernel(t *testing.T) {
	needNft(t)
	ns := testkit.SingleNamespace(t)
	table := started(t, ns, Options{}, nil)
	now := time.Now()
	untils := []time.Time{{}, time.Unix(0, 0), now.Add(-time.Hour), now.Add(-1), now.Add(math.MinInt64),
		now.Add(math.MaxInt64), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), now.Add(time.Hour)}
	for i, u := range untils {
		mustAdd(t, table, Ban{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, 1, byte(i)}), 32), u, "a"})
	}
	got := listElements(t, ns) // fails the test on elements without an end
	if len(got) != 3 {
		t.Errorf("elements: %v, want the last 3", got)
	}
	for p, e := range got {
		if e.left <= 0 || e.left > maxTimeout {
			t.Errorf("%s ends in %v", p, e.left)
		}
	}
	mustAdd(t, table, Ban{netip.MustParsePrefix("10.1.2.1/32"), time.Now().Add(100 * time.Millisecond), "a"})
	eventually(t, "the short ban ends", func() bool {
		_, ok := listElements(t, ns)[netip.MustParsePrefix("10.1.2.1/32")]
		return !ok
	})
}

// TestKernelOracle compares the kernel with a plain list of bans after each of
// many random changes: with all the kernel can do, and as older ones, which
// know neither the update of a time-out nor destroying what is not there.
func TestKernelOracle(t *testing.T) {
	needNft(t)
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("old=%t", old), func(t *testing.T) {
			ns := testkit.SingleNamespace(t)
			table := started(t, ns, Options{Owner: true}, nil)
			if old {
				table.kernel.can.update, table.kernel.can.destroy = false, false
			}
			o := &oracle{r: rand.New(rand.NewPCG(6, 7)), table: table}
			for step := range 80 {
				what, err := o.step(t)
				if err != nil {
					t.Fatalf("step %d, %s: %v", step, what, err)
				}
				compare(t, fmt.Sprintf("step %d, %s", step, what), listElements(t, ns), &o.naive)
			}
			if s := table.Stats(); s.Repairs != 0 || s.Errors != 0 {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}

// oracle changes a table and a plain list of bans alike.
type oracle struct {
	r     *rand.Rand
	table *Table
	naive naive
}

func (o *oracle) bans() []Ban {
	bans := make([]Ban, o.r.IntN(8))
	for i := range bans {
		left := time.Hour + time.Duration(o.r.IntN(3600))*time.Second
		bans[i] = Ban{randomPrefix(o.r), time.Now().Add(left), []string{"a", "b", "c"}[o.r.IntN(3)]}
	}
	return bans
}

// step makes one random change.
func (o *oracle) step(t *testing.T) (what string, err error) {
	t.Helper()
	bans := o.bans()
	what = []string{"add", "remove", "update", "set", "allow"}[o.r.IntN(5)]
	switch what {
	case "add":
		err = o.table.Add(bans...)
	case "remove", "update":
		gone := []netip.Prefix{randomPrefix(o.r), randomPrefix(o.r)}
		if what == "remove" {
			bans = nil
		}
		err = o.table.Update(bans, gone)
		for _, p := range gone {
			source, target, errPrefix := normalise(p, 64)
			if errPrefix != nil {
				t.Fatal(errPrefix)
			}
			o.naive.remove(source, target, time.Now().UnixNano())
		}
	case "set", "allow":
		var allow []netip.Prefix
		if what == "allow" {
			allow = append(allow, randomPrefix(o.r))
		}
		err = o.table.Set(context.Background(), BansOf(bans...), allow)
		o.naive.bans = nil
	}
	for _, b := range bans {
		source, target, errPrefix := normalise(b.Prefix, 64)
		if errPrefix != nil {
			t.Fatal(errPrefix)
		}
		o.naive.add(naiveBan{source, target, b.Until.UnixNano(), o.table.originIDs[b.Origin]})
	}
	return what, err
}

// compare checks elements for prefix, end and origin.
func compare(t *testing.T, when string, got map[netip.Prefix]kernelElement, n *naive) {
	t.Helper()
	want := n.ends(time.Now().UnixNano())
	if len(got) != len(want) {
		t.Fatalf("%s: kernel has %v, want %v", when, got, want)
	}
	for p, until := range want {
		e, ok := got[p]
		if !ok {
			t.Fatalf("%s: %s is missing", when, p)
		}
		// nft needs a moment to list, and cuts long durations to seconds.
		if d := time.Until(time.Unix(0, until)) - e.left; d < -10*time.Second || d > 1500*time.Millisecond {
			t.Fatalf("%s: %s ends in %v, which is off by %v", when, p, e.left, d)
		}
		fits := false
		for _, b := range n.bans {
			fits = fits || b.target == p && b.until == until && int(b.origin) == e.origin
		}
		if !fits {
			t.Fatalf("%s: %s has origin %d; bans %+v", when, p, e.origin, n.bans)
		}
	}
}

// TestRenderLoads gives the text form to nft: it must be accepted, and give the
// same elements when loaded. What nft lists of our own table must load, too,
// since that is how people save a ruleset.
func TestRenderLoads(t *testing.T) {
	needNft(t)
	ns := testkit.SingleNamespace(t)
	until := time.Now().Add(time.Hour)
	table := started(t, ns, Options{}, []Ban{
		ban("10.1.1.1/32", until, "crowdsec"), ban("10.1.1.2/32", until, "lists:a \" b\n}"),
		ban("10.2.0.0/16", until, "cscli"), ban("2001:db8::1/128", until, "cscli"), ban("2001:db8::/36", until, "cscli"),
	}, parsePrefixes("10.9.0.0/16 10.8.0.1/32 2001:db8:9::/48 240.0.0.0/4")...)
	empty := New(Options{})
	if err := empty.Set(context.Background(), Bans{}, nil); err != nil {
		t.Fatal(err)
	}
	before := listElements(t, ns)
	saved := ns.Run(t, "nft", "list", "ruleset")
	for name, text := range map[string]string{"table": table.Render(), "empty": empty.Render(), "saved": saved} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		fresh := testkit.SingleNamespace(t)
		fresh.Run(t, "nft", "-c", "-f", file)
		fresh.Run(t, "nft", "-f", file)
		want := len(before)
		if name == "empty" {
			want = 0
		}
		if got := listElements(t, fresh); len(got) != want {
			t.Errorf("%s: loaded elements %v, want %v\n%s", name, got, before, text)
		}
		if name == "saved" {
			continue
		}
		rules := func(s string) string { return s[strings.Index(s, "chain pre"):] }
		loaded := fresh.Run(t, "nft", "list", "chain", "inet", "rampart", "pre")
		direct := ns.Run(t, "nft", "list", "chain", "inet", "rampart", "pre")
		if name == "table" && rules(loaded) != rules(direct) {
			t.Errorf("the text gives other rules:\n%s\nthan netlink:\n%s", loaded, direct)
		}
	}
}
