package parsers

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/pattern"
)

var update = flag.Bool("update", false, "rewrite the lists in docs/grok.md")

// grokEntry is what a table of testdata/grok says about one name: whether it is
// exact, and what it accepts, gives and refuses. The lines of a table:
//
//	NAME [exact]     the name; "exact" if it is one that Hub content reaches
//	= TEXT           the name matches the whole of TEXT
//	! TEXT           the name does not match the whole of TEXT
//	+ TEXT           the name is found in TEXT, and gives the fields that follow;
//	  field=VALUE    those that are not named are empty. found is what it matches
//	- TEXT           the name is not found in TEXT
//
// In texts and values \n is a line feed, \t a tab and \\ a backslash before one
// of these letters.
type grokEntry struct {
	group, name string
	exact       bool
	cases       []grokCase
}

type grokCase struct {
	where  string
	kind   byte
	text   string
	fields map[string]string
}

// grokGroups are the groups of the library and how many names each has.
func grokGroups() map[string]int {
	return map[string]int{
		"base": 88, "aws": 6, "bacula": 47, "bro": 4, "cowrie_honeypot": 1, "exim": 12, "firewalls": 44, "haproxy": 7, "java": 10,
		"junos": 4, "linux-syslog": 10, "mcollective": 2, "modsecurity": 18, "mongodb": 7, "mysql": 1, "nagios": 61, "nginx": 7,
		"paths": 2, "postgresql": 1, "rails": 11, "redis": 4, "ruby": 2, "smb": 1, "ssh": 46, "tcpdump": 1,
	}
}

func readGrokTable(t testing.TB, group string) []grokEntry {
	t.Helper()
	path := filepath.Join("testdata", "grok", group+".txt")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t")
	var out []grokEntry
	for n, line := range strings.Split(string(data), "\n") {
		where := fmt.Sprintf("%s:%d", path, n+1)
		if line == "" {
			continue
		}
		if field, ok := strings.CutPrefix(line, "  "); ok {
			name, value, ok := strings.Cut(field, "=")
			cases := out[len(out)-1].cases
			if !ok || len(cases) == 0 || cases[len(cases)-1].kind != '+' {
				t.Fatalf("%s: a field that belongs nowhere", where)
			}
			cases[len(cases)-1].fields[name] = plain.Replace(value)
			continue
		}
		if kind := line[0]; strings.IndexByte("=!+-", kind) >= 0 {
			text, _ := strings.CutPrefix(line[1:], " ")
			e := &out[len(out)-1]
			e.cases = append(e.cases, grokCase{where: where, kind: kind, text: plain.Replace(text), fields: map[string]string{}})
			continue
		}
		name, mark, _ := strings.Cut(line, " ")
		if wordLength(name) != len(name) || mark != "" && mark != "exact" {
			t.Fatalf("%s: %q is no name", where, line)
		}
		out = append(out, grokEntry{group: group, name: name, exact: mark == "exact"})
	}
	return out
}

func readGrokTables(t testing.TB) []grokEntry {
	t.Helper()
	var out []grokEntry
	for _, group := range slices.Sorted(maps.Keys(grokGroups())) {
		out = append(out, readGrokTable(t, group)...)
	}
	return out
}

// TestLibraryNames: the library has every name that parsers may use, each in the
// file of its group, and beyond them only parts of those.
func TestLibraryNames(t *testing.T) {
	names, err := library()
	if err != nil {
		t.Fatal(err)
	}
	entries := readGrokTables(t)
	known, counts, exact := map[string]string{}, map[string]int{}, 0
	for _, e := range entries {
		if known[e.name] != "" {
			t.Errorf("%s is in the tables twice", e.name)
		}
		known[e.name] = e.group
		counts[e.group]++
		if e.exact {
			exact++
		}
		if _, ok := names[e.name]; !ok {
			t.Errorf("%s is not defined", e.name)
		}
	}
	if diff := cmp.Diff(grokGroups(), counts); diff != "" || len(entries) != 397 || exact != 86 {
		t.Errorf("%d names, %d of them exact, want 397 and 86; by group:%s", len(entries), exact, diff)
	}
	used := map[string]bool{}
	for _, body := range names {
		for _, m := range regexp.MustCompile(`%\{(\w+)`).FindAllStringSubmatch(body, -1) {
			used[m[1]] = true
		}
	}
	files, err := patternFiles.ReadDir("patterns")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := patternFiles.ReadFile("patterns/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			name := line[:wordLength(line)]
			switch group, ok := known[name]; {
			case name == "" || ok && group == f.Name():
			case ok:
				t.Errorf("%s is defined in %s and belongs to %s", name, f.Name(), group)
			case !used[name]:
				t.Errorf("%s in %s is no name of the library and no part of one", name, f.Name())
			}
		}
	}
}

// TestLibrary: every name means what the tables say, fast and plain, and is shown
// to accept something and to refuse something.
func TestLibrary(t *testing.T) {
	t.Run("fast", func(t *testing.T) { checkLibrary(t, pattern.Compile) })
	t.Run("plain", func(t *testing.T) { checkLibrary(t, pattern.CompilePlain) })
}

func checkLibrary(t *testing.T, compile compiler) {
	names, err := library()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range readGrokTables(t) {
		whole, err := compileGrok("^%{"+e.name+":found}$", names, compile)
		if err != nil {
			t.Errorf("%s: %v", e.name, err)
			continue
		}
		found, err := compileGrok("%{"+e.name+":found}", names, compile)
		if err != nil {
			t.Errorf("%s: %v", e.name, err)
			continue
		}
		accepts, refuses := 0, 0
		for _, c := range e.cases {
			switch c.kind {
			case '=', '+':
				accepts++
			default:
				refuses++
			}
			if err := c.check(t, whole, found); err != nil {
				t.Errorf("%s: %s: %v", c.where, e.name, err)
			}
		}
		if accepts == 0 || refuses == 0 {
			t.Errorf("%s: %d texts that it accepts and %d that it refuses, want some of both", e.name, accepts, refuses)
		}
	}
}

func (c *grokCase) check(t *testing.T, whole, found *grok) error {
	t.Helper()
	switch c.kind {
	case '=':
		if exportGrok(t, whole, c.text) == nil {
			return fmt.Errorf("does not match the whole of %q", c.text)
		}
	case '!':
		if exportGrok(t, whole, c.text) != nil {
			return fmt.Errorf("matches the whole of %q", c.text)
		}
	case '-':
		if got := exportGrok(t, found, c.text); got != nil {
			return fmt.Errorf("finds %q in %q", got["found"], c.text)
		}
	case '+':
		got := exportGrok(t, found, c.text)
		if got == nil {
			return fmt.Errorf("finds nothing in %q", c.text)
		}
		if _, told := c.fields["found"]; !told {
			delete(got, "found")
			if len(got) == 0 {
				return fmt.Errorf("gives no field, so the table has to say what it finds in %q", c.text)
			}
		}
		want := maps.Clone(c.fields)
		for name, value := range got {
			if value == "" && want[name] == "" {
				delete(got, name)
				delete(want, name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("%q (-table +found):\n%s", c.text, diff)
		}
	}
	return nil
}

// TestGrokDoc: docs/grok.md lists every name, and which are exact.
func TestGrokDoc(t *testing.T) {
	const begin, end = "-update` -->\n", "<!-- /names -->"
	path := filepath.Join("..", "docs", "grok.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the names", path)
	}
	want := head + begin + grokDoc(readGrokTables(t)) + end + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(data), want); diff != "" {
		t.Errorf("%s is stale; run go test ./parsers -run TestGrokDoc -update (-have +want):\n%s", path, diff)
	}
}

// grokDoc is the list of names, in the order of the tables.
func grokDoc(entries []grokEntry) string {
	exact, others := map[string][]string{}, map[string][]string{}
	for _, e := range entries {
		group := others
		if e.exact {
			group = exact
		}
		group[e.group] = append(group[e.group], "`"+e.name+"`")
	}
	var b strings.Builder
	for _, part := range []struct {
		title string
		names map[string][]string
	}{{"Exact", exact}, {"Best effort", others}} {
		n := 0
		for _, names := range part.names {
			n += len(names)
		}
		fmt.Fprintf(&b, "\n## %s: %d names\n\n| group | names |\n|---|---|\n", part.title, n)
		for _, group := range slices.Sorted(maps.Keys(part.names)) {
			fmt.Fprintf(&b, "| %s | %s |\n", group, strings.Join(part.names[group], " "))
		}
	}
	return b.String() + "\n"
}
