package hub

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const (
	rawParser = `name: t/raw
description: splits the line
filter: evt.Line.Labels.type == 'toy'
onsuccess: next_stage
grok:
  apply_on: Line.Raw
  pattern: '^%{TIMESTAMP_ISO8601:when} %{IP:ip} %{GREEDYDATA:rest}'
statics:
  - meta: source_ip
    expression: evt.Parsed.ip
  - meta: datasource_path
    expression: evt.Line.Src
  - target: evt.StrTime
    expression: evt.Parsed.when
`
	lateParser = `name: t/late
description: finds the number
nodes:
  - grok:
      apply_on: rest
      pattern: '^n=%{NUMBER:n}'
statics:
  - method: ParseDate
    expression: evt.StrTime
  - target: MarshaledTime
    expression: evt.Enriched.MarshaledTime
  - meta: timestamp
    expression: evt.Enriched.MarshaledTime
  - meta: label
    expression: evt.Line.Labels.extra
  - meta: module
    expression: evt.Line.Module
`
	toyScenario = `type: leaky
name: t/three
description: three in a row
filter: evt.Meta.source_ip != ''
groupby: evt.Meta.source_ip
capacity: 2
leakspeed: 10s
blackhole: 1m
labels: {remediation: true}
`
	toyLog = `2024-01-01T00:00:00Z 192.0.2.7 n=1
2024-01-01T00:00:01Z 192.0.2.7 n=2

2024-01-01T00:00:02Z 192.0.2.7 word
2024-01-01T00:00:03Z 192.0.2.8 n=4` + "\r" + `
2024-01-01T00:00:04Z 192.0.2.7 n=5
junk
`
	toyConfig = "parsers: [t/raw, t/late]\nscenarios: [t/three, \"\"]\npostoverflows: [\"\"]\nlog_file: toy.log\nlog_type: toy\nunknown_key: [x]\n"
	toyParser = `len(results) == 3
len(results["s00-raw"]["t/raw"]) == 6
len(results["s02-enrich"]["t/late"]) == 5

results["s02-enrich"]["t/late"][2].Success == false
results["s02-enrich"]["t/late"][0].Evt.Meta["datasource_path"] == "toy.log"
results["s02-enrich"]["t/late"][3].Evt.Parsed["n"] == "4"
results["s02-enrich"]["t/late"][0].Idx == 1
results["s00-raw"]["t/raw"][5].Success == false
`
	toyAssert = `len(results) == 1
"192.0.2.7" in results[0].Overflow.GetSources()
results[0].Overflow.Alert.GetEventsCount() == 3
results[0].Overflow.Alert.Events[2].GetMeta("timestamp") == "2024-01-01T00:00:04Z"
`
)

// toyHub is a Hub of ours with tests, as name/file → text.
func toyHub(t *testing.T, tests map[string]string) *Catalogue {
	t.Helper()
	files := map[string]string{
		"parsers/s00-raw/t/raw.yaml":     rawParser,
		"parsers/s02-enrich/t/late.yaml": lateParser,
		"scenarios/t/three.yaml":         toyScenario,
	}
	for name, text := range tests {
		files[testsDir+"/"+name] = text
	}
	return open(t, Options{Hub: write(t, files)})
}

// toyTest is the test that passes, with some of its files replaced.
func toyTest(name string, with map[string]string) map[string]string {
	files := map[string]string{configFile: toyConfig, "toy.log": toyLog, parserFile: toyParser, scenarioFile: toyAssert}
	for k, v := range with {
		files[k] = v
	}
	out := map[string]string{}
	for k, v := range files {
		out[name+"/"+k] = v
	}
	return out
}

// TestRunner: what makes a test pass, fail or neither, and that none of them touches
// another.
func TestRunner(t *testing.T) {
	cases := map[string]struct {
		with map[string]string
		says []string // part of each failure, in order; nil: it passes
	}{
		"passes":          {nil, nil},
		"false":           {map[string]string{scenarioFile: strings.Replace(toyAssert, "== 3", "== 4", 1)}, []string{"scenario.assert:3: results[0].Overflow.Alert.GetEventsCount() == 4: it is 3"}},
		"false-in":        {map[string]string{scenarioFile: strings.Replace(toyAssert, `"192.0.2.7" in`, `"192.0.2.9" in`, 1)}, []string{"scenario.assert:2: "}},
		"raises":          {map[string]string{parserFile: toyParser + "results[\"s00-raw\"][\"t/raw\"][6].Success == true\n" + "len(results) == 4\n"}, []string{"parser.assert:10: results[\"s00-raw\"][\"t/raw\"][6].Success == true: ", "parser.assert:11: len(results) == 4: it is 3"}},
		"no-bool":         {map[string]string{parserFile: "len(results)\n"}, []string{"parser.assert:1: len(results): "}},
		"empty":           {map[string]string{parserFile: "\n", scenarioFile: ""}, []string{"it has no assertions", "it has no assertions"}},
		"ignores":         {map[string]string{configFile: toyConfig + "ignore_parsers: true\n", parserFile: ""}, nil},
		"unasserted":      {map[string]string{configFile: strings.Replace(toyConfig, "[t/three, \"\"]", "", 1), scenarioFile: "len(results) == 7\n"}, nil},
		"expects":         {map[string]string{configFile: toyConfig + "expect_failure: true\n", scenarioFile: "len(results) == 7\n"}, nil},
		"expects-in-vain": {map[string]string{configFile: toyConfig + "expect_failure: true\n"}, []string{"it expects an assertion to fail"}},
		"unknown-item":    {map[string]string{configFile: strings.Replace(toyConfig, "t/late", "t/lato", 1)}, []string{"parser t/lato: there is none of this name; did you mean t/late?"}},
		"broken-item":     {map[string]string{configFile: strings.Replace(toyConfig, "t/late", "./parsers/s02-enrich/own/x.yaml", 1), "parsers/s02-enrich/own/x.yaml": "name: x\nbogus: 1\n"}, []string{"x.yaml:"}},
		"own-item": {map[string]string{configFile: strings.Replace(toyConfig, "t/late", "./parsers/s02-enrich/own/x.yaml", 1), "parsers/s02-enrich/own/x.yaml": strings.Replace(lateParser, "t/late", "own/x", 1),
			parserFile: "len(results[\"s02-enrich\"][\"own/x\"]) == 5\n"}, nil},
		"overrides": {map[string]string{configFile: toyConfig + "override_statics:\n  - target: evt.Line.Module\n    value: other\n",
			parserFile: "results[\"s00-raw\"][\"overrides\"][0].Success == true\nresults[\"s00-raw\"][\"overrides\"][0].Idx == 1\nresults[\"s02-enrich\"][\"t/late\"][0].Evt.Meta[\"module\"] == \"other\"\n"}, nil},
		"labels":      {map[string]string{configFile: toyConfig + "labels:\n  extra: map\n", parserFile: "results[\"s02-enrich\"][\"t/late\"][0].Evt.Meta[\"label\"] == \"map\"\n"}, nil},
		"label-list":  {map[string]string{configFile: toyConfig + "labels:\n  - extra: list\n", parserFile: "results[\"s02-enrich\"][\"t/late\"][0].Evt.Meta[\"label\"] == \"list\"\n"}, nil},
		"label-texts": {map[string]string{configFile: toyConfig + "labels: [\"extra=text\", \"\"]\n", parserFile: "results[\"s02-enrich\"][\"t/late\"][0].Evt.Meta[\"label\"] == \"text\"\n"}, nil},
		"no-log":      {map[string]string{configFile: strings.Replace(toyConfig, "toy.log", "none.log", 1)}, []string{"reading the log of test no-log"}},
		"no-line":     {map[string]string{"toy.log": "\n"}, []string{"parser.assert: no line reached a parser", "len(results) == 1: it is 0", "scenario.assert:2", "scenario.assert:3", "scenario.assert:4"}},
		"no-yaml":     {map[string]string{configFile: "parsers: {"}, []string{"reading config.yaml of test no-yaml"}},
	}
	tests := map[string]string{"nothing/readme.txt": "", ".hidden/config.yaml": "", "waf/config.yaml": "nuclei_template: x.yaml\n"}
	for name, tt := range cases {
		for k, v := range toyTest(name, tt.with) {
			tests[k] = v
		}
	}
	var done []string
	r := newTestRunner(t, toyHub(t, tests), RunnerOptions{Jobs: 3, Done: func(one Result) { done = append(done, one.Name) }})
	report, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != len(cases)+1 || len(done) != len(report.Results) || report.Skipped != 1 {
		t.Errorf("%d results, %d told of, %d skipped", len(report.Results), len(done), report.Skipped)
	}
	for _, one := range report.Results {
		if one.Name == "waf" {
			if one.Passed || one.Skipped == "" {
				t.Errorf("%+v", one)
			}
			continue
		}
		tt := cases[one.Name]
		if one.Passed != (len(tt.says) == 0) || len(one.Failures) != len(tt.says) {
			t.Errorf("%s: passed %v: %v", one.Name, one.Passed, one.Failures)
			continue
		}
		for i, says := range tt.says {
			if !strings.Contains(one.Failures[i].String(), says) {
				t.Errorf("%s: failure %d is %q, want %q", one.Name, i, one.Failures[i], says)
			}
		}
	}
	if g := report.Results[slices.IndexFunc(report.Results, func(r Result) bool { return r.Name == "empty" })].Generated; !strings.Contains(g[scenarioFile], "len(results) == 1\n") {
		t.Errorf("generated %q", g)
	}
	one, results := r.RunOne(t.Context(), "missing")
	if one.Passed || results != nil || len(one.Failures) != 1 {
		t.Errorf("a test that is not there: %+v", one)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Run(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run: %v", err)
	}
}

// TestCreate: what is generated for a log holds of it, and is left alone afterwards.
func TestCreate(t *testing.T) {
	c := toyHub(t, map[string]string{".keep": ""})
	r := newTestRunner(t, c, RunnerOptions{})
	o := CreateOptions{Name: "new", Type: "toy", Parsers: []string{"t/raw", "t/late"}, Scenarios: []string{"t/three"}, Log: []byte(toyLog + "2024-01-01T00:00:09Z 192.0.2.9 \"quoted\" \\ back\n")}
	paths, err := r.Create(t.Context(), o)
	if err != nil || len(paths) != 4 {
		t.Fatalf("%q, %v", paths, err)
	}
	report, err := r.Run(t.Context(), "new")
	if err != nil || report.Passed != 1 || report.Assertions < 80 {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := r.Create(t.Context(), o); err == nil {
		t.Error("a test is written over")
	}
	o.Name, o.Log = "later", nil
	if paths, err := r.Create(t.Context(), o); err != nil || len(paths) != 4 {
		t.Errorf("without a log: %q, %v", paths, err)
	}
	for _, bad := range []CreateOptions{{}, {Name: "../x", Type: "toy"}, {Name: "x"}, {Name: ".x", Type: "toy"}} {
		if _, err := r.Create(t.Context(), bad); err == nil {
			t.Errorf("%+v is created", bad)
		}
	}
	o = CreateOptions{Name: "wrong", Type: "toy", Parsers: []string{"t/none"}, Log: []byte("x\n")}
	if _, err := r.Create(t.Context(), o); err == nil || !strings.Contains(err.Error(), "t/none") {
		t.Errorf("a test of nothing: %v", err)
	}
}

// TestCoverage: items count by the names of their documents.
func TestCoverage(t *testing.T) {
	tests := toyTest("one", nil)
	for k, v := range toyTest("two", map[string]string{scenarioFile: toyAssert + `results[0].Overflow.Alert.GetScenario() == "t/three"` + "\n"}) {
		tests[k] = v
	}
	cover, err := newTestRunner(t, toyHub(t, tests), RunnerOptions{}).Coverage()
	if err != nil {
		t.Fatal(err)
	}
	if len(cover.Parsers) != 2 || Percent(cover.Parsers) != 100 || !slices.Equal(cover.Parsers[0].Tests, []string{"one", "two"}) {
		t.Errorf("%+v", cover.Parsers)
	}
	if len(cover.Scenarios) != 1 || !slices.Equal(cover.Scenarios[0].Tests, []string{"two"}) {
		t.Errorf("%+v", cover.Scenarios)
	}
	if Percent(nil) != 0 || Percent([]Covered{{}, {Tests: []string{"a"}}}) != 50 {
		t.Error("percentages")
	}
}

// TestDumps: they are there, and say by CrowdSec's names what the run left.
func TestDumps(t *testing.T) {
	dir := t.TempDir()
	r := newTestRunner(t, toyHub(t, toyTest("one", nil)), RunnerOptions{Dump: dir})
	if report, err := r.Run(t.Context()); err != nil || report.Passed != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	read := func(name string, into any) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, "one", name))
		if err == nil {
			err = yaml.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	type event struct {
		Stage string `yaml:"Stage"`
		Line  struct {
			Raw string `yaml:"Raw"`
		} `yaml:"Line"`
		Meta     map[string]string `yaml:"Meta"`
		Overflow struct {
			Alert struct {
				EventsCount int `yaml:"eventscount"`
				Events      []struct {
					Meta []struct{ Key, Value string }
				}
			} `yaml:"Alert"`
			Sources map[string]struct{ IP string } `yaml:"Sources"`
		} `yaml:"Overflow"`
	}
	var nodes map[string]map[string][]struct {
		Idx     int   `yaml:"Idx"`
		Evt     event `yaml:"Evt"`
		Success bool  `yaml:"Success"`
	}
	read(parserDump, &nodes)
	if len(nodes) != 3 || len(nodes["s00-raw"]["t/raw"]) != 6 || nodes["s00-raw"]["t/raw"][0].Evt.Stage != "s02-enrich" || !nodes["s00-raw"]["t/raw"][0].Success {
		t.Errorf("%+v", nodes)
	}
	var overflows []event
	read(overflowDump, &overflows)
	if len(overflows) != 1 || overflows[0].Overflow.Alert.EventsCount != 3 || overflows[0].Overflow.Sources["192.0.2.7"].IP != "192.0.2.7" ||
		len(overflows[0].Overflow.Alert.Events) != 3 || overflows[0].Overflow.Alert.Events[0].Meta[0].Key == "" {
		t.Errorf("%+v", overflows)
	}
	var pours map[string][]event
	read(pourDump, &pours)
	if len(pours["OK"]) != 4 || len(pours["t/three"]) != 4 || pours["OK"][0].Line.Raw == "" {
		t.Errorf("%+v", pours)
	}
}

// TestReread: what a decoded tree is after a way through YAML, held to the real way.
func TestReread(t *testing.T) {
	tree := map[string]any{"whole": 443.0, "million": 1e6, "below": 999999.0, "part": 0.333333, "big": 1e21, "minus": -4.0, "text": "2024-01-01T00:00:00Z",
		"number": "12", "yes": true, "nothing": nil, "list": []any{1.0, "a", map[string]any{"x": 2.0}}, "texts": []string{"a", "b"},
		"map": map[string]string{"k": "v"}, "odd": "a: b # c\n\ttab", "empty": "", "any": map[any]any{"k": 1.0}, "int": 7}
	data, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := yaml.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	got, _ := reread(tree).(map[string]any)
	for k, w := range want {
		if show(got[k]) != show(w) || reflect.TypeOf(got[k]) != reflect.TypeOf(w) {
			t.Errorf("%s: %T %v, the real way %T %v", k, got[k], got[k], w, w)
		}
	}
}
