package pattern

import (
	"regexp"

	"github.com/rampart-edge/rampart/needle"
)

// Pattern is a compiled regular expression.
type Pattern struct {
	expr   string
	groups int
	needs  needle.Filter
	re     *regexp.Regexp
}

// Compile parses an expression in the syntax of package regexp, whose error it
// returns.
func Compile(expr string) (*Pattern, error) {
	p, err := CompilePlain(expr)
	if err != nil {
		return nil, err
	}
	p.needs = needle.NewFilter(expr)
	return p, nil
}

// CompilePlain is Compile without any fast path: what it returns asks package regexp.
func CompilePlain(expr string) (*Pattern, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	return &Pattern{expr: expr, groups: re.NumSubexp(), re: re}, nil
}

// Match reports whether text contains a match.
func (p *Pattern) Match(text string) bool {
	return p.needs.Possible(text) && p.re.MatchString(text)
}

// Find looks for the leftmost match and returns the byte offsets of it and of its
// groups, as regexp's FindStringSubmatchIndex does: pairs, -1 for a group without
// part in the match. They are written into at, whatever it held before, if its
// capacity of 2*(NumGroups()+1) suffices. Without a match it returns nil.
func (p *Pattern) Find(text string, at []int) []int {
	if !p.needs.Possible(text) {
		return nil
	}
	found := p.re.FindStringSubmatchIndex(text)
	if found == nil {
		return nil
	}
	return append(at[:0], found...)
}

// NumGroups returns the number of capturing groups.
func (p *Pattern) NumGroups() int { return p.groups }

// Fast reports whether the pattern runs on nodes of its own; otherwise package
// regexp does all the work.
func (p *Pattern) Fast() bool { return false }

// String returns the expression.
func (p *Pattern) String() string { return p.expr }
