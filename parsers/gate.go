package parsers

import (
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// gate is a comparison that a filter demands of one field. Gates are asked before
// the filter, because most nodes are for other programs' lines; they leave the
// same trace as the filter would, since a comparison behind a write is none.
type gate struct {
	path   string
	read   field
	values []string
	want   bool // the field has one of values; else it has none of them
}

// field reads one text of an event.
type field func(ev *event.Event) string

func gatesOf(filter *expression.Program) []gate {
	var gates []gate
	for _, r := range filter.Requires() {
		gates = append(gates, gate{path: r.Field, read: fieldAt(r.Field), values: r.Values, want: true})
	}
	for _, r := range filter.Excludes() {
		gates = append(gates, gate{path: r.Field, read: fieldAt(r.Field), values: r.Values})
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
