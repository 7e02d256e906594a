package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// within waits until ok holds, generously, since the machine may be busy.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
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

// up opens a client and waits until it can be used.
func up(t *testing.T, n int, config Config) *Client {
	t.Helper()
	c, _ := open(t, n, config)
	within(t, "redis is up", c.Up)
	return c
}

func TestClientStandalone(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	within(t, "a number", func() bool { return c.Number() == 0 })
	within(t, "the table of nodes", func() bool { return len(c.Nodes()) == 1 })
	t.Log(c.Nodes(), c.Health())
}
