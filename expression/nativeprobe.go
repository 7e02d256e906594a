package expression

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/expr-lang/expr/ast"

	"github.com/rampart-edge/rampart/needle"
	"github.com/rampart-edge/rampart/pattern"
)

// probe asks whether a text has one of some constants.
type probe struct {
	text    *text
	needles []needle.Needle
}

// placeOf is where an operator looks for its right operand.
func placeOf(operator string) (needle.Place, bool) {
	switch operator {
	case "contains":
		return needle.Anywhere, true
	case "startsWith":
		return needle.Start, true
	case "endsWith":
		return needle.End, true
	case "==":
		return needle.Whole, true
	}
	return 0, false
}

// probe translates a comparison of a text with constants.
func (t translator) probe(n *ast.BinaryNode) *probe {
	if n.Operator == "in" {
		values, ok := constants(n.Right)
		if !ok || !isText(n.Left) {
			return nil
		}
		return probeFor(t.words(n.Left), needle.Whole, values)
	}
	place, ok := placeOf(n.Operator)
	if !ok {
		return nil
	}
	left, right := t.words(n.Left), t.words(n.Right)
	if left == nil || right == nil {
		return nil
	}
	if left.constant && n.Operator == "==" {
		left, right = right, left
	}
	if !right.constant {
		return nil
	}
	return probeFor(left, place, []string{right.value})
}

func probeFor(x *text, place needle.Place, values []string) *probe {
	if x == nil {
		return nil
	}
	p := &probe{text: x}
	for _, s := range values {
		p.needles = append(p.needles, needle.Needle{Text: s, Case: x.cased, Place: place})
	}
	return p
}

// constants are the texts of a list that has nothing else but nil, which no text
// equals.
func constants(list ast.Node) ([]string, bool) {
	var values []string
	if c, ok := list.(*ast.ConstantNode); ok {
		return constantTexts(c.Value)
	}
	array, ok := list.(*ast.ArrayNode)
	if !ok {
		return nil, false
	}
	for _, v := range array.Nodes {
		switch v := v.(type) {
		case *ast.StringNode:
			values = append(values, v.Value)
		case *ast.NilNode:
		default:
			return nil, false
		}
	}
	return values, true
}

// constantTexts is constants for what the optimiser makes of such lists.
func constantTexts(list any) (values []string, ok bool) {
	switch list := list.(type) {
	case map[string]struct{}:
		return slices.Sorted(maps.Keys(list)), true
	case []any:
		for _, x := range list {
			s, ok := x.(string)
			if !ok {
				return nil, false
			}
			values = append(values, s)
		}
		return values, true
	}
	return nil, false
}

// mostWeight is the weight of a long needle: longer ones say no more.
const mostWeight = 16

// weight is what it says that none of the needles is there.
func (p *probe) weight() int {
	weight := mostWeight
	for _, n := range p.needles {
		weight = min(weight, len(n.Text))
	}
	return weight
}

// equality reports whether the probe is that a field of the event has one of some
// values.
func (p *probe) equality() bool {
	return p.text.field && !slices.ContainsFunc(p.needles, func(n needle.Needle) bool { return n.Place != needle.Whole })
}

// cheap reports whether the probe costs no more than asking for its clue.
func (p *probe) cheap() bool {
	return p.text.cased == needle.Exact && !slices.ContainsFunc(p.needles, func(n needle.Needle) bool { return n.Place == needle.Anywhere }) &&
		(len(p.needles) <= 4 || !slices.ContainsFunc(p.needles, func(n needle.Needle) bool { return n.Place != needle.Whole }))
}

func (t translator) probing(p *probe) *test {
	x, exact := p.text, p.exact()
	out := &test{run: exact, ofItem: x.ofItem}
	if len(x.unless) > 0 && !slices.ContainsFunc(p.needles, func(n needle.Needle) bool { return n.Text == "" }) {
		out.needs = x.unless
	}
	if x.source == nil {
		return out
	}
	needles := p.needles
	c := x.source.add(p.weight(), func(*registry) ([]needle.Needle, bool) { return needles, true })
	c.equality = p.equality()
	out.needs = append(out.needs, clause{c})
	if !p.cheap() {
		out.run = func(v *Vars) bool {
			if hit, known := c.asked(v); known {
				return hit
			}
			return exact(v)
		}
	}
	return out
}

// exact is the probe by itself.
func (p *probe) exact() truth {
	x := p.text
	if len(p.needles) == 1 && x.cased == needle.Exact {
		n, holds := p.needles[0], comparison([...]string{"contains", "startsWith", "endsWith", "=="}[p.needles[0].Place])
		return func(v *Vars) bool { return holds(x.read(v), n.Text) && v.run.fault == nil }
	}
	var values []string
	same := p.needles
	for _, n := range p.needles {
		values = append(values, n.Text)
		if n.Case != needle.Exact || n.Place != p.needles[0].Place {
			same = nil
		}
	}
	switch {
	case same != nil && same[0].Place == needle.Anywhere:
		set := needle.NewSet(values)
		return func(v *Vars) bool { return set.In(x.read(v)) && v.run.fault == nil }
	case same != nil && same[0].Place == needle.Whole && len(values) <= 8:
		return func(v *Vars) bool { return slices.Contains(values, x.read(v)) && v.run.fault == nil }
	}
	finder := needle.NewFinder(p.needles, 1)
	return func(v *Vars) bool { return has(finder, x.plain(v)) && v.run.fault == nil }
}

// has reports whether a text has the one group of a finder.
func has(f *needle.Finder, text string) bool {
	var found [1]uint64
	f.Find(text, found[:])
	return found[0] != 0
}

// emptiness is text != ” for a text that is mostly empty.
func (t translator) emptiness(n *ast.BinaryNode) *test {
	left, right := t.words(n.Left), t.words(n.Right)
	if n.Operator != "!=" || left == nil || right == nil {
		return nil
	}
	if left.constant {
		left, right = right, left
	}
	if !right.constant || right.value != "" || len(left.unless) == 0 {
		return nil
	}
	return &test{needs: left.unless, run: func(v *Vars) bool { return left.read(v) != "" && v.run.fault == nil }}
}

// match is text against a pattern. Texts without what every match has in it are
// not shown to the pattern.
func (t translator) match(n *ast.BinaryNode) *test {
	left, right := t.words(n.Left), t.words(n.Right)
	if left == nil || right == nil {
		return nil
	}
	if _, ok := n.Right.(*ast.StringNode); !ok {
		return &test{run: func(v *Vars) bool {
			s, expr := left.read(v), right.read(v)
			if v.run.fault != nil {
				return false
			}
			p, err := t.env.patterns.get(expr)
			if err != nil {
				v.run.fail(err)
				return false
			}
			return p.Match(s)
		}}
	}
	p, err := pattern.Compile(right.value)
	if err != nil {
		return nil
	}
	out := &test{run: func(v *Vars) bool { s := left.read(v); return v.run.fault == nil && p.Match(s) }}
	list := required(right.value, left.cased)
	if len(list) == 0 || left.source == nil {
		return out
	}
	c := left.source.add((&probe{left, list}).weight(), func(*registry) ([]needle.Needle, bool) { return list, true })
	out.needs = []clause{{c}}
	out.run = func(v *Vars) bool {
		if hit, known := c.asked(v); known && !hit {
			return false
		}
		return p.Match(left.read(v))
	}
	return out
}

// required are needles of which a text must have one for its form in a case to
// match a pattern; none: nobody can say.
func required(expr string, cased needle.Case) []needle.Needle {
	list := needle.Required(expr)
	for i := range list {
		switch {
		case cased == needle.Exact:
		case list[i].Case == needle.Exact:
			list[i].Case = cased
		default:
			list[i].Case = needle.Loose
		}
	}
	return list
}

// overList is: one of a list of lines, each as a function of it, is in a text.
type overList struct {
	env   *Env
	text  *text
	place needle.Place
	item  words // of the line
	keep  truth // which lines count; nil: all
	lines lines
	clue  *clue
	built atomic.Pointer[listTable]
}

type listTable struct {
	file   *dataFile // nil: the lines are constants
	finder *needle.Finder
}

// itemProbe compares a text with the # of a closure over a list of lines.
func (t translator) itemProbe(n *ast.BinaryNode) *test {
	place, ok := placeOf(n.Operator)
	if !ok || t.items.lines == nil {
		return nil
	}
	x, line := t.words(n.Left), t.words(n.Right)
	if x == nil || line == nil {
		return nil
	}
	if n.Operator == "==" && x.ofItem {
		x, line = line, x
	}
	if !line.ofItem || x.source == nil {
		return nil
	}
	o := &overList{env: t.env, text: x, place: place, item: line.read, keep: t.items.keep, lines: *t.items.lines}
	c := x.source.add(o.lines.weight(), func(files *registry) ([]needle.Needle, bool) { return o.needles(o.lines.of(files)), true })
	holds := comparison(n.Operator)
	o.clue = c
	return &test{over: []truth{o.holds}, needs: []clause{{c}}, run: func(v *Vars) bool { return holds(x.read(v), line.read(v)) }}
}

// needles makes needles of lines.
func (o *overList) needles(lines []string) []needle.Needle {
	out := make([]needle.Needle, 0, len(lines))
	var v Vars
	for _, line := range lines {
		v.run.item.text = line
		if o.keep == nil || o.keep(&v) {
			out = append(out, needle.Needle{Text: o.item(&v), Case: o.text.cased, Place: o.place})
		}
	}
	return out
}

// holds asks for all lines at once.
func (o *overList) holds(v *Vars) bool {
	if hit, known := o.clue.asked(v); known {
		return hit
	}
	list, file := o.lines.current(o.env)
	table := o.built.Load()
	if table == nil || table.file != file {
		table = &listTable{file, needle.NewFinder(o.needles(list), 1)}
		o.built.Store(table)
	}
	return has(table.finder, o.text.plain(v))
}
