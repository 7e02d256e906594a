package notify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	maxFile      = 1 << 20 // bytes of a file of receivers
	maxReceivers = 100     // each has a goroutine
	maxName      = 255
)

// Problem is what is wrong with one receiver, or with a file from there on.
type Problem struct {
	Path string
	Line int
	Name string // of the receiver, where it has one
	Err  error
}

// Error names file, line and receiver.
func (p *Problem) Error() string {
	where := p.Path
	if p.Line > 0 {
		where += ":" + strconv.Itoa(p.Line)
	}
	if p.Name != "" {
		return fmt.Sprintf("%s: receiver %q: %v", where, p.Name, p.Err)
	}
	return fmt.Sprintf("%s: %v", where, p.Err)
}

// Unwrap returns Err.
func (p *Problem) Unwrap() error { return p.Err }

// Receivers are those of a directory that work, compiled, and what is wrong with the
// others. They are immutable and have done nothing yet: no file is opened and
// nobody is called before a Notifier uses them.
type Receivers struct {
	byName   map[string]*receiver
	problems []*Problem
}

// Read compiles all receivers in the *.yaml and *.yml files of dir, in the order
// of the files' names, one to a YAML document. ${NAME} in values is replaced by the
// environment's. One bad receiver is a problem of its own and leaves the others
// alone; the error is about dir.
//
// CrowdSec compatible: files, keys and expansion. Unknown keys are problems, as is
// an unset variable in anything but a template.
func Read(dir string) (*Receivers, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading receivers of notifications: %w", err)
	}
	r := newReader(os.LookupEnv)
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		path := filepath.Join(dir, e.Name())
		data, err := readFile(path)
		if err != nil {
			r.problem(&Problem{Path: path, Err: err})
			continue
		}
		r.file(path, data)
	}
	return r.out, nil
}

// Names are those of the receivers that work, sorted.
func (rs *Receivers) Names() []string {
	if rs == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(rs.byName))
}

// Problems are what Read left out, in the order in which it came there.
func (rs *Receivers) Problems() []*Problem {
	if rs == nil {
		return nil
	}
	return rs.problems
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("more than %d bytes", maxFile)
	}
	return data, err
}

// reader collects receivers file by file.
type reader struct {
	lookup func(string) (string, bool)
	places map[string]string // where a name was given first
	out    *Receivers
}

func newReader(lookup func(string) (string, bool)) *reader {
	return &reader{lookup: lookup, places: map[string]string{}, out: &Receivers{byName: map[string]*receiver{}}}
}

func (r *reader) problem(p *Problem) { r.out.problems = append(r.out.problems, p) }

// file reads the documents of one file up to the first that is no YAML.
func (r *reader) file(path string, data []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			r.problem(located(&Problem{Path: path, Err: err}))
			return
		}
		if n := doc.Content[0]; n.Kind != yaml.ScalarNode || n.Tag != "!!null" {
			r.document(path, n)
		}
	}
}

// document compiles one receiver.
func (r *reader) document(path string, n *yaml.Node) {
	p := &Problem{Path: path, Line: n.Line}
	var s spec
	rec, err := r.receiver(n, &s)
	p.Name = s.Name
	if first, taken := r.places[s.Name]; err == nil && taken {
		err = fmt.Errorf("the name is taken by %s: give it another", first)
	}
	if err == nil && len(r.out.byName) == maxReceivers {
		err = fmt.Errorf("there are %d receivers already, more are not taken", maxReceivers)
	}
	if err != nil {
		p.Err = err
		r.problem(located(p))
		return
	}
	r.places[s.Name] = fmt.Sprintf("%s:%d", path, n.Line)
	r.out.byName[s.Name] = rec
}

func (r *reader) receiver(n *yaml.Node, s *spec) (*receiver, error) {
	if n.Kind != yaml.MappingNode {
		return nil, errors.New("expected the keys of a receiver (type, name, …)")
	}
	if err := r.expand(n, ""); err != nil {
		return nil, err
	}
	if err := n.Decode(s); err != nil {
		return nil, err
	}
	own, err := channelOf(s.Type)
	if err != nil {
		return nil, err
	}
	if err := known(n, reflect.TypeOf(*s), reflect.TypeOf(own).Elem()); err != nil {
		return nil, err
	}
	if err := n.Decode(own); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return compile(s, own)
}

// located takes the line from what the YAML library says, which knows it better.
func located(p *Problem) *Problem {
	if m := linePattern.FindStringSubmatch(p.Err.Error()); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
	}
	return p
}

var (
	linePattern     = regexp.MustCompile(`\bline (\d+): `)
	variablePattern = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)
)

// expand replaces variables in all values below n. It works on the tree, so that
// no value of the environment can add a key.
func (r *reader) expand(n *yaml.Node, key string) error {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if err := r.expand(n.Content[i+1], n.Content[i].Value); err != nil {
				return err
			}
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			if err := r.expand(c, key); err != nil {
				return err
			}
		}
	case yaml.ScalarNode:
		return r.expandValue(n, key)
	}
	return nil
}

// expandValue leaves what is not set as it is in templates, where it may be part of the
// text; anywhere else it would be a password of ${NAME}.
func (r *reader) expandValue(n *yaml.Node, key string) error {
	var unset string
	value := variablePattern.ReplaceAllStringFunc(n.Value, func(s string) string {
		v, ok := r.lookup(s[2 : len(s)-1])
		if !ok {
			unset = s[2 : len(s)-1]
			return s
		}
		return v
	})
	if unset != "" && key != "format" && key != "digest" {
		return fmt.Errorf("line %d: %s: the environment has no variable %s", n.Line, key, unset)
	}
	if value == n.Value {
		return nil
	}
	n.Value = value
	if plain := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0; plain {
		n.Tag = "" // so that a number from the environment is one
		if n.ShortTag() == "!!null" {
			n.Tag = "!!str"
		}
	}
	return nil
}

// known finds keys of n that none of the types has, also in maps inside.
func known(n *yaml.Node, types ...reflect.Type) error {
	fields := map[string]reflect.Type{}
	for _, t := range types {
		for i := range t.NumField() {
			if key := t.Field(i).Tag.Get("yaml"); key != "" {
				fields[key] = t.Field(i).Type
			}
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		t, ok := fields[key.Value]
		if !ok {
			return fmt.Errorf("line %d: unknown key %q; expected some of %s", key.Line, key.Value,
				strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		if t.Kind() == reflect.Struct && value.Kind == yaml.MappingNode {
			if err := known(value, t); err != nil {
				return err
			}
		}
	}
	return nil
}
