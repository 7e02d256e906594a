package appliance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
)

// TestEverythingAtOnce is for the race detector and for deadlocks: requests of
// every kind, changing settings, swaps by the watcher, the API, metrics, and at
// last Close.
func TestEverythingAtOnce(t *testing.T) {
	f := folder{t, t.TempDir()}
	own := f.write("own.yaml", ownScenario)
	base := Config{DataDir: f.dir, Scenarios: []string{own}, Firewall: FirewallConfig{Mode: FirewallDryRun, Hits: 3},
		Limits:  LimitConfig{Queue: 64, Buckets: 2000},
		Trusted: func(a netip.Addr) bool { return a == netip.MustParseAddr("198.51.100.1") },
		Proxies: func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("198.51.100.8/30")} }}
	a := New(Options{Node: "test"})
	first := use(t, a, compiled(t, base))
	var stop atomic.Bool
	var all sync.WaitGroup
	again := func(what func(r *rand.Rand, i int)) {
		seed := rand.Uint64()
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			for i := 0; !stop.Load(); i++ {
				what(r, i)
			}
		})
	}
	for range 3 {
		again(func(r *rand.Rand, i int) { oneRequest(a, r, i) })
	}
	again(func(r *rand.Rand, i int) { someSettings(t, a, base, r, i) })
	again(func(r *rand.Rand, i int) {
		if l := a.live.Load(); l != nil {
			l.state.watch.swap(l.settings)
		}
	})
	again(func(r *rand.Rand, i int) { someAdmin(t, a, r) })
	again(func(_ *rand.Rand, i int) {
		gather(t, a)
		a.Refuses(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
		a.Contact()
	})
	time.Sleep(time.Second) // the length of the storm; nothing is waited for
	if err := a.Close(context.Background()); err != nil {
		t.Error(err)
	}
	// The storm goes on after Close, when some Use may have opened the node again.
	stop.Store(true)
	all.Wait()
	first()
	if err := a.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if n := a.counters.panics.Load(); n != 0 {
		t.Errorf("%d events panicked", n)
	}
	next := New(Options{})
	defer use(t, next, compiled(t, base))()
	if st := next.live.Load().status(); !st.LastStop.Clean || st.LastStop.Note != "" {
		t.Errorf("what it left: %+v", st.LastStop)
	}
	if err := next.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// oneRequest is of a client that probes, passes, is banned or comes by proxy.
func oneRequest(a *Appliance, r *rand.Rand, i int) {
	in := from(fmt.Sprintf("192.0.2.%d", r.IntN(64)))
	if r.IntN(4) == 0 {
		in = from(fmt.Sprintf("2001:db8::%x:%x", r.IntN(8), i))
	}
	in.Detect = r.IntN(5) == 0
	if r.IntN(5) == 0 {
		in.Peer, in.Trusted = netip.AddrFrom4([4]byte{198, 51, 100, byte(r.IntN(200))}), true
	}
	req := request([]string{"/", "/x", "/.env", "/.git/config", "/backup.sql", "/.rampart/challenge", "/wp-login.php"}[r.IntN(7)])
	v := a.Begin(req, in)
	if v.Action == Respond {
		v.Respond(httptest.NewRecorder(), req)
	}
	v.End([]int{200, 404, 401, 500}[r.IntN(4)], 10, http.Header{})
	v.End(200, 10, nil)
}

func someSettings(t *testing.T, a *Appliance, base Config, r *rand.Rand, i int) {
	c := base
	c.Contact = fmt.Sprint(i)
	switch r.IntN(4) {
	case 0:
		c.Collections = []string{"none"}
	case 1:
		c.Captcha.Digits = 4 + r.IntN(4)
	case 2:
		c.Firewall.Mode = FirewallOff
	case 3:
		c.Allow = []string{"192.0.2.1"}
	}
	s, err := Compile(c, zap.NewNop())
	if err != nil {
		t.Error(err)
		return
	}
	release, err := a.Use(s)
	if err != nil {
		t.Error(err)
		return
	}
	if r.IntN(8) == 0 {
		defer release()
	}
	release()
}

func someAdmin(t *testing.T, a *Appliance, r *rand.Rand) {
	addr := fmt.Sprintf("192.0.2.%d", r.IntN(64))
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/rampart/status", ""},
		{"POST", "/rampart/decisions", `{"value":"` + addr + `","duration":"1m"}`},
		{"GET", "/rampart/why/" + addr, ""},
		{"GET", "/rampart/decisions", ""},
		{"GET", "/rampart/alerts?limit=5", ""},
		{"POST", "/rampart/unban", `{"value":"` + addr + `"}`},
		{"POST", "/rampart/allowlist", `{"value":"` + addr + `"}`},
		{"GET", "/rampart/allowlist", ""},
		{"DELETE", "/rampart/allowlist?value=" + addr, ""},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		// Other callers may have closed the node, or removed the entry.
		if status, data := call(t, a, c.method, c.path, body); status != 200 && status != 503 && status != 404 && status != 500 {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, data)
		}
	}
}
