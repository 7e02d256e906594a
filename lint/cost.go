package lint

import (
	"cmp"
	"fmt"
	"regexp/syntax"
	"slices"

	"github.com/rampart-edge/rampart/expression"
)

// Gates of a filter: what keeps it from running on an event that cannot pass it.
const (
	GateValues = "values" // an index of the values that it asks of fields
	GateTexts  = "texts"  // one look for the constant texts of all filters
	GateNone   = "none"   // it runs on every event
)

// Ways in which a filter runs.
const (
	WayNative  = "native"  // closures
	WayMachine = "machine" // the interpreter of expressions
)

// Cost is an estimate of what a filter costs.
type Cost struct {
	Path string   `json:"path"`
	Line int      `json:"line,omitempty"`
	Item string   `json:"item"`
	Gate string   `json:"gate"`
	By   []string `json:"by,omitempty"` // the fields of GateValues
	Way  string   `json:"way"`
	// Dear are the parts that cost more than a comparison, dearest first.
	Dear []Part `json:"dear,omitempty"`
}

// Part is a part of an expression that costs something.
type Part struct {
	What   string `json:"what"`
	Why    string `json:"why"`
	Weight int    `json:"weight"` // 1: a comparison; 10: a regexp over long text; 1000: waits for another machine
}

// weight orders costs: what runs on every event counts tenfold, and so does the
// interpreter.
func (c *Cost) weight() int {
	sum := 1
	for _, p := range c.Dear {
		sum += p.Weight
	}
	if c.Gate == GateNone {
		sum *= 10
	}
	if c.Way == WayMachine {
		sum *= 10
	}
	return sum
}

// cost notes a filter.
func (k *checker) cost(at Finding, p *expression.Program, path string) {
	if !k.wanted(path) {
		return
	}
	c := Cost{Path: at.Path, Line: at.Line, Item: at.Item, Gate: GateNone, Way: WayNative, Dear: dear(p.Source())}
	for _, r := range p.Requires() {
		c.By = append(c.By, r.Field)
	}
	switch {
	case len(c.By) > 0:
		c.Gate = GateValues
	case len(p.Clues()) > 0:
		c.Gate = GateTexts
	}
	if p.Interpreted() {
		c.Way = WayMachine
	}
	k.report.Costs = append(k.report.Costs, c)
}

// priceOf is what is known of the functions that cost something.
func priceOf(name string) (Part, bool) {
	switch name {
	case "RegexpInFile":
		return Part{name, "tries every regexp of a file until one matches", 30}, true
	case "File", "any", "all", "none", "filter", "map", "count":
		return Part{name, "goes through a list", 3}, true
	case "JsonExtract", "JsonExtractObject", "JsonExtractSlice", "JsonExtractUnescape", "UnmarshalJSON":
		return Part{name, "reads JSON text", 5}, true
	case "XMLGetAttributeValue", "XMLGetNodeValue":
		return Part{name, "reads XML text", 20}, true
	case "LevenshteinDistance", "Distance", "JaroWinkler", "LibInjectionIsSQLI", "LibInjectionIsXSS", "AverageInterval", "MedianInterval":
		return Part{name, "computes over the whole text or list", 10}, true
	case "GetDecisionsCount", "GetDecisionsSinceCount", "GetActiveDecisionsCount", "GetActiveDecisionsTimeLeft":
		return Part{name, "looks decisions up", 3}, true
	case "LookupHost", "CrowdsecCTI", "HTTPGet", "HTTPHead", "HTTPPost", "HTTPRequest", "MatchKnownBot":
		return Part{name, "waits for another machine", 1000}, true
	}
	return Part{}, false
}

// dear lists the parts of an expression that cost more than a comparison.
func dear(source string) []Part {
	var list []Part
	seen := map[string]bool{}
	for _, name := range calls(source) {
		if p, ok := priceOf(name); ok && !seen[name] {
			seen[name] = true
			list = append(list, p)
		}
	}
	for _, m := range matched.FindAllStringSubmatch(source, -1) {
		pattern, ok := unquote(m[1])
		if !ok {
			continue
		}
		switch lit, ok := literal(pattern); {
		case !ok:
		case lit == "":
			list = append(list, Part{"matches " + shorten(m[1]), "no fixed text must occur, so that nothing rules it out beforehand", 10})
		default:
			list = append(list, Part{"matches " + shorten(m[1]), fmt.Sprintf("a regexp; %q must occur", lit), 2})
		}
	}
	slices.SortStableFunc(list, func(a, b Part) int { return cmp.Compare(b.Weight, a.Weight) })
	return list
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}

// minLiteral is how long a text must be to rule much out.
const minLiteral = 3

// literal returns the longest text that must occur where the regexp matches, ""
// where none of some length does; false for what is no regexp.
func literal(pattern string) (string, bool) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return "", false
	}
	lit := longest(re.Simplify())
	if len(lit) < minLiteral {
		lit = ""
	}
	return lit, true
}

// longest is the longest text that every match of re has.
func longest(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCapture, syntax.OpPlus:
		return longest(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return longest(re.Sub[0])
		}
	case syntax.OpConcat:
		best := ""
		for _, sub := range re.Sub {
			if lit := longest(sub); len(lit) > len(best) {
				best = lit
			}
		}
		return best
	}
	return "" // of alternatives, none must occur
}
