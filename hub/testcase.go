package hub

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/parsers"
)

// The files of a test, beside its log.
const (
	configFile   = "config.yaml"
	parserFile   = "parser.assert"
	scenarioFile = "scenario.assert"
)

// maxLog bounds the log of a test, in bytes.
const maxLog = 256 << 20

// TestConfig is the config.yaml of a test. CrowdSec compatible: keys that it does
// not name are ignored.
type TestConfig struct {
	Parsers         []string   `yaml:"parsers"`
	Scenarios       []string   `yaml:"scenarios"`
	Postoverflows   []string   `yaml:"postoverflows"`
	LogFile         string     `yaml:"log_file"`
	LogType         string     `yaml:"log_type"`
	Labels          TestLabels `yaml:"labels"`
	IgnoreParsers   bool       `yaml:"ignore_parsers"`
	OverrideStatics yaml.Node  `yaml:"override_statics,omitempty"`
	// ExpectFailure: the test passes where an assertion of it does not hold.
	ExpectFailure bool `yaml:"expect_failure,omitempty"`
	// NucleiTemplate makes it a test of a WAF, which is not run here.
	NucleiTemplate string `yaml:"nuclei_template,omitempty"`
}

// TestLabels are labels of all lines: a map, or a list of maps or of texts such as
// "program: x" or "program=x".
type TestLabels map[string]string

// UnmarshalYAML reads any of the forms.
func (l *TestLabels) UnmarshalYAML(n *yaml.Node) error {
	*l = TestLabels{}
	switch n.Kind {
	case yaml.MappingNode:
		return n.Decode((*map[string]string)(l))
	case yaml.SequenceNode:
		for _, e := range n.Content {
			var one TestLabels
			if err := one.UnmarshalYAML(e); err != nil {
				return err
			}
			for k, v := range one {
				(*l)[k] = v
			}
		}
	case yaml.ScalarNode:
		for _, sep := range [...]string{":", "="} {
			if k, v, ok := strings.Cut(n.Value, sep); ok {
				(*l)[strings.TrimSpace(k)] = strings.TrimSpace(v)
				break
			}
		}
	}
	return nil
}

// testCase is a test on disk.
type testCase struct {
	name   string
	dir    string
	config TestConfig
}

func openTest(dir, name string) (*testCase, error) {
	t := &testCase{name: name, dir: filepath.Join(dir, name)}
	data, err := os.ReadFile(filepath.Join(t.dir, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, none := os.Stat(t.dir); none != nil {
			known, _ := testNames(dir) // none are near where there are none
			return nil, fmt.Errorf("there is no test %s in %s%s", name, dir, guess(name, slices.Values(known)))
		}
		return nil, fmt.Errorf("reading test %s: it has no %s", name, configFile)
	}
	if err != nil {
		return nil, fmt.Errorf("reading test %s: %w", name, err)
	}
	if err := yaml.Unmarshal(data, &t.config); err != nil {
		return nil, fmt.Errorf("reading %s of test %s: %w", configFile, name, err)
	}
	return t, nil
}

// testNames returns the names of the tests in a folder, sorted.
func testNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing tests: there is no folder %s; say where the tests are", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("listing tests: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && isTest(filepath.Join(dir, e.Name())) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func isTest(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, configFile))
	return err == nil
}

// testsScenarios reports whether scenarios are to be asserted.
func (t *testCase) testsScenarios() bool {
	for _, s := range t.config.Scenarios {
		if s != "" {
			return true
		}
	}
	return false
}

// content composes the items of the test. Names are those of the catalogue, anything
// else a path relative to the Hub or to the test.
func (t *testCase) content(c *Catalogue) (*Content, error) {
	var items []*Item
	var problems []*Problem
	seen := map[string]bool{}
	for k, names := range map[Kind][]string{Parsers: t.config.Parsers, Scenarios: t.config.Scenarios, Postoverflows: t.config.Postoverflows} {
		for _, name := range names {
			if name == "" {
				continue
			}
			i, err := t.item(c, k, name)
			if err != nil {
				problems = append(problems, &Problem{Kind: k, Name: name, Path: filepath.Join(t.dir, configFile), Err: err})
				continue
			}
			if !seen[i.Path] {
				seen[i.Path] = true
				items = append(items, i)
			}
		}
	}
	content, more := newContent(c, items)
	if err := t.override(content); err != nil {
		problems = append(problems, &Problem{Kind: Parsers, Name: "overrides", Path: filepath.Join(t.dir, configFile), Err: err})
	}
	return content, join(append(problems, more...))
}

func (t *testCase) item(c *Catalogue, k Kind, name string) (*Item, error) {
	if i, ok := c.items[k][name]; ok {
		return i, nil
	}
	i, err := c.fromFile(k, name, []string{c.hub, t.dir})
	if errors.Is(err, fs.ErrNotExist) {
		return c.resolve(k, name) // says what is near
	}
	if err != nil {
		return nil, err
	}
	if i.Origin == Local {
		// Of a Hub to be: what only the operator's own files may leave out is not left out.
		i.Origin = Hub
	}
	if k.staged() && i.Stage == "" {
		return nil, fmt.Errorf("its stage is unknown: the file must lie in %s/<stage>/<author>", k)
	}
	return i, nil
}

// override adds override_statics as a parser that comes first. CrowdSec compatible:
// it is called "overrides" and shows in the results.
func (t *testCase) override(c *Content) error {
	if len(t.config.OverrideStatics.Content) == 0 {
		return nil
	}
	data, err := yaml.Marshal(map[string]any{"name": "overrides", "filter": "1==1", "statics": &t.config.OverrideStatics})
	if err != nil {
		return err
	}
	const stage = "s00-raw"
	c.Parsers = append(c.Parsers, parsers.Item{Path: stage + "/00_overrides.yaml", Stage: stage, Data: data})
	return nil
}

// logPath is where the log is; the events name it as their source.
func (t *testCase) logPath() string {
	return filepath.Join(t.dir, filepath.FromSlash(t.config.LogFile))
}

// lines calls each for the lines of the log. CrowdSec compatible: empty ones are
// skipped, a carriage return before the line feed is none of the line.
func (t *testCase) lines(each func(string) error) error {
	if t.config.LogFile == "" {
		return fmt.Errorf("reading test %s: %s names no log_file", t.name, configFile)
	}
	f, err := os.Open(t.logPath())
	if err != nil {
		return fmt.Errorf("reading the log of test %s: %w", t.name, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	var in io.Reader = f
	if strings.HasSuffix(t.config.LogFile, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return fmt.Errorf("reading the log of test %s: %w", t.name, err)
		}
	}
	lines := bufio.NewScanner(io.LimitReader(in, maxLog))
	lines.Buffer(nil, maxContent)
	for lines.Scan() {
		text := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		if len(text) == 0 {
			continue
		}
		if err := each(string(text)); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the log of test %s: %w", t.name, err)
	}
	return nil
}
