package lint_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/lint"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestCosts: what is named as dear in a filter, and whether the index knows it.
func TestCosts(t *testing.T) {
	for filter, want := range map[string]string{
		`evt.Meta.log_type == 'a'`:                                                            "",
		`evt.Meta.log_type == 'a' && evt.Parsed.x contains 'any(File('`:                       "",
		`evt.Parsed.x contains 'y'`:                                                           "every event",
		`evt.Meta.a == 'b' && RegexpInFile(evt.Parsed.x, 'f.txt')`:                            "Meta.a; RegexpInFile",
		`evt.Meta.a == 'b' && any(File('f.txt'), {evt.Parsed.x contains #})`:                  "Meta.a; any; File",
		`evt.Meta.a == 'b' && evt.Parsed.x matches '^[0-9]+\\.php$'`:                          "Meta.a; matches",
		`evt.Meta.a == 'b' && evt.Parsed.x matches "(?i)^[a-z]{2,}\\d$"`:                      "Meta.a; matches",
		`evt.Meta.a == 'b' && LookupHost(evt.Parsed.x) == ['y'] && evt.Parsed.x matches 'z.'`: "Meta.a; LookupHost; matches",
	} {
		item := scenarios.Item{Path: "s.yaml", Data: []byte("type: trigger\nname: own/s\ndescription: d\nlabels: {remediation: true}\nfilter: >-\n  " + filter + "\n")}
		r := lint.Check(lint.Content{Scenarios: []scenarios.Item{item}}, lint.Options{Env: expression.New(expression.Options{})})
		if r.Errors() > 0 {
			t.Errorf("%s: %v", filter, r.Findings)
		}
		got := ""
		for _, c := range r.Costs {
			words := slices.Clone(c.By)
			if !c.Indexed {
				words = []string{"every event"}
			}
			for _, p := range c.Dear {
				name, _, _ := strings.Cut(p.What, " ")
				words = append(words, name)
			}
			got = strings.Join(words, "; ")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", filter, got, want)
		}
	}
}
