package parsers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/pattern"
)

// exportGrok runs a pattern over text; nil means that it failed.
func exportGrok(t testing.TB, g *grok, text string) map[string]string {
	t.Helper()
	ev := &event.Event{}
	if !g.match(text, ev, new([]int)) {
		return nil
	}
	return ev.Parsed
}

func TestGrok(t *testing.T) {
	names := table{
		"WORD": `\w+`, "INT": `\d+`, "PAIR": `%{WORD:key}=%{INT:value}`, "GROUPED": `(a|b)(?P<inner>c)`,
		"SAME": `%{WORD:x}-%{WORD:x}`, "ALT": `a|ab`, "CLASS": `[](a-z]+`, "QUOTE": `\Q(a)\E`, "DEEP": `<%{PAIR}>`,
	}
	type fields = map[string]string
	cases := []struct {
		name, pattern, text string
		want                fields
	}{
		{"field", `%{WORD:w}`, "hello", fields{"w": "hello"}},
		{"nested fields", `%{DEEP}`, "<a=1>", fields{"key": "a", "value": "1"}},
		{"unnamed reference exports nothing", `%{WORD} %{INT:n}`, "a 1", fields{"n": "1"}},
		{"no field: a match is a failure", `%{WORD}`, "a", nil},
		{"no reference at all", `a`, "a", nil},
		{"outer hides nested", `%{INT:key} %{PAIR}`, "7 a=1", fields{"key": "7", "value": "1"}},
		{"same field: the last wins", `%{WORD:x} %{WORD:x}`, "a b", fields{"x": "b"}},
		{"same field: the last wins even unused", `%{WORD:x}!|%{INT:x}\?`, "a!", fields{"x": ""}},
		{"same field nested: the later reference", `%{PAIR} %{PAIR}`, "a=1 b=2", fields{"key": "b", "value": "2"}},
		{"same field twice in a nested pattern", `%{SAME}`, "a-b", fields{"x": "b"}},
		{"unused field is there and empty", `%{WORD:a}( %{INT:b})?`, "x", fields{"a": "x", "b": ""}},
		{"the author's groups shift nothing", `(x)(?:y)%{GROUPED}%{INT:n}`, "xybc42", fields{"n": "42"}},
		{"named groups are not exported", `(?P<own>a)%{INT:n}`, "a1", fields{"n": "1"}},
		{"parentheses in classes and quotes", `[(]%{INT:n}[)]\(%{QUOTE}%{CLASS}%{INT:m}`, "(1)((a)](2", fields{"n": "1", "m": "2"}},
		{"a nested alternative stays inside", `^%{ALT}c%{INT:n}`, "abc1", fields{"n": "1"}},
		{"flags", `(?i)HELLO %{WORD:w}`, "hello x", fields{"w": "x"}},
		{"types are no syntax", `%{INT:n:int}|%{INT:m}`, "5", fields{"m": "5"}},
		{"unanchored, leftmost", `%{INT:n}`, "a 12 34", fields{"n": "12"}},
		{"bytes that are no UTF-8", `a.b %{INT:n}`, "a\xffb 1", fields{"n": "1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g, err := compileGrok(c.pattern, names, pattern.Compile)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, exportGrok(t, g, c.text)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
	if _, err := compileGrok("%{NOPE}", names, pattern.Compile); !errors.Is(err, errNoPattern) {
		t.Fatalf("unknown name: %v", err)
	}
	bomb := table{"A": strings.Repeat("%{B}", 40), "B": strings.Repeat("%{C}", 40), "C": strings.Repeat("%{D}", 40), "D": strings.Repeat("x", 100)}
	if _, err := compileGrok("%{A:a}", bomb, pattern.Compile); err == nil || !strings.Contains(err.Error(), "1 MiB") {
		t.Fatalf("a pattern that explodes: %v", err)
	}
}

// source is one grok of a file with the names it sees.
type source struct {
	where, pattern string
	names          patterns
}

// groksOf collects the groks of items.
func groksOf(t testing.TB, items []Item) []source {
	t.Helper()
	global, err := library()
	if err != nil {
		t.Fatal(err)
	}
	var out []source
	for _, item := range items {
		file := table{}
		var walk func(n *nodeSpec)
		walk = func(n *nodeSpec) {
			for _, p := range n.PatternSyntax {
				if _, dup := file[p.name]; !dup {
					file[p.name] = p.body.text
				}
			}
			pattern := n.Grok.Pattern.text
			if n.Grok.Name.text != "" {
				pattern = "%{" + n.Grok.Name.text + "}"
			}
			if pattern != "" {
				out = append(out, source{where: fmt.Sprintf("%s:%d", item.Path, n.Grok.Pattern.line+n.Grok.Name.line), pattern: pattern, names: scoped{file, global}})
			}
			for i := range n.Nodes {
				walk(&n.Nodes[i])
			}
		}
		for dec := yaml.NewDecoder(bytes.NewReader(item.Data)); ; {
			var n nodeSpec
			if err := dec.Decode(&n); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			walk(&n)
		}
	}
	return out
}

// naiveGrok is the oracle: every reference a named group, all groups capture, no
// prefilter.
type naiveGrok struct {
	re     *regexp.Regexp
	fields map[string]string // field → group
}

func newNaive(pattern string, names patterns) *naiveGrok {
	n := 0
	var expand func(pattern string) (string, map[string]string)
	expand = func(pattern string) (string, map[string]string) {
		var text strings.Builder
		own, nested := map[string]string{}, map[string]string{}
		for {
			start, end, name, field := nextReference(pattern)
			if start < 0 {
				text.WriteString(pattern)
				break
			}
			n++
			group := fmt.Sprintf("g%d", n)
			body, _ := names.lookup(name)
			inner, fields := expand(body)
			fmt.Fprintf(&text, "%s(?P<%s>%s)", pattern[:start], group, inner)
			if field != "" {
				own[field] = group
			}
			maps.Copy(nested, fields)
			pattern = pattern[end:]
		}
		maps.Copy(nested, own)
		return text.String(), nested
	}
	text, fields := expand(pattern)
	return &naiveGrok{re: regexp.MustCompile(text), fields: fields}
}

func (n *naiveGrok) export(text string) map[string]string {
	m := n.re.FindStringSubmatch(text)
	if m == nil || len(n.fields) == 0 {
		return nil
	}
	out := map[string]string{}
	for field, group := range n.fields {
		out[field] = m[n.re.SubexpIndex(group)]
	}
	return out
}

// hubLines returns the first lines of every Hub test, whole and without their
// syslog header.
func hubLines(t testing.TB) []string {
	logs, err := filepath.Glob(filepath.Join(testkit.Shared(t, "hub"), ".tests", "*", "*.log"))
	if err != nil || len(logs) < 100 {
		t.Fatalf("%d logs: %v", len(logs), err)
	}
	var out []string
	for _, f := range logs {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(string(data), "\n")
		if len(line) > 2000 {
			continue
		}
		out = append(out, line)
		if _, message, ok := strings.Cut(line, "]: "); ok {
			out = append(out, message)
		}
	}
	return out
}

// TestGrokOracle compares our compiler and its matcher with the naive reading of
// every grok of the Hub and of ours, on the Hub's lines.
func TestGrokOracle(t *testing.T) {
	groks := groksOf(t, append(hubParsers(t), builtinItems(t)...))
	lines := hubLines(t)
	if testing.Short() || raced {
		lines = lines[:20]
	}
	hits, fast := 0, 0
	for n, s := range groks {
		g, err := compileGrok(s.pattern, s.names, pattern.Compile)
		if err != nil {
			t.Errorf("%s: %v", s.where, err)
			continue
		}
		if g.re.Fast() {
			fast++
		}
		naive := newNaive(s.pattern, s.names)
		for i, line := range lines {
			if (i+n)%3 != 0 {
				continue // a third of the pairs is plenty
			}
			want := naive.export(line)
			if diff := cmp.Diff(want, exportGrok(t, g, line)); diff != "" {
				t.Fatalf("%s on %q: %s", s.where, line, diff)
			}
			if want != nil {
				hits++
			}
		}
	}
	t.Logf("%d groks (%d not on Go regexp), %d lines: %d hits", len(groks), fast, len(lines), hits)
	if hits < 50 {
		t.Fatal("too few hits to mean something")
	}
}

// FuzzGrok: whatever compiles gives the same fast and plain.
func FuzzGrok(f *testing.F) {
	names, err := library()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range [][2]string{
		{`^%{IP:ip} (a|b)%{DATA:x}$`, "192.0.2.1 a"}, {`%{QS:q}[^)(]\Q(\E(?P<z>%{INT:n})?`, `"a"x(1`}, {`(?i)%{WORD:x}ab+c|d`, "ABC"}, {`\xff%{INT:a}`, "\xff1"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, grok, text string) {
		if len(grok) > 200 || len(text) > 500 {
			return
		}
		fast, err := compileGrok(grok, names, pattern.Compile)
		plain, plainErr := compileGrok(grok, names, pattern.CompilePlain)
		if (err == nil) != (plainErr == nil) {
			t.Fatalf("%q: %v, plain %v", grok, err, plainErr)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(exportGrok(t, plain, text), exportGrok(t, fast, text)); diff != "" {
			t.Fatalf("%q on %q: %s", grok, text, diff)
		}
	})
}
