package captcha_test

import (
	"html"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
