package firewall

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// events records what a Table reports.
type events struct {
	mu   sync.Mutex
	list []Event
}

func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
}

// last returns the newest event of a kind.
func (e *events) last(k EventKind) (Event, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := len(e.list) - 1; i >= 0; i-- {
		if e.list[i].Kind == k {
			return e.list[i], true
		}
	}
	return Event{}, false
}

// hasty returns a table that may repair itself often; CheckEvery is long, so
// that only the monitor can notice a change in time.
func hasty(t *testing.T, ns *testkit.Namespace, o Options, bans []Ban) *Table {
	t.Helper()
	table := New(o)
	table.repairEvery = time.Millisecond
	if err := ns.Do(func() error { return table.Start(context.Background(), BansOf(bans...), parsePrefixes("10.9.0.0/16")) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(false); err != nil {
			t.Error(err)
		}
	})
	return table
}

func TestOwnedTableSurvivesFlush(t *testing.T) {
	server, client := lab(t)
	table := hasty(t, server, Options{Owner: true, CheckEvery: time.Hour}, []Ban{ban(base+"/32", time.Now().Add(time.Hour), "a")})
	if !table.Stats().Owner {
		t.Skip("skipped: this kernel has no owner and persist flags")
	}
	before := server.Run(t, "nft", "list", "table", "inet", "rampart")
	server.Run(t, "nft", "flush", "ruleset")
	expect(t, server, client, "flush ruleset", map[string]bool{base: true, in24a: false})
	for _, args := range []string{
		"delete table inet rampart",
		"add element inet rampart ban4 { 10.77.3.5 timeout 1h : 1 }",
		"delete element inet rampart ban4 { 10.77.0.2 }",
		"flush chain inet rampart pre",
	} {
		if out, err := server.Command("nft", args).CombinedOutput(); err == nil {
			t.Errorf("nft %s was allowed: %s", args, out)
		}
	}
	after := server.Run(t, "nft", "list", "table", "inet", "rampart")
	if strings.Count(before, "\n") != strings.Count(after, "\n") {
		t.Errorf("table changed from\n%s\nto\n%s", before, after)
	}
	if s := table.Stats(); s.Repairs != 0 {
		t.Errorf("%d repairs of a table that nobody can break", s.Repairs)
	}
}

// TestRepair breaks a table without owner in every way and expects it whole
// again, without waiting for a check at intervals.
func TestRepair(t *testing.T) {
	server, client := lab(t)
	var seen events
	bans := []Ban{
		ban(base+"/32", time.Now().Add(time.Hour), "a"),
		ban("10.77.3.0/24", time.Now().Add(time.Hour), "b"),
	}
	table := hasty(t, server, Options{CheckEvery: time.Hour, Report: seen.add}, bans)
	for _, args := range []string{
		"flush ruleset",
		"delete table inet TABLE",
		"flush chain inet TABLE pre",
		"flush chain inet TABLE decide",
		"insert rule inet TABLE pre accept",
		"insert rule inet TABLE act_1 accept",
		"chain inet TABLE pre { policy drop; }",
		"add table inet TABLE { flags dormant; }",
		"delete element inet TABLE ban4 { 10.77.0.2 }",
		"add element inet TABLE ban4 { 10.77.4.7 timeout 1h : 1 }",
		"flush map inet TABLE n4_24",
		"flush ruleset; add table inet TABLE",
	} {
		repairs := table.Stats().Repairs
		begin := time.Now()
		server.Run(t, "nft", strings.ReplaceAll(args, "TABLE", table.Stats().Table))
		eventually(t, "a repair after "+args, func() bool { return table.Stats().Repairs > repairs })
		t.Logf("%s: repaired %v after the nft command began", args, time.Since(begin).Round(time.Millisecond))
		expect(t, server, client, args, map[string]bool{base: true, in24a: true, other: false})
		if got := listElements(t, server); len(got) != 2 {
			t.Errorf("%s: elements after the repair: %v", args, got)
		}
		if e, ok := seen.last(EventDrift); !ok || !strings.HasPrefix(e.By, "nft[") {
			t.Errorf("%s: event %+v does not name nft", args, e)
		}
	}
	// Others' tables are no concern of ours.
	settled := table.Stats().Repairs
	server.Run(t, "nft", "add table inet theirs; add chain inet theirs c; delete table inet theirs")
	mustAdd(t, table, ban(other+"/32", time.Now().Add(time.Hour), "c"))
	expect(t, server, client, "afterwards", map[string]bool{other: true})
	if s := table.Stats(); s.Repairs != settled {
		t.Errorf("%d repairs for a table of somebody else", s.Repairs-settled)
	}
}

// TestChecksFindWhatTheMonitorMissed has the monitor deaf.
func TestChecksFindWhatTheMonitorMissed(t *testing.T) {
	server := testkit.SingleNamespace(t)
	table := hasty(t, server, Options{CheckEvery: 50 * time.Millisecond}, []Ban{ban("10.1.1.1/32", time.Now().Add(time.Hour), "a")})
	table.write.Lock()
	err := table.kernel.monitor.conn.LeaveGroup(nftablesGroup)
	table.write.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	server.Run(t, "nft", "delete element inet rampart ban4 { 10.1.1.1 }")
	eventually(t, "the check misses the element", func() bool { return table.Stats().Repairs == 1 })
	if got := listElements(t, server); len(got) != 1 {
		t.Errorf("elements: %v", got)
	}
}

// TestRepairsAreSpaced has somebody delete the table again and again.
func TestRepairsAreSpaced(t *testing.T) {
	server := testkit.SingleNamespace(t)
	table := hasty(t, server, Options{CheckEvery: 10 * time.Millisecond}, nil)
	table.write.Lock()
	table.repairEvery = time.Hour
	table.write.Unlock()
	server.Run(t, "nft", "flush", "ruleset")
	eventually(t, "the first repair", func() bool { return table.Stats().Repairs == 1 })
	server.Run(t, "nft", "flush", "ruleset")
	err := table.Add(ban("10.1.1.1/32", time.Now().Add(time.Hour), "a"))
	if !errors.Is(err, unix.ENOENT) {
		t.Errorf("Add to a missing table: %v, want ENOENT", err)
	}
	if s := table.Stats(); s.Repairs != 1 || s.Errors == 0 || s.Entries != 1 {
		t.Errorf("stats: %+v", s)
	}
}

// TestWriteRepairs finds the table gone while writing, without a monitor.
func TestWriteRepairs(t *testing.T) {
	server, client := lab(t)
	table := hasty(t, server, Options{CheckEvery: time.Hour}, []Ban{ban(in24a+"/32", time.Now().Add(time.Hour), "a")})
	table.write.Lock()
	_ = table.kernel.monitor.conn.LeaveGroup(nftablesGroup)
	table.write.Unlock()
	server.Run(t, "nft", "flush", "ruleset")
	mustAdd(t, table, ban(base+"/32", time.Now().Add(time.Hour), "a"))
	expect(t, server, client, "after Add", map[string]bool{base: true, in24a: true, other: false})
}

// TestClockStep sets the clock: the kernel must learn the new ends.
func TestClockStep(t *testing.T) {
	ns := testkit.SingleNamespace(t)
	var ahead atomic.Int64
	table := hasty(t, ns, Options{
		CheckEvery: 20 * time.Millisecond,
		Now:        func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	}, []Ban{
		ban("10.1.1.1/32", time.Now().Add(10*time.Hour), "a"),
		ban("10.1.1.2/32", time.Now().Add(time.Hour), "a"),
	})
	ahead.Store(int64(9 * time.Hour))
	eventually(t, "a repair", func() bool { return table.Stats().Repairs == 1 })
	got := listElements(t, ns)
	left := got[netip.MustParsePrefix("10.1.1.1/32")].left
	if len(got) != 1 || left > time.Hour || left < 50*time.Minute {
		t.Errorf("elements nine hours later: %v", got)
	}
}

// TestLeftOverOfAHalfBuiltTable begins where a process died while staging.
func TestLeftOverOfAHalfBuiltTable(t *testing.T) {
	for _, text := range []string{
		"table inet rampart { }",
		"table inet rampart_b { map ban4 { type ipv4_addr : mark } }",
		"table inet rampart { chain pre { type filter hook prerouting priority -310; } }\ntable inet rampart_b { }",
		"table inet rampart { chain pre { type filter hook prerouting priority -310; } }\n" +
			"table inet rampart_b { chain pre { type filter hook prerouting priority -310; } }",
		"table inet rampart_probe { }",
	} {
		ns := testkit.SingleNamespace(t)
		cmd := ns.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(strings.NewReplacer("{", "{\n", "}", "\n}\n").Replace(text))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		table := started(t, ns, Options{Owner: true}, nil)
		if out := ns.Run(t, "nft", "list", "tables"); out != "table inet "+table.Stats().Table+"\n" {
			t.Errorf("from %q: tables\n%s", text, out)
		}
	}
}
