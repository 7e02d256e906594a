package parsers

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// clock is the instant of all tests: the end of December, for year-less dates.
func clock() time.Time { return time.Date(2025, 12, 20, 12, 0, 0, 0, time.UTC) }

func builtinItems(t testing.TB) []Item {
	t.Helper()
	var items []Item
	err := fs.WalkDir(Builtin(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(Builtin(), p)
		items = append(items, Item{Path: p, Stage: path.Dir(p), Data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func load(t testing.TB, items []Item) *Pipeline {
	t.Helper()
	p, err := Load(items, expression.New(expression.Options{Now: clock}), Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func builtin(t testing.TB) *Pipeline {
	t.Helper()
	return load(t, builtinItems(t))
}

// hubItem reads parsers/<stage>/crowdsecurity/<name>.yaml of the Hub.
func hubItem(t testing.TB, stage, name string) Item {
	t.Helper()
	data, err := os.ReadFile(testkit.Shared(t, "hub", "parsers", stage, "crowdsecurity", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return Item{Path: "parsers/" + stage + "/" + name + ".yaml", Stage: stage, Data: data}
}

func line(label, raw string) *event.Event {
	return &event.Event{ExpectMode: event.Replay, Line: event.Line{
		Raw: raw, Src: "/var/log/test.log", Module: "file", Labels: map[string]string{"type": label},
	}}
}

// hubParsers reads all parser files of the Hub.
func hubParsers(t testing.TB) []Item {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testkit.Shared(t, "hub"), "parsers", "*", "*", "*.yaml"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d parser files: %v", len(files), err)
	}
	var items []Item
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		stage := filepath.Base(filepath.Dir(filepath.Dir(f)))
		items = append(items, Item{Path: stage + "/" + filepath.Base(f), Stage: stage, Data: data})
	}
	return items
}
