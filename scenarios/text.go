package scenarios

import (
	"regexp"

	"github.com/rampart-edge/rampart/expression"
)

// text is an expression whose value is wanted as a text. Most are a single field
// of the event, which is read without running anything.
type text struct {
	program *expression.Program
	field   *field
}

var oneField = regexp.MustCompile(`^\s*evt\.((?:Meta|Parsed|Enriched)\.[A-Za-z_][A-Za-z0-9_]*)\s*$`)

func newText(p *expression.Program) *text {
	if p == nil {
		return nil
	}
	t := &text{program: p}
	if m := oneField.FindStringSubmatch(p.Source()); m != nil {
		f := fieldOf(m[1])
		t.field = &f
	}
	return t
}

// value returns the text; ok is false for a value that is none.
func (t *text) value(v *expression.Vars) (s string, ok bool, err error) {
	if t.field != nil {
		return t.field.of(v.Evt), true, nil
	}
	s, ok, _, err = t.program.Text(v)
	return s, ok, err
}
