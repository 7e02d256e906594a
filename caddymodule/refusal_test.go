package caddymodule

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// pageOut is where TestRefusalPage leaves the page, to be looked at.
var pageOut = flag.String("page-out", "", "write the refusal page to this file")

// shotOut is where TestRefusalInBrowser leaves a picture.
var shotOut = flag.String("shot-out", "", "write a picture of the refusal page to this file")

func ban() notice {
	return notice{Status: 403, Remediation: "ban", Incident: "01JDEFGH0123456789ABCDEFGH",
		Time: time.Date(2026, 11, 24, 6, 5, 4, 321e6, time.UTC), Contact: "help@example.com"}
}

func throttle() notice {
	n := ban()
	n.Status, n.Remediation, n.RetryAfter = 429, "throttle", 1500*time.Millisecond
	return n
}

// answer lets the page answer a request with these headers, written "Name: value".
func answer(t *testing.T, n notice, method string, proto int, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	page, err := newRefusalPage()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, "/wp-login.php", nil)
	r.ProtoMajor = proto
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	w.Header().Set("Content-Security-Policy", "default-src *") // the site's own
	w.Header().Set("Etag", `"x"`)
	page.write(w, r, n)
	return w
}

// TestRefusalForms: who gets which form of a refusal.
func TestRefusalForms(t *testing.T) {
	const (
		html    = "text/html; charset=utf-8"
		problem = "application/problem+json"
	)
	for _, tc := range []struct {
		name    string
		method  string
		proto   int
		headers []string
		status  int
		kind    string
		empty   bool
	}{
		{"browser", "GET", 2, []string{"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Sec-Fetch-Dest: document"}, 403, html, false},
		{"old browser", "GET", 1, []string{"Accept: text/html"}, 403, html, false},
		{"form post", "POST", 2, []string{"Accept: text/html", "Content-Type: application/x-www-form-urlencoded"}, 403, html, false},
		{"several accept headers", "GET", 1, []string{"Accept: application/json", "Accept: text/html;q=0.1"}, 403, html, false},
		{"html unwanted", "GET", 1, []string{"Accept: text/html;q=0, application/json"}, 403, problem, false},
		{"everything", "GET", 1, []string{"Accept: */*"}, 403, problem, false},
		{"no accept", "GET", 1, nil, 403, problem, false},
		{"json", "POST", 2, []string{"Accept: application/json", "Content-Type: application/json"}, 403, problem, false},
		{"garbage accept", "GET", 1, []string{"Accept: ;;;,text//html,\x01"}, 403, problem, false},
		{"picture", "GET", 2, []string{"Accept: image/avif,*/*;q=0.8", "Sec-Fetch-Dest: image"}, 403, "", true},
		{"script", "GET", 2, []string{"Accept: */*", "Sec-Fetch-Dest: script"}, 403, "", true},
		{"head, browser", "HEAD", 1, []string{"Accept: text/html"}, 403, html, true},
		{"head", "HEAD", 1, nil, 403, problem, true},
		{"grpc", "POST", 2, []string{"Content-Type: application/grpc+proto"}, 200, "application/grpc", true},
		{"websocket", "GET", 1, []string{"Upgrade: websocket", "Connection: upgrade"}, 403, problem, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := answer(t, ban(), tc.method, tc.proto, tc.headers...)
			h := w.Header()
			if w.Code != tc.status || h.Get("Content-Type") != tc.kind || (w.Body.Len() == 0) != tc.empty {
				t.Errorf("%d %q, %d bytes", w.Code, h.Get("Content-Type"), w.Body.Len())
			}
			for name, want := range map[string]string{
				"X-Rampart-Remediation": "ban", "X-Rampart-Incident": ban().Incident, "Cache-Control": "private, no-store, max-age=0",
				"Cdn-Cache-Control": "no-store", "Surrogate-Control": "no-store", "Vary": "Cookie, Accept, Sec-Fetch-Dest",
				"X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
				"Etag": "", "Retry-After": "",
			} {
				if h.Get(name) != want {
					t.Errorf("%s: %q", name, h.Get(name))
				}
			}
			if close := h.Get("Connection") == "close"; close != (tc.proto == 1) {
				t.Errorf("Connection: %q on HTTP/%d", h.Get("Connection"), tc.proto)
			}
			if tc.kind == "application/grpc" && (h.Get("Grpc-Status") != "7" || !strings.Contains(h.Get("Grpc-Message"), ban().Incident)) {
				t.Errorf("gRPC status %q, %q", h.Get("Grpc-Status"), h.Get("Grpc-Message"))
			}
		})
	}
}

// TestRefusalThrottle: how long to wait is in the header, the JSON and the page.
func TestRefusalThrottle(t *testing.T) {
	w := answer(t, throttle(), "GET", 2, "Accept: application/json")
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if w.Code != 429 || w.Header().Get("Retry-After") != "2" || p.RetryAfter != 2 || p.Type != "urn:rampart:throttle" ||
		p.Incident != ban().Incident || p.Contact != "help@example.com" || p.Status != 429 {
		t.Errorf("%d, Retry-After %q, %+v", w.Code, w.Header().Get("Retry-After"), p)
	}
	if w = answer(t, throttle(), "GET", 2, "Accept: text/html"); !strings.Contains(w.Body.String(), "in 2 seconds") {
		t.Error("the page does not say how long to wait")
	}
	if w = answer(t, throttle(), "POST", 2, "Content-Type: application/grpc"); w.Header().Get("Grpc-Status") != "8" {
		t.Errorf("gRPC status %q", w.Header().Get("Grpc-Status"))
	}
	for seconds, want := range map[int]string{1: "in 1 seconds", 119: "in 119 seconds", 120: "in 2 minutes", 3600: "in 60 minutes", 7201: "in 3 hours"} {
		if got := after(seconds); got != want {
			t.Errorf("%d: %q", seconds, got)
		}
	}
	if n := (notice{}); n.seconds() != 1 {
		t.Errorf("no time is %d seconds", n.seconds())
	}
}

// TestRefusalPage: the page says what it must, asks for nothing from anywhere, and
// its style is the one that its policy admits.
func TestRefusalPage(t *testing.T) {
	w := answer(t, ban(), "GET", 2, "Accept: text/html")
	body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	if *pageOut != "" {
		if err := os.WriteFile(*pageOut, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(body) > 8000 {
		t.Errorf("%d bytes", len(body))
	}
	for _, part := range []string{`lang="en"`, "<h1>", ban().Incident, `datetime="2026-11-24T06:05:04Z"`, "24 November 2026",
		`href="mailto:help@example.com"`, "prefers-color-scheme:dark"} {
		if !strings.Contains(body, part) {
			t.Errorf("%q is missing", part)
		}
	}
	for _, part := range []string{"http://", "https://", "<script", "<img", "<link", "url(", "@import", "onclick", "style=\""} {
		if strings.Contains(body, part) {
			t.Errorf("%q is in the page", part)
		}
	}
	css, err := refusalFiles.ReadFile("refusal.css")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(body, "<style>"+string(css)+"</style>") {
		t.Error("the style in the page is not the one that was hashed")
	}
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
}

// TestRefusalContact: a contact is a link only if it is one, and never markup.
func TestRefusalContact(t *testing.T) {
	for contact, want := range map[string]string{
		"":                            "",
		"help@example.com":            `<a href="mailto:help@example.com" rel="noreferrer">help@example.com</a>`,
		"https://example.com/h?a=1":   `<a href="https://example.com/h?a=1" rel="noreferrer">`,
		"call the desk":               `<dd>call the desk;`,
		"mail us @ noon":              `<dd>mail us @ noon;`,
		"javascript:alert(1)":         `<dd>javascript:alert(1);`,
		`"><script>alert(1)</script>`: `<dd>&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;;`,
	} {
		n := ban()
		n.Contact = contact
		body := answer(t, n, "GET", 1, "Accept: text/html").Body.String()
		if want == "" && strings.Contains(body, "Help") || !strings.Contains(body, want) {
			t.Errorf("%q: no %q in the page", contact, want)
		}
		if strings.Contains(body, "<script") {
			t.Errorf("%q became markup", contact)
		}
	}
}

// TestRefusalOverHTTP: lengths and closing, as a client sees them.
func TestRefusalOverHTTP(t *testing.T) {
	page, err := newRefusalPage()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { page.write(w, r, ban()) }))
	defer s.Close()
	for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "DELETE"} {
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL, strings.NewReader(strings.Repeat("x", 100_000)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		resp.Body.Close()
		if resp.StatusCode != 403 || !resp.Close || resp.ContentLength < 100 {
			t.Errorf("%s: %d, close %t, length %d", method, resp.StatusCode, resp.Close, resp.ContentLength)
		}
	}
}
