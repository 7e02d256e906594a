package hub

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/expression"
)

const (
	parserText   = "name: %NAME%\ndescription: d\nonsuccess: next_stage\nstatics:\n  - meta: a\n    value: b\n"
	scenarioText = "type: trigger\nname: %NAME%\ndescription: d\nfilter: \"true\"\nlabels: {remediation: true}\n"
)

// write makes files below a folder of the test.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func named(text, name string) string { return strings.ReplaceAll(text, "%NAME%", name) }

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// smallHub is a Hub with an index: a parser in two stages, scenarios that are as the
// index knows them, changed, and only in the index, and collections that list each
// other.
func smallHub(t *testing.T, withIndex bool) string {
	t.Helper()
	files := map[string]string{
		"parsers/s01-parse/z/alpha.yaml":        named(parserText, "z/alpha"),
		"parsers/s01-parse/a/beta.yaml":         named(parserText, "a/beta"),
		"parsers/s00-raw/a/zeta.yaml":           named(parserText, "a/zeta"),
		"postoverflows/s00-enrich/a/more.yaml":  named(parserText, "a/more"),
		"scenarios/a/one.yaml":                  named(scenarioText, "a/one"),
		"scenarios/a/changed.yml":               named(scenarioText, "a/changed") + "# changed\n",
		"contexts/a/context.yaml":               "context:\n  who:\n    - evt.Meta.user\n",
		"collections/a/all.yaml":                "name: a/all\nparsers: [a/beta]\ncollections: [a/inner]\nscenarios: [a/missing]\n",
		"collections/a/inner.yaml":              "name: a/inner\nscenarios: [a/one]\ncollections: [a/all]\ncontexts: [a/context]\npostoverflows: [a/more]\n",
		"appsec-rules/a/ignored.yaml":           "name: a/ignored\n",
		"scenarios/a/README.md":                 "no item",
		".tests/nothing/config.yaml":            "parsers: [a/zeta]\nlog_file: x.log\nlog_type: x\n",
		".tests/no-test/readme.txt":             "",
		"parsers/s01-parse/a/broken.yaml":       "name: [\n",
		"parsers/s01-parse/a/nameless.yaml":     "statics: [{meta: a, value: b}]\ndescription: d\n",
		"scenarios/a/broken.yaml":               "type: leaky\nname: a/broken\nbogus: 1\n",
		"scenarios/a/two.yaml":                  named(scenarioText, "a/two-1") + "---\n" + named(scenarioText, "a/two-2"),
		"parsers/s02-enrich/a/with-data.yaml":   named(parserText, "a/with-data") + "data:\n  - source_url: https://example.org/web/list.txt\n    dest_file: list.txt\n    type: string\n",
		"parsers/s02-enrich/a/with-data-2.yaml": named(parserText, "a/with-data-2") + "data:\n  - source_url: https://example.org/none/nowhere.txt\n    dest_file: nowhere.txt\n    type: string\n",
	}
	if withIndex {
		entry := func(path, text string, more map[string]any) map[string]any {
			e := map[string]any{"path": path, "version": "0.2", "description": "d",
				"versions": map[string]any{"0.1": map[string]any{"digest": strings.Repeat("0", 64)}, "0.2": map[string]any{"digest": digestOf(text)}}}
			for k, v := range more {
				e[k] = v
			}
			return e
		}
		only := named(scenarioText, "a/only")
		index := map[string]any{
			"parsers": map[string]any{
				"z/alpha":       entry("parsers/s01-parse/z/alpha.yaml", files["parsers/s01-parse/z/alpha.yaml"], map[string]any{"stage": "s01-parse"}),
				"a/beta":        entry("parsers/s01-parse/a/beta.yaml", files["parsers/s01-parse/a/beta.yaml"], map[string]any{"stage": "s01-parse"}),
				"a/zeta":        entry("parsers/s00-raw/a/zeta.yaml", files["parsers/s00-raw/a/zeta.yaml"], nil),
				"a/broken":      entry("parsers/s01-parse/a/broken.yaml", "", nil),
				"a/with-data":   entry("parsers/s02-enrich/a/with-data.yaml", "", nil),
				"a/with-data-2": entry("parsers/s02-enrich/a/with-data-2.yaml", "", nil),
			},
			"postoverflows": map[string]any{"a/more": entry("postoverflows/s00-enrich/a/more.yaml", "", nil)},
			"scenarios": map[string]any{
				"a/one":     entry("scenarios/a/one.yaml", files["scenarios/a/one.yaml"], nil),
				"a/changed": entry("scenarios/a/changed.yml", "", nil),
				"a/only":    entry("scenarios/a/only.yaml", only, map[string]any{"content": base64.StdEncoding.EncodeToString([]byte(only))}),
				"a/raw":     entry("scenarios/a/raw.yaml", "", map[string]any{"content": named(scenarioText, "a/raw")}),
				"a/gone":    entry("scenarios/a/gone.yaml", "", nil),
				"a/broken":  entry("scenarios/a/broken.yaml", "", nil),
				"a/two":     entry("scenarios/a/two.yaml", "", nil),
			},
			"contexts": map[string]any{"a/context": entry("contexts/a/context.yaml", "", nil)},
			"collections": map[string]any{
				"a/all":   entry("collections/a/all.yaml", "", map[string]any{"parsers": []string{"a/beta"}, "collections": []string{"a/inner"}, "scenarios": []string{"a/missing"}, "appsec-rules": []string{"a/ignored"}}),
				"a/inner": entry("collections/a/inner.yaml", "", map[string]any{"scenarios": []string{"a/one"}, "collections": []string{"a/all"}, "contexts": []string{"a/context"}, "postoverflows": []string{"a/more"}}),
			},
			"appsec-rules": []string{"of another form"},
		}
		data, err := json.Marshal(index)
		if err != nil {
			t.Fatal(err)
		}
		files[indexFile] = string(data)
	}
	return write(t, files)
}

func open(t *testing.T, o Options) *Catalogue {
	t.Helper()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// picked are the items of a content, as kind:name@version.
func picked(c *Content) []string {
	var list []string
	for _, i := range c.Items {
		list = append(list, string(i.Kind)+":"+i.Name+"@"+i.Version)
	}
	return list
}

// TestSelect: names, paths, collections of collections, versions, and what is wrong
// with the rest.
func TestSelect(t *testing.T) {
	dir := smallHub(t, true)
	c := open(t, Options{Hub: dir})
	for name, tt := range map[string]struct {
		s     Selection
		items []string
		says  []string // parts of the problems, in order
	}{
		"names": {Selection{Parsers: []string{"a/beta", "a/zeta", "a/beta", ""}, Scenarios: []string{"a/one", "a/changed", "a/only", "a/raw"}},
			[]string{"parsers:a/beta@0.2", "parsers:a/zeta@0.2", "scenarios:a/changed@?", "scenarios:a/one@0.2", "scenarios:a/only@0.2", "scenarios:a/raw@?"}, nil},
		"a path in the Hub": {Selection{Scenarios: []string{"scenarios/a/one.yaml", filepath.Join(dir, "scenarios/a/one.yaml"), "a/one"}}, []string{"scenarios:a/one@0.2"}, nil},
		"collections": {Selection{Collections: []string{"a/all"}},
			[]string{"contexts:a/context@?", "parsers:a/beta@0.2", "postoverflows:a/more@?", "scenarios:a/one@0.2"},
			[]string{"scenario a/missing: collection a/all lists it: there is none of this name"}},
		"unknown": {Selection{Scenarios: []string{"a/ona", "b/one", "rubbish", "none.yaml"}, Collections: []string{"a/alll"}}, nil,
			[]string{"a/ona: there is none of this name; did you mean a/one", "did you mean a/one", "scenario rubbish: there is none of this name", "there is no file none.yaml", "did you mean a/all"}},
		"gone":     {Selection{Scenarios: []string{"a/gone", "a/one"}}, []string{"scenarios:a/one@0.2"}, []string{"gone.yaml: scenario a/gone: reading"}},
		"built-in": {Selection{Collections: []string{"rampart/sshd"}, Parsers: []string{"a/beta"}}, nil, nil},
	} {
		content, err := c.Select(tt.s)
		if name == "built-in" {
			if err != nil || len(content.Scenarios) != 3 || len(content.Parsers) < 7 {
				t.Errorf("%s: %d scenarios, %d parsers, %v", name, len(content.Scenarios), len(content.Parsers), err)
			}
			continue
		}
		if got := picked(content); !slices.Equal(got, tt.items) {
			t.Errorf("%s: %q, want %q", name, got, tt.items)
		}
		problems := Problems(err)
		if len(problems) != len(tt.says) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, p := range problems {
			if !strings.Contains(p.Error(), tt.says[i]) {
				t.Errorf("%s: problem %d is %q, want %q", name, i, p, tt.says[i])
			}
		}
	}
}

// TestOrder: parsers run by stage and file name whoever wrote them; a built-in one
// stands behind the Hub's of the same file.
func TestOrder(t *testing.T) {
	c := open(t, Options{Hub: smallHub(t, true)})
	content, err := c.Select(Selection{Parsers: []string{"a/beta", "z/alpha", "a/zeta"}})
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, p := range content.Parsers {
		order = append(order, p.Stage+" "+content.paths[p.Path].Name)
	}
	if want := []string{"s00-raw a/zeta", "s01-parse z/alpha", "s01-parse a/beta"}; !slices.Equal(order, want) {
		t.Errorf("%q, want %q", order, want)
	}
	set, err := content.Compile(CompileOptions{Now: clock})
	if err != nil || !slices.Equal(set.Pipeline.Stages(), []string{"s00-raw", "s01-parse"}) {
		t.Errorf("%v, %v", set.Pipeline.Stages(), err)
	}
}

// TestCompileProblems: each says which item and where, and the rest loads.
func TestCompileProblems(t *testing.T) {
	dir := smallHub(t, true)
	c := open(t, Options{Hub: dir, Data: write(t, map[string]string{"web/list.txt": "a\n"})})
	content, err := c.Select(Selection{Parsers: []string{"a/broken", "a/beta", "a/with-data", "a/with-data-2"}, Scenarios: []string{"a/broken", "a/one", "a/two"}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := content.Compile(CompileOptions{Now: clock})
	var got []string
	for _, p := range Problems(err) {
		got = append(got, strings.TrimPrefix(p.Path, dir)+" "+p.Name)
		if p.Err == nil || p.Warn != (p.Name == "a/with-data-2") || !p.Warn && p.Line == 0 {
			t.Errorf("problem %+v", p)
		}
		if !c.Theirs(p) {
			t.Errorf("%v is the operator's", p)
		}
	}
	slices.Sort(got)
	want := []string{"/parsers/s01-parse/a/broken.yaml a/broken", "/parsers/s02-enrich/a/with-data-2.yaml a/with-data-2", "/scenarios/a/broken.yaml a/broken"}
	// The loader may find several faults in one item.
	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("problems of %q, want %q", got, want)
	}
	if n := len(set.Rules.All()); n != 3 {
		t.Errorf("%d scenarios, want 3", n)
	}
}

// TestWithoutIndex: the folders say what there is.
func TestWithoutIndex(t *testing.T) {
	c := open(t, Options{Hub: smallHub(t, false)})
	content, err := c.Select(Selection{Collections: []string{"a/all"}, Parsers: []string{"a/zeta", "a/nameless"}, Scenarios: []string{"a/two-1"}})
	if n := len(Problems(err)); n != 1 {
		t.Errorf("%d problems: %v", n, err)
	}
	want := []string{"contexts:a/context@", "parsers:a/beta@", "parsers:a/nameless@", "parsers:a/zeta@", "postoverflows:a/more@", "scenarios:a/one@", "scenarios:a/two-1@"}
	if got := picked(content); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if i, ok := c.Find(Parsers, "a/zeta"); !ok || i.Stage != "s00-raw" || i.Origin != Hub {
		t.Errorf("%+v", i)
	}
	if _, ok := c.Find(Scenarios, "a/README"); ok {
		t.Error("a text is an item")
	}
}

// TestLocal: the operator's own items stand before the Hub's, are all loaded when
// asked for, and may leave things out.
func TestLocal(t *testing.T) {
	own := write(t, map[string]string{
		"parsers/s01-parse/mine.yaml": named(parserText, "a/beta"),
		"parsers/s01-parse/.hidden":   "",
		"scenarios/quick.yaml":        "type: trigger\nfilter: \"true\"\n",
		"scenarios/notes.txt":         "",
		"contexts/c.yaml":             "who: [evt.Meta.user]\n",
		"post/s01-whitelist/w.yml":    named(parserText, "me/w"),
	})
	at := func(p string) []string { return []string{filepath.Join(own, p)} }
	c := open(t, Options{Hub: smallHub(t, true), Local: LocalPaths{Parsers: at("parsers"), Postoverflows: at("post"), Scenarios: at("scenarios"), Contexts: at("contexts/c.yaml")}})
	content, err := c.Select(Selection{Parsers: []string{"a/beta"}, Local: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"contexts:c@", "parsers:a/beta@", "postoverflows:me/w@", "scenarios:quick@"}
	if got := picked(content); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if i := content.Items[1]; i.Origin != Local || !strings.HasPrefix(i.Path, own) || i.Stage != "s01-parse" {
		t.Errorf("%+v", i)
	}
	set, err := content.Compile(CompileOptions{Now: clock})
	if err != nil || len(set.Rules.All()) != 1 || !set.Rules.All()[0].Remediation || set.Postoverflows == nil {
		t.Errorf("%v, %v", set.Rules.All(), err)
	}
	// By path, from anywhere.
	content, err = c.Select(Selection{Scenarios: at("scenarios/quick.yaml"), Parsers: at("parsers/s01-parse/mine.yaml")})
	if err != nil || len(content.Items) != 2 || content.Items[0].Stage != "s01-parse" || !content.Scenarios[0].Own {
		t.Errorf("%+v, %v", content.Items, err)
	}
	for name, l := range map[string]LocalPaths{"no folder": {Parsers: at("scenarios/quick.yaml")}, "nothing": {Scenarios: at("none.yaml")}} {
		if _, err := Open(Options{Local: l}); err == nil {
			t.Errorf("%s opens", name)
		}
	}
}

// TestOpenErrors: what cannot be opened at all.
func TestOpenErrors(t *testing.T) {
	for name, o := range map[string]Options{
		"no hub":           {Hub: filepath.Join(t.TempDir(), "none")},
		"a file":           {Hub: filepath.Join(write(t, map[string]string{"f": ""}), "f")},
		"a broken index":   {Hub: write(t, map[string]string{indexFile: "{"})},
		"an index of rags": {Hub: write(t, map[string]string{indexFile: `{"parsers": [1]}`})},
		"no data":          {Data: filepath.Join(t.TempDir(), "none")},
		"another folder":   {Hub: write(t, map[string]string{"hub/scenarios/a/b.yaml": ""})},
	} {
		if _, err := Open(o); err == nil {
			t.Errorf("%s opens", name)
		}
	}
	if _, err := Open(Options{Hub: write(t, map[string]string{indexFile: `{"parsers": {"a/b": null}}`})}); err != nil {
		t.Error(err)
	}
}

// TestData: files by the path of their URL, by dest_file, by either name anywhere.
func TestData(t *testing.T) {
	d := newData(write(t, map[string]string{
		"web/a.txt": "", "whitelists/deep/b.txt": "", "c.txt": "", "far/away/d-remote.txt": "", "far/e.txt": "", "x/y/z/e.txt": "", "f/f.txt/inner": "",
	}))
	for _, tt := range []struct{ url, dest, want string }{
		{"https://hub-data.crowdsec.net/web/a.txt", "local-a.txt", "web/a.txt"},
		{"https://example.org/anything/b.txt", "local-b.txt", "whitelists/deep/b.txt"},
		{"https://example.org/web/nothing.txt", "c.txt", "c.txt"},
		{"https://example.org/d-remote.txt?version=1", "d.txt", "far/away/d-remote.txt"},
		{"", "e.txt", "far/e.txt"},
		{"https://example.org/../../etc/passwd", "g.txt", "g.txt"},
		{"https://example.org/f/f.txt", "f.txt", "f.txt"},
		{"%zz", "../c.txt", "c.txt"},
		{"", "", ""},
	} {
		f := expression.DataFile{SourceURL: tt.url, DestFile: tt.dest}
		if got := d.Find(f); got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.url, tt.dest, got, tt.want)
		}
	}
	if d.Has(expression.DataFile{DestFile: "f.txt"}) || !d.Has(expression.DataFile{DestFile: "c.txt"}) {
		t.Error("a folder is a file, or a file is none")
	}
	if _, err := newData("").Open("x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if got := newData("").Find(expression.DataFile{DestFile: "x.txt"}); got != "x.txt" {
		t.Errorf("no folder: %q", got)
	}
}

// TestDatabases: an item may declare which files the two databases are.
func TestDatabases(t *testing.T) {
	geo := func(url string) string {
		return "name: a/geo\ndescription: d\ndata:\n  - source_url: " + url + "\n    dest_file: " + cityFile + "\nstatics:\n  - method: GeoIpCity\n    expression: evt.Meta.source_ip\n"
	}
	dir := write(t, map[string]string{"x/Test-City.mmdb": "broken", "mmdb_update/" + cityFile: "broken too"})
	for url, want := range map[string]string{"https://example.org/Test-City.mmdb": "Test-City.mmdb", "https://example.org/mmdb_update/" + cityFile: "mmdb_update"} {
		parser := write(t, map[string]string{"s02-enrich/geo.yaml": geo(url)})
		content, err := open(t, Options{Data: dir, Local: LocalPaths{Parsers: []string{parser}}}).Select(Selection{Local: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = content.Compile(CompileOptions{Now: clock})
		problems := Problems(err)
		if len(problems) != 1 || !problems[0].Warn || problems[0].Name != "a/geo" || !strings.Contains(problems[0].Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestStageOf(t *testing.T) {
	if got := stageOf("./.tests/x/parsers/s02-enrich/crowdsecurity/geo.yaml"); got != "s02-enrich" {
		t.Error(got)
	}
}

func TestNoProblems(t *testing.T) {
	if !reflect.DeepEqual(Problems(nil), []*Problem(nil)) {
		t.Error("no error has problems")
	}
}
