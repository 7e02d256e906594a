package captcha_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/internal/testkit"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

const agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

func newClock() *testkit.Clock { return testkit.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) }

// site is what a proxy makes of a Gate: suspects meet it, the rest goes upstream.
type site struct {
	t       testing.TB
	gate    *captcha.Gate
	secret  []byte
	clock   *testkit.Clock
	visitor captcha.Visitor

	mu       sync.Mutex
	results  []captcha.Result
	upstream []*http.Request
	bodies   []string
}

func newSite(t testing.TB, change func(*captcha.Options)) *site {
	t.Helper()
	s := &site{t: t, clock: newClock()}
	o := captcha.Options{
		Secret: secret, Now: s.clock.Now, Contact: "help@example.com",
		Result: func(r captcha.Result) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.results = append(s.results, r)
		},
	}
	if change != nil {
		change(&o)
	}
	g, err := captcha.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.gate, s.secret = g, o.Secret
	s.visitor = captcha.Visitor{
		Client: netip.MustParseAddr("203.0.113.7"), Host: "shop.example", TLS: true,
		DecisionID: 7, DecisionCreated: s.clock.Now(), Incident: "01JNT5R6V8K2M4P6Q8S0T2W4Y6",
	}
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	v := s.visitor
	s.mu.Unlock()
	if s.gate.Reserved(r.URL.Path) {
		s.gate.ServeReserved(w, r, v)
		return
	}
	if v.DecisionID != 0 && s.gate.Intercept(w, r, v) == captcha.Served {
		return
	}
	s.gate.Strip(r)
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.upstream = append(s.upstream, r)
	s.bodies = append(s.bodies, string(body))
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, "<!doctype html><title>shop</title><h1>the shop</h1>")
}

// kinds returns how often each result was reported.
func (s *site) kinds() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[string]int)
	for _, r := range s.results {
		m[r.Kind]++
	}
	return m
}

// browse is a request as browsers make it to load a page.
func browse(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, "https://shop.example"+target, strings.NewReader(body))
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "none")
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://shop.example")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return r
}

func (s *site) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// challenged asks for target and returns the challenge page.
func (s *site) challenged(target string) string {
	s.t.Helper()
	w := s.do(browse("GET", target, ""))
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `name="t"`) {
		s.t.Fatalf("GET %s: %d, no challenge:\n%.300s", target, w.Code, w.Body)
	}
	return w.Body.String()
}

// answering makes the request that sends digits for the challenge on page.
func (s *site) answering(page, digits string) *http.Request {
	s.t.Helper()
	token, err := testkit.ChallengeToken(page)
	if err != nil {
		s.t.Fatal(err)
	}
	form := url.Values{"t": {token}, "a": {digits}}
	if _, after, ok := strings.Cut(page, `name="f" value="`); ok {
		f, _, _ := strings.Cut(after, `"`)
		form.Set("f", f)
	}
	return browse("POST", "/.rampart/verify", form.Encode())
}

func (s *site) digits(page string) string {
	s.t.Helper()
	d, err := testkit.Answer(s.secret, s.visitor.Host, page)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// solve answers the challenge on page rightly after five seconds.
func (s *site) solve(page string) *httptest.ResponseRecorder {
	s.t.Helper()
	s.clock.Advance(5 * time.Second)
	return s.do(s.answering(page, s.digits(page)))
}

// grace solves a challenge and returns the cookie.
func (s *site) grace() *http.Cookie {
	s.t.Helper()
	w := s.solve(s.challenged("/"))
	for _, c := range w.Result().Cookies() {
		if strings.Contains(c.Name, "rampart") {
			return c
		}
	}
	s.t.Fatalf("no grace cookie: %d %v", w.Code, w.Header())
	return nil
}

func with(r *http.Request, c *http.Cookie) *http.Request {
	if c != nil {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

func wrongDigits(digits string) string {
	b := bytes.Clone([]byte(digits))
	b[0] = '0' + (b[0]-'0'+1)%10
	return string(b)
}
