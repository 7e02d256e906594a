package expression

import (
	"reflect"
	"slices"

	"github.com/expr-lang/expr/ast"
)

// Reads is what a program looks at in events: evt, and those of queue alike.
type Reads struct {
	// Paths are sorted: "Meta.http_path", "Line.Raw", "Line.Labels.type",
	// "Unmarshaled", "Time", "Overflow", "Type"… ("Alert" for OnAlert). Below
	// Meta, Parsed, Enriched, Line and Line.Labels single keys are named, anything
	// else as a whole. GetMeta('k') counts as Meta.k, ParseIPSources() as
	// Meta.source_ip, signal as Overflow.
	Paths []string
	// Opaque: it reads something that cannot be named, such as a key that is
	// computed, or an event as a whole.
	Opaque bool
	// Writes: it may change the event or a stash: SetMeta, SetParsed,
	// UnmarshalJSON, ParseKV, ParseKVLax, SetInStash.
	Writes bool
	// Remote: it asks another machine, which may take seconds. It must not run while
	// somebody waits.
	Remote bool
}

// Reads returns what the program reads. The caller must not change the result.
func (p *Program) Reads() Reads { return p.reads }

// part says what a value of the expression may lead to.
type part struct {
	kind partKind
	path string // of a group
}

type partKind uint8

const (
	plain   partKind = iota // nothing more than what has been noted
	whole                   // an event, or a queue or list of events
	group                   // Meta, Parsed, Enriched, Line or Line.Labels of an event
	blurred                 // may hold any of these; noted as opaque
)

// reader follows events through an expression.
type reader struct {
	paths   map[string]bool
	opaque  bool
	writes  bool
	lets    map[string]part
	pointer []part // the # of each closure around
	acc     []part // the #acc of each reduce around
}

func readsOf(root ast.Node) Reads {
	r := &reader{paths: map[string]bool{}, lets: map[string]part{}}
	r.use(r.value(root))
	out := Reads{Opaque: r.opaque, Writes: r.writes}
	for p := range r.paths {
		out.Paths = append(out.Paths, p)
	}
	slices.Sort(out.Paths)
	return out
}

// use notes that a value is consumed as it is.
func (r *reader) use(p part) {
	if p.kind == whole || p.kind == group {
		r.opaque = true
	}
	if p.kind == group {
		r.paths[p.path] = true
	}
}

// blur notes that a value goes where it cannot be followed.
func (r *reader) blur(p part) part {
	if p.kind == plain {
		return p
	}
	r.use(p)
	return part{kind: blurred}
}

// join is one of two values.
func (r *reader) join(a, b part) part {
	if a == b {
		return a
	}
	a, b = r.blur(a), r.blur(b)
	return part{kind: max(a.kind, b.kind)}
}

// value walks n, notes what it reads and returns what its value may lead to.
func (r *reader) value(n ast.Node) part {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return r.identifier(n.Value)
	case *ast.UnaryNode:
		r.use(r.value(n.Node))
	case *ast.BinaryNode:
		return r.binary(n)
	case *ast.ChainNode:
		return r.value(n.Node)
	case *ast.MemberNode:
		return r.member(r.value(n.Node), n.Node, n.Property)
	case *ast.SliceNode:
		for _, bound := range []ast.Node{n.From, n.To} {
			if bound != nil {
				r.use(r.value(bound))
			}
		}
		return r.value(n.Node)
	case *ast.CallNode:
		return r.call(n)
	case *ast.BuiltinNode:
		return r.builtin(n)
	case *ast.PredicateNode:
		return r.value(n.Node)
	case *ast.PointerNode:
		return r.pointerTo(n.Name)
	case *ast.VariableDeclaratorNode:
		r.lets[n.Name] = r.value(n.Value)
		out := r.value(n.Expr)
		delete(r.lets, n.Name)
		return out
	case *ast.SequenceNode:
		var out part
		for _, s := range n.Nodes {
			out = r.value(s)
		}
		return out
	case *ast.ConditionalNode:
		r.use(r.value(n.Cond))
		return r.join(r.value(n.Exp1), r.value(n.Exp2))
	case *ast.ArrayNode:
		return r.collect(n.Nodes)
	case *ast.MapNode:
		return r.collect(n.Pairs)
	case *ast.PairNode:
		r.use(r.value(n.Key))
		return r.value(n.Value)
	}
	return part{} // constants
}

func (r *reader) identifier(name string) part {
	if p, ok := r.lets[name]; ok {
		return p
	}
	switch name {
	case "evt", "queue":
		return part{kind: whole}
	case "signal":
		r.paths["Overflow"] = true
	case "Alert":
		r.paths["Alert"] = true
	case "leaky":
		r.opaque = true
		return part{kind: blurred}
	case "$env":
		r.opaque, r.writes = true, true
		return part{kind: blurred}
	}
	return part{}
}

func (r *reader) pointerTo(name string) part {
	switch name {
	case "":
		if len(r.pointer) > 0 {
			return r.pointer[len(r.pointer)-1]
		}
	case "acc":
		if len(r.acc) > 0 {
			return r.acc[len(r.acc)-1]
		}
	}
	return part{}
}

func (r *reader) binary(n *ast.BinaryNode) part {
	left, right := r.value(n.Left), r.value(n.Right)
	if n.Operator == "??" {
		return r.join(left, right)
	}
	if key, ok := n.Left.(*ast.StringNode); ok && n.Operator == "in" && right.kind == group {
		r.paths[right.path+"."+key.Value] = true
		return part{}
	}
	r.use(left)
	r.use(right)
	return part{}
}

// collect is a list or map made of nodes; events in it are no longer followed.
func (r *reader) collect(nodes []ast.Node) part {
	var out part
	for _, n := range nodes {
		p := r.blur(r.value(n))
		out.kind = max(out.kind, p.kind)
	}
	return out
}

// member is base[property]; from is what base may lead to.
func (r *reader) member(from part, base, property ast.Node) part {
	name, named := property.(*ast.StringNode)
	if !named {
		r.use(r.value(property))
		return r.computed(from, base, property)
	}
	if isSetter(name.Value) {
		r.writes = true
	}
	switch from.kind {
	case whole:
		return r.field(name.Value)
	case group:
		path := from.path + "." + name.Value
		if path == "Line.Labels" {
			return part{group, path}
		}
		r.paths[path] = true
		return part{}
	}
	return from
}

// computed is base[property] for a property that is known only at run time.
func (r *reader) computed(from part, base, property ast.Node) part {
	index := isInteger(property.Type()) || isList(base.Type())
	switch from.kind {
	case whole:
		if index {
			return from
		}
		r.opaque, r.writes = true, true
		return part{kind: blurred}
	case group:
		return r.blur(from)
	case blurred:
		r.writes = r.writes || !index
	}
	return from
}

// field is a field or method of an event or of a queue.
func (r *reader) field(name string) part {
	switch name {
	case "Queue":
		return part{kind: whole}
	case "L":
		return part{}
	case "Meta", "Parsed", "Enriched", "Line":
		return part{group, name}
	case "GetMeta", "GetType", "ParseIPSources", "GetQueue", "Clone":
		// A method that is not called at once.
		r.opaque = true
		return part{kind: blurred}
	}
	if !isSetter(name) {
		r.paths[name] = true
	}
	return part{}
}

// call is a call of a function or a method.
func (r *reader) call(n *ast.CallNode) part {
	var callee part
	switch c := n.Callee.(type) {
	case *ast.MemberNode:
		from := r.value(c.Node)
		if name := literal(c.Property); name != "" && from.kind == whole {
			return r.method(name, n.Arguments)
		}
		callee = r.member(from, c.Node, c.Property)
	case *ast.IdentifierNode:
		switch c.Value {
		case "UnmarshalJSON", "ParseKV", "ParseKVLax", "SetInStash":
			r.writes = true
		}
		callee = r.identifier(c.Value)
	default:
		callee = r.value(c)
	}
	out := r.blur(callee)
	for _, a := range n.Arguments {
		// A function may give back what it was given, whole or in part.
		p := r.blur(r.value(a))
		out.kind = max(out.kind, p.kind)
	}
	return out
}

func (r *reader) method(name string, arguments []ast.Node) part {
	for _, a := range arguments {
		r.use(r.value(a))
	}
	switch name {
	case "GetMeta":
		if len(arguments) == 1 {
			if key, ok := arguments[0].(*ast.StringNode); ok {
				r.paths["Meta."+key.Value] = true
				return part{}
			}
		}
		r.opaque = true
	case "GetType":
		r.paths["Type"] = true
	case "ParseIPSources":
		r.paths["Meta.source_ip"] = true
	case "SetMeta", "SetParsed", "SetEnriched", "SetLabel", "Reset":
		r.writes = true
	case "GetQueue", "Clone":
		return part{kind: whole}
	default:
		r.opaque, r.writes = true, true
		return part{kind: blurred}
	}
	return part{}
}

// builtin is a function of the language itself, with or without a closure.
func (r *reader) builtin(n *ast.BuiltinNode) part {
	if len(n.Arguments) == 0 {
		return part{}
	}
	switch n.Name {
	case "get":
		if len(n.Arguments) == 2 {
			return r.member(r.value(n.Arguments[0]), n.Arguments[0], n.Arguments[1])
		}
	case "reverse", "first", "last", "take":
		for _, a := range n.Arguments[1:] {
			r.use(r.value(a))
		}
		return r.value(n.Arguments[0])
	case "len":
		if p := r.value(n.Arguments[0]); p.kind != whole {
			r.use(p) // how many keys a group has cannot be named
		}
		return part{}
	}
	if len(n.Arguments) < 2 || !isPredicate(n.Arguments[1]) {
		return r.collect(n.Arguments)
	}
	return r.closure(n)
}

func (r *reader) closure(n *ast.BuiltinNode) part {
	list := r.value(n.Arguments[0])
	if list.kind == group {
		list = r.blur(list)
	}
	var initial part
	for _, a := range n.Arguments[2:] {
		initial = r.blur(r.value(a))
	}
	if n.Name == "reduce" {
		initial = r.join(initial, r.blur(list)) // #acc starts as the first element where there is no initial value
	}
	r.pointer, r.acc = append(r.pointer, list), append(r.acc, initial)
	body := r.value(n.Arguments[1])
	r.pointer, r.acc = r.pointer[:len(r.pointer)-1], r.acc[:len(r.acc)-1]
	switch n.Name {
	case "filter", "find", "findLast", "sortBy":
		r.use(body)
		return list
	case "map":
		if body.kind == group {
			return r.blur(body)
		}
		return body
	case "all", "any", "none", "one", "count", "findIndex", "findLastIndex", "sum":
		r.use(body)
		return part{}
	}
	return part{kind: max(r.blur(list).kind, r.blur(body).kind)}
}

func isPredicate(n ast.Node) bool {
	_, ok := n.(*ast.PredicateNode)
	return ok
}

func isUnknown(t reflect.Type) bool { return t == nil || t.Kind() == reflect.Interface }

func isInteger(t reflect.Type) bool {
	return t != nil && t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64
}

func isList(t reflect.Type) bool {
	return t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array)
}
