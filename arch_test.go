package rampart_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/rampart-edge/rampart"

// row is one line of the layer table in ARCHITECTURE.md.
type row struct {
	may   []string // packages of ours, relative
	alone []string // library paths that nobody else imports
}

// layers reads the table.
func layers(t *testing.T) map[string]row {
	t.Helper()
	doc, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(doc), "<!-- layers -->")
	body, _, end := strings.Cut(rest, "<!-- /layers -->")
	if !ok || !end {
		t.Fatal("ARCHITECTURE.md has no layer table between <!-- layers --> and <!-- /layers -->")
	}
	table := map[string]row{}
	for _, line := range strings.Split(strings.TrimSpace(body), "\n")[2:] {
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			t.Fatalf("line %q has %d cells, want 4", line, len(cells)-2)
		}
		r := row{may: strings.Fields(cells[3])}
		for _, lib := range strings.Fields(cells[4]) {
			r.alone = append(r.alone, strings.Trim(lib, "`"))
		}
		table[strings.TrimSpace(cells[2])] = r
	}
	if len(table) < 10 {
		t.Fatalf("the layer table has only %d rows", len(table))
	}
	return table
}

// goPackage is what `go list` tells of one.
type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	var list []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func relative(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

// TestLayers holds every package to the layer table in ARCHITECTURE.md.
func TestLayers(t *testing.T) {
	table := layers(t)
	owners := map[string][]string{}
	for name, r := range table {
		for _, lib := range r.alone {
			owners[lib] = append(owners[lib], name)
		}
	}
	for _, p := range packages(t) {
		name := relative(p.ImportPath)
		if strings.HasPrefix(name, "internal/") {
			continue // test helpers; TestProductionIsFreeOfTests looks at who imports them
		}
		r, ok := table[name]
		if !ok {
			t.Errorf("package %s has no row in ARCHITECTURE.md: add one, with a reason", name)
			continue
		}
		for _, imp := range p.Imports {
			checkImport(t, name, r, imp, owners)
		}
	}
}

func checkImport(t *testing.T, name string, r row, imp string, owners map[string][]string) {
	t.Helper()
	if imp == module || strings.HasPrefix(imp, module+"/") {
		if other := relative(imp); !slices.Contains(r.may, other) {
			t.Errorf("%s imports %s, which its row does not allow", name, other)
		}
		return
	}
	for lib, who := range owners {
		if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !slices.Contains(who, name) {
			t.Errorf("%s imports %s, which belongs to %s alone", name, imp, strings.Join(who, " and "))
		}
	}
}

// TestProductionIsFreeOfTests: what only tests need is imported by tests only.
func TestProductionIsFreeOfTests(t *testing.T) {
	for _, p := range packages(t) {
		name := relative(p.ImportPath)
		if strings.HasPrefix(name, "internal/") {
			continue
		}
		for _, imp := range p.Imports {
			if imp == "testing" || strings.HasPrefix(imp, module+"/internal/") {
				t.Errorf("%s imports %s outside its tests", name, imp)
			}
		}
	}
}
