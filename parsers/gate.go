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
	for prefix, read := range map[string]func(key string) field{
		"Meta.":        func(key string) field { return func(ev *event.Event) string { return ev.Meta[key] } },
		"Parsed.":      func(key string) field { return func(ev *event.Event) string { return ev.Parsed[key] } },
		"Enriched.":    func(key string) field { return func(ev *event.Event) string { return ev.Enriched[key] } },
		"Line.Labels.": func(key string) field { return func(ev *event.Event) string { return ev.Line.Labels[key] } },
	} {
		if key, ok := strings.CutPrefix(path, prefix); ok {
			return read(key)
		}
	}
	switch path {
	case "StrTime":
		return func(ev *event.Event) string { return ev.StrTime }
	case "Line.Raw":
		return func(ev *event.Event) string { return ev.Line.Raw }
	case "Line.Src":
		return func(ev *event.Event) string { return ev.Line.Src }
	case "Line.Module":
		return func(ev *event.Event) string { return ev.Line.Module }
	}
	return func(ev *event.Event) string { return expression.Value(ev, path) }
}
