package expression

import (
	"reflect"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// operator is an operation on two values.
func (t translator) operator(n *ast.BinaryNode) value {
	switch n.Operator {
	case "&&", "and", "||", "or":
		if c := t.truth(n); c != nil {
			return boxed(c)
		}
		return nil
	case "??":
		return t.coalesced(n)
	case "in":
		return t.membership(n)
	case "matches":
		return t.matching(n)
	}
	if isText(n.Left) && isText(n.Right) && comparison(n.Operator) != nil && t.words(n.Left) != nil && t.words(n.Right) != nil {
		return boxed(t.truth(n))
	}
	f := operation(n)
	if f == nil {
		return nil
	}
	return t.binaryValue(n, f)
}

func (t translator) binaryValue(n *ast.BinaryNode, f func(a, b any) any) value {
	left, right := t.operand(n.Left), t.operand(n.Right)
	if left == nil || right == nil {
		return nil
	}
	return func(v *Vars) any {
		a := left(v)
		if v.run.fault != nil {
			return nil
		}
		b := right(v)
		if v.run.fault != nil {
			return nil
		}
		return f(a, b)
	}
}

// operation is what the machine does for an operator.
func operation(n *ast.BinaryNode) func(a, b any) any {
	switch n.Operator {
	case "==":
		return equality(n)
	case "!=":
		same := equality(n)
		return func(a, b any) any { return !same(a, b).(bool) }
	case "<":
		return func(a, b any) any { return runtime.Less(a, b) }
	case ">":
		return func(a, b any) any { return runtime.More(a, b) }
	case "<=":
		return func(a, b any) any { return runtime.LessOrEqual(a, b) }
	case ">=":
		return func(a, b any) any { return runtime.MoreOrEqual(a, b) }
	case "+":
		return runtime.Add
	case "-":
		return runtime.Subtract
	case "*":
		return runtime.Multiply
	case "/":
		return func(a, b any) any { return runtime.Divide(a, b) }
	case "%":
		return func(a, b any) any { return runtime.Modulo(a, b) }
	case "contains":
		return both(strings.Contains)
	case "startsWith":
		return both(strings.HasPrefix)
	case "endsWith":
		return both(strings.HasSuffix)
	}
	return nil
}

// equality is ==: where the checker knows both sides the machine insists on their
// types, else it compares what there is.
func equality(n *ast.BinaryNode) func(a, b any) any {
	l, r := n.Left.Type(), n.Right.Type()
	if l.PkgPath() == "" && r.PkgPath() == "" && l.Kind() == r.Kind() {
		switch l.Kind() {
		case reflect.Int:
			return func(a, b any) any { return a.(int) == b.(int) }
		case reflect.String:
			return func(a, b any) any { return a.(string) == b.(string) }
		}
	}
	return func(a, b any) any { return runtime.Equal(a, b) }
}

// both is a comparison of texts of which either may be missing.
func both(holds func(a, b string) bool) func(a, b any) any {
	return func(a, b any) any {
		if runtime.IsNil(a) || runtime.IsNil(b) {
			return false
		}
		return holds(a.(string), b.(string))
	}
}

func (t translator) coalesced(n *ast.BinaryNode) value {
	left, right := t.operand(n.Left), t.operand(n.Right)
	if left == nil || right == nil {
		return nil
	}
	return func(v *Vars) any {
		x := left(v)
		if v.run.fault == nil && runtime.IsNil(x) {
			return right(v)
		}
		return x
	}
}

// membership is in. A list of constants is made once, in the form in which the
// optimiser gives it to the machine.
func (t translator) membership(n *ast.BinaryNode) value {
	left := t.operand(n.Left)
	if left == nil {
		return nil
	}
	array, ok := n.Right.(*ast.ArrayNode)
	if !ok { // a map, a list that is computed or one of constants
		return t.binaryValue(n, within)
	}
	items, texts := make([]any, len(array.Nodes)), map[string]struct{}{}
	for i, node := range array.Nodes {
		switch node := node.(type) {
		case *ast.StringNode:
			items[i] = node.Value
			texts[node.Value] = struct{}{}
		case *ast.NilNode:
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
			f := constantValue(node)
			if f == nil {
				return nil
			}
			items[i] = f(nil)
		default:
			return t.binaryValue(n, within)
		}
	}
	var list any = items
	if len(items) > 0 && allText(array.Nodes) {
		list = texts
	}
	return func(v *Vars) any {
		x := left(v)
		if v.run.fault != nil {
			return nil
		}
		return runtime.In(x, list)
	}
}

// within is in for any list or map. A group of the event is asked without
// reflection.
func within(x, list any) any {
	if group, ok := list.(map[string]string); ok {
		if key, ok := x.(string); ok {
			_, found := group[key]
			return found
		}
	}
	return runtime.In(x, list)
}

// matching is matches on values of which nobody knows that they are texts.
func (t translator) matching(n *ast.BinaryNode) value {
	if isText(n.Left) && isText(n.Right) {
		if c := t.match(n); c != nil {
			return boxed(c)
		}
	}
	constant, ok := n.Right.(*ast.StringNode)
	if !ok {
		return nil
	}
	left := t.operand(n.Left)
	re, err := regexp.Compile(constant.Value)
	if err != nil || left == nil {
		return nil
	}
	return func(v *Vars) any {
		x := left(v)
		if v.run.fault != nil || runtime.IsNil(x) {
			return false
		}
		if s, ok := x.(string); ok {
			return re.MatchString(s)
		}
		return re.Match(x.([]byte))
	}
}

// calling calls a function with the values of its arguments.
func calling(arguments []value, f func(in []any) (any, error)) value {
	return func(v *Vars) any {
		base := len(v.run.args)
		for _, a := range arguments {
			x := a(v)
			if v.run.fault != nil {
				return nil
			}
			v.run.args = append(v.run.args, x)
		}
		in := v.run.args[base:len(v.run.args):len(v.run.args)]
		out, err := f(in)
		clear(in)
		v.run.args = v.run.args[:base]
		if err != nil {
			v.run.fail(err)
			return nil
		}
		return out
	}
}

// call is a function of the table, or a method.
func (t translator) call(n *ast.CallNode) value {
	if isBool(n) {
		if c := t.callTest(n); c != nil {
			return boxed(c)
		}
	}
	if m, ok := n.Callee.(*ast.MemberNode); ok {
		return t.method(m, n)
	}
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return nil
	}
	f := t.env.functions[id.Value]
	if _, shadowed := t.lets[id.Value]; f == nil || shadowed {
		return nil
	}
	for _, a := range n.Arguments {
		if a.Type().Kind() == reflect.Pointer {
			return nil // the machine dereferences by the type of the parameter
		}
	}
	arguments := t.list(n.Arguments, t.value)
	if arguments == nil && len(n.Arguments) > 0 {
		return nil
	}
	t.shared.once = t.shared.once || t.env.remote[id.Value] || id.Value == "LogInfo"
	return calling(arguments, func(in []any) (any, error) { return f.Func(in...) })
}

// method is a method without arguments, or of texts.
func (t translator) method(m *ast.MemberNode, n *ast.CallNode) value {
	name := literal(m.Property)
	base := t.value(m.Node)
	if name == "" || m.Optional || base == nil || isSetter(name) || isUnknown(m.Node.Type()) {
		return nil
	}
	arguments := t.list(n.Arguments, t.value)
	if arguments == nil && len(n.Arguments) > 0 || !allText(n.Arguments) {
		return nil
	}
	return func(v *Vars) any {
		b := base(v)
		if v.run.fault != nil {
			return nil
		}
		f := reflect.ValueOf(runtime.Fetch(b, name))
		in := make([]reflect.Value, len(arguments))
		for i, a := range arguments {
			x := a(v)
			if v.run.fault != nil {
				return nil
			}
			in[i] = reflect.ValueOf(x)
		}
		out := f.Call(in)
		if err, ok := out[len(out)-1].Interface().(error); ok && len(out) == 2 && err != nil {
			v.run.fail(err)
			return nil
		}
		return out[0].Interface()
	}
}
