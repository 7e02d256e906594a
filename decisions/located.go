package decisions

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// located is a text that knows its line.
type located struct {
	text string
	line int
}

// UnmarshalYAML takes a scalar.
func (l *located) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return &valueError{fmt.Sprintf("line %d: expected a text, found a %s", n.Line, kindName(n.Kind))}
	}
	if n.Tag != "!!null" {
		l.text = n.Value
	}
	l.line = n.Line
	return nil
}

func kindName(k yaml.Kind) string {
	switch k {
	case yaml.MappingNode:
		return "map"
	case yaml.SequenceNode:
		return "list"
	}
	return "reference"
}

// valueError is what is wrong with a value that YAML can read.
type valueError struct{ text string }

func (e *valueError) Error() string { return e.text }

// lineError is a fault at a line of the file.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

func at(line int, format string, args ...any) error {
	return &lineError{line, fmt.Errorf(format, args...)}
}

// place is where in a file a loader is.
type place struct {
	path     string
	document int // from 1
}

// fault is err as "path:line: document 2: what", without a line that is not known,
// and without a document where it is the first.
func (p place) fault(err error) error {
	where := p.path
	var located *lineError
	if errors.As(err, &located) {
		where += ":" + strconv.Itoa(located.line)
		err = located.err
	}
	if p.document > 1 {
		where += fmt.Sprintf(": document %d", p.document)
	}
	return fmt.Errorf("%s: %w", where, err)
}

var (
	yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)
	yamlKey  = regexp.MustCompile(`^field (\S+) not found in type \S+$`)
	yamlType = regexp.MustCompile("^cannot unmarshal !!(\\w+)(?: `.*`)? into (\\[\\])?\\S+$")
)

// yamlFaults are the faults in what the decoder says, each at its line. inValues
// means that all are about values: the document could be read, and the next can.
func yamlFaults(err error) (faults []error, inValues bool) {
	var types *yaml.TypeError
	var value *valueError
	if errors.As(err, &types) {
		for _, text := range types.Errors {
			faults = append(faults, yamlFault(text))
		}
		return faults, true
	}
	return []error{yamlFault(err.Error())}, errors.As(err, &value)
}

// yamlFault says it as people would.
func yamlFault(text string) error {
	line := 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits; too many of them are no line
		text = text[len(m[0]):]
	}
	text = strings.TrimPrefix(text, "yaml: ")
	if m := yamlKey.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("unknown key %q: remove it or correct its spelling", m[1])
	} else if m := yamlType.FindStringSubmatch(text); m != nil {
		found := map[string]string{"seq": "a list", "map": "a map", "str": "a text", "int": "a number", "bool": "true or false"}[m[1]]
		if found == "" {
			found = "this"
		}
		text = found + " does not fit here"
		if m[2] != "" {
			text += ": a list is expected"
		}
	}
	if line == 0 {
		return errors.New(text)
	}
	return at(line, "%s", text)
}
