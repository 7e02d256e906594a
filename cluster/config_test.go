package cluster

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"go.uber.org/zap"
)

func TestConfig(t *testing.T) {
	good := Options{Config: at("127.0.0.1:1234"), Node: nodeID(1), Logger: zap.NewNop()}
	change := func(f func(*Options)) Options {
		o := good
		f(&o)
		return o
	}
	tests := []struct {
		name string
		o    Options
		want string // part of the error; empty: none
	}{
		{"good", good, ""},
		{"socket", change(func(o *Options) { o.Addresses = []string{"/run/redis.sock"} }), ""},
		{"prefix", change(func(o *Options) { o.Prefix = "a-b.c/d:" }), ""},
		{"sentinels", change(func(o *Options) { o.Addresses, o.Sentinels, o.Master = nil, []string{"a:1", "b:1"}, "m" }), ""},
		{"cluster", change(func(o *Options) { o.Addresses, o.Cluster = nil, []string{"a:1", "[::1]:1"} }), ""},
		{"no logger", change(func(o *Options) { o.Logger = nil }), "logger"},
		{"node", change(func(o *Options) { o.Node = "0123" }), "16 lower-case hex digits"},
		{"node in capitals", change(func(o *Options) { o.Node = strings.Repeat("A", 16) }), "16 lower-case hex digits"},
		{"name", change(func(o *Options) { o.Name = strings.Repeat("x", 129) }), "at most 128"},
		{"long prefix", change(func(o *Options) { o.Prefix = strings.Repeat("x", 65) }), "at most 64"},
		{"braces", change(func(o *Options) { o.Prefix = "a{b}:" }), "prefix"},
		{"pattern", change(func(o *Options) { o.Prefix = "a*:" }), "prefix"},
		{"space", change(func(o *Options) { o.Prefix = "a b" }), "prefix"},
		{"not ASCII", change(func(o *Options) { o.Prefix = "ä" }), "prefix"},
		{"nothing", change(func(o *Options) { o.Addresses = nil }), "one of address"},
		{"two kinds", change(func(o *Options) { o.Cluster = []string{"a:1"} }), "one of address"},
		{"two addresses", change(func(o *Options) { o.Addresses = []string{"a:1", "b:1"} }), "one address"},
		{"no port", change(func(o *Options) { o.Addresses = []string{"localhost"} }), "host:port"},
		{"no host", change(func(o *Options) { o.Addresses = []string{":6379"} }), "host:port"},
		{"no master", change(func(o *Options) { o.Addresses, o.Sentinels = nil, []string{"a:1"} }), "belong together"},
		{"master alone", change(func(o *Options) { o.Master = "m" }), "belong together"},
		{"database of a Cluster", change(func(o *Options) { o.Addresses, o.Cluster, o.DB = nil, []string{"a:1"}, 1 }), "no database"},
		{"database", change(func(o *Options) { o.DB = -1 }), "negative"},
		{"username alone", change(func(o *Options) { o.Username = "u" }), "needs a password"},
	}
	for _, tt := range tests {
		err := tt.o.check()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if good.Prefix != "" {
		t.Error("checking changed the options of the caller")
	}
}

func TestKey(t *testing.T) {
	c := &Client{o: Options{Config: Config{Prefix: "p:"}}}
	if got := c.key("1", "{s17}", "b", "\x00\xff"); got != "p:1:{s17}:b:\x00\xff" {
		t.Errorf("%q", got)
	}
}

// TestClientLeavesNothing: Close ends every goroutine, whether Redis is there or not,
// and does not take long.
func TestClientLeavesNothing(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	paused := redistest.Start(t, redistest.Options{})
	paused.Pause()
	configs := []Config{
		at(s.Addr()), at("127.0.0.1:1"), at(paused.Addr()),
		{Sentinels: []string{"127.0.0.1:1"}, Master: "m"}, {Cluster: []string{"127.0.0.1:1", paused.Addr()}},
	}
	before := runtime.NumGoroutine()
	for i, config := range configs {
		c, err := Open(Options{Config: config, Node: nodeID(i), Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		c.Lease("sync")
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		c.subscribe(ctx, c.key("{j}", "x"), func() error { return nil }, func(string) {})
		cancel()
		begin := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("Close took %v", took)
		}
		if c.Up() {
			t.Error("a closed client is up")
		}
		if err := c.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
	}
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}
