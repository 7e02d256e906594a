package expression

import (
	"reflect"
	"regexp"

	"github.com/expr-lang/expr/ast"
)

// harmless knows the parts of an expression that cannot fail, write or be heard of,
// whatever the event: whether they run, and in which order, shows in their results
// alone.
type harmless struct{ known map[ast.Node]bool }

func newHarmless() harmless { return harmless{map[ast.Node]bool{}} }

// of errs on the side of harm.
func (h harmless) of(n ast.Node) bool {
	if n == nil {
		return true
	}
	ok, seen := h.known[n]
	if !seen {
		ok = h.judge(n)
		h.known[n] = ok
	}
	return ok
}

func (h harmless) all(list []ast.Node) bool {
	for _, n := range list {
		if !h.of(n) {
			return false
		}
	}
	return true
}

func (h harmless) judge(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.NilNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode, *ast.ConstantNode, *ast.PointerNode:
		return true
	case *ast.IdentifierNode:
		switch n.Value {
		case "$env", "queue", "leaky", "signal", "Alert", "req", "match":
			return false
		}
		return true // evt, or a let variable, whose value is judged where it stands
	case *ast.MemberNode:
		return h.member(n)
	case *ast.UnaryNode:
		return (n.Operator == "not" || n.Operator == "!") && isBool(n.Node) && h.of(n.Node)
	case *ast.BinaryNode:
		return h.of(n.Left) && h.of(n.Right) && h.operator(n)
	case *ast.ConditionalNode:
		return isBool(n.Cond) && h.of(n.Cond) && h.of(n.Exp1) && h.of(n.Exp2)
	case *ast.VariableDeclaratorNode:
		return h.of(n.Value) && h.of(n.Expr)
	case *ast.PredicateNode:
		return h.of(n.Node)
	case *ast.ArrayNode:
		return h.all(n.Nodes)
	case *ast.BuiltinNode:
		return h.builtin(n)
	case *ast.CallNode:
		return h.call(n)
	}
	return false
}

// member is a field of the event or a value of one of its maps of texts. What is
// behind a pointer, or of a type that nobody knows, may not be there.
func (h harmless) member(n *ast.MemberNode) bool {
	if n.Method || n.Optional || !h.of(n.Node) {
		return false
	}
	base := n.Node.Type()
	switch {
	case base.Kind() == reflect.Map:
		return isText(n.Property) && h.of(n.Property)
	case base.Kind() == reflect.Struct, isVariable(n.Node, "evt"):
		_, named := n.Property.(*ast.StringNode)
		return named && n.Type().Kind() != reflect.Func
	}
	return false
}

func (h harmless) operator(n *ast.BinaryNode) bool {
	switch n.Operator {
	case "==", "!=":
		return true
	case "&&", "and", "||", "or":
		return isBool(n.Left) && isBool(n.Right)
	case "contains", "startsWith", "endsWith", "+":
		return isText(n.Left) && isText(n.Right)
	case "matches":
		pattern, ok := n.Right.(*ast.StringNode)
		if !ok || !isText(n.Left) {
			return false
		}
		_, err := regexp.Compile(pattern.Value)
		return err == nil
	case "in":
		switch n.Right.(type) {
		case *ast.ArrayNode, *ast.ConstantNode:
			return isText(n.Left)
		}
		t := n.Right.Type()
		return isText(n.Left) && (t.Kind() == reflect.Map && t.Key().Kind() == reflect.String ||
			t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String)
	case "<", ">", "<=", ">=":
		return n.Left.Type().Kind() == reflect.Int && n.Right.Type().Kind() == reflect.Int || isText(n.Left) && isText(n.Right)
	}
	return false
}

// isText and its like say what the checker knows of a node: false where the type
// is known only at run time.
func isText(n ast.Node) bool { return n.Type() == reflect.TypeFor[string]() }

func isBool(n ast.Node) bool { return n.Type() == reflect.TypeFor[bool]() }

func (h harmless) builtin(n *ast.BuiltinNode) bool {
	if !h.all(n.Arguments) {
		return false
	}
	switch n.Name {
	case "any", "all", "none", "one", "count":
		return len(n.Arguments) == 2 && isList(n.Arguments[0].Type()) && isBool(n.Arguments[1].(*ast.PredicateNode).Node)
	case "len":
		k := n.Arguments[0].Type().Kind()
		return k == reflect.String || k == reflect.Map || k == reflect.Slice
	case "upper", "lower", "trim", "hasPrefix", "hasSuffix", "trimPrefix", "trimSuffix":
		return allText(n.Arguments)
	}
	return false
}

func (h harmless) call(n *ast.CallNode) bool {
	if !h.all(n.Arguments) || !allText(n.Arguments) {
		return false
	}
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		switch callee.Value {
		case "Lower", "Upper", "TrimSpace", "Trim", "TrimLeft", "TrimRight", "TrimPrefix", "TrimSuffix",
			"PathUnescape", "QueryUnescape", "PathEscape", "QueryEscape", "Index", "IndexAny", "Match",
			"IsIP", "IsIPV4", "IsIPV6", "IpInRange", "File", "RegexpInFile", "LookupFile", "JsonExtract":
			return true
		}
	case *ast.MemberNode:
		name := literal(callee.Property)
		return isVariable(callee.Node, "evt") && (name == "GetType" || name == "GetMeta")
	}
	return false
}

func allText(list []ast.Node) bool {
	for _, n := range list {
		if !isText(n) {
			return false
		}
	}
	return true
}
