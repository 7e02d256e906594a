// Package hubset gives tests the content of the Hub: its data files, the events that
// its parsers make of the logs of its tests, and variants of these that come close to
// what an expression looks for. It is no part of the product.
//
//	Hub folder ─► Env, Files, Events ─► Near ─► test
//
// Concurrency: its functions belong to one test and one goroutine.
package hubset

import (
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/parsers"
)

// At is when events are read.
var At = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// Benchmark are the collections whose sixty scenarios CrowdSec's figures were taken
// with.
func Benchmark() []string {
	return []string{"crowdsecurity/nginx", "crowdsecurity/base-http-scenarios", "crowdsecurity/http-cve",
		"crowdsecurity/sshd", "crowdsecurity/linux"}
}

// Env is an environment with the Hub's data files, which are found by the path of
// their URL.
func Env(tb testing.TB, plain bool) *expression.Env {
	tb.Helper()
	return expression.New(expression.Options{
		Data: os.DirFS(testkit.Shared(tb, "hub-data")), Plain: plain, Now: func() time.Time { return At },
		Find: func(d expression.DataFile) string {
			u, err := url.Parse(d.SourceURL)
			if err != nil {
				return ""
			}
			return strings.TrimPrefix(u.Path, "/")
		},
	})
}

// Scenarios returns the paths of the scenarios of collections and of those that they
// name.
func Scenarios(tb testing.TB, collections ...string) (paths []string) {
	tb.Helper()
	var index struct {
		Collections map[string]struct{ Scenarios, Collections []string }
		Scenarios   map[string]struct{ Path string }
	}
	if err := json.Unmarshal(Read(tb, ".index.json"), &index); err != nil {
		tb.Fatal(err)
	}
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, s := range index.Collections[name].Scenarios {
			if p := index.Scenarios[s].Path; !slices.Contains(paths, p) {
				paths = append(paths, p)
			}
		}
		for _, c := range index.Collections[name].Collections {
			add(c)
		}
	}
	for _, c := range collections {
		add(c)
	}
	return paths
}

// Files returns the paths of all items below a folder of the Hub.
func Files(tb testing.TB, folder string) (paths []string) {
	tb.Helper()
	root := testkit.Shared(tb, "hub")
	err := filepath.WalkDir(filepath.Join(root, folder), func(p string, _ fs.DirEntry, err error) error {
		if ext := path.Ext(p); err == nil && (ext == ".yaml" || ext == ".yml") {
			rel, err := filepath.Rel(root, p)
			paths = append(paths, rel)
			return err
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return paths
}

// Read returns a file of the Hub.
func Read(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(testkit.Shared(tb, "hub", path))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// Pipeline has all parsers of the Hub that load.
func Pipeline(tb testing.TB) *parsers.Pipeline {
	tb.Helper()
	var items []parsers.Item
	for _, p := range Files(tb, "parsers") {
		items = append(items, parsers.Item{Path: p, Stage: strings.Split(p, string(filepath.Separator))[1], Data: Read(tb, p)})
	}
	pipeline, err := parsers.Load(items, Env(tb, false), parsers.Options{Now: func() time.Time { return At }})
	if pipeline == nil {
		tb.Fatal(err)
	}
	return pipeline
}

// Parse runs a line of a kind of log through the parsers.
func Parse(p *parsers.Pipeline, kind, line string) *event.Event {
	ev := &event.Event{Type: event.LogType, Process: true, Time: At, Line: event.Line{
		Raw: line, Src: "/var/log/x.log", Module: "file", Time: At, Process: true, Labels: map[string]string{"type": kind},
	}}
	p.Parse(ev)
	return ev
}

// Events are what the parsers make of the logs of the Hub's tests, of each its first
// lines.
func Events(tb testing.TB, each int) (list []*event.Event) {
	tb.Helper()
	p := Pipeline(tb)
	dirs, err := os.ReadDir(testkit.Shared(tb, "hub", ".tests"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, d := range dirs {
		var config struct {
			Log  string `yaml:"log_file"`
			Type string `yaml:"log_type"`
		}
		if err := yaml.Unmarshal(Read(tb, path.Join(".tests", d.Name(), "config.yaml")), &config); err != nil {
			tb.Fatalf("%s: %v", d.Name(), err)
		}
		n := 0
		for line := range strings.Lines(string(Read(tb, path.Join(".tests", d.Name(), config.Log)))) {
			if line = strings.TrimRight(line, "\r\n"); line == "" {
				continue
			}
			if n++; n > each {
				break
			}
			list = append(list, Parse(p, config.Type, line))
		}
	}
	return list
}
