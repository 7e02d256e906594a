package command

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"golang.org/x/tools/txtar"

	"github.com/rampart-edge/rampart/appliance"
)

// elapsed is how long something took.
var elapsed = regexp.MustCompile(`(alerts?|lines?) in [0-9.]+(ns|µs|ms|s)(, [0-9.]+(µs|ms|s) of CPU)?`)

// seconds is how long a test took, as CSV.
var seconds = regexp.MustCompile(`(?m)^(\w+,(?:passed|failed),\d+,\d+),[0-9.]+,`)

// stamps are instants of a node that runs now.
var stamps = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}|"?[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z"?|"version": [0-9]+`)

// TestScripts: each archive holds files and commands that run beside them. The
// comment is a list of commands, one a line; "! " before one says that it fails.
// Output and error of all of them together are the file "want". With a file "node"
// the commands ask a node of their own.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal(err, len(scripts))
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			runScript(t, script)
		})
	}
}

func runScript(t *testing.T, script string) {
	path, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range a.Files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(f.Name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	x := &exchange{}
	if slices.ContainsFunc(a.Files, func(f txtar.File) bool { return f.Name == "node" }) {
		x.node = startNode(t)
	}
	var got strings.Builder
	for line := range strings.Lines(string(a.Comment)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		text, fails := strings.CutPrefix(line, "! ")
		out, err := run(t, x, words(text)...)
		if (err != nil) != fails {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
		got.WriteString("> " + line + "\n" + out)
		if err != nil {
			got.WriteString("error: " + err.Error() + "\n")
		}
	}
	want := &a.Files[len(a.Files)-1]
	if want.Name != "want" {
		t.Fatalf("the last file is %s", want.Name)
	}
	text := elapsed.ReplaceAllString(strings.ReplaceAll(got.String(), dir, "DIR"), "$1 in TIME")
	text = seconds.ReplaceAllString(text, "$1,SECONDS,")
	if x.node != nil {
		text = stamps.ReplaceAllString(text, "TIME")
	}
	if *update {
		fresh, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fresh.Files[len(fresh.Files)-1].Data = []byte(text)
		if err := os.WriteFile(path, txtar.Format(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(want.Data), text); diff != "" {
		t.Errorf("- want, + got:\n%s", diff)
	}
}

// startNode returns the admin endpoint of a node with the built-in rules.
func startNode(t *testing.T) http.Handler {
	t.Helper()
	s, err := appliance.Compile(appliance.Config{Node: "test", DataDir: t.TempDir()}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	a := appliance.New(appliance.Options{Node: "test"})
	release, err := a.Use(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		release()
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return http.HandlerFunc(a.ServeAdmin)
}

// words splits a command line at spaces, outside of double quotes.
func words(line string) []string {
	var list []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			list = append(list, part)
			continue
		}
		list = append(list, strings.Fields(part)...)
	}
	return list
}
