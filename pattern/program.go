package pattern

import (
	"regexp/syntax"
	"slices"
	"sync"

	"github.com/rampart-edge/rampart/needle"
)

// program is what a pattern compiles to. Immutable but for its idle machines.
type program struct {
	start    *node
	anchored bool                  // a match begins at the beginning of the text
	lead     string                // every match begins with it
	first    *[256]bool            // every match begins with one of these, nil with anything
	atEnd    bool                  // a match may be empty at the end of the text
	needs    func() *needle.Filter // what a text must contain, made when it is first asked for
	leading  *run                  // an unlimited run with which every match begins, or nil
	machines sync.Pool
}

// newProgram compiles a syntax tree. An error says why nodes cannot do it.
func newProgram(re *syntax.Regexp) (*program, error) {
	b := &builder{classes: map[string]*class{}, choices: map[*node][]*node{}, tables: map[symbols]*[256]bool{}}
	start := b.build(re, b.add(node{op: opMatch}))
	if b.err != nil {
		return nil, b.err
	}
	all := b.outlooks()
	d := newDispatcher(b, all)
	for _, n := range b.nodes {
		if n.op == opChoice {
			n.jumps = d.choice(n)
		}
	}
	for _, n := range b.nodes {
		if n.op == opGreedy || n.op == opLazy {
			b.narrow(n, all[n.next.id].first)
		}
	}
	first := all[start.id].first
	p := &program{start: start, anchored: b.anchored(start, map[*node]bool{}), lead: start.lead(), first: b.table(first), atEnd: first.end}
	for start.marks() {
		start = start.next
	}
	if start.run != nil && start.run.max < 0 {
		p.leading = start.run
	}
	return p, nil
}

// anchored reports whether n asserts the beginning of the text.
func (b *builder) anchored(n *node, known map[*node]bool) bool {
	for n.marks() {
		n = n.next
	}
	if n.op != opChoice {
		return n.op == opBeginText
	}
	// Ways part and meet again: without a memory there could be too many to walk.
	if _, ok := known[n]; !ok {
		known[n] = !slices.ContainsFunc(b.choices[n], func(c *node) bool { return !b.anchored(c, known) })
	}
	return known[n]
}

// narrow looks at what follows a run. Where the run can end in one place only, the
// machine need not remember that it could have ended elsewhere.
func (b *builder) narrow(n *node, follow symbols) {
	r := n.run
	if r.bounded(n.next) {
		for b := range 256 {
			if wordByte(byte(b)) {
				follow.remove(byte(b))
			}
		}
	}
	r.lead, r.follow, r.atEnd = n.next.lead(), b.table(follow), follow.end
	final := n.next.certain() || !follow.meets(&r.class.bytes)
	if n.op == opLazy && n.next.certain() {
		r.max = r.min
	}
	r.bytewise = r.class.wide == wideNone || r.class.wide == wideAll && r.max < 0 && r.min <= 1
	n.char, n.table = byte(min(r.min, 1)), &r.class.table
	optional := r.min == 0 && r.max == 1 && r.bytewise
	switch {
	case !final && optional && n.op == opGreedy:
		n.op = opMaybe
	case !final:
	case optional:
		n.op = opTake
	case r.max < 0 && r.min == 0 && r.class.stop >= 0:
		n.op, n.char = opUntil, byte(r.class.stop)
	case r.max < 0 && r.min <= 1 && r.bytewise:
		n.op = opSpan
	default:
		n.op = opRun
	}
}

// bounded reports whether a word boundary is asserted behind a run of word bytes:
// then no word byte follows the run.
func (r *run) bounded(next *node) bool {
	if r.min == 0 || r.class.wide != wideNone {
		return false
	}
	for b := range 128 {
		if r.class.table[b] && !wordByte(byte(b)) {
			return false
		}
	}
	for next.marks() {
		next = next.next
	}
	return next.op == opWord
}
