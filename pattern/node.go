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
	opRune                // one rune of run.class
	opTake                // one byte of table if there is one, for good
	opMaybe               // one byte of table if there is one, or none
	opUntil               // everything up to the byte char or the end of the text
	opSpan                // the longest run of bytes of table, at least char of them
	opRun                 // the longest run
	opGreedy              // a run, the longest first
	opLazy                // a run, the shortest first
	opMark                // remember the position in slot
	opEnter               // the same where a group begins that a match may leave out
	opSplit               // next, then rest
	opChoice              // what the coming byte allows
	opWordAhead           // what the first byte behind the coming word allows
	opNextAhead           // what the first byte behind the next space allows
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
	rest    *node  // opSplit
	run     *run   // opRune and runs
	jumps   *jumps // opChoice, opWordAhead, opNextAhead
}

// jumps leads from a symbol to the node that goes on; nil fails.
type jumps struct {
	index   *[end + 1]uint8
	targets []*node
}

// on returns the node that goes on at pos.
func (j *jumps) on(text string, pos int) *node {
	if pos < len(text) {
		return j.targets[j.index[text[pos]]]
	}
	return j.targets[j.index[end]]
}

// span returns the end of the bytes of table that begin at pos.
func (n *node) span(text string, pos int) int {
	for pos < len(text) && n.table[text[pos]] {
		pos++
	}
	return pos
}

// marks reports whether the node does nothing but remember a position.
func (n *node) marks() bool { return n.op == opMark || n.op == opEnter }

// asserts reports whether the node only looks at the text around a position.
func (n *node) asserts() bool { return n.op >= opBeginText }

// lead returns the text with which everything begins that matches from n on, ""
// where that is not fixed.
func (n *node) lead() string {
	for n.marks() || n.asserts() {
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
	for n.marks() {
		n = n.next
	}
	return n.op == opMatch
}

func wordByte(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z'
}
