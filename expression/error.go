package expression

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
)

// Error is an expression that does not compile. Its text is one line: where, what
// is wrong, the text around that place, what to do.
type Error struct {
	Source       string
	Line, Column int // from 1, in characters
	Reason       string
	Advice       string
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s in %s", position(e.Source, e.Line, e.Column), e.Reason,
		excerpt(e.Source, offset(e.Source, e.Line, e.Column-1)))
	if e.Advice != "" {
		s += ": " + e.Advice
	}
	return s
}

func newError(src string, line, column int, reason, advice string) *Error {
	return &Error{Source: src, Line: line, Column: column, Reason: reason, Advice: advice}
}

// explain makes an Error of what the library says about src.
func (e *Env) explain(src string, on On, err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	line, column, reason := 1, 1, oneLine(err.Error())
	var fe *file.Error
	if errors.As(err, &fe) {
		line, column, reason = max(fe.Line, 1), fe.Column+1, oneLine(fe.Message)
	}
	return newError(src, line, column, reason, e.advice(on, reason))
}

// position names a place; the line only where there are several.
func position(src string, line, column int) string {
	if strings.Contains(strings.TrimRight(src, "\n"), "\n") {
		return fmt.Sprintf("line %d column %d", line, column)
	}
	return fmt.Sprintf("column %d", column)
}

// offset returns the byte offset of a place, column counted from 0 in characters.
func offset(src string, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(src[at:], '\n')
		if i < 0 {
			break
		}
		at += i + 1
	}
	for ; column > 0 && at < len(src); column-- {
		_, n := utf8.DecodeRuneInString(src[at:])
		at += n
	}
	return at
}

// excerpt returns a quotable piece of src around the byte at.
func excerpt(src string, at int) string {
	const before, after = 30, 50
	from, to := max(at-before, 0), min(at+after, len(src))
	for from > 0 && !utf8.RuneStart(src[from]) {
		from--
	}
	for to < len(src) && !utf8.RuneStart(src[to]) {
		to++
	}
	piece := strings.Join(strings.Fields(src[from:to]), " ")
	if from > 0 {
		piece = "…" + piece
	}
	if to < len(src) {
		piece += "…"
	}
	return "`" + piece + "`"
}

// oneLine returns the first line of s, without the space around it, and of that
// no more than people read.
func oneLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	s = strings.TrimSpace(s)
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

// typeName says what v is, for people.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "nothing (nil)"
	case string:
		return "text"
	case bool:
		return "true or false"
	case int, int32, int64, float64:
		return "a number"
	}
	return fmt.Sprintf("a value of type %T", v)
}
