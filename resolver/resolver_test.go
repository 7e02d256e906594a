package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rampart-edge/rampart/resolver"
)

// zone is a DNS that counts what it is asked.
type zone struct {
	names map[string][]string // by address
	addrs map[string][]string // by name
	asked atomic.Int64
}

func (z *zone) reverse(_ context.Context, addr string) ([]string, error) {
	z.asked.Add(1)
	if names := z.names[addr]; names != nil {
		return names, nil
	}
	return nil, errors.New("no such host")
}

func (z *zone) forward(_ context.Context, network, host string) ([]netip.Addr, error) {
	z.asked.Add(1)
	var out []netip.Addr
	for _, a := range z.addrs[host] {
		out = append(out, netip.MustParseAddr(a))
	}
	if network != "ip" || out == nil {
		return nil, errors.New("no such host")
	}
	return out, nil
}

func crawlers() *zone {
	return &zone{
		names: map[string][]string{
			"192.0.2.1": {"crawl.example.", "other.example."}, "192.0.2.2": {"crawl.example."}, "2001:db8::1": {"six.example."},
			"192.0.2.3": {"nothing.example.", "crawl.example.", "back.example."},
		},
		addrs: map[string][]string{
			"crawl.example.": {"::ffff:192.0.2.1", "2001:db8::2"}, "six.example.": {"2001:db8::1"}, "back.example.": {"192.0.2.3"},
		},
	}
}

func open(z *zone, o resolver.Options) *resolver.Resolver {
	o.LookupAddr, o.LookupNetIP = z.reverse, z.forward
	return resolver.New(o)
}

func TestAnswers(t *testing.T) {
	r := open(crawlers(), resolver.Options{})
	ctx := context.Background()
	for address, want := range map[string]string{
		"192.0.2.1": "crawl.example.", "::ffff:192.0.2.1": "crawl.example.", "2001:db8::1%eth0": "six.example.", "198.51.100.1": "",
	} {
		if got, ok := r.Reverse(ctx, netip.MustParseAddr(address)); got != want || ok != (want != "") {
			t.Errorf("reverse of %s: %q, %v", address, got, ok)
		}
	}
	if got, ok := r.Reverse(ctx, netip.Addr{}); ok {
		t.Errorf("no address is %q", got)
	}
	got, ok := r.Forward(ctx, "crawl.example.")
	if want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::2")}; !ok || !slices.Equal(got, want) {
		t.Errorf("forward: %v, %v", got, ok)
	}
	for _, host := range []string{"", "none.example."} {
		if got, ok := r.Forward(ctx, host); ok {
			t.Errorf("forward of %q: %v", host, got)
		}
	}
	for address, want := range map[string][]string{
		"192.0.2.1":    {"crawl.example."},
		"192.0.2.2":    nil,               // it says so, the name does not
		"192.0.2.3":    {"back.example."}, // of three names one leads back
		"2001:db8::1":  {"six.example."},
		"198.51.100.1": nil,
	} {
		if got := r.Confirmed(ctx, netip.MustParseAddr(address)); !slices.Equal(got, want) {
			t.Errorf("confirmed of %s: %v, want %v", address, got, want)
		}
	}
}

func TestKept(t *testing.T) {
	z := crawlers()
	now := time.Unix(0, 0)
	r := open(z, resolver.Options{Now: func() time.Time { return now }})
	ctx := context.Background()
	known, unknown := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	both := func() int64 {
		z.asked.Store(0)
		r.Reverse(ctx, known)
		r.Reverse(ctx, unknown)
		return z.asked.Load()
	}
	for _, c := range []struct {
		after time.Duration
		want  int64
	}{
		{0, 2}, {0, 0}, {5*time.Minute - 1, 0}, {1, 1}, {55*time.Minute - 1, 1}, {1, 1}, {0, 0},
	} {
		now = now.Add(c.after)
		if got := both(); got != c.want {
			t.Errorf("at %v: %d questions, want %d", now.Sub(time.Unix(0, 0)), got, c.want)
		}
	}
	if s := r.Stats(); s != (resolver.Stats{Kept: 9, Asked: 5, Failed: 3}) {
		t.Errorf("%+v", s)
	}
}

func TestKeptIsBounded(t *testing.T) {
	z := &zone{names: map[string][]string{}}
	r := open(z, resolver.Options{Size: 2})
	ask := func(i int) { r.Reverse(context.Background(), netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})) }
	for _, i := range []int{1, 2, 1, 3, 1, 2} { // 2 goes for 3, then comes again
		ask(i)
	}
	if n := z.asked.Load(); n != 4 {
		t.Errorf("%d questions", n)
	}
}

// Equal questions are asked once; who goes away leaves the asking to the next.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		r := resolver.New(resolver.Options{LookupAddr: func(ctx context.Context, _ string) ([]string, error) {
			asked.Add(1)
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(2 * time.Second):
				return []string{"a.example."}, nil
			}
		}})
		a := netip.MustParseAddr("192.0.2.1")
		var wg sync.WaitGroup
		var found atomic.Int64
		leaves, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		wg.Go(func() {
			if name, ok := r.Reverse(leaves, a); ok {
				t.Errorf("who went away got %q", name)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				if _, ok := r.Reverse(t.Context(), a); ok {
					found.Add(1)
				}
			})
		}
		wg.Wait()
		if asked.Load() != 2 || found.Load() != 50 {
			t.Errorf("%d questions, %d answers", asked.Load(), found.Load())
		}
		if s := r.Stats(); s.Failed != 0 {
			t.Errorf("%+v", s)
		}
		late, cancel := context.WithCancel(t.Context())
		cancel()
		if _, ok := r.Reverse(late, a); ok {
			t.Error("an answer for a caller that is gone")
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resolver.New(resolver.Options{LookupAddr: func(ctx context.Context, _ string) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		start := time.Now()
		_, ok := r.Reverse(t.Context(), netip.MustParseAddr("192.0.2.1"))
		if took := time.Since(start); ok || took != 3*time.Second {
			t.Errorf("%v after %v", ok, took)
		}
		if _, ok := r.Reverse(t.Context(), netip.MustParseAddr("192.0.2.1")); ok || time.Since(start) != 3*time.Second {
			t.Error("the failure was not kept")
		}
	})
}

// What exceeds the bound is refused, counted and not kept as a failure.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open, most atomic.Int64
		r := resolver.New(resolver.Options{Concurrent: 3, LookupAddr: func(context.Context, string) ([]string, error) {
			most.Store(max(most.Load(), open.Add(1)))
			time.Sleep(time.Second)
			open.Add(-1)
			return []string{"a.example."}, nil
		}})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { r.Reverse(t.Context(), netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})) })
		}
		wg.Wait()
		if s := r.Stats(); s.Asked != 3 || s.Refused != 7 || most.Load() != 3 {
			t.Errorf("%+v, %d open at once", s, most.Load())
		}
		for i := range 10 {
			if _, ok := r.Reverse(t.Context(), netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})); !ok {
				t.Errorf("%d was kept as a failure", i)
			}
		}
	})
}

// A lookup that panics must not leave others waiting.
func TestPanic(t *testing.T) {
	r := resolver.New(resolver.Options{LookupAddr: func(context.Context, string) ([]string, error) { panic("lookup") }})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone")
			}
		}()
		r.Reverse(context.Background(), netip.MustParseAddr("192.0.2.1"))
	}()
	if _, ok := r.Reverse(context.Background(), netip.MustParseAddr("192.0.2.1")); ok {
		t.Error("an answer")
	}
}

func TestManyAtOnce(t *testing.T) {
	z := crawlers()
	r := open(z, resolver.Options{Size: 8, Concurrent: 4})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				a := netip.AddrFrom4([4]byte{192, 0, 2, byte((g + i) % 20)})
				if name, ok := r.Reverse(context.Background(), a); ok && name != z.names[a.String()][0] {
					t.Error(fmt.Sprint(a, " is ", name))
				}
			}
		})
	}
	wg.Wait()
}
