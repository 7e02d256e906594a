package expression

import (
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// field is evt.X or evt.Map.key, for the texts and maps of texts of an event.
func (t translator) field(n *ast.MemberNode) *text {
	name, ok := n.Property.(*ast.StringNode)
	if !ok || n.Optional {
		return nil
	}
	path := eventPath(n.Node)
	read := fieldOf(path, name.Value)
	if read == nil {
		return t.alertText(path, name.Value)
	}
	if t.on != OnEvent {
		return madeText(read) // it is not asked for again
	}
	x := t.sourced(strings.TrimPrefix(path+".", "evt.")+strconv.Quote(name.Value), read, nil)
	x.field = true
	if path == "evt" || path == "evt.Line" {
		x.read, x.plain = read, read // it costs less than to look for it
	}
	return x
}

func fieldOf(path, key string) words {
	switch path {
	case "evt":
		return direct(key)
	case "evt.Meta":
		return func(v *Vars) string { return v.Evt.Meta[key] }
	case "evt.Parsed":
		return func(v *Vars) string { return v.Evt.Parsed[key] }
	case "evt.Enriched":
		return func(v *Vars) string { return v.Evt.Enriched[key] }
	case "evt.Line.Labels":
		return func(v *Vars) string { return v.Evt.Line.Labels[key] }
	case "evt.Line":
		switch key {
		case "Raw":
			return func(v *Vars) string { return v.Evt.Line.Raw }
		case "Src":
			return func(v *Vars) string { return v.Evt.Line.Src }
		case "Module":
			return func(v *Vars) string { return v.Evt.Line.Module }
		}
	}
	return nil
}

func direct(name string) words {
	switch name {
	case "StrTime":
		return func(v *Vars) string { return v.Evt.StrTime }
	case "StrTimeFormat":
		return func(v *Vars) string { return v.Evt.StrTimeFormat }
	case "MarshaledTime":
		return func(v *Vars) string { return v.Evt.MarshaledTime }
	case "Stage":
		return func(v *Vars) string { return v.Evt.Stage }
	case "WhitelistReason":
		return func(v *Vars) string { return v.Evt.WhitelistReason }
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

// part is a map or a pointer of the event, which is boxed without a copy.
func (t translator) part(n *ast.MemberNode) value {
	switch eventPath(n) {
	case "evt.Meta":
		return func(v *Vars) any { return v.Evt.Meta }
	case "evt.Parsed":
		return func(v *Vars) any { return v.Evt.Parsed }
	case "evt.Enriched":
		return func(v *Vars) any { return v.Evt.Enriched }
	case "evt.Unmarshaled":
		return func(v *Vars) any { return v.Evt.Unmarshaled }
	case "evt.Line.Labels":
		return func(v *Vars) any { return v.Evt.Line.Labels }
	case "evt.Overflow.Alert":
		return func(v *Vars) any { return v.Evt.Overflow.Alert }
	}
	return nil
}
