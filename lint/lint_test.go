package lint_test

import (
	"flag"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/lint"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

var update = flag.Bool("update", false, "write what is found into the archives")

// content takes the files of an archive apart by their folders.
func content(a *txtar.Archive) lint.Content {
	var c lint.Content
	for _, f := range a.Files {
		parts := strings.Split(f.Name, "/")
		switch parts[0] {
		case "parsers":
			c.Parsers = append(c.Parsers, parsers.Item{Path: f.Name, Stage: parts[1], Data: f.Data})
		case "postoverflows":
			c.Postoverflows = append(c.Postoverflows, parsers.Item{Path: f.Name, Stage: parts[1], Data: f.Data})
		case "scenarios":
			c.Scenarios = append(c.Scenarios, scenarios.Item{Path: f.Name, Data: f.Data})
		case "profiles.yaml":
			c.Profiles = append(c.Profiles, lint.Profile{Path: f.Name, Data: f.Data})
		}
	}
	return c
}

// TestFindings: each archive holds items and what is wrong with them.
func TestFindings(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(path.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, f := range lint.Check(content(a), lint.Options{Env: expression.New(expression.Options{})}).Findings {
				got.WriteString(f.String() + "\n")
			}
			want := &a.Files[len(a.Files)-1]
			if want.Name != "want" {
				t.Fatalf("the last file is %s", want.Name)
			}
			if *update {
				want.Data = []byte(got.String())
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want.Data), got.String()); diff != "" {
				t.Errorf("- want, + found:\n%s", diff)
			}
		})
	}
}
