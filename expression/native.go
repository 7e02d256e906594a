package expression

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/needle"
)

// Most filters are comparisons of fields with constants. These run as closures
// over the event, without the virtual machine, which boxes every value it loads.
// What the closures do not know they leave to the machine, whole; a test holds the
// two equal.
type (
	truth func(ev *event.Event) bool
	words func(ev *event.Event) string
)

// native is what of a program runs without the machine.
type native struct {
	truth truth // the whole program, where it gives true or false
	words words // the whole program, where it gives text
	// rest is truth without the parts that are requirements or exclusions.
	rest truth
	// guard is the leading part of a conjunction: where it is false so is the
	// whole. It writes nothing and cannot fail.
	guard truth
}

// nativeOf translates what it can of a program over evt.
func nativeOf(root ast.Node) native {
	t := translator{functions: map[string]func(string) string{
		"Lower": strings.ToLower, "lower": strings.ToLower, "Upper": strings.ToUpper, "upper": strings.ToUpper,
		"TrimSpace":     strings.TrimSpace,
		"PathUnescape":  func(s string) string { return unescaped(s, url.PathUnescape) },
		"QueryUnescape": func(s string) string { return unescaped(s, url.QueryUnescape) },
	}}
	if f := t.truth(root); f != nil {
		return native{truth: f, rest: conjunctionOf(t.rest(root))}
	}
	if f := t.words(root); f != nil {
		return native{words: f}
	}
	return native{guard: t.guard(root)}
}

// translator makes closures; nil stands for what it does not know.
type translator struct {
	functions map[string]func(string) string
	// lets are the let variables in scope. Their text is made anew where it is
	// used, which a condition before it may spare.
	lets map[string]words
}

// with is t inside a let expression; false where its value is not known.
func (t translator) with(n *ast.VariableDeclaratorNode) (translator, bool) {
	value := t.words(n.Value)
	t.lets = maps.Clone(t.lets)
	if t.lets == nil {
		t.lets = map[string]words{}
	}
	t.lets[n.Name] = value
	return t, value != nil
}

// rest translates the parts of a conjunction that is known to translate, without
// those that Requires or Excludes names as they stand.
func (t translator) rest(node ast.Node) []truth {
	switch n := node.(type) {
	case *ast.VariableDeclaratorNode:
		inner, _ := t.with(n)
		return inner.rest(n.Expr)
	case *ast.BinaryNode:
		if n.Operator == "&&" || n.Operator == "and" {
			return append(t.rest(n.Left), t.rest(n.Right)...)
		}
		for _, positive := range []bool{true, false} {
			if (&conjunction{}).test(n, positive) != nil {
				return nil
			}
		}
	}
	return []truth{t.truth(node)}
}

func conjunctionOf(parts []truth) truth {
	return func(ev *event.Event) bool {
		for _, part := range parts {
			if !part(ev) {
				return false
			}
		}
		return true
	}
}

// guard translates the conjuncts of a conjunction from the left for as long as it
// knows them.
func (t translator) guard(node ast.Node) truth {
	if let, ok := node.(*ast.VariableDeclaratorNode); ok {
		if inner, ok := t.with(let); ok {
			return inner.guard(let.Expr)
		}
		return nil
	}
	n, ok := node.(*ast.BinaryNode)
	if !ok || n.Operator != "&&" && n.Operator != "and" {
		return nil
	}
	left := t.truth(n.Left)
	if left == nil {
		return t.guard(n.Left)
	}
	if right := t.guard(n.Right); right != nil {
		return func(ev *event.Event) bool { return left(ev) && right(ev) }
	}
	return left
}

func (t translator) truth(node ast.Node) truth {
	switch n := node.(type) {
	case *ast.BoolNode:
		return func(*event.Event) bool { return n.Value }
	case *ast.UnaryNode:
		if n.Operator != "not" && n.Operator != "!" {
			return nil
		}
		if f := t.truth(n.Node); f != nil {
			return func(ev *event.Event) bool { return !f(ev) }
		}
	case *ast.BinaryNode:
		return t.binary(n)
	case *ast.VariableDeclaratorNode:
		if inner, ok := t.with(n); ok {
			return inner.truth(n.Expr)
		}
	case *ast.BuiltinNode:
		if n.Name == "any" && len(n.Arguments) == 2 {
			return t.anyOf(n.Arguments[0], n.Arguments[1])
		}
	}
	return nil
}

// anyOf is any([constants], {text contains #}), and the like.
func (t translator) anyOf(list, predicate ast.Node) truth {
	values, ok := constants(list)
	p, isPredicate := predicate.(*ast.PredicateNode)
	if !ok || !isPredicate {
		return nil
	}
	n, ok := p.Node.(*ast.BinaryNode)
	if !ok {
		return nil
	}
	if item, ok := n.Right.(*ast.PointerNode); !ok || item.Name != "" {
		return nil
	}
	text, holds := t.words(n.Left), comparison(n.Operator)
	if text == nil || holds == nil {
		return nil
	}
	if n.Operator == "contains" {
		set := needle.NewSet(values)
		return func(ev *event.Event) bool { return set.In(text(ev)) }
	}
	return func(ev *event.Event) bool {
		s := text(ev)
		return slices.ContainsFunc(values, func(v string) bool { return holds(s, v) })
	}
}

// constants are the texts of a list that has nothing else.
func constants(list ast.Node) ([]string, bool) {
	array, ok := list.(*ast.ArrayNode)
	if !ok {
		return nil, false
	}
	values := make([]string, len(array.Nodes))
	for i, v := range array.Nodes {
		s, ok := v.(*ast.StringNode)
		if !ok {
			return nil, false
		}
		values[i] = s.Value
	}
	return values, true
}

func (t translator) binary(n *ast.BinaryNode) truth {
	switch n.Operator {
	case "&&", "and", "||", "or":
		return t.junction(n)
	case "in":
		return t.member(n)
	case "matches":
		return t.match(n)
	}
	left, right, holds := t.words(n.Left), t.words(n.Right), comparison(n.Operator)
	if left == nil || right == nil || holds == nil {
		return nil
	}
	if c, ok := n.Right.(*ast.StringNode); ok {
		return func(ev *event.Event) bool { return holds(left(ev), c.Value) }
	}
	return func(ev *event.Event) bool { return holds(left(ev), right(ev)) }
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

func (t translator) junction(n *ast.BinaryNode) truth {
	left, right := t.truth(n.Left), t.truth(n.Right)
	if left == nil || right == nil {
		return nil
	}
	if n.Operator == "&&" || n.Operator == "and" {
		return func(ev *event.Event) bool { return left(ev) && right(ev) }
	}
	return func(ev *event.Event) bool { return left(ev) || right(ev) }
}

// member is text in a list of constants.
func (t translator) member(n *ast.BinaryNode) truth {
	left := t.words(n.Left)
	values, ok := constants(n.Right)
	if left == nil || !ok {
		return nil
	}
	return func(ev *event.Event) bool { return slices.Contains(values, left(ev)) }
}

// match is text against a constant pattern. Texts without what every match has in
// it are not shown to the regexp.
func (t translator) match(n *ast.BinaryNode) truth {
	left := t.words(n.Left)
	pattern, ok := n.Right.(*ast.StringNode)
	if left == nil || !ok {
		return nil
	}
	re, err := regexp.Compile(pattern.Value)
	if err != nil {
		return nil
	}
	filter := needle.NewFilter(pattern.Value)
	return func(ev *event.Event) bool {
		s := left(ev)
		return filter.Possible(s) && re.MatchString(s)
	}
}

func (t translator) words(node ast.Node) words {
	switch n := node.(type) {
	case *ast.StringNode:
		return func(*event.Event) string { return n.Value }
	case *ast.MemberNode:
		return field(n)
	case *ast.IdentifierNode:
		return t.lets[n.Value]
	case *ast.VariableDeclaratorNode:
		if inner, ok := t.with(n); ok {
			return inner.words(n.Expr)
		}
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			return t.call(id.Value, n.Arguments)
		}
	case *ast.BuiltinNode:
		return t.call(n.Name, n.Arguments)
	case *ast.BinaryNode:
		left, right := t.words(n.Left), t.words(n.Right)
		if n.Operator == "+" && left != nil && right != nil {
			return func(ev *event.Event) string { return left(ev) + right(ev) }
		}
	}
	return nil
}

func (t translator) call(name string, arguments []ast.Node) words {
	f := t.functions[name]
	if f == nil || len(arguments) != 1 {
		return nil
	}
	if arg := t.words(arguments[0]); arg != nil {
		return func(ev *event.Event) string { return f(arg(ev)) }
	}
	return nil
}

// field is evt.X or evt.Map.key, for the texts and maps of texts of an event.
func field(n *ast.MemberNode) words {
	name, ok := n.Property.(*ast.StringNode)
	if !ok || n.Optional {
		return nil
	}
	switch path := eventPath(n.Node); path {
	case "evt":
		return direct(name.Value)
	case "evt.Meta":
		return func(ev *event.Event) string { return ev.Meta[name.Value] }
	case "evt.Parsed":
		return func(ev *event.Event) string { return ev.Parsed[name.Value] }
	case "evt.Enriched":
		return func(ev *event.Event) string { return ev.Enriched[name.Value] }
	case "evt.Line.Labels":
		return func(ev *event.Event) string { return ev.Line.Labels[name.Value] }
	case "evt.Line":
		switch name.Value {
		case "Raw":
			return func(ev *event.Event) string { return ev.Line.Raw }
		case "Src":
			return func(ev *event.Event) string { return ev.Line.Src }
		case "Module":
			return func(ev *event.Event) string { return ev.Line.Module }
		}
	}
	return nil
}

func direct(name string) words {
	switch name {
	case "StrTime":
		return func(ev *event.Event) string { return ev.StrTime }
	case "MarshaledTime":
		return func(ev *event.Event) string { return ev.MarshaledTime }
	case "Stage":
		return func(ev *event.Event) string { return ev.Stage }
	}
	return nil
}

// eventPath is the dotted path of a chain of constant members, "" for any other.
func eventPath(node ast.Node) string {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		return n.Value
	case *ast.MemberNode:
		name, ok := n.Property.(*ast.StringNode)
		if base := eventPath(n.Node); ok && !n.Optional && base != "" {
			return base + "." + name.Value
		}
	}
	return ""
}
