package needle

import (
	"math/bits"
	"strings"
)

// grams finds where in a text a needle could be, by a few successive bytes of each
// that are rare in other texts. Letters count as equal in both cases.
type grams struct {
	size  int // bytes of a gram: 1 to 4
	shift uint
	bits  []uint64 // by hash of a gram: a needle is filed under it
	heads []int32  // by the upper bits of the hash: the first entry, -1: none
	less  uint     // how many bits a hash has more than an index of heads
}

// maxGram is the most bytes of a gram: as many as a word of 32 bits holds.
const maxGram = 4

// Bounds of the table of bits: there are 64 to 128 for each needle, so that few
// other texts hit one, but no more than fit into the first cache of a processor.
const (
	minTable = 8
	maxTable = 17
)

// file appends the table of a list of needles, nothing for an empty list. place
// says which bytes of a needle stand for it; nil: some of all of them.
func (f *Finder) file(tables []*grams, list []Needle, place func(g *grams, text string, shared map[uint32]int) int) []*grams {
	if len(list) == 0 {
		return tables
	}
	g := &grams{size: maxGram}
	for _, n := range list {
		g.size = min(g.size, len(n.Text))
	}
	width := bits.Len(uint(len(list)))
	table := max(minTable, min(maxTable, width+6))
	g.less = uint(max(0, table-width-1))
	g.shift = uint(32 - table)
	g.bits = make([]uint64, 1<<table/64)
	g.heads = make([]int32, 1<<(table-int(g.less)))
	for i := range g.heads {
		g.heads[i] = -1
	}
	shared := map[uint32]int{}
	for _, n := range list {
		e := entry{Needle: n}
		if place == nil {
			e.gram = both(n.Text)
		} else {
			e.at = int32(place(g, n.Text, shared))
			e.gram = g.gram(n.Text, int(e.at))
		}
		shared[e.gram]++
		h := g.hash(e.gram)
		g.bits[h/64] |= 1 << (h % 64)
		head := &g.heads[h>>g.less]
		e.next, *head = *head, int32(len(f.entries))
		f.entries = append(f.entries, e)
	}
	return append(tables, g)
}

// common are the bytes of which URLs, queries and names of browsers have many, the
// most frequent first.
const common = "e/atonirslcmpdu.hg-10 2w5b3k46789;=fv_&x(:)%yjzq,"

// rarest returns where in text the gram is that few other texts have and few other
// needles are filed under.
func (g *grams) rarest(text string, shared map[uint32]int) int {
	best, least := 0, 0
	for at := 0; at+g.size <= len(text); at++ {
		weight := 16 * shared[g.gram(text, at)]
		for _, b := range []byte(text[at : at+g.size]) {
			if i := strings.IndexByte(common, b|0x20); i >= 0 {
				weight += len(common) - i
			}
		}
		if at == 0 || weight < least {
			best, least = at, weight
		}
	}
	return best
}

func (g *grams) first(string, map[uint32]int) int { return 0 }

func (g *grams) last(text string, _ map[uint32]int) int { return len(text) - g.size }

// letters makes two bytes equal that differ in case only. Others become equal by
// it as well, which costs a comparison at most.
const letters = 0x20202020

// gram returns the gram of a text at a position.
func (g *grams) gram(text string, at int) uint32 {
	var w uint32
	for i := range g.size {
		w |= uint32(text[at+i]|0x20) << (8 * i)
	}
	return w
}

// both stands for a whole text: for its length and for what it begins and ends with.
func both(text string) uint32 {
	w := uint32(len(text))
	for i := range min(maxGram, len(text)) {
		w = w*31 + uint32(text[i]|0x20)
		w = w*31 + uint32(text[len(text)-1-i]|0x20)
	}
	return w
}

func (g *grams) hash(gram uint32) uint32 { return gram * factor >> g.shift }

// factor spreads the bits of a gram over the upper ones of a product.
const factor = 0x9e3779b1

// search tries all positions of text.
func (g *grams) search(f *Finder, text string, c Case, found []uint64) {
	table, shift, mask := g.bits, g.shift, ^uint32(0)>>(8*(maxGram-g.size))
	i := 0
	for ; i+maxGram <= len(text); i++ {
		w := (uint32(text[i]) | uint32(text[i+1])<<8 | uint32(text[i+2])<<16 | uint32(text[i+3])<<24 | letters) & mask
		h := w * factor >> shift
		if table[h/64]&(1<<(h%64)) != 0 {
			f.here(g.heads[h>>g.less], w, text, i, c, found)
		}
	}
	for ; i+g.size <= len(text); i++ {
		g.probe(f, g.gram(text, i), text, i, c, found)
	}
}

// probe tries one position of text.
func (g *grams) probe(f *Finder, gram uint32, text string, at int, c Case, found []uint64) {
	if h := g.hash(gram); g.bits[h/64]&(1<<(h%64)) != 0 {
		f.here(g.heads[h>>g.less], gram, text, at, c, found)
	}
}
