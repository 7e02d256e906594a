package pattern

import (
	"strings"
	"unicode/utf8"
)

// run is a repeated class: at least min and at most max runes, max -1 is without
// limit. Where the run may end is narrowed by what follows it.
type run struct {
	class    *class
	min, max int
	bytewise bool       // a rune of the class can be taken byte by byte
	lead     string     // what follows begins with it, "" unknown
	follow   *[256]bool // what follows begins with one of these bytes, nil any
	atEnd    bool       // what follows may match at the end of the text
	lazy     bool
}

// reach returns where the longest run from pos ends, -1 when it is too short.
func (r *run) reach(text string, pos int) int {
	if r.max < 0 && r.min <= 1 && r.class.stop >= 0 {
		i := strings.IndexByte(text[pos:], byte(r.class.stop))
		if i < 0 {
			i = len(text) - pos
		}
		if i < r.min {
			return -1
		}
		return pos + i
	}
	if !r.bytewise {
		return r.reachRunes(text, pos)
	}
	limit := len(text)
	if r.max >= 0 {
		limit = min(limit, pos+r.max)
	}
	i := pos
	for i < limit && r.class.table[text[i]] {
		i++
	}
	if i-pos < r.min {
		return -1
	}
	return i
}

func (r *run) reachRunes(text string, pos int) int {
	n := 0
	for r.max < 0 || n < r.max {
		to := r.class.step(text, pos)
		if to < 0 {
			break
		}
		pos = to
		n++
	}
	if n < r.min {
		return -1
	}
	return pos
}

// low returns where the shortest run from pos ends; there is one.
func (r *run) low(text string, pos int) int {
	if r.min == 0 || r.class.wide == wideNone {
		return pos + r.min
	}
	for range r.min {
		_, n := utf8.DecodeRuneInString(text[pos:])
		pos += n
	}
	return pos
}

// allows reports whether what follows the run can begin at pos.
func (r *run) allows(text string, pos int) bool {
	if pos == len(text) {
		return r.atEnd
	}
	b := text[pos]
	return (r.follow == nil || r.follow[b]) && (b < utf8.RuneSelf || boundary(text, pos))
}

// up returns the first place from pos to hi at which the run may end, -1 for none.
func (r *run) up(text string, pos, hi int) int {
	if pos > hi {
		return -1
	}
	if r.lead != "" {
		i := strings.Index(text[pos:min(hi+len(r.lead), len(text))], r.lead)
		if i < 0 {
			return -1
		}
		return pos + i
	}
	for ; pos <= hi; pos++ {
		if r.allows(text, pos) {
			return pos
		}
	}
	return -1
}

// down returns the last place from pos down to lo at which the run may end, -1 for
// none.
func (r *run) down(text string, pos, lo int) int {
	if pos < lo {
		return -1
	}
	if r.lead != "" {
		i := strings.LastIndex(text[lo:min(pos+len(r.lead), len(text))], r.lead)
		if i < 0 {
			return -1
		}
		return lo + i
	}
	for ; pos >= lo; pos-- {
		if r.allows(text, pos) {
			return pos
		}
	}
	return -1
}
