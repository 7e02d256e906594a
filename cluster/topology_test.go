package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// TestSentinel: nodes follow a fail-over, wanted or not, and keep their numbers.
func TestSentinel(t *testing.T) {
	s := redistest.StartSentinel(t)
	config := Config{Sentinels: s.Addrs(), Master: redistest.MasterName}
	c, logs := open(t, 1, config)
	within(t, "redis is up", c.Up)
	within(t, "a number", func() bool { return c.Number() >= 0 })
	lease := c.Lease("sync")
	within(t, "the lease", lease.Held)
	before := s.Primary()
	s.Failover()
	writes(t, c)
	if s.Primary() == before {
		t.Fatal("no fail-over")
	}
	if v := s.Primary().Do("GET", "rampart:written"); v == nil {
		t.Error("what is written does not reach the new primary")
	}
	within(t, "the lease", lease.Held)

	fell := logs.FilterMessageSnippet("out of use").Len()
	killed := s.KillPrimary()
	within(t, "the node notices", func() bool { return logs.FilterMessageSnippet("out of use").Len() == fell+1 })
	writes(t, c)
	within(t, "a number", func() bool { return c.Number() >= 0 })
	within(t, "the lease", lease.Held)
	killed.Restart(false)
	for _, e := range logs.All() {
		t.Log(e.Message, e.ContextMap())
	}
	if in, out := logs.FilterMessage("redis is in use").Len(), logs.FilterMessageSnippet("out of use:").Len(); in != out+1 {
		t.Errorf("%d times up, %d times down", in, out)
	}
	if h := c.Health(); h.Kind != "sentinel" || h.State != StateUp {
		t.Errorf("health %+v", h)
	}
}

// writes waits until the node is up and a write goes through.
func writes(t *testing.T, c *Client) {
	t.Helper()
	within(t, "a write", func() bool {
		return c.Up() && c.rdb().Set(t.Context(), c.key("written"), time.Now().String(), 0).Err() == nil
	})
}

// TestCluster: all works with keys spread over servers, and goes on while a slot moves.
func TestCluster(t *testing.T) {
	cl := redistest.StartCluster(t)
	config := Config{Cluster: cl.Addrs()}
	c, logs := open(t, 1, config)
	within(t, "redis is up", c.Up)
	if !c.clustered() || c.Health().Kind != "cluster" {
		t.Error("not a Cluster")
	}
	within(t, "a number", func() bool { return c.Number() == 0 })
	within(t, "the table", func() bool { return len(c.Nodes()) == 1 })
	own := []byte("0123456789abcdef")
	if got, err := c.Secret(t.Context(), "x", own); err != nil || string(got) != string(own) {
		t.Errorf("secret %q, %v", got, err)
	}
	lease := c.Lease("sync")
	within(t, "the lease", lease.Held)
	_, a := burns(t, 2, config)
	_, b := burns(t, 3, config)
	listening(t, a, b)

	add := c.script("add", addScript)
	var calls []call
	for i := range 64 {
		calls = append(calls, call{[]string{c.key("1", "{s"+strconv.Itoa(i)+"}", "n")}, []any{1}})
	}
	for i, r := range add.RunAll(t.Context(), calls) {
		if r.err != nil {
			t.Fatalf("call %d: %v", i, r.err)
		}
	}
	moveUnderLoad(t, cl, c, add)
	within(t, "the lease", lease.Held)
	checkLog(t, logs, "in use")
}

// moveUnderLoad counts in one slot while it moves to and fro: each call that was
// answered has counted once, none twice.
func moveUnderLoad(t *testing.T, cl *redistest.Cluster, c *Client, add *script) {
	t.Helper()
	key := c.key("1", "{s5}", "counter")
	slot := cl.Slot(key)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var done, failed atomic.Int64
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for ctx.Err() == nil {
				for _, r := range add.RunAll(context.Background(), []call{{[]string{key}, []any{1}}, {[]string{key}, []any{1}}}) {
					if r.err != nil {
						failed.Add(1)
						t.Log(r.err)
					} else {
						done.Add(1)
					}
				}
				if _, err := add.Run(context.Background(), []string{key}, 1); err != nil {
					failed.Add(1)
					t.Log(err)
				} else {
					done.Add(1)
				}
			}
		})
	}
	home := cl.Owner(slot)
	for i := range 4 {
		to := (home + 1 + i%2*2) % 3
		cl.BeginMove(slot, to)
		time.Sleep(50 * time.Millisecond)
		cl.EndMove(slot, to)
		time.Sleep(50 * time.Millisecond)
	}
	cancel()
	work.Wait()
	v, err := c.rdb().Get(t.Context(), key).Int64()
	if err != nil || v < done.Load() || v > done.Load()+failed.Load() {
		t.Errorf("%d counted, %d answered, %d failed, %v", v, done.Load(), failed.Load(), err)
	}
	if done.Load() == 0 {
		t.Error("nothing was counted")
	}
	t.Logf("%d calls, %d failed", done.Load(), failed.Load())
}

// TestClusterServerDown: a Redis Cluster that has lost a server is out of use.
func TestClusterServerDown(t *testing.T) {
	cl := redistest.StartCluster(t)
	c, logs := open(t, 1, Config{Cluster: cl.Addrs()})
	within(t, "redis is up", c.Up)
	for _, srv := range cl.Servers() {
		srv.Pause()
		within(t, "the node notices", func() bool { return !c.Up() })
		srv.Resume()
		cl.Wait()
		within(t, "redis is up", c.Up)
	}
	if n := logs.FilterMessageSnippet("out of use:").Len(); n != 3 {
		t.Errorf("told %d times", n)
	}
	for _, e := range logs.All() {
		t.Log(e.Message, e.ContextMap())
	}
}

// TestClusterSendsOnce: the library must not send a script again that may have run.
func TestClusterSendsOnce(t *testing.T) {
	cl := redistest.StartCluster(t)
	c, _ := open(t, 1, Config{Cluster: cl.Addrs()})
	within(t, "redis is up", c.Up)
	slow := c.script("slow", `redis.call('INCR', KEYS[1])
local stop = redis.call('TIME')[1] + 2
repeat until redis.call('TIME')[1] + 0 >= stop
return 1`)
	for i, run := range []func(key string) error{
		func(key string) error { _, err := slow.Run(context.Background(), []string{key}); return err },
		func(key string) error {
			return slow.RunAll(context.Background(), []call{{keys: []string{key}}})[0].err
		},
	} {
		key := fmt.Sprint("once", i)
		if err := run(key); err == nil || errors.Is(err, context.Canceled) {
			t.Fatalf("a call of two seconds gave %v", err)
		}
		var n int64
		within(t, "an answer", func() bool {
			v, err := c.rdb().Get(t.Context(), key).Int64()
			n = v
			return err == nil
		})
		time.Sleep(2500 * time.Millisecond)
		if n, _ = c.rdb().Get(t.Context(), key).Int64(); n != 1 {
			t.Errorf("it ran %d times", n)
		}
	}
}
