package appliance

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// fill decides about n addresses of 10.0.0.0/8.
func fill(tb testing.TB, a *Appliance, n int) {
	tb.Helper()
	book := a.live.Load().state.book
	now := time.Now()
	for i := 0; i < n; i += 1000 {
		var ds []decisions.Decision
		for j := i; j < min(i+1000, n); j++ {
			addr := netip.AddrFrom4([4]byte{10, byte(j >> 16), byte(j >> 8), byte(j)})
			ds = append(ds, decisions.Decision{Scope: "Ip", Value: addr.String(), Type: "ban", Origin: "lists",
				Scenario: "bench", Created: now, Until: now.Add(time.Hour)})
		}
		al := &event.Alert{Scenario: "bench", Source: &event.Source{Scope: "Ip", Value: ds[0].Value}, Stop: now}
		if err := book.Append(al, ds); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkVisit is what a request costs that passes: all of Begin and End, and the
// workers' share where it has one, which only the processor time of the process
// shows. docs/benchmarks.md does the same over a real proxy.
func BenchmarkVisit(b *testing.B) {
	hub := func(b *testing.B) Config {
		return Config{Hub: HubConfig{Dir: testkit.Shared(b, "hub"), Data: testkit.Shared(b, "hub-data")},
			Collections: []string{"crowdsecurity/nginx", "crowdsecurity/base-http-scenarios", "crowdsecurity/http-cve",
				"crowdsecurity/sshd", "crowdsecurity/linux", "crowdsecurity/whitelist-good-actors"}}
	}
	builtin := func(*testing.B) Config { return Config{} }
	for _, c := range []struct {
		name   string
		config func(*testing.B) Config
		bans   int
	}{{"builtin", builtin, 0}, {"bans", builtin, 100_000}, {"hub", hub, 0}} {
		b.Run(c.name, func(b *testing.B) {
			a := open(b, c.config(b))
			fill(b, a, c.bans)
			if l := a.live.Load(); !l.inline {
				b.Fatalf("%q keep scenarios from running before the response", l.settings.blockers)
			}
			views(b, a)
		})
	}
}

// views takes page views of 5,000 clients through.
func views(b *testing.B, a *Appliance) {
	targets := []string{"/", "/index.html", "/blog/2024/a-post?page=2", "/static/app.js", "/img/logo.png", "/api/items?limit=50"}
	reqs := make([]*http.Request, 7*len(targets))
	for i := range reqs {
		reqs[i] = request(targets[i%len(targets)])
		reqs[i].Header.Set("User-Agent", fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/%[1]d.0", 128+i%7))
	}
	clients := make([]netip.Addr, 5000)
	for i := range clients {
		clients[i] = netip.MustParseAddr(fmt.Sprintf("198.51.%d.%d", i/250, i%250))
	}
	h := http.Header{}
	b.ReportAllocs()
	defer testkit.CPU(b)()
	i := 0
	for b.Loop() {
		c := clients[i%len(clients)]
		v := a.Begin(reqs[i%len(reqs)], Arrival{Client: c, Peer: c})
		v.End(http.StatusOK, 1000, h)
		i++
	}
	b.ReportMetric(float64(a.counters.dropped.Load())/float64(b.N), "dropped/op")
}

// BenchmarkRefuse is what a request of a banned client costs.
func BenchmarkRefuse(b *testing.B) {
	a := open(b, Config{})
	fill(b, a, 100_000)
	r := httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
	in := from("10.0.1.1")
	b.ReportAllocs()
	for b.Loop() {
		if v := a.Begin(r, in); v.Action != Refuse {
			b.Fatal(v.Action)
		}
	}
}
