package pattern

import "strings"

// outlook is what the text must look like from a node on if the pattern is to
// match. The sets may be larger than need be, never smaller.
type outlook struct {
	first symbols // the coming symbol
	word  symbols // the symbol behind the word bytes that come first
	space symbols // the symbol behind the next space; the end where there is none
}

func (o *outlook) join(p *outlook) bool {
	a, b, c := o.first.join(&p.first), o.word.join(&p.word), o.space.join(&p.space)
	return a || b || c
}

// outlooks computes the outlook of every node, by its id.
func (b *builder) outlooks() []outlook {
	all := make([]outlook, len(b.nodes))
	// A node is made after its successors, but for those of loops.
	for changed, again := true, true; changed && again; again = b.loops {
		changed = false
		for _, n := range b.nodes {
			o := b.outlook(n, all)
			changed = all[n.id].join(&o) || changed
		}
	}
	return all
}

// outlook derives that of n from those of its successors.
func (b *builder) outlook(n *node, all []outlook) (o outlook) {
	switch n.op {
	case opFail:
	case opMatch:
		return outlook{anything(), anything(), anything()}
	case opByte:
		o.text([]byte{n.char}, false, &all[n.next.id])
	case opLiteral, opFold:
		o.text([]byte(n.literal), n.op == opFold, &all[n.next.id])
	case opSet, opRune:
		o.class(n.run.class, 1, 1, &all[n.next.id])
	case opGreedy, opLazy:
		o.class(n.run.class, n.run.min, n.run.max, &all[n.next.id])
	case opChoice:
		for _, c := range b.choices[n] {
			o.join(&all[c.id])
		}
	case opEndText:
		next := all[n.next.id]
		o.first.end, o.word.end, o.space.end = next.first.end, next.word.end, next.space.end
	default:
		return all[n.next.id]
	}
	return o
}

// text is the outlook on a literal.
func (o *outlook) text(lit []byte, fold bool, next *outlook) {
	o.first.addCase(lit[0], fold)
	i := 0
	for ; i < len(lit) && wordByte(lit[i]); i++ {
		if fold {
			o.word.addFold(lit[i])
		}
	}
	if i < len(lit) {
		o.word.add(lit[i])
	} else {
		o.word.join(&next.word)
	}
	switch i := strings.IndexByte(string(lit), ' '); {
	case i < 0:
		o.space.join(&next.space)
	case i == len(lit)-1:
		o.space.join(&next.first)
	default:
		o.space.addCase(lit[i+1], fold)
	}
}

// class is the outlook on low to high runes of c.
func (o *outlook) class(c *class, low, high int, next *outlook) {
	o.word.join(&c.others)
	o.first = c.bytes
	if low == 0 {
		o.first.join(&next.first)
	}
	if low == 0 || c.words {
		o.word.join(&next.word)
	}
	if c.table[' '] {
		o.space.join(&next.first)
		if high != 1 {
			o.space.join(&c.bytes)
		}
	}
	if low == 0 || c.solid {
		o.space.join(&next.space)
	}
}
