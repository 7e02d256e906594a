package hub

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rampart-edge/rampart/expression"
)

// Failure is an assertion that does not hold.
type Failure struct {
	File string `json:"file"` // parser.assert, scenario.assert; "" where no assertion is to blame
	Line int    `json:"line,omitempty"`
	Text string `json:"text,omitempty"` // the assertion
	// Actual is what the left side gave.
	Actual string `json:"actual,omitempty"`
	// Err is why it could not be evaluated, or what is wrong with the test.
	Err string `json:"error,omitempty"`
}

// String returns one line for people.
func (f Failure) String() string {
	var b strings.Builder
	switch {
	case f.Line > 0:
		fmt.Fprintf(&b, "%s:%d: %s", f.File, f.Line, f.Text)
	case f.File != "":
		b.WriteString(f.File) // as a whole
	}
	if f.Err != "" {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(f.Err)
	}
	if f.Actual != "" {
		fmt.Fprintf(&b, ": it is %s", f.Actual)
	}
	return b.String()
}

// assertion is one line of an assert file. Those of the common shapes, which are
// nearly all, are compared without compiling them.
type assertion struct {
	text string    // with basename put in where it belongs
	left *dataPath // nil: the interpreter evaluates it
	want any       // what left must equal; of in the text that left's list must hold
	in   bool
}

// parseAssertion reads a line. CrowdSec compatible: what is compared with a
// datasource_path is its last element, since logs lie elsewhere on every machine.
func parseAssertion(text string) assertion {
	a := assertion{text: text}
	shim := strings.Contains(text, "datasource_path") && !strings.Contains(text, "basename(")
	if shim {
		if left, right, ok := strings.Cut(text, "=="); ok {
			a.text = "basename(" + strings.TrimSpace(left) + ") == " + strings.TrimSpace(right)
		}
	}
	if !utf8.ValidString(text) {
		return a
	}
	trimmed := strings.TrimSpace(a.text)
	if strings.HasPrefix(trimmed, `"`) {
		want, rest, ok := parseText(trimmed)
		if rest, in := strings.CutPrefix(rest, " in "); ok && in {
			if p, rest, ok := parsePath(strings.TrimSpace(rest)); ok && rest == "" {
				a.left, a.want, a.in = p, want, true
			}
		}
		return a
	}
	p, rest, ok := parsePath(trimmed)
	if !ok {
		return a
	}
	right, ok := strings.CutPrefix(strings.TrimLeft(rest, " "), "==")
	if !ok {
		return a
	}
	if want, ok := parseLiteral(strings.TrimSpace(right)); ok {
		a.left, a.want = p, want
	}
	return a
}

// parseLiteral reads a text, a number, true or false, and nothing else.
func parseLiteral(text string) (any, bool) {
	switch {
	case text == "true" || text == "false":
		return text == "true", true
	case strings.HasPrefix(text, `"`):
		s, rest, ok := parseText(text)
		return s, ok && rest == ""
	}
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || !digit(digits[0]) || len(digits) > 1 && digits[0] == '0' && digits[1] != '.' {
		return nil, false
	}
	for i := range len(digits) {
		if !digit(digits[i]) && digits[i] != '.' {
			return nil, false
		}
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && strings.Contains(text, ".") && !strings.HasSuffix(text, ".")
}

// direct evaluates an assertion of a common shape. Known is false for any other,
// and where the path leads nowhere.
func (a *assertion) direct(results any) (holds, known bool, actual any) {
	if a.left == nil {
		return false, false, nil
	}
	v, ok := a.left.value(results)
	if !ok {
		return false, false, nil
	}
	if a.in {
		list, ok := v.([]string)
		want, _ := a.want.(string)
		return ok && slices.Contains(list, want), ok, v
	}
	holds, known = equal(v, a.want)
	return holds, known, v
}

// equal compares as == of the expression language does. Known is false for values
// of other types than assertions usually meet.
func equal(have, want any) (equal, known bool) {
	switch h := have.(type) {
	case nil:
		return false, true
	case string:
		w, ok := want.(string)
		return ok && h == w, true
	case bool:
		w, ok := want.(bool)
		return ok && h == w, true
	case int:
		return equalNumber(h, float64(h), want), true
	case int32:
		return equalNumber(int(h), float64(h), want), true
	case float64:
		switch w := want.(type) {
		case int:
			return h == float64(w), true
		case float64:
			return h == w, true
		}
		return false, true
	}
	return false, false
}

func equalNumber(n int, f float64, want any) bool {
	switch w := want.(type) {
	case int:
		return n == w
	case float64:
		return f == w
	}
	return false
}

// check evaluates an assertion; nil where it holds.
func (a *assertion) check(results any, env *expression.Env) *Failure {
	holds, known, actual := a.direct(results)
	if !known {
		return a.interpret(results, env)
	}
	if holds {
		return nil
	}
	return &Failure{Text: a.text, Actual: show(actual)}
}

// interpret evaluates an assertion as an expression.
func (a *assertion) interpret(results any, env *expression.Env) *Failure {
	vars := &expression.Vars{Results: results}
	program, err := env.Compile(a.text, expression.OnResults, expression.Bool)
	if err != nil {
		return &Failure{Text: a.text, Err: err.Error()}
	}
	holds, err := program.Bool(vars)
	if err != nil {
		return &Failure{Text: a.text, Err: err.Error()}
	}
	if holds {
		return nil
	}
	f := &Failure{Text: a.text}
	if left, _, ok := strings.Cut(a.text, " == "); ok {
		if program, err := env.Compile(left, expression.OnResults, expression.Any); err == nil {
			if v, err := program.Any(vars); err == nil {
				f.Actual = show(v)
			}
		}
	}
	if f.Actual == "" {
		f.Actual = "false"
	}
	return f
}

// maxShown bounds the text of a value, in bytes.
const maxShown = 400

// show is a value for people.
func show(v any) string {
	text := ""
	switch v := v.(type) {
	case string:
		text = strconv.Quote(v)
	case nil:
		text = "nil"
	default:
		text = fmt.Sprintf("%v", v)
	}
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return text
}
