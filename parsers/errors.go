package parsers

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ItemError is what is wrong with one document of an item. Line is 0 where none is
// known; Document counts from 1, and 0 means the file as a whole.
type ItemError struct {
	Path     string
	Line     int
	Document int
	Err      error
}

// Error names file and line, and the document where it is not the first.
func (e *ItemError) Error() string {
	where := e.Path
	if e.Line > 0 {
		where += ":" + strconv.Itoa(e.Line)
	}
	if e.Document > 1 {
		where += fmt.Sprintf(" (document %d)", e.Document)
	}
	return fmt.Sprintf("%s: %v", where, e.Err)
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

// itemError names the file of err and its line: the one that err knows, or else
// the given one.
func itemError(path string, document, line int, err error) *ItemError {
	var known *atLine
	if errors.As(err, &known) && known.line > 0 {
		line = known.line
	}
	return &ItemError{Path: path, Line: line, Document: document, Err: err}
}

var (
	yamlLine  = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)
	yamlKey   = regexp.MustCompile(`^field (\S+) not found in type \S+$`)
	yamlType  = regexp.MustCompile("^cannot unmarshal !!(\\w+)(?: `(.*)`)? into \\S+$")
	yamlTwice = regexp.MustCompile(`^mapping key "(.*)" already defined at line (\d+)$`)
)

// yamlFault takes the line out of what the decoder says, which is the given one
// where it says none, and says it as people would.
func yamlFault(text string, line int) (int, error) {
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		text = text[len(m[0]):]
	}
	if m := yamlKey.FindStringSubmatch(text); m != nil {
		return line, fmt.Errorf("unknown key %q: remove it or correct its spelling", m[1])
	}
	if m := yamlType.FindStringSubmatch(text); m != nil {
		what := map[string]string{"seq": "a list", "map": "a map", "str": "a text"}[m[1]]
		return line, fmt.Errorf("%s does not fit here%s", cmp.Or(what, "this"), strings.TrimSuffix(": "+m[2], ": "))
	}
	if m := yamlTwice.FindStringSubmatch(text); m != nil {
		return line, fmt.Errorf("key %q is here twice, first in line %s: remove one", m[1], m[2])
	}
	return line, fmt.Errorf("reading YAML: %s", strings.TrimPrefix(text, "yaml: "))
}
