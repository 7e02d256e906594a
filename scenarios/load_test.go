package scenarios_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/scenarios"
)

func load(t testing.TB, item scenarios.Item) ([]*scenarios.Scenario, []string) {
	t.Helper()
	list, err := scenarios.Load(item, expression.New(expression.Options{}))
	var texts []string
	if err != nil {
		texts = strings.Split(err.Error(), "\n")
	}
	return list, texts
}

const good = `type: leaky
name: us/good
description: good
filter: evt.Meta.service == 'http'
groupby: evt.Meta.source_ip
capacity: 5
leakspeed: 10s
blackhole: 1m
`

// TestLoadSeed loads the operator's example exactly as it is written.
func TestLoadSeed(t *testing.T) {
	list, errs := load(t, scenarios.Item{Path: "scenarios.d/wordpress.yaml", Own: true, Data: []byte(`type: leaky
filter: evt.Meta.log_type == 'http_access-log' && evt.Meta.http_path == '/wp-login.php' && evt.Meta.http_status == '401'
groupby: evt.Meta.source_ip
capacity: 5
leakspeed: 10s
blackhole: 5m
labels:
  type: wordpress_bruteforce
`)})
	if len(errs) > 0 || len(list) != 1 {
		t.Fatal(errs)
	}
	s := list[0]
	if s.Name != "wordpress" || !s.Remediation || s.Hash != "" || s.Version != "" || s.Blackhole != 5*time.Minute ||
		s.Life() != time.Minute || s.Scope != "Ip" || s.Labels["type"] != "wordpress_bruteforce" {
		t.Errorf("got %+v", s)
	}
}

type loadCase struct {
	name, yaml string
	want       []string // parts of the errors, in order
	good       int
}

func loadCases() []loadCase {
	return []loadCase{
		{"good", good, nil, 1},
		{"several documents, empty ones between", "---\n" + good + "---\n---\n" + good + "---\n", nil, 2},
		{"nothing", "", nil, 0},
		{"unknown key", good + "bogus: 1\n", []string{`f.yaml:9: unknown key "bogus"`}, 0},
		{"unknown key below", good + "scope:\n  kind: Ip\n", []string{`f.yaml:10: unknown key "kind"`}, 0},
		{"key twice", good + "capacity: 6\n", []string{`f.yaml:9: mapping key "capacity" already defined`}, 0},
		{"wrong type", strings.Replace(good, "5", "many", 1), []string{"f.yaml:6: cannot unmarshal"}, 0},
		{"syntax", good + "---\na: [\n", []string{"f.yaml:"}, 1},
		{"not a mapping", "- a\n", []string{"f.yaml:1: cannot unmarshal"}, 0},
		{"one bad, one good", "type: leaky\nname: us/bad\n---\n" + good, []string{
			"f.yaml:1: description is mandatory", "f.yaml:1: invalid capacity '0': must be > 0",
			"f.yaml:1: leakspeed is required", "f.yaml:1: missing filter directive"}, 1},
		{"type", "name: a\ntype: leeky\n", []string{"f.yaml:2: invalid type 'leeky'"}, 0},
		{"days", strings.Replace(good, "10s", "1d", 1), []string{"f.yaml:7: leakspeed duration not valid '1d'"}, 0},
		{"zero leakspeed", strings.Replace(good, "10s", "0s", 1), []string{"f.yaml:7: invalid leakspeed '0s': must be > 0"}, 0},
		{"negative leakspeed", strings.Replace(good, "10s", "-1s", 1), []string{"f.yaml:7: invalid leakspeed '-1s'"}, 0},
		{"tiny leakspeed", strings.Replace(good, "10s", "10ns", 1), []string{"must be at least 1us"}, 0},
		{"endless", strings.Replace(strings.Replace(good, "10s", "80000h", 1), "5", "1000", 1), []string{"longer than 100 years"}, 0},
		{"blackhole", strings.Replace(good, "1m", "soon", 1), []string{"f.yaml:8: blackhole duration not valid 'soon'"}, 0},
		{"trigger with capacity", strings.Replace(good, "leaky", "trigger", 1), []string{"f.yaml:6: invalid capacity '5': must be 0"}, 0},
		{"trigger", "type: trigger\nname: us/t\ndescription: d\nfilter: '1 == 1'\nleakspeed: 3s\n", nil, 1},
		{"filter", strings.Replace(good, "== 'http'", "=== 1", 1), []string{"f.yaml:4: compiling filter: "}, 0},
		{"filter of a wrong type", strings.Replace(good, "evt.Meta.service == 'http'", "'text'", 1), []string{"f.yaml:4: compiling filter: "}, 0},
		{"groupby of a wrong type", strings.Replace(good, "evt.Meta.source_ip", "1 == 1", 1), []string{"f.yaml:5: compiling groupby: "}, 0},
		{"format", good + "format: 2.0\n", nil, 1},
		{"format of the future", good + "format: 4.0\n---\n" + good, []string{"f.yaml:9: format '4.0' is not supported"}, 1},
		{"format that is none", good + "format: new\n", []string{"f.yaml:9: invalid format 'new'"}, 0},
		{"scope Ip with expression", good + "scope:\n  type: Ip\n  expression: evt.Meta.a\n", []string{"f.yaml:11: filter is not allowed for IP scope"}, 0},
		{"scope without expression", good + "scope:\n  type: user\n", []string{"f.yaml:10: filter is mandatory for non-IP"}, 0},
		{"scope names are case-sensitive", good + "scope:\n  type: ip\n", []string{"f.yaml:10: filter is mandatory for non-IP"}, 0},
		{"scope", good + "scope:\n  type: user\n  expression: evt.Meta.user\n", nil, 1},
		{"condition", good + "condition: 'true'\n", nil, 1},
		{"duration", good + "duration: 1s\n", nil, 1},
		{"data file that is missing", good + "data:\n  - source_url: https://example.com/x\n    dest_file: x.txt\n    type: string\n", []string{"f.yaml:10: loading data file x.txt"}, 1},
		{"labels of any type", good + "labels:\n  a: 1\n  b: [x, y]\n  c: {d: e}\n  f: true\n  g: 1.5\n", nil, 1},
		{"the rest", good + "references: [a]\nversion: '1'\ndebug: true\nreprocess: true\ncache_size: 2\ndistinct: evt.Meta.a\ncancel_on: evt.Meta.b == 'c'\noverflow_filter: queue.L > 1\n", nil, 1},
	}
}

const (
	counter     = "type: counter\nname: us/c\ndescription: d\nfilter: '1 == 1'\ncapacity: -1\nduration: 1m\n"
	conditional = "type: conditional\nname: us/c\ndescription: d\nfilter: '1 == 1'\ncapacity: -1\nleakspeed: 1m\ncondition: len(queue.Queue) > 1\n"
	bayesian    = "type: bayesian\nname: us/b\ndescription: d\nfilter: '1 == 1'\ncapacity: -1\nleakspeed: 1m\nbayesian_prior: 0.5\n" +
		"bayesian_threshold: 0.8\nbayesian_conditions:\n  - condition: evt.Meta.a == 'b'\n    prob_given_evil: 0.8\n    prob_given_benign: 0.2\n    guillotine: true\n"
)

// typeCases are what the types ask for.
func typeCases() []loadCase {
	without := func(doc, line string) string { return strings.Replace(doc, line+"\n", "", 1) }
	with := strings.Replace
	return []loadCase{
		{"counter", counter, nil, 1},
		{"counter without duration", without(counter, "duration: 1m"), []string{"f.yaml:1: duration is required"}, 0},
		{"counter with a bad duration", with(counter, "1m", "1d", 1), []string{"f.yaml:6: duration not valid '1d'"}, 0},
		{"counter with capacity", with(counter, "-1", "1", 1), []string{"f.yaml:5: invalid capacity '1': must be -1"}, 0},
		{"counter without capacity", without(counter, "capacity: -1"), []string{"f.yaml:1: invalid capacity '0': must be -1"}, 0},
		{"conditional", conditional, nil, 1},
		{"conditional without condition", without(conditional, "condition: len(queue.Queue) > 1"), []string{"f.yaml:1: a condition is required"}, 0},
		{"conditional without leakspeed", without(conditional, "leakspeed: 1m"), []string{"f.yaml:1: leakspeed is required"}, 0},
		{"conditional with no leakspeed", with(conditional, "1m", "0s", 1), []string{"f.yaml:6: invalid leakspeed '0s': must be > 0"}, 0},
		{"conditional with capacity", with(conditional, "-1", "4", 1), []string{"f.yaml:5: capacity '4' bounds what the condition sees to 5 events"}, 1},
		{"conditional with a wrong capacity", with(conditional, "-1", "-2", 1), []string{"f.yaml:5: invalid capacity '-2': must be -1"}, 0},
		{"condition that is no condition", with(conditional, "len(queue.Queue) > 1", "len(queue.Queue)", 1), []string{"f.yaml:7: compiling condition: "}, 0},
		{"bayesian", bayesian, nil, 1},
		{"bayesian without leakspeed", without(bayesian, "leakspeed: 1m"), []string{"f.yaml:1: leakspeed is required"}, 0},
		{"bayesian with capacity", with(bayesian, "-1", "3", 1), []string{"f.yaml:5: capacity must be -1"}, 0},
		{"bayesian without a prior", without(bayesian, "bayesian_prior: 0.5"), []string{"f.yaml:1: invalid prior: must be > 0 and <= 1"}, 0},
		{"bayesian with a prior that is no number", with(bayesian, "0.5", ".nan", 1), []string{"f.yaml:7: invalid prior: must be > 0 and <= 1"}, 0},
		{"bayesian with a high threshold", with(bayesian, "threshold: 0.8", "threshold: 1.1", 1), []string{"f.yaml:8: invalid threshold: must be"}, 0},
		{"bayesian without conditions", bayesian[:strings.Index(bayesian, "bayesian_conditions")], []string{"f.yaml:1: bayesian conditions are required"}, 0},
		{"bayesian with a bad condition", with(bayesian, "evt.Meta.a == 'b'", "evt.Mata == 1", 1), []string{"f.yaml:10: compiling condition: "}, 0},
		{"bayesian with an empty condition", with(bayesian, "evt.Meta.a == 'b'", "''", 1), []string{"f.yaml:10: a condition is required"}, 0},
		{"bayesian with an unknown key", with(bayesian, "guillotine", "gallows", 1), []string{`f.yaml:13: unknown key "gallows"`}, 0},
		{"bayesian with too many conditions", bayesian + strings.Repeat("  - condition: 'true'\n", 64), []string{"f.yaml:9: 65 bayesian conditions: at most 64"}, 0},
		{"the second document", good + "---\n" + with(counter, "1m", "soon", 1), []string{"f.yaml:15: document 2: duration not valid 'soon'"}, 1},
		{"a key of the second document twice", good + "---\n" + counter + "duration: 2m\n", []string{`f.yaml:16: document 2: mapping key "duration" already defined`}, 1},
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range slices.Concat(loadCases(), typeCases()) {
		t.Run(c.name, func(t *testing.T) {
			list, errs := load(t, scenarios.Item{Path: "f.yaml", Data: []byte(c.yaml)})
			if len(list) != c.good {
				t.Errorf("%d good documents, want %d", len(list), c.good)
			}
			if len(errs) != len(c.want) {
				t.Fatalf("errors %q, want %q", errs, c.want)
			}
			for i := range errs {
				if !strings.Contains(errs[i], c.want[i]) {
					t.Errorf("error %q, want %q", errs[i], c.want[i])
				}
			}
		})
	}
}

func TestLoadItemError(t *testing.T) {
	_, err := scenarios.Load(scenarios.Item{Path: "f.yaml", Data: []byte(good + "bogus: 1\n")}, expression.New(expression.Options{}))
	var ie *scenarios.ItemError
	if !errors.As(err, &ie) || ie.Path != "f.yaml" || ie.Line != 9 || ie.Warn {
		t.Errorf("got %#v", ie)
	}
	if _, err := scenarios.Load(scenarios.Item{Path: "big", Data: make([]byte, 2<<20)}, nil); err == nil {
		t.Error("a file of 2 MiB was read")
	}
}

func TestLoadOwn(t *testing.T) {
	doc := func(labels string) string {
		return "type: trigger\nfilter: '1 == 1'\n" + labels + "---\n"
	}
	list, errs := load(t, scenarios.Item{Path: "/etc/s.d/my.rule.yaml", Own: true, Version: "9", Data: []byte(
		doc("") + doc("labels: {remediation: false}\n") + doc("labels: {remediation: 'true'}\n") + doc("labels: {remediation: true}\n") + doc("name: x/y\n"))})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	type short struct {
		Name        string
		Remediation bool
	}
	var got []short
	for _, s := range list {
		got = append(got, short{s.Name, s.Remediation})
	}
	want := []short{{"my.rule", true}, {"my.rule-2", false}, {"my.rule-3", false}, {"my.rule-4", true}, {"x/y", true}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	// A Hub item has none of these allowances.
	list, _ = load(t, scenarios.Item{Path: "a.yaml", Version: "9", Data: []byte(good)})
	if list[0].Remediation || list[0].Version != "9" || len(list[0].Hash) != 64 {
		t.Errorf("got %+v", list[0])
	}
}

func TestFingerprint(t *testing.T) {
	one := func(yaml string) string {
		list, errs := load(t, scenarios.Item{Path: "a.yaml", Data: []byte(yaml)})
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		return list[0].Fingerprint
	}
	same := one(good)
	if one(good+"labels: {remediation: true}\n") != same || one(strings.Replace(good, "description: good", "description: better", 1)) != same {
		t.Error("what only shows in alerts changes the fingerprint")
	}
	for _, other := range []string{
		strings.Replace(good, "5", "6", 1), strings.Replace(good, "10s", "11s", 1), good + "distinct: evt.Meta.a\n",
		strings.Replace(good, "'http'", "'ssh'", 1), strings.Replace(good, "1m", "2m", 1), good + "cache_size: 1\n",
		good + "duration: 1h\n", good + "condition: len(queue.Queue) > 1\n", good + "bayesian_threshold: 0.5\n", good + "bayesian_threshold: 0.6\n",
		good + "cancel_on: evt.Meta.a == ''\n", good + "scope: {type: Range}\n", strings.Replace(good, "us/good", "us/b", 1),
	} {
		if one(other) == same {
			t.Errorf("same fingerprint for\n%s", other)
		}
	}
}

// TestLoadHub loads the Hub: all of it must compile.
func TestLoadHub(t *testing.T) {
	dir := testkit.Shared(t, "hub", "scenarios")
	env := expression.New(expression.Options{})
	docs := 0
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(filepath.Ext(p), ".y") {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		list, err := scenarios.Load(scenarios.Item{Path: p, Data: data}, env)
		docs += len(list)
		for _, text := range strings.Split(errorText(err), "\n") {
			switch {
			case text == "" || strings.Contains(text, "loading data file"):
			default:
				t.Errorf("%s", text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if docs != 846 {
		t.Errorf("%d documents loaded, want 846", docs)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("---\na: &a [*a]\n"))
	f.Add([]byte(counter + "---\n" + conditional + "---\n" + bayesian))
	f.Add([]byte(conditional + "cache_size: 3\nduration: 5s\noverflow_filter: signal.Whitelisted\n"))
	f.Add([]byte("type: leaky\nfilter: 'evt.Meta.a =='\nlabels: {a: {1: 2}}\n"))
	env := expression.New(expression.Options{})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, own := range []bool{true, false} {
			list, _ := scenarios.Load(scenarios.Item{Path: "f.yaml", Data: data, Own: own}, env)
			r := scenarios.NewRules(list)
			m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) { o.Event() }})
			ev := &event.Event{Meta: map[string]string{"source_ip": "192.0.2.1"}}
			for range 3 {
				m.Pour(r.Drops(ev, scenarios.Whole, time.Now(), nil))
			}
			m.Flush()
		}
	})
}
