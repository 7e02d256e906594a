package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/resolver"
)

// lookout is a keeper whose DNS, web and clock the test has.
type lookout struct {
	t     *testing.T
	clock *testkit.Clock
	allow *decisions.Allow
	*allowKeeper
	names   map[string][]string
	pages   map[string]func(seen community.Validators) ([]netip.Prefix, community.Validators, error)
	asked   []string
	changes int
}

func newLookout(t *testing.T) *lookout {
	l := &lookout{t: t, clock: testkit.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), names: map[string][]string{},
		pages: map[string]func(community.Validators) ([]netip.Prefix, community.Validators, error){}}
	l.allow = decisions.NewAllow(l.clock.Now)
	l.allowKeeper = newAllowKeeper(l.allow, func() { l.changes++ }, zap.NewNop())
	l.now = l.clock.Now
	l.fetch = func(_ context.Context, url string, seen community.Validators) ([]netip.Prefix, community.Validators, error) {
		l.asked = append(l.asked, url)
		return l.pages[url](seen)
	}
	l.allowKeeper.names = resolver.New(resolver.Options{TTL: time.Second, NegativeTTL: time.Second, Now: l.clock.Now,
		LookupNetIP: func(_ context.Context, _, host string) ([]netip.Addr, error) {
			l.asked = append(l.asked, host)
			var out []netip.Addr
			for _, a := range l.names[host] {
				out = append(out, netip.MustParseAddr(a))
			}
			if out == nil {
				return nil, errors.New("no such host")
			}
			return out, nil
		}})
	return l
}

func (l *lookout) add(list, item string) {
	l.t.Helper()
	if err := l.allow.Add(decisions.AllowEntry{List: list, Item: item}); err != nil {
		l.t.Fatal(err)
	}
}

// rounds looks what is due, and says what was asked.
func (l *lookout) rounds(after time.Duration, want ...string) {
	l.t.Helper()
	l.clock.Advance(after)
	l.asked = nil
	l.round(l.t.Context())
	if fmt.Sprint(l.asked) != fmt.Sprint(want) {
		l.t.Errorf("after %s: asked %q, want %q", after, l.asked, want)
	}
}

func (l *lookout) allows(when string, want map[string]bool) {
	l.t.Helper()
	for a, want := range want {
		if got := l.allow.Contains(netip.MustParseAddr(a)); got != want {
			l.t.Errorf("%s: %s: %v", when, a, got)
		}
	}
}

func (l *lookout) problem(item string) string {
	for _, s := range l.status() {
		if s.Item == item {
			return s.Problem
		}
	}
	return "no such item"
}

func TestAllowKeeperNames(t *testing.T) {
	l := newLookout(t)
	l.add("", "192.0.2.1")
	l.rounds(0)
	l.rounds(time.Hour) // nothing is asked where there is nothing to ask
	l.add("", "vpn.example")
	l.add("", "localhost")
	l.names["vpn.example."], l.names["localhost"] = []string{"198.51.100.1", "::ffff:198.51.100.2", "2001:db8::1"}, []string{"127.0.0.1"}
	l.rounds(0, "localhost", "vpn.example.")
	yes := map[string]bool{"198.51.100.1": true, "198.51.100.2": true, "2001:db8::1": true}
	l.allows("at first", yes)
	l.rounds(namesEvery - time.Second)
	l.names["vpn.example."] = nil
	l.rounds(time.Second, "localhost", "vpn.example.")
	l.allows("the DNS fails", yes)
	if p := l.problem("vpn.example"); !strings.Contains(p, "no answer") {
		t.Errorf("problem %q", p)
	}
	if p := l.problems(); len(p) != 1 || !strings.Contains(p[0], "vpn.example of allowlist default cannot be looked up") || !strings.Contains(p[0], "3 networks") {
		t.Errorf("problems %q", p)
	}
	l.rounds(retryMin-time.Second, []string{}...)
	l.names["vpn.example."] = []string{"198.51.100.9"}
	l.rounds(time.Second, "vpn.example.")
	l.allows("another address", map[string]bool{"198.51.100.1": false, "198.51.100.9": true, "2001:db8::1": false})
	if p := l.problem("vpn.example"); p != "" {
		t.Errorf("problem %q", p)
	}
	if l.changes < 3 {
		t.Errorf("nobody was told: %d changes", l.changes)
	}
	l.use(ResolverConfig{})
	l.use(ResolverConfig{Off: true})
	l.rounds(time.Hour)
	if p := l.problem("vpn.example"); !strings.Contains(p, "resolver is off") {
		t.Errorf("problem %q", p)
	}
	l.allows("nobody to ask", map[string]bool{"198.51.100.9": true})
	if err := l.allow.RemoveItem("", "vpn.example"); err != nil {
		t.Fatal(err)
	}
	l.allows("removed", map[string]bool{"198.51.100.9": false})
}

func TestAllowKeeperURLs(t *testing.T) {
	const url = "https://example.org/l"
	l := newLookout(t)
	answer := func(err error, texts ...string) {
		ps := []netip.Prefix{}
		for _, s := range texts {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		l.pages[url] = func(community.Validators) ([]netip.Prefix, community.Validators, error) {
			return ps, community.Validators{ETag: "x"}, err
		}
	}
	l.add("", url)
	answer(nil, "198.51.100.0/24")
	l.rounds(0, url)
	yes := map[string]bool{"198.51.100.7": true}
	l.allows("at first", yes)
	answer(nil)
	l.rounds(urlsEvery, url)
	l.allows("suddenly empty", yes)
	if p := l.problem(url); !strings.Contains(p, "no address in it") {
		t.Errorf("problem %q", p)
	}
	answer(nil, "0.0.0.0/1")
	l.rounds(retryMin, url)
	l.allows("half of the world", map[string]bool{"198.51.100.7": true, "1.2.3.4": false})
	answer(errors.New("it answered 500"))
	l.rounds(retryMin)
	l.rounds(retryMin, url) // each time it takes longer
	l.rounds(3 * time.Minute)
	l.rounds(time.Minute, url)
	if p := l.problem(url); p != "it answered 500" {
		t.Errorf("problem %q", p)
	}
	l.pages[url] = func(seen community.Validators) ([]netip.Prefix, community.Validators, error) {
		if seen.ETag != "x" {
			t.Errorf("seen %+v", seen)
		}
		return nil, seen, nil
	}
	l.rounds(time.Hour, url)
	l.allows("as before", yes)
	if s := l.status(); len(s) != 1 || s[0].Problem != "" || s[0].Prefixes != 1 || !s[0].Good.Equal(l.clock.Now()) || !s[0].Next.Equal(l.clock.Now().Add(urlsEvery)) {
		t.Errorf("%+v", s)
	}
}

func TestAllowKeeperRun(t *testing.T) {
	l := newLookout(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	l.names["vpn.example."] = []string{"198.51.100.1"}
	go func() { defer close(done); l.run(ctx) }()
	l.add("", "vpn.example")
	l.look()
	until(t, "it is looked up", func() bool { return l.allow.Contains(netip.MustParseAddr("198.51.100.1")) })
	cancel()
	<-done
	l.allows("in the end", map[string]bool{"198.51.100.1": true})
}

func TestFetchAllowed(t *testing.T) {
	var agent atomic.Value
	pages := map[string]func(w http.ResponseWriter, r *http.Request){
		"/good": func(w http.ResponseWriter, r *http.Request) {
			agent.Store(r.UserAgent())
			if from := r.Referer(); from != "" {
				t.Errorf("it is told %s, which may have a key in it", from)
			}
			w.Header().Set("ETag", `"v1"`)
			w.Header().Set("Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT")
			if r.Header.Get("If-None-Match") == `"v1"` && r.Header.Get("If-Modified-Since") != "" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprint(w, "# ours\n192.0.2.0/24 ; office\n\n2001:db8::1\nnonsense\n")
		},
		"/moved": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good", http.StatusFound) },
		"/round": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) },
		"/none":  func(w http.ResponseWriter, r *http.Request) {},
		"/lies":  func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) },
		"/error": func(w http.ResponseWriter, r *http.Request) { http.Error(w, "192.0.2.9", http.StatusTeapot) },
		"/html":  func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>\n<p>please log in\n192.0.2.1\n") },
		"/world": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "192.0.2.1\n0.0.0.0/0\n") },
		"/long": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, strings.Repeat("#"+strings.Repeat(" ", 1000)+"\n", 9000))
		},
		"/broken": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "99")
			fmt.Fprint(w, "192.0.2.1\n")
		},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pages[r.URL.Path](w, r) }))
	defer s.Close()
	fetch := fetchAllowed(community.NewFetcher("rampart/test", time.Now))
	for path, want := range map[string]string{
		"/good": "[192.0.2.0/24 2001:db8::1/128]", "/moved": "[192.0.2.0/24 2001:db8::1/128]", "/none": "[]", "/round": "5 redirects",
		"/lies": "304", "/error": "418", "/html": "line 1", "/world": "too wide", "/long": "more than 8388608 bytes", "/broken": "unexpected EOF",
	} {
		ps, _, err := fetch(t.Context(), s.URL+path+"?key=secret", community.Validators{})
		got := fmt.Sprint(ps)
		if err != nil {
			got = err.Error()
		}
		if (err == nil) != strings.HasPrefix(want, "[") || !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	_, seen, err := fetch(t.Context(), s.URL+"/good", community.Validators{})
	if err != nil || seen.ETag != `"v1"` || seen.Modified == "" || agent.Load() != "rampart/test" {
		t.Fatalf("%+v, %v, %v", seen, err, agent.Load())
	}
	if ps, again, err := fetch(t.Context(), s.URL+"/good", seen); ps != nil || err != nil || again != seen {
		t.Errorf("unchanged: %v, %+v, %v", ps, again, err)
	}
	s.Close()
	if _, _, err := fetch(t.Context(), s.URL+"/good?key=secret", seen); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestAllowedItems: over the admin API, up to lookups.
func TestAllowedItems(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "203.0.113.77\n") }))
	defer s.Close()
	a := open(t, Config{})
	ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: "203.0.113.77"})
	e := ask[decisions.AllowEntry](t, a, "POST", "/rampart/allowlist", AllowRequest{Value: s.URL + "/l", Comment: "partners"})
	if e.Item != s.URL+"/l" || e.Prefix.IsValid() {
		t.Errorf("%+v", e)
	}
	until(t, "it is allowed", func() bool { return a.Decide(netip.MustParseAddr("203.0.113.77")).Allowed })
	if w := ask[Why](t, a, "GET", "/rampart/why/203.0.113.77", nil); w.Allowed == nil || !strings.Contains(w.Summary, s.URL) {
		t.Errorf("%+v", w)
	}
	ask[map[string]string](t, a, "DELETE", "/rampart/allowlist?value="+s.URL+"/l", nil)
	if v := a.Decide(netip.MustParseAddr("203.0.113.77")); v.Action != decisions.Ban {
		t.Errorf("after the removal: %+v", v)
	}
}
