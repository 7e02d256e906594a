//go:build linux

package e2e

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// socketFor is a unix socket, which every network namespace reaches, that leads to
// a TCP address.
func socketFor(t *testing.T, dir, target string) string {
	t.Helper()
	path := filepath.Join(dir, "redis.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				to, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				defer to.Close()
				go func() {
					_, _ = io.Copy(to, c) // ends with either connection
					_ = to.Close()
				}()
				_, _ = io.Copy(c, to)
			}()
		}
	}()
	return path
}

// TestFleetKernels: two machines, each with its own wire. What the log of one tells
// of a client is dropped by the kernel of the other, and let in again with it.
func TestFleetKernels(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Options{})
	a, b := wire(t), wire(t)
	storage := "storage redis {\naddress unix/" + socketFor(t, a.dir, r.Addr()) + "\n}"
	for _, w := range []*wired{a, b} {
		w.up("mode nftables", "", storage)
	}
	for _, w := range []*wired{a, b} {
		until(t, "the nodes know each other", func() bool {
			s := w.storage()
			return s.Redis.State == cluster.StateUp && s.Journal.Joined && len(s.Nodes) == 2
		})
	}
	flow := b.stream(attacker)
	until(t, "all is open", func() bool { return a.reaches(attacker) && b.reaches(attacker) && flow.got.Load() > 0 })

	var here, there []time.Duration
	for i := range 5 {
		client := attacker
		if i > 0 {
			client = fmt.Sprintf("10.77.9.%d", i)
		}
		begun := time.Now()
		a.guess(client, 7)
		until(t, "A's kernel has the ban", func() bool { return strings.Contains(a.rules(), client) })
		here = append(here, time.Since(begun))
		until(t, "B's kernel has the ban", func() bool { return strings.Contains(b.rules(), client) })
		there = append(there, time.Since(begun))
	}
	t.Logf("after the log's lines: in the table of A %v, of B %v", here, there)
	flow.silent(t, "after the ban on the other machine", func() {
		if b.reaches(attacker) {
			t.Error("a new connection to B is answered")
		}
	})
	if !b.reaches(other) {
		t.Error("another client is dropped by B too")
	}
	if f := b.status().Firewall; f.Active != "nftables" || f.Dropped["crowdsec"].Packets == 0 {
		t.Errorf("B's firewall: %+v", f)
	}
	b.do("unban", attacker)
	until(t, "both let it in again", func() bool { return a.reaches(attacker) && b.reaches(attacker) })
}
