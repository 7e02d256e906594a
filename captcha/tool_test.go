package captcha

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestTools: refusals of programs are told of, so that a scanner that asks for no
// page still shows; what a page in a browser asks for by itself is not.
func TestTools(t *testing.T) {
	for name, tt := range map[string]struct {
		header map[string]string
		method string
		told   bool
	}{
		"curl":                {map[string]string{"Accept": "*/*", "User-Agent": "curl/8.5.0"}, "GET", true},
		"no headers at all":   {nil, "GET", true},
		"a POST of a tool":    {map[string]string{"Content-Type": "application/json"}, "POST", true},
		"HEAD of a tool":      {nil, "HEAD", true},
		"fetch over https":    {map[string]string{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"}, "GET", false},
		"fetch over http":     {map[string]string{"Accept": "*/*", "Referer": "http://example.com/"}, "GET", false},
		"XMLHttpRequest":      {map[string]string{"X-Requested-With": "XMLHttpRequest"}, "GET", false},
		"another site's":      {map[string]string{"Origin": "https://example.org"}, "GET", false},
		"a picture of a page": {map[string]string{"Sec-Fetch-Dest": "image"}, "GET", false},
	} {
		var told []string
		g, err := New(Options{Secret: make([]byte, 32), Result: func(r Result) { told = append(told, r.Kind) }})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(tt.method, "http://example.com/x", nil)
		for k, v := range tt.header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		g.Intercept(w, r, Visitor{Host: "example.com", DecisionID: 1})
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: status %d", name, w.Code)
		}
		if got := len(told) == 1 && told[0] == "refused"; got != tt.told || len(told) > 1 {
			t.Errorf("%s: told of %q", name, told)
		}
	}
}
