package expression

import (
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// items says what # stands for in the closure around.
type items struct {
	texts bool   // a text; else a value
	lines *lines // which texts, where that is known before any event comes
	keep  truth  // which of them the rest of the closure is about; nil: all
}

// series is a list that a closure goes over.
type series struct {
	texts []string
	anys  []any
	other reflect.Value
	n     int
}

// seriesOf fails as the machine does for what is no list.
func seriesOf(list any) series {
	switch l := list.(type) {
	case []string:
		return series{texts: l, n: len(l)}
	case []any:
		return series{anys: l, n: len(l)}
	}
	other := reflect.ValueOf(list)
	return series{other: other, n: other.Len()}
}

// at makes # element i.
func (s *series) at(i int, r *run, asText bool) {
	r.item.index = i
	switch {
	case asText:
		r.item.text = s.texts[i]
	case s.texts != nil:
		r.item.any = s.texts[i]
	case s.anys != nil:
		r.item.any = s.anys[i]
	default:
		r.item.any = s.other.Index(i).Interface()
	}
}

// over translates a list and the translator for closures over it.
func (t translator) over(node ast.Node) (list value, inner translator) {
	inner = t
	inner.items = items{}
	if c, ok := node.(*ast.ConstantNode); ok {
		values, ok := constantTexts(c.Value)
		if !ok {
			return t.value(node), inner
		}
		inner.items = items{texts: true, lines: &lines{constant: values}}
		var boxed any = values
		return func(*Vars) any { return boxed }, inner
	}
	if name, ok := t.fileName(node); ok {
		inner.items = items{texts: true, lines: &lines{file: name}}
		none := any([]string{})
		return func(*Vars) any {
			if f := t.env.file(name, "string"); f != nil {
				return f.lines
			}
			return none
		}, inner
	}
	list = t.operand(node)
	inner.items.texts = node.Type() == reflect.TypeFor[[]string]()
	return list, inner
}

// closure takes apart a built-in function of a list and of what is asked of each
// item; the list is nil where it is no such one, or the list is not known.
func (t translator) closure(n *ast.BuiltinNode) (list value, inner translator, body ast.Node) {
	if len(n.Arguments) != 2 {
		return nil, t, nil
	}
	p, ok := n.Arguments[1].(*ast.PredicateNode)
	if !ok {
		return nil, t, nil
	}
	list, inner = t.over(n.Arguments[0])
	return list, inner, p.Node
}

// quantifier is any, all or none of a list.
func (t translator) quantifier(n *ast.BuiltinNode) *test {
	if n.Name != "any" && n.Name != "all" && n.Name != "none" {
		return nil
	}
	list, inner, body := t.closure(n)
	if list == nil {
		return nil
	}
	c := inner.truth(body)
	if c == nil {
		return nil
	}
	texts := inner.items.texts
	stop, found := n.Name != "all", n.Name == "any"
	run := c.run
	out := &test{run: func(v *Vars) bool {
		s := seriesOf(list(v))
		outer := v.run.item
		defer func() { v.run.item = outer }()
		for i := range s.n {
			s.at(i, &v.run, texts)
			if run(v) == stop || v.run.fault != nil {
				return found && v.run.fault == nil
			}
		}
		return !found
	}}
	if n.Name == "any" && inner.items.lines != nil {
		out.needs = c.needs
		if c.over != nil {
			out.run = overAll(c.over)
		} else if gate, each := best(c.needs), out.run; gate != nil {
			out.run = func(v *Vars) bool { return !gate.missing(v) && each(v) }
		}
	}
	return out
}

// overAll looks for all lines of a list at once.
func overAll(list []truth) truth {
	if len(list) == 1 {
		return list[0]
	}
	return func(v *Vars) bool {
		for _, holds := range list {
			if holds(v) {
				return true
			}
			if v.run.fault != nil {
				return false
			}
		}
		return false
	}
}

// mostItems is how many elements the machine lets a list have that it makes.
const mostItems = 1e6

// overItems is filter, map, find or count of a list.
func (t translator) overItems(n *ast.BuiltinNode) value {
	switch n.Name {
	case "any", "all", "none":
		if c := t.quantifier(n); c != nil {
			return boxed(c)
		}
		return nil
	case "filter", "map", "find", "count":
	default:
		return nil
	}
	list, inner, body := t.closure(n)
	if list == nil {
		return nil
	}
	if n.Name == "map" {
		return mapped(list, inner.value(body), inner.items.texts)
	}
	c := inner.truth(body)
	if c == nil {
		return nil
	}
	s := &picking{list: list, holds: c.run, texts: inner.items.texts, enough: mostItems, strict: n.Throws}
	if n.Threshold != nil {
		s.enough = *n.Threshold
	}
	if n.Map != nil {
		if s.give = inner.value(n.Map); s.give == nil {
			return nil
		}
	}
	switch n.Name {
	case "find":
		return s.find
	case "count":
		return s.count
	}
	return s.filter
}

func mapped(list, body value, texts bool) value {
	if body == nil {
		return nil
	}
	return func(v *Vars) any {
		s := seriesOf(list(v))
		outer := v.run.item
		out := make([]any, min(s.n, mostItems))
		for i := range out {
			s.at(i, &v.run, texts)
			if out[i] = body(v); v.run.fault != nil {
				return nil
			}
		}
		v.run.item = outer
		return limited(v, out, s.n)
	}
}

func limited(v *Vars, list []any, n int) any {
	if n > mostItems {
		v.run.fail(fmt.Errorf("a list of %d elements is too long", n))
		return nil
	}
	return list
}

// picking is filter, find or count of a list.
type picking struct {
	list   value
	holds  truth
	give   value // what is taken of an element; nil: itself
	texts  bool
	enough int  // how many to count
	strict bool // to find nothing is a failure
}

// walk runs visit with each element that is picked, until it returns false.
func (p *picking) walk(v *Vars, visit func(x any) bool) {
	s := seriesOf(p.list(v))
	outer := v.run.item
	for i := range s.n {
		s.at(i, &v.run, p.texts)
		if !p.holds(v) {
			if v.run.fault != nil {
				return
			}
			continue
		}
		x := v.run.item.any
		switch {
		case p.give != nil:
			x = p.give(v)
		case p.texts:
			x = s.texts[i]
		}
		if v.run.fault != nil || !visit(x) {
			break
		}
	}
	v.run.item = outer
}

func (p *picking) find(v *Vars) (found any) {
	none := true
	p.walk(v, func(x any) bool {
		found, none = x, false
		return false
	})
	if none && p.strict {
		v.run.fail(errNoElement)
	}
	return found
}

func (p *picking) count(v *Vars) any {
	n := 0
	p.walk(v, func(any) bool {
		n++
		return n < p.enough
	})
	return n
}

func (p *picking) filter(v *Vars) any {
	out := []any{}
	p.walk(v, func(x any) bool {
		out = append(out, x)
		return len(out) <= mostItems
	})
	return limited(v, out, len(out))
}

// pointer is # or #index.
func (t translator) pointer(n *ast.PointerNode) value {
	switch {
	case n.Name == "index":
		return func(v *Vars) any { return v.run.item.index }
	case n.Name == "" && !t.items.texts:
		return func(v *Vars) any { return v.run.item.any }
	}
	return nil
}

// number translates what is always an int.
func (t translator) number(node ast.Node) func(v *Vars) int {
	switch n := node.(type) {
	case *ast.IntegerNode:
		if n.Type().Kind() == reflect.Int {
			return func(*Vars) int { return n.Value }
		}
	case *ast.BuiltinNode:
		if len(n.Arguments) != 1 || !isText(n.Arguments[0]) {
			return nil
		}
		x := t.words(n.Arguments[0])
		switch {
		case x == nil:
		case n.Name == "len":
			return func(v *Vars) int { return utf8.RuneCountInString(x.read(v)) }
		case n.Name == "int":
			return func(v *Vars) int {
				s := x.read(v)
				if v.run.fault != nil {
					return 0
				}
				i, err := strconv.Atoi(s)
				if err != nil {
					v.run.fail(fmt.Errorf("invalid operation: int(%s)", excerpt(s, 0)))
				}
				return i
			}
		}
	}
	return nil
}

// numbers compares two ints.
func (t translator) numbers(n *ast.BinaryNode) *test {
	var holds func(a, b int) bool
	switch n.Operator {
	case "==":
		holds = func(a, b int) bool { return a == b }
	case "!=":
		holds = func(a, b int) bool { return a != b }
	case "<":
		holds = func(a, b int) bool { return a < b }
	case ">":
		holds = func(a, b int) bool { return a > b }
	case "<=":
		holds = func(a, b int) bool { return a <= b }
	case ">=":
		holds = func(a, b int) bool { return a >= b }
	default:
		return nil
	}
	left, right := t.number(n.Left), t.number(n.Right)
	if left == nil || right == nil {
		return nil
	}
	return &test{ofItem: t.itemNumber(n.Left) && t.itemNumber(n.Right), run: func(v *Vars) bool {
		a := left(v)
		if v.run.fault != nil {
			return false
		}
		b := right(v)
		return v.run.fault == nil && holds(a, b)
	}}
}

// itemNumber reports whether a number depends on # and on nothing else.
func (t translator) itemNumber(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.IntegerNode:
		return true
	case *ast.BuiltinNode:
		if n.Name == "len" && len(n.Arguments) == 1 {
			x := t.words(n.Arguments[0])
			return x != nil && (x.ofItem || x.constant)
		}
	}
	return false
}
