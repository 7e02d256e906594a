package expression_test

import (
	"fmt"
	"testing"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// request is an event like that of a live request.
func request() *event.Event {
	return &event.Event{
		Line: event.Line{Raw: "GET /missing.php", Module: "http", Labels: map[string]string{"type": "caddy"}},
		Meta: map[string]string{
			"service": "http", "log_type": "http_access-log", "source_ip": "192.0.2.7", "http_status": "404",
			"http_path": "/missing.php", "http_verb": "GET", "http_user_agent": "Mozilla/5.0",
		},
		Parsed: map[string]string{
			"request": "/missing.php", "static_ressource": "false", "http_args": "", "verb": "GET", "file_ext": ".php",
		},
	}
}

func BenchmarkFilter(b *testing.B) {
	env := expression.New(expression.Options{})
	for _, c := range []struct{ name, source string }{
		{"probing", "evt.Meta.service == 'http' && evt.Meta.http_status in ['404', '403', '400'] && evt.Parsed.static_ressource == 'false'"},
		{"equality", "evt.Meta.log_type == 'ssh_failed-auth'"},
		{"upper", "evt.Meta.http_path matches Upper('^/admin') || Upper(evt.Parsed.request) contains '/WP-'"},
	} {
		p, err := env.Compile(c.source, expression.OnEvent, expression.Bool)
		if err != nil {
			b.Fatal(err)
		}
		v := &expression.Vars{Evt: request()}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Bool(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	env := expression.New(expression.Options{})
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		if _, err := env.Compile(fmt.Sprintf("evt.Meta.service == 'http' && evt.Meta.x == '%d'", n), expression.OnEvent, expression.Bool); err != nil {
			b.Fatal(err)
		}
	}
}
