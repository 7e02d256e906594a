package firewall

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// The client's addresses.
const (
	base   = "10.77.0.2"
	in24a  = "10.77.3.5"
	in24b  = "10.77.3.6"
	other  = "10.77.4.7"
	in64a  = "fd77:0:1:1::5"
	in64b  = "fd77:0:1:1::6"
	other6 = "fd77:0:1:2::5"
)

// lab is a server with echo and a client with many addresses. Tests that use it
// mostly wait, and so do it together.
func lab(t *testing.T) (server, client *testkit.Namespace) {
	t.Helper()
	t.Parallel()
	server, client = testkit.Namespaces(t)
	for _, a := range []string{in24a, in24b, other} {
		client.AddAddress(t, netip.MustParsePrefix(a+"/16"))
	}
	for _, a := range []string{in64a, in64b, other6} {
		client.AddAddress(t, netip.MustParsePrefix(a+"/32"))
	}
	echo(t, server)
	return server, client
}

func TestDropsExactlyTheBanned(t *testing.T) {
	for _, owner := range []bool{true, false} {
		t.Run(fmt.Sprintf("owner=%t", owner), func(t *testing.T) { dropsExactlyTheBanned(t, owner) })
	}
}

func dropsExactlyTheBanned(t *testing.T, owner bool) {
	server, client := lab(t)
	table := started(t, server, Options{Owner: owner}, nil)
	hour := time.Now().Add(time.Hour)
	ctx := context.Background()
	steps := []struct {
		name    string
		do      func() error
		dropped map[string]bool
	}{
		{"nobody", func() error { return nil },
			map[string]bool{base: false, in24a: false, in24b: false, other: false, in64a: false, in64b: false, other6: false}},
		{"one", func() error { return table.Add(ban(in24a+"/32", hour, "a")) },
			map[string]bool{base: false, in24a: true, in24b: false}},
		{"removed", func() error { return table.Remove(netip.MustParsePrefix(in24a + "/32")) },
			map[string]bool{in24a: false}},
		{"/24", func() error { return table.Add(ban("10.77.3.0/24", hour, "b")) },
			map[string]bool{base: false, in24a: true, in24b: true, other: false}},
		{"mapped", func() error { return table.Add(ban("::ffff:"+other+"/128", hour, "a")) },
			map[string]bool{base: false, in24a: true, other: true}},
		{"IPv6 address", func() error { return table.Add(ban(in64a+"/128", hour, "a")) },
			map[string]bool{in64a: true, in64b: true, other6: false}},
		{"allowed in a banned range", func() error {
			return table.Set(ctx, BansOf(ban("10.77.0.0/16", hour, "c"), ban("fd77:0:1::/48", hour, "c")), parsePrefixes(base+"/32 "+in64a+"/128"))
		}, map[string]bool{base: false, in24a: true, other: true, in64a: false, in64b: true, other6: true}},
		{"not allowed any more", func() error { return table.Set(ctx, BansOf(ban("10.77.0.0/16", hour, "c")), nil) },
			map[string]bool{base: true, in24a: true, in64b: false}},
		{"nobody again", func() error { return table.Set(ctx, Bans{}, nil) },
			map[string]bool{base: false, in24a: false, other: false, in64a: false, other6: false}},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		expect(t, server, client, s.name, s.dropped)
	}
	stats := table.Stats()
	for _, origin := range []string{"a", "b", "c"} {
		if stats.Dropped[origin].Packets == 0 || stats.Dropped[origin].Bytes == 0 {
			t.Errorf("no packets counted for origin %s: %+v", origin, stats.Dropped)
		}
	}
	if stats.Owner != owner || stats.Mode != ModeNftables || stats.Repairs != 0 || stats.Errors != 0 {
		t.Errorf("stats: %+v", stats)
	}
}

func TestIPv6SingleAddress(t *testing.T) {
	server, client := lab(t)
	table := started(t, server, Options{IPv6Prefix: 128}, nil)
	mustAdd(t, table, ban(in64a+"/128", time.Now().Add(time.Hour), "a"))
	expect(t, server, client, "IPv6Prefix 128", map[string]bool{in64a: true, in64b: false})
}

func TestLoopbackPasses(t *testing.T) {
	server, _ := lab(t)
	// The server's own address, as a careless list may have it.
	started(t, server, Options{}, []Ban{ban("10.77.0.0/16", time.Now().Add(time.Hour), "a")})
	c, err := server.Dial(&net.Dialer{Timeout: 10 * time.Second}, "tcp4", "10.77.0.1:7000")
	if err != nil {
		t.Fatalf("the server cannot reach itself: %v", err)
	}
	c.Close()
}

// TestTCP bans a client with an open connection: nothing more gets through, and
// no new connection opens; when the ban ends the old connection goes on.
func TestTCP(t *testing.T) {
	server, client := lab(t)
	table := started(t, server, Options{Owner: true}, nil)
	c, err := client.Dial(&net.Dialer{Timeout: 10 * time.Second}, "tcp4", "10.77.0.1:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 1)
	say := func(within time.Duration) error {
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(within))
		_, err := c.Read(b)
		return err
	}
	if err := say(10 * time.Second); err != nil {
		t.Fatalf("before the ban: %v", err)
	}
	end := time.Now().Add(3 * time.Second)
	mustAdd(t, table, ban(base+"/32", end, "a"))
	if err := say(time.Second); !isTimeout(err) {
		t.Errorf("established connection after the ban: %v, want a time-out", err)
	}
	_, err = client.Dial(&net.Dialer{Timeout: 500 * time.Millisecond}, "tcp4", "10.77.0.1:7000")
	if time.Now().After(end) {
		t.Log("too slow a machine to try a new connection within the ban")
	} else if !isTimeout(err) {
		t.Errorf("new connection after the ban: %v, want a time-out", err)
	}
	c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := c.Read(b); err != nil {
		t.Errorf("after the end of the ban: %v", err)
	}
	if early := time.Until(end); early > 50*time.Millisecond {
		t.Errorf("the ban ended %v early", early)
	}
	mustAdd(t, table, ban(base+"/32", time.Now().Add(time.Hour), "a"))
	if err := table.Remove(netip.MustParsePrefix(base + "/32")); err != nil {
		t.Fatal(err)
	}
	if c, err = client.Dial(&net.Dialer{Timeout: 10 * time.Second}, "tcp4", "10.77.0.1:7000"); err != nil {
		t.Fatalf("new connection after Remove: %v", err)
	}
	c.Close()
}

// TestOverlapsEndAlone has three bans over each other: each end frees those whom
// no longer ban covers, and not before.
func TestOverlapsEndAlone(t *testing.T) {
	server, client := lab(t)
	table := started(t, server, Options{Owner: true}, nil)
	now := time.Now()
	ends := map[string]time.Time{
		"10.77.0.0/16": now.Add(1500 * time.Millisecond),
		"10.77.3.0/24": now.Add(3 * time.Second),
		in24a + "/32":  now.Add(4500 * time.Millisecond),
	}
	for p, end := range ends {
		mustAdd(t, table, ban(p, end, "a"))
	}
	for _, step := range []struct{ ends, frees string }{
		{"10.77.0.0/16", other}, {"10.77.3.0/24", in24b}, {in24a + "/32", in24a},
	} {
		if !answers(t, server, client, step.frees, 30*time.Second) {
			t.Fatalf("%s is not free after %s ended", step.frees, step.ends)
		}
		if early := time.Until(ends[step.ends]); early > 50*time.Millisecond {
			t.Errorf("%s is free %v before %s ends", step.frees, early, step.ends)
		}
	}
}
