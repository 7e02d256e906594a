package pattern

import (
	"errors"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// maxNodes bounds a program; larger patterns are left to package regexp.
const maxNodes = 10_000

var (
	errLarge = errors.New("the pattern is too large")
	errEmpty = errors.New("the pattern repeats without limit what can be empty")
)

// builder makes nodes of a syntax tree, from the end to the beginning, so that each
// node knows its successor when it is made.
type builder struct {
	nodes    []*node
	choices  map[*node][]*node // the ways of an opChoice, in order
	classes  map[string]*class
	optional int // how many constructs that a match need not take part in are open
	tables   map[symbols]*[256]bool
	loops    bool
	err      error
}

func (b *builder) add(n node) *node {
	if len(b.nodes) >= maxNodes {
		b.err = errLarge
	}
	n.id = int32(len(b.nodes))
	b.nodes = append(b.nodes, &n)
	return &n
}

// build returns the node that matches re and then goes on with next.
func (b *builder) build(re *syntax.Regexp, next *node) *node {
	if b.err != nil {
		return next
	}
	switch re.Op {
	case syntax.OpNoMatch:
		return b.add(node{op: opFail})
	case syntax.OpEmptyMatch:
		return next
	case syntax.OpLiteral:
		return b.literal(re, next)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return b.one(b.class(re), next)
	case syntax.OpCapture:
		after := b.add(node{op: opMark, slot: int32(2*re.Cap + 1), next: next})
		begin := node{op: opMark, slot: int32(2 * re.Cap), next: b.build(re.Sub[0], after)}
		if b.optional > 0 {
			begin.op = opEnter
		}
		return b.add(begin)
	case syntax.OpConcat:
		for i := len(re.Sub) - 1; i >= 0; i-- {
			next = b.build(re.Sub[i], next)
		}
		return next
	case syntax.OpAlternate:
		b.optional++
		choices := make([]*node, 0, len(re.Sub))
		for _, sub := range re.Sub {
			choices = append(choices, b.build(sub, next))
		}
		b.optional--
		return b.choose(choices...)
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		return b.repeat(re, next)
	}
	return b.add(node{op: assertion(re.Op), next: next})
}

func (b *builder) choose(ways ...*node) *node {
	n := b.add(node{op: opChoice})
	b.choices[n] = ways
	return n
}

func assertion(o syntax.Op) op {
	switch o {
	case syntax.OpBeginText:
		return opBeginText
	case syntax.OpEndText:
		return opEndText
	case syntax.OpBeginLine:
		return opBeginLine
	case syntax.OpEndLine:
		return opEndLine
	case syntax.OpWordBoundary:
		return opWord
	case syntax.OpNoWordBoundary:
		return opNotWord
	}
	return opFail
}

// literal matches runes one after the other: as one text where bytes decide.
func (b *builder) literal(re *syntax.Regexp, next *node) *node {
	fold := re.Flags&syntax.FoldCase != 0
	for i := len(re.Rune); i > 0; {
		j := i
		for j > 0 && plain(re.Rune[j-1], fold) {
			j--
		}
		if j < i {
			next = b.text(string(re.Rune[j:i]), fold, next)
			i = j
			continue
		}
		i--
		next = b.one(b.class(&syntax.Regexp{Op: syntax.OpLiteral, Flags: re.Flags, Rune: re.Rune[i : i+1]}), next)
	}
	return next
}

// plain reports whether r matches its own bytes alone: U+FFFD matches what is not
// UTF-8 too, and half a surrogate pair never comes up.
func plain(r rune, fold bool) bool {
	if fold {
		return r < utf8.RuneSelf
	}
	return utf8.ValidRune(r) && r != utf8.RuneError
}

func (b *builder) text(s string, fold bool, next *node) *node {
	if fold && strings.ContainsFunc(s, func(r rune) bool { return 'a' <= r|0x20 && r|0x20 <= 'z' }) {
		return b.add(node{op: opFold, literal: strings.ToLower(s), next: next})
	}
	switch next.op {
	case opByte:
		s, next = s+string(rune(next.char)), next.next
	case opLiteral:
		s, next = s+next.literal, next.next
	}
	if len(s) == 1 {
		return b.add(node{op: opByte, char: s[0], next: next})
	}
	return b.add(node{op: opLiteral, literal: s, next: next})
}

// single reports whether re matches one rune of a class, always.
func single(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	}
	return re.Op == syntax.OpLiteral && len(re.Rune) == 1
}

func (b *builder) class(re *syntax.Regexp) *class {
	ranges := re.Rune
	switch {
	case re.Op == syntax.OpAnyChar:
		ranges = []rune{0, utf8.MaxRune}
	case re.Op == syntax.OpAnyCharNotNL:
		ranges = []rune{0, '\n' - 1, '\n' + 1, utf8.MaxRune}
	case re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase != 0:
		ranges = folded(re.Rune[0])
	case re.Op == syntax.OpLiteral:
		ranges = []rune{re.Rune[0], re.Rune[0]}
	}
	var key strings.Builder
	for _, r := range ranges {
		key.Write([]byte{byte(r >> 16), byte(r >> 8), byte(r)})
	}
	c, ok := b.classes[key.String()]
	if !ok {
		c = newClass(ranges)
		b.classes[key.String()] = c
	}
	return c
}

func (b *builder) one(c *class, next *node) *node {
	n := node{op: opSet, run: &run{class: c, min: 1, max: 1}, table: &c.table, next: next}
	if c.wide != wideNone {
		n.op = opRune
	}
	return b.add(n)
}

// table is the bytes of s as a table, nil when s is full.
func (b *builder) table(s symbols) *[256]bool {
	if s == anything() {
		return nil
	}
	s.end = false
	t := b.tables[s]
	if t == nil {
		t = new([256]bool)
		for i := range t {
			t[i] = s.has(i)
		}
		b.tables[s] = t
	}
	return t
}
