package expression

import (
	"math"
	"reflect"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/vm/runtime"
)

// What has a type that is known only at run time is computed by the functions that
// the machine uses, so that it gives, and fails, as it does there. They fail by
// panic, which guarded catches.

// value translates anything, boxed.
func (t translator) value(node ast.Node) value {
	if isText(node) {
		if x := t.words(node); x != nil {
			if x.constant {
				var boxed any = x.value
				return func(*Vars) any { return boxed }
			}
			return func(v *Vars) any { return x.read(v) }
		}
	}
	return t.generic(node)
}

// generic is value for what is no text of its own.
func (t translator) generic(node ast.Node) value {
	switch n := node.(type) {
	case *ast.NilNode:
		return func(*Vars) any { return nil }
	case *ast.ConstantNode:
		return func(*Vars) any { return n.Value }
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return constantValue(n)
	case *ast.IdentifierNode:
		return t.variable(n)
	case *ast.PointerNode:
		return t.pointer(n)
	case *ast.MemberNode:
		return t.member(n)
	case *ast.ChainNode:
		return t.chain(n)
	case *ast.UnaryNode:
		return t.unary(n)
	case *ast.BinaryNode:
		return t.operator(n)
	case *ast.ConditionalNode:
		return t.choiceValue(n)
	case *ast.VariableDeclaratorNode:
		return t.letValue(n)
	case *ast.SliceNode:
		return t.sliceValue(n)
	case *ast.ArrayNode:
		return t.array(n)
	case *ast.MapNode:
		return t.dictionary(n)
	case *ast.BuiltinNode:
		return t.builtin(n)
	case *ast.CallNode:
		return t.call(n)
	}
	return nil
}

func constantValue(node ast.Node) value {
	var boxed any
	switch n := node.(type) {
	case *ast.BoolNode:
		boxed = n.Value
	case *ast.FloatNode:
		if n.Type().Kind() == reflect.Float32 {
			return nil
		}
		boxed = n.Value
	case *ast.IntegerNode:
		switch n.Type().Kind() {
		case reflect.Int, reflect.Interface:
			boxed = n.Value
		case reflect.Float64:
			boxed = float64(n.Value)
		default:
			return nil
		}
	}
	return func(*Vars) any { return boxed }
}

func (t translator) variable(n *ast.IdentifierNode) value {
	if b, ok := t.lets[n.Value]; ok {
		if b.test != nil {
			return boxed(b.test)
		}
		return b.value
	}
	switch {
	case n.Value == "evt" && t.on != OnAlert:
		return func(v *Vars) any { return v.Evt }
	case n.Value == "Alert" && t.on == OnAlert:
		return func(v *Vars) any { return v.Alert }
	}
	return nil
}

func boxed(c *test) value { return func(v *Vars) any { return c.run(v) } }

// member is base[property].
func (t translator) member(n *ast.MemberNode) value {
	if f := t.part(n); f != nil {
		return f
	}
	if f := t.alertPart(n); f != nil {
		return f
	}
	base := t.value(n.Node)
	if base == nil {
		return nil
	}
	name, named := n.Property.(*ast.StringNode)
	var key value
	if !named {
		if key = t.value(n.Property); key == nil {
			return nil
		}
	}
	return func(v *Vars) any {
		b := base(v)
		if v.run.fault != nil || v.run.short {
			return nil
		}
		if n.Optional && runtime.IsNil(b) {
			v.run.short = true
			return nil
		}
		if named {
			return fetch(b, name.Value)
		}
		k := dereferenced(key(v))
		if v.run.fault != nil {
			return nil
		}
		return runtime.Fetch(b, k)
	}
}

// fetch is runtime.Fetch of a name, without reflection for the maps that decoders
// make.
func fetch(base any, name string) any {
	switch m := base.(type) {
	case map[string]any:
		return m[name]
	case map[string]string:
		return m[name]
	}
	return runtime.Fetch(base, name)
}

// chain is a chain with ?. in it: nil where one of these met nothing. Where the
// checker says that it is something else, its nil would be a failure: that is left
// to the machine.
func (t translator) chain(n *ast.ChainNode) value {
	if n.Type().Kind() != reflect.Interface {
		return nil
	}
	inner := t.value(n.Node)
	if inner == nil {
		return nil
	}
	return func(v *Vars) any {
		outer := v.run.short
		v.run.short = false
		x := inner(v)
		if v.run.short || runtime.IsNil(x) {
			x = nil
		}
		v.run.short = outer
		return x
	}
}

// dereferenced is what the machine's operators see of a value.
func dereferenced(x any) any {
	switch x.(type) {
	case nil, string, int, float64, bool, map[string]any, map[string]string, []any, []string, time.Time, time.Duration:
		return x
	}
	v := reflect.ValueOf(x)
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	return v.Interface()
}

// operand is the value of an operand.
func (t translator) operand(node ast.Node) value {
	f := t.value(node)
	if f == nil {
		return nil
	}
	switch node.Type().Kind() {
	case reflect.Interface, reflect.Pointer:
		return func(v *Vars) any { return dereferenced(f(v)) }
	}
	return f
}

func (t translator) unary(n *ast.UnaryNode) value {
	switch n.Operator {
	case "!", "not":
		if c := t.truth(n); c != nil {
			return boxed(c)
		}
	case "+":
		return t.operand(n.Node)
	case "-":
		if x := t.operand(n.Node); x != nil {
			return func(v *Vars) any {
				a := x(v)
				if v.run.fault != nil {
					return nil
				}
				return runtime.Negate(a)
			}
		}
	}
	return nil
}

func (t translator) choiceValue(n *ast.ConditionalNode) value {
	c, yes, no := t.truth(n.Cond), t.value(n.Exp1), t.value(n.Exp2)
	if c == nil || yes == nil || no == nil {
		return nil
	}
	return func(v *Vars) any {
		if c.run(v) {
			return yes(v)
		}
		if v.run.fault != nil {
			return nil
		}
		return no(v)
	}
}

func (t translator) letValue(n *ast.VariableDeclaratorNode) value {
	inner, set, ok := t.with(n)
	if !ok {
		return nil
	}
	body := inner.value(n.Expr)
	if body == nil || set == nil {
		return body
	}
	return func(v *Vars) any {
		if !set(v) {
			return nil
		}
		return body(v)
	}
}

func (t translator) sliceValue(n *ast.SliceNode) value {
	base := t.value(n.Node)
	from, to := constantInt(0), constantInt(math.MaxInt)
	if n.From != nil {
		from = t.operand(n.From)
	}
	if n.To != nil {
		to = t.operand(n.To)
	}
	if base == nil || from == nil || to == nil {
		return nil
	}
	return func(v *Vars) any {
		b, y := base(v), to(v)
		x := from(v)
		if v.run.fault != nil {
			return nil
		}
		if n.To == nil {
			y = runtime.Len(b)
		}
		return runtime.Slice(b, x, y)
	}
}

func constantInt(n int) value {
	var boxed any = n
	return func(*Vars) any { return boxed }
}

// list translates nodes to one closure for each.
func (t translator) list(nodes []ast.Node, one func(ast.Node) value) []value {
	out := make([]value, len(nodes))
	for i, n := range nodes {
		if out[i] = one(n); out[i] == nil {
			return nil
		}
	}
	return out
}

func (t translator) array(n *ast.ArrayNode) value {
	items := t.list(n.Nodes, t.value)
	if items == nil {
		return nil
	}
	return func(v *Vars) any {
		out := make([]any, len(items))
		for i, item := range items {
			if out[i] = item(v); v.run.fault != nil {
				return nil
			}
		}
		return out
	}
}

func (t translator) dictionary(n *ast.MapNode) value {
	keys, values := make([]*text, len(n.Pairs)), make([]value, len(n.Pairs))
	for i, p := range n.Pairs {
		pair := p.(*ast.PairNode)
		keys[i], values[i] = t.words(pair.Key), t.value(pair.Value)
		if keys[i] == nil || values[i] == nil {
			return nil
		}
	}
	return func(v *Vars) any {
		out := make(map[string]any, len(keys))
		// The machine writes the last pair first, so that the first of a key stays.
		for i := len(keys) - 1; i >= 0; i-- {
			k, x := keys[i].read(v), values[i](v)
			if v.run.fault != nil {
				return nil
			}
			out[k] = x
		}
		return out
	}
}

// builtin is a function of the language without a closure among its arguments.
func (t translator) builtin(n *ast.BuiltinNode) value {
	if f := t.overItems(n); f != nil {
		return f
	}
	id, ok := builtin.Index[n.Name]
	if !ok {
		return nil
	}
	for _, a := range n.Arguments {
		if isPredicate(a) {
			return nil
		}
	}
	f := builtin.Builtins[id]
	if f.Deref != nil || f.Predicate {
		return nil
	}
	arguments := t.list(n.Arguments, t.operand)
	if arguments == nil && len(n.Arguments) > 0 {
		return nil
	}
	return calling(arguments, func(in []any) (any, error) {
		switch {
		case f.Fast != nil:
			return f.Fast(in[0]), nil
		case f.Safe != nil:
			out, _, err := f.Safe(in...)
			return out, err
		}
		return f.Func(in...)
	})
}
