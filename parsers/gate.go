package parsers

import (
	"regexp"
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// gate is a comparison that a filter demands of one field. Gates are asked before
// the filter, because most nodes are for other programs' lines; they leave the
// same trace as the filter would, since a comparison behind a write is none.
type gate struct {
	read   field
	values []string
	want   bool // the field has one of values; else it has none of them
}

// field reads one text of an event.
type field func(ev *event.Event) string

func gatesOf(filter *expression.Program) []gate {
	var gates []gate
	for _, r := range filter.Requires() {
		gates = append(gates, gate{read: fieldAt(r.Field), values: r.Values, want: true})
	}
	for _, r := range filter.Excludes() {
		gates = append(gates, gate{read: fieldAt(r.Field), values: r.Values})
	}
	return gates
}

func (g *gate) open(ev *event.Event) bool {
	return slices.Contains(g.values, g.read(ev)) == g.want
}

// fieldAt returns the reader of a path such as "Meta.service" or "StrTime", as
// expressions read it.
func fieldAt(path string) field {
	if key, ok := strings.CutPrefix(path, "Meta."); ok {
		return func(ev *event.Event) string { return ev.Meta[key] }
	}
	if key, ok := strings.CutPrefix(path, "Parsed."); ok {
		return func(ev *event.Event) string { return ev.Parsed[key] }
	}
	return func(ev *event.Event) string { return expression.Value(ev, path) }
}

// comparison is one term of a filter that consists of comparisons only.
const comparison = `\s*evt\.\w+(?:\.\w+)*\s*(?:==|!=|\bin\b|\bnot\s+in\b)\s*(?:LIT|\[\s*LIT(?:\s*,\s*LIT)*\s*\])\s*`

// textLiteral is a quoted text without escapes.
const textLiteral = `(?:'[^'\\]*'|"[^"\\]*")`

var (
	comparisonTerm  = regexp.MustCompile(strings.ReplaceAll(comparison, "LIT", textLiteral))
	comparisonChain = regexp.MustCompile(strings.ReplaceAll(`^`+comparison+`(?:(?:&&|\band\b)`+comparison+`)*$`, "LIT", textLiteral))
)

// sufficient reports whether gates say all that the filter says: it is a chain of
// comparisons and there is a gate for each. Then the filter need not run.
func sufficient(source string, gates []gate) bool {
	return comparisonChain.MatchString(source) &&
		len(comparisonTerm.FindAllStringIndex(source, -1)) == len(gates)
}
