package lint

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/parsers"
)

// text is a text of a file with its line.
type text struct {
	value string
	line  int
}

// UnmarshalYAML takes a scalar; anything else is the loader's to complain about.
func (t *text) UnmarshalYAML(n *yaml.Node) error {
	t.line = n.Line
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		t.value = n.Value
	}
	return nil
}

// node is a parser node as far as lint looks at it.
type node struct {
	Name      text     `yaml:"name"`
	Filter    text     `yaml:"filter"`
	OnSuccess text     `yaml:"onsuccess"`
	Nodes     []*node  `yaml:"nodes"`
	Grok      grok     `yaml:"grok"`
	Statics   []static `yaml:"statics"`

	path, stage string
	line        int
	filter      *expression.Program // nil: none, or none that compiles
	parent      *node
}

type grok struct {
	Name       text     `yaml:"name"`
	Pattern    text     `yaml:"pattern"`
	Expression text     `yaml:"expression"`
	Statics    []static `yaml:"statics"`
}

type static struct {
	Target     text `yaml:"target"`
	Parsed     text `yaml:"parsed"`
	Meta       text `yaml:"meta"`
	Enriched   text `yaml:"enriched"`
	Value      text `yaml:"value"`
	Expression text `yaml:"expression"`
	Method     text `yaml:"method"`
}

func (g *grok) empty() bool { return g.Name.value == "" && g.Pattern.value == "" }

// promotes: when the node succeeds the event is in the next stage.
func (n *node) promotes() bool { return n.OnSuccess.value == "next_stage" }

// title is the node's name, or that of the next one above that has one.
func (n *node) title() string {
	for ; n != nil; n = n.parent {
		if n.Name.value != "" {
			return n.Name.value
		}
	}
	return ""
}

// nodes reads the documents of items in the order in which they run. What does not
// read is left out: the loader has said why.
func (k *checker) nodes(items []parsers.Item) []*node {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b parsers.Item) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(filepath.Base(a.Path), filepath.Base(b.Path)),
			cmp.Compare(a.Path, b.Path))
	})
	var list []*node
	for _, it := range items {
		dec := yaml.NewDecoder(bytes.NewReader(it.Data))
		for {
			var doc yaml.Node
			err := dec.Decode(&doc)
			if errors.Is(err, io.EOF) {
				break
			}
			n := &node{}
			if err != nil || doc.Decode(n) != nil {
				break
			}
			if len(doc.Content) > 0 {
				n.line = doc.Content[0].Line
			}
			k.adopt(n, nil, it)
			list = append(list, n)
		}
	}
	k.parsed = append(k.parsed, list...)
	return list
}

// adopt completes a node that was read, and those below it.
func (k *checker) adopt(n, parent *node, it parsers.Item) {
	n.path, n.stage, n.parent = it.Path, it.Stage, parent
	n.line = cmp.Or(n.Filter.line, n.Name.line, n.Grok.Pattern.line, n.Grok.Name.line, n.line, lineOf(n.Statics))
	n.filter = k.compile(n.Filter.value)
	n.Nodes = slices.DeleteFunc(n.Nodes, func(c *node) bool { return c == nil })
	for _, c := range n.Nodes {
		k.adopt(c, n, it)
	}
}

func lineOf(list []static) int {
	if len(list) == 0 {
		return 0
	}
	s := &list[0]
	return cmp.Or(s.Meta.line, s.Parsed.line, s.Target.line, s.Enriched.line, s.Method.line)
}

// compile returns nil for no expression, and for one that the loader refuses.
func (k *checker) compile(source string) *expression.Program {
	if strings.TrimSpace(source) == "" {
		return nil
	}
	p, err := k.options.Env.Compile(source, expression.OnEvent, expression.Any)
	if err != nil {
		return nil
	}
	return p
}
