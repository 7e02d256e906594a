package lint_test

import (
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/lint"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestCosts: what is named as dear in a filter, and whether the index knows it.
func TestCosts(t *testing.T) {
	for filter, want := range map[string]string{
		`evt.Meta.log_type == 'a'`:                                                            "values native; Meta.log_type",
		`evt.Meta.log_type == 'a' && evt.Parsed.x contains 'any(File('`:                       "values native; Meta.log_type",
		`evt.Parsed.x contains 'a text'`:                                                      "texts native",
		`len(evt.Parsed.x) > 5`:                                                               "none native",
		`evt.Meta.a == 'b' && RegexpInFile(evt.Parsed.x, 'f.txt')`:                            "values native; Meta.a; RegexpInFile",
		`evt.Meta.a == 'b' && any(File('f.txt'), {evt.Parsed.x contains #})`:                  "values native; Meta.a; any; File",
		`evt.Meta.a == 'b' && evt.Parsed.x matches '^[0-9]+\\.php$'`:                          "values native; Meta.a; matches",
		`evt.Meta.a == 'b' && evt.Parsed.x matches "(?i)^[a-z]{2,}\\d$"`:                      "values native; Meta.a; matches",
		`evt.Meta.a == 'b' && evt.Parsed.x matches 'z.' && LookupHost(evt.Parsed.x) == ['y']`: "values native; Meta.a; LookupHost; matches",
	} {
		item := scenarios.Item{Path: "s.yaml", Data: []byte("type: trigger\nname: own/s\ndescription: d\nlabels: {remediation: true}\nfilter: >-\n  " + filter + "\n")}
		r := lint.Check(lint.Content{Scenarios: []scenarios.Item{item}}, lint.Options{Env: expression.New(expression.Options{})})
		if r.Errors() > 0 {
			t.Errorf("%s: %v", filter, r.Findings)
		}
		got := ""
		for _, c := range r.Costs {
			words := append([]string{c.Gate + " " + c.Way}, c.By...)
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

// TestPlainCost: everything that runs the plain way needs the interpreter.
func TestPlainCost(t *testing.T) {
	item := scenarios.Item{Path: "s.yaml", Own: true, Data: []byte("type: trigger\nfilter: evt.Meta.a == 'b'\n")}
	r := lint.Check(lint.Content{Scenarios: []scenarios.Item{item}}, lint.Options{Env: expression.New(expression.Options{Plain: true})})
	if len(r.Costs) != 1 || r.Costs[0].Way != lint.WayMachine {
		t.Errorf("%+v", r.Costs)
	}
}
