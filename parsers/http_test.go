package parsers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// TestHTTPAccess: each form of access log line, and what forged parts do to it.
func TestHTTPAccess(t *testing.T) {
	type want struct{ source, verb, path, status, agent, referer, fqdn, user, time string }
	const when = "10/Apr/2024:14:30:00 +0000"
	line1 := func(rest string) string { return "198.51.100.7 - - [" + when + "] " + rest }
	plain := want{source: "198.51.100.7", verb: "GET", path: "/a?b=c", status: "200", agent: "curl/8", referer: "-", user: "-", time: when}
	with := func(change func(*want)) want { w := plain; change(&w); return w }
	cases := []struct {
		name, raw string
		want      want
	}{
		{"combined", line1(`"GET /a?b=c HTTP/1.1" 200 5 "-" "curl/8"`), plain},
		{"common", line1(`"GET /a?b=c HTTP/1.1" 200 5`), with(func(w *want) { w.agent, w.referer = "", "" })},
		{"no size", line1(`"GET /a?b=c HTTP/1.1" 200`), with(func(w *want) { w.agent, w.referer = "", "" })},
		{"size is a dash", line1(`"GET /a?b=c HTTP/1.1" 200 - "-" "curl/8"`), plain},
		{"no zone", `192.168.1.100 - - [10/Apr/2024:14:30:00] "POST /wp-login.php HTTP/1.1" 401 512`,
			want{source: "192.168.1.100", verb: "POST", path: "/wp-login.php", status: "401", user: "-", time: "10/Apr/2024:14:30:00"}},
		{"HTTP/2", line1(`"GET /a?b=c HTTP/2.0" 200 5 "-" "curl/8"`), plain},
		{"HTTP/3 without a dot", line1(`"GET /a?b=c HTTP/3" 200 5 "-" "curl/8"`), plain},
		{"IPv6", `2001:db8::7 - - [` + when + `] "GET /a?b=c HTTP/1.1" 200 5 "-" "curl/8"`, with(func(w *want) { w.source = "2001:db8::7" })},
		{"virtual host", `www.example.com ` + line1(`"GET /a?b=c HTTP/1.1" 200 5 "-" "curl/8"`), with(func(w *want) { w.fqdn = "www.example.com" })},
		{"virtual host and port", `www.example.com:443 ` + line1(`"GET /a?b=c HTTP/1.1" 200 5 "-" "curl/8"`), with(func(w *want) { w.fqdn = "www.example.com" })},
		{"user", `198.51.100.7 - bob [` + when + `] "GET /a?b=c HTTP/1.1" 200 5 "-" "curl/8"`, with(func(w *want) { w.user = "bob" })},
		{"more fields", line1(`"GET /a?b=c HTTP/1.1" 200 5 "-" "curl/8" 312 0.002 [up] [] "203.0.113.9"`), plain},
		{"empty fields", line1(`"GET /a?b=c HTTP/1.1" 200 5 "" ""`), with(func(w *want) { w.agent, w.referer = "", "" })},
		{"no request", line1(`"-" 408 0 "-" "-"`), want{source: "198.51.100.7", path: "-", status: "408", agent: "-", referer: "-", user: "-", time: when}},
		{"empty request", line1(`"" 400 0 "-" "-"`), want{source: "198.51.100.7", status: "400", agent: "-", referer: "-", user: "-", time: when}},
		{"TLS on the plain port", line1(`"\x16\x03\x01" 400 150 "-" "-"`), want{source: "198.51.100.7", path: `\x16\x03\x01`, status: "400", agent: "-", referer: "-", user: "-", time: when}},
		{"HTTP/0.9", line1(`"GET /" 400 0`), want{source: "198.51.100.7", path: "GET /", status: "400", user: "-", time: when}},
		{"absolute target", line1(`"GET http://203.0.113.9/ HTTP/1.1" 400 0`), want{source: "198.51.100.7", verb: "GET", path: "http://203.0.113.9/", status: "400", user: "-", time: when}},

		// What a client may send, as nginx and Apache write it.
		{"agent with a forged line, nginx", line1(`"GET /a?b=c HTTP/1.1" 200 5 "-" "\x22 401 5 \x22203.0.113.9 - - [` + when + `] \x22GET /x HTTP/1.1\x22"`),
			with(func(w *want) {
				w.agent = `\x22 401 5 \x22203.0.113.9 - - [` + when + `] \x22GET /x HTTP/1.1\x22`
			})},
		{"agent with a forged line, Apache", line1(`"GET /a?b=c HTTP/1.1" 200 5 "-" "\" 401 5 \"-\" \"x"`), with(func(w *want) { w.agent = `\" 401 5 \"-\" \"x` })},
		{"referer with a forged end, Apache", line1(`"GET /a?b=c HTTP/1.1" 200 5 "x\" \"y" "curl/8"`), with(func(w *want) { w.referer = `x\" \"y` })},
		{"target with a forged end, Apache", line1(`"GET /a\" 401 5 \"HTTP/1.1 HTTP/1.1" 200 5 "-" "curl/8"`), with(func(w *want) { w.path = `/a\" 401 5 \"HTTP/1.1` })},
		{"backslash before the quote", line1(`"GET /a?b=c HTTP/1.1" 200 5 "-" "x\\"`), with(func(w *want) { w.agent = `x\\` })},
		{"server that escapes nothing", line1(`"GET /a?b=c HTTP/1.1" 200 5 "-" "x\"`), with(func(w *want) { w.agent, w.referer = "", "" })},
		{"user with a date and a request, nginx", `198.51.100.7 - x [01/Jan/2020:00:00:00 +0000] \x22GET /y HTTP/1.1\x22 401 0 [` + when + `] "GET /a?b=c HTTP/1.1" 200 5 "-" "curl/8"`,
			with(func(w *want) { w.user = `x [01/Jan/2020:00:00:00 +0000] \x22GET /y HTTP/1.1\x22 401 0` })},
		{"user with a date and a request, Apache", `198.51.100.7 - x [01/Jan/2020:00:00:00 +0000] \"GET /y HTTP/1.1\" 401 0 [` + when + `] "GET /a?b=c HTTP/1.1" 200 5 "-" "curl/8"`,
			with(func(w *want) { w.user = `x [01/Jan/2020:00:00:00 +0000] \"GET /y HTTP/1.1\" 401 0` })},
		{"user that looks like a client", `198.51.100.7 - 203.0.113.9 - - [` + when + `] "GET /a?b=c HTTP/1.1" 200 5 "-" "curl/8"`, with(func(w *want) { w.user = "203.0.113.9 - -" })},
		{"host that looks like a client", `203.0.113.9 ` + line1(`"GET /a?b=c HTTP/1.1" 200 5 "-" "curl/8"`), with(func(w *want) { w.fqdn = "203.0.113.9" })},
		{"not an address", `999.51.100.7 - - [` + when + `] "GET /a?b=c HTTP/1.1" 200 5 "-" "curl/8"`, with(func(w *want) { w.source = "" })},
	}
	p := builtin(t)
	for _, program := range []string{"nginx", "apache2", "httpd", "http", "access"} {
		for _, c := range cases {
			t.Run(program+"/"+c.name, func(t *testing.T) {
				ev := line(program, c.raw)
				if out := p.Parse(ev); !out.Parsed {
					t.Fatalf("%+v %v", out, ev.Parsed)
				}
				got := want{ev.Meta["source_ip"], ev.Meta["http_verb"], ev.Meta["http_path"], ev.Meta["http_status"], ev.Meta["http_user_agent"],
					ev.Parsed["http_referer"], ev.Meta["target_fqdn"], ev.Parsed["remote_user"], ev.StrTime}
				if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(want{})); diff != "" {
					t.Error(diff)
				}
				if ev.Meta["service"] != "http" || ev.Meta["log_type"] != "http_access-log" || ev.MarshaledTime == "" {
					t.Errorf("%v", ev.Meta)
				}
			})
		}
	}
	for _, raw := range []string{
		`client.example.com - - [10/Apr/2024:14:30:00 +0000] "GET / HTTP/1.1" 200 5`,          // a name is no address
		`198.51.100.7 203.0.113.9 bob [10/Apr/2024:14:30:00 +0000] "GET / HTTP/1.1" 200 5`,    // identd's word
		`x 198.51.100.7 203.0.113.9 - - [10/Apr/2024:14:30:00 +0000] "GET / HTTP/1.1" 200 5`,  // not a form of ours
		`junk 198.51.100.7 - - - [10/Apr/2024:14:30:00 +0000] "GET / HTTP/1.1" abc 5 "-" "x"`, // no status
		"", "\x00\xff", strings.Repeat("a", 1<<16),
	} {
		if ev := line("nginx", raw); p.Parse(ev).Parsed && ev.Meta["source_ip"] != "198.51.100.7" {
			t.Errorf("%.80q parsed: %v", raw, ev.Meta)
		}
	}
}

// httpEvents are events as parsers of requests leave them, odd ones among them.
func httpEvents() []*event.Event {
	var events []*event.Event
	for _, path := range []string{
		"/", "", "*", "/index.php", "/a/b/c.tar.gz", "/a.JS", "/style.css?v=1", "/a?b?c=d", "/a?b/c.png", "?x", "/.htaccess", "/a/.env?x=1",
		"/dir.d/", "/dir/file.", "//", "/..", "/a b/c d.jpg", "/ü/é.PNG", "/a/b?", "example.com:443", "http://example.com/a.js", "/a.woff2?x",
		"/wp-content/x.min.map", "/a\nb/c.js", "/x.ico#f", "/%2e%2e/%2f.php?a=%3f", "/a.b.c", "/long/" + strings.Repeat("x", 300) + ".svg",
	} {
		for _, status := range []string{"200", "404", "403", "502", "500", ""} {
			if status != "200" && len(path) > 8 {
				continue
			}
			ev := &event.Event{ExpectMode: event.Replay, StrTime: "10/Apr/2024:14:30:00 +0000"}
			ev.SetMeta("service", "http")
			ev.SetMeta("log_type", "http_access-log")
			ev.SetMeta("http_path", path)
			ev.SetParsed("request", path)
			if status != "" {
				ev.SetMeta("http_status", status)
			}
			events = append(events, ev)
		}
	}
	for _, change := range []func(*event.Event){
		func(ev *event.Event) { ev.SetMeta("service", "ssh") },
		func(ev *event.Event) { ev.SetMeta("log_type", "http_error-log") },
		func(ev *event.Event) { ev.SetMeta("log_type", "other") },
		func(ev *event.Event) { delete(ev.Parsed, "request") },
		func(ev *event.Event) { ev.SetParsed("http_path", "/other") },
		func(ev *event.Event) { ev.StrTime = "" },
		func(ev *event.Event) { ev.StrTime = "nonsense" },
		func(ev *event.Event) { ev.StrTime, ev.StrTimeFormat = "2024 04 10", "2006 01 02" },
		func(ev *event.Event) { ev.StrTime = "1712759400" },
	} {
		ev := &event.Event{ExpectMode: event.Replay, StrTime: "Apr 10 14:30:00"}
		ev.SetMeta("service", "http")
		ev.SetMeta("log_type", "http_access-log")
		ev.SetMeta("http_status", "404")
		ev.SetParsed("request", "/a/b.js?c=d")
		change(ev)
		events = append(events, ev)
	}
	return events
}

// TestEnrichersLikeHub: our http-logs and dateparse leave exactly what the Hub's
// leave.
func TestEnrichersLikeHub(t *testing.T) {
	hub := load(t, []Item{hubItem(t, "s02-enrich", "http-logs"), hubItem(t, "s02-enrich", "dateparse-enrich")})
	own := builtin(t)
	events := httpEvents()
	for _, ev := range events {
		want, got := ev.Clone(), ev.Clone()
		hub.ParseFrom("s02-enrich", want, nil)
		own.ParseFrom("s02-enrich", got, nil)
		compare(t, ev.Parsed["request"], want, got)
	}
	t.Logf("%d events", len(events))
}

func compare(t *testing.T, what string, want, got *event.Event) {
	t.Helper()
	type view struct {
		Parsed, Meta, Enriched       map[string]string
		StrTime, MarshaledTime, Time string
	}
	of := func(ev *event.Event) view {
		return view{ev.Parsed, ev.Meta, ev.Enriched, ev.StrTime, ev.MarshaledTime, ev.Time.String()}
	}
	if diff := cmp.Diff(of(want), of(got)); diff != "" {
		t.Errorf("%.100q (-hub +ours):\n%s", what, diff)
	}
}

// TestCaddyLikeHub: our parser for Caddy's log yields exactly the fields of the
// Hub's, on the Hub's lines and on odd ones.
func TestCaddyLikeHub(t *testing.T) {
	var lines []string
	logs, err := filepath.Glob(filepath.Join(testkit.Shared(t, "hub"), ".tests", "caddy-*", "*.log"))
	if err != nil || len(logs) < 2 {
		t.Fatalf("%v %v", logs, err)
	}
	for _, f := range logs {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(strings.TrimSpace(string(data)), "\n")...)
	}
	for _, change := range []string{
		`{}`, `{"status":null}`, `{"status":401}`, `{"status":401,"resp_headers":{"Www-Authenticate":["Basic realm=x"]}}`,
		`{"status":401,"resp_headers":{"Www-Authenticate":["Digest", "Basic"]}}`, `{"status":200,"resp_headers":{"Www-Authenticate":["Basic"]}}`,
		`{"resp_headers":null}`, `{"ts":"2022/03/09 21:30:01"}`, `{"ts":"1646861401"}`, `{"ts":1646861401}`, `{"ts":1.6468614015241024e9}`, `{"ts":null}`,
		`{"logger":"http.handlers.waf"}`, `{"logger":null}`, `{"request":null}`, `{"request":{}}`, `{"request":{"headers":{}}}`,
		`{"request":{"client_ip":"2001:db8::1","proto":"HTTP/1.0","method":"GET","uri":"/a\"b?c","host":"[::1]:80","headers":{"User-Agent":["a","b"]}}}`,
		`{"request":{"client_ip":"192.0.2.1","proto":"HTTP","method":"","uri":"*","host":"","headers":null}}`,
		`{"request":{"client_ip":7,"proto":null,"method":"X","uri":"/","headers":{"User-Agent":[]}}}`,
	} {
		var base, patch map[string]any
		if err := json.Unmarshal([]byte(caddyLine), &base); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(change), &patch); err != nil {
			t.Fatal(err)
		}
		maps.Copy(base, patch)
		raw, err := json.Marshal(base)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(raw))
	}
	hub := load(t, []Item{hubItem(t, "s00-raw", "syslog-logs"), hubItem(t, "s01-parse", "caddy-logs"),
		hubItem(t, "s02-enrich", "http-logs"), hubItem(t, "s02-enrich", "dateparse-enrich")})
	own := builtin(t)
	for _, raw := range append(lines, "{", "null", "[]", `{"a":1}`, "not json") {
		want, got := line("caddy", raw), line("caddy", raw)
		if a, b := hub.Parse(want), own.Parse(got); a != b {
			t.Errorf("%.100q: the Hub's %+v, ours %+v", raw, a, b)
		}
		compare(t, raw, want, got)
		if diff := cmp.Diff(want.Unmarshaled, got.Unmarshaled); diff != "" && got.Process {
			t.Error(diff)
		}
	}
	t.Logf("%d lines", len(lines))
}

// TestAccessLikeHub: on real lines our one parser for access logs gives the Meta
// of the Hub's two, and all of Parsed that the Hub's nginx parser has.
func TestAccessLikeHub(t *testing.T) {
	f, err := os.Open(testkit.Shared(t, "logs", "apache_access_10k.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	enrich := []Item{hubItem(t, "s00-raw", "syslog-logs"), hubItem(t, "s02-enrich", "http-logs"), hubItem(t, "s02-enrich", "dateparse-enrich")}
	nginx := load(t, append(enrich[:3:3], hubItem(t, "s01-parse", "nginx-logs")))
	apache := load(t, append(enrich[:3:3], hubItem(t, "s01-parse", "apache2-logs")))
	own := builtin(t)
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		if n%50 != 0 {
			continue
		}
		got := line("nginx", lines.Text())
		own.Parse(got)
		for label, hub := range map[string]*Pipeline{"nginx": nginx, "apache2": apache} {
			want := line(label, lines.Text())
			if !hub.Parse(want).Parsed {
				// nginx writes no dash for the size, so the Hub's parser knows none.
				if label != "nginx" || !strings.Contains(lines.Text(), " - \"") {
					t.Errorf("the Hub's %s parser does not know %s", label, lines.Text())
				}
				continue
			}
			if diff := cmp.Diff(want.Meta, got.Meta); diff != "" {
				t.Errorf("%s (-%s +ours): %s", lines.Text(), label, diff)
			}
			for k, v := range want.Parsed {
				if label == "nginx" && v != "" && got.Parsed[k] != v {
					t.Errorf("%s: Parsed.%s is %q, the Hub's %q", lines.Text(), k, got.Parsed[k], v)
				}
			}
		}
	}
	t.Logf("%d lines, every 50th compared", n)
}

// escaped returns what the servers write for a field that a client sent.
func escaped(server, s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case server == "apache2" && (c == '"' || c == '\\'):
			b.WriteString(`\` + string(rune(c)))
		case c < 0x20 || c >= 0x7f || c == '"' || c == '\\':
			fmt.Fprintf(&b, `\x%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// FuzzHTTPAccess: whatever a client sends as user, target, referer and agent, no
// field takes the place of another.
func FuzzHTTPAccess(f *testing.F) {
	f.Add("bob", "/a", "-", "curl")
	f.Add(`x [10/Apr/2024:14:30:00 +0000] "GET / HTTP/1.1" 401 0`, `/" 401 5 "`, `" "`, `\" 401`)
	f.Add("203.0.113.9 - -", "/ HTTP/1.1", `\`, `" 401 5 "-" "-`)
	p := builtin(f)
	f.Fuzz(func(t *testing.T, user, target, referer, agent string) {
		for _, server := range []string{"nginx", "apache2"} {
			u, q, r, a := escaped(server, user), escaped(server, target), escaped(server, referer), escaped(server, agent)
			ev := line(server, `198.51.100.7 - `+u+` [10/Apr/2024:14:30:00 +0000] "GET `+q+` HTTP/1.1" 200 5 "`+r+`" "`+a+`"`)
			if out := p.Parse(ev); !out.Parsed {
				t.Fatalf("%q: %+v", ev.Line.Raw, out)
			}
			got := []string{ev.Meta["source_ip"], ev.Meta["http_status"], ev.StrTime, ev.Meta["http_path"], ev.Parsed["http_referer"], ev.Parsed["http_user_agent"], ev.Parsed["verb"]}
			want := []string{"198.51.100.7", "200", "10/Apr/2024:14:30:00 +0000", q, r, a, "GET"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%q: %s", ev.Line.Raw, diff)
			}
		}
	})
}
