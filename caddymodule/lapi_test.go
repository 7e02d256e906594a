package caddymodule

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// fetch makes one call and tells whether it went over a connection that was there.
func fetch(t *testing.T, c *http.Client, method, url, body string) (status int, text string, reused bool) {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data), reused
}

// TestLocalAPI: it is served at its own address and under a site, through reloads; one
// that names an address that is taken leaves all as it was.
func TestLocalAPI(t *testing.T) {
	api, port := freePort(t), freePort(t)
	block := rampartBlock(t, "%s\napi {\n%s\n}")
	config := func(more string, listen int) string {
		return withGlobals(t, fmt.Sprintf(block, more, fmt.Sprintf("listen 127.0.0.1:%d", listen)), fmt.Sprintf(
			"http://localhost:%d {\nbind 127.0.0.1\nrampart\nhandle_path /crowdsec/* {\nrampart_lapi\n}\nrespond site\n}", port))
	}
	load(t, config("", api))
	c := &http.Client{}
	defer c.CloseIdleConnections()
	own, site := fmt.Sprintf("http://127.0.0.1:%d", api), fmt.Sprintf("http://localhost:%d", port)
	check := func(when string) {
		t.Helper()
		for _, q := range []struct {
			method, url, body string
			status            int
			text              string
		}{
			{"GET", own + "/health", "", 200, `"up"`},
			{"GET", site + "/crowdsec/health", "", 200, `"up"`},
			{"GET", own + "/v1/decisions", "", 403, "access forbidden"},
			{"GET", site + "/crowdsec/v1/decisions", "", 403, "access forbidden"},
			{"GET", site + "/v1/decisions", "", 200, "site"},
			{"GET", site + "/crowdsec/other", "", 200, "site"},
		} {
			status, text, _ := fetch(t, c, q.method, q.url, q.body)
			if status != q.status || !strings.Contains(text, q.text) {
				t.Errorf("%s: %s %s: %d %q, want %d with %q", when, q.method, q.url, status, text, q.status, q.text)
			}
		}
	}
	check("at first")
	load(t, config("contact x@example.com", api))
	if _, _, reused := fetch(t, c, "GET", own+"/health", ""); !reused {
		t.Error("a reload closed a connection of the Local API")
	}
	check("after a reload")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = caddy.Load(mustAdapt(t, config("", taken.Addr().(*net.TCPAddr).Port)), true)
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("an address that is taken: %v", err)
	}
	check("after a bad reload")
	load(t, withGlobals(t, fmt.Sprintf(block, "", "off"), fmt.Sprintf("http://localhost:%d {\nbind 127.0.0.1\nrampart_lapi\nrespond site\n}", port)))
	if status, text, _ := fetch(t, c, "GET", site+"/health", ""); status != 200 || !strings.Contains(text, "up") {
		t.Errorf("under a site alone: %d %q", status, text)
	}
	// The old listener ends beside the reload.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", api))
		if err != nil {
			break
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("an address that is off is still open")
		}
	}
}

// TestLocalAPIIsAskedFor: the directive alone serves nothing, and says what to do.
func TestLocalAPIIsAskedFor(t *testing.T) {
	err := validate(t, withGlobals(t, rampartBlock(t, ""), "http://localhost {\nrampart_lapi\n}"))
	if err == nil || !strings.Contains(err.Error(), "add api to the rampart block") {
		t.Errorf("without api: %v", err)
	}
	err = validate(t, withGlobals(t, rampartBlock(t, "api {\nauto_registration {env.RAMPART_TEST_UNSET} 192.0.2.0/24\n}"), ""))
	if err == nil || !strings.Contains(err.Error(), "token is empty") {
		t.Errorf("a token that is not there: %v", err)
	}
}

// TestLocalAPIClient: whose a call is Caddy alone says.
func TestLocalAPIClient(t *testing.T) {
	for name, tc := range map[string]struct {
		vars    map[string]any
		headers clientHeaders
		forward string
		want    netip.Addr
	}{
		"direct":          {vars: map[string]any{caddyhttp.ClientIPVarKey: "192.0.2.7"}, want: netip.MustParseAddr("192.0.2.7")},
		"a header of it":  {vars: map[string]any{caddyhttp.ClientIPVarKey: "192.0.2.7"}, forward: "127.0.0.1", want: netip.MustParseAddr("192.0.2.7")},
		"mapped":          {vars: map[string]any{caddyhttp.ClientIPVarKey: "::ffff:192.0.2.7"}, want: netip.MustParseAddr("192.0.2.7")},
		"unknown":         {vars: map[string]any{}},
		"nonsense":        {vars: map[string]any{caddyhttp.ClientIPVarKey: "localhost"}},
		"through a proxy": {vars: map[string]any{caddyhttp.ClientIPVarKey: "192.0.2.7", caddyhttp.TrustedProxyVarKey: true}, headers: clientHeaders{"X-Forwarded-For"}, forward: "192.0.2.7", want: netip.MustParseAddr("192.0.2.7")},
		"proxy says else": {vars: map[string]any{caddyhttp.ClientIPVarKey: "192.0.2.7", caddyhttp.TrustedProxyVarKey: true}, headers: clientHeaders{"X-Forwarded-For"}, forward: "nobody"},
	} {
		r := httptest.NewRequest("GET", "/v1/decisions", nil)
		r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, tc.vars))
		if tc.forward != "" {
			r.Header.Set("X-Forwarded-For", tc.forward)
		}
		if got := (&LAPIHandler{clientIP: tc.headers}).client(r); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
