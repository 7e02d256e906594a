package lint

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the item, or a document of it, does not load
	Warning Severity = "warning" // it loads, and some of it cannot work
)

// Rules that findings are about.
const (
	RuleLoad        = "load"        // schema and compile errors
	RuleUnreachable = "unreachable" // what stands before it takes every event
	RuleNever       = "never"       // a filter that no event passes
	RuleUnwritten   = "unwritten"   // a filter asks for a value that no parser writes
)

// Finding is one thing that is wrong.
type Finding struct {
	Path     string   `json:"path"`
	Line     int      `json:"line,omitempty"` // 0 where none is known
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"`
	Item     string   `json:"item,omitempty"` // name of the node, scenario or profile
	Text     string   `json:"text"`
	Advice   string   `json:"advice,omitempty"`
}

// String is the finding as compilers write theirs.
func (f Finding) String() string {
	at := f.Path
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d", f.Path, f.Line)
	}
	text := fmt.Sprintf("%s: %s: %s", at, f.Severity, f.Text)
	if f.Advice != "" {
		text += "; " + f.Advice
	}
	return text
}

// Report is what Check found.
type Report struct {
	Findings []Finding `json:"findings"` // by path and line
	Costs    []Cost    `json:"costs"`    // dearest first
}

// Errors counts the findings that are errors.
func (r *Report) Errors() int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == Error {
			n++
		}
	}
	return n
}

func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	slices.SortStableFunc(r.Costs, func(a, b Cost) int {
		return cmp.Or(cmp.Compare(b.weight(), a.weight()), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
}
