package scenarios

import (
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/expression"
)

// Spec is one scenario document as it is written. Keys are CrowdSec's and the
// list is complete; an unknown key is an error.
type Spec struct {
	Type               string                `yaml:"type"`
	Name               string                `yaml:"name"`
	Description        string                `yaml:"description"`
	Filter             string                `yaml:"filter"`
	GroupBy            string                `yaml:"groupby"`
	Capacity           int                   `yaml:"capacity"`
	LeakSpeed          string                `yaml:"leakspeed"`
	Duration           string                `yaml:"duration"`
	Distinct           string                `yaml:"distinct"`
	OverflowFilter     string                `yaml:"overflow_filter"`
	CancelOn           string                `yaml:"cancel_on"`
	Blackhole          string                `yaml:"blackhole"`
	Reprocess          bool                  `yaml:"reprocess"`
	CacheSize          int                   `yaml:"cache_size"`
	Scope              ScopeSpec             `yaml:"scope"`
	Labels             map[string]any        `yaml:"labels"`
	Data               []expression.DataFile `yaml:"data"`
	References         []string              `yaml:"references"`
	Format             string                `yaml:"format"`
	Version            string                `yaml:"version"` // accepted; the item's version is what counts
	Debug              bool                  `yaml:"debug"`
	Condition          string                `yaml:"condition"`
	BayesianPrior      float32               `yaml:"bayesian_prior"`
	BayesianThreshold  float32               `yaml:"bayesian_threshold"`
	BayesianConditions []BayesianSpec        `yaml:"bayesian_conditions"`
}

// ScopeSpec says what kind of thing the scenario's sources are. CrowdSec
// compatible: "" is "Ip", names are case-sensitive, and all but Ip and Range need
// an expression for the value.
type ScopeSpec struct {
	Type       string `yaml:"type"`
	Expression string `yaml:"expression"`
}

// BayesianSpec is one condition of a bayesian scenario.
type BayesianSpec struct {
	Condition       string  `yaml:"condition"`
	ProbGivenEvil   float32 `yaml:"prob_given_evil"`
	ProbGivenBenign float32 `yaml:"prob_given_benign"`
	Guillotine      bool    `yaml:"guillotine"`
}

// ItemError is what is wrong with one document of an item.
type ItemError struct {
	Path     string
	Document int  // of the file, 1-based; 0 where none is to blame
	Line     int  // 1-based; 0 where no line is to blame
	Warn     bool // the document was loaded nevertheless
	Err      error
}

// Error returns "path:line: what is wrong", with the document where it is not the
// first.
func (e *ItemError) Error() string {
	at := e.Path
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.Path, e.Line)
	}
	if e.Document > 1 {
		at += fmt.Sprintf(": document %d", e.Document)
	}
	return fmt.Sprintf("%s: %v", at, e.Err)
}

// Unwrap returns the cause.
func (e *ItemError) Unwrap() error { return e.Err }

// lines maps the keys of a document to where they stand, those below others as
// "scope.type" and "bayesian_conditions.0"; "" is the document.
type lines map[string]int

func linesOf(doc *yaml.Node) lines {
	l := lines{"": doc.Line}
	if doc.Kind == yaml.DocumentNode && len(doc.Content) > 0 {
		doc = doc.Content[0]
		l[""] = doc.Line
	}
	l.note("", doc, 2)
	return l
}

// note takes what is below node, so many levels deep.
func (l lines) note(path string, node *yaml.Node, levels int) {
	if levels == 0 {
		return
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := path + node.Content[i].Value
			l[key] = node.Content[i].Line
			l.note(key+".", node.Content[i+1], levels-1)
		}
	case yaml.SequenceNode:
		for i, n := range node.Content {
			l[path+strconv.Itoa(i)] = n.Line
		}
	}
}

// of returns the line of key, of the one above it where it is absent, or of the
// document.
func (l lines) of(key string) int {
	for {
		if n := l[key]; n > 0 {
			return n
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return l[""]
		}
		key = key[:i]
	}
}

// empty reports whether a document says nothing, as after a trailing "---".
func empty(doc *yaml.Node) bool {
	if doc.Kind == 0 || doc.Kind == yaml.DocumentNode && len(doc.Content) == 0 {
		return true
	}
	return doc.Kind == yaml.DocumentNode && doc.Content[0].Tag == "!!null"
}
