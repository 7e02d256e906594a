package pattern

import (
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"sync"

	"github.com/rampart-edge/rampart/needle"
)

// maxText is the longest text for which nodes are used: their offsets have 32 bits.
const maxText = math.MaxInt32

// Pattern is a compiled regular expression.
type Pattern struct {
	expr   string
	groups int
	fast   *program              // nil: package regexp does all the work
	plain  func() *regexp.Regexp // compiles expr when it is needed
}

// Compile parses an expression in the syntax of package regexp, whose error it
// returns.
func Compile(expr string) (*Pattern, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	fast, err := newProgram(tree)
	if err != nil {
		return CompilePlain(expr)
	}
	fast.needs = sync.OnceValue(func() *needle.Filter { f := needle.NewFilter(expr); return &f })
	return &Pattern{expr: expr, groups: tree.MaxCap(), fast: fast, plain: compileLater(expr)}, nil
}

// CompilePlain is Compile without any fast path: what it returns asks package regexp.
func CompilePlain(expr string) (*Pattern, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	return &Pattern{expr: expr, groups: re.NumSubexp(), plain: func() *regexp.Regexp { return re }}, nil
}

// Match reports whether text contains a match.
func (p *Pattern) Match(text string) bool {
	if p.fast != nil && len(text) <= maxText {
		if _, to, ok := p.fast.find(text, nil); ok {
			return to >= 0
		}
	}
	return p.plain().MatchString(text)
}

// Find looks for the leftmost match and returns the byte offsets of it and of its
// groups, as regexp's FindStringSubmatchIndex does: pairs, -1 for a group without
// part in the match. They are written into at if its capacity suffices for
// 2*(NumGroups()+1); what at held before is lost. Without a match it returns nil.
func (p *Pattern) Find(text string, at []int) []int {
	if p.fast != nil && len(text) <= maxText {
		at = slices.Grow(at[:0], 2*(p.groups+1))[:2*(p.groups+1)]
		for i := range at {
			at[i] = -1
		}
		from, to, ok := p.fast.find(text, at)
		if ok && to < 0 {
			return nil
		}
		if ok {
			at[0], at[1] = from, to
			return at
		}
	}
	found := p.plain().FindStringSubmatchIndex(text)
	if found == nil {
		return nil
	}
	return append(at[:0], found...)
}

// NumGroups returns the number of capturing groups.
func (p *Pattern) NumGroups() int { return p.groups }

// Fast reports whether the pattern runs on nodes of its own; otherwise package
// regexp does all the work.
func (p *Pattern) Fast() bool { return p.fast != nil }

// String returns the expression.
func (p *Pattern) String() string { return p.expr }

// compileLater compiles an expression that is known to be right on first use: most
// patterns never need package regexp.
func compileLater(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
