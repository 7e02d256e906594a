package parsers

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/expression"
)

// nodeSpec is a node as YAML has it: one document of a parser file, or a child
// in its nodes list.
type nodeSpec struct {
	Format        string                `yaml:"format"`
	Debug         bool                  `yaml:"debug"`
	Profiling     bool                  `yaml:"profiling"`
	Name          string                `yaml:"name"`
	Author        string                `yaml:"author"`
	Description   string                `yaml:"description"`
	References    []string              `yaml:"references"`
	Stage         string                `yaml:"stage"` // the folder decides; kept so that the key is known
	OnSuccess     scalar                `yaml:"onsuccess"`
	Filter        scalar                `yaml:"filter"`
	Nodes         []nodeSpec            `yaml:"nodes"`
	PatternSyntax namedPatterns         `yaml:"pattern_syntax"`
	Grok          grokSpec              `yaml:"grok"`
	Statics       []staticSpec          `yaml:"statics"`
	Stash         []stashSpec           `yaml:"stash"`
	Whitelist     whitelistSpec         `yaml:"whitelist"`
	Data          []expression.DataFile `yaml:"data"`
}

type grokSpec struct {
	ApplyOn    scalar       `yaml:"apply_on"`
	Name       scalar       `yaml:"name"`
	Pattern    scalar       `yaml:"pattern"`
	Expression scalar       `yaml:"expression"`
	Statics    []staticSpec `yaml:"statics"`
}

type staticSpec struct {
	Target     scalar `yaml:"target"`
	Parsed     scalar `yaml:"parsed"`
	Meta       scalar `yaml:"meta"`
	Enriched   scalar `yaml:"enriched"`
	Value      scalar `yaml:"value"`
	Expression scalar `yaml:"expression"`
	Method     scalar `yaml:"method"`
}

type stashSpec struct {
	Name     scalar `yaml:"name"`
	Key      scalar `yaml:"key"`
	Value    scalar `yaml:"value"`
	TTL      scalar `yaml:"ttl"`
	Size     int    `yaml:"size"`
	Strategy string `yaml:"strategy"`
}

type whitelistSpec struct {
	Reason     string   `yaml:"reason"`
	IP         []scalar `yaml:"ip"`
	CIDR       []scalar `yaml:"cidr"`
	Expression []scalar `yaml:"expression"`
}

func (w *whitelistSpec) empty() bool {
	return len(w.IP) == 0 && len(w.CIDR) == 0 && len(w.Expression) == 0
}

// scalar is a text of the file that remembers its line.
type scalar struct {
	text string
	line int
}

// UnmarshalYAML takes any scalar as text.
func (s *scalar) UnmarshalYAML(n *yaml.Node) error {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: a text is needed here, not a list or a map", n.Line)}}
	}
	s.text, s.line = n.Value, n.Line
	return nil
}

// namedPatterns keeps the order of the file, in which names may build on each
// other.
type namedPatterns []namedPattern

type namedPattern struct {
	name string
	body scalar
}

// UnmarshalYAML reads a map of names to patterns.
func (p *namedPatterns) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: pattern_syntax is a map of names to patterns", n.Line)}}
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		if first, twice := lines[name.Value]; twice {
			return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: mapping key %q already defined at line %d", name.Line, name.Value, first)}}
		}
		lines[name.Value] = name.Line
		var body scalar
		if err := body.UnmarshalYAML(n.Content[i+1]); err != nil {
			return err
		}
		*p = append(*p, namedPattern{name: name.Value, body: body})
	}
	return nil
}
