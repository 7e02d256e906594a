package parsers

import (
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/expression"
)

// inlineValues returns what a live request can have in a field of a filter's
// comparisons; known is false for fields that say nothing.
func inlineValues(field string) (values []string, known bool) {
	switch field {
	case "Meta.service":
		return []string{"http"}, true
	case "Meta.log_type":
		return []string{"http_access-log"}, true
	case "Parsed.program":
		return []string{"caddy", "http"}, true
	case "StrTime":
		return []string{""}, true
	case "Type":
		return []string{"log"}, true
	}
	return nil, false
}

// RequestSide returns the names of the nodes of stage that cannot run before a
// live request has its response: those that read a path of response, such as
// "Meta.http_status", or something that cannot be named, or ask another machine,
// and that could concern a live request. Nodes that skip names are left out; skip may be nil.
func (p *Pipeline) RequestSide(stage string, response map[string]bool, skip func(string) bool) (blockers []string) {
	i := slices.Index(p.stages, stage)
	if i < 0 {
		return nil
	}
	for _, n := range p.nodes[i] {
		if skip != nil && skip(n.name) || !n.concernsRequests() {
			continue
		}
		if n.needs(response) {
			blockers = append(blockers, n.name)
		}
	}
	return blockers
}

// Remote reports whether some node asks another machine, which may take seconds.
func (p *Pipeline) Remote() bool {
	return p != nil && slices.ContainsFunc(slices.Concat(p.nodes...), (*node).remote)
}

func (n *node) remote() bool {
	for _, p := range n.programs() {
		if p.Reads().Remote {
			return true
		}
	}
	return n.asksNames() || slices.ContainsFunc(n.children, (*node).remote)
}

// asksNames reports whether a static of n asks the DNS.
func (n *node) asksNames() bool {
	return slices.ContainsFunc(slices.Concat(n.statics, n.grokStatics), func(s static) bool { return s.what == "method reverse_dns" })
}

// concernsRequests is false only where the filter demands what no live request
// has.
func (n *node) concernsRequests() bool {
	if n.filter == nil {
		return true
	}
	in := func(list []string) func(string) bool {
		return func(v string) bool { return slices.Contains(list, v) }
	}
	for _, r := range n.filter.Requires() {
		if have, known := inlineValues(r.Field); known && !slices.ContainsFunc(have, in(r.Values)) {
			return false
		}
	}
	for _, r := range n.filter.Excludes() {
		if have, known := inlineValues(r.Field); known && !slices.ContainsFunc(have, func(v string) bool { return !in(r.Values)(v) }) {
			return false
		}
	}
	return true
}

// needs reports whether n or a child of it reads a path of response, or cannot
// say what it reads.
func (n *node) needs(response map[string]bool) bool {
	if n.grok != nil && n.applyOn != "" && n.applyOn != "Line.Raw" && touches("Parsed."+n.applyOn, response) {
		return true
	}
	if n.whitelist != nil && n.whitelist.byAddress() && touches("Meta.source_ip", response) {
		return true
	}
	for _, p := range n.programs() {
		reads := p.Reads()
		if reads.Opaque || reads.Remote {
			return true
		}
		for _, path := range reads.Paths {
			if touches(path, response) {
				return true
			}
		}
	}
	return n.asksNames() || slices.ContainsFunc(n.children, func(c *node) bool { return c.needs(response) })
}

// programs returns the expressions of n itself.
func (n *node) programs() []*expression.Program {
	var out []*expression.Program
	if n.whitelist != nil {
		out = slices.Clone(n.whitelist.allows)
	}
	for _, p := range []*expression.Program{n.filter, n.grokInput} {
		if p != nil {
			out = append(out, p)
		}
	}
	for _, list := range [][]static{n.grokStatics, n.statics} {
		for i := range list {
			if list[i].source != nil {
				out = append(out, list[i].source)
			}
		}
	}
	for i := range n.stashes {
		out = append(out, n.stashes[i].key, n.stashes[i].value)
	}
	return out
}

// touches reports whether a read of path sees one of response: the same path, a
// part of it or the whole it is part of.
func touches(path string, response map[string]bool) bool {
	for r, in := range response {
		if in && (r == path || strings.HasPrefix(r, path+".") || strings.HasPrefix(path, r+".")) {
			return true
		}
	}
	return false
}
