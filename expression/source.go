package expression

import (
	"sync"
	"sync/atomic"

	"github.com/rampart-edge/rampart/needle"
)

// source is a text that programs make of an event and of nothing else: a field, or
// a pure function of other sources. Programs of one Env that make the same text
// have the same source, and with a Memo it is made once for an event.
type source struct {
	env   *Env
	id    int32
	read  words
	inner *source // what it decodes (PathUnescape, QueryUnescape), else nil
	hunt  *hunt
}

// hunt is all that is looked for in a text, and in what is decoded from it: most
// texts have nothing to decode, and are searched once for both.
type hunt struct {
	mu    sync.Mutex
	clues []*clue
	count atomic.Int32
	built atomic.Pointer[huntTable]
}

// huntTable is the finder for the first so many clues and the data files of a registry.
type huntTable struct {
	finder *needle.Finder
	clues  int32
	files  *registry
}

// clue is a group of constant texts of which one may be in a source.
type clue struct {
	source *source
	number int // in the hunt
	// needles are the texts; ok is false where any text may be a hit.
	needles func(files *registry) (list []needle.Needle, ok bool)
	weight  int // how much it says that there is none: the length of the shortest needle
	// equality: it is that a field of the event has one of some values, which is a
	// requirement as well.
	equality bool
}

// sources are those of an Env.
type sources struct {
	mu     sync.Mutex
	byName map[string]*source
}

// source returns the source with a name, which says how its text is made.
func (e *Env) source(name string, read words, inner *source) *source {
	e.sources.mu.Lock()
	defer e.sources.mu.Unlock()
	if s := e.sources.byName[name]; s != nil {
		return s
	}
	s := &source{env: e, id: int32(len(e.sources.byName)), read: read, inner: inner, hunt: &hunt{}}
	if inner != nil {
		s.hunt = inner.hunt
	}
	if e.sources.byName == nil {
		e.sources.byName = map[string]*source{}
	}
	e.sources.byName[name] = s
	return s
}

// text is the text of s, made once for an event where there is a memo.
func (s *source) text(v *Vars) string {
	if v.Memo.serves(s.env) {
		return v.Memo.text(s, v)
	}
	return s.read(v)
}

// add makes a clue of needles in the text of s.
func (s *source) add(weight int, needles func(files *registry) ([]needle.Needle, bool)) *clue {
	h := s.hunt
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &clue{source: s, number: len(h.clues), needles: needles, weight: weight}
	h.clues = append(h.clues, c)
	h.count.Store(int32(len(h.clues)))
	return c
}

// current returns the finder of all clues, which is made when one is asked for and
// there are new ones, or new data files.
func (h *hunt) current(e *Env) *needle.Finder {
	files := e.registry.Load()
	if t := h.built.Load(); t != nil && t.clues == h.count.Load() && t.files == files {
		return t.finder
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.built.Load(); t != nil && t.clues == h.count.Load() && t.files == files {
		return t.finder
	}
	var all []needle.Needle
	for _, c := range h.clues {
		list, ok := c.needles(files)
		if !ok {
			list = []needle.Needle{{}} // the empty text is in every text
		}
		for _, n := range list {
			n.Group = c.number
			all = append(all, n)
		}
	}
	t := &huntTable{needle.NewFinder(all, len(h.clues)), int32(len(h.clues)), files}
	h.built.Store(t)
	return t.finder
}

// asked reports whether one of the needles is in the text of the source; known is
// false where nobody has looked for all clues together.
func (c *clue) asked(v *Vars) (hit, known bool) {
	if !v.Memo.serves(c.source.env) {
		return false, false
	}
	found := v.Memo.find(c.source, v)
	if c.number/64 >= len(found) {
		return false, false
	}
	return found[c.number/64]>>(c.number%64)&1 != 0, true
}

// Clue is a group of constant texts that are looked for in one text of the event.
type Clue struct{ c *clue }

// Source is a number for the text: clues of one Env with the same source look at
// the same text.
func (c Clue) Source() int { return int(c.c.source.id) }

// Number is a small number, unique among the clues of a source.
func (c Clue) Number() int { return c.c.number }

// Found returns which clues of the same source the event has, as bits by Number.
// It needs a Memo; known is false where that serves another Env.
func (c Clue) Found(v *Vars) (found []uint64, known bool) {
	if !v.Memo.serves(c.c.source.env) {
		return nil, false
	}
	return v.Memo.find(c.c.source, v), true
}

// clause is a list of clues of which the event must have one.
type clause []*clue

// maxClause bounds a clause: each clue of it is another text to read.
const maxClause = 6

// missing reports that none of the clues is there, as far as somebody has looked.
func (c clause) missing(v *Vars) bool {
	for _, one := range c {
		if hit, known := one.asked(v); hit || !known {
			return false
		}
	}
	return true
}

// telling is how much a clause says when none of its clues is there.
func (c clause) telling() int {
	least := mostWeight
	for _, one := range c {
		least = min(least, one.weight)
		if one.equality {
			least = min(least, 1) // half of all events may have it
		}
	}
	return least*8 - len(c)
}

// best returns the most telling clause, nil of none.
func best(list []clause) clause {
	var out clause
	for _, c := range list {
		if out == nil || c.telling() > out.telling() {
			out = c
		}
	}
	return out
}

// eitherClause returns what holds where one of two conditions does.
func eitherClause(a, b []clause) []clause {
	x, y := best(a), best(b)
	if x == nil || y == nil || len(x)+len(y) > maxClause {
		return nil
	}
	return []clause{append(append(clause{}, x...), y...)}
}
