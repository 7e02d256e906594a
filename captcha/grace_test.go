package captcha_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/captcha"
)

func TestGraceHolds(t *testing.T) {
	base := func() (*site, *http.Cookie) { s := newSite(t, nil); return s, s.grace() }
	for name, c := range map[string]struct {
		change func(*site, *http.Request)
		want   bool
	}{
		"unchanged":           {func(*site, *http.Request) {}, true},
		"same /24":            {func(s *site, _ *http.Request) { s.visitor.Client = netip.MustParseAddr("203.0.113.99") }, true},
		"other /24":           {func(s *site, _ *http.Request) { s.visitor.Client = netip.MustParseAddr("203.0.114.7") }, false},
		"IPv6":                {func(s *site, _ *http.Request) { s.visitor.Client = netip.MustParseAddr("2001:db8::1") }, false},
		"no address":          {func(s *site, _ *http.Request) { s.visitor.Client = netip.Addr{} }, false},
		"other agent":         {func(_ *site, r *http.Request) { r.Header.Set("User-Agent", "curl/8") }, false},
		"no agent":            {func(_ *site, r *http.Request) { r.Header.Del("User-Agent") }, false},
		"other host":          {func(s *site, _ *http.Request) { s.visitor.Host = "other.example" }, false},
		"host in capitals":    {func(s *site, _ *http.Request) { s.visitor.Host = "Shop.Example.:443" }, true},
		"over plain http":     {func(s *site, _ *http.Request) { s.visitor.TLS = false }, false},
		"old decision":        {func(s *site, _ *http.Request) { s.visitor.DecisionCreated = s.clock.Now().Add(-time.Hour) }, true},
		"decision within 2 s": {func(s *site, _ *http.Request) { s.visitor.DecisionCreated = s.clock.Now().Add(2 * time.Second) }, true},
		"later decision":      {func(s *site, _ *http.Request) { s.visitor.DecisionCreated = s.clock.Now().Add(2*time.Second + 1) }, false},
		"just before the end": {func(s *site, _ *http.Request) { s.clock.Advance(time.Hour - time.Second) }, true},
		"expired":             {func(s *site, _ *http.Request) { s.clock.Advance(time.Hour) }, false},
		"among others": {func(_ *site, r *http.Request) {
			r.Header.Set("Cookie", "a=1;  b=2; "+r.Header.Get("Cookie")+" ;c=3")
		}, true},
		"in a second line": {func(_ *site, r *http.Request) {
			r.Header["Cookie"] = []string{"a=1", r.Header.Get("Cookie")}
		}, true},
		"after a forged one": {func(_ *site, r *http.Request) {
			c := r.Header.Get("Cookie")
			name, _, _ := strings.Cut(c, "=")
			r.Header.Set("Cookie", name+"=x; "+c)
		}, true},
		"after many forged": {func(_ *site, r *http.Request) {
			c := r.Header.Get("Cookie")
			name, _, _ := strings.Cut(c, "=")
			r.Header.Set("Cookie", strings.Repeat(name+"=x; ", 4)+c)
		}, false},
		"name with a prefix": {func(_ *site, r *http.Request) { r.Header.Set("Cookie", "x"+r.Header.Get("Cookie")) }, false},
		"no cookie":          {func(_ *site, r *http.Request) { r.Header.Del("Cookie") }, false},
	} {
		s, cookie := base()
		r := with(browse("GET", "/", ""), cookie)
		c.change(s, r)
		if got := s.gate.Solved(r, s.visitor); got != c.want {
			t.Errorf("%s: Solved = %v", name, got)
		}
	}
}

func TestGraceForged(t *testing.T) {
	s := newSite(t, nil)
	cookie := s.grace()
	value := cookie.Value
	for i := range len(value) {
		for _, c := range []byte("AQgw") {
			if value[i] == c {
				continue
			}
			cookie.Value = value[:i] + string(c) + value[i+1:]
			if s.gate.Solved(with(browse("GET", "/", ""), cookie), s.visitor) {
				t.Fatalf("cookie with %c at %d holds", c, i)
			}
		}
	}
	other := newSite(t, func(o *captcha.Options) { o.Secret = []byte(strings.Repeat("z", 40)) })
	if s.gate.Solved(with(browse("GET", "/", ""), other.grace()), s.visitor) {
		t.Error("cookie of another secret holds")
	}
}

// TestGraceOnBothFamilies: a browser that changes between IPv4 and IPv6 solves
// once on each, not at every change.
func TestGraceOnBothFamilies(t *testing.T) {
	s := newSite(t, nil)
	first := s.grace()
	v4 := s.visitor.Client
	s.visitor.Client = netip.MustParseAddr("2001:db8:1:2::3")
	page := s.do(with(browse("GET", "/", ""), first)).Body.String()
	s.clock.Advance(5 * time.Second)
	w := s.do(with(s.answering(page, s.digits(page)), first))
	both := w.Result().Cookies()[0]
	for _, a := range []netip.Addr{v4, netip.MustParseAddr("2001:db8:1:ffff::1")} {
		s.visitor.Client = a
		if !s.gate.Solved(with(browse("GET", "/", ""), both), s.visitor) {
			t.Errorf("not solved from %s", a)
		}
	}
	s.visitor.Client = netip.MustParseAddr("2001:db8:2::1") // another /48
	if s.gate.Solved(with(browse("GET", "/", ""), both), s.visitor) {
		t.Error("solved from another /48")
	}
}

// TestLaterDecision: who goes on attacking after a solve is challenged again.
func TestLaterDecision(t *testing.T) {
	s := newSite(t, nil)
	cookie := s.grace()
	if w := s.do(with(browse("GET", "/", ""), cookie)); w.Code != 200 {
		t.Fatalf("with grace: %d", w.Code)
	}
	s.clock.Advance(time.Minute)
	s.visitor.DecisionID, s.visitor.DecisionCreated = 8, s.clock.Now()
	w := s.do(with(browse("GET", "/", ""), cookie))
	if w.Code != 403 || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("after a later decision: %d, cookie %q", w.Code, w.Header().Get("Set-Cookie"))
	}
	w = s.solve(w.Body.String())
	if w = s.do(with(browse("GET", "/", ""), w.Result().Cookies()[0])); w.Code != 200 {
		t.Errorf("solved again: %d", w.Code)
	}
}

func TestStrip(t *testing.T) {
	s := newSite(t, nil)
	cookie := s.grace()
	ours := cookie.Name + "=" + cookie.Value
	s.visitor.TLS = false
	plain := s.grace()
	for _, c := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"a=1; b=2"}, []string{"a=1; b=2"}},
		{[]string{ours}, nil},
		{[]string{"a=1; " + ours + "; b=2"}, []string{"a=1; b=2"}},
		{[]string{ours + "; a=1"}, []string{"a=1"}},
		{[]string{"a=1;" + ours}, []string{"a=1"}},
		{[]string{"a=1", ours, "b=2"}, []string{"a=1", "b=2"}},
		{[]string{plain.Name + "=x; a=" + cookie.Name}, []string{"a=" + cookie.Name}},
		{[]string{"x" + ours + "; y=\"q;r\""}, []string{"x" + ours + "; y=\"q;r\""}},
		{[]string{cookie.Name + "; a=1"}, []string{"a=1"}},
		{[]string{"rampart-0000=upstream's; a=1"}, []string{"rampart-0000=upstream's; a=1"}},
		{[]string{"  odd ;;=; " + ours + ";z"}, []string{"odd ;;=;z"}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.in != nil {
			r.Header["Cookie"] = slices.Clone(c.in)
		}
		s.gate.Strip(r)
		if !slices.Equal(r.Header["Cookie"], c.want) {
			t.Errorf("Strip(%q) = %q, want %q", c.in, r.Header["Cookie"], c.want)
		}
	}
}

func TestGraceAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops pooled values at random")
	}
	s := newSite(t, nil)
	r := with(browse("GET", "/", ""), s.grace())
	if n := testing.AllocsPerRun(200, func() {
		if !s.gate.Solved(r, s.visitor) {
			t.Fatal("not solved")
		}
	}); n > 0 {
		t.Errorf("%v allocations in a grace check, want none", n)
	}
}

// FuzzGrace has Solved and Strip read hostile Cookie headers. GOOD stands for a
// cookie that holds, since each process of a fuzz run makes its own.
func FuzzGrace(f *testing.F) {
	s := newSite(f, nil)
	cookie := s.grace()
	good := cookie.Name + "=" + cookie.Value
	for _, seed := range []string{"", "a=1", "GOOD", "a=1; GOOD", "GOOD;GOOD", cookie.Name + "=" + strings.Repeat("A", 80), ";;==;" + cookie.Name, cookie.Name + "\r"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		header = strings.ReplaceAll(header, "GOOD", good)
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("User-Agent", agent)
		r.Header["Cookie"] = []string{header}
		if s.gate.Solved(r, s.visitor) && !strings.Contains(header, good) {
			t.Fatalf("Solved with %q", header)
		}
		others := func() (kept []http.Cookie) {
			for _, c := range r.Cookies() {
				if c.Name != cookie.Name && !strings.HasPrefix(c.Name, "rampart-") {
					kept = append(kept, http.Cookie{Name: c.Name, Value: c.Value})
				}
			}
			return kept
		}
		before := others()
		s.gate.Strip(r)
		after := others()
		if len(before) != len(after) {
			t.Fatalf("Strip(%q) left %q", header, r.Header["Cookie"])
		}
		for i := range before {
			if before[i].Name != after[i].Name || before[i].Value != after[i].Value {
				t.Fatalf("Strip(%q) changed %v to %v", header, before[i], after[i])
			}
		}
		for _, c := range r.Cookies() {
			if c.Name == cookie.Name {
				t.Fatalf("Strip(%q) left our cookie", header)
			}
		}
	})
}
