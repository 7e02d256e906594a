package expression

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/rampart-edge/rampart/event"
)

// Requirement is a test of one field of evt, as Value reads it.
//
// Field is Meta.k, Parsed.k, Enriched.k or Line.Labels.k for a key k (which may
// contain dots; a missing key counts as ""), or one of Line.Raw, Line.Src,
// Line.Module, Stage, StrTime, Type ("log", "overflow": what GetType gives).
type Requirement struct {
	Field  string
	Values []string
}

// Requires returns what must hold for the program to be true: for each
// requirement the field has one of the values, at the time the program starts.
// Where it does not, the program gives false, and has neither failed nor written.
// There may be several for one field, and there is none for conditions that
// cannot be named. The caller must not change the result.
func (p *Program) Requires() []Requirement { return p.requires }

// Excludes returns what must not hold for the program to be true, as Requires: for
// each requirement the field has none of the values.
func (p *Program) Excludes() []Requirement { return p.excludes }

// Value returns the field of a Requirement as an expression reads it. An unknown
// field is "".
func Value(ev *event.Event, field string) string {
	for _, m := range []struct {
		prefix string
		fields map[string]string
	}{
		{"Meta.", ev.Meta}, {"Parsed.", ev.Parsed}, {"Enriched.", ev.Enriched}, {"Line.Labels.", ev.Line.Labels},
	} {
		if key, ok := strings.CutPrefix(field, m.prefix); ok {
			return m.fields[key]
		}
	}
	switch field {
	case "Line.Raw":
		return ev.Line.Raw
	case "Line.Src":
		return ev.Line.Src
	case "Line.Module":
		return ev.Line.Module
	case "Stage":
		return ev.Stage
	case "StrTime":
		return ev.StrTime
	case "Type":
		return ev.GetType()
	}
	return ""
}

// conjunction walks what must be true for the whole to be true.
type conjunction struct {
	positive bool // collect == and in; else != and not in
	harmless harmless
	aliases  map[string]string // let variable → field
}

// requirementsOf returns the positive or negative tests that root implies.
func requirementsOf(root ast.Node, positive bool) []Requirement {
	c := &conjunction{positive: positive, harmless: newHarmless(), aliases: map[string]string{}}
	out := c.of(root)
	for i := range out {
		slices.Sort(out[i].Values)
		out[i].Values = slices.Compact(out[i].Values)
	}
	return out
}

// of returns what n implies. A test that runs after something that may fail or
// write does not count: who leaves the program out for it would leave that out too.
func (c *conjunction) of(n ast.Node) []Requirement {
	switch n := n.(type) {
	case *ast.BinaryNode:
		switch n.Operator {
		case "and", "&&":
			left := c.of(n.Left)
			if !c.harmless.of(n.Left) {
				return left
			}
			return append(left, c.of(n.Right)...)
		case "or", "||":
			return c.either(c.of(n.Left), c.of(n.Right))
		}
		return c.test(n, c.positive)
	case *ast.UnaryNode:
		if b, ok := n.Node.(*ast.BinaryNode); ok && (n.Operator == "not" || n.Operator == "!") {
			return c.test(b, !c.positive)
		}
	case *ast.ConditionalNode:
		// if condition { … } else { false }
		if b, ok := n.Exp2.(*ast.BoolNode); ok && !b.Value {
			return c.of(&ast.BinaryNode{Operator: "&&", Left: n.Cond, Right: n.Exp1})
		}
	case *ast.VariableDeclaratorNode:
		if !c.harmless.of(n.Value) {
			return nil
		}
		if field, ok := c.field(n.Value); ok {
			c.aliases[n.Name] = field
			defer delete(c.aliases, n.Name)
		}
		return c.of(n.Expr)
	}
	return nil
}

// either returns what both sides of an or imply. Of several requirements on a
// field one pair is enough to be sound.
func (c *conjunction) either(left, right []Requirement) []Requirement {
	var out []Requirement
	for _, l := range left {
		i := slices.IndexFunc(right, func(r Requirement) bool { return r.Field == l.Field })
		if i < 0 {
			continue
		}
		if c.positive {
			l.Values = append(l.Values, right[i].Values...)
		} else {
			l.Values = slices.DeleteFunc(l.Values, func(v string) bool { return !slices.Contains(right[i].Values, v) })
		}
		if len(l.Values) > 0 {
			out = append(out, l)
		}
	}
	return out
}

// test returns the requirement of a comparison: of ==, in where positive, of !=
// and not in where not.
func (c *conjunction) test(n *ast.BinaryNode, positive bool) []Requirement {
	switch {
	case n.Operator == "==" && positive, n.Operator == "!=" && !positive:
		field, ok := c.field(n.Left)
		constant, isText := n.Right.(*ast.StringNode)
		if !ok || !isText {
			field, ok = c.field(n.Right)
			constant, isText = n.Left.(*ast.StringNode)
		}
		if ok && isText {
			return []Requirement{{field, []string{constant.Value}}}
		}
	case n.Operator == "in" && positive:
		field, ok := c.field(n.Left)
		values, isList := constants(n.Right)
		if !ok || !isList {
			return nil
		}
		return []Requirement{{field, values}}
	}
	return nil
}

// field returns the field of evt that n reads and nothing else.
func (c *conjunction) field(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		field, ok := c.aliases[n.Value]
		return field, ok
	case *ast.CallNode:
		if m, ok := n.Callee.(*ast.MemberNode); ok && len(n.Arguments) == 0 && isVariable(m.Node, "evt") && literal(m.Property) == "GetType" {
			return "Type", true
		}
	case *ast.MemberNode:
		// evt.Meta?.k fails where there is no Meta.
		name, isText := n.Property.(*ast.StringNode)
		if !isText || n.Optional {
			return "", false
		}
		path := place(n.Node)
		switch path {
		case "Meta", "Parsed", "Enriched", "Line.Labels":
			return path + "." + name.Value, true
		case "Line":
			return "Line." + name.Value, slices.Contains([]string{"Raw", "Src", "Module"}, name.Value)
		case "evt":
			return name.Value, name.Value == "Stage" || name.Value == "StrTime"
		}
	}
	return "", false
}

// place returns the path of a part of evt: "evt", "Meta", "Line.Labels"…, "" for
// everything else.
func place(n ast.Node) string {
	if isVariable(n, "evt") {
		return "evt"
	}
	m, ok := n.(*ast.MemberNode)
	if !ok || m.Optional {
		return ""
	}
	switch base := place(m.Node); base {
	case "evt":
		return literal(m.Property)
	case "Line":
		return base + "." + literal(m.Property)
	}
	return ""
}

func isVariable(n ast.Node, name string) bool {
	id, ok := n.(*ast.IdentifierNode)
	return ok && id.Value == name
}

// literal returns the text of a constant, "" for everything else.
func literal(n ast.Node) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return ""
}

func isSetter(name string) bool {
	switch name {
	case "SetMeta", "SetParsed", "SetEnriched", "SetLabel", "Reset":
		return true
	}
	return false
}
