package pattern

import (
	"strings"
	"unicode/utf8"
)

// What an attempt to match may cost before package regexp is asked, whose time
// grows with the length of the text only.
const (
	stepsAlways  = 4096
	stepsPerByte = 32
)

// maxKept is how many frames a machine may have room for that is used again.
const maxKept = 4096

// find looks for the leftmost match and returns where it begins and ends, -1 and -1
// if there is none. It writes the slots to at unless that is nil. Unless ok is set,
// finding out would have cost too much.
func (p *program) find(text string, at []int) (from, to int, ok bool) {
	first := p.candidate(text, 0)
	if first < 0 {
		return -1, -1, true
	}
	m, _ := p.machines.Get().(*machine)
	if m == nil {
		m = &machine{}
	}
	*m = machine{text: text, at: at, steps: stepsAlways + stepsPerByte*len(text), ways: m.ways[:0]}
	from, to = p.search(m, first)
	ok = !m.spent
	m.text, m.at = "", nil
	if cap(m.ways) <= maxKept {
		p.machines.Put(m)
	}
	return from, to, ok
}

// search is find from the place at on, the first candidate. The filter is asked first when
// nobody wants to know about groups: then most texts do not match. Otherwise an
// attempt costs less than the filter when it succeeds.
func (p *program) search(m *machine, at int) (from, to int) {
	if p.anchored {
		return 0, m.run(p.start, 0)
	}
	filtered := m.at == nil
	if filtered && !p.needs().Possible(m.text) {
		return -1, -1
	}
	for ; at >= 0; at = p.candidate(m.text, at) {
		m.from = at
		if to := m.run(p.start, at); to >= 0 {
			return at, to
		}
		if m.spent || at == len(m.text) || !filtered && !p.needs().Possible(m.text) {
			break
		}
		filtered = true
		at = p.after(m.text, at)
	}
	return -1, -1
}

// candidate returns the first place from pos on at which a match can begin, -1 for
// none.
func (p *program) candidate(text string, pos int) int {
	if p.anchored {
		text = text[:min(len(text), max(1, len(p.lead)))]
	}
	if p.lead != "" {
		i := strings.Index(text[pos:], p.lead)
		if i < 0 {
			return -1
		}
		return pos + i
	}
	if p.first == nil {
		return pos
	}
	// No rune is entered in its middle: where first has bytes that continue a rune,
	// it has all bytes that begin one.
	for ; pos < len(text); pos++ {
		if p.first[text[pos]] {
			return pos
		}
	}
	if p.atEnd {
		return pos
	}
	return -1
}

// after returns where to look on when no match begins at pos. What begins with a
// run of the same class could end that run in no other places.
func (p *program) after(text string, pos int) int {
	next := pos + 1
	if text[pos] >= utf8.RuneSelf {
		_, n := utf8.DecodeRuneInString(text[pos:])
		next = pos + n
	}
	if p.leading == nil {
		return next
	}
	return max(next, p.leading.reach(text, pos))
}
