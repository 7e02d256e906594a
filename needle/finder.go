package needle

import (
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Case says what is done to the letters of a text before a needle is compared.
type Case uint8

// The cases.
const (
	Exact  Case = iota // nothing
	Upper              // strings.ToUpper
	Lower              // strings.ToLower
	Folded             // what (?i) of a regexp does, for needles in ASCII
	Loose              // like Folded, but every text that is not ASCII has the needle
	cases
)

// Place says where in a text a needle must stand.
type Place uint8

// The places.
const (
	Anywhere Place = iota // as strings.Contains
	Start                 // as strings.HasPrefix
	End                   // as strings.HasSuffix
	Whole                 // as ==
)

// Needle is a constant text that a Finder looks for.
type Needle struct {
	Text  string
	Case  Case
	Place Place
	Group int
}

// Finder says which groups of needles have one in a text. A text is read once or
// twice, whatever the number of needles; what each byte costs is a look at a table
// of bits that says whether a needle could be here.
type Finder struct {
	groups  int
	cases   [cases]bool // those that some needle has
	always  []int       // groups with a needle that is in every text
	blank   []int       // groups with the needle that is the empty text and no other
	loose   []int       // groups that every text has which is not ASCII
	entries []entry
	inside  []*grams // needles that may stand anywhere
	start   []*grams // those at the start, by what they begin with
	end     []*grams // those at the end, by what they end with
	whole   *grams   // those that are the whole text
}

// entry is a needle; at is where in it the bytes are that it is filed under.
type entry struct {
	Needle
	gram uint32
	at   int32
	next int32 // the next entry of its slot, -1: none
}

// NewFinder makes a finder of needles whose groups are below groups. Folded and
// loose needles must be ASCII.
func NewFinder(needles []Needle, groups int) *Finder {
	f := &Finder{groups: groups}
	var lists [Whole + 1][2][]Needle // by place, short ones first
	for _, n := range needles {
		f.cases[n.Case] = true
		if n.Case == Folded || n.Case == Loose {
			n.Text = strings.ToLower(n.Text)
		}
		if n.Case == Loose {
			f.loose = append(f.loose, n.Group)
		}
		switch {
		case n.Text == "" && n.Place == Whole:
			f.blank = append(f.blank, n.Group)
		case n.Text == "":
			f.always = append(f.always, n.Group)
		default:
			long := 0
			if len(n.Text) >= maxGram || n.Place == Anywhere && len(n.Text) == maxGram-1 || n.Place == Whole {
				long = 1
			}
			lists[n.Place][long] = append(lists[n.Place][long], n)
		}
	}
	for _, list := range lists[Anywhere] {
		f.inside = f.file(f.inside, list, (*grams).rarest)
	}
	for _, list := range lists[Start] {
		f.start = f.file(f.start, list, (*grams).first)
	}
	for _, list := range lists[End] {
		f.end = f.file(f.end, list, (*grams).last)
	}
	for _, g := range f.file(nil, lists[Whole][1], nil) {
		f.whole = g
	}
	return f
}

// Groups is how many groups there are.
func (f *Finder) Groups() int { return f.groups }

// Size is about how many bytes of memory the tables take.
func (f *Finder) Size() int {
	n := len(f.entries) * int(unsafe.Sizeof(entry{}))
	for _, g := range slices.Concat(f.inside, f.start, f.end, []*grams{f.whole}) {
		if g != nil {
			n += len(g.bits)*8 + len(g.heads)*4
		}
	}
	return n
}

// Find sets the bit of each group that has a needle in text, and leaves the others
// as they are. found has room for all groups. It allocates only where text is not
// ASCII and some needle has another case than Exact.
func (f *Finder) Find(text string, found []uint64) {
	mark(found, f.always)
	if text == "" {
		mark(found, f.blank)
		return
	}
	if isASCII(text) {
		f.find(text, everyCase, found)
		return
	}
	mark(found, f.loose)
	for c := Exact; c < Loose; c++ {
		if f.cases[c] {
			f.find(c.Of(text), c, found)
		}
	}
}

func mark(found []uint64, groups []int) {
	for _, g := range groups {
		found[g/64] |= 1 << (g % 64)
	}
}

// everyCase stands for all cases at once, which an ASCII text can be compared in.
const everyCase = cases

// find looks for the needles of a case in a text that has it already.
func (f *Finder) find(text string, c Case, found []uint64) {
	for _, g := range f.inside {
		g.search(f, text, c, found)
	}
	for _, g := range f.start {
		if len(text) >= g.size {
			g.probe(f, g.gram(text, 0), text, 0, c, found)
		}
	}
	for _, g := range f.end {
		if at := len(text) - g.size; at >= 0 {
			g.probe(f, g.gram(text, at), text, at, c, found)
		}
	}
	if f.whole != nil {
		f.whole.probe(f, both(text), text, 0, c, found)
	}
}

// Of returns text in the case.
func (c Case) Of(text string) string {
	switch c {
	case Upper:
		return strings.ToUpper(text)
	case Lower:
		return strings.ToLower(text)
	case Folded:
		return strings.Map(fold, text)
	}
	return text
}

// fold is the simple folding of Unicode as far as it reaches ASCII: two letters
// beyond it are the same as k and s.
func fold(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return r + 'a' - 'A'
	case r == '\u212a':
		return 'k'
	case r == '\u017f':
		return 's'
	}
	return r
}

func isASCII(s string) bool {
	for len(s) >= 8 {
		if s[0]|s[1]|s[2]|s[3]|s[4]|s[5]|s[6]|s[7] >= utf8.RuneSelf {
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// here tries the entries of a slot on a text whose gram begins at position i.
func (f *Finder) here(slot int32, gram uint32, text string, i int, c Case, found []uint64) {
	for ; slot >= 0; slot = f.entries[slot].next {
		e := &f.entries[slot]
		if e.gram != gram || c != everyCase && c != e.Case {
			continue
		}
		word, bit := &found[e.Group/64], uint64(1)<<(e.Group%64)
		if from := i - int(e.at); *word&bit == 0 && from >= 0 && e.fits(text, from) {
			*word |= bit
		}
	}
}

// fits compares the needle with the text from a byte on.
func (e *entry) fits(text string, from int) bool {
	to := from + len(e.Text)
	if to > len(text) {
		return false
	}
	switch {
	case e.Place == Start && from != 0, e.Place == End && to != len(text),
		e.Place == Whole && len(text) != len(e.Text):
		return false
	}
	piece := text[from:to]
	switch e.Case {
	case Upper:
		return equalUpper(piece, e.Text)
	case Lower, Folded, Loose:
		return equalLower(piece, e.Text)
	}
	return piece == e.Text
}

// equalUpper compares a piece of text, put into upper-case as far as it is ASCII,
// with a needle of the same length.
func equalUpper(piece, needle string) bool {
	for i := range len(piece) {
		b := piece[i]
		if b >= 'a' && b <= 'z' {
			b -= 'a' - 'A'
		}
		if b != needle[i] {
			return false
		}
	}
	return true
}

func equalLower(piece, needle string) bool {
	for i := range len(piece) {
		b := piece[i]
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != needle[i] {
			return false
		}
	}
	return true
}
