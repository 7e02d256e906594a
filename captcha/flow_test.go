package captcha_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/internal/testkit"
)

func passed(w *httptest.ResponseRecorder) bool {
	return w.Code == http.StatusSeeOther && strings.HasPrefix(w.Header().Get("Location"), "/.rampart/ok?t=") && w.Header().Get("Set-Cookie") != ""
}

func TestSolve(t *testing.T) {
	for _, tls := range []bool{true, false} {
		s := newSite(t, nil)
		s.visitor.TLS = tls
		w := s.solve(s.challenged("/catalogue?a=1&b=%20"))
		if !passed(w) {
			t.Fatalf("solve: %d %v", w.Code, w.Header())
		}
		cookie := w.Result().Cookies()[0]
		wantName := "rampart-"
		if tls {
			wantName = "__Host-rampart-"
		}
		if !strings.HasPrefix(cookie.Name, wantName) || cookie.Secure != tls || !cookie.HttpOnly || cookie.Path != "/" ||
			cookie.Domain != "" || cookie.SameSite != http.SameSiteLaxMode || cookie.MaxAge != 3600 || len(cookie.Value) != 80 {
			t.Errorf("cookie %+v", cookie)
		}
		w = s.do(with(browse("GET", w.Header().Get("Location"), ""), cookie))
		if w.Code != 303 || w.Header().Get("Location") != "/catalogue?a=1&b=%20" {
			t.Errorf("ok: %d %q", w.Code, w.Header().Get("Location"))
		}
		r := with(browse("GET", "/catalogue?a=1&b=%20", ""), cookie)
		r.AddCookie(&http.Cookie{Name: "session", Value: "1"})
		if w = s.do(r); w.Code != 200 || len(s.upstream) != 1 {
			t.Fatalf("after the solve: %d", w.Code)
		}
		if got := s.upstream[0].Header.Get("Cookie"); got != "session=1" {
			t.Errorf("cookies upstream: %q", got)
		}
		if diff := cmp.Diff(map[string]int{"served": 1, "passed": 1}, s.kinds()); diff != "" {
			t.Error(diff)
		}
		if r := s.results[1]; r.Solve != 5*time.Second || r.Method != "picture" || r.Host != "shop.example" || r.Client != s.visitor.Client {
			t.Errorf("result %+v", r)
		}
		s.clock.Advance(time.Hour)
		if w := s.do(with(browse("GET", "/", ""), cookie)); w.Code != 403 {
			t.Errorf("after the grace: %d", w.Code)
		}
	}
}

func TestAnswersAsPeopleTypeThem(t *testing.T) {
	arabic := func(d string) string {
		return strings.Map(func(r rune) rune { return r - '0' + '٠' }, d)
	}
	for name, write := range map[string]func(string) string{
		"plain":     func(d string) string { return d },
		"spaces":    func(d string) string { return " " + d[:3] + "  " + d[3:] + "\t" },
		"dashes":    func(d string) string { return d[:2] + "-" + d[2:4] + "–" + d[4:] },
		"commas":    func(d string) string { return strings.Join(strings.Split(d, ""), ", ") },
		"fullwidth": func(d string) string { return strings.Map(func(r rune) rune { return r - '0' + '０' }, d) },
		"arabic":    arabic,
		"joiners":   func(d string) string { return "\u200f" + arabic(d[:3]) + "\u200b" + d[3:] + "\ufeff" },
	} {
		s := newSite(t, nil)
		page := s.challenged("/")
		s.clock.Advance(5 * time.Second)
		if w := s.do(s.answering(page, write(s.digits(page)))); !passed(w) {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

func TestWrongAnswerBurns(t *testing.T) {
	for _, wrong := range []string{"000000", "", "abc", "1", strings.Repeat("1", 1000)} {
		s := newSite(t, nil)
		page := s.challenged("/x?y")
		digits := s.digits(page)
		if wrong == digits {
			wrong = wrongDigits(digits)
		}
		s.clock.Advance(5 * time.Second)
		w := s.do(s.answering(page, wrong))
		body := w.Body.String()
		if w.Code != 403 || !strings.Contains(body, `role="alert"`) || !strings.Contains(body, "not right") || w.Header().Get("Set-Cookie") != "" {
			t.Fatalf("wrong answer %.10q: %d", wrong, w.Code)
		}
		if w = s.do(s.answering(page, digits)); passed(w) {
			t.Fatalf("token still good after %.10q", wrong)
		}
		if w = s.solve(body); !passed(w) {
			t.Fatalf("the new challenge: %d", w.Code)
		}
		if w = s.do(with(browse("GET", w.Header().Get("Location"), ""), w.Result().Cookies()[0])); w.Header().Get("Location") != "/x?y" {
			t.Errorf("return URL lost: %q", w.Header().Get("Location"))
		}
		if diff := cmp.Diff(map[string]int{"served": 3, "failed": 1, "replayed": 1, "passed": 1}, s.kinds()); diff != "" {
			t.Error(diff)
		}
	}
}

// TestReplayConcurrently answers one token rightly a hundred times at once, on
// two nodes that share a store.
func TestReplayConcurrently(t *testing.T) {
	clock := newClock()
	store := unlimited{captcha.NewMemory(clock.Now)}
	share := func(o *captcha.Options) { o.Store, o.Now = store, clock.Now }
	nodes := []*site{newSite(t, share), newSite(t, share)}
	page := nodes[0].challenged("/")
	digits := nodes[0].digits(page)
	clock.Advance(5 * time.Second)
	var wins, wg = make(chan int, 100), sync.WaitGroup{}
	start := make(chan struct{})
	for i := range 100 {
		wg.Go(func() {
			r := nodes[i%2].answering(page, digits)
			<-start
			if w := nodes[i%2].do(r); w.Header().Get("Set-Cookie") != "" {
				wins <- i
			}
		})
	}
	close(start)
	wg.Wait()
	if len(wins) != 1 {
		t.Errorf("%d successes with one token, want 1", len(wins))
	}
	if n := nodes[0].kinds()["replayed"] + nodes[1].kinds()["replayed"]; n != 99 {
		t.Errorf("%d replayed, want 99", n)
	}
}

// unlimited is a Memory without rates.
type unlimited struct{ *captcha.Memory }

func (unlimited) Allow(_ context.Context, _ string, _ time.Duration, _ int) (bool, time.Duration) {
	return true, 0
}

func TestTokenOfAnotherNode(t *testing.T) {
	a, b := newSite(t, nil), newSite(t, nil)
	b.clock.Advance(5 * time.Second)
	page := a.challenged("/")
	w := b.do(b.answering(page, a.digits(page)))
	if !passed(w) {
		t.Fatalf("token of another node with the same secret: %d", w.Code)
	}
	a.clock.Advance(5 * time.Second)
	if w := a.do(with(browse("GET", "/", ""), w.Result().Cookies()[0])); w.Code != 200 {
		t.Errorf("grace of another node: %d", w.Code)
	}
	c := newSite(t, func(o *captcha.Options) { o.Secret = []byte(strings.Repeat("z", 32)) })
	c.clock.Advance(5 * time.Second)
	page = a.challenged("/")
	if w := c.do(c.answering(page, a.digits(page))); passed(w) {
		t.Error("token of another secret accepted")
	}
}

// TestRefusedAnswers has right answers that must not count, each for one reason,
// and sees that the visitor cannot tell the reasons apart.
func TestRefusedAnswers(t *testing.T) {
	type change struct {
		page  func(*site, string) string
		clock time.Duration
		visit func(*captcha.Visitor)
		head  func(*http.Request)
		kind  string
		text  string
	}
	const expired, wrong = "no longer valid", "not right"
	edit := func(f func(string) string) func(*site, string) string {
		return func(s *site, page string) string {
			token, _ := testkit.ChallengeToken(page)
			return strings.Replace(page, token, f(token), 1)
		}
	}
	for name, c := range map[string]change{
		"expired":        {clock: 11 * time.Minute, kind: "expired", text: expired},
		"other host":     {visit: func(v *captcha.Visitor) { v.Host = "other.example" }, kind: "expired", text: expired},
		"other network":  {visit: func(v *captcha.Visitor) { v.Client = netip.MustParseAddr("203.0.114.7") }, kind: "expired", text: expired},
		"IPv6 instead":   {visit: func(v *captcha.Visitor) { v.Client = netip.MustParseAddr("2001:db8::1") }, kind: "expired", text: expired},
		"no address":     {visit: func(v *captcha.Visitor) { v.Client = netip.Addr{} }, kind: "expired", text: expired},
		"other agent":    {head: func(r *http.Request) { r.Header.Set("User-Agent", "curl/8") }, kind: "expired", text: expired},
		"from elsewhere": {head: func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, kind: "expired", text: expired},
		"hoarded":        {visit: func(v *captcha.Visitor) { v.DecisionCreated = v.DecisionCreated.Add(4 * time.Second) }, kind: "expired", text: expired},
		"too fast":       {clock: time.Second, kind: "too_fast", text: wrong},
		"forged":         {page: edit(func(s string) string { return s[:len(s)-8] + "AAAAAAAA" }), kind: "expired", text: expired},
		"cut":            {page: edit(func(s string) string { return s[:len(s)/2] }), kind: "expired", text: expired},
		"not base64":     {page: edit(func(s string) string { return "+/=!" }), kind: "expired", text: expired},
		"empty":          {page: edit(func(s string) string { return "AA" }), kind: "expired", text: expired},
		"other version":  {page: edit(func(s string) string { return "B" + s[1:] }), kind: "expired", text: expired},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			page := s.challenged("/")
			digits := s.digits(page)
			if c.page != nil {
				page = c.page(s, page)
			}
			if c.clock == 0 {
				c.clock = 5 * time.Second
			}
			s.clock.Advance(c.clock)
			if c.visit != nil {
				c.visit(&s.visitor)
			}
			r := s.answering(page, digits)
			if c.head != nil {
				c.head(r)
			}
			w := s.do(r)
			if w.Code != 403 || w.Header().Get("Set-Cookie") != "" || !strings.Contains(w.Body.String(), c.text) {
				t.Errorf("%d %v\n%.2000s", w.Code, w.Header(), w.Body)
			}
			if k := s.kinds(); k[c.kind] != 1 {
				t.Errorf("results %v, want %s", k, c.kind)
			}
		})
	}
}

func TestSameNetworkStays(t *testing.T) {
	s := newSite(t, nil)
	page := s.challenged("/")
	s.visitor.Client = netip.MustParseAddr("::ffff:203.0.113.250") // mapped, and another of the /24
	s.visitor.Host = "SHOP.example:8443"
	s.clock.Advance(5 * time.Second)
	if w := s.do(s.answering(page, s.digits(page))); !passed(w) {
		t.Errorf("%d", w.Code)
	}
}

// TestEveryFlippedBit damages a token in every possible place.
func TestEveryFlippedBit(t *testing.T) {
	s := newSite(t, nil)
	token, err := testkit.ChallengeToken(s.challenged("/somewhere"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := captcha.Open(secret, "shop.example", token); err != nil {
		t.Fatal(err)
	}
	for i := range len(token) {
		for _, c := range []byte("ABQgwz09-_") {
			if token[i] == c {
				continue
			}
			if _, err := captcha.Open(secret, "shop.example", token[:i]+string(c)+token[i+1:]); err == nil {
				t.Fatalf("token with %c at %d opens", c, i)
			}
		}
	}
}

// TestReturnURL has visitors ask for hostile paths: none may lead off the site.
func TestReturnURL(t *testing.T) {
	for target, want := range map[string]string{
		"/a/b?c=d%26e&f":                "/a/b?c=d%26e&f",
		"/":                             "/",
		"/?":                            "/?",
		"//evil.example/x":              "/",
		"///evil.example":               "/",
		`/\evil.example`:                "/%5Cevil.example",
		`/a\b`:                          "/a%5Cb",
		"/%5cevil.example":              "/%5cevil.example",
		"/%2f%2fevil.example":           "/%2f%2fevil.example",
		"/%0d%0aLocation:%20x":          "/%0d%0aLocation:%20x",
		"/%09/evil.example":             "/%09/evil.example",
		"/javascript:alert(1)":          "/javascript:alert(1)",
		"/.rampart/verify":              "/",
		"/?next=//evil.example":         "/?next=//evil.example",
		`/?q=\\x`:                       `/?q=\\x`,
		"/é":                            "/%C3%A9",
		"/" + strings.Repeat("a", 1024): "/",
	} {
		s := newSite(t, nil)
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		r := browse("GET", "/", "")
		r.URL = u
		w := httptest.NewRecorder()
		s.gate.Intercept(w, r, s.visitor)
		w = s.solve(w.Body.String())
		w = s.do(with(browse("GET", w.Header().Get("Location"), ""), w.Result().Cookies()[0]))
		got := w.Header().Get("Location")
		if got != want {
			t.Errorf("%.60q led to %.60q, want %.60q", target, got, want)
		}
		to, err := url.Parse(got)
		if base, _ := url.Parse("https://shop.example/.rampart/ok"); err != nil || base.ResolveReference(to).Host != "shop.example" {
			t.Errorf("%.60q leaves the site", target)
		}
	}
}

func TestSafeReturn(t *testing.T) {
	for _, hostile := range []string{"", "x", "//x", `/\x`, `\\x`, "https://x", "javascript:alert(1)", "/a\r\nb", "/a\tb", "/\x00",
		"/a b", `/a\b`, "/a#b", "/\x7f", " /a", "/" + strings.Repeat("a", 1024), "/\t/evil.example"} {
		if got := captcha.SafeReturn(hostile); got != "/" {
			t.Errorf("SafeReturn(%.40q) = %.40q", hostile, got)
		}
	}
}

// TestWithoutCookies follows a client that keeps none: it must end on an
// explanation, not in a circle.
func TestWithoutCookies(t *testing.T) {
	s := newSite(t, nil)
	w := s.solve(s.challenged("/x"))
	hops := 1
	for ; w.Code/100 == 3 && hops < 10; hops++ {
		w = s.do(browse("GET", w.Header().Get("Location"), ""))
	}
	if hops > 3 || w.Code != 403 || !strings.Contains(w.Body.String(), "Cookies are needed") {
		t.Errorf("after %d hops: %d\n%.500s", hops, w.Code, w.Body)
	}
	if s.gate.Stats()["cookieless"] != 1 {
		t.Errorf("stats %v", s.gate.Stats())
	}
	_, link, _ := strings.Cut(w.Body.String(), `<a class="go" href="`)
	link, _, _ = strings.Cut(link, `"`)
	if w = s.do(browse("GET", link, "")); w.Code != 403 || !strings.Contains(w.Body.String(), `name="t"`) {
		t.Errorf("try again: %d", w.Code)
	}
}

func TestDecisionEndsMeanwhile(t *testing.T) {
	s := newSite(t, nil)
	page := s.challenged("/x")
	s.visitor.DecisionID, s.visitor.DecisionCreated = 0, time.Time{}
	s.clock.Advance(5 * time.Second)
	if w := s.do(s.answering(page, "0")); w.Code != 303 || w.Header().Get("Location") != "/x" {
		t.Errorf("wrong answer without a decision: %d %q", w.Code, w.Header().Get("Location"))
	}
}

func TestSecondClick(t *testing.T) {
	s := newSite(t, nil)
	page := s.challenged("/x")
	cookie := s.solve(page).Result().Cookies()[0]
	if w := s.do(with(s.answering(page, s.digits(page)), cookie)); w.Code != 303 || w.Header().Get("Location") != "/x" {
		t.Errorf("token again, with grace: %d %q", w.Code, w.Header().Get("Location"))
	}
}

func TestVerifyLimit(t *testing.T) {
	s := newSite(t, nil)
	r := func() *http.Request { return browse("POST", "/.rampart/verify", "t=x&a=1") }
	codes := map[int]int{}
	for range 30 {
		codes[s.do(r()).Code]++
	}
	if codes[429] != 25 || s.kinds()["expired"] != 10 {
		t.Errorf("%v %v, want 10 judged, 5 new pages, 25 times 429", codes, s.kinds())
	}
}

func TestStoreFull(t *testing.T) {
	clock := newClock()
	store := captcha.NewMemory(clock.Now)
	store.LimitBurnt(0)
	s := newSite(t, func(o *captcha.Options) { o.Store, o.Now = store, clock.Now })
	page := s.challenged("/")
	clock.Advance(5 * time.Second)
	w := s.do(s.answering(page, s.digits(page)))
	if w.Code != 403 || w.Header().Get("Set-Cookie") != "" || !strings.Contains(w.Body.String(), "in a moment") {
		t.Errorf("full store: %d", w.Code)
	}
	if st := s.gate.Stats(); st["store_errors"] != 1 || st["burnt_full"] != 1 {
		t.Errorf("stats %v", st)
	}
}
