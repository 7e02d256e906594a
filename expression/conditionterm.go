package expression

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/expr-lang/expr/ast"
)

// The comparisons that conditions are made of.

// counts compares two whole numbers: lengths, counts and constants.
func (t *conditions) counts(n *ast.BinaryNode) verdict {
	left, right, holds := t.count(n.Left), t.count(n.Right), ordering(n.Operator)
	if left == nil || right == nil || holds == nil {
		return nil
	}
	// A side need not be counted any further than it takes to exceed the other.
	if c, ok := integer(n.Right); ok && c >= 0 && c < math.MaxInt {
		return func(w Window, _ *Vars) (bool, bool) { return holds(compare(left(w, c+1), c)), true }
	}
	return func(w Window, _ *Vars) (bool, bool) {
		return holds(compare(left(w, math.MaxInt), right(w, math.MaxInt))), true
	}
}

// count is a number of which it is enough to know whether it reaches a bound.
func (t *conditions) count(node ast.Node) func(w Window, enough int) int {
	if c, ok := integer(node); ok {
		return func(Window, int) int { return c }
	}
	n, ok := node.(*ast.BuiltinNode)
	if !ok || len(n.Arguments) == 0 {
		return nil
	}
	l, ok := t.selection(n.Arguments[0])
	switch {
	case !ok:
		return nil
	case n.Name == "len" && len(n.Arguments) == 1:
		return l.count
	case n.Name == "count" && len(n.Arguments) == 2 && l == selection{predicate: -1}:
		if l.predicate, ok = t.predicate(n.Arguments[1]); ok {
			return l.count
		}
	}
	return nil
}

// gaps compares MedianInterval(map(list, {#.Time})) with a constant duration.
func (t *conditions) gaps(n *ast.BinaryNode) verdict {
	call, ok := n.Left.(*ast.CallNode)
	limit, ok2 := constantDuration(n.Right)
	holds := ordering(n.Operator)
	if !ok || !ok2 || holds == nil || eventPath(call.Callee) != "MedianInterval" || len(call.Arguments) != 1 {
		return nil
	}
	times, ok := call.Arguments[0].(*ast.BuiltinNode)
	if !ok || times.Name != "map" || len(times.Arguments) != 2 {
		return nil
	}
	l, ok := t.selection(times.Arguments[0])
	if !ok || !isTime(times.Arguments[1]) {
		return nil
	}
	return func(w Window, _ *Vars) (bool, bool) {
		var room [8]time.Time
		all := l.times(w, room[:0])
		if len(all) < 2 {
			return false, false
		}
		slices.SortFunc(all, time.Time.Compare)
		var gaps [8]time.Duration
		out := gaps[:0]
		for i := 1; i < len(all); i++ {
			out = append(out, all[i].Sub(all[i-1]))
		}
		return holds(compare(median(out), limit)), true
	}
}

// isTime reports whether node is {#.Time}.
func isTime(node ast.Node) bool {
	p, ok := node.(*ast.PredicateNode)
	if !ok {
		return false
	}
	field, ok := p.Node.(*ast.MemberNode)
	if !ok || field.Optional || literal(field.Property) != "Time" {
		return false
	}
	item, ok := field.Node.(*ast.PointerNode)
	return ok && item.Name == ""
}

// distances compares Distance(…) of four fields with a constant.
func (t *conditions) distances(n *ast.BinaryNode) verdict {
	call, ok := n.Left.(*ast.CallNode)
	limit, ok2 := integer(n.Right)
	holds := ordering(n.Operator)
	if !ok || !ok2 || holds == nil || eventPath(call.Callee) != "Distance" || len(call.Arguments) != 4 {
		return nil
	}
	var at [4]func(Window) (string, bool)
	for i, a := range call.Arguments {
		if at[i] = t.text(a); at[i] == nil {
			return nil
		}
	}
	return func(w Window, _ *Vars) (bool, bool) {
		var degrees [4]float64
		for i := range at {
			text, ok := at[i](w)
			f, err := strconv.ParseFloat(text, 64)
			if !ok || err != nil {
				return false, false
			}
			degrees[i] = f
		}
		far := kilometres(degrees[0], degrees[1], degrees[2], degrees[3])
		return holds(compare(far, float64(limit))), !math.IsNaN(far)
	}
}

// texts compares fields of single events with each other or with constants.
func (t *conditions) texts(n *ast.BinaryNode) verdict {
	left, right, holds := t.text(n.Left), t.text(n.Right), comparison(n.Operator)
	if left == nil || right == nil || holds == nil {
		return nil
	}
	return func(w Window, _ *Vars) (bool, bool) {
		a, ok := left(w)
		b, ok2 := right(w)
		return ok && ok2 && holds(a, b), ok && ok2
	}
}

// text is a constant or queue.Queue[n].Meta.key; it reports whether there is such
// an event.
func (t *conditions) text(node ast.Node) func(Window) (string, bool) {
	if s, ok := node.(*ast.StringNode); ok {
		return func(Window) (string, bool) { return s.Value, true }
	}
	key, ok := node.(*ast.MemberNode)
	if !ok {
		return nil
	}
	group, ok := key.Node.(*ast.MemberNode)
	if !ok || !slices.Contains([]string{"Meta", "Parsed", "Enriched"}, literal(group.Property)) || literal(key.Property) == "" {
		return nil
	}
	item, ok := group.Node.(*ast.MemberNode)
	if !ok || key.Optional || group.Optional || item.Optional || eventPath(item.Node) != "queue.Queue" {
		return nil
	}
	n, ok := integer(item.Property)
	if !ok {
		return nil
	}
	path := literal(group.Property) + "." + literal(key.Property)
	return func(w Window) (string, bool) {
		i := n
		if i < 0 {
			i += w.Len()
		}
		if i < 0 || i >= w.Len() {
			return "", false
		}
		return w.Text(i, path), true
	}
}

func compare[T int | float64 | time.Duration](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// ordering is what a comparison says to -1, 0 and 1; nil for any other operator.
func ordering(operator string) func(int) bool {
	switch operator {
	case "<":
		return func(c int) bool { return c < 0 }
	case "<=":
		return func(c int) bool { return c <= 0 }
	case ">":
		return func(c int) bool { return c > 0 }
	case ">=":
		return func(c int) bool { return c >= 0 }
	case "==":
		return func(c int) bool { return c == 0 }
	case "!=":
		return func(c int) bool { return c != 0 }
	}
	return nil
}

// integer is a constant whole number.
func integer(node ast.Node) (int, bool) {
	switch n := node.(type) {
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.UnaryNode:
		if i, ok := n.Node.(*ast.IntegerNode); ok && n.Operator == "-" {
			return -i.Value, true
		}
	}
	return 0, false
}

// constantDuration is duration('10m').
func constantDuration(node ast.Node) (time.Duration, bool) {
	n, ok := node.(*ast.BuiltinNode)
	if !ok || n.Name != "duration" || len(n.Arguments) != 1 {
		return 0, false
	}
	d, err := time.ParseDuration(literal(n.Arguments[0]))
	return d, err == nil
}
