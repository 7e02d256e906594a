package decisions

import (
	"slices"
	"strings"
)

// sought is a test of the texts behind names. Each text is looked at once, from then
// on numbers are compared.
type sought struct {
	test  func(text string) bool // nil: everything passes
	known []tested               // by name
}

type tested uint8

const (
	untested tested = iota
	passes
	fails
)

// has reports whether the text of n passes. The caller holds the Book's lock.
func (s *sought) has(names *names, n name) bool {
	if s.test == nil {
		return true
	}
	if int(n) < len(s.known) {
		switch s.known[n] {
		case passes:
			return true
		case fails:
			return false
		}
	}
	return s.ask(names, n)
}

func (s *sought) ask(names *names, n name) bool {
	if int(n) >= len(s.known) {
		s.known = append(s.known, make([]tested, len(names.list)-len(s.known))...)
	}
	ok := s.test(names.text(n))
	if s.known[n] = fails; ok {
		s.known[n] = passes
	}
	return ok
}

// takes is has for a text without a name.
func (s *sought) takes(text string) bool { return s.test == nil || s.test(text) }

// forget is for when names stand for other texts than before.
func (s *sought) forget() { clear(s.known) }

// anyOf looks for texts that one of wants is the same as; without any it takes all.
func anyOf(wants []string, same func(want, have string) bool) sought {
	if len(wants) == 0 {
		return sought{}
	}
	return sought{test: func(have string) bool {
		return slices.ContainsFunc(wants, func(want string) bool { return same(want, have) })
	}}
}

// nonEmpty is a list of one text, or of none if it is empty.
func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func sameText(want, have string) bool { return want == have }

func foldedText(want, have string) bool { return strings.EqualFold(want, have) }

// sameScope compares the four scopes that the journal knows in any case. CrowdSec
// compatible: others are what they are.
func sameScope(want, have string) bool {
	switch have {
	case ScopeIP, ScopeRange, ScopeCountry, ScopeAS:
		return strings.EqualFold(want, have)
	}
	return want == have
}

// sameOrigin lets "lists" stand for the origins of all lists. CrowdSec compatible:
// its decisions of lists have that origin, and the list's name as their scenario.
func sameOrigin(want, have string) bool {
	return want == have || want == OriginLists && strings.HasPrefix(have, listOrigin)
}

// scenarioTest is what a query wants of scenarios.
type scenarioTest struct {
	name            string   // "": any
	contains, lacks []string // in lower case
}

func newScenarioTest(name string, contains, lacks []string) scenarioTest {
	return scenarioTest{name, lowered(contains), lowered(lacks)}
}

// lowered is texts in lower case, without empty ones.
func lowered(texts []string) []string {
	var out []string
	for _, t := range texts {
		if t != "" {
			out = append(out, strings.ToLower(t))
		}
	}
	return out
}

func (t *scenarioTest) empty() bool { return t.name == "" && len(t.contains)+len(t.lacks) == 0 }

// sought is the test for the names of scenarios.
func (t *scenarioTest) sought() sought {
	if t.empty() {
		return sought{}
	}
	return sought{test: func(text string) bool { return t.takes(text) }}
}

// takes reports whether something that has these names passes.
func (t *scenarioTest) takes(names ...string) bool {
	if t.name != "" && !slices.Contains(names, t.name) {
		return false
	}
	part := func(text string) func(string) bool {
		text = strings.ToLower(text)
		return func(part string) bool { return strings.Contains(text, part) }
	}
	found := len(t.contains) == 0
	for _, n := range names {
		if slices.ContainsFunc(t.lacks, part(n)) {
			return false
		}
		found = found || slices.ContainsFunc(t.contains, part(n))
	}
	return found
}
