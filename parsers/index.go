package parsers

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/event"
)

// Bounds of an index: in a stage of fewer nodes their gates are as cheap, and a
// field that few nodes ask costs more than it spares.
const (
	minIndexed = 8
	minAsking  = 3
	maxFields  = 6
)

// index finds the nodes of a stage whose gates can be open for an event, among the
// very many that are for the lines of other programs. Immutable.
type index struct {
	fields []indexedField
	words  int // of a set of nodes
}

// indexedField is a field that gates ask, with the nodes that they let in.
type indexedField struct {
	read  field
	sets  map[string][]uint64 // by the value of the field
	other []uint64            // for values that no gate names
}

// newIndex makes the index of a stage, nil where it would not pay. The gates that it
// stands for move from gates to front.
func newIndex(nodes []*node) *index {
	if len(nodes) < minIndexed {
		return nil
	}
	asking := map[string]int{}
	for _, n := range nodes {
		for _, g := range n.gates {
			asking[g.path]++
		}
	}
	var paths []string
	for path, n := range asking {
		// The stage of an event ends with its loop, and is the same for all until then.
		if n >= minAsking && path != "Stage" {
			paths = append(paths, path)
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(asking[b]-asking[a], cmp.Compare(a, b)) })
	paths = paths[:min(len(paths), maxFields)]
	if len(paths) == 0 {
		return nil
	}
	x := &index{words: (len(nodes) + 63) / 64}
	for _, path := range paths {
		x.fields = append(x.fields, x.field(path, nodes))
	}
	for _, n := range nodes {
		w := writesOf(n)
		n.unsettles = slices.ContainsFunc(paths, w.touch)
		n.front, n.gates = parted(n.gates, func(g gate) bool { return slices.Contains(paths, g.path) })
	}
	return x
}

func (x *index) field(path string, nodes []*node) indexedField {
	f := indexedField{read: fieldAt(path), sets: map[string][]uint64{}, other: make([]uint64, x.words)}
	for _, n := range nodes {
		for _, g := range n.gates {
			for _, v := range g.values {
				if g.path == path && f.sets[v] == nil {
					f.sets[v] = make([]uint64, x.words)
				}
			}
		}
	}
	for i, n := range nodes {
		admits := func(value string, named bool) bool {
			for _, g := range n.gates {
				if g.path == path && (named && slices.Contains(g.values, value)) != g.want {
					return false
				}
			}
			return true
		}
		for v, set := range f.sets {
			if admits(v, true) {
				set[i/64] |= 1 << (i % 64)
			}
		}
		if admits("", false) {
			f.other[i/64] |= 1 << (i % 64)
		}
	}
	return f
}

// candidates writes the set of nodes whose gates at the front are open.
func (x *index) candidates(ev *event.Event, into []uint64) {
	for i := range x.fields {
		f := &x.fields[i]
		set, ok := f.sets[f.read(ev)]
		if !ok {
			set = f.other
		}
		if i == 0 {
			copy(into, set)
			continue
		}
		for w := range into {
			into[w] &= set[w]
		}
	}
}

// next returns the first member of a set from i on, -1 where there is none.
func next(set []uint64, i int) int {
	for w := i / 64; w < len(set); w++ {
		word := set[w]
		if w == i/64 {
			word &^= 1<<(i%64) - 1
		}
		if word != 0 {
			return w*64 + bits.TrailingZeros64(word)
		}
	}
	return -1
}

// parted splits a list in two, in order: what is chosen, and the rest.
func parted(list []gate, chosen func(gate) bool) (in, out []gate) {
	for _, g := range list {
		if chosen(g) {
			in = append(in, g)
		} else {
			out = append(out, g)
		}
	}
	return in, out
}

// writes is what a node may change in an event, with its children.
type writes struct {
	anything bool // an expression writes: nobody knows where
	paths    map[string]bool
}

func writesOf(n *node) *writes {
	w := &writes{paths: map[string]bool{}}
	w.add(n)
	return w
}

func (w *writes) add(n *node) {
	for _, p := range n.programs() {
		w.anything = w.anything || p.Reads().Writes
	}
	if n.grok != nil {
		for _, f := range n.grok.fields {
			w.paths["Parsed."+f.name] = true
		}
	}
	for _, list := range [][]static{n.grokStatics, n.statics} {
		for i := range list {
			w.paths[list[i].path] = true
		}
	}
	for _, c := range n.children {
		w.add(c)
	}
}

// touch reports whether a field of a gate may be changed.
func (w *writes) touch(path string) bool {
	return w.anything || w.paths[path] || strings.HasPrefix(path, "Enriched.") && w.paths["Enriched"]
}
