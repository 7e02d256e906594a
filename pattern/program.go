package pattern

import (
	"regexp/syntax"
	"slices"
)

// program is what a pattern compiles to. Immutable.
type program struct {
	start    *node
	size     int
	anchored bool       // a match begins at the beginning of the text
	lead     string     // every match begins with it
	first    *[256]bool // every match begins with one of these, nil with anything
	atEnd    bool       // a match may be empty at the end of the text
	leading  *run       // an unlimited run with which every match begins, or nil
}

// newProgram compiles a syntax tree. An error says why nodes cannot do it.
func newProgram(re *syntax.Regexp) (*program, error) {
	b := &builder{classes: map[string]*class{}}
	start := b.build(re, b.add(node{op: opMatch}))
	if b.err != nil {
		return nil, b.err
	}
	nodes := b.nodes
	for changed := true; changed; {
		changed = false
		for _, n := range nodes {
			s := n.symbolsHere()
			changed = n.first.join(&s) || changed
		}
	}
	for _, n := range nodes {
		n.narrow()
	}
	d := &dispatcher{lists: map[string]*node{}, nextID: int32(len(nodes))}
	for _, n := range nodes {
		if n.op == opChoice {
			d.dispatch(n)
		}
	}
	p := &program{start: start, size: len(nodes), anchored: anchored(start), lead: start.lead(), first: start.first.table(), atEnd: start.first.end}
	for n := start; ; n = n.next {
		if n.run != nil && n.run.max < 0 {
			p.leading = n.run
		}
		if n.op != opSet0 && n.op != opSlot {
			return p, nil
		}
	}
}

// anchored reports whether n asserts the beginning of the text.
func anchored(n *node) bool {
	for n.op == opSet0 || n.op == opSlot {
		n = n.next
	}
	if n.op != opChoice {
		return n.op == opBeginText
	}
	return !slices.ContainsFunc(n.choices, func(c *node) bool { return !c.consumesNothing() || !anchored(c) })
}

// narrow looks at what follows a run. Where the run can end in one place only, the
// machine need not remember that it could have ended elsewhere.
func (n *node) narrow() {
	r := n.run
	if r == nil {
		return
	}
	follow := n.next.first
	if r.boundary(n.next) {
		for b := range 256 {
			if wordByte(byte(b)) {
				follow.bits[b>>6] &^= 1 << (b & 63)
			}
		}
	}
	r.lead, r.follow, r.atEnd = n.next.lead(), follow.table(), follow.end
	switch {
	case n.op == opLazy && n.next.certain():
		r.max, n.op = r.min, opRun
	case n.next.certain() || !follow.meets(&r.class.bytes):
		n.op = opRun
	}
	r.bytewise = r.class.wide == wideNone || r.class.wide == wideAll && r.max < 0 && r.min <= 1
	if n.op != opRun || r.max >= 0 || r.min > 1 {
		return
	}
	switch {
	case r.class.stop >= 0 && r.min == 0:
		n.op, n.char = opUntil, byte(r.class.stop)
	case r.bytewise:
		n.op, n.char, n.table = opSpan, byte(r.min), &r.class.table
	}
}

// boundary reports whether a word boundary is asserted behind a run of word bytes:
// then the run does not end before another one.
func (r *run) boundary(next *node) bool {
	if r.min == 0 || r.class.wide != wideNone {
		return false
	}
	for b := range 128 {
		if r.class.table[b] && !wordByte(byte(b)) {
			return false
		}
	}
	for next.op == opSet0 || next.op == opSlot {
		next = next.next
	}
	return next.op == opWord
}

func wordByte(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z'
}

// dispatcher gives choices their jump tables. Equal lists of candidates share nodes.
type dispatcher struct {
	lists  map[string]*node
	nextID int32
}

func (d *dispatcher) dispatch(n *node) {
	j := &jumps{}
	where := map[*node]uint8{}
	for symbol := range end + 1 {
		target := d.chain(candidates(nil, n, symbol))
		i, ok := where[target]
		if !ok {
			i = uint8(len(j.targets))
			where[target] = i
			j.targets = append(j.targets, target)
		}
		j.index[symbol] = i
	}
	n.jumps = j
}

// candidates appends the nodes that can go on at a choice before symbol, in order.
// A node that came before need not be tried again.
func candidates(list []*node, n *node, symbol int) []*node {
	for _, c := range n.choices {
		switch {
		case !c.first.has(symbol) || slices.Contains(list, c):
		case c.op == opChoice:
			list = candidates(list, c, symbol)
		default:
			list = append(list, c)
		}
	}
	return list
}

// chain returns the node that tries all of list in order, nil for none.
func (d *dispatcher) chain(list []*node) *node {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	key := make([]byte, 0, 4*len(list))
	for _, n := range list {
		key = append(key, byte(n.id>>24), byte(n.id>>16), byte(n.id>>8), byte(n.id))
	}
	if n, ok := d.lists[string(key)]; ok {
		return n
	}
	n := &node{op: opSplit, id: d.nextID, next: list[0], rest: d.chain(list[1:])}
	d.nextID++
	d.lists[string(key)] = n
	return n
}
