package expression

import (
	"math/bits"
	"sync"

	"github.com/rampart-edge/rampart/needle"
	"github.com/rampart-edge/rampart/pattern"
)

// patterns are those that expressions compute. They are few: a value of the event
// does not make a good pattern. When there are more than fit, all are made anew.
type patterns struct {
	mu    sync.Mutex
	known map[string]*pattern.Pattern
}

const maxPatterns = 256

func (c *patterns) get(expr string) (*pattern.Pattern, error) {
	c.mu.Lock()
	p := c.known[expr]
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := pattern.Compile(expr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxPatterns {
		c.known = map[string]*pattern.Pattern{}
	}
	c.known[expr] = p
	return p, nil
}

// fileMatcher finds out which patterns of a data file could match a text, by what
// each of them requires.
type fileMatcher struct {
	file   *dataFile
	finder *needle.Finder // a group for each pattern
}

// matchers are those of the files in use.
type matchers struct {
	mu     sync.Mutex
	byFile map[*dataFile]*fileMatcher
}

func (m *matchers) of(f *dataFile) *fileMatcher {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x := m.byFile[f]; x != nil {
		return x
	}
	var all []needle.Needle
	for i, re := range f.patterns {
		list := required(re.String(), needle.Exact)
		if len(list) == 0 {
			list = []needle.Needle{{}} // any text may match
		}
		for _, n := range list {
			n.Group = i
			all = append(all, n)
		}
	}
	x := &fileMatcher{f, needle.NewFinder(all, len(f.patterns))}
	if m.byFile == nil {
		m.byFile = map[*dataFile]*fileMatcher{}
	}
	m.byFile[f] = x
	return x
}

// match reports whether a pattern of the file matches text.
func (m *fileMatcher) match(text string) bool {
	var room [16]uint64
	found := room[:]
	if n := (m.finder.Groups() + 63) / 64; n > len(found) {
		found = make([]uint64, n)
	}
	m.finder.Find(text, found)
	for i, word := range found {
		for ; word != 0; word &= word - 1 {
			if m.file.patterns[i*64+bits.TrailingZeros64(word)].MatchString(text) {
				return true
			}
		}
	}
	return false
}
