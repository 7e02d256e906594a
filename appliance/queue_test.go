package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/logsources"
	"github.com/rampart-edge/rampart/scenarios"
	"github.com/rampart-edge/rampart/store"
)

// stall keeps the disk from answering until the function that it returns is called.
func stall(t *testing.T, st *state) (resume func()) {
	t.Helper()
	entered, answer, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- st.db.Update(func(*store.Tx) error { close(entered); <-answer; return nil })
	}()
	<-entered
	resume = sync.OnceFunc(func() {
		close(answer)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(resume)
	return resume
}

// TestRequestsWaitForNoDisk: neither a request that overflows a bucket, nor one
// from a trusted proxy that nobody knew, nor one of a banned client.
func TestRequestsWaitForNoDisk(t *testing.T) {
	a := open(t, Config{})
	st := a.live.Load().state
	resume := stall(t, st)
	for i := 0; st.book.Ready(); i++ {
		d := decisions.Decision{Value: fmt.Sprintf("10.0.%d.%d", i>>8, i&255), Type: "ban", Until: time.Now().Add(time.Hour)}
		if err := st.book.Append(nil, []decisions.Decision{d}); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range []string{"/.env", "/.git/config", "/backup.sql", "/id_rsa"} { // the last one overflows
		if v := visit(a, from("192.0.2.7"), p, 404); v.Action != Pass {
			t.Fatalf("request %d: %s", i, v.Action)
		}
	}
	in := from("192.0.2.9")
	in.Peer, in.Trusted = netip.MustParseAddr("198.51.100.1"), true
	if v := visit(a, in, "/", 200); v.Action != Pass {
		t.Errorf("through a proxy: %s", v.Action)
	}
	if v := visit(a, from("10.0.0.1"), "/", 200); v.Action != Refuse {
		t.Errorf("a banned client: %s", v.Action)
	}
	resume()
	until(t, "a worker concludes", func() bool { return a.Decide(netip.MustParseAddr("192.0.2.7")).Action == decisions.Captcha })
	until(t, "the proxy is allowed", func() bool { return st.allow.Contains(netip.MustParseAddr("198.51.100.1")) })
}

// TestProxyOnItsWay: nothing is decided against a proxy while it is not on the
// allowlist yet, nor against the network around it.
func TestProxyOnItsWay(t *testing.T) {
	a := open(t, Config{Trusted: func(x netip.Addr) bool { return x == netip.MustParseAddr("2001:db8::2") }})
	st := a.live.Load().state
	st.proxies.urgent.Lock()
	st.proxies.waiting[netip.MustParseAddr("192.0.2.1")] = struct{}{} // as if learning took long
	st.proxies.urgent.Unlock()
	for _, addr := range []string{"192.0.2.1", "2001:db8::2", "192.0.2.3"} {
		al := &event.Alert{Scenario: "s", Width64: true, Source: &event.Source{Scope: "Ip", Value: addr, IP: addr}}
		ds := []decisions.Decision{{Value: addr, Type: "ban", Until: time.Now().Add(time.Hour)}}
		if err := (*journal)(st).Append(al, ds); err != nil || al.ID == 0 {
			t.Fatalf("%s: alert %d, %v", addr, al.ID, err)
		}
	}
	for addr, want := range map[string]decisions.Action{"192.0.2.1": decisions.None, "2001:db8::2": decisions.None,
		"2001:db8::3": decisions.None, "192.0.2.3": decisions.Ban} {
		if got := a.Decide(netip.MustParseAddr(addr)).Action; got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	until(t, "they are allowed", func() bool {
		st.proxies.meet(netip.MustParseAddr("192.0.2.1"))
		return a.Decide(netip.MustParseAddr("2001:db8::2")).Allowed && a.Decide(netip.MustParseAddr("192.0.2.1")).Allowed
	})
	for i := range 2 * maxProxies {
		st.proxies.meet(netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)}))
	}
	st.proxies.learn()
	if n := len(st.proxies.met); n > maxProxies {
		t.Errorf("%d proxies are remembered", n)
	}
}

// held is an appliance whose workers wait in the journal of the test.
func held(t *testing.T, c LimitConfig) (a *Appliance, release func()) {
	t.Helper()
	a = New(Options{})
	use(t, a, compiled(t, Config{DataDir: t.TempDir(), Limits: c}))
	st := a.live.Load().state
	gate := make(chan struct{})
	busy := make(chan struct{}, c.Workers)
	l := *a.live.Load()
	o := l.engine.Options
	o.Buckets = pourFunc(func([]scenarios.Drop) { busy <- struct{}{}; <-gate })
	e := engine.New(o)
	l.engine = e
	for range c.Workers {
		ev := e.Event()
		requestFields(ev, request("/x"), "192.0.2.7", true)
		responseFields(ev, 404, nil)
		ev.From = event.Provenance{Inline: true, At: time.Now()}
		st.queue.offer(finished{live: &l, event: ev, whole: true})
		<-busy
	}
	return a, sync.OnceFunc(func() { close(gate) })
}

type pourFunc func([]scenarios.Drop)

func (f pourFunc) Pour(batch []scenarios.Drop) { f(batch) }

// TestFullQueue: what finds no room is counted, and costs nobody a wait. What no
// scenario is interested in needs no room.
func TestFullQueue(t *testing.T) {
	a, release := held(t, LimitConfig{Queue: 8, Workers: 2})
	for i := range 20 {
		visit(a, from("192.0.2.7"), fmt.Sprintf("/%d", i), 404)
		visit(a, from("192.0.2.8"), "/", 200)
	}
	if got := a.counters.dropped.Load(); got != 12 {
		t.Errorf("%d dropped, want 12", got)
	}
	if p := a.live.Load().status().Problems; len(p) != 1 || !strings.Contains(p[0], "queue was full") {
		t.Errorf("problems %q", p)
	}
	release()
	if err := a.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if got := a.counters.engine.Requests.Load(); got != 30 {
		t.Errorf("%d examined, want 2, the 8 that had found room and the 20 that needed none", got)
	}
}

// TestConclusionsHaveALaneOfTheirOwn: neither a full queue nor workers that wait keep
// an overflow from being concluded.
func TestConclusionsHaveALaneOfTheirOwn(t *testing.T) {
	a, release := held(t, LimitConfig{Queue: 8, Workers: 2})
	for i := range 20 {
		visit(a, from("192.0.2.7"), fmt.Sprintf("/%d", i), 404)
	}
	l := a.live.Load()
	l.state.queue.offer(finished{live: l, over: []*scenarios.Overflow{{Scenario: l.settings.rules.All()[0]}}})
	until(t, "it is concluded", func() bool { return a.counters.engine.Overflows.Load() == 1 })
	if got := a.counters.dropped.Load(); got != 12 {
		t.Errorf("%d dropped, want the 12 requests without room", got)
	}
	release()
	if err := a.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestCloseInTime: when time runs out what is queued is dropped, and all of it is
// counted.
func TestCloseInTime(t *testing.T) {
	a, release := held(t, LimitConfig{Queue: 100, Workers: 1})
	for i := range 50 {
		visit(a, from("192.0.2.7"), fmt.Sprintf("/%d", i), 404)
	}
	q := a.live.Load().state.queue
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done := make(chan error)
	go func() { done <- a.Close(ctx) }()
	until(t, "time has run out", q.late.Load)
	release()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("closing: %v", err)
	}
	if seen, lost := a.counters.engine.Requests.Load(), a.counters.dropped.Load(); seen != 1 || lost != 50 {
		t.Errorf("%d examined and %d dropped, want 1 and 50", seen, lost)
	}
}

// TestNothingIsLostSilently: whatever is offered while the queue drains is either
// examined or counted as dropped.
func TestNothingIsLostSilently(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	if err := os.WriteFile(missing, []byte("type: leaky\nname: test/missing\ndescription: d\nfilter: evt.Meta.http_status == '404'\n"+
		"groupby: evt.Meta.source_ip\ncapacity: 1000\nleakspeed: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		a := New(Options{})
		use(t, a, compiled(t, Config{DataDir: t.TempDir(), Collections: []string{"none"}, Scenarios: []string{missing}}))
		const clients, each = 4, 100
		var all sync.WaitGroup
		for c := range clients {
			all.Go(func() {
				for range each {
					v := a.Begin(request("/x"), from(fmt.Sprintf("192.0.2.%d", c)))
					v.End(404, 0, http.Header{})
					if v.live == nil { // closed: it was not examined and not promised to be
						a.counters.dropped.Add(1)
					}
				}
			})
		}
		if err := a.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		if seen, lost := a.counters.engine.Requests.Load(), a.counters.dropped.Load(); seen+lost != clients*each {
			t.Fatalf("%d examined and %d dropped of %d", seen, lost, clients*each)
		}
	}
}

// TestRequestsSurviveFaults: a panic while a request is examined, or when it is
// done, costs the event and not the request.
func TestRequestsSurviveFaults(t *testing.T) {
	f := folder{t, t.TempDir()}
	a := open(t, Config{Collections: []string{none}, Scenarios: []string{f.write("own.yaml", ownScenario)}})
	sound := a.live.Load()
	broken := *sound
	o := sound.engine.Options
	o.Rules = nil
	broken.engine = engine.New(o)
	a.live.Store(&broken)
	if v := visit(a, from("192.0.2.7"), "/x", 200); v.Action != Pass || a.counters.panics.Load() != 1 {
		t.Errorf("%s, %d panics", v.Action, a.counters.panics.Load())
	}
	a.live.Store(sound)
	v := a.Begin(request("/x"), from("192.0.2.7"))
	v.live = &broken
	v.End(200, 0, http.Header{})
	if n := a.counters.panics.Load(); n != 2 {
		t.Errorf("%d panics", n)
	}
	if v := overflows(a, "192.0.2.7"); v.Action != Refuse {
		t.Errorf("afterwards the one who overflows meets %s", v.Action)
	}
}

// TestFaultsAreSurvived: a panic costs one event and is told of.
func TestFaultsAreSurvived(t *testing.T) {
	a := open(t, Config{})
	l := *a.live.Load()
	o := l.engine.Options
	o.Buckets = pourFunc(func([]scenarios.Drop) { panic("a fault") })
	e := engine.New(o)
	l.engine = e
	for range 5 {
		ev := e.Event()
		requestFields(ev, request("/x"), "192.0.2.7", true)
		responseFields(ev, 404, nil)
		l.state.queue.offer(finished{live: &l, event: ev, whole: true})
	}
	until(t, "all have failed", func() bool { return a.counters.panics.Load() == 5 })
	o.Rules = nil
	l.engine = engine.New(o)
	(&Visit{live: &l, event: l.engine.Event()}).End(200, 0, nil) // before a worker would see it
	if n := a.counters.panics.Load(); n != 6 {
		t.Errorf("%d faults, want 6", n)
	}
	scan(t, a, "192.0.2.8")
	if p := a.live.Load().status().Problems; len(p) != 1 || !strings.Contains(p[0], "fault of Rampart") {
		t.Errorf("problems %q", p)
	}
}

// TestLinesAreNotTaken: a batch for which there is no room is the source's again.
func TestLinesAreNotTaken(t *testing.T) {
	q := &queue{lines: make(chan []event.Line, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	if err := q.Accept(ctx, nil); err != nil {
		t.Error(err)
	}
	cancel()
	if err := q.Accept(ctx, nil); !errors.Is(err, logsources.ErrRefused) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
