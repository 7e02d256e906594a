package replay_test

import (
	"strconv"
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
	_, content, _, err := placeless(tb).Load()
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

// pageView writes what a node knows of the n-th request for a page: three hundred
// pages, as seen by some browsers.
func pageView(ev *event.Event, at time.Time, n int) {
	ev.Line.Module, ev.Line.Src, ev.Process, ev.Time = "http", "caddy", true, at
	ev.From = event.Provenance{Inline: true, At: at, Site: "shop.example.com", Direct: true}
	page, agent := pages[n%len(pages)], agents[n%len(agents)]
	for _, f := range [...][2]string{{"program", "caddy"}, {"remote_ip", "203.0.113.7"}, {"http_version", "1.1"}, {"verb", "GET"},
		{"http_user_agent", agent}, {"http_args", page[2]}, {"request", page[1]}, {"static_ressource", "false"},
		{"file_dir", "/products/leather/"}, {"file_frag", page[0]}, {"file_ext", ""}, {"file_name", page[0]}} {
		ev.SetParsed(f[0], f[1])
	}
	for _, f := range [...][2]string{{"log_type", "http_access-log"}, {"service", "http"}, {"source_ip", "203.0.113.7"},
		{"http_path", page[3]}, {"http_verb", "GET"}, {"target_fqdn", "shop.example.com"},
		{"http_user_agent", agent}, {"http_args_len", "22"}} {
		ev.SetMeta(f[0], f[1])
	}
}

// pages are names of pages with their paths, queries and both together.
var pages = func() (list [300][4]string) {
	for i := range list {
		name := strconv.Itoa(1000 + i)
		path, query := "/products/leather/"+name, "q=ceramic+light&page="+strconv.Itoa(i%10)
		list[i] = [4]string{name, path, query, path + "?" + query}
	}
	return list
}()

var agents = [...]string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36",
	"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
}

// BenchmarkLiveRequest is what detection costs a benign request: an event is made,
// enriched, and shown to the filters of the sixty scenarios, before the response and
// with it. "event" is its making alone, "pour" has the buckets besides.
func BenchmarkLiveRequest(b *testing.B) {
	e, buckets := liveEngine(b)
	at := time.Now()
	var drops []scenarios.Drop
	n := 0
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
			pageView(ev, at, n)
			finish(ev)
			e.Done(ev)
		}},
		{"filters", func() {
			ev := e.Event()
			pageView(ev, at, n)
			e.Enrich(ev)
			drops = e.Rules.Drops(ev, scenarios.Request, at, drops[:0])
			finish(ev)
			drops = e.Rules.Drops(ev, scenarios.Response, at, drops)
			e.Done(ev)
		}},
		{"pour", func() {
			ev := e.Event()
			pageView(ev, at, n)
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
				n++
				c.run()
			}
		})
	}
}
