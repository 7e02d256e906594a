package hub

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"gopkg.in/yaml.v3"
)

// Covered is an item with the tests that assert something about it.
type Covered struct {
	Kind  Kind     `json:"kind"`
	Name  string   `json:"name"`
	Tests []string `json:"tests"` // sorted; none: it is not covered
}

// Coverage says which parsers and scenarios of the Hub have tests.
type Coverage struct {
	Parsers   []Covered `json:"parsers"` // sorted by name, as Scenarios are
	Scenarios []Covered `json:"scenarios"`
}

// Percent returns how many percent of the items of a list are covered.
func Percent(list []Covered) float64 {
	if len(list) == 0 {
		return 0
	}
	n := 0
	for _, c := range list {
		if len(c.Tests) > 0 {
			n++
		}
	}
	return 100 * float64(n) / float64(len(list))
}

var (
	parserAssert   = regexp.MustCompile(`(?m)results\["[^"]+"\]\["([^"]+)"\]\[-?\d+\]\.(?:Evt|Success)\b`)
	scenarioAssert = regexp.MustCompile(`(?m)\.Overflow\.Alert\.(?:GetScenario\(\)|Scenario) == "([^"]+)"`)
)

// Coverage reads the assertions of all tests. CrowdSec compatible: a parser is
// covered where an assertion looks at an event that it handled, a scenario where one
// names it as the cause of an alert. Items count by the names of their documents.
func (r *Runner) Coverage() (*Coverage, error) {
	names, err := r.List()
	if err != nil {
		return nil, err
	}
	parsers, scenarios := map[string][]string{}, map[string][]string{}
	for _, name := range names {
		for _, f := range [...]struct {
			file    string
			pattern *regexp.Regexp
			into    map[string][]string
		}{{parserFile, parserAssert, parsers}, {scenarioFile, scenarioAssert, scenarios}} {
			data, err := os.ReadFile(filepath.Join(r.tests, name, f.file))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("reading test %s: %w", name, err)
			}
			for _, m := range f.pattern.FindAllSubmatch(data, -1) {
				if tests := f.into[string(m[1])]; len(tests) == 0 || tests[len(tests)-1] != name {
					f.into[string(m[1])] = append(tests, name)
				}
			}
		}
	}
	return &Coverage{Parsers: r.covered(Parsers, parsers), Scenarios: r.covered(Scenarios, scenarios)}, nil
}

// covered lists the Hub's items of a kind with the tests that name one of their
// documents.
func (r *Runner) covered(k Kind, tests map[string][]string) []Covered {
	var list []Covered
	for _, i := range r.catalogue.Items(k) {
		if i.Origin != Hub {
			continue
		}
		one := Covered{Kind: k, Name: i.Name, Tests: []string{}}
		for _, name := range documentNames(i) {
			one.Tests = append(one.Tests, tests[name]...)
		}
		slices.Sort(one.Tests)
		one.Tests = slices.Compact(one.Tests)
		list = append(list, one)
	}
	return list
}

// documentNames returns the name of the item and those of its documents.
func documentNames(i Item) []string {
	names := []string{i.Name}
	data, err := i.Read()
	if err != nil {
		return names
	}
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc struct {
			Name string `yaml:"name"`
		}
		if dec.Decode(&doc) != nil {
			break
		}
		if doc.Name != "" && !slices.Contains(names, doc.Name) {
			names = append(names, doc.Name)
		}
	}
	return names
}
