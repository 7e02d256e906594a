package captcha_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestHTTP2 refuses over a real HTTP/2 connection, which one refusal must not end.
func TestHTTP2(t *testing.T) {
	s := newSite(t, nil)
	conns := make(map[string]bool)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		conns[r.RemoteAddr] = true
		s.mu.Unlock()
		s.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	ask := func(method, contentType, accept string, body io.Reader) *http.Response {
		t.Helper()
		r, err := http.NewRequest(method, server.URL+"/x", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Accept", accept)
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.ProtoMajor != 2 || res.Header.Get("Connection") != "" {
			t.Errorf("%s, Connection %q", res.Proto, res.Header.Get("Connection"))
		}
		res.Body = io.NopCloser(strings.NewReader(string(text)))
		return res
	}
	large := func() io.Reader { return io.LimitReader(endless{}, 8<<20) }
	if res := ask("POST", "multipart/form-data; boundary=x", "text/html", large()); res.StatusCode != 403 {
		t.Errorf("large upload: %d", res.StatusCode)
	}
	if res := ask("POST", "application/json", "application/json", large()); res.StatusCode != 403 || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("large JSON: %d", res.StatusCode)
	}
	res := ask("POST", "application/grpc", "", large())
	if text, _ := io.ReadAll(res.Body); res.StatusCode != 200 || res.Header.Get("Grpc-Status") != "7" || len(text) != 0 {
		t.Errorf("gRPC: %d, status %q, body %q", res.StatusCode, res.Header.Get("Grpc-Status"), text)
	}
	if res := ask("GET", "", "text/html", nil); res.StatusCode != 403 {
		t.Errorf("page: %d", res.StatusCode)
	}
	if len(conns) != 1 {
		t.Errorf("%d connections, want all on one", len(conns))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

var (
	rootColours = regexp.MustCompile(`:root\{([^}]*)\}`)
	oneColour   = regexp.MustCompile(`--(\w+):#([0-9a-f]{3,6})\b`)
)

// TestContrast checks the colours of both schemes against WCAG 2.2 AA: 4.5 for
// text, 3 for the edge of the input and the focus ring.
func TestContrast(t *testing.T) {
	page, err := os.ReadFile("page.html")
	if err != nil {
		t.Fatal(err)
	}
	blocks := rootColours.FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 2 {
		t.Fatalf("%d colour schemes", len(blocks))
	}
	for i, name := range []string{"light", "dark"} {
		colours := make(map[string]string)
		for _, m := range oneColour.FindAllStringSubmatch(blocks[i][1], -1) {
			colours[m[1]] = m[2]
		}
		for _, c := range []struct {
			front, back string
			least       float64
		}{
			{"ink", "card", 4.5}, {"soft", "card", 4.5}, {"accent", "card", 4.5}, {"deep", "card", 4.5}, {"on", "accent", 4.5},
			{"on", "deep", 4.5}, {"bad", "badbg", 4.5}, {"ink", "note", 4.5}, {"edge", "card", 3}, {"badline", "card", 3},
		} {
			if got := contrast(t, colours[c.front], colours[c.back]); got < c.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", name, c.front, c.back, got, c.least)
			}
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = fmt.Sprintf("%c%c%c%c%c%c", hex[0], hex[0], hex[1], hex[1], hex[2], hex[2])
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
