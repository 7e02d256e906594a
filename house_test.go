package rampart_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The rules of CONTRIBUTING.md that a machine can check.
const (
	maxFileLines     = 400
	maxFunctionLines = 60
)

// TestHouse holds the code that ships to the house rules: sizes, no package-level
// state, no init but registration, nothing below main that ends the process, and a
// comment on every package.
func TestHouse(t *testing.T) {
	documented := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "internal" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		documented[dir] = checkFile(t, path, src) || documented[dir]
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package in %s has no comment", dir)
		}
	}
}

// checkFile reports whether the file has the package's comment.
func checkFile(t *testing.T, path string, src []byte) bool {
	t.Helper()
	if n := bytes.Count(src, []byte("\n")); n > maxFileLines {
		t.Errorf("%s has %d lines, more than %d", path, n, maxFileLines)
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			first, last := set.Position(d.Pos()), set.Position(d.End())
			if n := last.Line - first.Line + 1; n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, more than %d", first, d.Name.Name, n, maxFunctionLines)
			}
			if d.Name.Name == "init" && d.Recv == nil && !strings.HasPrefix(path, "caddymodule/") && !strings.HasPrefix(path, "cmd/") {
				t.Errorf("%s: init outside registration", first)
			}
			checkEndings(t, set, path, d)
		case *ast.GenDecl:
			if d.Tok == token.VAR {
				checkVars(t, set, d)
			}
		}
	}
	return f.Doc != nil
}

// checkEndings finds what ends the process.
func checkEndings(t *testing.T, set *token.FileSet, path string, d *ast.FuncDecl) {
	t.Helper()
	if strings.HasPrefix(path, "cmd/") || strings.HasPrefix(path, "demo/") {
		return
	}
	ast.Inspect(d, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch f := call.Fun.(type) {
		case *ast.Ident:
			if f.Name == "panic" {
				t.Errorf("%s: panic in %s", set.Position(call.Pos()), d.Name.Name)
			}
		case *ast.SelectorExpr:
			x, ok := f.X.(*ast.Ident)
			if ok && (x.Name == "log" && strings.HasPrefix(f.Sel.Name, "Fatal") || x.Name == "os" && f.Sel.Name == "Exit") {
				t.Errorf("%s: %s.%s in %s", set.Position(call.Pos()), x.Name, f.Sel.Name, d.Name.Name)
			}
		}
		return true
	})
}

// checkVars allows at package level what nobody writes to: errors, patterns,
// embedded files, interface guards, arrays and structs of constants. A table that
// is a map or a slice must say in its comment that it is read-only.
func checkVars(t *testing.T, set *token.FileSet, d *ast.GenDecl) {
	t.Helper()
	for _, s := range d.Specs {
		v := s.(*ast.ValueSpec)
		if v.Names[0].Name == "_" || vouched(d.Doc) || vouched(v.Doc) || vouched(v.Comment) {
			continue
		}
		if len(v.Values) == 1 && constantLike(v.Values[0]) {
			continue
		}
		t.Errorf("%s: package-level variable %s", set.Position(v.Pos()), v.Names[0].Name)
	}
}

// vouched: the comment says that nobody writes to it.
func vouched(g *ast.CommentGroup) bool {
	if g == nil {
		return false
	}
	for _, c := range g.List {
		if strings.HasPrefix(c.Text, "//go:embed") || strings.Contains(strings.ToLower(c.Text), "read-only") {
			return true
		}
	}
	return false
}

// constantLike are arrays and structs, and calls whose results are never changed.
func constantLike(e ast.Expr) bool {
	if lit, ok := e.(*ast.CompositeLit); ok {
		switch kind := lit.Type.(type) {
		case *ast.ArrayType:
			return kind.Len != nil
		case *ast.Ident, *ast.SelectorExpr:
			return true
		}
		return false
	}
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return false
	}
	switch x.Name + "." + sel.Sel.Name {
	case "errors.New", "fmt.Errorf", "regexp.MustCompile", "netip.MustParsePrefix", "netip.MustParseAddr",
		"strings.NewReplacer", "template.Must", "language.NewMatcher", "caddy.NewUsagePool",
		"RawURLEncoding.Strict", "crc32.MakeTable", "time.Unix":
		return true
	}
	return false
}
