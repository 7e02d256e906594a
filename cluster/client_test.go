package cluster

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// within waits until ok holds, generously, since the machine may be busy.
func within(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(45 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

// nodeID makes an id of a node.
func nodeID(n int) string { return strings.Repeat("0", 15) + string("0123456789abcdef"[n]) }

// open opens a client that logs into the observer and is closed with the test.
func open(t testing.TB, n int, config Config) (*Client, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	c, err := Open(Options{Config: config, Node: nodeID(n), Name: "node " + nodeID(n)[15:], Version: "test", Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, logs
}

// at is the configuration for a standalone server.
func at(addr string) Config { return Config{Addresses: []string{addr}} }

// patient is at for tests that compare every overflow: a server that a busy machine
// holds up for half a second is not lost, which would make the node count alone.
func patient(addr string) Config {
	c := at(addr)
	c.patience = time.Minute
	return c
}

// up opens a client and waits until it can be used.
func up(t testing.TB, n int, config Config) *Client {
	t.Helper()
	c, _ := open(t, n, config)
	within(t, "redis is up", c.Up)
	return c
}

func TestClientStandalone(t *testing.T) {
	for _, o := range []redistest.Options{{}, {TLS: true}, {Password: "open-sesame"}, {TLS: true, Password: "open-sesame"}} {
		s := redistest.Start(t, o)
		c, logs := open(t, 1, Config{Addresses: []string{s.Addr()}, TLS: s.Trust(), Password: o.Password, DB: 2, Prefix: "x:"})
		within(t, "redis is up", c.Up)
		within(t, "a number", func() bool { return c.Number() == 0 })
		within(t, "the table of nodes", func() bool { return len(c.Nodes()) == 1 })
		within(t, "facts of the server", func() bool { return c.Health().Server != "" })
		h := c.Health()
		if h.State != StateUp || h.Kind != "standalone" || h.Role != "master" || h.Policy != "noeviction" || h.Reason != "" || h.Warning != "" {
			t.Errorf("%+v", h)
		}
		checkLog(t, logs, "redis is in use")
	}
}

// TestHook: what a test hooks in sees every call.
func TestHook(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	var calls counter
	c, err := Open(Options{Config: at(s.Addr()), Node: nodeID(1), Logger: zap.NewNop(), Hook: &calls})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	within(t, "redis is up", c.Up)
	if calls.pipelines.Load() == 0 {
		t.Error("the probe was not seen")
	}
	within(t, "heartbeats are seen", func() bool { return calls.calls.Load() > 0 })
}

// counter counts calls.
type counter struct{ calls, pipelines atomic.Int64 }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.calls.Add(1)
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.pipelines.Add(1)
		return next(ctx, cmds)
	}
}
