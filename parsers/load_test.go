package parsers

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/rampart-edge/rampart/event"
)

func TestFormat(t *testing.T) {
	for format, ok := range map[string]bool{
		"": true, "1.0": true, "1": true, "1.0.1": true, "2.0": true, "2.9": true, "3.0": true, "3": true, "3.0.0": true,
		"0.9": false, "3.1": false, "3.0.1": false, "4.0": false, "x": false, "1.": false, "-1": false, "1.0.0.0": false, "1e0": false,
	} {
		yaml := "name: n\nstatics: [{meta: a, value: b}]\n"
		if format != "" {
			yaml = "format: " + format + "\n" + yaml
		}
		p, err := Load(staged("s00", yaml), testEnv(), Options{Now: clock})
		if (err == nil) != ok || p.Parse(line("t", "x")).Parsed != ok && len(p.Stages()) > 0 {
			t.Errorf("format %q: %v", format, err)
		}
	}
}

// TestOrder: nodes run by stage, then by the name of the file, then by document,
// whatever order and folders the items come in.
func TestOrder(t *testing.T) {
	item := func(path, stage string, names ...string) Item {
		var docs []string
		for _, n := range names {
			docs = append(docs, fmt.Sprintf("name: %s\nstatics: [{parsed: a, value: b}]\n", n))
		}
		return Item{Path: path, Stage: stage, Data: []byte(strings.Join(docs, "---\n"))}
	}
	p := load(t, []Item{
		item("x/a.yaml", "s01-parse", "parse-a"),
		item("hub/s00-raw/author/b.yml", "s00-raw", "raw-b1", "raw-b2"),
		item("hub/s00-raw/zoe/a.yaml", "s00-raw", "raw-a"),
		item("local/B.yaml", "s00-raw", "raw-B"),
		item("x/a-b.yaml", "s01-parse", "parse-a-b"),
		item("x/0.yaml", "s00-raw", "raw-0"),
	})
	var got []string
	ev := line("t", "x")
	for _, stage := range p.Stages() {
		ev.Stage = stage
		p.Observe(ev, func(at, node string, _ *event.Event, _ bool) {
			if at == stage {
				got = append(got, node)
			}
		})
	}
	want := []string{"raw-0", "raw-B", "raw-a", "raw-b1", "raw-b2", "parse-a-b", "parse-a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

// TestStrict: unknown and duplicate keys are errors at every level, with line and
// document, and several of one document are several errors.
func TestStrict(t *testing.T) {
	cases := []struct {
		name, yaml string
		want       []string
	}{
		{"two in one document", "name: n\nfiltr: x\nstatiks: []\nstatics: [{meta: a, value: b}]\n",
			[]string{`p.yaml:2: unknown key "filtr": remove it or correct its spelling`, `p.yaml:3: unknown key "statiks": remove it or correct its spelling`}},
		{"in a child", "name: n\nnodes:\n  - statics: [{meta: a, value: b}]\n    onsucces: next_stage\n", []string{`p.yaml:4: unknown key "onsucces": remove it or correct its spelling`}},
		{"in a grok", "name: n\ngrok:\n  pattern: '%{WORD:x}'\n  applyon: message\n", []string{`p.yaml:4: unknown key "applyon": remove it or correct its spelling`}},
		{"in a static", "name: n\nstatics:\n  - meta: a\n    valu: b\n", []string{`p.yaml:4: unknown key "valu": remove it or correct its spelling`}},
		{"in a whitelist", "name: n\nwhitelist:\n  ips: [192.0.2.1]\n", []string{`p.yaml:3: unknown key "ips": remove it or correct its spelling`}},
		{"in a stash", "name: n\nstash:\n  - name: a\n    tll: 1s\n", []string{`p.yaml:4: unknown key "tll": remove it or correct its spelling`}},
		{"in data", "name: n\ndata:\n  - source: x\n", []string{`p.yaml:3: unknown key "source": remove it or correct its spelling`}},
		{"twice", "name: n\nstatics: [{meta: a, value: b}]\nname: m\n", []string{`p.yaml:3: key "name" is here twice, first in line 1: remove one`}},
		{"twice in a child", "name: n\nnodes:\n  - name: a\n    name: b\n", []string{`p.yaml:4: key "name" is here twice, first in line 3: remove one`}},
		{"twice in patterns", "name: n\npattern_syntax:\n  A: a\n  A: b\nstatics: [{meta: a, value: b}]\n", []string{`p.yaml:4: key "A" is here twice, first in line 3: remove one`}},
		{"in the second document, after comments", "# one\n---\nname: n\nstatics: [{meta: a, value: b}]\n---\n# two\nname: n\nx: 1\n",
			[]string{`p.yaml:8 (document 2): unknown key "x": remove it or correct its spelling`}},
		{"in a later one, after a fault", "name: n\nx: 1\n---\nname: m\nstatics: [{meta: a, value: b}]\n---\nname: o\ny: 1\n",
			[]string{`p.yaml:2: unknown key "x": remove it or correct its spelling`, `p.yaml:8 (document 3): unknown key "y": remove it or correct its spelling`}},
		{"a list of documents", "- name: n\n", []string{"p.yaml:1: a list does not fit here"}},
		{"a text for a number", "name: n\nstash:\n  - size: many\n", []string{"p.yaml:3: a text does not fit here: many"}},
		{"syntax", "name: n\nstatics: [\n", []string{"p.yaml:2: reading YAML: did not find expected node content"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load([]Item{{Path: "p.yaml", Stage: "s00", Data: []byte(c.yaml)}}, testEnv(), Options{Now: clock})
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.Split(err.Error(), "\n")
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Fatal(diff)
			}
			var item *ItemError
			if !errors.As(err, &item) || item.Path != "p.yaml" || item.Line == 0 || item.Document == 0 {
				t.Fatalf("%+v", item)
			}
		})
	}
}

// TestPatternNames: where the names of pattern_syntax count.
func TestPatternNames(t *testing.T) {
	grok := func(name, extra string) string {
		return "name: " + name + "\ngrok: {apply_on: Line.Raw, pattern: '%{" + name + ":x}'}\n" + extra
	}
	cases := []struct {
		name  string
		items []Item
		want  string // of x; "error" where it does not load
	}{
		{"own", staged("s00", grok("MINE", "pattern_syntax: {MINE: 'b+'}\n")), "bb"},
		{"nested before use", staged("s00", grok("MINE", "pattern_syntax: {MINE: '%{PART}c', PART: 'b+'}\n")), "bbc"},
		{"a child's, for a later child", staged("s00", "name: n\nnodes:\n  - pattern_syntax: {MINE: 'b+'}\n    filter: 'false'\n    statics: [{meta: a, value: b}]\n  - grok: {apply_on: Line.Raw, pattern: '%{MINE:x}'}\n"), "bb"},
		{"an earlier document's", staged("s00", "name: n\npattern_syntax: {MINE: 'b+'}\nstatics: [{meta: a, value: b}]\n---\n"+grok("MINE", "")), "bb"},
		{"an earlier file's", staged("s00", "name: n\npattern_syntax: {MINE: 'b+'}\nstatics: [{meta: a, value: b}]\n", "s01", grok("MINE", "")), "error in s00"},
		{"a later file's", staged("s00", grok("MINE", ""), "s01", "name: n\npattern_syntax: {MINE: 'b+'}\nstatics: [{meta: a, value: b}]\n"), "error"},
		{"two files, one name", staged("s00", "name: n\npattern_syntax: {MINE: 'a+'}\nstatics: [{meta: a, value: b}]\n", "s00", grok("MINE", "pattern_syntax: {MINE: 'b+'}\n")), "bb"},
		{"the first of two in one file", staged("s00", "name: n\npattern_syntax: {MINE: 'a+'}\nstatics: [{meta: a, value: b}]\n---\n"+grok("MINE", "pattern_syntax: {MINE: 'b+'}\n")), "a"},
		{"the library's stays", staged("s00", grok("WORD", "pattern_syntax: {WORD: 'b+'}\n")), "abbc"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, err := Load(c.items, testEnv(), Options{Now: clock})
			if (err != nil) != (c.want == "error") {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			ev := line("t", "abbc")
			ev.Stage = "s00"
			if strings.HasSuffix(c.want, "in s00") {
				ev.Stage, c.want = "s01", "bb" // that the name is known is what counts
			}
			p.Parse(ev)
			if ev.Parsed["x"] != c.want {
				t.Fatalf("x is %q, want %q", ev.Parsed["x"], c.want)
			}
		})
	}
}

// TestMissingData: a data file that is not there is a warning, and what asks it
// finds nothing.
func TestMissingData(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	items := staged("s00", "name: n\ndata: [{source_url: 'https://example.com/l', dest_file: l.txt, type: string}]\nfilter: not any(File('l.txt'), {# == 'x'})\nstatics: [{meta: a, value: b}]\n")
	p, err := Load(items, testEnv(), Options{Now: clock, Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	if out := p.Parse(line("t", "x")); !out.Parsed || logs.FilterField(zap.String("file", "l.txt")).Len() != 1 {
		t.Fatalf("%+v, %v", out, logs.All())
	}
}

// FuzzLoad: no file breaks the loader, every fault names its file, and what loads
// runs.
func FuzzLoad(f *testing.F) {
	for _, item := range builtinItems(f) {
		f.Add(item.Data)
	}
	for _, s := range []string{"", "name: n\nstatics: [{meta: a, value: b}]\n", "&a [*a]", "a: &x {b: *x}\n", "---\n---\n", "name: {a: b}\n---\nname: [", "name: n\nnodes: [{nodes: [{nodes: []}]}]\n",
		"name: n\n<<: {name: m}\n", "? [a]\n: b\n", "name: !!binary aGk=\nstatics: [{meta: a, expression: \"'\\xff'\"}]", "\xff\xfe", "name: n\nwhitelist: {ip: ['::1'], expression: ['true']}\n", "name: n\ngrok: {pattern: '%{A}', apply_on: Line.Raw}\npattern_syntax: {A: '(', B: '%{A}'}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		p, err := Load([]Item{{Path: "any.yaml", Stage: "s00", Data: data}}, testEnv(), Options{Now: clock})
		if err != nil {
			for _, text := range strings.Split(err.Error(), "\nany.yaml") {
				if !strings.HasPrefix(text, "any.yaml") && !strings.HasPrefix(text, ":") && !strings.HasPrefix(text, " (") {
					t.Fatalf("a fault without its file: %q", err)
				}
			}
		}
		p.Parse(line("t", "some text 1"))
	})
}
