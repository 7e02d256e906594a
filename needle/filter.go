package needle

import (
	"cmp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of a filter: more literals than these cost more than they save.
const (
	maxClauses  = 3
	maxLiterals = 256
)

// Filter is what a text must contain for a regexp to match it: all of the clauses,
// of each at least one literal. The zero value lets everything pass. It never has
// a false negative; most texts that do not match it turns away without running the
// regexp.
type Filter struct {
	prefix string // the text starts with it
	suffix string // the text ends with it
	sets   []*Set
	folded []*Finder // clauses with literals of which the case does not count
}

// clause is a list of literals of which one must occur.
type clause []literal

type literal struct {
	text   string
	folded bool // whatever the case of its letters
}

// NewFilter reads the required literals off the syntax tree of a regexp in Go's
// syntax; one that does not parse gives a filter that lets everything pass.
func NewFilter(expr string) Filter {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return Filter{}
	}
	p := Filter{prefix: fixedEdge(tree, true), suffix: fixedEdge(tree, false)}
	for _, c := range analyse(tree).ranked() {
		if len(p.sets)+len(p.folded) == maxClauses {
			break
		}
		if len(c) == 1 && (strings.Contains(p.prefix, c[0].text) || strings.Contains(p.suffix, c[0].text)) {
			continue
		}
		if texts, ok := c.texts(); ok {
			p.sets = append(p.sets, NewSet(texts))
		} else {
			p.folded = append(p.folded, NewFinder(c.needles(), 1))
		}
	}
	return p
}

// Required returns literals of which every text that the regexp matches has at
// least one: the clause that fewest other texts fulfil. None: there is nothing that
// must occur, or the regexp does not parse.
func Required(expr string) []Needle {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil
	}
	if ranked := analyse(tree).ranked(); len(ranked) > 0 {
		return ranked[0].needles()
	}
	return nil
}

// Possible reports whether the regexp could match text.
func (f *Filter) Possible(text string) bool {
	if !strings.HasPrefix(text, f.prefix) || !strings.HasSuffix(text, f.suffix) {
		return false
	}
	for _, s := range f.sets {
		if !s.In(text) {
			return false
		}
	}
	for _, finder := range f.folded {
		var found [1]uint64
		if finder.Find(text, found[:]); found[0] == 0 {
			return false
		}
	}
	return true
}

// texts returns the literals of a clause in which the case of all counts.
func (c clause) texts() ([]string, bool) {
	out := make([]string, len(c))
	for i, l := range c {
		if l.folded {
			return nil, false
		}
		out[i] = l.text
	}
	return out, true
}

func (c clause) needles() []Needle {
	out := make([]Needle, len(c))
	for i, l := range c {
		out[i] = Needle{Text: l.text}
		if l.folded {
			out[i].Case = Folded
		}
	}
	return out
}

// weight is how much a clause is worth: long literals are rare in other texts;
// among equals, fewer are rarer.
func (c clause) weight() int {
	if len(c) == 0 {
		return 0
	}
	shortest := len(c[0].text)
	for _, l := range c {
		shortest = min(shortest, len(l.text))
	}
	return shortest*maxLiterals - len(c)
}

// literals is what is known of the texts that a regexp matches.
type literals struct {
	exact   bool // it matches text and nothing else (assertions aside)
	text    string
	clauses []clause
}

// analyse returns what must be in every text that re matches.
func analyse(re *syntax.Regexp) literals {
	switch re.Op {
	case syntax.OpLiteral:
		if s, ok := plainText(re); ok {
			return literals{exact: true, text: s}
		}
		if s := string(re.Rune); re.Flags&syntax.FoldCase != 0 && isASCII(s) {
			return literals{clauses: []clause{{{s, true}}}}
		}
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return literals{exact: true}
	case syntax.OpCapture:
		return analyse(re.Sub[0])
	case syntax.OpPlus:
		return literals{clauses: analyse(re.Sub[0]).required()}
	case syntax.OpRepeat:
		if re.Min > 0 {
			return literals{clauses: analyse(re.Sub[0]).required()}
		}
	case syntax.OpConcat:
		return analyseConcat(re)
	case syntax.OpAlternate:
		return analyseAlternate(re)
	}
	return literals{}
}

// plainText returns the text of a literal that matches byte for byte. U+FFFD is
// left out because a regexp lets it stand for any byte that is not UTF-8.
func plainText(re *syntax.Regexp) (string, bool) {
	if re.Flags&syntax.FoldCase != 0 || slices.Contains(re.Rune, utf8.RuneError) {
		return "", false
	}
	return string(re.Rune), true
}

func (l literals) required() []clause {
	if l.exact && l.text != "" {
		return []clause{{{text: l.text}}}
	}
	return l.clauses
}

// ranked returns the clauses, the most telling first.
func (l literals) ranked() []clause {
	list := slices.Clone(l.required())
	slices.SortStableFunc(list, func(a, b clause) int { return cmp.Compare(b.weight(), a.weight()) })
	return list
}

func analyseConcat(re *syntax.Regexp) literals {
	out := literals{exact: true}
	run := ""
	flush := func() {
		if run != "" {
			out.clauses = append(out.clauses, clause{{text: run}})
		}
		run = ""
	}
	for _, sub := range re.Sub {
		l := analyse(sub)
		if l.exact {
			run += l.text
			continue
		}
		out.exact = false
		flush()
		out.clauses = append(out.clauses, l.clauses...)
	}
	if out.exact {
		out.text = run
		return out
	}
	flush()
	return out
}

func analyseAlternate(re *syntax.Regexp) literals {
	var any clause
	for _, sub := range re.Sub {
		l := analyse(sub)
		best := clause(nil)
		for _, c := range l.required() {
			if best == nil || c.weight() > best.weight() {
				best = c
			}
		}
		if best == nil || len(any)+len(best) > maxLiterals {
			return literals{}
		}
		any = append(any, best...)
	}
	return literals{clauses: []clause{any}}
}

// fixedEdge returns the literal that must stand at the beginning (or, else, at the
// end) of the text: the one next to an anchor.
func fixedEdge(re *syntax.Regexp, begin bool) string {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	if re.Op != syntax.OpConcat {
		return ""
	}
	anchor, step, i := syntax.OpBeginText, 1, 0
	if !begin {
		anchor, step, i = syntax.OpEndText, -1, len(re.Sub)-1
	}
	if re.Sub[i].Op != anchor {
		return ""
	}
	edge := ""
	for i += step; i >= 0 && i < len(re.Sub); i += step {
		l := analyse(re.Sub[i])
		if !l.exact {
			break
		}
		if begin {
			edge += l.text
		} else {
			edge = l.text + edge
		}
	}
	return edge
}
