package parsers

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// ItemError is what is wrong with one item. Line is 0 where none is known.
type ItemError struct {
	Path string
	Line int
	Err  error
}

// Error names file and line.
func (e *ItemError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *ItemError) Unwrap() error { return e.Err }

// atLine is an error that knows the line of the file it is about.
type atLine struct {
	line int
	err  error
}

func (e *atLine) Error() string { return e.err.Error() }
func (e *atLine) Unwrap() error { return e.err }

// at attaches the line of s to err.
func at(s scalar, err error) error { return &atLine{line: s.line, err: err} }

func atf(s scalar, format string, args ...any) error {
	return &atLine{line: s.line, err: fmt.Errorf(format, args...)}
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// itemError names the file of err and its line: the one that err knows, the one
// that the decoder wrote into its text, or else the given one.
func itemError(path string, line int, err error) *ItemError {
	var known *atLine
	if errors.As(err, &known) && known.line > 0 {
		return &ItemError{Path: path, Line: known.line, Err: err}
	}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		if n, aerr := strconv.Atoi(m[1]); aerr == nil {
			line = n
		}
	}
	return &ItemError{Path: path, Line: line, Err: err}
}
