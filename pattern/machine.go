package pattern

import (
	"strings"
	"unicode/utf8"
)

// maxAhead is how many bytes a node looks ahead; where that is not enough, it tries
// everything.
const maxAhead = 64

// frame is a way not taken yet: n from pos on. A run began to try places at first,
// is at pos and ends with last, which is -1 for anything else. Without a node it
// restores the slots pos and pos+1 to first and last.
type frame struct {
	n                *node
	pos, first, last int32
}

// machine is one search.
type machine struct {
	text  string
	at    []int // the slots, nil when nobody asks
	from  int   // where the attempt began
	steps int   // what may still be spent on going back
	spent bool  // it was not enough: the result says nothing
	dead  dead
	ways  []frame
}

// dead says that the pattern does not go on behind a run that ends anywhere between
// lo and hi, however it was reached: what follows looks at the text alone. This
// keeps the work for long lines with many beginnings of a match within bounds.
type dead struct {
	run    *run
	lo, hi int32
}

// run returns the end of the match that begins at pos with n, -1 if there is none.
func (m *machine) run(n *node, pos int) int {
	text := m.text
	for n != nil {
		switch n.op {
		case opMatch:
			return pos
		case opByte:
			if pos < len(text) && text[pos] == n.char {
				n, pos = n.next, pos+1
				continue
			}
		case opLiteral:
			if strings.HasPrefix(text[pos:], n.literal) {
				n, pos = n.next, pos+len(n.literal)
				continue
			}
		case opSet:
			if pos < len(text) && n.table[text[pos]] {
				n, pos = n.next, pos+1
				continue
			}
		case opSpan:
			if to := n.span(text, pos); to-pos >= int(n.char) {
				n, pos = n.next, to
				continue
			}
		case opTake:
			if pos < len(text) && n.table[text[pos]] {
				pos++
			}
			n = n.next
			continue
		case opMark, opEnter:
			m.mark(n, pos)
			n = n.next
			continue
		case opChoice:
			if to := n.jumps.on(text, pos); to != nil {
				n = to
				continue
			}
		case opSplit:
			m.ways = append(m.ways, frame{n: n.rest, pos: int32(pos), last: -1})
			n = n.next
			continue
		case opWordAhead, opNextAhead:
			if to := m.ahead(n, pos); to != nil {
				n = to
				continue
			}
		default:
			if to := m.step(n, pos); to >= 0 {
				n, pos = n.next, to
				continue
			}
		}
		n, pos = m.back(pos)
	}
	return -1
}

// step does what is rarer or larger: it returns the position after n, -1 if n
// fails.
func (m *machine) step(n *node, pos int) int {
	switch n.op {
	case opFail:
		return -1
	case opUntil:
		if i := strings.IndexByte(m.text[pos:], n.char); i >= 0 {
			return pos + i
		}
		return len(m.text)
	case opFold:
		return foldPrefix(m.text, pos, n.literal)
	case opRune:
		return n.run.class.step(m.text, pos)
	case opRun:
		return n.run.reach(m.text, pos)
	case opGreedy, opLazy:
		return m.spread(n, pos)
	case opMaybe:
		if pos < len(m.text) && n.table[m.text[pos]] {
			m.ways = append(m.ways, frame{n: n.next, pos: int32(pos), last: -1})
			pos++
		}
		return pos
	}
	if holds(n.op, m.text, pos) {
		return pos
	}
	return -1
}

// mark remembers pos in the slot of n. Where that enters a group, both ends of the
// group are put back if this way fails; what goes on comes by its end again.
func (m *machine) mark(n *node, pos int) {
	if m.at == nil {
		return
	}
	if n.op == opEnter {
		m.ways = append(m.ways, frame{nil, n.slot, int32(m.at[n.slot]), int32(m.at[n.slot+1])})
	}
	m.at[n.slot] = pos
}

// ahead returns the way on from a node that looks ahead, nil if there is none.
func (m *machine) ahead(n *node, pos int) *node {
	text := m.text[:min(len(m.text), pos+maxAhead)]
	if n.op == opWordAhead {
		pos = n.span(text, pos)
	} else if i := strings.IndexByte(text[pos:], ' '); i >= 0 {
		pos += i + 1
	} else {
		pos = len(text)
	}
	if pos == len(text) && pos < len(m.text) {
		return n.next
	}
	return n.jumps.on(text, pos)
}

// spread enters a run that may end in several places.
func (m *machine) spread(n *node, pos int) int {
	r := n.run
	if m.dead.run == r && r.max < 0 && int(m.dead.lo) <= pos && pos <= int(m.dead.hi) {
		return -1 // it would end where that one ended, or be too short
	}
	hi := r.reach(m.text, pos)
	if hi < 0 {
		return -1
	}
	lo := r.low(m.text, pos)
	first, last, at := hi, lo, 0
	if n.op == opLazy {
		first, last = lo, hi
		at = r.up(m.text, lo, hi)
	} else {
		at = r.down(m.text, hi, lo)
	}
	if at < 0 {
		m.steps -= (hi - pos) >> 4
		m.dead = dead{r, int32(lo), int32(hi)}
	} else if at != last {
		m.ways = append(m.ways, frame{n, int32(at), int32(first), int32(last)})
	}
	return at
}

// back returns the node and the position of the last way not taken, nil if there
// is none or if it costs too much. The attempt failed at pos.
func (m *machine) back(pos int) (*node, int) {
	for len(m.ways) > 0 {
		top := len(m.ways) - 1
		f := &m.ways[top]
		if f.n == nil {
			m.at[f.pos], m.at[f.pos+1] = int(f.first), int(f.last)
			m.ways = m.ways[:top]
			continue
		}
		m.steps -= 1 + max(0, pos-int(f.pos))>>4
		if m.steps < 0 {
			m.spent = true
			return nil, 0
		}
		if f.last < 0 {
			m.ways = m.ways[:top]
			return f.n, int(f.pos)
		}
		if at := m.again(f); at >= 0 {
			return f.n.next, at
		}
		m.ways = m.ways[:top]
	}
	m.steps -= 1 + max(0, pos-m.from)>>4
	m.spent = m.spent || m.steps < 0
	return nil, 0
}

// again returns the next place at which the run of f may end, -1 for none. The
// frame stays until the last place has failed.
func (m *machine) again(f *frame) int {
	was, at := int(f.pos), 0
	if f.n.op == opLazy {
		at = f.n.run.up(m.text, was+1, int(f.last))
	} else {
		at = f.n.run.down(m.text, was-1, int(f.last))
	}
	to := at
	if at < 0 {
		to = int(f.last)
		m.dead = dead{f.n.run, min(f.first, f.last), max(f.first, f.last)}
	}
	m.steps -= max(was-to, to-was) >> 4
	f.pos = int32(at)
	return at
}

// foldPrefix returns the position after the lower-case ASCII text lit at pos,
// whatever the case in text, -1 if it is not there.
func foldPrefix(text string, pos int, lit string) int {
	for i := range len(lit) {
		if pos >= len(text) {
			return -1
		}
		b, n := text[pos], 1
		switch {
		case 'A' <= b && b <= 'Z':
			b += 'a' - 'A'
		case b >= utf8.RuneSelf:
			var r rune
			switch r, n = utf8.DecodeRuneInString(text[pos:]); r {
			case '\u017f':
				b = 's'
			case '\u212a':
				b = 'k'
			}
		}
		if b != lit[i] {
			return -1
		}
		pos += n
	}
	return pos
}

// holds reports whether an assertion is true at pos.
func holds(o op, text string, pos int) bool {
	switch o {
	case opBeginText:
		return pos == 0
	case opEndText:
		return pos == len(text)
	case opBeginLine:
		return pos == 0 || text[pos-1] == '\n'
	case opEndLine:
		return pos == len(text) || text[pos] == '\n'
	}
	before := pos > 0 && wordByte(text[pos-1])
	after := pos < len(text) && wordByte(text[pos])
	return (before != after) == (o == opWord)
}
