package appliance

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// fence is an appliance whose firewall is in dry-run, so that what the kernel
// would hold can be read.
type fence struct {
	t *testing.T
	*Appliance
	dir string
}

func openFence(t *testing.T) *fence {
	dir := t.TempDir()
	return &fence{t, open(t, Config{DataDir: dir, Firewall: FirewallConfig{Mode: FirewallDryRun, Hits: 5}}), dir}
}

func (f *fence) state() *state { return f.live.Load().state }

// decide records a ban as an alert would, site "" for what has no HTTP layer.
func (f *fence) decide(value, scenario, site string, direct bool, length time.Duration) decisions.Decision {
	f.t.Helper()
	ds := []decisions.Decision{{Value: value, Type: "ban", Origin: "crowdsec", Scenario: scenario, Host: site,
		Direct: direct, Until: time.Now().Add(length)}}
	a := &event.Alert{Scenario: scenario, Site: site, Direct: direct, Source: &event.Source{Scope: "Ip", Value: value}}
	if err := (*journal)(f.state()).Append(a, ds); err != nil {
		f.t.Fatal(err)
	}
	return ds[0]
}

// entries are the bans in the table, once all changes are in.
func (f *fence) entries() []string {
	w := f.state().wall
	w.changes()
	w.refresh()
	var out []string
	for _, b := range w.table.List() {
		out = append(out, b.Prefix.String())
	}
	return out
}

func (f *fence) expect(when string, want ...string) {
	f.t.Helper()
	if got := f.entries(); !slices.Equal(got, want) {
		f.t.Errorf("%s: the firewall has %q, want %q", when, got, want)
	}
}

// TestWhatGoesToTheKernel: direct clients only; at once where there is no HTTP
// layer, else from the second ban on.
func TestWhatGoesToTheKernel(t *testing.T) {
	f := openFence(t)
	f.decide("192.0.2.1", "ssh", "", true, time.Hour)
	f.decide("192.0.2.2", "ssh", "", false, time.Hour)
	f.decide("192.0.2.3", "http", "example.com", true, time.Hour)
	f.decide("192.0.2.3", "another bucket of the same request", "example.com", true, time.Hour)
	f.decide("192.0.2.4", "http", "example.com", false, time.Hour)
	f.expect("at first", "192.0.2.1/32")

	// Bans of a minute later, as the decisions have it.
	for _, d := range []decisions.Decision{{Value: "192.0.2.3", Direct: true}, {Value: "192.0.2.4"}} {
		d.Type, d.Origin, d.Scenario, d.Host = "ban", "crowdsec", "again", "example.com"
		d.Created, d.Until = time.Now().Add(time.Minute), time.Now().Add(time.Hour)
		if err := f.state().book.Append(nil, []decisions.Decision{d}); err != nil {
			t.Fatal(err)
		}
	}
	f.expect("again", "192.0.2.1/32", "192.0.2.3/32")
}

// TestOneOfTwoBansEnds: the longer one of two bans on one address goes, the other
// one stays in the kernel, with its own end.
func TestOneOfTwoBansEnds(t *testing.T) {
	f := openFence(t)
	long := f.decide("192.0.2.1", "one", "", true, 2*time.Hour)
	short := f.decide("192.0.2.1", "two", "", true, time.Hour)
	f.expect("both", "192.0.2.1/32")
	if _, err := f.state().book.Delete(decisions.Filter{ID: long.ID}, "test"); err != nil {
		t.Fatal(err)
	}
	f.expect("the shorter one", "192.0.2.1/32")
	if b := f.state().wall.table.List()[0]; b.Until.Sub(short.Until).Abs() > time.Second {
		t.Errorf("ends at %s, want %s", b.Until, short.Until)
	}
	if _, err := f.state().book.Delete(decisions.Filter{ID: short.ID}, "test"); err != nil {
		t.Fatal(err)
	}
	f.expect("none")
}

// TestNetworkAndItsAddress: an IPv6 address is banned by its /64. A ban of that
// /64 which is not the kernel's business comes and goes without touching it.
func TestNetworkAndItsAddress(t *testing.T) {
	f := openFence(t)
	f.decide("2001:db8::7", "ssh", "", true, time.Hour)
	f.expect("the address", "2001:db8::/64")
	web := f.decide("2001:db8::/64", "http", "example.com", true, time.Hour)
	f.expect("and a ban of the network by HTTP", "2001:db8::/64")
	if _, err := f.state().book.Delete(decisions.Filter{ID: web.ID}, "test"); err != nil {
		t.Fatal(err)
	}
	f.expect("which ends", "2001:db8::/64")
	hand := f.decide("2001:db8::/64", "manual", "", true, time.Hour)
	f.expect("one by hand", "2001:db8::/64")
	for _, id := range []int64{hand.ID} {
		if _, err := f.state().book.Delete(decisions.Filter{ID: id}, "test"); err != nil {
			t.Fatal(err)
		}
	}
	f.expect("which ends too", "2001:db8::/64")
	if _, err := f.state().book.Delete(decisions.Filter{Value: "2001:db8::7"}, "test"); err != nil {
		t.Fatal(err)
	}
	f.expect("all")
}

// TestEscalation: who keeps sending goes to the kernel, all addresses of a /64
// together, and is still there after a restart; who comes through a proxy does not.
func TestEscalation(t *testing.T) {
	f := openFence(t)
	f.decide("192.0.2.1", "http", "example.com", true, time.Hour)
	f.decide("192.0.2.2", "http", "example.com", false, time.Hour)
	f.decide("2001:db8::/64", "http", "example.com", true, time.Hour)
	proxied := from("192.0.2.1")
	proxied.Peer, proxied.Trusted = netip.MustParseAddr("198.51.100.1"), true
	for range 20 {
		visit(f.Appliance, proxied, "/", 200)
		visit(f.Appliance, from("192.0.2.2"), "/", 200)
	}
	f.expect("proxied, and heard of only")
	for i := range 5 {
		f.expect(fmt.Sprintf("after %d requests", i))
		visit(f.Appliance, from("192.0.2.1"), "/", 200)
	}
	f.expect("after five requests", "192.0.2.1/32")
	for i := range 5 {
		visit(f.Appliance, from(fmt.Sprintf("2001:db8::%d", i+1)), "/", 200)
	}
	f.expect("five addresses of a network", "192.0.2.1/32", "2001:db8::/64")
	if err := f.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	g := &fence{t, open(t, Config{DataDir: f.dir, Firewall: FirewallConfig{Mode: FirewallDryRun}}), f.dir}
	g.expect("after a restart", "192.0.2.1/32", "2001:db8::/64")
	if _, err := g.state().book.Delete(decisions.Filter{Value: "192.0.2.1"}, "test"); err != nil {
		t.Fatal(err)
	}
	g.expect("unbanned", "2001:db8::/64")
	g.decide("192.0.2.1", "yet another", "example.com", false, time.Hour)
	g.expect("a ban of another kind", "2001:db8::/64")
}

// TestAllowedLeavesTheKernel: an allowlist entry takes bans of what it covers out,
// and its removal brings them back.
func TestAllowedLeavesTheKernel(t *testing.T) {
	f := openFence(t)
	f.decide("192.0.2.1", "ssh", "", true, time.Hour)
	f.decide("198.51.100.0/24", "ssh", "", true, time.Hour)
	f.expect("at first", "192.0.2.1/32", "198.51.100.0/24")
	for _, p := range []string{"192.0.2.0/24", "198.51.100.7/32"} {
		if err := f.state().allow.Add(decisions.AllowEntry{Prefix: netip.MustParsePrefix(p)}); err != nil {
			t.Fatal(err)
		}
	}
	f.expect("allowed", "198.51.100.0/24")
	w := f.state().wall
	if _, ok := w.table.Explain(netip.MustParseAddr("198.51.100.7")); ok {
		t.Error("an allowed address in a banned network is dropped")
	}
	if _, ok := w.table.Explain(netip.MustParseAddr("198.51.100.8")); !ok {
		t.Error("its neighbour is not")
	}
	if err := f.state().allow.Remove(netip.MustParsePrefix("192.0.2.0/24")); err != nil {
		t.Fatal(err)
	}
	f.expect("no longer", "192.0.2.1/32", "198.51.100.0/24")
	if err := f.state().allow.Add(decisions.AllowEntry{Item: "partner.example.org"}); err != nil {
		t.Fatal(err)
	}
	f.expect("a name that nobody looked up", "192.0.2.1/32", "198.51.100.0/24")
	if err := f.state().allow.Resolve("", "partner.example.org", []netip.Prefix{netip.MustParsePrefix("198.51.100.9/32")}); err != nil {
		t.Fatal(err)
	}
	f.expect("a name", "192.0.2.1/32", "198.51.100.0/24")
	if _, ok := w.table.Explain(netip.MustParseAddr("198.51.100.9")); ok {
		t.Error("what an allowed name stands for is dropped in a banned network")
	}
	if n := w.table.Stats().Refused; n > 0 {
		t.Errorf("the table refused %d ranges", n)
	}
}

// TestProxiesAreKnownBeforehand: a network that holds a trusted proxy can be
// banned, and the proxy goes on even if it never sent anything.
func TestProxiesAreKnownBeforehand(t *testing.T) {
	a := open(t, Config{Firewall: FirewallConfig{Mode: FirewallDryRun},
		Proxies: func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("192.0.2.8/30")} }})
	f := &fence{t: t, Appliance: a}
	f.decide("192.0.2.0/24", "ssh", "", true, time.Hour)
	f.expect("the network", "192.0.2.0/24")
	if _, ok := f.state().wall.table.Explain(netip.MustParseAddr("192.0.2.9")); ok {
		t.Error("the proxy is dropped")
	}
	f.decide("192.0.2.9", "ssh", "", true, time.Hour)
	f.expect("its own ban is suppressed", "192.0.2.0/24")
}

// TestManyBans: a table that is started with many bans hears of none of them
// twice, and one that follows them one by one ends up the same.
func TestManyBans(t *testing.T) {
	f := openFence(t)
	const n = 20_000
	ds := make([]decisions.Decision, n)
	for i := range ds {
		ds[i] = decisions.Decision{Value: netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}).String(),
			Type: "ban", Origin: "list", Scenario: "list", Direct: true, Until: time.Now().Add(time.Hour)}
	}
	if err := f.state().book.Append(nil, ds); err != nil {
		t.Fatal(err)
	}
	if got := len(f.entries()); got != n {
		t.Errorf("followed: %d, want %d", got, n)
	}
	if err := f.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	g := &fence{t, open(t, Config{DataDir: f.dir, Firewall: FirewallConfig{Mode: FirewallDryRun}}), f.dir}
	w := g.state().wall
	w.mu.Lock()
	page, _ := g.state().book.Since(w.cursor, 0)
	w.mu.Unlock()
	if len(page) != 0 {
		t.Errorf("%d changes are still to come after the start", len(page))
	}
	if got := len(g.entries()); got != n {
		t.Errorf("restarted: %d, want %d", got, n)
	}
}

// TestFirewallTrouble: what is wrong with the kernel does not vanish from status
// with the next change that dry-run takes.
func TestFirewallTrouble(t *testing.T) {
	s, err := Compile(Config{DataDir: t.TempDir(), Firewall: FirewallConfig{Mode: FirewallNftables}}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	s.config.Firewall.Table = "Not A Name" // which a configuration cannot have; the table refuses to start
	a := New(Options{Node: "test"})
	release, err := a.Use(s)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { release(); _ = a.Close(context.Background()) }()
	f := &fence{t: t, Appliance: a}
	f.decide("192.0.2.1", "ssh", "", true, time.Hour)
	f.state().wall.changes()
	st := f.live.Load().status()
	if st.Firewall.Active != FirewallDryRun || !strings.Contains(st.Firewall.Problem, "table name") {
		t.Errorf("status says %q, problem %q", st.Firewall.Active, st.Firewall.Problem)
	}
	if len(st.Problems) != 1 {
		t.Errorf("problems %q", st.Problems)
	}
}
