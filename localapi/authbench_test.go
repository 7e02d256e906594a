package localapi

import (
	"fmt"
	"testing"
)

// BenchmarkAuth is what it costs to know a caller, among 100,000 rows: without the
// HTTP server, and with its recorder.
func BenchmarkAuth(b *testing.B) {
	d := newDesk(b)
	for i := range maxRows - 1 {
		row := &bouncerRow{Bouncer{Name: fmt.Sprint("b", i), KeyHash: fmt.Sprint(i), Auth: AuthKey}}
		d.registry.take(tableBouncers, row.Name, row.encode())
	}
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	d.must(d.registry.AddMachine("m", "pw", false))
	d.with(route{"GET", "/b", bouncer, 0, func(c *call) error { return c.empty(200) }})
	tok := d.login("m", "pw")
	b.Run("key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.do("GET", "/b", "", key(k)).want(b, 200, "")
		}
	})
	b.Run("token", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.do("GET", "/v1/heartbeat", "", token(tok)).want(b, 200, "")
		}
	})
	b.Run("login", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.login("m", "pw")
		}
	})
	b.Run("health", func(b *testing.B) { // the rest: mux, recorder, figures
		b.ReportAllocs()
		for b.Loop() {
			d.do("GET", "/health", "")
		}
	})
}
