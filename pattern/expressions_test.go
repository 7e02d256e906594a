package pattern_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// matches is the right side of the operator in a filter.
var matches = regexp.MustCompile(`matches\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")`)

// hubFilters returns the constant expressions that filters of the Hub match with,
// and those of its lists of expressions.
func hubFilters(t testing.TB) (list []string) {
	t.Helper()
	seen := map[string]bool{}
	add := func(expr string) {
		if _, err := regexp.Compile(expr); err == nil && expr != "" && !seen[expr] {
			seen[expr] = true
			list = append(list, expr)
		}
	}
	for _, root := range []string{"hub", "hub-data/web"} {
		err := filepath.WalkDir(testkit.Shared(t, filepath.FromSlash(root)), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			switch {
			case strings.HasSuffix(path, ".yaml"):
				for _, m := range matches.FindAllStringSubmatch(string(data), -1) {
					quoted := m[1]
					if quoted[0] == '\'' {
						quoted = `"` + strings.ReplaceAll(quoted[1:len(quoted)-1], `"`, `\"`) + `"`
					}
					if expr, err := strconv.Unquote(quoted); err == nil {
						add(expr)
					}
				}
			case strings.Contains(path, "regex") || strings.Contains(path, "thinkphp"):
				for _, line := range strings.Split(string(data), "\n") {
					add(line)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(list) < 100 {
		t.Fatalf("only %d expressions", len(list))
	}
	return list
}

// TestHubFilters holds the expressions of the Hub's filters to package regexp.
func TestHubFilters(t *testing.T) {
	exprs, lines := hubFilters(t), hubLines(t)
	fast, hits, tried := 0, 0, 0
	for i, expr := range exprs {
		p, re := compile(t, expr)
		if p.Fast() {
			fast++
		} else {
			t.Logf("not fast: %s", expr)
		}
		for j, line := range lines {
			if !p.Match(line) && (i+j)%50 != 0 {
				continue
			}
			tried++
			if same(t, p, re, line) {
				hits++
			}
		}
	}
	t.Logf("%d of %d expressions fast, %d texts, %d matches", fast, len(exprs), tried, hits)
	if hits < 50 {
		t.Error("too few matches to say much")
	}
}

// BenchmarkMatch looks for all of the filters' expressions in lines without an
// attack.
func BenchmarkMatch(b *testing.B) {
	exprs := hubFilters(b)
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			ps := compileAll(b, exprs, way.compile)
			b.ReportAllocs()
			for b.Loop() {
				for _, p := range ps {
					p.Match(cases[0].line)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(ps)), "ns/expr")
		})
	}
}
