package parsers

import (
	"cmp"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/pattern"
)

// node compiles spec and its children.
func (l *loader) node(spec *nodeSpec, parent *node, stage string) (*node, error) {
	n := &node{name: spec.Name, stage: stage, debug: spec.Debug || parent != nil && parent.debug}
	if n.name == "" && parent != nil {
		n.name = "child-" + parent.name
	}
	switch spec.OnSuccess.text {
	case "", "continue":
	case "next_stage":
		n.promotes = true
	default:
		return nil, atf(spec.OnSuccess, "onsuccess is %q: use next_stage, continue, or leave it out", spec.OnSuccess.text)
	}
	hasGrok := spec.Grok.Name.text != "" || spec.Grok.Pattern.text != "" || spec.Grok.Expression.text != ""
	if !hasGrok && len(spec.Nodes) == 0 && len(spec.Statics) == 0 && spec.Whitelist.empty() {
		return nil, atf(spec.Filter, "node %s does nothing: give it a grok, nodes, statics or a whitelist", n.name)
	}
	var err error
	if spec.Filter.text != "" {
		if n.filter, err = l.compile(spec.Filter, expression.Bool, "filter"); err != nil {
			return nil, err
		}
		n.rest = n.filter
		if !l.plain {
			n.gates, n.rest = gatesOf(n.filter), n.filter.Rest()
		}
	}
	if err := l.patterns(spec.PatternSyntax); err != nil {
		return nil, err
	}
	if n.whitelist, err = l.whitelist(&spec.Whitelist); err != nil {
		return nil, err
	}
	if hasGrok || len(spec.Grok.Statics) > 0 {
		if err := l.grok(n, &spec.Grok); err != nil {
			return nil, err
		}
	}
	if err := l.stashes(n, spec.Stash); err != nil {
		return nil, err
	}
	for i := range spec.Nodes {
		child, err := l.node(&spec.Nodes[i], n, stage)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, child)
	}
	if !l.plain {
		n.scan = newScan(n.children)
	}
	if n.statics, err = l.statics(spec.Statics, false); err != nil {
		return nil, err
	}
	l.data(spec.Data)
	return n, nil
}

func (l *loader) compile(src scalar, kind expression.Kind, what string) (*expression.Program, error) {
	p, err := l.env.Compile(src.text, expression.OnEvent, kind)
	if err != nil {
		return nil, at(src, fmt.Errorf("compiling %s: %w", what, err))
	}
	return p, nil
}

// patterns adds names to the file's table and to the global one, for later files.
//
// CrowdSec compatible: the library's names stay what they are, and of two definitions
// the first stays. Unlike there, a file's own definition counts for the file.
func (l *loader) patterns(list namedPatterns) error {
	for _, p := range list {
		warn := func(text string) {
			l.options.Logger.Warn(text, zap.String("item", l.path), zap.Int("line", p.body.line), zap.String("pattern", p.name))
		}
		if _, dup := l.library[p.name]; dup {
			warn("pattern name is one of the library, whose definition stays")
			continue
		}
		if _, dup := l.names[p.name]; dup {
			warn("pattern name defined twice in one file, the first definition stays")
			continue
		}
		l.names[p.name] = p.body.text
		if have, dup := l.global[p.name]; !dup {
			l.global[p.name] = p.body.text
		} else if have != p.body.text {
			warn("pattern name is known already, this file alone uses its own definition")
		}
	}
	for _, p := range list {
		if _, err := compileGrok(p.body.text, scoped{l.names, l.global}, pattern.CompilePlain); err != nil {
			return at(p.body, fmt.Errorf("pattern_syntax %s: %w", p.name, err))
		}
	}
	return nil
}

func (l *loader) grok(n *node, spec *grokSpec) error {
	first := spec.Name
	if first.text == "" {
		first = spec.Pattern
	}
	if first.text == "" {
		return atf(spec.Expression, "grok of node %s has neither name nor pattern", n.name)
	}
	if spec.ApplyOn.text == "" && spec.Expression.text == "" {
		return atf(first, "grok of node %s has neither apply_on nor expression", n.name)
	}
	names := scoped{l.names, l.global}
	text := spec.Pattern.text
	if spec.Name.text != "" {
		// CrowdSec compatible: a name wins over a pattern.
		body, ok := names.lookup(spec.Name.text)
		if !ok {
			return atf(spec.Name, "grok of node %s: %w: %s", n.name, errNoPattern, spec.Name.text)
		}
		text = body
	}
	var err error
	if n.grok, err = compileGrok(text, names, l.matcher); err != nil {
		return at(first, fmt.Errorf("node %s: %w", n.name, err))
	}
	n.applyOn = spec.ApplyOn.text
	if n.applyOn == "" {
		if n.grokInput, err = l.compile(spec.Expression, expression.Any, "grok expression"); err != nil {
			return err
		}
	}
	n.grokStatics, err = l.statics(spec.Statics, true)
	return err
}

func (l *loader) stashes(n *node, list []stashSpec) error {
	for i := range list {
		spec := &list[i]
		if spec.Name.text == "" || spec.Key.text == "" || spec.Value.text == "" || spec.TTL.text == "" {
			return atf(cmp.Or(spec.Name, spec.Key, spec.Value, spec.TTL), "a stash needs name, key, value and ttl")
		}
		ttl, err := time.ParseDuration(spec.TTL.text)
		if err != nil || ttl <= 0 {
			return atf(spec.TTL, "stash ttl %q is not a positive duration such as 30s", spec.TTL.text)
		}
		if spec.Size < 0 {
			return atf(spec.Name, "stash size is negative")
		}
		s := stash{name: spec.Name.text}
		if s.key, err = l.compile(spec.Key, expression.String, "stash key"); err != nil {
			return err
		}
		if s.value, err = l.compile(spec.Value, expression.String, "stash value"); err != nil {
			return err
		}
		s.env = l.env
		l.env.Stash(s.name, spec.Size, ttl, spec.Strategy)
		n.stashes = append(n.stashes, s)
	}
	return nil
}

// data announces data files. A file that is missing is reported once, here;
// expressions then find it empty.
func (l *loader) data(list []expression.DataFile) {
	for _, d := range list {
		if err := l.env.AddData(d); err != nil {
			l.options.Logger.Warn("data file not loaded, expressions find it empty",
				zap.String("item", l.path), zap.String("file", d.DestFile), zap.Error(err))
		}
	}
}
