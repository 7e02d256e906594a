package firewall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// flood sends datagrams from the client's first address without pause and
// counts those that reach port 7001 of the server.
func flood(t *testing.T, server, client *testkit.Namespace) (sent, received *atomic.Int64, stop func()) {
	t.Helper()
	in, err := server.ListenPacket("udp4", "0.0.0.0:7001")
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.Dial(&net.Dialer{}, "udp4", "10.77.0.1:7001")
	if err != nil {
		t.Fatal(err)
	}
	sent, received = new(atomic.Int64), new(atomic.Int64)
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 64)
		for {
			if _, _, err := in.ReadFrom(b); err != nil {
				return
			}
			received.Add(1)
		}
	})
	wg.Go(func() {
		for {
			if _, err := out.Write([]byte("x")); errors.Is(err, net.ErrClosed) {
				return
			}
			if sent.Add(1)%50 == 0 {
				time.Sleep(time.Millisecond) // leaves the processor to the others
			}
		}
	})
	return sent, received, func() {
		out.Close()
		in.Close()
		wg.Wait()
	}
}

// TestRestartAfterCrash kills a process that holds the table and starts
// another: the banned client must not get one packet through at any time, and
// what the new process was not told of must be gone.
func TestRestartAfterCrash(t *testing.T) {
	for _, mode := range []string{"owner", "plain"} {
		t.Run(mode, func(t *testing.T) {
			server, client := lab(t)
			child := startChild(t, server, mode)
			sent, received, stop := flood(t, server, client)
			eventually(t, "the flood begins", func() bool { return sent.Load() > 1000 })
			kill(t, child)
			after := sent.Load()
			table := started(t, server, Options{Owner: mode == "owner"},
				append(manyBans(20_000), ban(base+"/32", time.Now().Add(time.Hour), "crowdsec")))
			started := sent.Load()
			eventually(t, "the flood goes on", func() bool { return sent.Load() > started+1000 })
			// An allow change is another swap.
			if err := table.Set(context.Background(), BansOf(append(manyBans(20_000),
				ban(base+"/32", time.Now().Add(time.Hour), "crowdsec"))...), parsePrefixes("10.9.0.0/16")); err != nil {
				t.Fatal(err)
			}
			n := received.Load()
			t.Logf("%d packets sent, %d of them between the kill and the end of Start; %d received",
				sent.Load(), started-after, n)
			if n != 0 {
				t.Errorf("%d packets of a banned client got through", n)
			}
			if err := table.Remove(netip.MustParsePrefix(base + "/32")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the flood gets through without the ban", func() bool { return received.Load() > 0 })
			stop()
			mustAdd(t, table, ban(base+"/32", time.Now().Add(time.Hour), "crowdsec"))
			expect(t, server, client, "stale entry", map[string]bool{base: true, in24a: false})
			if out := server.Run(t, "nft", "list", "tables"); strings.Count(out, "\n") != 1 {
				t.Errorf("tables:\n%s", out)
			}
		})
	}
}

func TestTwoInstances(t *testing.T) {
	for _, mode := range []string{"owner", "plain"} {
		t.Run(mode, func(t *testing.T) {
			server, client := lab(t)
			child := startChild(t, server, mode)
			for _, owner := range []bool{true, false} {
				second := New(Options{Owner: owner})
				err := server.Do(func() error { return second.Start(context.Background(), Bans{}, nil) })
				if !errors.Is(err, ErrOwned) {
					t.Errorf("second instance, owner %t: %v, want ErrOwned", owner, err)
				}
				t.Log(err)
				mustAdd(t, second, ban("10.77.4.0/24", time.Now().Add(time.Hour), "a")) // dry-run
				if s := second.Stats(); s.Mode != ModeDryRun || s.Entries != 1 {
					t.Errorf("second instance: %+v", s)
				}
				if err := second.Close(false); err != nil {
					t.Error(err)
				}
			}
			if err := server.Do(func() error { return CleanUp("rampart") }); !errors.Is(err, ErrOwned) {
				t.Errorf("CleanUp under a live process: %v, want ErrOwned", err)
			}
			expect(t, server, client, "first instance", map[string]bool{base: true, in24a: true, other: false})
			kill(t, child)
			expect(t, server, client, "dead instance", map[string]bool{base: true, in24a: true, other: false})
			if err := server.Do(func() error { return CleanUp("rampart") }); err != nil {
				t.Errorf("CleanUp after a dead process: %v", err)
			}
			expect(t, server, client, "cleaned up", map[string]bool{base: false, in24a: false})
			if err := server.Do(func() error { return CleanUp("rampart") }); err != nil {
				t.Errorf("CleanUp of nothing: %v", err)
			}
			if out := server.Run(t, "nft", "list", "ruleset"); out != "" {
				t.Errorf("left over:\n%s", out)
			}
		})
	}
}

func TestCloseKeepsOrDeletes(t *testing.T) {
	for _, owner := range []bool{true, false} {
		t.Run(fmt.Sprintf("owner=%t", owner), func(t *testing.T) { closeKeepsOrDeletes(t, owner) })
	}
}

func closeKeepsOrDeletes(t *testing.T, owner bool) {
	server, client := lab(t)
	hour := time.Now().Add(time.Hour)
	table := started(t, server, Options{Owner: owner}, []Ban{ban(base+"/32", hour, "a")})
	if err := table.Close(true); err != nil {
		t.Fatal(err)
	}
	expect(t, server, client, "kept", map[string]bool{base: true})
	again := started(t, server, Options{Owner: owner}, []Ban{ban(other+"/32", hour, "a")})
	expect(t, server, client, "taken over", map[string]bool{base: false, other: true})
	if err := again.Close(false); err != nil {
		t.Fatal(err)
	}
	expect(t, server, client, "deleted", map[string]bool{base: false, other: false})
	if out := server.Run(t, "nft", "list", "ruleset"); out != "" {
		t.Errorf("left over:\n%s", out)
	}
}

// TestNoPrivilege takes CAP_NET_ADMIN from the thread that starts the table.
func TestNoPrivilege(t *testing.T) {
	ns := testkit.SingleNamespace(t)
	table := New(Options{})
	defer table.Close(false)
	hour := time.Now().Add(time.Hour)
	err := ns.Do(func() error {
		runtime.LockOSThread() // not unlocked: the thread is of no more use
		h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&h, &data[0]); err != nil {
			return err
		}
		data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
		if err := unix.Capset(&h, &data[0]); err != nil {
			return err
		}
		return table.Start(context.Background(), BansOf(ban("192.0.2.1/32", hour, "a")), nil)
	})
	if !errors.Is(err, ErrNoPrivilege) {
		t.Fatalf("Start: %v, want ErrNoPrivilege", err)
	}
	for _, word := range []string{"CAP_NET_ADMIN", "systemd", "setcap"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not name %s: %v", word, err)
		}
	}
	mustAdd(t, table, ban("192.0.2.2/32", hour, "a"))
	if s := table.Stats(); s.Mode != ModeDryRun || s.Entries != 2 {
		t.Errorf("stats: %+v", s)
	}
	// With the privilege back, Start works.
	if err := ns.Do(func() error { return table.Start(context.Background(), BansOf(table.List()...), nil) }); err != nil {
		t.Fatalf("second Start: %v", err)
	}
	if got := listElements(t, ns); len(got) != 2 {
		t.Errorf("elements: %v", got)
	}
}

func TestCancelledStart(t *testing.T) {
	ns := testkit.SingleNamespace(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	table := New(Options{Owner: true})
	defer table.Close(false)
	err := ns.Do(func() error { return table.Start(ctx, BansOf(manyBans(10)...), nil) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Start: %v, want context.Canceled", err)
	}
	if out := ns.Run(t, "nft", "list", "ruleset"); out != "" {
		t.Errorf("left over:\n%s", out)
	}
}
