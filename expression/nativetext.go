package expression

import (
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/rampart-edge/rampart/needle"
)

// text is a translated text.
type text struct {
	read     words
	constant bool
	value    string // where it is constant
	// key says how the text is made of the event alone, "" where it is made of
	// other things.
	key string
	// plain is the text before its letters were changed by cased: what is looked
	// for in it is looked for in plain.
	plain  words
	cased  needle.Case
	source *source // of plain, nil where there is none
	field  bool    // it is a field of the event
	// ofItem: it depends on # and on nothing else.
	ofItem bool
	// unless are clauses without which it is empty; see test.needs.
	unless []clause
}

func constantText(s string) *text {
	read := func(*Vars) string { return s }
	return &text{read: read, plain: read, constant: true, value: s, key: strconv.Quote(s)}
}

// madeText is a text of which only its value is known.
func madeText(read words) *text { return &text{read: read, plain: read} }

// sourced makes a text that depends on the event alone.
func (t translator) sourced(key string, read words, inner *source) *text {
	s := t.env.source(key, read, inner)
	return &text{read: s.text, plain: s.text, key: key, source: s}
}

// words translates what is always a text.
func (t translator) words(node ast.Node) *text {
	switch n := node.(type) {
	case *ast.StringNode:
		return constantText(n.Value)
	case *ast.IdentifierNode:
		return t.lets[n.Value].text
	case *ast.PointerNode:
		if n.Name == "" && t.items.texts {
			read := func(v *Vars) string { return v.run.item.text }
			return &text{read: read, plain: read, ofItem: true}
		}
	case *ast.MemberNode:
		if x := t.field(n); x != nil {
			return x
		}
		return t.element(n)
	case *ast.VariableDeclaratorNode:
		return t.letText(n)
	case *ast.ConditionalNode:
		return t.choice(n)
	case *ast.SliceNode:
		return t.slice(n)
	case *ast.CallNode:
		return t.callText(n)
	case *ast.BuiltinNode:
		return t.builtinText(n)
	case *ast.BinaryNode:
		return t.joined(n)
	}
	return nil
}

func (t translator) letText(n *ast.VariableDeclaratorNode) *text {
	inner, set, ok := t.with(n)
	if !ok {
		return nil
	}
	body := inner.words(n.Expr)
	if body == nil || set == nil {
		return body
	}
	return madeText(func(v *Vars) string {
		if !set(v) {
			return ""
		}
		return body.read(v)
	})
}

// choice is condition ? text : text.
func (t translator) choice(n *ast.ConditionalNode) *text {
	c, yes, no := t.truth(n.Cond), t.words(n.Exp1), t.words(n.Exp2)
	if c == nil || yes == nil || no == nil {
		return nil
	}
	return madeText(func(v *Vars) string {
		if c.run(v) {
			return yes.read(v)
		}
		if v.run.fault != nil {
			return ""
		}
		return no.read(v)
	})
}

// joined is text + text, or text ?? text, of which the first is always there.
func (t translator) joined(n *ast.BinaryNode) *text {
	if n.Operator == "??" && t.harmless(n.Left) {
		return t.words(n.Left)
	}
	if n.Operator != "+" {
		return nil
	}
	a, b := t.words(n.Left), t.words(n.Right)
	if a == nil || b == nil {
		return nil
	}
	read := func(v *Vars) string {
		left := a.read(v)
		if v.run.fault != nil {
			return ""
		}
		return left + b.read(v)
	}
	if a.key != "" && b.key != "" {
		return t.sourced("("+a.key+" + "+b.key+")", read, nil)
	}
	return madeText(read)
}

// slice is text[from:to], in bytes as the language counts.
func (t translator) slice(n *ast.SliceNode) *text {
	if isText(n.Node) && t.words(n.Node) != nil {
		return t.asText(n)
	}
	return nil
}

// asText is a value that is always a text, where it does not fail.
func (t translator) asText(node ast.Node) *text {
	f := t.generic(node)
	if f == nil {
		return nil
	}
	return madeText(func(v *Vars) string {
		s, ok := f(v).(string)
		if !ok {
			v.run.fail(errNotText)
		}
		return s
	})
}

// element is list[i] of a list of texts: outside of the list it fails.
func (t translator) element(n *ast.MemberNode) *text {
	base := n.Node.Type()
	if n.Optional || n.Type() != reflect.TypeFor[string]() {
		return nil
	}
	if base == reflect.TypeFor[[]string]() || base == reflect.TypeFor[map[string]string]() || isStruct(base) {
		return t.asText(n)
	}
	return nil
}

func isStruct(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

func letterCase(name string) (needle.Case, bool) {
	switch name {
	case "Lower", "lower":
		return needle.Lower, true
	case "Upper", "upper":
		return needle.Upper, true
	}
	return needle.Exact, false
}

func textFunction(name string) (f func(string) string, decodes bool) {
	switch name {
	case "TrimSpace":
		return strings.TrimSpace, false
	case "PathUnescape":
		return func(s string) string {
			if strings.IndexByte(s, '%') < 0 {
				return s
			}
			return unescaped(s, url.PathUnescape)
		}, true
	case "QueryUnescape":
		return func(s string) string {
			if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
				return s
			}
			return unescaped(s, url.QueryUnescape)
		}, true
	}
	return nil, false
}

// applied is a function of one text.
func (t translator) applied(name string, arg *text) *text {
	if c, ok := letterCase(name); ok {
		return t.recased(c, arg)
	}
	f, decodes := textFunction(name)
	if f == nil {
		return nil
	}
	read := func(v *Vars) string { return f(arg.read(v)) }
	if arg.key == "" || arg.constant {
		out := madeText(read)
		out.ofItem = arg.ofItem
		return out
	}
	var inner *source
	if decodes && arg.cased == needle.Exact {
		inner = arg.source
	}
	return t.sourced(name+"("+arg.key+")", read, inner)
}

func (t translator) recased(c needle.Case, arg *text) *text {
	if arg.constant {
		return constantText(c.Of(arg.value))
	}
	read := func(v *Vars) string { return c.Of(arg.read(v)) }
	out := &text{read: read, plain: arg.read, cased: c, ofItem: arg.ofItem}
	if arg.key == "" {
		return out
	}
	out.key = [...]string{needle.Upper: "Upper", needle.Lower: "Lower"}[c] + "(" + arg.key + ")"
	whole := t.env.source(out.key, read, nil)
	out.read = whole.text
	out.source = arg.source
	if arg.cased != needle.Exact {
		out.source = t.env.source(arg.key, arg.read, nil)
	}
	return out
}

// callText is a function that gives a text.
func (t translator) callText(n *ast.CallNode) *text {
	if m, ok := n.Callee.(*ast.MemberNode); ok {
		return t.methodText(m, n)
	}
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || n.Type() != reflect.TypeFor[string]() {
		return nil
	}
	if len(n.Arguments) == 1 && isText(n.Arguments[0]) {
		if arg := t.words(n.Arguments[0]); arg != nil {
			if x := t.applied(id.Value, arg); x != nil {
				return x
			}
		}
	}
	if len(n.Arguments) == 2 && allText(n.Arguments) {
		a, b := t.words(n.Arguments[0]), t.words(n.Arguments[1])
		switch {
		case a == nil || b == nil:
		case id.Value == "LookupFile" && b.constant:
			return t.lookup(a, b.value)
		case id.Value == "JsonExtract":
			return t.extracted(a, b)
		}
	}
	return t.asText(n)
}

// extracted is JsonExtract.
func (t translator) extracted(a, b *text) *text {
	x := madeText(func(v *Vars) string { return jsonExtract(a.read(v), b.read(v)) })
	x.ofItem = a.ofItem && (b.ofItem || b.constant)
	return x
}

// methodText is evt.GetType() and evt.GetMeta(text).
func (t translator) methodText(m *ast.MemberNode, n *ast.CallNode) *text {
	if isVariable(m.Node, "evt") {
		switch name := literal(m.Property); {
		case name == "GetType" && len(n.Arguments) == 0:
			return madeText(func(v *Vars) string { return v.Evt.GetType() })
		case name == "GetMeta" && len(n.Arguments) == 1:
			if key := t.words(n.Arguments[0]); key != nil {
				return madeText(func(v *Vars) string { return v.Evt.GetMeta(key.read(v)) })
			}
		}
	}
	if x := t.alertMethod(m, n); x != nil {
		return x
	}
	if n.Type() != reflect.TypeFor[string]() {
		return nil
	}
	return t.asText(n)
}

// builtinText is a function of the language that gives a text.
func (t translator) builtinText(n *ast.BuiltinNode) *text {
	if len(n.Arguments) == 1 && isText(n.Arguments[0]) {
		if arg := t.words(n.Arguments[0]); arg != nil {
			if x := t.applied(n.Name, arg); x != nil {
				return x
			}
		}
	}
	switch n.Name {
	case "upper", "lower", "trim", "trimPrefix", "trimSuffix", "string", "join", "replace", "repeat":
		return t.asText(n)
	}
	return nil
}
