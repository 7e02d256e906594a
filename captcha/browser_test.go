package captcha_test

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// realSite serves a site on loopback, by the real clock: no minimum solve time,
// since a driven browser is quick, and no https, since the port has none.
func realSite(t *testing.T) (*site, string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: the browser test did not run")
	}
	s := newSite(t, func(o *captcha.Options) { o.MinSolve, o.Now = -1, time.Now })
	s.visitor.TLS, s.visitor.DecisionCreated = false, time.Now()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.visitor.Host = strings.TrimPrefix(server.URL, "http://")
	return s, server.URL
}

// pictures is where screenshots go: RAMPART_SCREENSHOTS, or a temporary folder.
func pictures(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("RAMPART_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	return filepath.Join(dir, name)
}

func shoot(t *testing.T, b *testkit.Browser, name string) {
	t.Helper()
	file := pictures(t, name)
	b.Screenshot(file)
	if info, err := os.Stat(file); err != nil || info.Size() < 5000 {
		t.Errorf("screenshot %s: %v, too small to show a page", name, info)
	}
}

func answerOf(t *testing.T, s *site, b *testkit.Browser) string {
	t.Helper()
	digits, err := testkit.Answer(secret, s.visitor.Host, html.UnescapeString(b.HTML()))
	if err != nil {
		t.Fatalf("%v at %s:\n%.500s", err, b.URL(), b.HTML())
	}
	return digits
}

// clean checks that the page kept to its own policy and loaded nothing foreign.
func clean(t *testing.T, b *testkit.Browser, origin string) {
	t.Helper()
	for _, line := range b.Console() {
		if !strings.Contains(line, "the server responded with a status of 403") &&
			!strings.Contains(line, "the server responded with a status of 429") {
			t.Errorf("browser complains: %s", line)
		}
	}
	for _, u := range b.Requests() {
		if !strings.HasPrefix(u, origin) && !strings.HasPrefix(u, "data:") && u != "about:blank" {
			t.Errorf("foreign request: %s", u)
		}
	}
}

func TestBrowserSolves(t *testing.T) {
	for name, o := range map[string]testkit.BrowserOptions{
		"light":    {},
		"dark":     {Dark: true, Language: "de-AT,de;q=0.9,en;q=0.5"},
		"narrow":   {Width: 320, Height: 800},
		"noscript": {NoScript: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, origin := realSite(t)
			b := testkit.StartBrowser(t, o)
			b.Navigate(origin + "/catalogue?page=2&q=a%20b")
			shoot(t, b, "challenge-"+name+".png")
			if n := len(b.Requests()); n > 4 {
				t.Errorf("%d requests for one page: %q", n, b.Requests())
			}
			if text := b.Text(); !strings.Contains(text, s.visitor.Incident) || !strings.Contains(text, "help@example.com") {
				t.Errorf("no incident or contact on the page:\n%s", text)
			}
			var width struct{ Page, View int }
			b.Evaluate(`({Page: document.documentElement.scrollWidth, View: innerWidth})`, &width)
			if width.Page > width.View {
				t.Errorf("page is %d wide in a viewport of %d", width.Page, width.View)
			}

			b.Type("#a", wrongDigits(answerOf(t, s, b)))
			b.AfterLoad(func() { b.Press("Enter", 13) })
			shoot(t, b, "wrong-"+name+".png")
			if s.kinds()["failed"] != 1 {
				t.Errorf("results %v, want one failure", s.kinds())
			}

			b.Type("#a", answerOf(t, s, b))
			b.AfterLoad(func() { b.Click("button.go") })
			b.WaitURL("/catalogue?page=2&q=a%20b")
			if text := b.Text(); !strings.Contains(text, "the shop") {
				t.Errorf("not on the site after the solve:\n%s", text)
			}
			clean(t, b, origin)
		})
	}
}

// formPage is a page of the site with a form of odd fields. Chrome itself
// encodes them, so what it sends without a challenge is the oracle.
const formPage = `<!doctype html><meta charset="utf-8"><title>form</title>
<form method="post" action="/order?id=7&amp;x=%2F" accept-charset="CHARSET">
<input name="name" value="Müller &amp; Söhne &quot;+&quot; &lt;b&gt; €">
<input name="item" value="1"><input name="item" value="2"><input name="item" value="">
<input name="submit" value="shadow"><input name="odd[]=" value="%41&#9;&#xa0;">
<textarea name="text">
 first line
second	line

last &lt;/textarea&gt;&lt;script&gt;alert(1)&lt;/script&gt;</textarea>
<button>send</button></form>`

// TestBrowserReplaysForm sends a form twice, without and with a challenge in
// between: the site must receive the same bytes.
func TestBrowserReplaysForm(t *testing.T) {
	for name, c := range map[string]struct {
		charset  string
		noScript bool
	}{
		"script":   {"utf-8", false},
		"noscript": {"utf-8", true},
		"latin":    {"windows-1252", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := realSite(t)
			form := strings.Replace(formPage, "CHARSET", c.charset, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && r.URL.Path == "/form" {
					io.WriteString(w, form)
					return
				}
				s.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			s.visitor.Host = strings.TrimPrefix(server.URL, "http://")
			decision := s.visitor.DecisionID
			s.visitor.DecisionID = 0

			b := testkit.StartBrowser(t, testkit.BrowserOptions{NoScript: c.noScript})
			b.Navigate(server.URL + "/form")
			b.AfterLoad(func() { b.Click("button") })

			s.mu.Lock()
			s.visitor.DecisionID = decision
			s.mu.Unlock()
			b.Navigate(server.URL + "/form")
			b.AfterLoad(func() { b.Click("button") })
			if !strings.Contains(b.Text(), "is kept") {
				t.Errorf("the page does not say that the form is kept:\n%s", b.Text())
			}
			shoot(t, b, "form-"+name+".png")
			b.AfterLoad(func() { b.Click("button[value=look]") }) // the form survives a new picture
			b.Type("#a", wrongDigits(answerOf(t, s, b)))
			b.AfterLoad(func() { b.Press("Enter", 13) }) // and a wrong answer
			b.Type("#a", answerOf(t, s, b))
			b.AfterLoad(func() { b.Click("button.go") })
			if c.noScript {
				shoot(t, b, "replay.png")
				b.AfterLoad(func() { b.Click("button.go") })
			}
			b.WaitURL("/order?id=7&x=%2F")
			clean(t, b, server.URL)
			s.mu.Lock()
			defer s.mu.Unlock()
			var posts []*http.Request
			var bodies []string
			for i, r := range s.upstream { // the icon is asked for too
				if r.Method == http.MethodPost {
					posts, bodies = append(posts, r), append(bodies, s.bodies[i])
				}
			}
			if len(posts) != 2 {
				t.Fatalf("%d forms upstream, want 2", len(posts))
			}
			if diff := cmp.Diff(bodies[0], bodies[1]); diff != "" || len(bodies[0]) < 100 {
				t.Errorf("the replayed form differs from the direct one:\n%s", diff)
			}
			if got := posts[1]; got.URL.RequestURI() != "/order?id=7&x=%2F" || got.Header.Get("Cookie") != "" {
				t.Errorf("replayed to %s with cookies %q", got.URL.RequestURI(), got.Header.Get("Cookie"))
			}
		})
	}
}

// TestBrowserListens plays a recording, answers it, and looks at the other pages.
func TestBrowserListens(t *testing.T) {
	s, origin := realSite(t)
	b := testkit.StartBrowser(t, testkit.BrowserOptions{Language: "de"})
	b.Navigate(origin + "/")
	b.AfterLoad(func() { b.Click("button[value=listen]") })
	shoot(t, b, "audio.png")
	var duration float64
	b.Evaluate(`new Promise((ok, bad) => { const a = document.querySelector("audio"); a.preload = "metadata";
		a.onloadedmetadata = () => ok(a.duration); a.onerror = () => bad(a.error); a.load() })`, &duration)
	if duration < 5 || duration > 60 {
		t.Errorf("recording of %v s", duration)
	}
	b.Type("#a", answerOf(t, s, b))
	b.AfterLoad(func() { b.Press("Enter", 13) })
	b.WaitURL("/")
	if !strings.Contains(b.Text(), "the shop") {
		t.Errorf("not on the site:\n%s", b.Text())
	}
	clean(t, b, origin)
}

func TestBrowserWithoutCookies(t *testing.T) {
	s, _ := realSite(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Cookie") // as if the browser kept none
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	origin := server.URL
	s.visitor.Host = strings.TrimPrefix(origin, "http://")
	b := testkit.StartBrowser(t, testkit.BrowserOptions{})
	b.Navigate(origin + "/x")
	b.Type("#a", answerOf(t, s, b))
	b.AfterLoad(func() { b.Press("Enter", 13) })
	if !strings.Contains(b.Text(), "Cookies are needed") {
		t.Errorf("no explanation:\n%s", b.Text())
	}
	shoot(t, b, "cookies.png")
	for range 6 {
		b.Navigate(origin + "/x")
	}
	if !strings.Contains(b.Text(), "Please wait") {
		t.Errorf("no limit:\n%s", b.Text())
	}
	shoot(t, b, "limited.png")
	clean(t, b, origin)
}
