package pattern

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// wide says which of the runes beyond ASCII a class has. U+FFFD, which stands for
// a byte that is not UTF-8, is one of them.
type wide uint8

const (
	wideNone wide = iota
	wideAll
	wideSome
)

// class is a set of runes. For a byte below 0x80 table is exact; for others it says
// whether a rune that begins so can be in the class.
type class struct {
	table  [256]bool
	wide   wide
	ranges []rune // pairs, ascending
	stop   int    // the one byte that is not in table, -1 if there is another number of them
	bytes  symbols
	others symbols // those of bytes that are no word bytes
	words  bool    // some are word bytes
	solid  bool    // some are not the space
}

func newClass(ranges []rune) *class {
	c := &class{ranges: ranges, stop: -1}
	for i := 0; i < len(ranges); i += 2 {
		lo, hi := ranges[i], ranges[i+1]
		for r := lo; r <= min(hi, utf8.RuneSelf-1); r++ {
			c.table[r] = true
		}
		switch {
		case hi < utf8.RuneSelf:
		case lo <= utf8.RuneSelf && hi == utf8.MaxRune:
			c.wide = wideAll
		default:
			c.wide = wideSome
		}
	}
	if c.wide != wideNone {
		for b := utf8.RuneSelf; b < 256; b++ {
			c.table[b] = true
		}
	}
	out := 0
	for b := range 256 {
		if c.table[b] {
			c.bytes.add(byte(b))
			c.solid = c.solid || b != ' '
			if wordByte(byte(b)) {
				c.words = true
			} else {
				c.others.add(byte(b))
			}
			continue
		}
		c.stop = b
		out++
	}
	if out != 1 {
		c.stop = -1
	}
	return c
}

// folded returns the ranges of the runes that equal r but for their case.
func folded(r rune) []rune {
	orbit := []rune{r}
	for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
		orbit = append(orbit, o)
	}
	slices.Sort(orbit)
	ranges := make([]rune, 0, 2*len(orbit))
	for _, o := range orbit {
		ranges = append(ranges, o, o)
	}
	return ranges
}

// has reports whether the class has r, which is beyond ASCII.
func (c *class) has(r rune) bool {
	if c.wide != wideSome {
		return c.wide == wideAll
	}
	for lo, hi := 0, len(c.ranges)/2; lo < hi; {
		mid := int(uint(lo+hi) / 2)
		switch {
		case r < c.ranges[2*mid]:
			hi = mid
		case r > c.ranges[2*mid+1]:
			lo = mid + 1
		default:
			return true
		}
	}
	return false
}

// step returns the position after the rune at pos, -1 when it is not in the class
// or there is none.
func (c *class) step(text string, pos int) int {
	if pos >= len(text) || !c.table[text[pos]] {
		return -1
	}
	if text[pos] < utf8.RuneSelf {
		return pos + 1
	}
	r, n := utf8.DecodeRuneInString(text[pos:])
	if !c.has(r) {
		return -1
	}
	return pos + n
}

// boundary reports whether a rune begins at pos, counting bytes that are not UTF-8
// as runes. Any byte that continues no rune is its own.
func boundary(text string, pos int) bool {
	if pos >= len(text) || utf8.RuneStart(text[pos]) {
		return true
	}
	for i := pos - 1; i >= 0 && i > pos-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			_, n := utf8.DecodeRuneInString(text[i:])
			return i+n <= pos
		}
	}
	return true
}
