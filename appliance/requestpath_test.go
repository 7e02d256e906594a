package appliance

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// listener hears every call to Redis and every connection made, and looks whether a
// request waits for it.
type listener struct {
	calls  atomic.Int64
	mu     sync.Mutex
	caught []string // stacks
}

// waits reports whether a request is on a stack.
func waits(stack string) bool {
	for _, f := range []string{"appliance.(*Appliance).Begin", "appliance.(*Visit).Begin", "appliance.(*Visit).End",
		"appliance.(*Visit).Respond", "appliance.(*Appliance).Refuses", "ServeHTTP"} {
		if strings.Contains(stack, f+"(") {
			return true
		}
	}
	return false
}

func (l *listener) hear(what string) {
	l.calls.Add(1)
	if stack := string(debug.Stack()); waits(stack) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.caught = append(l.caught, what+"\n"+stack)
	}
}

func (l *listener) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		l.hear("dial")
		return next(ctx, network, addr)
	}
}

func (l *listener) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		l.hear(cmd.Name())
		return next(ctx, cmd)
	}
}

func (l *listener) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		l.hear("pipeline")
		return next(ctx, cmds)
	}
}

// TestRequestsAskNoStore: whatever a request meets, with Redis there, slow, gone and
// back, no call to Redis is made while it waits.
func TestRequestsAskNoStore(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	l := &listener{}
	var inline atomic.Int64 // decisions made while a request waited
	// Without the built-in rules, for which so many wrong answers are a ban.
	c := member("a", r.Addr(), Config{DataDir: t.TempDir(), Collections: []string{"none"}, Scenarios: []string{ownFile(t)},
		Captcha: CaptchaConfig{MinSolve: Duration(time.Millisecond)},
		Trusted: func(netip.Addr) bool {
			if waits(string(debug.Stack())) {
				inline.Add(1)
			}
			return false
		}})
	a := New(Options{Node: "test"})
	a.tune = func(o *cluster.Options) { o.Hook = l }
	use(t, a, compiled(t, c))
	t.Cleanup(func() {
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ready(t, a)
	ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: "203.0.113.7", Type: "captcha"})
	n := 0
	traffic := func() {
		for range 6 {
			n++
			client := fmt.Sprintf("198.51.100.%d", n%250)
			for i := range 7 {
				visit(a, from(client), "/x", 200)
				visit(a, from(client), fmt.Sprintf("/missing/%d/%d", n, i), 404)
				a.Refuses(netip.MustParseAddr(client))
			}
			serve(t, a, browse("/", nil))
			serve(t, a, browse("/.rampart/verify", map[string][]string{"t": {"x"}, "a": {"123456"}}))
		}
	}
	traffic()
	banned(t, "198.51.100.1", a)
	before := l.calls.Load()
	traffic()
	r.Pause()
	traffic()
	until(t, "Redis is found to be slow", func() bool { return !fleetOf(a).client.Up() })
	traffic()
	r.Resume()
	ready(t, a)
	r.Kill()
	traffic()
	until(t, "Redis is found to be gone", func() bool { return !fleetOf(a).client.Up() })
	traffic()
	r.Restart(true)
	ready(t, a)
	traffic()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.caught) > 0 {
		t.Errorf("%d calls to Redis while a request waited; the first: %s", len(l.caught), l.caught[0])
	}
	// The test would notice: calls are heard, and requests are seen on a stack.
	if l.calls.Load() <= before || inline.Load() == 0 {
		t.Errorf("%d calls heard, %d requests seen", l.calls.Load()-before, inline.Load())
	}
}
