package pattern_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// reference is %{NAME} or %{NAME:field} in a grok pattern.
var reference = regexp.MustCompile(`%\{(\w+)(?::(\w+))?\}`)

// groks expands grok patterns to expressions, much simpler than the product does.
type groks struct{ own, global map[string]string }

// expand writes fields as named groups with the prefix field_; bare keeps the
// groups of the patterns' authors out, as the product does.
func (g groks) expand(body string, depth int, fields *int) (string, error) {
	if depth > 30 {
		return "", fmt.Errorf("patterns nest too deeply")
	}
	var err error
	out := reference.ReplaceAllStringFunc(body, func(s string) string {
		m := reference.FindStringSubmatch(s)
		def, ok := g.own[m[1]]
		if !ok {
			def, ok = g.global[m[1]]
		}
		if !ok {
			err = fmt.Errorf("nobody defines %s", m[1])
			return s
		}
		inner, e := g.expand(def, depth+1, fields)
		if e != nil {
			err = e
		}
		if m[2] == "" {
			return "(?:" + inner + ")"
		}
		*fields++
		return fmt.Sprintf("(?P<field_%d>%s)", *fields, inner)
	})
	return out, err
}

// bare removes the groups that hold no field.
func bare(expr string) (string, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return "", err
	}
	var strip func(re *syntax.Regexp) *syntax.Regexp
	strip = func(re *syntax.Regexp) *syntax.Regexp {
		for i, sub := range re.Sub {
			re.Sub[i] = strip(sub)
		}
		if re.Op == syntax.OpCapture && !strings.HasPrefix(re.Name, "field_") {
			return re.Sub[0]
		}
		return re
	}
	return strip(tree).String(), nil
}

// library reads the definitions of the product's grok library.
func library(t testing.TB) map[string]string {
	t.Helper()
	global := map[string]string{}
	files, err := filepath.Glob(filepath.Join("..", "parsers", "patterns", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no grok library: %v", err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
			name, body, ok := strings.Cut(s.Text(), " ")
			if ok && !strings.HasPrefix(name, "#") {
				global[name] = strings.TrimLeft(body, " ")
			}
		}
	}
	return global
}

// grok is one of the Hub's, expanded.
type grok struct{ where, expr string }

// hubGroks returns every grok of the Hub's parsers; for each the whole expression
// and the one that only captures fields.
func hubGroks(t testing.TB) (list []grok) {
	t.Helper()
	global := library(t)
	var files []string
	var docs [][]*yaml.Node
	for _, kind := range []string{"parsers", "postoverflows"} {
		root := testkit.Shared(t, "hub", kind)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, ".yml") {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var nodes []*yaml.Node
			for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
				n := new(yaml.Node)
				if dec.Decode(n) != nil {
					break
				}
				nodes = append(nodes, n)
			}
			files, docs = append(files, filepath.Base(path)), append(docs, nodes)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	owns := make([]map[string]string, len(docs))
	for i, nodes := range docs {
		owns[i] = map[string]string{}
		for _, n := range nodes {
			visit(n, func(key string, value *yaml.Node) { define(owns[i], global, key, value) })
		}
	}
	unknown := 0
	for i, nodes := range docs {
		for _, n := range nodes {
			visit(n, func(key string, value *yaml.Node) {
				if key != "grok" || value.Kind != yaml.MappingNode {
					return
				}
				g, err := groks{owns[i], global}.read(value)
				if err != nil {
					unknown++
					t.Logf("%s: %v", files[i], err)
					return
				}
				g.where = files[i]
				list = append(list, g)
			})
		}
	}
	if len(list) < 200 || unknown > len(list)/50 {
		t.Fatalf("%d groks expanded, %d not", len(list), unknown)
	}
	return list
}

// define collects pattern_syntax.
func define(own, global map[string]string, key string, value *yaml.Node) {
	if key != "pattern_syntax" {
		return
	}
	var m map[string]string
	if value.Decode(&m) != nil {
		return
	}
	for name, body := range m {
		own[name] = body
		if _, dup := global[name]; !dup {
			global[name] = body
		}
	}
}

func (g groks) read(value *yaml.Node) (grok, error) {
	var spec struct{ Name, Pattern string }
	if err := value.Decode(&spec); err != nil {
		return grok{}, err
	}
	body := spec.Pattern
	if spec.Name != "" {
		body = "%{" + spec.Name + "}"
	}
	fields := 0
	expr, err := g.expand(body, 0, &fields)
	return grok{expr: expr}, err
}

// visit calls f for every key of every mapping below n.
func visit(n *yaml.Node, f func(key string, value *yaml.Node)) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			f(n.Content[i].Value, n.Content[i+1])
		}
	}
	for _, c := range n.Content {
		visit(c, f)
	}
}

// hubLines returns the lines of the Hub's test logs, whole and without a header; of
// the short tests some of them.
func hubLines(t testing.TB) (out []string) {
	t.Helper()
	err := filepath.WalkDir(testkit.Shared(t, "hub", ".tests"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".log" {
			return err
		}
		data, err := os.ReadFile(path)
		for i, line := range strings.Split(string(data), "\n") {
			if i == 25 || testing.Short() && i == 2 {
				break
			}
			out = append(out, line)
			if _, message, ok := strings.Cut(line, ": "); ok {
				out = append(out, message)
			}
		}
		return err
	})
	if err != nil || len(out) < 500 {
		t.Fatalf("%d lines: %v", len(out), err)
	}
	return out
}
