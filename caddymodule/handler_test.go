package caddymodule

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/rampart-edge/rampart/appliance"
)

// trustLoopback makes the servers of a test take clients from X-Forwarded-For.
const trustLoopback = "\nservers {\ntrusted_proxies static 127.0.0.1/32\ntrusted_proxies_strict\n}"

// decide adds a decision to the node that runs.
func decide(t *testing.T, kind, value string) {
	t.Helper()
	r := httptest.NewRequest("POST", "/rampart/decisions", strings.NewReader(
		fmt.Sprintf(`{"value":%q,"type":%q,"duration":"90s"}`, value, kind)))
	w := httptest.NewRecorder()
	runningNode().ServeAdmin(w, r)
	if w.Code != 200 {
		t.Fatalf("adding a decision: %d %s", w.Code, w.Body)
	}
}

// ask sends a request for a client and returns the answer with its body.
func ask(t *testing.T, c *http.Client, url, from string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if from != "" {
		r.Header.Set("X-Forwarded-For", from)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// accessLog waits for the n-th entry of an access log and returns it.
func accessLog(t *testing.T, file string, n int) map[string]any {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if lines := bytes.Split(bytes.TrimSpace(data), []byte("\n")); len(lines) >= n && len(lines[n-1]) > 0 {
			var entry map[string]any
			if json.Unmarshal(lines[n-1], &entry) == nil {
				return entry
			}
		}
	}
	t.Fatalf("no entry %d in %s", n, file)
	return nil
}

// TestHandlerActions: what clients with decisions against them get, and that the
// same incident id is in the header, the body, the log and the placeholder.
func TestHandlerActions(t *testing.T) {
	port, log := freePort(t), filepath.Join(t.TempDir(), "access.log")
	var passed atomic.Int32
	behind := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		passed.Add(1)
		_, _ = io.WriteString(w, "behind")
	})
	load(t, withGlobals(t, rampartBlock(t, "allow 203.0.113.200\ncontact ops@example.com")+trustLoopback,
		fmt.Sprintf("http://localhost:%d {\nbind 127.0.0.1\nlog {\noutput file %s\n}\nheader X-Site yes\nlog_append seen_incident {http.vars.rampart.incident}\nrampart\n%s\n}",
			port, log, behind)))
	decide(t, "ban", "203.0.113.1")
	decide(t, "ban", "2001:db8:7::/64")
	decide(t, "throttle", "203.0.113.2")
	decide(t, "captcha", "203.0.113.3")
	url, c, n := fmt.Sprintf("http://localhost:%d/x", port), client(t, nil), 0
	for _, tc := range []struct {
		from, action string
		status       int
	}{
		{"203.0.113.1", "ban", 403},
		{"::ffff:203.0.113.1", "ban", 403},
		{"198.51.100.1, 203.0.113.1", "ban", 403},         // the right-most is what the proxy saw
		{"203.0.113.1, 198.51.100.1, 127.0.0.1", "", 200}, // the rest is what the client wrote
		{"2001:db8:7::99", "ban", 403},
		{"203.0.113.2", "throttle", 429},
		{"203.0.113.3", "captcha", 403},
		{"203.0.113.4", "", 200},
		{"", "", 200},
		{"not an address", "", 200},
	} {
		n++
		before := passed.Load()
		resp, body := ask(t, c, url, tc.from, "Accept: text/html", "X-Rampart-Incident: FORGED")
		entry := accessLog(t, log, n)
		if resp.StatusCode != tc.status || resp.Header.Get("X-Site") != "yes" {
			t.Errorf("%s: status %d, headers %v", tc.from, resp.StatusCode, resp.Header)
		}
		if went := passed.Load() > before; went != (tc.action == "") {
			t.Errorf("%s: proxied: %t", tc.from, went)
		}
		incident := resp.Header.Get(headerIncident)
		if tc.action == "" {
			if incident != "" || entry["rampart_action"] != nil || body != "behind" {
				t.Errorf("%s: incident %q, log %v, body %q", tc.from, incident, entry["rampart_action"], body)
			}
			continue
		}
		if len(incident) != 26 || !strings.Contains(body, incident) || entry["rampart_incident"] != incident || entry["seen_incident"] != incident {
			t.Errorf("%s: incident %q in header, %v in log, %v in placeholder, %t in body", tc.from, incident,
				entry["rampart_incident"], entry["seen_incident"], strings.Contains(body, incident))
		}
		if entry["rampart_action"] != tc.action || resp.Header.Get(headerRemediation) != tc.action || entry["rampart_scenario"] != "manual" {
			t.Errorf("%s: action %v, header %q, scenario %v", tc.from, entry["rampart_action"], resp.Header.Get(headerRemediation), entry["rampart_scenario"])
		}
		if retry := resp.Header.Get("Retry-After"); (retry != "") != (tc.status == 429) {
			t.Errorf("%s: Retry-After %q", tc.from, retry)
		}
	}
}

// TestHandlerSpoof: without a trusted proxy, headers name nobody.
func TestHandlerSpoof(t *testing.T) {
	port := freePort(t)
	load(t, withGlobals(t, rampartBlock(t, ""), fmt.Sprintf("http://localhost:%d {\nbind 127.0.0.1\nrampart\nrespond behind\n}", port)))
	decide(t, "ban", "203.0.113.1")
	if resp, _ := ask(t, client(t, nil), fmt.Sprintf("http://localhost:%d/", port), "203.0.113.1", "Forwarded: for=203.0.113.1", "X-Real-IP: 203.0.113.1"); resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// TestHandlerModes: detect refuses nobody; block error leaves the answer to the
// site; a handler in an error route does not judge a request twice.
func TestHandlerModes(t *testing.T) {
	port := freePort(t)
	load(t, withGlobals(t, rampartBlock(t, "")+trustLoopback, fmt.Sprintf(`
		http://watched.localhost:%[1]d {
			bind 127.0.0.1
			rampart {
				mode detect
			}
			respond behind
		}
		http://styled.localhost:%[1]d {
			bind 127.0.0.1
			rampart {
				block error
			}
			respond behind
			handle_errors {
				rampart
				respond "{err.status_code} {err.id} {http.vars.rampart.action}" {err.status_code}
			}
		}
		http://twice.localhost:%[1]d {
			bind 127.0.0.1
			route {
				rampart
				rampart
				respond behind
			}
		}`, port)))
	decide(t, "ban", "203.0.113.1")
	decide(t, "throttle", "203.0.113.2")
	c := client(t, nil)
	at := func(host string) string { return fmt.Sprintf("http://%s.localhost:%d/", host, port) }
	if resp, body := ask(t, c, at("watched"), "203.0.113.1"); resp.StatusCode != 200 || body != "behind" {
		t.Errorf("detect: %d %q", resp.StatusCode, body)
	}
	if resp, body := ask(t, c, at("twice"), "203.0.113.9"); resp.StatusCode != 200 || body != "behind" {
		t.Errorf("twice: %d %q", resp.StatusCode, body)
	}
	for from, want := range map[string]string{"203.0.113.1": "403 ban", "203.0.113.2": "429 throttle"} {
		resp, body := ask(t, c, at("styled"), from)
		status, action, _ := strings.Cut(want, " ")
		incident := resp.Header.Get(headerIncident)
		if body != status+" "+incident+" "+action || len(incident) != 26 || fmt.Sprint(resp.StatusCode) != status ||
			resp.Header.Get(headerRemediation) != action || (resp.Header.Get("Retry-After") != "") != (action == "throttle") {
			t.Errorf("%s: %d %q, headers %v", from, resp.StatusCode, body, resp.Header)
		}
	}
}

// unused is a next handler that must not be reached.
func unused(t *testing.T) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("the request was passed on")
		return nil
	})
}

// TestHandlerEarlyData: before the handshake is complete the address is anyone's;
// nothing is looked up or counted (there is no node to ask), the client tries again.
func TestHandlerEarlyData(t *testing.T) {
	r := httptest.NewRequest("GET", "https://example.com/", nil)
	r.TLS = &tls.ConnectionState{HandshakeComplete: false}
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, nil)
	err := new(Handler).ServeHTTP(httptest.NewRecorder(), r, unused(t))
	var he caddyhttp.HandlerError
	if !errors.As(err, &he) || he.StatusCode != http.StatusTooEarly {
		t.Errorf("got %v", err)
	}
	// The site's error routes may style it, with the directive in them, too.
	styled := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusTooEarly)
		return nil
	})
	if err := new(Handler).ServeHTTP(httptest.NewRecorder(), r, styled); err != nil {
		t.Errorf("in an error route: %v", err)
	}
}

// TestHandlerArrival: what is told about where a request came from.
func TestHandlerArrival(t *testing.T) {
	for _, tc := range []struct {
		name, client, remote, proto string
		trusted, tls                bool
		want                        appliance.Arrival
	}{
		{name: "plain", client: "192.0.2.1", remote: "192.0.2.1:5",
			want: appliance.Arrival{Client: netip.MustParseAddr("192.0.2.1"), Peer: netip.MustParseAddr("192.0.2.1")}},
		{name: "mapped", client: "::ffff:192.0.2.1", remote: "[::ffff:192.0.2.1]:5",
			want: appliance.Arrival{Client: netip.MustParseAddr("192.0.2.1"), Peer: netip.MustParseAddr("192.0.2.1")}},
		{name: "zone", client: "fe80::1", remote: "[fe80::1%eth0]:5",
			want: appliance.Arrival{Client: netip.MustParseAddr("fe80::1"), Peer: netip.MustParseAddr("fe80::1")}},
		{name: "socket", client: "", remote: "@", want: appliance.Arrival{}},
		{name: "proxied", client: "192.0.2.1", remote: "10.0.0.1:5", trusted: true, proto: "https",
			want: appliance.Arrival{Client: netip.MustParseAddr("192.0.2.1"), Peer: netip.MustParseAddr("10.0.0.1"), Trusted: true, TLS: true}},
		{name: "forged scheme", client: "192.0.2.1", remote: "192.0.2.1:5", proto: "https",
			want: appliance.Arrival{Client: netip.MustParseAddr("192.0.2.1"), Peer: netip.MustParseAddr("192.0.2.1")}},
		{name: "tls", client: "192.0.2.1", remote: "192.0.2.1:5", tls: true,
			want: appliance.Arrival{Client: netip.MustParseAddr("192.0.2.1"), Peer: netip.MustParseAddr("192.0.2.1"), TLS: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			if r.RemoteAddr = tc.remote; tc.tls {
				r.TLS = &tls.ConnectionState{HandshakeComplete: true}
			}
			r.Header.Set("X-Forwarded-Proto", tc.proto)
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, nil)
			caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, tc.client)
			caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, tc.trusted)
			vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
			tc.want.Name = tc.client
			if got := new(Handler).arrival(r, vars); got != tc.want {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestHandlerBadJSON: JSON that no Caddyfile can produce is refused, too.
func TestHandlerBadJSON(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	for _, h := range []*Handler{{Mode: "watch"}, {Block: "redirect"}} {
		if err := h.Provision(ctx); err == nil || !strings.Contains(err.Error(), "is unknown; use") {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

// TestSlowRequest: a request that is on its way when its configuration goes, and
// with it the node, is finished as if nothing had happened.
func TestSlowRequest(t *testing.T) {
	port := freePort(t)
	arrived, proceed := make(chan struct{}), make(chan struct{})
	behind := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		w.(http.Flusher).Flush()
		close(arrived)
		<-proceed
		_, _ = io.WriteString(w, "last\n")
	})
	site := fmt.Sprintf("http://localhost:%d {\nbind 127.0.0.1\n%%s\n%s {\nflush_interval -1\n}\n}", port, behind)
	load(t, withGlobals(t, rampartBlock(t, ""), fmt.Sprintf(site, "rampart")))
	resp, err := client(t, nil).Get(fmt.Sprintf("http://localhost:%d/", port))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-arrived
	if err := caddy.Load(mustAdapt(t, withGlobals(t, "", fmt.Sprintf(site, ""))), true); err != nil {
		t.Fatal(err)
	}
	if users(nodeNameOf(t)) != 0 {
		t.Error("the node is still held")
	}
	close(proceed)
	var lines []string
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		lines = append(lines, s.Text())
	}
	if strings.Join(lines, " ") != "first last" {
		t.Errorf("got %q", lines)
	}
}

// TestUncovered: a server without the handler is named in the log.
func TestUncovered(t *testing.T) {
	p1, p2, log := freePort(t), freePort(t), filepath.Join(t.TempDir(), "caddy.log")
	load(t, withGlobals(t, rampartBlock(t, "")+"\nlog {\noutput file "+log+"\n}", fmt.Sprintf(
		"http://localhost:%d {\nbind 127.0.0.1\nrampart\n}\nhttp://localhost:%d {\nbind 127.0.0.1\nrespond x\n}", p1, p2)))
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, "no rampart handler") {
			found = append(found, line)
		}
	}
	if len(found) != 1 || !strings.Contains(found[0], fmt.Sprintf(":%d", p2)) || strings.Contains(found[0], fmt.Sprintf(":%d", p1)) {
		t.Errorf("warnings: %q", found)
	}
}
