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

// Bounds of the table of bits: there are 128 to 256 for each needle, so that few
// other texts hit one, but no more than fit into the first cache of a processor.
const (
	minTable = 10
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
	table := max(minTable, min(maxTable, width+7))
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

// everywhere is what nearly every browser says of itself, and more of that kind.
const everywhere = "mozilla/5.0 (windows nt 10.0; win64; x64; rv:1) applewebkit/537.36 (khtml, like gecko) chrome/130.0.0.0 " +
	"safari/537.36 firefox/130.0 (macintosh; intel mac os x 10_15_7) (x11; linux x86_64) android iphone mobile version/ edg/ " +
	"compatible https://www. http:// .com/ .html .css .js .png .jpg image static assets index product page content id= &p"

// rarest returns where in text the gram is that few other texts have and few other
// needles are filed under.
func (g *grams) rarest(text string, shared map[uint32]int) int {
	best, least := 0, 0
	lower := strings.ToLower(text)
	for at := 0; at+g.size <= len(text); at++ {
		weight := 16 * shared[g.gram(text, at)]
		if at+g.size <= len(lower) && strings.Contains(everywhere, lower[at:at+g.size]) {
			weight += 4 * len(common)
		}
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

// letters makes two bytes of a word equal that differ in case only. Others become equal by
// it as well, which costs a comparison at most.
const letters = 0x2020202020202020

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
	for i := g.next(text, 0); i >= 0; i = g.next(text, i+1) {
		w := g.gram(text, i)
		f.here(g.heads[g.hash(w)>>g.less], w, text, i, c, found)
	}
}

// next returns the first position from i on at which a needle could be, -1: none.
// Four positions are tried at once: all but a few of them are nothing.
func (g *grams) next(text string, i int) int {
	table, shift, mask := g.bits, g.shift&31, ^uint32(0)>>(8*(maxGram-g.size)&31)
	for ; i+8 <= len(text); i += 4 {
		t := text[i : i+8]
		w := uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
			uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56 | letters
		a, b := uint32(w)&mask*factor>>shift, uint32(w>>8)&mask*factor>>shift
		c, d := uint32(w>>16)&mask*factor>>shift, uint32(w>>24)&mask*factor>>shift
		hit := table[a/64]>>(a&63) | table[b/64]>>(b&63) | table[c/64]>>(c&63) | table[d/64]>>(d&63)
		if hit&1 != 0 {
			break
		}
	}
	for ; i+g.size <= len(text); i++ {
		if h := g.hash(g.gram(text, i)); table[h/64]>>(h&63)&1 != 0 {
			return i
		}
	}
	return -1
}

// probe tries one position of text.
func (g *grams) probe(f *Finder, gram uint32, text string, at int, c Case, found []uint64) {
	if h := g.hash(gram); g.bits[h/64]&(1<<(h%64)) != 0 {
		f.here(g.heads[h>>g.less], gram, text, at, c, found)
	}
}
