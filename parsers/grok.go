package parsers

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/pattern"
)

// maxDepth bounds how deep patterns may refer to patterns, maxExpanded the bytes
// of one expanded pattern: a definition that refers to itself ends here.
const (
	maxDepth    = 40
	maxExpanded = 1 << 20
)

// errNoPattern is wrapped in errors about names that nobody defined.
var errNoPattern = errors.New("no such grok pattern")

// patterns finds the definition of a pattern name.
type patterns interface {
	lookup(name string) (string, bool)
}

// grok is a compiled pattern. Immutable; safe for concurrent use.
type grok struct {
	re     *pattern.Pattern
	fields []grokField
}

// compiler makes a matcher of a regexp: pattern.Compile or pattern.CompilePlain.
type compiler func(expr string) (*pattern.Pattern, error)

// grokField is one exported field and the group that holds its text.
type grokField struct {
	name  string
	group int
}

// compileGrok expands the references %{NAME} and %{NAME:field} of a pattern and
// compiles the result. Groups that no field needs capture nothing, which
// changes no match and makes the regexp about twice as fast.
//
// CrowdSec compatible: a field hides the same field of the patterns nested at
// its level; of equal fields at one level the last in the text wins, even when
// it took no part in the match; (?P<x>…) groups are not exported.
func compileGrok(text string, from patterns, compile compiler) (*grok, error) {
	e := &expansion{from: from}
	root, err := e.parse(text, 0)
	if err != nil {
		return nil, err
	}
	winners := root.winners()
	w := &grokWriter{keep: make(map[*grokPart]string, len(winners))}
	for field, part := range winners {
		w.keep[part] = field
	}
	if err := w.write(root); err != nil {
		return nil, err
	}
	re, err := compile(w.out.String())
	if err != nil {
		return nil, fmt.Errorf("compiling grok: %w", err)
	}
	if re.NumGroups() != len(w.fields) {
		return nil, fmt.Errorf("compiling grok: %d groups where %d fields were expected", re.NumGroups(), len(w.fields))
	}
	return &grok{re: re, fields: w.fields}, nil
}

// match looks for the pattern in text and writes every field to ev.Parsed, those
// that took no part as "". It reports whether the grok succeeds. room is memory for
// offsets, kept from one call to the next.
//
// CrowdSec compatible: a pattern without a field fails even where it matches.
func (g *grok) match(text string, ev *event.Event, room *[]int) bool {
	if len(g.fields) == 0 {
		return false
	}
	if need := 2 * (g.re.NumGroups() + 1); cap(*room) < need {
		*room = make([]int, need)
	}
	at := g.re.Find(text, *room)
	if at == nil {
		return false
	}
	for _, f := range g.fields {
		value := ""
		if i := at[2*f.group]; i >= 0 {
			value = text[i:at[2*f.group+1]]
		}
		ev.SetParsed(f.name, value)
	}
	return true
}

// grokPart is a piece of a pattern: literal regexp text, or a reference to a
// pattern whose own parts follow.
type grokPart struct {
	text  string
	ref   bool
	field string
	parts []*grokPart
}

// expansion resolves references, with a bound on depth and size.
type expansion struct {
	from patterns
	size int
}

func (e *expansion) parse(text string, depth int) (*grokPart, error) {
	if depth > maxDepth {
		return nil, errors.New("expanding grok: patterns refer to each other more than 40 levels deep")
	}
	if e.size += len(text); e.size > maxExpanded {
		return nil, errors.New("expanding grok: the expanded pattern is larger than 1 MiB")
	}
	root := &grokPart{}
	for rest := text; rest != ""; {
		start, end, name, field := nextReference(rest)
		if start < 0 {
			root.parts = append(root.parts, &grokPart{text: rest})
			break
		}
		if start > 0 {
			root.parts = append(root.parts, &grokPart{text: rest[:start]})
		}
		body, ok := e.from.lookup(name)
		if !ok {
			return nil, fmt.Errorf("expanding grok: %w: %%{%s}", errNoPattern, name)
		}
		part, err := e.parse(body, depth+1)
		if err != nil {
			return nil, err
		}
		part.ref, part.field = true, field
		root.parts = append(root.parts, part)
		rest = rest[end:]
	}
	return root, nil
}

// winners returns the part whose text each exported field gets.
func (p *grokPart) winners() map[string]*grokPart {
	out := map[string]*grokPart{}
	own := map[string]bool{}
	for _, part := range p.parts {
		if part.field != "" {
			own[part.field] = true
		}
	}
	for _, part := range p.parts {
		if !part.ref {
			continue
		}
		for field, nested := range part.winners() {
			if !own[field] {
				out[field] = nested
			}
		}
		if part.field != "" {
			out[part.field] = part
		}
	}
	return out
}

// nextReference finds the first %{NAME} or %{NAME:field} in s; start is -1 where
// there is none. Anything else in braces is ordinary regexp text.
func nextReference(s string) (start, end int, name, field string) {
	for i := 0; ; {
		j := strings.Index(s[i:], "%{")
		if j < 0 {
			return -1, -1, "", ""
		}
		i += j
		n := wordLength(s[i+2:])
		at := i + 2 + n
		switch {
		case n > 0 && at < len(s) && s[at] == '}':
			return i, at + 1, s[i+2 : at], ""
		case n > 0 && at < len(s) && s[at] == ':':
			m := wordLength(s[at+1:])
			if to := at + 1 + m; m > 0 && to < len(s) && s[to] == '}' {
				return i, to + 1, s[i+2 : at], s[at+1 : to]
			}
		}
		i += 2
	}
}

func wordLength(s string) int {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return i
		}
	}
	return len(s)
}
