package parsers

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/expression"
)

// randomNode writes a node whose filter asks fields that other nodes write, with
// children, groks and promotions. Of everything there is so little that it often
// comes together.
func randomNode(r *rand.Rand, name string, depth int) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	place := func() string {
		return pick("Parsed.a", "Parsed.b", "Meta.a", "Line.Labels.type", "StrTime", "Enriched.a")
	}
	var out strings.Builder
	fmt.Fprintf(&out, "name: %s\n", name)
	if r.IntN(5) > 0 {
		test := func() string {
			return pick(
				fmt.Sprintf("evt.%s == '%s'", place(), pick("", "x", "y")),
				fmt.Sprintf("evt.%s != '%s'", place(), pick("", "x", "y")),
				fmt.Sprintf("evt.%s in ['%s', 'x']", place(), pick("", "y")),
				fmt.Sprintf("evt.%s not in ['%s', 'y']", place(), pick("", "x")),
				fmt.Sprintf("evt.%s startsWith 'x'", place()),
				fmt.Sprintf("evt.Set%s('%s', '%s')", pick("Parsed", "Meta"), pick("a", "b"), pick("x", "y")),
				"evt.Unmarshaled.no.such == 1",
			)
		}
		src := test()
		for r.IntN(3) == 0 {
			src += pick(" && ", " && ", " || ") + test()
		}
		fmt.Fprintf(&out, "filter: %s\n", quote(src))
	}
	if r.IntN(3) == 0 {
		out.WriteString("onsuccess: next_stage\n")
	}
	if r.IntN(3) > 0 {
		fmt.Fprintf(&out, "grok: {apply_on: %s, pattern: '%s'}\n", pick("Line.Raw", "a", "b", "b", "b", "b", "b"), pick(
			"^first %{WORD:b}", "second%{DATA:a}%{WORD:b}", "^%{GREEDYDATA:b} third", "%{WORD:a} (x|y)$", "(?i)FOURTH %{WORD:b}", "%{WORD:b}", "^$%{DATA:a}", "fifth"))
	}
	if depth > 0 && r.IntN(3) == 0 {
		out.WriteString("nodes:\n")
		for i := range r.IntN(12) {
			child := randomNode(r, fmt.Sprintf("%s.%d", name, i), depth-1)
			out.WriteString("  - " + strings.ReplaceAll(strings.TrimSuffix(child, "\n"), "\n", "\n    ") + "\n")
		}
	}
	fmt.Fprintf(&out, "statics:\n  - {parsed: ran, expression: \"evt.Parsed.ran + '%s,'\"}\n", name)
	for r.IntN(2) == 0 {
		fmt.Fprintf(&out, "  - {%s, %s}\n", pick("parsed: a", "parsed: b", "meta: a", "target: evt.Line.Labels.type", "target: evt.StrTime", "target: evt.Enriched.a", "target: evt.Stage"),
			pick("value: x", "value: y", "expression: evt.Parsed.b", "expression: evt.Parsed.none"))
	}
	return out.String()
}

// TestOracleRandom runs random events through random pipelines, with an index and
// scans and without: what ran, in which order, and all that it left is the same.
func TestOracleRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	rounds := 15
	if testing.Short() || raced {
		rounds = 6
	}
	indexed, scanned, parsed := 0, 0, 0
	for range rounds {
		var pairs []string
		for i := range minIndexed + r.IntN(70) {
			pairs = append(pairs, fmt.Sprintf("s%02d", r.IntN(3)), randomNode(r, fmt.Sprintf("n%d", i), 2))
		}
		w := newTwin(t, staged(pairs...), expression.Options{Now: clock}, Options{Now: clock})
		for i, x := range w.fast.indexes {
			if x != nil {
				indexed++
			}
			for _, n := range w.fast.nodes[i] {
				if n.scan != nil {
					scanned++
				}
			}
		}
		for range 300 {
			pick := func(list ...string) string { return list[r.IntN(len(list))] }
			ev := line(pick("x", "y", ""), pick("first x", "a second y", "x third", "x y", "some fourth x", "", "first second third fourth x"))
			ev.StrTime = pick("", "x")
			if r.IntN(2) == 0 {
				ev.SetParsed("a", pick("", "x", "y"))
				ev.SetParsed("b", pick("x", "first x", "y second x", "a third", "fourth y"))
			}
			if diff := w.same(ev); diff != "" {
				t.Fatal(diff)
			}
			// The way of live requests, too.
			a, b := ev.Clone(), ev.Clone()
			skip := func(name string) bool { return strings.HasSuffix(name, "1") }
			if x, y := w.fast.ParseFrom("s01", a, skip), w.plain.ParseFrom("s01", b, skip); x.Parsed != y.Parsed || a.Parsed["ran"] != b.Parsed["ran"] {
				t.Fatalf("%+v ran %s, plain %+v ran %s", x, a.Parsed["ran"], y, b.Parsed["ran"])
			}
			if a.Parsed["ran"] != "" {
				parsed++
			}
		}
	}
	t.Logf("%d stages with an index, %d nodes with a scan, %d events that something ran on", indexed, scanned, parsed)
	if indexed == 0 || scanned == 0 || parsed < rounds*100 {
		t.Fatal("too little of it was tried")
	}
}

// TestIndexHub: the nodes that the index of the Hub's largest stage offers are those
// whose gates are open.
func TestIndexHub(t *testing.T) {
	p := load(t, everything(t))
	r := rand.New(rand.NewPCG(7, 8))
	offered, all := 0, 0
	for i, x := range p.indexes {
		if x == nil {
			continue
		}
		var words []string
		for _, n := range p.nodes[i] {
			for _, g := range n.front {
				words = append(words, g.values...)
			}
		}
		for range 2000 {
			ev := line(words[r.IntN(len(words))], "x")
			for _, n := range p.nodes[i] {
				for _, g := range n.front {
					if _, write := targetAt(g.path); write != nil && r.IntN(2) == 0 {
						write(ev, words[r.IntN(len(words))])
					}
				}
			}
			set := make([]uint64, x.words)
			x.candidates(ev, set)
			for k, n := range p.nodes[i] {
				open := true
				for _, g := range n.front {
					open = open && g.open(ev)
				}
				if got := set[k/64]>>(k%64)&1 == 1; got != open {
					t.Fatalf("%s: offered %v, gates open %v, for %+v", n.name, got, open, ev)
				}
				all++
				if open {
					offered++
				}
			}
		}
	}
	t.Logf("%d of %d nodes offered", offered, all)
	if offered == 0 || offered > all/2 {
		t.Fatal("the index finds all or nothing")
	}
}

// TestScanAsksAgain: a child that changes the text changes what its later siblings
// see.
func TestScanAsksAgain(t *testing.T) {
	child := func(from, to string) string {
		return fmt.Sprintf("  - grok: {apply_on: m, pattern: '^%s%%{DATA:x}$'}\n    statics: [{parsed: m, value: %s}, {meta: %s, value: ran}]\n", from, to, from)
	}
	p := load(t, staged("s00", "name: n\nnodes:\n"+child("zero", "q")+child("none", "q")+child("three", "four")+child("one", "two")+child("nil", "q")+child("two", "three")+child("three", "done")))
	if p.nodes[0][0].scan == nil {
		t.Fatal("there is no scan")
	}
	ev := line("t", "x")
	ev.SetParsed("m", "one")
	if out := p.Parse(ev); !out.Parsed || ev.Parsed["m"] != "done" {
		t.Fatalf("%+v %v %v", out, ev.Parsed, ev.Meta)
	}
}
