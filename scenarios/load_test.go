package scenarios_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
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
		{"counter", "type: counter\nname: us/c\n", []string{"f.yaml:1: type counter comes with a later release"}, 0},
		{"conditional", "type: conditional\ncondition: 'true'\n", []string{"type conditional comes with a later release"}, 0},
		{"bayesian", "type: bayesian\nbayesian_prior: 0.5\nbayesian_threshold: 0.8\nbayesian_conditions: [{condition: a, prob_given_evil: 1, prob_given_benign: 0, guillotine: true}]\n",
			[]string{"type bayesian comes with a later release"}, 0},
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
		{"scope Ip with expression", good + "scope:\n  type: Ip\n  expression: evt.Meta.a\n", []string{"f.yaml:9: filter is not allowed for IP scope"}, 0},
		{"scope without expression", good + "scope:\n  type: user\n", []string{"f.yaml:9: filter is mandatory for non-IP"}, 0},
		{"scope names are case-sensitive", good + "scope:\n  type: ip\n", []string{"f.yaml:9: filter is mandatory for non-IP"}, 0},
		{"scope", good + "scope:\n  type: user\n  expression: evt.Meta.user\n", nil, 1},
		{"condition", good + "condition: 'true'\n", []string{"f.yaml:9: condition on type leaky comes with a later release"}, 0},
		{"duration", good + "duration: 1s\n", []string{"f.yaml:9: duration on type leaky comes with a later release"}, 0},
		{"data file that is missing", good + "data:\n  - source_url: https://example.com/x\n    dest_file: x.txt\n    type: string\n", []string{"f.yaml:9: loading data file x.txt"}, 1},
		{"labels of any type", good + "labels:\n  a: 1\n  b: [x, y]\n  c: {d: e}\n  f: true\n  g: 1.5\n", nil, 1},
		{"the rest", good + "references: [a]\nversion: '1'\ndebug: true\nreprocess: true\ncache_size: 2\ndistinct: evt.Meta.a\ncancel_on: evt.Meta.b == 'c'\noverflow_filter: queue.L > 1\n", nil, 1},
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range loadCases() {
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
		good + "cancel_on: evt.Meta.a == ''\n", good + "scope: {type: Range}\n", strings.Replace(good, "us/good", "us/b", 1),
	} {
		if one(other) == same {
			t.Errorf("same fingerprint for\n%s", other)
		}
	}
}

// TestLoadHub loads the Hub: everything but what comes later must compile.
func TestLoadHub(t *testing.T) {
	dir := filepath.Join(shared(t), "hub", "scenarios")
	env := expression.New(expression.Options{})
	docs, bad := 0, map[string]int{}
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
			case strings.Contains(text, "comes with a later release"), strings.Contains(text, "event.Appsec has no"):
				// The second is of the WAF's events, which come with the WAF.
				bad["later"]++
			default:
				bad["other"]++
				t.Errorf("%s", text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d documents, %v", docs, bad)
	if docs < 820 {
		t.Errorf("only %d documents loaded", docs)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func shared(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("RAMPART_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("needs the shared reference material: %v", err)
	}
	return dir
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("---\na: &a [*a]\n"))
	f.Add([]byte("type: leaky\nfilter: 'evt.Meta.a =='\nlabels: {a: {1: 2}}\n"))
	env := expression.New(expression.Options{})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, own := range []bool{true, false} {
			list, _ := scenarios.Load(scenarios.Item{Path: "f.yaml", Data: data, Own: own}, env)
			r := scenarios.NewRules(list)
			m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) { o.Event() }})
			ev := &event.Event{Meta: map[string]string{"source_ip": "192.0.2.1"}}
			m.Pour(r.Drops(ev, scenarios.Whole, time.Now(), nil))
		}
	})
}
