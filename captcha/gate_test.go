package captcha_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/captcha"
)

func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*captcha.Options){
		"short secret":    func(o *captcha.Options) { o.Secret = secret[:31] },
		"no secret":       func(o *captcha.Options) { o.Secret = nil },
		"root prefix":     func(o *captcha.Options) { o.Prefix = "/" },
		"open prefix":     func(o *captcha.Options) { o.Prefix = "/x/" },
		"double slash":    func(o *captcha.Options) { o.Prefix = "//evil" },
		"relative prefix": func(o *captcha.Options) { o.Prefix = "rampart" },
		"quote in prefix": func(o *captcha.Options) { o.Prefix = `/a"b` },
		"short ttl":       func(o *captcha.Options) { o.TTL = time.Second },
		"short grace":     func(o *captcha.Options) { o.Grace = time.Second },
		"many digits":     func(o *captcha.Options) { o.Digits = 9 },
		"few digits":      func(o *captcha.Options) { o.Digits = 3 },
		"server error":    func(o *captcha.Options) { o.Status = 503 },
		"redirect status": func(o *captcha.Options) { o.Status = 302 },
		"endless minimum": func(o *captcha.Options) { o.MinSolve = time.Hour },
	} {
		o := captcha.Options{Secret: secret}
		change(&o)
		if g, err := captcha.New(o); err == nil || g != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestReserved(t *testing.T) {
	g := newSite(t, nil).gate
	for path, want := range map[string]bool{
		"/.rampart": true, "/.rampart/": true, "/.rampart/verify": true, "/.rampart/../x": true,
		"/.rampartx": false, "/": false, "": false, "/a/.rampart/verify": false,
	} {
		if got := g.Reserved(path); got != want {
			t.Errorf("Reserved(%q) = %v", path, got)
		}
	}
}

// TestRequestKinds is the table of what requests other than page loads get.
func TestRequestKinds(t *testing.T) {
	const page, problem = "text/html; charset=utf-8", "application/problem+json"
	const text = "text/plain; charset=utf-8"
	cases := []struct {
		name, method, path string
		headers            string // "Name: value" by line
		status             int
		contentType        string
		empty              bool
	}{
		{"navigation", "GET", "/", "Sec-Fetch-Dest: document\nSec-Fetch-Mode: navigate", 403, page, false},
		{"frame", "GET", "/", "Sec-Fetch-Dest: iframe", 403, page, false},
		{"old browser", "GET", "/", "Accept: text/html,*/*", 403, page, false},
		{"old browser, ajax", "GET", "/", "Accept: text/html\nX-Requested-With: XMLHttpRequest", 403, problem, false},
		{"form", "POST", "/", "Accept: text/html\nContent-Type: application/x-www-form-urlencoded", 403, page, false},
		{"fetch", "GET", "/api", "Accept: */*\nSec-Fetch-Dest: empty\nSec-Fetch-Mode: cors", 403, problem, false},
		{"json", "POST", "/api", "Accept: application/json\nContent-Type: application/json", 403, problem, false},
		{"curl", "GET", "/", "Accept: */*", 403, problem, false},
		{"nothing said", "GET", "/", "", 403, problem, false},
		{"put", "PUT", "/", "Accept: text/html", 403, problem, false},
		{"delete", "DELETE", "/x", "Sec-Fetch-Dest: empty", 403, problem, false},
		{"options", "OPTIONS", "/x", "", 403, problem, false},
		{"image", "GET", "/a", "Sec-Fetch-Dest: image", 403, "", true},
		{"image of an old browser", "GET", "/a", "Accept: image/avif,*/*", 403, "", true},
		{"style", "GET", "/a", "Sec-Fetch-Dest: style\nAccept: text/css,*/*", 403, "", true},
		{"script by name", "GET", "/app.js", "Accept: */*", 403, "", true},
		{"worker", "GET", "/w", "Sec-Fetch-Dest: serviceworker", 403, "", true},
		{"favicon", "GET", "/favicon.ico", "Accept: */*", 403, "", true},
		{"websocket", "GET", "/ws", "Connection: Upgrade\nUpgrade: websocket", 403, text, false},
		{"websocket of a browser", "GET", "/ws", "Sec-Fetch-Dest: websocket\nSec-WebSocket-Key: x", 403, text, false},
		{"event source", "GET", "/sse", "Accept: text/event-stream\nSec-Fetch-Dest: empty", 403, text, false},
		{"grpc", "POST", "/s/m", "Content-Type: application/grpc+proto", 200, "application/grpc", true},
		{"head", "HEAD", "/", "Accept: text/html", 403, page, true},
		{"preflight", "OPTIONS", "/x", "Origin: https://a.example\nAccess-Control-Request-Method: PUT", 403, "", true},
		{"prefetch", "GET", "/", "Sec-Purpose: prefetch;prerender\nSec-Fetch-Dest: document", 503, "", true},
		{"old prefetch", "GET", "/", "Purpose: prefetch\nAccept: text/html", 503, "", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, nil)
			r := httptest.NewRequest(c.method, c.path, nil)
			for line := range strings.Lines(c.headers) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				r.Header.Set(name, value)
			}
			w := s.do(r)
			h := w.Header()
			if w.Code != c.status || h.Get("Content-Type") != c.contentType || (w.Body.Len() == 0) != c.empty {
				t.Errorf("%d %q, %d bytes; want %d %q, empty %v", w.Code, h.Get("Content-Type"), w.Body.Len(), c.status, c.contentType, c.empty)
			}
			for name, want := range map[string]string{
				"X-Rampart-Remediation": "captcha", "X-Rampart-Incident": s.visitor.Incident,
				"Cache-Control": "private, no-store, max-age=0", "CDN-Cache-Control": "no-store", "Surrogate-Control": "no-store",
				"X-Robots-Tag": "noindex, nofollow", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
				"Connection": "",
			} {
				if got := h.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if h.Get("Set-Cookie") != "" {
				t.Errorf("a cookie for nothing: %q", h.Get("Set-Cookie"))
			}
			drawn := strings.Contains(w.Body.String(), "data:image/png")
			if wantDrawn := c.contentType == page && !c.empty; drawn != wantDrawn {
				t.Errorf("picture drawn: %v", drawn)
			}
			if len(s.upstream) != 0 {
				t.Error("reached upstream")
			}
		})
	}
}

func TestGRPCStatus(t *testing.T) {
	s := newSite(t, nil)
	r := httptest.NewRequest("POST", "/s/m", nil)
	r.Header.Set("Content-Type", "application/grpc")
	if got := s.do(r).Header().Get("Grpc-Status"); got != "7" {
		t.Errorf("grpc-status %q, want 7", got)
	}
}

func TestPreflightOption(t *testing.T) {
	s := newSite(t, func(o *captcha.Options) { o.Preflight = true })
	r := httptest.NewRequest("OPTIONS", "/x", nil)
	r.Header.Set("Origin", "https://a.example")
	r.Header.Set("Access-Control-Request-Method", "PUT")
	if w := s.do(r); w.Code != 200 || len(s.upstream) != 1 {
		t.Errorf("preflight: %d, %d upstream", w.Code, len(s.upstream))
	}
	r = httptest.NewRequest("OPTIONS", "/x", nil) // no preflight at all
	if w := s.do(r); w.Code != 403 {
		t.Errorf("plain OPTIONS: %d", w.Code)
	}
}

// TestProblem follows the way of a script that is refused: its page opens
// challenge_url and comes back to where it was.
func TestProblem(t *testing.T) {
	s := newSite(t, nil)
	r := httptest.NewRequest("GET", "https://shop.example/api/items", nil)
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Referer", "https://shop.example/items?sort=1")
	var p struct {
		Type, Title, Incident string
		Status                int
		Challenge             string `json:"challenge_url"`
	}
	if err := json.Unmarshal(s.do(r).Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.Type != "urn:rampart:captcha" || p.Status != 403 || p.Title == "" || p.Incident != s.visitor.Incident {
		t.Errorf("problem %+v", p)
	}
	w := s.do(browse("GET", p.Challenge, ""))
	if w.Code != 403 {
		t.Fatalf("challenge_url: %d", w.Code)
	}
	w = s.solve(w.Body.String())
	cookie := w.Result().Cookies()[0]
	if w = s.do(with(browse("GET", w.Header().Get("Location"), ""), cookie)); w.Header().Get("Location") != "/items?sort=1" {
		t.Errorf("led to %q", w.Header().Get("Location"))
	}
	if w = s.do(with(browse("GET", p.Challenge, ""), cookie)); w.Code != 303 || w.Header().Get("Location") != "/items?sort=1" {
		t.Errorf("challenge_url after the solve: %d %q", w.Code, w.Header().Get("Location"))
	}
	r.Header.Set("Referer", "https://evil.example/items")
	json.Unmarshal(s.do(r).Body.Bytes(), &p)
	w = s.do(with(browse("GET", p.Challenge, ""), cookie))
	if w.Header().Get("Location") != "/" {
		t.Errorf("foreign referer led to %q", w.Header().Get("Location"))
	}
}

func TestReservedRoutes(t *testing.T) {
	for _, c := range []struct {
		method, path string
		decision     int64
		status       int
		location     string
	}{
		{"GET", "/.rampart/verify", 7, 303, "/"},
		{"GET", "/.rampart", 7, 404, ""},
		{"GET", "/.rampart/../secret", 7, 404, ""},
		{"GET", "/.rampart/audio", 7, 403, ""},
		{"POST", "/.rampart/audio", 7, 405, ""},
		{"GET", "/.rampart/challenge", 7, 403, ""},
		{"POST", "/.rampart/challenge", 7, 405, ""},
		{"HEAD", "/.rampart/challenge", 7, 403, ""},
		{"GET", "/.rampart/challenge", 0, 303, "/"},
		{"GET", "/.rampart/ok", 0, 303, "/"},
		{"GET", "/.rampart/ok?t=x", 7, 403, ""},
		{"POST", "/.rampart/verify", 7, 415, ""},
	} {
		s := newSite(t, nil)
		s.visitor.DecisionID = c.decision
		w := s.do(browse(c.method, c.path, ""))
		if w.Code != c.status || w.Header().Get("Location") != c.location {
			t.Errorf("%s %s (decision %d): %d %q, want %d %q", c.method, c.path, c.decision, w.Code, w.Header().Get("Location"), c.status, c.location)
		}
		if len(s.upstream) != 0 {
			t.Errorf("%s %s reached upstream", c.method, c.path)
		}
	}
}

func TestVerifyBody(t *testing.T) {
	s := newSite(t, nil)
	r := browse("POST", "/.rampart/verify", "t="+strings.Repeat("x", 70<<10))
	if w := s.do(r); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("70 KiB: %d", w.Code)
	}
	r = browse("POST", "/.rampart/verify", "t=%zz")
	if w := s.do(r); w.Code != http.StatusBadRequest {
		t.Errorf("bad escape: %d", w.Code)
	}
	r = browse("POST", "/.rampart/verify", "t=x")
	r.Header.Set("Early-Data", "1")
	if w := s.do(r); w.Code != http.StatusTooEarly {
		t.Errorf("early data: %d", w.Code)
	}
}

var externalURL = regexp.MustCompile(`(?i)(https?:)?//[a-z0-9]`)

func TestPage(t *testing.T) {
	s := newSite(t, func(o *captcha.Options) { o.Digits = 8 })
	w := s.do(browse("GET", "/long?"+strings.Repeat("q", 1000), ""))
	page := w.Body.String()
	if len(page) > 20_000 {
		t.Errorf("page has %d bytes", len(page))
	}
	t.Logf("page: %d bytes with 8 digits and a long URL", len(page))
	if m := externalURL.FindAllString(strings.ReplaceAll(page, "data:image/png;base64,", ""), -1); m != nil && !onlyBase64(page, m) {
		t.Errorf("external URLs on the page: %q", m)
	}
	nonce := regexp.MustCompile(`nonce="([^"]+)"`).FindStringSubmatch(page)[1]
	csp := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'nonce-" + nonce + "'", "script-src 'nonce-" + nonce + "'",
		"form-action 'self'", "base-uri 'none'", "frame-ancestors 'self'", "img-src data:"} {
		if !strings.Contains(csp, want) {
			t.Errorf("policy %q lacks %q", csp, want)
		}
	}
	for _, tag := range regexp.MustCompile(`<(script|style)[^>]*>`).FindAllString(page, -1) {
		if !strings.Contains(tag, `nonce="`+nonce+`"`) {
			t.Errorf("%s would not run under the policy", tag)
		}
	}
	for _, want := range []string{`<html lang="en" dir="ltr">`, `<label for="a">`, `inputmode="numeric"`, `autocomplete="off"`,
		`aria-describedby="hint"`, s.visitor.Incident, "help@example.com", "shop.example"} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %s", want)
		}
	}
	if again := s.challenged("/"); strings.Contains(again, nonce) {
		t.Error("nonce used twice")
	}
}

// onlyBase64 reports whether every hit lies in the picture's base64 text.
func onlyBase64(page string, hits []string) bool {
	start := strings.Index(page, "data:image/png;base64,")
	end := start + strings.IndexByte(page[start:], '"')
	for _, hit := range hits {
		if strings.Contains(page[:start]+page[end:], hit) {
			return false
		}
	}
	return true
}

func TestHostileHostIsEscaped(t *testing.T) {
	s := newSite(t, nil)
	s.visitor.Host = `<script>alert(1)</script>`
	s.visitor.Incident = `"><b>`
	if page := s.do(browse("GET", "/", "")).Body.String(); strings.Contains(page, "<script>alert") || strings.Contains(page, "><b>") {
		t.Error("markup of the visitor's on the page")
	}
}

func TestLanguages(t *testing.T) {
	for header, want := range map[string]string{
		"": "en", "de": "de", "de-CH,fr;q=0.5": "de", "fr,de;q=0.5": "de", "fr": "en", "und": "en", "*": "en",
		"en-GB,de;q=0.9": "en", ";;;,q=x": "en", strings.Repeat("de,", 200): "de",
		strings.Repeat("x", 5000): "en", "de;q=0": "en", "zh-Hant-TW,zh": "en",
	} {
		s := newSite(t, nil)
		r := browse("GET", "/", "")
		r.Header.Set("Accept-Language", header)
		if page := s.do(r).Body.String(); !strings.Contains(page, `<html lang="`+want+`"`) {
			t.Errorf("Accept-Language %.40q: not %s", header, want)
		}
	}
}

func TestIssueLimit(t *testing.T) {
	s := newSite(t, nil)
	for i := range 5 { // a person may reload
		if w := s.do(browse("GET", "/", "")); w.Code != 403 {
			t.Fatalf("load %d: %d", i+1, w.Code)
		}
	}
	w := s.do(browse("GET", "/", ""))
	if w.Code != 429 || w.Header().Get("Retry-After") != "6" || w.Body.Len() > 2048 || !strings.Contains(w.Body.String(), s.visitor.Incident) {
		t.Errorf("sixth load: %d, retry after %q, %d bytes", w.Code, w.Header().Get("Retry-After"), w.Body.Len())
	}
	s.clock.Advance(6 * time.Second)
	if w := s.do(browse("GET", "/", "")); w.Code != 403 {
		t.Errorf("after the wait: %d", w.Code)
	}
	s.visitor.Client = netip.MustParseAddr("203.0.113.8")
	if w := s.do(browse("GET", "/", "")); w.Code != 403 {
		t.Errorf("another client: %d", w.Code)
	}
	if k := s.kinds(); k["limited"] != 1 || k["served"] != 7 {
		t.Errorf("results %v", k)
	}
	for i := range 6 { // one IPv6 customer, however many addresses
		s.visitor.Client = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)})
		if w := s.do(browse("GET", "/", "")); (w.Code == 429) != (i == 5) {
			t.Errorf("IPv6 load %d: %d", i+1, w.Code)
		}
	}
}

// TestFlood has 3,000 addresses load pages within one instant: the node draws no
// more than its share, and the store stays bounded.
func TestFlood(t *testing.T) {
	clock := newClock()
	store := captcha.NewMemory(clock.Now)
	s := newSite(t, func(o *captcha.Options) { o.Store, o.Now = store, clock.Now })
	drawn := 0
	for i := range 3000 {
		s.visitor.Client = netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		w := s.do(browse("GET", "/", ""))
		switch {
		case w.Code == 403:
			drawn++
		case w.Code != 429 || w.Header().Get("Retry-After") == "":
			t.Fatalf("load %d: %d", i, w.Code)
		}
	}
	if drawn != 400 || s.gate.Stats()["busy"] != 2600 {
		t.Errorf("%d pictures drawn, %d busy; want 400 and 2600", drawn, s.gate.Stats()["busy"])
	}
}
