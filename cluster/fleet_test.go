package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// TestNumbers: many nodes, each with a number of its own, through losses of Redis.
func TestNumbers(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	var nodes []*Client
	for n := range 5 {
		nodes = append(nodes, up(t, n, at(s.Addr())))
	}
	distinct := func() bool {
		seen := map[int]bool{}
		for _, c := range nodes {
			n := c.Number()
			if n < 0 || n > 255 || seen[n] {
				return false
			}
			seen[n] = true
		}
		return true
	}
	within(t, "each has a number", distinct)
	before := nodes[3].Number()

	s.Kill()
	within(t, "all notice", func() bool { return !nodes[0].Up() && !nodes[4].Up() })
	s.Restart(true)
	within(t, "each has a number again", func() bool {
		v, err := s.Try("HLEN", "rampart:{j}:numbers")
		return err == nil && v == int64(5) && distinct()
	})
	if got := nodes[3].Number(); got != before {
		t.Errorf("the number has changed from %d to %d though nobody else wanted it", before, got)
	}

	// A node that was cut off until another has its number gets another.
	s.Do("HSET", "rampart:{j}:numbers", strconv.Itoa(before), "99999999999999999 "+nodeID(9)+".someone")
	within(t, "another number", func() bool { n := nodes[3].Number(); return n >= 0 && n != before && distinct() })

	// Once closed its number is free.
	gone := nodes[4].Number()
	if err := nodes[4].Close(); err != nil {
		t.Fatal(err)
	}
	if v := s.Do("HEXISTS", "rampart:{j}:numbers", strconv.Itoa(gone)); v != int64(0) {
		t.Error("a closed node keeps its number")
	}
	if v := s.Do("HEXISTS", "rampart:{j}:nodes", nodeID(4)); v != int64(0) {
		t.Error("a closed node is still in the table")
	}
}

// TestNumberEnds: a node that Redis has not heard of stops to use its number before
// Redis gives it away.
func TestNumberEnds(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	p := redistest.NewProxy(t, s.Addr())
	c := up(t, 1, at(p.Addr()))
	within(t, "a number", func() bool { return c.Number() >= 0 })
	n := strconv.Itoa(c.Number())
	p.Stall()
	within(t, "the number is given up", func() bool { return c.Number() < 0 })
	entry := fmt.Sprint(s.Do("HGET", "rampart:{j}:numbers", n))
	expiry, _, _ := strings.Cut(entry, " ")
	micros, err := strconv.ParseInt(expiry, 10, 64)
	if left := time.Until(time.UnixMicro(micros)); err != nil || left < 0 {
		t.Errorf("given up %v after Redis could give it away (%q, %v)", -left, entry, err)
	}
	p.Heal()
	within(t, "a number again", func() bool { return c.Number() >= 0 })
}

// TestLease: one holds it at a time, through deaths, pauses and closings.
func TestLease(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	var proxies []*redistest.Proxy
	var nodes []*Client
	var held []*Lease
	for n := range 3 {
		p := redistest.NewProxy(t, s.Addr())
		c := up(t, n, at(p.Addr()))
		proxies, nodes, held = append(proxies, p), append(nodes, c), append(held, c.Lease("sync"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() {
		for ctx.Err() == nil {
			first := -1
			for i, l := range held {
				if !l.Held() {
					continue
				}
				if first >= 0 && held[first].Held() && l.Held() {
					t.Errorf("nodes %d and %d hold it at once", first, i)
					return
				}
				first = i
			}
			time.Sleep(time.Millisecond)
		}
	})
	defer watch.Wait()
	defer cancel()
	one := func() (at int) {
		within(t, "one holds it", func() bool {
			for i, l := range held {
				if l.Held() {
					at = i
					return true
				}
			}
			return false
		})
		return at
	}
	first := one()
	if nodes[first].Lease("sync") != held[first] {
		t.Error("a lease has two faces")
	}
	time.Sleep(leaseFor + time.Second)
	if now := one(); now != first {
		t.Errorf("it went from %d to %d without need", first, now)
	}

	// Cut off: another has it.
	proxies[first].Stall()
	within(t, "another holds it", func() bool { return one() != first })
	proxies[first].Heal()
	within(t, "the first is back", nodes[first].Up)
	second := one()

	// Closed: another has it at once.
	if err := nodes[second].Close(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	third := one()
	if third == second {
		t.Error("a closed node holds it")
	}
	t.Logf("taken %v after it was released", time.Since(begin))

	// Redis paused: nobody may believe in it for long.
	s.Pause()
	within(t, "nobody holds it", func() bool { return !held[0].Held() && !held[1].Held() && !held[2].Held() })
	s.Resume()
	one()
}

// TestLeaseWhile: a node that does not want a lease keeps nobody from it, and gives it
// back when it does not want it any more.
func TestLeaseWhile(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	a, b := up(t, 1, at(s.Addr())), up(t, 2, at(s.Addr()))
	var wants [2]atomic.Bool
	first, second := a.LeaseWhile("sync", wants[0].Load), b.LeaseWhile("sync", wants[1].Load)
	wants[1].Store(true)
	within(t, "the one that wants it holds it", second.Held)
	wants[0].Store(true)
	wants[1].Store(false)
	within(t, "it went over", func() bool { return first.Held() && !second.Held() })
	wants[0].Store(false)
	within(t, "nobody holds it", func() bool { return s.Do("EXISTS", first.key()) == int64(0) })
	if first.Held() || second.Held() {
		t.Error("a lease is held that Redis has not given")
	}
}

// TestNodes: the table tells of each node what it said, and the house is kept clean.
func TestNodes(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	old := strconv.FormatInt(time.Now().Add(-2*time.Hour).UnixMicro(), 10)
	silent := strconv.FormatInt(time.Now().Add(-10*time.Minute).UnixMicro(), 10)
	s.Do("HSET", "rampart:{j}:nodes", nodeID(8), silent+" 8 x {\"name\":\"sil\\u0007ent\",\"lag\":-3}",
		nodeID(9), old+" 9 x {}", "nonsense", "also nonsense", nodeID(10), silent+" 999 x {}", nodeID(11), silent+" 1 x {")
	a, b := up(t, 1, at(s.Addr())), up(t, 2, at(s.Addr()))
	a.describe(func() (string, int64) { return "17-0", 3 })
	find := func(c *Client, id string) *Node {
		for _, n := range c.Nodes() {
			if n.ID == id {
				return &n
			}
		}
		return nil
	}
	within(t, "b sees a", func() bool {
		n := find(b, nodeID(1))
		return n != nil && n.Cursor == "17-0" && n.Lag == 3 && n.Number == a.Number() && !n.Degraded && n.Name == "node 1" && n.Version == "test"
	})
	n := find(b, nodeID(8))
	if n == nil || !n.Degraded || n.Name != "silent" || n.Lag != 0 || n.Number != 8 {
		t.Errorf("a silent node is %+v", n)
	}
	within(t, "the house is clean", func() bool { return s.Do("HLEN", "rampart:{j}:nodes") == int64(3) })
}

// TestTwins: two processes that use one id have numbers of their own, and are told.
func TestTwins(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	a, logs := open(t, 1, at(s.Addr()))
	b := up(t, 1, at(s.Addr()))
	within(t, "two numbers", func() bool { return a.Number() >= 0 && b.Number() >= 0 })
	if a.Number() == b.Number() {
		t.Error("twins share a number")
	}
	within(t, "it is told", func() bool { return logs.FilterMessageSnippet("another process uses the id").Len() == 1 })
}

func TestSecret(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	a, b := up(t, 1, at(s.Addr())), up(t, 2, at(s.Addr()))
	one, two := []byte("0123456789abcdef\x00\xff-one"), []byte("0123456789abcdef\x00\xff-two")
	for range 2 {
		got, err := a.Secret(t.Context(), "jwt", one)
		if err != nil || string(got) != string(one) {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if got, err := b.Secret(t.Context(), "jwt", two); err != nil || string(got) != string(one) {
		t.Errorf("the second to come got %q, %v", got, err)
	}
	if got, err := b.Secret(t.Context(), "other", two); err != nil || string(got) != string(two) {
		t.Errorf("another secret is %q, %v", got, err)
	}
	if _, err := a.Secret(t.Context(), "short", []byte("tooshort")); err == nil {
		t.Error("a short secret is shared")
	}
	s.Do("SET", "rampart:{j}:secret:odd", "hush")
	_, err := a.Secret(t.Context(), "odd", one)
	if err == nil || !strings.Contains(err.Error(), "4 bytes") || strings.Contains(err.Error(), "hush") {
		t.Errorf("a secret of the wrong length: %v", err)
	}
	s.Kill()
	if _, err := a.Secret(t.Context(), "jwt", one); err == nil || strings.Contains(err.Error(), "0123") {
		t.Errorf("without Redis: %v", err)
	}
}

// FuzzNode: whatever stands in the table, what is shown of it is short and clean.
func FuzzNode(f *testing.F) {
	text, _ := json.Marshal(nodeText{Name: "n", Cursor: "1-1", Version: "v"})
	f.Add(nodeID(1), "1700000000000000 3 abc "+string(text))
	f.Add("", "")
	f.Fuzz(func(t *testing.T, id, line string) {
		n, err := parseNode(id, line, time.Now())
		if err != nil {
			return
		}
		for _, s := range []string{n.Name, n.Cursor, n.Version} {
			if len(s) > maxNodeField || strings.ContainsAny(s, "\x00\n\r\x1b") {
				t.Errorf("%q is shown", s)
			}
		}
		if n.Number < -1 || n.Number > 255 || n.Lag < 0 || !validNode(n.ID) {
			t.Errorf("%+v", n)
		}
	})
}
