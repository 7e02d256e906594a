package parsers

import (
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
)

func TestRequestSide(t *testing.T) {
	response := map[string]bool{"Meta.http_status": true, "Parsed.status": true, "Parsed.impact_completion": true, "Unmarshaled": true, "Meta.off": false}
	const s = "statics: [{meta: a, value: b}]\n"
	cases := []struct {
		name, yaml string
		want       bool
	}{
		{"reads nothing", s, false},
		{"reads the request", "statics: [{meta: a, expression: evt.Meta.http_path}]\n", false},
		{"a static reads the status", "statics: [{meta: a, expression: evt.Meta.http_status}]\n", true},
		{"the filter reads the status", "filter: evt.Meta.http_status == '404'\n" + s, true},
		{"a child reads the status", "nodes:\n  - filter: evt.Meta.http_status == '404'\n    " + s, true},
		{"a child's grok statics do", "nodes:\n  - grok: {apply_on: x, pattern: '%{WORD:w}', statics: [{meta: a, expression: evt.Parsed.status}]}\n", true},
		{"grok on the status", "grok: {apply_on: status, pattern: '%{WORD:w}'}\n", true},
		{"grok on another field", "grok: {apply_on: request, pattern: '%{WORD:w}'}\n", false},
		{"grok expression", "grok: {expression: evt.Meta.http_status, pattern: '%{WORD:w}'}\n", true},
		{"whitelist expression", "whitelist: {reason: r, expression: [\"evt.Meta.http_status == '200'\"]}\n", true},
		{"whitelist address", "whitelist: {reason: r, ip: ['192.0.2.1']}\n", false},
		{"stash", "statics: [{meta: a, value: b}]\nstash: [{name: s, key: evt.Meta.http_path, value: evt.Meta.http_status, ttl: 1s}]\n", true},
		{"part of a response path", "statics: [{meta: a, expression: evt.Unmarshaled.x.y}]\n", true},
		{"a path that is switched off", "statics: [{meta: a, expression: evt.Meta.off}]\n", false},
		{"a computed key is opaque", "statics: [{meta: a, expression: 'evt.Meta[evt.Line.Raw]'}]\n", true},
		{"another service", "filter: evt.Meta.service == 'ssh' && evt.Meta.http_status == '1'\n" + s, false},
		{"this service", "filter: evt.Meta.service == 'http' && evt.Meta.http_status == '1'\n" + s, true},
		{"one of two services", "filter: evt.Meta.service in ['ssh', 'http'] && evt.Meta.http_status == '1'\n" + s, true},
		{"another log type", "filter: evt.Meta.log_type in ['http_error-log'] && evt.Meta.http_status == '1'\n" + s, false},
		{"another program", "filter: evt.Parsed.program == 'nginx' && evt.Meta.http_status == '1'\n" + s, false},
		{"caddy", "filter: evt.Parsed.program == 'caddy' && evt.Meta.http_status == '1'\n" + s, true},
		{"lines with a date", "filter: evt.StrTime != '' && evt.Meta.http_status == '1'\n" + s, false},
		{"either of both", "filter: evt.StrTime != '' || evt.Meta.http_status == '1'\n" + s, true},
		{"overflows", "filter: evt.GetType() == 'overflow' && evt.Meta.http_status == '1'\n" + s, false},
		{"not http", "filter: evt.Meta.service != 'http' && evt.Meta.http_status == '1'\n" + s, false},
		{"not ssh", "filter: evt.Meta.service != 'ssh' && evt.Meta.http_status == '1'\n" + s, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := load(t, staged("s02", "name: node\n"+c.yaml, "s03", "name: other\nfilter: evt.Meta.http_status == ''\n"+s))
			if got := p.RequestSide("s02", response, nil); (len(got) == 1) != c.want {
				t.Fatalf("%v", got)
			}
			if got := p.RequestSide("s02", response, func(n string) bool { return n == "node" }); len(got) != 0 {
				t.Fatalf("skipped and named: %v", got)
			}
		})
	}
	if got := builtin(t).RequestSide("s02-enrich", response, nil); !cmp.Equal(got, []string{"rampart/http-logs"}) {
		t.Errorf("built-in content: %v", got)
	}
	if got := builtin(t).RequestSide("s09", response, nil); got != nil {
		t.Errorf("unknown stage: %v", got)
	}
}

// TestGates: the comparisons that stand in for a filter give what the filter
// gives, for every filter of the Hub, on events made of the filters' own words.
func TestGates(t *testing.T) {
	var sources []string
	for _, item := range append(hubParsers(t), builtinItems(t)...) {
		for dec := yaml.NewDecoder(strings.NewReader(string(item.Data))); ; {
			var n nodeSpec
			if dec.Decode(&n) != nil {
				break
			}
			var walk func(n *nodeSpec)
			walk = func(n *nodeSpec) {
				if n.Filter.text != "" {
					sources = append(sources, n.Filter.text)
				}
				for i := range n.Nodes {
					walk(&n.Nodes[i])
				}
			}
			walk(&n)
		}
	}
	words := []string{"", "http", "ssh", "syslog", "nginx", "sshd", "http_access-log", "x"}
	random := rand.New(rand.NewPCG(1, 2))
	gated, closed := 0, 0
	for _, src := range sources {
		p := load(t, staged("s00", "name: n\nfilter: "+quote(src)+"\nstatics: [{parsed: a, value: b}]\n"))
		n := p.nodes[0][0]
		for _, g := range n.gates {
			words = append(words[:8:8], g.values...)
		}
		for range 30 {
			word := func() string { return words[random.IntN(len(words))] }
			ev := line(word(), word())
			ev.StrTime = word()
			for _, k := range []string{"program", "message", "service", "log_type", "module", "source", "facility"} {
				ev.SetMeta(k, word())
				ev.SetParsed(k, word())
			}
			r := &run{p: p, ev: ev}
			r.vars.Evt = ev
			want, err := n.filter.Bool(&r.vars)
			want = want && err == nil
			if got := n.admits(r); got != want {
				t.Fatalf("%s: %v, the filter says %v, of %+v", src, got, want, ev)
			}
			if !want {
				closed++
			}
		}
		if len(n.gates) > 0 {
			gated++
		}
	}
	t.Logf("%d filters, %d with comparisons, %d refusals", len(sources), gated, closed)
	if gated == 0 || closed == 0 {
		t.Fatal("nothing was tested")
	}
}

func quote(s string) string {
	out, err := yaml.Marshal(s)
	if err != nil {
		panic(err)
	}
	text := string(out)
	if strings.HasPrefix(text, "|") || strings.HasPrefix(text, ">") {
		return strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ")
	}
	return strings.TrimSuffix(text, "\n")
}

func TestBuiltin(t *testing.T) {
	items := builtinItems(t)
	if len(items) < 7 {
		t.Fatalf("%d items", len(items))
	}
	for _, item := range items {
		dec := yaml.NewDecoder(strings.NewReader(string(item.Data)))
		for {
			var n nodeSpec
			if dec.Decode(&n) != nil {
				break
			}
			if !strings.HasPrefix(n.Name, "rampart/") || n.Description == "" {
				t.Errorf("%s: name %q, description %q", item.Path, n.Name, n.Description)
			}
		}
	}
	if _, err := fs.Stat(Builtin(), "s01-parse/sshd-logs.yaml"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"s00-raw", "s01-parse", "s02-enrich"}, builtin(t).Stages()); diff != "" {
		t.Error(diff)
	}
}

// TestConcurrent: one pipeline, many goroutines, shared labels.
func TestConcurrent(t *testing.T) {
	p := builtin(t)
	labels := map[string]map[string]string{"syslog": {"type": "syslog"}, "nginx": {"type": "nginx"}, "caddy": {"type": "caddy"}}
	var pool event.Pool
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				for label, raw := range map[string]string{"syslog": sshdLine, "nginx": combinedLine, "caddy": caddyLine} {
					ev := pool.Get()
					ev.Line = event.Line{Raw: raw, Labels: labels[label], Module: "file"}
					if out := p.Parse(ev); !out.Parsed || ev.Meta["source_ip"] == "" {
						t.Errorf("%+v %v", out, ev.Meta)
					}
					pool.Put(ev)
				}
			}
		})
	}
	wg.Wait()
}
