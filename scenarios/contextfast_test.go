package scenarios_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestContextFields: fields that are read from samples are what the expressions give
// on the events, whatever these have and however long it is.
func TestContextFields(t *testing.T) {
	const doc = `
a: [evt.Meta.a, " evt.Parsed.p ", evt.Enriched.e]
b: ["evt.Meta.a + evt.Meta.b", evt.Meta.b]
c: ["len(evt.Meta)", evt.Parsed.p]
d: [evt.Parsed.never, evt.Meta.never]
e: ["evt.Parsed.p != '' ? evt.Parsed.p : evt.Meta.a", "evt.Meta['b']"]
`
	items := []scenarios.ContextItem{{Path: "c.yaml", Data: []byte(doc)}}
	load := func(plain bool) *scenarios.Contexts {
		c, err := scenarios.LoadContexts(items, expression.New(expression.Options{Plain: plain}))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	fast, plain := load(false), load(true)
	r := rand.New(rand.NewPCG(1, 2))
	at := time.Unix(1e9, 0)
	texts := func(keys ...string) map[string]string {
		m := map[string]string{}
		for _, k := range keys {
			if n := r.IntN(6); n > 0 {
				m[k] = []string{"", "x", "y<\"ß", "", fmt.Sprintf("%0*d", 10+r.IntN(9000), 0)}[n-1]
			}
		}
		return m
	}
	some := 0
	for range 200 {
		var evs []*event.Event
		for range 2 + r.IntN(8) {
			ev := &event.Event{Time: at, MarshaledTime: at.Format(time.RFC3339), Meta: texts("a", "b"), Parsed: texts("p", "q"), Enriched: texts("e")}
			ev.Meta["log_type"], ev.Meta["source_ip"], ev.Meta["service"] = "ssh_failed-auth", "192.0.2.1", "ssh"
			ev.Meta["http_path"], ev.Meta["user"] = "/x", "u"
			evs = append(evs, ev)
		}
		want, got := said(t, plain, evs...), said(t, fast, evs...)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("plain (-) and fast (+) differ:\n%s", d)
		}
		some += len(got)
	}
	if some < 400 {
		t.Errorf("%d values say little", some)
	}
}
