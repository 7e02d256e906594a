package e2e

import (
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/store"
)

// visitor is who sits at the browser.
const visitor = "203.0.113.77"

// shop is a site behind a node, and what it was asked for.
type shop struct {
	*node
	secret []byte
	mu     sync.Mutex
	seen   []*http.Request
	forms  []string // bodies of the POSTs among them
}

// openShop starts a site and a node in front of it. The node's secret is made
// before the node opens its database, so that the test knows the answers.
func openShop(t *testing.T, rampart string) *shop {
	t.Helper()
	s := &shop{node: newNode(t)}
	origin := httptest.NewServer(s)
	t.Cleanup(origin.Close)
	s.write("Caddyfile", s.expand(fmt.Sprintf(`{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		contact help@example.com
		%s
	}
}
http://127.0.0.1:{port} {
	log {
		output file {dir}/access.log
	}
	rampart
	reverse_proxy %s
}
`, rampart, origin.Listener.Addr())))
	db, err := store.Open(filepath.Join(s.path("state"), "default"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.secret, err = db.Secret("node", 32); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s.start()
	return s
}

// ServeHTTP is the site.
func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.seen = append(s.seen, r)
	if r.Method == http.MethodPost {
		s.forms = append(s.forms, r.URL.RequestURI()+" "+string(body))
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if r.URL.Path == "/form" {
		fmt.Fprint(w, `<!doctype html><title>form</title><form method="post" action="/order?id=7"><input name="who" value="Müller &amp; Söhne"><input name="n" value="2"><button>send</button></form>`)
		return
	}
	fmt.Fprintf(w, "<!doctype html><title>shop</title><p>the shop: %s %s %s</p>", r.Method, html.EscapeString(r.URL.RequestURI()), html.EscapeString(string(body)))
}

func (s *shop) posts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.forms...)
}

// browser opens a browser whose requests come from an address.
func (s *shop) browser(ip string, o testkit.BrowserOptions) *testkit.Browser {
	b := testkit.StartBrowser(s.t, o)
	headers := map[string]string{"X-Forwarded-For": ip}
	if o.Language != "" {
		headers["Accept-Language"] = o.Language
	}
	b.SetHeaders(headers)
	return b
}

// solve answers the challenge that the browser shows, as slowly as a person.
func (s *shop) solve(b *testkit.Browser) {
	s.t.Helper()
	digits, err := testkit.Answer(s.secret, net.JoinHostPort("127.0.0.1", s.port), b.HTML())
	if err != nil {
		s.t.Fatalf("%v at %s:\n%s", err, b.URL(), b.Text())
	}
	time.Sleep(1600 * time.Millisecond)
	b.Type("#a", digits)
	b.AfterLoad(func() { b.Press("Enter", 13) })
}

// shoot takes a picture: into RAMPART_SCREENSHOTS, to be looked at, or nowhere that lasts.
func shoot(t *testing.T, b *testkit.Browser, name string) {
	t.Helper()
	dir := os.Getenv("RAMPART_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	file := filepath.Join(dir, name+".png")
	b.Screenshot(file)
	if info, err := os.Stat(file); err != nil || info.Size() < 5000 {
		t.Errorf("screenshot %s: %v, %v is too small to show a page", name, err, info)
	}
	var width struct{ Page, View int }
	b.Evaluate(`({Page: document.documentElement.scrollWidth, View: innerWidth})`, &width)
	if width.Page > width.View {
		t.Errorf("%s: the page is %d wide in a view of %d", name, width.Page, width.View)
	}
}

// behaved checks that a page kept to its own policy and asked for nothing foreign.
func behaved(t *testing.T, b *testkit.Browser, origin string) {
	t.Helper()
	for _, line := range b.Console() {
		if !strings.Contains(line, "responded with a status of 4") {
			t.Errorf("the browser complains: %s", line)
		}
	}
	for _, u := range b.Requests() {
		if !strings.HasPrefix(u, origin) && !strings.HasPrefix(u, "data:") && u != "about:blank" {
			t.Errorf("foreign request: %s", u)
		}
	}
}

func looks() map[string]testkit.BrowserOptions {
	return map[string]testkit.BrowserOptions{
		"light":    {},
		"dark":     {Dark: true, Language: "de-AT,de;q=0.9,en;q=0.5"},
		"narrow":   {Width: 320, Height: 800},
		"noscript": {NoScript: true},
	}
}

// TestChallengeInBrowser: a browser meets the challenge of the real proxy, answers
// it, and lands where it wanted to go; then what outranks a solved challenge.
func TestChallengeInBrowser(t *testing.T) {
	const target = "/catalogue?page=2&q=a%20b"
	s := openShop(t, "")
	i := 0
	for name, o := range looks() {
		i++
		ip := fmt.Sprintf("203.0.113.%d", 10+i)
		t.Run(name, func(t *testing.T) {
			b := s.browser(ip, o)
			s.do("decisions", "add", ip, "--type", "captcha")
			b.Navigate(s.url + target)
			shoot(t, b, "challenge-"+name)
			a := s.send(ip, "GET", target, "Accept", "text/html")
			if id := a.header.Get("X-Rampart-Incident"); a.status != 403 || a.remediation() != "captcha" || len(id) != 26 || !strings.Contains(a.body, id) {
				t.Errorf("challenge: %d %s, incident %q", a.status, a.remediation(), id)
			}
			if german := strings.Contains(b.Text(), "Ziffern"); german != (name == "dark") {
				t.Errorf("German %t:\n%s", german, b.Text())
			}
			if !strings.Contains(b.Text(), "help@example.com") {
				t.Errorf("no contact on the page:\n%s", b.Text())
			}
			s.solve(b)
			b.WaitURL(target)
			if want := "the shop: GET " + target; !strings.Contains(b.Text(), want) {
				t.Errorf("after the solve the page reads %q, want %q", b.Text(), want)
			}
			b.Navigate(s.url + "/next")
			if !strings.Contains(b.Text(), "the shop: GET /next") {
				t.Errorf("the next page is %q", b.Text())
			}
			behaved(t, b, s.url)
			if name != "light" && name != "noscript" {
				return
			}

			time.Sleep(3 * time.Second) // clocks of nodes may differ by two
			s.do("decisions", "add", ip, "--type", "captcha", "--duration", "5h")
			b.Navigate(s.url + target)
			if strings.Contains(b.Text(), "the shop") {
				t.Error("a later decision does not void the solved challenge")
			}
			s.solve(b)
			b.WaitURL(target)
			s.do("decisions", "add", ip)
			b.Navigate(s.url + target)
			if text := b.Text(); !strings.Contains(text, "Access refused") || strings.Contains(text, "the shop") {
				t.Errorf("a ban does not outrank a solved challenge: %q", text)
			}
			s.do("allowlist", "add", ip)
			b.Navigate(s.url + target)
			if !strings.Contains(b.Text(), "the shop") {
				t.Errorf("the allowlist does not outrank a ban: %q", b.Text())
			}
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.seen {
		if strings.Contains(r.Header.Get("Cookie"), "rampart") || strings.HasPrefix(r.URL.Path, "/.rampart") {
			t.Errorf("the site saw %s with cookies %q", r.URL, r.Header.Get("Cookie"))
		}
	}
}

// TestFormSurvivesTheChallenge: a form of the site that runs into a challenge
// arrives after it, once and as sent; another site's never does.
func TestFormSurvivesTheChallenge(t *testing.T) {
	const want = "/order?id=7 who=M%C3%BCller+%26+S%C3%B6hne&n=2"
	s := openShop(t, "")
	for i, noScript := range []bool{false, true} {
		ip := fmt.Sprintf("203.0.113.%d", 30+i)
		b := s.browser(ip, testkit.BrowserOptions{NoScript: noScript})
		b.Navigate(s.url + "/form")
		s.do("decisions", "add", ip, "--type", "captcha")
		before := len(s.posts())
		b.AfterLoad(func() { b.Click("button") })
		if n := len(s.posts()); n != before {
			t.Fatal("the form got through before the challenge was solved")
		}
		shoot(t, b, fmt.Sprintf("form-%t", noScript))
		s.solve(b)
		if noScript {
			shoot(t, b, "replay")
			b.AfterLoad(func() { b.Click("button.go") })
		}
		b.WaitURL("/order?id=7")
		if got := s.posts()[before:]; len(got) != 1 || got[0] != want {
			t.Errorf("script off %t: the site got %q, want %q once", noScript, got, want)
		}
		if !strings.Contains(b.Text(), "the shop: POST /order?id=7") {
			t.Errorf("the page reads %q", b.Text())
		}
		behaved(t, b, s.url)
	}

	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<form method="post" action="%s/order?id=7"><input name="who" value="mallory"><button>win</button></form>`, s.url)
	}))
	defer evil.Close()
	b := s.browser(visitor, testkit.BrowserOptions{})
	b.Navigate(evil.URL)
	s.do("decisions", "add", visitor, "--type", "captcha")
	before := len(s.posts())
	b.AfterLoad(func() { b.Click("button") })
	s.solve(b)
	b.WaitURL("/order?id=7")
	time.Sleep(500 * time.Millisecond)
	if got := s.posts()[before:]; len(got) != 0 {
		t.Errorf("another site's form was sent again: %q", got)
	}
}

// TestRefusalsInBrowser: the 403 and the 429 page of the real proxy.
func TestRefusalsInBrowser(t *testing.T) {
	s := openShop(t, "")
	s.do("decisions", "add", "203.0.113.50")
	s.do("decisions", "add", "203.0.113.51", "--type", "throttle", "--duration", "90s")
	for name, o := range looks() {
		t.Run(name, func(t *testing.T) {
			for what, ip := range map[string]string{"ban": "203.0.113.50", "throttle": "203.0.113.51"} {
				b := s.browser(ip, o)
				b.Navigate(s.url + "/wp-login.php")
				shoot(t, b, what+"-"+name)
				title, code := "", ""
				b.Evaluate("document.title", &title)
				b.Evaluate("document.querySelector('code').textContent", &code)
				var height int // in lines: the incident id is not broken
				b.Evaluate("document.querySelector('code').getClientRects().length", &height)
				if height != 1 {
					t.Errorf("%s: the incident id takes %d lines", what, height)
				}
				if want := map[string]string{"ban": "Access refused", "throttle": "Too many requests"}[what]; title != want || len(code) != 26 {
					t.Errorf("%s: title %q, incident %q", what, title, code)
				}
				if out := s.do("why", code); !strings.Contains(out, ip) {
					t.Errorf("why says\n%s", out)
				}
				behaved(t, b, s.url)
			}
		})
	}
}
