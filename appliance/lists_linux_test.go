package appliance

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// kernelNode is an appliance whose firewall is that of a network namespace.
func kernelNode(t *testing.T) (*fence, *testkit.Namespace) {
	ns := testkit.SingleNamespace(t)
	dir := t.TempDir()
	s, err := Compile(Config{DataDir: dir, Firewall: FirewallConfig{Mode: FirewallNftables}}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	a := New(Options{Node: "test"})
	var release func()
	if err := ns.Do(func() (err error) { release, err = a.Use(s); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		release()
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	f := &fence{t, a, dir}
	if got := f.live.Load().status().Firewall; got.Active != FirewallNftables {
		t.Fatalf("the firewall is %s: %s", got.Active, got.Problem)
	}
	return f, ns
}

// numbered returns addresses from 100.64.0.0 on.
func numbered(from, n int) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		x := from + i
		out[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(64 + x>>16), byte(x >> 8), byte(x)}), 32)
	}
	return out
}

// TestListInTheRealKernel: a list of 100,000 gets there, a change of one in a hundred
// writes no more than that, an allowed address of it passes, and all of it goes.
func TestListInTheRealKernel(t *testing.T) {
	if testing.Short() {
		t.Skip("left out with -short: 100,000 bans in the kernel")
	}
	const n = 100_000
	f, ns := kernelNode(t)
	f.decide("192.0.2.101", "ssh", "", true, time.Hour)
	f.entries()
	w := f.state().wall
	inKernel := func() int {
		t.Helper()
		return strings.Count(ns.Run(t, "nft", "list", "map", "inet", w.table.Stats().Table, "ban4"), "expires")
	}
	put := func(what string, prefixes []netip.Prefix) {
		t.Helper()
		now := time.Now()
		l, _, err := decisions.NewBlocklist(decisions.ListHead{Name: "x", Type: "ban", Created: now, Until: now.AddDate(0, 0, 7)}, prefixes)
		if err != nil {
			t.Fatal(err)
		}
		heap, written := liveHeap(), w.table.Stats().Written
		begin := time.Now()
		if err := f.state().listKeeper().PutList(l); err != nil {
			t.Fatal(err)
		}
		inForce := time.Since(begin)
		f.entries()
		s := w.table.Stats()
		t.Logf("%s: in force after %s, in the kernel after %s, %d elements written, %d bytes more of heap", what, inForce, time.Since(begin),
			s.Written-written, int64(liveHeap())-int64(heap))
		if got := inKernel(); got != len(prefixes)+1 || s.Entries != got {
			t.Errorf("%s: %d bans in the kernel, status says %d, want %d", what, got, s.Entries, len(prefixes)+1)
		}
		if most := int64(n); what != "first" && s.Written-written > most/50 {
			t.Errorf("%s: %d elements were written", what, s.Written-written)
		}
	}
	put("first", numbered(0, n))
	put("one in a hundred changed", numbered(n/100, n))
	put("once more", numbered(n/100, n))
	if err := f.state().allow.Add(decisions.AllowEntry{Prefix: numbered(n/2, 1)[0]}); err != nil {
		t.Fatal(err)
	}
	f.entries()
	if got := inKernel(); got != n {
		t.Errorf("one allowed: %d bans in the kernel", got)
	}
	if set := ns.Run(t, "nft", "list", "set", "inet", w.table.Stats().Table, "allow4"); !strings.Contains(set, numbered(n/2, 1)[0].Addr().String()) {
		t.Error("the allowed address is not in the kernel's own allowlist")
	}
	if err := f.state().listKeeper().DropList("x"); err != nil {
		t.Fatal(err)
	}
	f.entries()
	if got := inKernel(); got != 1 {
		t.Errorf("dropped: %d bans in the kernel", got)
	}
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
