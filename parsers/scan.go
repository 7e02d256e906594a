package parsers

import (
	"github.com/rampart-edge/rampart/needle"
)

// minScanned is how many groks make it worth to look for their literals together,
// patience how many children are tried before: lines often are of the first kind.
const (
	minScanned = 3
	patience   = 2
)

// scan looks once at a text for what the groks of several siblings need in it: most
// of them need something that is not there. Immutable.
type scan struct {
	applyOn string
	finder  *needle.Finder
	words   int      // of a set of children
	always  []uint64 // children that run whatever is found
}

// newScan returns the scan of the children of a node, nil where it would not pay.
func newScan(children []*node) *scan {
	if len(children) < patience+minScanned {
		return nil
	}
	fields := map[string]int{}
	best := ""
	for _, c := range children[patience:] {
		if c.onlyGrok() {
			fields[c.applyOn]++
			if fields[c.applyOn] > fields[best] {
				best = c.applyOn
			}
		}
	}
	if fields[best] < minScanned {
		return nil
	}
	s := &scan{applyOn: best, words: (len(children) + 63) / 64}
	s.always = make([]uint64, s.words)
	var needles []needle.Needle
	scanned := 0
	for i, c := range children {
		var own []needle.Needle
		if i >= patience && c.onlyGrok() && c.applyOn == best {
			own = needle.Required(c.grok.re.String())
		}
		if len(own) == 0 {
			s.always[i/64] |= 1 << (i % 64)
			continue
		}
		scanned++
		for _, n := range own {
			n.Group = i
			needles = append(needles, n)
		}
	}
	if scanned < minScanned {
		return nil
	}
	s.finder = needle.NewFinder(needles, len(children))
	return s
}

// onlyGrok: where its grok fails, the node fails, and leaves no trace.
func (n *node) onlyGrok() bool {
	return n.grok != nil && n.applyOn != "" && n.whitelist == nil && len(n.children) == 0 &&
		(n.filter == nil || !n.filter.Reads().Writes)
}

// candidates writes the set of children that could succeed on text.
func (s *scan) candidates(text string, into []uint64) {
	copy(into, s.always)
	s.finder.Find(text, into)
}
