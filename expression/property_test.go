package expression_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// writer makes random expressions of few keys and values, so that they are often
// true.
type writer struct {
	*rand.Rand
	lets  []string // names of let variables that hold text
	queue bool     // closures over queue.Queue may be used
	item  bool     // inside such a closure
	sets  bool     // SetMeta may be used
	left  int      // how many nested parts may still be written
}

func pick[T any](w *writer, list ...T) T { return list[w.IntN(len(list))] }

func (w *writer) value() string { return pick(w, "''", "'a'", "'b'") }

func (w *writer) field() string {
	k := pick(w, "k", "l")
	if w.item && w.IntN(2) == 0 {
		return pick(w, "#.Meta."+k, ".Parsed."+k, "#.Line.Labels['"+k+"']", "(#).StrTime")
	}
	if len(w.lets) > 0 && w.IntN(3) == 0 {
		return pick(w, w.lets...)
	}
	f := pick(w, "evt.Meta."+k, "evt.Meta['"+k+"']", "evt?.Meta?."+k, "evt.Parsed."+k, "evt.Enriched."+k,
		"evt.Line.Labels."+k, "evt.Line.Raw", "evt.StrTime", "evt.Stage", "evt.Line.Module", "evt.GetMeta('"+k+"')",
		"evt.Meta[evt.Parsed."+k+"]", "(true ? evt.Meta : evt.Parsed)."+k, "get(evt.Meta, '"+k+"')", "[evt][0].Meta."+k,
		"(evt.Meta."+k+" ?? 'a')", "{'x': evt.Meta}.x."+k, "first([evt.Meta."+k+"])", "$env.evt.Meta."+k)
	if w.left--; w.left > 0 && w.IntN(6) == 0 {
		f = pick(w, "Lower("+f+")", "("+f+" + "+w.value()+")", "("+w.bool(0)+" ? "+f+" : "+w.field()+")", "ToString("+f+")")
	}
	return f
}

func (w *writer) list() string {
	list := "queue.Queue"
	if w.left -= 5; w.left > 0 && w.IntN(3) == 0 {
		list = pick(w, "queue.GetQueue()", "queue.Queue[-2:]", "reverse(queue.Queue)", "filter(queue.Queue, "+w.closure()+")",
			"sortBy(queue.Queue, #.Meta.k)", "map(queue.Queue, #)", "[queue.Queue[0]]", "concat(queue.Queue, [evt])")
	}
	return list
}

func (w *writer) closure() string {
	item := w.item
	w.item = true
	defer func() { w.item = item }()
	return w.bool(1)
}

func (w *writer) closures() string {
	list := w.list()
	return pick(w,
		"any("+list+", "+w.closure()+")", "all("+list+", {"+w.closure()+"})", "count("+list+", "+w.closure()+") > 0",
		"len(filter("+list+", "+w.closure()+")) > 1", list+"[-1].Meta.k == "+w.value(), "'a' in map("+list+", #.Parsed.k)",
		"(find("+list+", "+w.closure()+")?.Meta.l ?? 'b') == "+w.value(), "map("+list+", #.Meta)[0].k == 'a'",
		"reduce("+list+", #acc + #.Meta.k, '') contains 'a'", "groupBy("+list+", #.Meta.k)['a'] != nil",
		"map("+list+", [#])[0][0].Meta.k == 'a'", "any(map("+list+", #), #.Meta.k == 'b')", "len("+list+") > 2",
		"findIndex("+list+", "+w.closure()+") == 0", "any("+list+", any("+list+", "+w.closure()+"))")
}

func (w *writer) bool(depth int) string {
	if depth <= 0 || w.IntN(4) == 0 {
		f, v := w.field(), w.value()
		leaf := pick(w, f+" == "+v, v+" == "+f, f+" != "+v, f+" in ["+v+", "+w.value()+"]", f+" not in ["+v+"]", "not ("+f+" == "+v+")",
			"!("+f+" in ["+v+"])", f+" contains 'a'", "evt.GetType() == 'log'", f+" == "+w.field(), f+" in [1, "+v+"]", "'k' in evt.Meta",
			f+" matches Upper('^[a-b]')", "len(evt.Meta) > 1", "evt.ParseIPSources() == []")
		if w.sets && w.IntN(4) == 0 {
			return pick(w, "evt.SetMeta('k', "+w.value()+")", "evt.SetParsed('l', "+f+")")
		}
		return leaf
	}
	a := w.bool(depth - 1)
	if w.left -= 5; w.queue && w.left > 0 && w.IntN(3) == 0 {
		a = w.closures()
	}
	b := w.bool(depth - 1)
	return pick(w, a+" && "+b, a+" and "+b, "("+a+" || "+b+")", "("+a+" or "+b+")", "not ("+a+")", "("+a+" ? "+b+" : false)", a, "("+a+") == true")
}

func (w *writer) source() string {
	w.lets, w.left = nil, 40
	var b strings.Builder
	for i := range w.IntN(3) {
		name := fmt.Sprintf("v%d", i)
		switch w.IntN(6) {
		case 0:
			fmt.Fprintf(&b, "let %s = evt; ", name)
			w.lets = append(w.lets, name+".Meta.k", name+".Parsed.l")
		case 1:
			fmt.Fprintf(&b, "let %s = evt.Meta; ", name)
			w.lets = append(w.lets, name+".k", name+"['l']")
		default:
			fmt.Fprintf(&b, "let %s = %s; ", name, w.field())
			w.lets = append(w.lets, name)
		}
	}
	if w.sets {
		b.WriteString(pick(w, "let f = evt.SetMeta; f('k', 'a') && ", "evt.SetMeta('k', 'b') && ", "evt.SetMeta('l', 'a'); ",
			"let f = get((true ? evt : 'x'), 'SetMeta'); f('k', 'a') && ", "let s = 'Set' + 'Meta'; let f = get((true ? evt : 'x'), s); f('k', 'a') && ",
			"let s = 'Set' + 'Meta'; let f = (true ? evt : 'x')[s]; f('k', 'a') && ", "let f = $env.evt.SetMeta; f('k', 'b') && ",
			"let x = evt.SetMeta('k', 'a'); x && ", "(evt.SetMeta('k', 'a') ? true : false) and "))
	}
	b.WriteString(w.bool(3))
	return b.String()
}

func (w *writer) event() *event.Event {
	m := func() map[string]string {
		out := map[string]string{}
		for _, k := range []string{"k", "l"} {
			if v := pick(w, "", "a", "b", "-"); v != "-" {
				out[k] = v
			}
		}
		return out
	}
	return &event.Event{Meta: m(), Parsed: m(), Enriched: m(), StrTime: pick(w, "", "a"), Stage: pick(w, "", "b"),
		Type: pick(w, 0, 0, 1), Line: event.Line{Raw: pick(w, "", "a", "b"), Module: pick(w, "", "a"), Labels: m()}}
}

// TestRequirementsHold is the promise of Requires and Excludes: nothing that is
// true is missed by looking only where they hold.
func TestRequirementsHold(t *testing.T) {
	env := expression.New(expression.Options{})
	w := &writer{Rand: rand.New(rand.NewPCG(1, 2))}
	compiled, hits, required, excluded := 0, 0, 0, 0
	for range 6000 {
		w.sets = w.IntN(3) == 0
		source := w.source()
		p, err := env.Compile(source, expression.OnEvent, expression.Any)
		if err != nil {
			continue // combinations that expr refuses
		}
		compiled++
		for range 20 {
			ev := w.event()
			before := ev.Clone()
			if ok, err := p.Bool(&expression.Vars{Evt: ev}); err != nil || !ok {
				continue
			}
			hits++
			for _, r := range p.Requires() {
				required++
				if v := expression.Value(before, r.Field); !slices.Contains(r.Values, v) {
					t.Fatalf("%s\nis true of %+v\nbut requires %s in %q", source, before, r.Field, r.Values)
				}
			}
			for _, r := range p.Excludes() {
				excluded++
				if v := expression.Value(before, r.Field); slices.Contains(r.Values, v) {
					t.Fatalf("%s\nis true of %+v\nbut excludes %s in %q", source, before, r.Field, r.Values)
				}
			}
		}
	}
	t.Logf("%d programs, %d hits, %d requirements, %d exclusions checked", compiled, hits, required, excluded)
	if hits < 5000 || required < 1000 || excluded < 1000 {
		t.Error("too few to say anything")
	}
}

// vary changes everything in ev that is not among paths, but its type: GetMeta
// and ParseIPSources are named after what they read of lines.
func (w *writer) vary(ev *event.Event, paths []string) *event.Event {
	other, out := w.event(), ev.Clone()
	for _, m := range []struct {
		path     string
		to, from map[string]string
	}{
		{"Meta", out.Meta, other.Meta}, {"Parsed", out.Parsed, other.Parsed},
		{"Enriched", out.Enriched, other.Enriched}, {"Line.Labels", out.Line.Labels, other.Line.Labels},
	} {
		for _, k := range []string{"k", "l", "unread"} {
			if slices.Contains(paths, m.path+"."+k) {
				continue
			}
			delete(m.to, k)
			if v, ok := m.from[k]; ok {
				m.to[k] = v
			}
		}
	}
	for path, swap := range map[string]func(){
		"StrTime": func() { out.StrTime = other.StrTime }, "Stage": func() { out.Stage = other.Stage },
		"Line.Raw": func() { out.Line.Raw = other.Line.Raw }, "Line.Module": func() { out.Line.Module = other.Line.Module },
	} {
		if !slices.Contains(paths, path) {
			swap()
		}
	}
	return out
}

// TestReadsAreComplete is the promise of Reads: what is not named does not
// matter, and what does not write leaves the event alone.
func TestReadsAreComplete(t *testing.T) {
	env := expression.New(expression.Options{})
	w := &writer{Rand: rand.New(rand.NewPCG(3, 4)), queue: true}
	clear, pure := 0, 0
	for range 8000 {
		w.sets = w.IntN(4) == 0
		source := w.source()
		p, err := env.Compile(source, expression.OnQueue, expression.Any)
		if err != nil {
			continue
		}
		reads := p.Reads()
		for range 8 {
			a, q := w.event(), &event.Queue{}
			b, r := w.vary(a, reads.Paths), &event.Queue{}
			for range w.IntN(4) {
				item := w.event()
				q.Queue, r.Queue = append(q.Queue, item), append(r.Queue, w.vary(item, reads.Paths))
			}
			before := a.Clone()
			got, err := p.Any(&expression.Vars{Evt: a, Queue: q})
			if !reads.Writes {
				pure++
				before.Unmarshaled = a.Unmarshaled
				if d := cmp.Diff(before.Meta, a.Meta) + cmp.Diff(before.Parsed, a.Parsed); d != "" {
					t.Fatalf("%s\nwrites:\n%s", source, d)
				}
			}
			if reads.Opaque {
				continue
			}
			clear++
			other, otherErr := p.Any(&expression.Vars{Evt: b, Queue: r})
			if !cmp.Equal(got, other) || (err == nil) != (otherErr == nil) {
				t.Fatalf("%s\nreads %q, but gives %v (%v) and %v (%v) for\n%+v\n%+v", source, reads.Paths, got, err, other, otherErr, before, b)
			}
		}
	}
	t.Logf("%d runs of programs that are not opaque, %d of programs that do not write", clear, pure)
	if clear < 5000 || pure < 5000 {
		t.Error("too few to say anything")
	}
}
