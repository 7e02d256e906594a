package localapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestMux(t *testing.T) {
	d := newDesk(t)
	echo := func(c *call) error { return c.json(200, []string{c.param("a"), c.param("b"), c.param("c")}) }
	d.with(
		route{"GET", "/v1/x/:a", open, 0, echo},
		route{"HEAD", "/v1/x/:a", open, 0, func(c *call) error { return c.head(204) }},
		route{"DELETE", "/v1/x/:a", open, 0, echo},
		route{"POST", "/v1/x", open, 0, echo},
		route{"GET", "/v1/x/fixed", open, 0, func(c *call) error { return c.empty(200) }},
		route{"GET", "/v1/:a/y/:b", open, 0, echo},
		route{"GET", "/v1/fail", open, 0, func(*call) error { return fail(418, "no %s", "tea") }},
		route{"GET", "/v1/error", open, 0, func(*call) error { return errors.New("it broke") }},
	)
	for _, c := range []struct {
		method, path, body string
		status             int
		header, value      string
	}{
		{"GET", "/health", `{"status":"up"}`, 200, "Cache-Control", "no-cache"},
		{"GET", "/health", `{"status":"up"}`, 200, "Pragma", "no-cache"},
		{"GET", "/", "", 404, "Content-Type", ""},
		{"GET", "/v1/nope", "", 404, "Content-Type", ""},
		{"GET", "/v2/heartbeat", "", 404, "", ""},
		{"PUT", "/v1/heartbeat", "", 405, "Allow", "GET"},
		{"PUT", "/v1/x/1", "", 405, "Allow", "GET, HEAD, DELETE"},
		{"BREW", "/v1/x/1", "", 405, "", ""},
		{"GET", "/v1/x/1", `["1","",""]`, 200, "Content-Type", jsonType},
		{"DELETE", "/v1/x/1", `["1","",""]`, 200, "", ""},
		{"HEAD", "/v1/x/1", "", 204, "Content-Type", "text/plain; charset=utf-8"},
		{"GET", "/v1/x/fixed", "", 200, "Content-Type", ""},
		{"GET", "/v1/x/1.2.3.0%2F24", `["1.2.3.0/24","",""]`, 200, "", ""},
		{"GET", "/v1/x/1.2.3.0/24", "", 404, "", ""},
		{"GET", "/v1/x/2001:db8::1", `["2001:db8::1","",""]`, 200, "", ""},
		{"GET", "/v1/x/%252F", `["%2F","",""]`, 200, "", ""},
		{"GET", "/v1/one/y/t%2Fw%20o", `["one","t/w o",""]`, 200, "", ""},
		{"GET", "/v1/x/", "", 404, "", ""},
		{"GET", "//v1/x/1", "", 404, "", ""},
		{"GET", "/v1/x/1/", "", 301, "Location", "/v1/x/1"},
		{"GET", "/v1/x/1%2F2/?q=%2F", "", 301, "Location", "/v1/x/1%2F2?q=%2F"},
		{"POST", "/v1/x/", "", 307, "Location", "/v1/x"},
		{"PUT", "/v1/x/1/", "", 404, "", ""},
		{"GET", "/v1/fail", `{"message":"no tea"}`, 418, "Content-Type", jsonType},
		{"GET", "/v1/error", `{"message":"it broke"}`, 500, "", ""},
	} {
		a := d.do(c.method, c.path, "")
		if a.status != c.status || a.header.Get(c.header) != c.value || a.status != 301 && a.body != c.body {
			t.Errorf("%s %s: %d %q, %s %q; want %d %q %q", c.method, c.path, a.status, a.body,
				c.header, a.header.Get(c.header), c.status, c.body, c.value)
		}
		if a.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: compressed", c.path)
		}
	}
	if a := d.do("GET", "/v1/x/1", "", header("Accept-Encoding", "gzip")); a.header.Get("Content-Encoding") != "" || a.status != 200 {
		t.Error("the answer is compressed")
	}
}

// FuzzMux: whatever the path, a redirect leads to a path of this server, and what is
// found binds as many variables as the pattern has.
func FuzzMux(f *testing.F) {
	m := newMux(append(routes(), route{"GET", "/v1/x/:a", open, 0, nil}, route{"GET", "/v1/:a/y/:b", open, 0, nil}))
	for _, s := range []string{"/v1/x/1%2F2", "//evil.example/v1/x/1/", "/v1/x/1/", "/%76%31/x/1", "/v1/x/%zz", "/v1//y/", "/\\evil/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Host != "" {
			return
		}
		w := httptest.NewRecorder()
		found, params := m.find(w, &http.Request{Method: "GET", URL: u, Header: http.Header{}})
		if found != nil && strings.Count(found.pattern, ":") != len(params) {
			t.Errorf("%q: %s with %q", path, found.pattern, params)
		}
		if to := w.Result().Header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/v1/") && !strings.HasPrefix(to, "/health")) {
			t.Errorf("%q leads to %q", path, to)
		}
	})
}
