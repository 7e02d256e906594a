package replay_test

import (
	"testing"
	"time"

	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/hub"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/scenarios"
)

// responseSide are the fields that only a response gives.
var responseSide = map[string]bool{"Meta.http_status": true, "Meta.sub_type": true, "Parsed.impact_completion": true}

// liveEngine is the engine of a node with the items of the incumbent's benchmark,
// and the buckets of its request-phase scenarios.
func liveEngine(tb testing.TB) (*engine.Engine, *scenarios.Memory) {
	tb.Helper()
	_, content, _, err := incumbent(tb).Load()
	if err != nil {
		tb.Fatal(err)
	}
	set, err := content.Compile(hub.CompileOptions{Now: time.Now})
	for _, p := range hub.Problems(err) {
		tb.Log(p)
	}
	native := func(node string) bool {
		return node == "crowdsecurity/http-logs" || node == "crowdsecurity/dateparse-enrich"
	}
	if list := set.Pipeline.RequestSide(engine.EnrichStage, responseSide, native); len(list) > 0 {
		tb.Fatalf("%q keep requests from being looked at before their response", list)
	}
	rules := set.Rules.WithRequestPhase(responseSide)
	if n := len(rules.All()); n < 60 {
		tb.Fatalf("only %d scenarios", n)
	}
	buckets := scenarios.NewMemory(scenarios.MemoryOptions{Now: time.Now})
	buckets.Use(rules)
	return engine.New(engine.Options{Pipeline: set.Pipeline, Rules: rules, Buckets: buckets, Now: time.Now,
		Counters: &engine.Counters{}, Native: native}), buckets
}

// pageView writes what a node knows of a request for a page.
func pageView(ev *event.Event, at time.Time) {
	ev.Line.Module, ev.Line.Src, ev.Process, ev.Time = "http", "caddy", true, at
	ev.From = event.Provenance{Inline: true, At: at, Site: "shop.example.com", Direct: true}
	for _, f := range [...][2]string{{"program", "caddy"}, {"remote_ip", "203.0.113.7"}, {"http_version", "1.1"}, {"verb", "GET"},
		{"http_user_agent", agent}, {"http_args", "q=ceramic+light&page=6"}, {"request", "/products/leather/1006"},
		{"static_ressource", "false"}, {"file_dir", "/products/leather/"}, {"file_frag", "1006"}, {"file_ext", ""}, {"file_name", "1006"}} {
		ev.SetParsed(f[0], f[1])
	}
	for _, f := range [...][2]string{{"log_type", "http_access-log"}, {"service", "http"}, {"source_ip", "203.0.113.7"},
		{"http_path", "/products/leather/1006?q=ceramic+light&page=6"}, {"http_verb", "GET"}, {"target_fqdn", "shop.example.com"},
		{"http_user_agent", agent}, {"http_args_len", "22"}} {
		ev.SetMeta(f[0], f[1])
	}
}

const agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36"

// BenchmarkLiveRequest is what detection costs a benign request: an event is made,
// enriched, and shown to the filters of the sixty scenarios, before the response and
// with it. "event" is its making alone, "pour" has the buckets besides.
func BenchmarkLiveRequest(b *testing.B) {
	e, buckets := liveEngine(b)
	at := time.Now()
	var drops []scenarios.Drop
	finish := func(ev *event.Event) {
		ev.SetMeta("http_status", "200")
		ev.SetParsed("impact_completion", "true")
	}
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"event", func() {
			ev := e.Event()
			pageView(ev, at)
			finish(ev)
			e.Done(ev)
		}},
		{"filters", func() {
			ev := e.Event()
			pageView(ev, at)
			e.Enrich(ev)
			drops = e.Rules.Drops(ev, scenarios.Request, at, drops[:0])
			finish(ev)
			drops = e.Rules.Drops(ev, scenarios.Response, at, drops)
			e.Done(ev)
		}},
		{"pour", func() {
			ev := e.Event()
			pageView(ev, at)
			e.Enrich(ev)
			e.Inline(buckets, ev)
			finish(ev)
			e.Respond(ev, false)
			e.Done(ev)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			defer testkit.CPU(b)()
			for b.Loop() {
				c.run()
			}
		})
	}
}
