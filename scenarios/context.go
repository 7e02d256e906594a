package scenarios

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

const (
	maxContextKey = 255
	// contextLength is how long the text of one key is in an alert at most.
	contextLength = 4000
	// maxContextValues bounds the values of one key before they are shortened.
	maxContextValues = 1024
)

// ContextItem is one file with contexts: a map from keys to lists of expressions,
// alone or under the key "context" as in the Hub.
type ContextItem struct {
	Path string
	Data []byte
}

// Contexts are what alerts say beyond their events: for each key the values that
// its expressions give for the events in the bucket. They are immutable and safe to
// share.
//
// A sample keeps the Meta of its event. Other texts that an expression reads, such
// as Parsed.dest_port, are put into the sample beside it; an expression that reads
// something else is run when the event is poured, and its values are put there.
// match is nil and req empty: buckets know of lines and requests what events say.
type Contexts struct {
	keys  []contextKey // sorted
	paths []string     // texts beyond Meta that samples keep, sorted
	early []*expression.Program
	limit int
	id    uint32 // samples that were made with other contexts do not mix
}

type contextKey struct {
	name        string
	expressions []contextExpression
}

type contextExpression struct {
	program *expression.Program
	early   int // its number among those that run when the event is poured; -1: none
	// Most are a single field, which is read from the sample: of its Meta, or of the
	// texts beside it.
	meta string // its key; "": none
	kept int    // the number of the text; -1: none
}

// LoadContexts merges the items by key; the same text counts once. Good
// expressions are returned even when the error is not nil; the error joins one
// *ItemError for each fault, and each fault costs one expression. CrowdSec
// compatible: §alert contexts of its documentation.
func LoadContexts(items []ContextItem, env *expression.Env) (*Contexts, error) {
	l := contextLoader{env: env, programs: map[string]map[string]*expression.Program{}}
	for _, item := range items {
		l.item = item.Path
		l.load(item.Data)
	}
	return l.contexts(), errors.Join(l.errs...)
}

// Limit returns the same contexts with a bound of n bytes for the text of a key;
// 0 and what is more than 4000 mean 4000.
func (c *Contexts) Limit(n int) *Contexts {
	out := *c
	if out.limit = n; n <= 0 || n > contextLength {
		out.limit = contextLength
	}
	return &out
}

// Remote reports whether an expression asks another machine, which may take seconds:
// some are run when an event is poured, the others when a bucket overflows.
func (c *Contexts) Remote() bool {
	for _, k := range c.keys {
		for _, x := range k.expressions {
			if x.program.Reads().Remote {
				return true
			}
		}
	}
	return false
}

// runs reports whether samples are made by running expressions.
func (c *Contexts) runs() bool { return c != nil && len(c.early) > 0 }

// Keys returns the keys, sorted.
func (c *Contexts) Keys() []string {
	var out []string
	for i := range c.keys {
		out = append(out, c.keys[i].name)
	}
	return out
}

type contextLoader struct {
	env      *expression.Env
	item     string
	programs map[string]map[string]*expression.Program // by key and text
	order    []string                                  // key, NUL, text: as they came
	errs     []error
}

func (l *contextLoader) fail(line int, format string, args ...any) {
	l.errs = append(l.errs, &ItemError{Path: l.item, Line: line, Err: fmt.Errorf(format, args...)})
}

func (l *contextLoader) load(data []byte) {
	if len(data) > maxItem {
		l.fail(0, "file has %d bytes; a context file may have %d", len(data), maxItem)
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			line, err := syntaxError(err)
			l.fail(line, "%w", err)
			return
		}
		if !empty(&doc) {
			l.document(doc.Content[0])
		}
	}
}

func (l *contextLoader) document(node *yaml.Node) {
	if node.Kind != yaml.MappingNode {
		l.fail(node.Line, "a context file is a map from keys to lists of expressions")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if value.Kind == yaml.AliasNode && value.Alias.Kind == yaml.SequenceNode {
			value = value.Alias
		}
		switch {
		case key.Value == "context" && value.Kind == yaml.MappingNode:
			l.document(value)
		case seen[key.Value]:
			l.fail(key.Line, "key %q is there twice: merge its lists", key.Value)
		case key.Value == "" || len(key.Value) > maxContextKey:
			l.fail(key.Line, "a key has 1 to %d bytes, this one has %d", maxContextKey, len(key.Value))
		case value.Kind != yaml.SequenceNode:
			l.fail(value.Line, "key %q needs a list of expressions", key.Value)
		default:
			l.key(key.Value, value.Content)
		}
		seen[key.Value] = true
	}
}

func (l *contextLoader) key(name string, list []*yaml.Node) {
	for _, n := range list {
		if n.Kind != yaml.ScalarNode || strings.TrimSpace(n.Value) == "" {
			l.fail(n.Line, "key %q: an expression is needed", name)
			continue
		}
		if l.programs[name][n.Value] != nil {
			continue
		}
		p, err := l.env.Compile(n.Value, expression.OnContext, expression.Any)
		if err != nil {
			l.fail(n.Line, "compiling context %s: %w", name, err)
			continue
		}
		if l.programs[name] == nil {
			l.programs[name] = map[string]*expression.Program{}
		}
		l.programs[name][n.Value] = p
		l.order = append(l.order, name+"\x00"+n.Value)
	}
}

func (l *contextLoader) contexts() *Contexts {
	c := &Contexts{limit: contextLength}
	kept := map[string]bool{}
	byKey := map[string][]contextExpression{}
	h := fnv.New32a()
	for _, k := range l.order {
		name, text, _ := strings.Cut(k, "\x00")
		x := contextExpression{program: l.programs[name][text], early: -1}
		paths, ok := textPaths(x.program.Reads())
		if ok {
			for _, p := range paths {
				kept[p] = true
			}
		} else {
			x.early = len(c.early)
			c.early = append(c.early, x.program)
		}
		byKey[name] = append(byKey[name], x)
		h.Write([]byte(k + "\x00"))
	}
	c.id = h.Sum32()
	c.paths = slices.Sorted(maps.Keys(kept))
	for _, list := range byKey {
		for i := range list {
			list[i].find(c.paths)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byKey)) {
		c.keys = append(c.keys, contextKey{name, byKey[name]})
	}
	return c
}

// find notes whether x is a single field.
func (x *contextExpression) find(paths []string) {
	x.kept = -1
	m := oneField.FindStringSubmatch(x.program.Source())
	if m == nil || x.early >= 0 || x.program.Plain() {
		return
	}
	if key, ok := strings.CutPrefix(m[1], "Meta."); ok {
		x.meta = key
		return
	}
	x.kept = slices.Index(paths, m[1])
}

// textPaths returns the texts beyond Meta that a program reads; false where it
// reads what no sample can hold. A sample has Meta and the times anyway.
func textPaths(reads expression.Reads) (paths []string, ok bool) {
	for _, p := range reads.Paths {
		switch {
		case strings.HasPrefix(p, "Meta."), p == "Time", p == "MarshaledTime":
		case isText(p):
			paths = append(paths, p)
		default:
			return nil, false
		}
	}
	return paths, !reads.Opaque && !reads.Writes
}

// meta is what c says about the samples: an alert's own meta. Keys without a value
// are left out.
func (c *Contexts) meta(samples []Sample) event.Meta {
	if c == nil || len(c.keys) == 0 {
		return nil
	}
	var out event.Meta
	var values []string
	events := rebuilt{contexts: c, samples: samples}
	for k := range c.keys {
		values = values[:0]
		key := &c.keys[k]
		for i := range samples {
			for x := range key.expressions {
				values = events.add(values, i, &key.expressions[x])
			}
		}
		if len(values) > 0 {
			out = append(out, event.MetaItem{Key: key.name, Value: shortened(values, c.limit)})
		}
	}
	return out
}

// rebuilt are samples and, where expressions have to run on them, the events that
// they were.
type rebuilt struct {
	contexts *Contexts
	samples  []Sample
	events   []expression.Vars // made when the first is needed
}

// add appends what an expression says about sample i.
func (r *rebuilt) add(values []string, i int, x *contextExpression) []string {
	s := &r.samples[i]
	switch {
	case x.meta != "":
		return merged(values, s.Meta.Get(x.meta))
	case x.kept >= 0:
		return merged(values, s.kept(r.contexts, x.kept))
	case x.early >= 0:
		return merged(values, s.early(r.contexts, x.early)...)
	}
	if r.events == nil {
		r.events = make([]expression.Vars, len(r.samples))
		for i := range r.samples {
			r.events[i] = expression.Vars{Evt: r.samples[i].event(), Req: &http.Request{}}
			r.samples[i].recall(r.contexts, r.events[i].Evt)
		}
	}
	return merged(values, valuesOf(x.program, &r.events[i])...)
}

// merged appends what is new and says something.
func merged(values []string, more ...string) []string {
	for _, v := range more {
		if v != "" && len(values) < maxContextValues && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}
