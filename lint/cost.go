package lint

import (
	"fmt"
	"regexp/syntax"

	"github.com/rampart-edge/rampart/expression"
)

// Cost is an estimate of what a filter costs for each event that it is run on.
type Cost struct {
	Path string `json:"path"`
	Line int    `json:"line,omitempty"`
	Item string `json:"item"`
	// Indexed: the engine leaves the filter out for events that cannot pass it,
	// since it asks for fixed values of the fields named in By.
	Indexed bool     `json:"indexed"`
	By      []string `json:"by,omitempty"`
	// Dear are the parts that cost more than a comparison, dearest first.
	Dear []Part `json:"dear,omitempty"`
}

// Part is a part of an expression that costs something.
type Part struct {
	What   string `json:"what"`
	Why    string `json:"why"`
	Weight int    `json:"weight"` // 1: as a loop over a list; 10: as a regexp over long text; 1000: waits for others
}

// weight orders costs: what runs on every event counts tenfold.
func (c *Cost) weight() int {
	sum := 0
	for _, p := range c.Dear {
		sum += p.Weight
	}
	if !c.Indexed {
		sum = sum*10 + 1
	}
	return sum
}

// cost notes a filter that costs more than comparing fields that the index knows.
func (k *checker) cost(at Finding, p *expression.Program, path string) {
	if !k.wanted(path) {
		return
	}
	c := Cost{Path: at.Path, Line: at.Line, Item: at.Item, Dear: dear(p.Source())}
	for _, r := range p.Requires() {
		c.By = append(c.By, r.Field)
	}
	c.Indexed = len(c.By) > 0
	if !c.Indexed || len(c.Dear) > 0 {
		k.report.Costs = append(k.report.Costs, c)
	}
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
	case "LookupHost", "ReverseLookup", "CrowdsecCTI", "HttpGet":
		return Part{name, "waits for the network", 1000}, true
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
