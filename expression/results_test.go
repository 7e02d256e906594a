package expression_test

import (
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// TestOnResults: assertions see results of any type, and basename; nothing else
// sees basename.
func TestOnResults(t *testing.T) {
	env := expression.New(expression.Options{})
	type result struct {
		Success bool
		Evt     *event.Event
	}
	results := map[string]map[string][]result{"s00-raw": {"a/b": {{Success: true,
		Evt: &event.Event{Meta: map[string]string{"p": "/x/y.log"}, Unmarshaled: map[string]any{"n": map[string]any{"i": 1}}}}}}}
	for src, want := range map[string]bool{
		`len(results) == 1`:                                                true,
		`results["s00-raw"]["a/b"][0].Success`:                             true,
		`basename(results["s00-raw"]["a/b"][0].Evt.Meta["p"]) == "y.log"`:  true,
		`results["s00-raw"]["a/b"][-1].Evt.Meta["p"][1:] == "x/y.log"`:     true,
		`results["s00-raw"]["a/b"][0].Evt.Meta["none"] == ""`:              true,
		`results["s00-raw"]["a/b"][0].Evt.Unmarshaled["n"]["i"] == 1.0`:    true,
		`len(results["s00-raw"]["none"]) == 0`:                             true,
		`any(results["s00-raw"]["a/b"], .Evt.GetMeta("p") contains "log")`: true,
		`results["s00-raw"]["a/b"][0].Evt.GetType() == "overflow"`:         false,
	} {
		p, err := env.Compile(src, expression.OnResults, expression.Bool)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got, err := p.Bool(&expression.Vars{Results: results}); err != nil || got != want {
			t.Errorf("%s: %v, %v", src, got, err)
		}
	}
	for _, src := range []string{`results["s00-raw"]["none"][0].Success`, `results["s00-raw"]["a/b"][0].Nothing == 1`, `basename(results) == ""`} {
		p, err := env.Compile(src, expression.OnResults, expression.Bool)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got, err := p.Bool(&expression.Vars{Results: results}); err == nil {
			t.Errorf("%s: %v and no error", src, got)
		}
	}
	if _, err := env.Compile(`evt.Meta.a == ""`, expression.OnResults, expression.Bool); err == nil || !strings.Contains(err.Error(), "results") {
		t.Errorf("evt is known: %v", err)
	}
	if _, err := env.Compile(`basename(evt.Line.Src) == ""`, expression.OnEvent, expression.Bool); err == nil {
		t.Error("events have basename")
	}
}
