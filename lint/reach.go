package lint

import (
	"fmt"
	"strings"
)

// reach finds nodes that no event gets to. Nodes are those of a whole set, in the
// order in which they run.
func (k *checker) reach(nodes []*node) {
	stages := map[string][]*node{}
	for _, n := range nodes {
		stages[n.stage] = append(stages[n.stage], n)
	}
	for _, list := range stages {
		k.siblings(list, func(n *node) bool { return n.promotes() })
		for _, n := range list {
			k.below(n)
		}
	}
}

// below looks at the children of a node, and theirs. Only where the parent
// promotes does the first success end the loop over them.
func (k *checker) below(n *node) {
	if n.promotes() {
		k.siblings(n.Nodes, func(*node) bool { return true })
	}
	for _, c := range n.Nodes {
		k.below(c)
	}
}

// siblings reports those that stand behind one that takes everything they would
// get. Ends says whether the success of a node is the end for those behind it.
func (k *checker) siblings(list []*node, ends func(*node) bool) {
	hidden := map[*node][]*node{} // by what hides them: nodes that nobody asked about
	for i, n := range list {
		for j, before := range list[:i] {
			if !ends(before) || !k.succeeds(before) || !k.takes(before, n, list[j+1:i]) {
				continue
			}
			if !k.wanted(n.path) {
				hidden[before] = append(hidden[before], n)
				break
			}
			k.add(Finding{Path: n.path, Line: n.line, Severity: Warning, Rule: RuleUnreachable, Item: n.title(),
				Text: fmt.Sprintf("no event reaches this node: %s (%s:%d) comes first and takes all that it could get",
					named(before), before.path, before.line),
				Advice: "put this node before that one, or give that one a narrower filter"})
			break
		}
	}
	for before, victims := range hidden {
		k.add(Finding{Path: before.path, Line: before.line, Severity: Warning, Rule: RuleUnreachable, Item: before.title(),
			Text: fmt.Sprintf("this node takes all that %d behind it could get, such as %s (%s:%d)", len(victims),
				named(victims[0]), victims[0].path, victims[0].line),
			Advice: "give it a narrower filter, or a file name that sorts behind theirs"})
	}
}

func named(n *node) string {
	if n.Name.value != "" {
		return n.Name.value
	}
	return "a node of " + n.title()
}

// succeeds: the node is true whenever its filter is.
func (k *checker) succeeds(n *node) bool {
	if !n.Grok.empty() {
		return false
	}
	if len(n.Nodes) == 0 {
		return true
	}
	if n.promotes() { // one success is enough
		for _, c := range n.Nodes {
			if k.open(c) && k.succeeds(c) {
				return true
			}
		}
		return false
	}
	last := n.Nodes[len(n.Nodes)-1]
	return k.open(last) && k.succeeds(last)
}

// open: the node has no filter, or one that is always true.
func (k *checker) open(n *node) bool {
	if strings.TrimSpace(n.Filter.value) == "" {
		return true
	}
	v, known := constant(n.filter)
	return known && v
}

// takes: the filter of a node that comes first is true wherever that of the later
// one is. Between may change what they ask for.
func (k *checker) takes(first, later *node, between []*node) bool {
	if k.open(first) {
		return true
	}
	if plainText(first.Filter.value) != plainText(later.Filter.value) || later.filter == nil {
		return false
	}
	reads := later.filter.Reads()
	if reads.Opaque || reads.Writes {
		return false
	}
	for _, b := range between {
		w := newWritten()
		w.node(b)
		for _, path := range reads.Paths {
			if w.has(path) {
				return false
			}
		}
	}
	return true
}

// plainText is an expression without the spaces that do not count.
func plainText(source string) string { return strings.Join(strings.Fields(source), " ") }
