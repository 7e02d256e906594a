package hub

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// difference says how what two runs left differs; "" where it does not.
func difference(a, b *Results) string {
	if a == nil || b == nil {
		if a != b {
			return "one did not run"
		}
		return ""
	}
	if reflect.DeepEqual(a.Parsers, b.Parsers) && reflect.DeepEqual(a.Overflows, b.Overflows) && reflect.DeepEqual(a.Pours, b.Pours) {
		return ""
	}
	diff := cmp.Diff(a, b, cmp.AllowUnexported(Results{}, event.Event{}, event.Stamp{}))
	return diff[:min(len(diff), 2000)]
}

// sampleResults are small results of both kinds.
func sampleResults() (ParserResults, OverflowResults) {
	alert := event.Alert{Scenario: "a/b", EventsCount: 6, Remediation: true,
		Source: &event.Source{Scope: "Ip", Value: "192.0.2.7", IP: "192.0.2.7", Latitude: 1.5},
		Events: []event.AlertEvent{{Timestamp: "2024-01-01T00:00:00Z", Meta: event.Meta{{Key: "datasource_path", Value: "/x/y.log"}, {Key: "n", Value: "7"}}}}}
	over := &event.Event{Type: event.OverflowType, Overflow: event.RuntimeAlert{BucketID: "id",
		Sources: map[string]*event.Source{"192.0.2.7": alert.Source}, APIAlerts: []event.Alert{alert}}}
	over.Overflow.Alert = &over.Overflow.APIAlerts[0]
	line := &event.Event{
		Line:   event.Line{Raw: `say "hi" \o/ ünï`, Labels: map[string]string{"type": "x"}},
		Parsed: map[string]string{"raw": `say "hi" \o/ ünï`, "bad": "\xff\xfe", "empty": "", "tab": "a\tb", "datasource_path": "/x/y.log"},
		Meta:   map[string]string{"datasource_path": "/x/y.log", "timestamp": "2024-01-01T00:00:00Z"},
		Unmarshaled: map[string]any{"j": map[string]any{"i": 443, "f": 0.25, "big": 1e9, "t": true, "s": "text", "nil": nil,
			"list": []any{"a", 1}, "deep": map[string]any{"": "empty key"}}},
	}
	return ParserResults{"success": {"": nil}, "s00-raw": {"a/b": {{Idx: 1, Evt: line, Success: true}, {Idx: 1, Evt: &event.Event{}}}}},
		OverflowResults{over}
}

// TestAssertions: what holds, what does not, and what fails, with what it says.
func TestAssertions(t *testing.T) {
	nodes, overflows := sampleResults()
	env := expression.New(expression.Options{})
	const at = `results["s00-raw"]["a/b"][0]`
	for _, tt := range []struct{ text, says string }{ // says: "" where it holds
		{`len(results) == 2`, ""},
		{`len(results) == 3`, "it is 2"},
		{`len(results["s00-raw"]["a/b"]) == 2`, ""},
		{`len(results["s00-raw"]["none"]) == 0`, ""},
		{at + `.Success == true`, ""},
		{at + `.Success == false`, "it is true"},
		{at + `.Idx == 1`, ""},
		{`results["s00-raw"]["a/b"][-1].Success == false`, ""},
		{at + `.Evt.Parsed["raw"] == "say \"hi\" \\o/ ünï"`, ""},
		{at + `.Evt.Parsed["raw"] == 'say "hi" \\o/ ünï'`, ""},
		{at + `.Evt.Parsed["tab"] == "a\tb"`, ""},
		{at + `.Evt.Parsed["none"] == ""`, ""},
		{at + `.Evt.Parsed.none == ""`, ""},
		{at + `.Evt.Meta["datasource_path"] == "y.log"`, ""},
		{`basename(` + at + `.Evt.Meta["datasource_path"]) == "y.log"`, ""},
		{at + `.Evt.Meta["datasource_path"] == "/x/y.log"`, `it is "y.log"`},
		{at + `.Evt.Meta["timestamp"][4:] == "-01-01T00:00:00Z"`, ""},
		{at + `.Evt.Meta["timestamp"][0:4] == "2024"`, ""},
		{at + `.Evt.Unmarshaled["j"]["i"] == 443`, ""},
		{at + `.Evt.Unmarshaled["j"]["i"] == 443.0`, ""},
		{at + `.Evt.Unmarshaled["j"]["i"] == "443"`, "it is 443"},
		{at + `.Evt.Unmarshaled["j"]["f"] == 0.25`, ""},
		{at + `.Evt.Unmarshaled["j"]["big"] == 1000000000`, ""},
		{at + `.Evt.Unmarshaled["j"]["nil"] == ""`, "it is nil"},
		{at + `.Evt.Unmarshaled["j"]["nil"] == nil`, ""},
		{at + `.Evt.Unmarshaled["j"]["deep"][""] == "empty key"`, ""},
		{at + `.Evt.Unmarshaled["none"]["i"] == 1`, "cannot fetch"},
		{`FloatApproxEqual(` + at + `.Evt.Unmarshaled["j"]["f"], 0.25)`, ""},
		{`results["s00-raw"]["a/b"][2].Success == true`, "out of range"},
		{at + `.Evt.Nothing == 1`, "cannot fetch Nothing"},
		{at + `.Evt.Parsed["raw"]`, "not true or false"},
		{`len(results) =`, "unexpected token"},
		{`evt.Meta.a == ""`, "unknown"},
	} {
		a := parseAssertion(tt.text)
		says := ""
		if f := a.check(nodes, env); f != nil {
			says = f.String()
			if says == "" {
				says = "fails"
			}
		}
		if (says == "") != (tt.says == "") || !strings.Contains(says, tt.says) {
			t.Errorf("%s: says %q, want %q", tt.text, says, tt.says)
		}
	}
	for text, holds := range map[string]bool{
		`len(results) == 1`: true,
		`"192.0.2.7" in results[0].Overflow.GetSources()`:                                true,
		`"192.0.2.8" in results[0].Overflow.GetSources()`:                                false,
		`results[0].Overflow.Sources["192.0.2.7"].GetScope() == "Ip"`:                    true,
		`results[0].Overflow.Sources["192.0.2.7"].Range == ""`:                           true,
		`results[0].Overflow.Sources["192.0.2.7"].Latitude == 1.5`:                       true,
		`results[0].Overflow.Sources["192.0.2.8"].IP == ""`:                              false, // it raises
		`results[0].Overflow.Alert.Events[0].GetMeta("n") == "7"`:                        true,
		`results[0].Overflow.Alert.Events[0].GetMeta("datasource_path") == "y.log"`:      true,
		`results[0].Overflow.Alert.GetEventsCount() == 6`:                                true,
		`results[0].Overflow.Alert.Remediation == true`:                                  true,
		`results[0].Overflow.BucketId == "id"`:                                           true,
		`results[0].GetType() == "overflow"`:                                             true,
		`results[0].Overflow.Alert.Events[0].GetMeta("none") == ""`:                      true,
		`any(results, .Overflow.Alert.Scenario == "a/b")`:                                true,
		`results[0].Overflow.Alert.Events[0].GetMeta("timestamp", "") == ""`:             false,
		`results[1].Overflow.Alert.Remediation == true`:                                  false,
		`results[0].Overflow.Alert.Source.GetValue() == "192.0.2.7"`:                     true,
		`results[0].Overflow.Alert.GetScenario() == "a/b" && len(results) == 1`:          true,
		`results[0].Overflow.Alert.GetScenario() == "a/b" && len(results) == 2`:          false,
		`results[0].Overflow.Alert.GetScenario() != "a/c"`:                               true,
		`results[0].Overflow.Alert.Events[0].GetMeta("datasource_path") endsWith ".log"`: true,
	} {
		a := parseAssertion(text)
		if f := a.check(overflows, env); (f == nil) != holds {
			t.Errorf("%s: %v, want %v", text, f, holds)
		}
		agrees(t, env, text, overflows)
	}
}

// FuzzDirect: whatever an assertion looks like, evaluating it directly gives what
// the interpreter gives, or leaves it to the interpreter.
func FuzzDirect(f *testing.F) {
	nodes, overflows := sampleResults()
	env := expression.New(expression.Options{})
	for _, s := range []string{
		`len(results) == 2`, `results["s00-raw"]["a/b"][0].Evt.Parsed["raw"] == "say \"hi\" \\o/ ünï"`,
		`results["s00-raw"]["a/b"][-1].Evt.Unmarshaled["j"]["f"] == 0.25`, `"192.0.2.7" in results[0].Overflow.GetSources()`,
		`basename(results[0].Overflow.Alert.Events[0].GetMeta("datasource_path")) == "y.log"`,
		`results[0].Overflow.Alert.Events[0].GetMeta("n")[1:] == ""`, `results == ""`, `results[0].Time == ""`,
		`results["s00-raw"]["a/b"][0].Evt.Unmarshaled["j"]["i"] == 0x1bb`, `results[0].Overflow.Alert.EventsCount == -6.0`,
		`len(results[0].Overflow.Alert.Events[0].Meta) == 2`, `results["s00-raw"].a == 007`, `"7"in results[0].Overflow.GetSources()`,
		`results[0].Overflow.Alert.Leakspeed==""`, `results[0]["Type"] == 1`, `len(results)[1:] == 2`, `"\u0061" in results`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\r\n") || len(text) > 1000 {
			return // no assertion has a line break
		}
		agrees(t, env, text, nodes)
		agrees(t, env, text, overflows)
	})
}
