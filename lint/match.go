package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/spelling"
)

// constant returns what a program gives, where it looks at nothing.
func constant(p *expression.Program) (value, known bool) {
	if p == nil {
		return false, false
	}
	if r := p.Reads(); len(r.Paths) > 0 || r.Opaque || r.Writes || len(calls(p.Source())) > 0 {
		return false, false
	}
	v, err := p.Bool(&expression.Vars{Evt: &event.Event{}})
	return v, err == nil
}

// filters looks for filters that nothing passes, and adds up what they cost.
func (k *checker) filters(c Content) {
	lists := make([][]scenario, len(c.Scenarios))
	for i, it := range c.Scenarios {
		lists[i] = documents[scenario](it.Data)
		for _, s := range lists[i] {
			k.written.setters(s.Filter.value)
		}
	}
	for _, n := range k.parsed {
		k.nodeFilter(n, nil)
	}
	for i, it := range c.Scenarios {
		for _, s := range lists[i] {
			p := k.compile(s.Filter.value)
			if p == nil {
				continue
			}
			at := Finding{Path: it.Path, Line: s.Filter.line, Item: s.Name.value}
			k.never(at, p, demands(p))
			k.unwritten(at, p.Requires())
			k.cost(at, p, it.Path)
		}
	}
}

// nodeFilter checks the filter of a node under what those above it demand.
func (k *checker) nodeFilter(n *node, above []demand) {
	at := Finding{Path: n.path, Line: n.Filter.line, Item: n.title()}
	if n.filter != nil {
		own := demands(n.filter)
		if k.never(at, n.filter, own) {
			return
		}
		if field := conflict(slices.Concat(above, own)); field != "" {
			k.add(Finding{Path: at.Path, Line: at.Line, Severity: Warning, Rule: RuleNever, Item: at.Item,
				Text:   fmt.Sprintf("this filter is never true: it contradicts the filter above it about evt.%s", field),
				Advice: "change one of the two"})
			return
		}
		k.unwritten(at, n.filter.Requires())
		k.cost(at, n.filter, n.path)
		above = slices.Concat(above, own)
	}
	// What the node or an earlier child writes is no longer what was demanded of it.
	w := newWritten()
	w.grok(&n.Grok)
	for _, c := range n.Nodes {
		k.nodeFilter(c, still(above, w))
		w.node(c)
	}
}

// never reports a filter that is false for every event.
func (k *checker) never(at Finding, p *expression.Program, own []demand) bool {
	at.Severity, at.Rule = Warning, RuleNever
	if v, known := constant(p); known && !v {
		at.Text, at.Advice = "this filter is never true: it looks at nothing and is false", "remove the item, or write what it should ask"
		k.add(at)
		return true
	}
	if field := conflict(own); field != "" {
		at.Text = fmt.Sprintf("this filter is never true: it asks evt.%s to be two things at once", field)
		at.Advice = "use in [...], or || between the two"
		k.add(at)
		return true
	}
	return false
}

// demand is what a filter asks of one field: one of values, or none of them.
type demand struct {
	field  string
	values []string
	none   bool
}

func demands(p *expression.Program) []demand {
	var list []demand
	for _, r := range p.Requires() {
		list = append(list, demand{r.Field, r.Values, false})
	}
	for _, r := range p.Excludes() {
		list = append(list, demand{r.Field, r.Values, true})
	}
	return list
}

// still are the demands about fields that nothing in w writes.
func still(list []demand, w *written) []demand {
	return slices.DeleteFunc(slices.Clone(list), func(d demand) bool { return w.has(d.field) })
}

// conflict returns a field for which no value is left, "" where there is none.
func conflict(list []demand) string {
	left := map[string][]string{}
	for _, d := range list {
		if d.none {
			continue
		}
		values, asked := left[d.field]
		if !asked {
			left[d.field] = slices.Clone(d.values)
			continue
		}
		left[d.field] = slices.DeleteFunc(values, func(v string) bool { return !slices.Contains(d.values, v) })
	}
	for _, d := range list {
		if values, asked := left[d.field]; d.none && asked {
			left[d.field] = slices.DeleteFunc(values, func(v string) bool { return slices.Contains(d.values, v) })
		}
	}
	for _, d := range list {
		if values, asked := left[d.field]; asked && len(values) == 0 {
			return d.field
		}
	}
	return ""
}

// unwritten reports values of Meta that a filter demands and no parser writes.
// Other fields come from too many places.
func (k *checker) unwritten(at Finding, list []expression.Requirement) {
	at.Severity, at.Rule = Warning, RuleUnwritten
	for _, r := range list {
		if !strings.HasPrefix(r.Field, "Meta.") || slices.Contains(r.Values, "") {
			continue
		}
		values, open := k.written.of(r.Field)
		if open || slices.ContainsFunc(r.Values, func(v string) bool { return values[v] }) {
			continue
		}
		at.Text = fmt.Sprintf("no parser here writes %s to evt.%s", quotedList(r.Values, " or "), r.Field)
		switch {
		case len(values) == 0:
			at.Text = fmt.Sprintf("no parser here writes evt.%s", r.Field)
			at.Advice = "add the parser that does, with --parser, --collection or --hub"
		default:
			at.Advice = adviseValue(r.Values[0], values)
		}
		k.add(at)
		return
	}
}

// fewValues is how many values are told of a field.
const fewValues = 5

// adviseValue says what value may have been meant, of those that are written.
func adviseValue(v string, values map[string]bool) string {
	if near := spelling.Near(v, maps.Keys(values)); len(near) > 0 {
		return "did you mean " + quotedList(near, " or ") + "?"
	}
	list := slices.Sorted(maps.Keys(values))
	if len(list) > fewValues {
		return fmt.Sprintf("written are %s and %d more", quotedList(list[:fewValues], ", "), len(list)-fewValues)
	}
	return "written are " + quotedList(list, ", ")
}

func quotedList(list []string, between string) string {
	var b strings.Builder
	for i, v := range list {
		if i > 0 {
			b.WriteString(between)
		}
		fmt.Fprintf(&b, "%q", v)
	}
	return b.String()
}
