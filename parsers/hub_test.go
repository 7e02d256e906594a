package parsers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// hubTest is the config.yaml of one Hub test, as far as parsers are concerned.
type hubTest struct {
	Parsers         []string          `yaml:"parsers"`
	LogFile         string            `yaml:"log_file"`
	LogType         string            `yaml:"log_type"`
	Labels          map[string]string `yaml:"labels"`
	IgnoreParsers   bool              `yaml:"ignore_parsers"`
	OverrideStatics yaml.Node         `yaml:"override_statics"`
}

// TestHub runs the parser assertions of the Hub's own tests with the Hub's
// parsers. Scenario assertions are not ours, and tests without parser assertions
// show nothing here: they are counted apart.
func TestHub(t *testing.T) {
	hub := testkit.Shared(t, "hub")
	entries, err := os.ReadDir(filepath.Join(hub, ".tests"))
	if err != nil {
		t.Fatal(err)
	}
	index := hubIndex(t, hub)
	asserting, passed, assertions := 0, 0, 0
	for _, e := range entries {
		bad, n := runHubTest(hub, e.Name(), index)
		assertions += n
		if n == 0 && len(bad) == 0 {
			continue
		}
		asserting++
		if len(bad) == 0 {
			passed++
			continue
		}
		t.Errorf("%s: %d of %d assertions false, first: %s", e.Name(), len(bad), n, bad[0])
	}
	if asserting == 0 {
		t.Fatal("no test asserts anything")
	}
	t.Logf("of %d Hub tests %d assert something about parsers: %d pass; %d assertions", len(entries), asserting, passed, assertions)
}

func hubIndex(t *testing.T, hub string) map[string]string {
	data, err := os.ReadFile(filepath.Join(hub, ".index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Parsers map[string]struct{ Path string }
	}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{}
	for name, p := range index.Parsers {
		paths[name] = p.Path
	}
	return paths
}

// runHubTest returns the assertions that failed and how many there were.
func runHubTest(hub, name string, index map[string]string) (bad []string, lines int) {
	dir := filepath.Join(hub, ".tests", name)
	var config hubTest
	data, err := os.ReadFile(filepath.Join(dir, "config.yaml"))
	if err == nil {
		err = yaml.Unmarshal(data, &config)
	}
	if err != nil {
		return []string{err.Error()}, 0
	}
	asserts, err := os.ReadFile(filepath.Join(dir, "parser.assert"))
	if config.IgnoreParsers || err != nil || len(bytes.TrimSpace(asserts)) == 0 {
		return nil, 0
	}
	items, err := hubItems(hub, dir, &config, index)
	if err != nil {
		return []string{err.Error()}, 0
	}
	// The year in which the assertions about dates without a year were made.
	now := func() time.Time { return clock().AddDate(1, 0, 0) }
	env := expression.New(expression.Options{Now: now, Data: os.DirFS(filepath.Join(hub, "..", "hub-data"))})
	p, err := Load(items, env, Options{Now: now})
	if err != nil {
		bad = append(bad, err.Error())
	}
	results, err := replay(p, dir, &config)
	if err != nil {
		return append(bad, err.Error()), 0
	}
	for _, a := range strings.Split(string(asserts), "\n") {
		if a = strings.TrimSpace(a); a == "" {
			continue
		}
		lines++
		if err := check(results, a); err != nil {
			bad = append(bad, fmt.Sprintf("%s: %v", a, err))
		}
	}
	return bad, lines
}

func hubItems(hub, dir string, config *hubTest, index map[string]string) ([]Item, error) {
	var items []Item
	for _, name := range config.Parsers {
		if name == "" {
			continue
		}
		path, ok := index[name]
		full := filepath.Join(hub, path)
		if !ok {
			full = filepath.Join(hub, name)
			if _, err := os.Stat(full); err != nil {
				full = filepath.Join(dir, name)
			}
		}
		data, err := os.ReadFile(full)
		if err != nil {
			return nil, err
		}
		stage := filepath.Base(filepath.Dir(filepath.Dir(full)))
		items = append(items, Item{Path: stage + "/" + filepath.Base(full), Stage: stage, Data: data})
	}
	if len(config.OverrideStatics.Content) > 0 {
		data, err := yaml.Marshal(map[string]any{"name": "overrides", "filter": "1==1", "statics": &config.OverrideStatics})
		if err != nil {
			return nil, err
		}
		items = append(items, Item{Path: "s00-raw/00_overrides.yaml", Stage: "s00-raw", Data: data})
	}
	return items, nil
}

// replay runs the log and records the event after every node, as the Hub's
// runner dumps it.
func replay(p *Pipeline, dir string, config *hubTest) (map[string]map[string][]any, error) {
	f, err := os.Open(filepath.Join(dir, config.LogFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	results := map[string]map[string][]any{"success": {"": nil}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		ev := line(config.LogType, lines.Text())
		ev.Line.Src = filepath.Join(dir, config.LogFile)
		for k, v := range config.Labels {
			ev.SetLabel(k, v)
		}
		p.Observe(ev, func(stage, node string, ev *event.Event, ok bool) {
			if results[stage] == nil {
				results[stage] = map[string][]any{}
			}
			results[stage][node] = append(results[stage][node], map[string]any{"Success": ok, "Evt": dump(ev)})
		})
	}
	return results, lines.Err()
}

func dump(ev *event.Event) map[string]any {
	text := func(m map[string]string) map[string]any {
		out := map[string]any{}
		for k, v := range m {
			out[k] = v
		}
		return out
	}
	return map[string]any{
		"Parsed": text(ev.Parsed), "Meta": text(ev.Meta), "Enriched": text(ev.Enriched), "Unmarshaled": plain(ev.Unmarshaled),
		"Whitelisted": ev.Whitelisted, "WhitelistReason": ev.WhitelistReason, "StrTime": ev.StrTime, "Stage": ev.Stage,
	}
}

// plain copies a decoded tree in the form a YAML round trip would leave.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = plain(e)
		}
		return out
	case map[string]string:
		out := map[string]any{}
		for k, e := range v {
			out[k] = e
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plain(e)
		}
		return out
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return int(v)
		}
	}
	return v
}

// check evaluates an assertion of one of the shapes that Hub tests have.
func check(results map[string]map[string][]any, assert string) error {
	if rest, ok := strings.CutPrefix(assert, "FloatApproxEqual("); ok {
		i := strings.LastIndex(rest, ",")
		got, err := lookup(results, rest[:i])
		if err != nil {
			return err
		}
		want, err := strconv.ParseFloat(strings.Trim(rest[i+1:], " )"), 64)
		if n, ok := got.(int); ok {
			got = float64(n)
		}
		if have, ok := got.(float64); err != nil || !ok || math.Abs(have-want) > 1e-6 {
			return fmt.Errorf("have %v", got)
		}
		return nil
	}
	left, right, ok := strings.Cut(assert, " == ")
	if !ok {
		return fmt.Errorf("this shape is not understood")
	}
	base := strings.Contains(left, "datasource_path")
	length := false
	for _, call := range []string{"basename(", "len("} {
		if inner, ok := strings.CutPrefix(left, call); ok {
			left, length, base = strings.TrimSuffix(inner, ")"), call == "len(", base || call == "basename("
		}
	}
	left, tail := strings.CutSuffix(left, "[4:]") // after the year
	got, err := lookup(results, left)
	if err != nil {
		return err
	}
	if s, ok := got.(string); ok && tail && len(s) >= 4 {
		got = s[4:]
	}
	if length {
		got = reflect.ValueOf(got).Len()
	}
	want, err := literal(right)
	if err != nil {
		return err
	}
	if s, ok := got.(string); ok && base {
		got = filepath.Base(s)
	}
	if got == nil && want == "" {
		return nil
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("have %#v", got)
	}
	return nil
}

func literal(s string) (any, error) {
	switch {
	case s == "true" || s == "false":
		return s == "true", nil
	case s == "nil":
		return nil, nil
	case strings.HasPrefix(s, `"`):
		return strconv.Unquote(s)
	case strings.HasPrefix(s, "'"):
		return strings.Trim(s, "'"), nil
	case strings.Contains(s, "."):
		return strconv.ParseFloat(s, 64)
	}
	return strconv.Atoi(s)
}

// lookup walks a path such as results["s00-raw"]["a/b"][0].Evt.Parsed["x"].
func lookup(results map[string]map[string][]any, path string) (any, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(path), "results")
	if !ok {
		return nil, fmt.Errorf("the path %q is not understood", path)
	}
	var at any = results
	for rest != "" {
		key := ""
		if rest[0] == '.' {
			n := wordLength(rest[1:]) + 1
			key, rest = rest[1:n], rest[n:]
		} else {
			end := strings.Index(rest, "]")
			if strings.HasPrefix(rest, `["`) {
				end = strings.Index(rest, `"]`) + 1
			}
			if end < 1 {
				return nil, fmt.Errorf("the path %q is not understood", path)
			}
			key, rest = strings.Trim(rest[1:end], `"`), rest[end+1:]
		}
		switch v := at.(type) {
		case map[string]map[string][]any:
			at = v[key]
		case map[string][]any:
			at = v[key]
		case map[string]any:
			at = v[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(v) {
				return nil, fmt.Errorf("there is no element %s of %d", key, len(v))
			}
			at = v[i]
		default:
			return nil, fmt.Errorf("nothing below %T", at)
		}
	}
	return at, nil
}
