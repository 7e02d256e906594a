package expression

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// truth translates a condition.
func (t translator) truth(node ast.Node) *test {
	c, known := t.shared.tests[node]
	if !known {
		t.shared.tests[node] = nil // whoever asks again meanwhile must do without
		c = t.condition(node)
		t.shared.tests[node] = c
	}
	return c
}

func (t translator) condition(node ast.Node) *test {
	switch n := node.(type) {
	case *ast.BoolNode:
		return &test{run: func(*Vars) bool { return n.Value }}
	case *ast.UnaryNode:
		return t.negation(n)
	case *ast.BinaryNode:
		if c := t.binary(n); c != nil {
			return c
		}
	case *ast.IdentifierNode:
		if b := t.lets[n.Value]; b.test != nil {
			return b.test
		}
	case *ast.ConditionalNode:
		return t.branches(n)
	case *ast.VariableDeclaratorNode:
		return t.letTest(n)
	case *ast.BuiltinNode:
		if c := t.quantifier(n); c != nil {
			return c
		}
	case *ast.CallNode:
		if c := t.callTest(n); c != nil {
			return c
		}
	}
	return t.asTest(node)
}

// asTest is a value that must be true or false. Where the checker could not tell,
// the program may give something else, which is no failure before somebody needs it.
func (t translator) asTest(node ast.Node) *test {
	f := t.value(node)
	if f == nil {
		return nil
	}
	t.shared.dynamic = t.shared.dynamic || !isBool(node)
	return &test{run: func(v *Vars) bool {
		b, ok := f(v).(bool)
		if !ok {
			v.run.fail(errNotBool)
		}
		return b && v.run.fault == nil
	}}
}

func (t translator) negation(n *ast.UnaryNode) *test {
	if n.Operator != "not" && n.Operator != "!" {
		return nil
	}
	c := t.truth(n.Node)
	if c == nil {
		return nil
	}
	run := c.run
	if t.harmless(n.Node) {
		return &test{run: func(v *Vars) bool { return !run(v) }}
	}
	return &test{run: func(v *Vars) bool { return !run(v) && v.run.fault == nil }}
}

func (t translator) binary(n *ast.BinaryNode) *test {
	switch n.Operator {
	case "&&", "and":
		return t.conjunction(operands(nil, n, "&&", "and"))
	case "||", "or":
		return t.disjunction(operands(nil, n, "||", "or"))
	case "matches":
		return t.match(n)
	}
	if p := t.probe(n); p != nil {
		return t.probing(p)
	}
	if c := t.inFile(n); c != nil {
		return c
	}
	if c := t.emptiness(n); c != nil {
		return c
	}
	if c := t.itemProbe(n); c != nil {
		return c
	}
	if c := t.numbers(n); c != nil {
		return c
	}
	left, right, holds := t.words(n.Left), t.words(n.Right), comparison(n.Operator)
	if left == nil || right == nil || holds == nil {
		return t.absence(n)
	}
	return &test{run: func(v *Vars) bool {
		a := left.read(v)
		if v.run.fault != nil {
			return false
		}
		b := right.read(v)
		return v.run.fault == nil && holds(a, b)
	}}
}

// absence compares with nil a text that is always there.
func (t translator) absence(n *ast.BinaryNode) *test {
	_, isNil := n.Right.(*ast.NilNode)
	if !isNil || !t.harmless(n.Left) || t.words(n.Left) == nil {
		return nil
	}
	switch n.Operator {
	case "==":
		return &test{run: func(*Vars) bool { return false }}
	case "!=":
		return &test{run: func(*Vars) bool { return true }}
	}
	return nil
}

// comparison is an operator between two texts, nil for any other.
func comparison(operator string) func(a, b string) bool {
	switch operator {
	case "==":
		return func(a, b string) bool { return a == b }
	case "!=":
		return func(a, b string) bool { return a != b }
	case "contains":
		return strings.Contains
	case "startsWith":
		return strings.HasPrefix
	case "endsWith":
		return strings.HasSuffix
	}
	return nil
}

// operands flattens a chain of one operator: chains are hundreds of parts long.
func operands(out []ast.Node, node ast.Node, names ...string) []ast.Node {
	if n, ok := node.(*ast.BinaryNode); ok && (n.Operator == names[0] || n.Operator == names[1]) {
		return operands(operands(out, n.Left, names...), n.Right, names...)
	}
	return append(out, node)
}

func (t translator) conjunction(parts []ast.Node) *test {
	out := &test{}
	runs := make([]truth, len(parts))
	t, others := t.picked(parts)
	clean := true
	for i, p := range parts {
		c := t.truth(p)
		if c == nil {
			return nil
		}
		runs[i] = c.run
		if clean {
			out.needs = append(out.needs, c.needs...)
		}
		clean = clean && t.harmless(p)
		if !c.ofItem && others == 1 {
			out.over = c.over
		}
	}
	out.ofItem = others == 0
	out.run = conjunctionOf(runs)
	if len(runs) == 2 {
		left, right := runs[0], runs[1]
		out.run = func(v *Vars) bool { return left(v) && right(v) }
	}
	return out
}

// picked is t for the parts of a conjunction behind those at its beginning that look
// at # alone, which pick the lines that the others are about. It returns how many
// these others are.
func (t translator) picked(parts []ast.Node) (inner translator, others int) {
	if t.items.lines == nil {
		return t, len(parts)
	}
	var picks []truth
	if t.items.keep != nil {
		picks = append(picks, t.items.keep)
	}
	others = len(parts)
	for _, p := range parts {
		if t.mentions(p, true, false) {
			break
		}
		c := t.truth(p)
		if c == nil || !c.ofItem {
			break
		}
		picks = append(picks, c.run)
		others--
	}
	if len(picks) > 0 {
		t.items.keep = conjunctionOf(picks)
	}
	return t, others
}

// mentions reports whether a node may look at the event or a let variable, or at #.
func (t translator) mentions(node ast.Node, event, item bool) bool {
	var names []string
	if event {
		names = append(names, "evt")
	}
	if item {
		names = append(names, "#", "#index", "#acc")
	}
	for name := range t.lets {
		names = append(names, name)
	}
	return mentions(node, names...)
}

// disjunction looks for what several neighbours want to find in the same text at
// once.
func (t translator) disjunction(parts []ast.Node) *test {
	var tests []*test
	var checked []bool // whether the test may fail
	for from := 0; from < len(parts); {
		to := from
		for to < len(parts) && t.harmless(parts[to]) {
			to++
		}
		if to == from {
			c := t.truth(parts[from])
			if c == nil {
				return nil
			}
			tests, checked = append(tests, c), append(checked, true)
			from++
			continue
		}
		list := t.merged(parts[from:to])
		if list == nil {
			return nil
		}
		tests = append(tests, list...)
		checked = append(checked, make([]bool, len(list))...)
		from = to
	}
	out := &test{needs: tests[0].needs}
	runs := make([]truth, len(tests))
	for i, c := range tests {
		runs[i] = c.run
		if i > 0 {
			out.needs = eitherClause(out.needs, c.needs)
		}
		out.over = append(out.over, c.over...)
	}
	if slices.Contains(checked, true) || slices.ContainsFunc(tests, func(c *test) bool { return c.over == nil }) {
		out.over = nil // a line decides before the next one fails
	}
	out.run = func(v *Vars) bool {
		for i, run := range runs {
			if run(v) {
				return true
			}
			if checked[i] && v.run.fault != nil {
				return false
			}
		}
		return false
	}
	return out
}

// merged translates harmless parts of a disjunction, in any order.
func (t translator) merged(parts []ast.Node) []*test {
	var tests []*test
	if one, others := t.mergedRanges(parts); one != nil {
		tests, parts = append(tests, one), others
	}
	probes := map[*source]*probe{}
	var order []*probe
	for _, part := range parts {
		if n, ok := part.(*ast.BinaryNode); ok {
			if p := t.probe(n); p != nil && p.text.source != nil {
				if first := probes[p.text.source]; first != nil {
					first.needles = append(first.needles, p.needles...)
				} else {
					probes[p.text.source] = p
					order = append(order, p)
				}
				continue
			}
		}
		c := t.truth(part)
		if c == nil {
			return nil
		}
		tests = append(tests, c)
	}
	for _, p := range order {
		tests = append(tests, t.probing(p))
	}
	return tests
}

// branches is condition ? a : b.
func (t translator) branches(n *ast.ConditionalNode) *test {
	c, yes, no := t.truth(n.Cond), t.truth(n.Exp1), t.truth(n.Exp2)
	if c == nil || yes == nil || no == nil {
		return nil
	}
	out := &test{run: func(v *Vars) bool {
		if c.run(v) {
			return yes.run(v)
		}
		return v.run.fault == nil && no.run(v)
	}}
	if b, ok := n.Exp2.(*ast.BoolNode); ok && !b.Value {
		out.needs = append(out.needs, c.needs...)
		if t.harmless(n.Cond) {
			out.needs = append(out.needs, yes.needs...)
		}
	} else if t.harmless(n.Cond) {
		out.needs = eitherClause(yes.needs, no.needs)
	}
	return out
}

func (t translator) letTest(n *ast.VariableDeclaratorNode) *test {
	inner, set, ok := t.with(n)
	if !ok {
		return nil
	}
	body := inner.truth(n.Expr)
	if body == nil || set == nil {
		return body
	}
	out := &test{run: func(v *Vars) bool { return set(v) && body.run(v) }}
	if t.harmless(n.Value) {
		out.needs = body.needs
	}
	return out
}
