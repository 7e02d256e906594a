package parsers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
)

const (
	sshdLine     = `Dec 10 06:55:48 LabSZ sshd[24200]: Failed password for invalid user webmaster from 173.234.31.186 port 38926 ssh2`
	otherLine    = `Dec 10 06:55:48 LabSZ systemd-logind[1118]: New session 42 of user fztu.`
	combinedLine = `83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /presentations/logstash-monitorama-2013/images/kibana-search.png HTTP/1.1" 200 203023 "http://semicomplete.com/presentations/logstash-monitorama-2013/" "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/32.0.1700.77 Safari/537.36"`
	caddyLine    = `{"level":"info","ts":1646861401.5241024,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"192.0.2.7","remote_port":"41342","client_ip":"192.0.2.7","proto":"HTTP/2.0","method":"GET","host":"localhost","uri":"/static/a.js?x=1","headers":{"User-Agent":["curl/7.82.0"],"Accept":["*/*"],"Accept-Encoding":["gzip, deflate, br"]},"tls":{"resumed":false,"version":772,"cipher_suite":4865,"proto":"h2","server_name":"example.com"}},"bytes_read":0,"user_id":"","duration":0.000929675,"size":10900,"status":200,"resp_headers":{"Server":["Caddy"],"Content-Encoding":["gzip"],"Content-Type":["text/html; charset=utf-8"],"Vary":["Accept-Encoding"]}}`
)

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct{ name, label, raw string }{
		{"sshd", "syslog", sshdLine}, {"other", "syslog", otherLine},
		{"combined", "nginx", combinedLine}, {"caddy", "caddy", caddyLine},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := builtin(b)
			labels := map[string]string{"type": c.label}
			var pool event.Pool
			b.ReportAllocs()
			defer testkit.CPU(b)()
			for b.Loop() {
				ev := pool.Get()
				ev.Line = event.Line{Raw: c.raw, Src: "/var/log/x", Module: "file", Labels: labels}
				if out := p.Parse(ev); out.Parsed != (c.name != "other") || out.Err != nil {
					b.Fatal(out)
				}
				pool.Put(ev)
			}
		})
	}
}

// BenchmarkHubParse is the same work with the Hub's parsers.
func BenchmarkHubParse(b *testing.B) {
	for _, c := range []struct{ name, label, raw, parser string }{
		{"sshd", "syslog", sshdLine, "sshd-logs"}, {"combined", "nginx", combinedLine, "nginx-logs"}, {"caddy", "caddy", caddyLine, "caddy-logs"},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := load(b, []Item{hubItem(b, "s00-raw", "syslog-logs"), hubItem(b, "s01-parse", c.parser),
				hubItem(b, "s02-enrich", "http-logs"), hubItem(b, "s02-enrich", "dateparse-enrich")})
			labels := map[string]string{"type": c.label}
			var pool event.Pool
			b.ReportAllocs()
			defer testkit.CPU(b)()
			for b.Loop() {
				ev := pool.Get()
				ev.Line = event.Line{Raw: c.raw, Src: "/var/log/x", Module: "file", Labels: labels}
				if out := p.Parse(ev); !out.Parsed {
					b.Fatal(out)
				}
				pool.Put(ev)
			}
		})
	}
}

// referenceItems are the parsers of the benchmark that the Hub's users run.
func referenceItems(t testing.TB) []Item {
	var items []Item
	for _, stage := range []struct{ name, files string }{
		{"s00-raw", "syslog-logs"}, {"s01-parse", "nginx-logs sshd-logs sshd-success-logs"},
		{"s02-enrich", "dateparse-enrich geoip-enrich http-logs public-dns-allowlist whitelists"},
	} {
		for _, file := range strings.Fields(stage.files) {
			items = append(items, hubItem(t, stage.name, file))
		}
	}
	return items
}

// BenchmarkReference runs the lines of the benchmark's generator through the
// parsers of the benchmark, fast and plain.
func BenchmarkReference(b *testing.B) {
	for _, c := range []struct{ kind, label string }{{"nginx", "nginx"}, {"sshd", "syslog"}} {
		lines := genlogs(b, c.kind, 5000)
		benchmarkBoth(b, c.kind, c.label, lines, referenceItems(b))
	}
}

// BenchmarkEverything is the same with all parsers of the Hub: most nodes are for
// other programs' lines.
func BenchmarkEverything(b *testing.B) {
	for _, c := range []struct{ kind, label string }{{"nginx", "nginx"}, {"sshd", "syslog"}} {
		benchmarkBoth(b, c.kind, c.label, genlogs(b, c.kind, 5000), everything(b))
	}
}

func benchmarkBoth(b *testing.B, name, label string, lines []string, items []Item) {
	for _, plain := range []bool{false, true} {
		b.Run(fmt.Sprintf("%s/plain=%v", name, plain), func(b *testing.B) {
			env := expression.New(expression.Options{Now: clock, Plain: plain})
			p, err := Load(items, env, Options{Now: clock})
			if err != nil {
				b.Fatal(err)
			}
			labels := map[string]string{"type": label}
			var pool event.Pool
			b.ReportAllocs()
			defer testkit.CPU(b)()
			for i := 0; b.Loop(); i++ {
				ev := pool.Get()
				ev.ExpectMode = event.Replay
				ev.Line = event.Line{Raw: lines[i%len(lines)], Src: "/var/log/x", Module: "file", Labels: labels}
				p.Parse(ev)
				pool.Put(ev)
			}
		})
	}
}
