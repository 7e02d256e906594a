package pattern

// op is what a node does.
type op uint8

const (
	opFail      op = iota // nothing matches here
	opMatch               // the end of the pattern
	opByte                // the byte char
	opLiteral             // the text literal
	opFold                // the text literal in ASCII lower case, any case
	opSet                 // one byte of table
	opRune                // one rune of class
	opUntil               // everything up to the byte char or the end of the text
	opSpan                // the longest run of bytes of table, at least one if char is 1
	opRun                 // the longest run
	opGreedy              // a run, the longest first
	opLazy                // a run, the shortest first
	opSet0                // remember the position in slot, which every match sets
	opSlot                // remember the position in slot
	opSplit               // next, then rest
	opChoice              // what the coming byte allows
	opBeginText           // assertions
	opEndText
	opBeginLine
	opEndLine
	opWord
	opNotWord
)

// node is one step of a match. Nodes form a graph: every one knows what follows.
type node struct {
	op      op
	char    byte
	id      int32
	slot    int32
	literal string
	table   *[256]bool
	next    *node
	rest    *node   // opSplit
	class   *class  // opRune
	run     *run    // opRun, opGreedy, opLazy
	choices []*node // opChoice, as written
	jumps   *jumps  // opChoice, by the coming byte
	first   symbols // what can come here if the pattern is to match
}

// jumps leads from the coming symbol to the node that goes on; nil fails.
type jumps struct {
	index   [end + 1]uint8
	targets []*node
}

// symbolsHere is what the node itself lets begin here, with what follows it.
func (n *node) symbolsHere() symbols {
	var s symbols
	switch n.op {
	case opMatch:
		return anything()
	case opByte:
		s.add(n.char)
	case opLiteral:
		s.add(n.literal[0])
	case opFold:
		addFolded(&s, n.literal[0])
	case opSet, opRune:
		return n.class.bytes
	case opRun, opGreedy, opLazy:
		s = n.run.class.bytes
		if n.run.min == 0 {
			s.join(&n.next.first)
		}
	case opChoice:
		for _, c := range n.choices {
			s.join(&c.first)
		}
	case opEndText:
		s.end = n.next.first.end
	case opEndLine:
		s.end = n.next.first.end
		if n.next.first.has('\n') {
			s.add('\n')
		}
	case opSet0, opSlot, opBeginText, opBeginLine, opWord, opNotWord:
		return n.next.first
	}
	return s
}

// addFolded adds the bytes with which a rune can begin that equals the lower-case
// ASCII letter b but for its case: U+017F is an s, U+212A a k.
func addFolded(s *symbols, b byte) {
	s.add(b)
	if 'a' <= b && b <= 'z' {
		s.add(b - 'a' + 'A')
	}
	switch b {
	case 's':
		s.add("ſ"[0])
	case 'k':
		s.add("K"[0])
	}
}

// consumesNothing: the node looks at the text or remembers a position.
func (n *node) consumesNothing() bool {
	return n.op == opSet0 || n.op == opSlot || n.op >= opBeginText
}

// lead returns the text with which everything begins that matches from n on, ""
// where that is not fixed.
func (n *node) lead() string {
	for n.consumesNothing() {
		n = n.next
	}
	switch n.op {
	case opByte:
		return string(rune(n.char))
	case opLiteral:
		return n.literal
	}
	return ""
}

// certain reports whether everything matches from n on.
func (n *node) certain() bool {
	for n.op == opSet0 || n.op == opSlot {
		n = n.next
	}
	return n.op == opMatch
}
