package expression_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// hubExpression is one expression of a Hub item, with where it stands.
type hubExpression struct {
	file, key, source string
	line              int
	on                expression.On
	kind              expression.Kind
}

// hubExpressions walks the YAML files of the Hub.
func hubExpressions(t testing.TB) []hubExpression {
	root := testkit.Shared(t, "hub")
	var out []hubExpression
	for _, dir := range []string{"parsers", "scenarios", "postoverflows", "contexts"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, ".yml") {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(root, path)
			decoder := yaml.NewDecoder(strings.NewReader(string(data)))
			for {
				var doc yaml.Node
				if decoder.Decode(&doc) != nil {
					return nil
				}
				if dir == "contexts" {
					collectContext(name, &doc, &out)
					continue
				}
				collect(name, "", &doc, &out)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func collect(file, key string, n *yaml.Node, out *[]hubExpression) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			if key == "stash" && (name == "key" || name == "value") {
				name = "stashed"
			}
			collect(file, name, n.Content[i+1], out)
		}
	case yaml.ScalarNode:
		e := hubExpression{file: file, key: key, source: n.Value, line: n.Line}
		switch key {
		case "filter", "cancel_on":
			e.kind = expression.Bool
		case "condition":
			e.kind, e.on = expression.Bool, expression.OnQueue
		case "overflow_filter":
			e.kind, e.on = expression.Bool, expression.OnOverflow
		case "groupby", "distinct", "stashed":
			e.kind = expression.String
		case "expression":
		default:
			return
		}
		if strings.TrimSpace(n.Value) != "" {
			*out = append(*out, e)
		}
	default:
		for _, c := range n.Content {
			collect(file, key, c, out)
		}
	}
}

// collectContext takes every text of a list below context.
func collectContext(file string, n *yaml.Node, out *[]hubExpression) {
	for _, c := range n.Content {
		if c.Kind == yaml.ScalarNode && n.Kind == yaml.SequenceNode {
			*out = append(*out, hubExpression{file: file, key: "context", source: c.Value, line: c.Line, on: expression.OnContext})
		}
		collectContext(file, c, out)
	}
}

// TestHubCompiles wants all 3,182 expressions of the Hub to compile but two: the
// hook of crs.yaml, whose variables and functions are the WAF's.
func TestHubCompiles(t *testing.T) {
	all := hubExpressions(t)
	if len(all) < 3182-2 {
		t.Fatalf("found only %d expressions", len(all))
	}
	env := expression.New(expression.Options{})
	indexed, opaque, writing := 0, 0, 0
	for _, x := range all {
		p, err := env.Compile(x.source, x.on, x.kind)
		if err != nil {
			t.Errorf("%s:%d: %s: %v", x.file, x.line, x.key, err)
			continue
		}
		if x.key == "filter" && len(p.Requires()) > 0 {
			indexed++
		}
		if p.Reads().Opaque {
			opaque++
			t.Logf("opaque: %s:%d: %s", x.file, x.line, x.source)
		}
		if p.Reads().Writes {
			writing++
		}
	}
	t.Logf("%d expressions: %d filters with requirements, %d opaque, %d writing", len(all), indexed, opaque, writing)
}
