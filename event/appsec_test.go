package event_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
)

func matched() event.MatchedRules {
	return event.MatchedRules{
		{"id": 1, "name": "a", "uri": "/x", "method": "GET", "hash": "h", "version": "0.1", "kind": "inband", "severity": "critical",
			"severity_int": 2, "accuracy": "high", "disruptive": true, "tags": []string{"cve-1", "sqli"}, "matched_zones": []string{"ARGS.a", "URI"}},
		{"id": 2, "name": "b", "kind": "outofband", "severity": "error", "severity_int": 3, "disruptive": false,
			"tags": []any{"cve-2", 7}, "matched_zones": []any{"URI", "BODY"}},
		{"id": "three", "name": 3, "kind": 1, "severity_int": "x", "tags": "sqli", "matched_zones": nil},
		{"kind": "inband"},
	}
}

func TestMatchedRules(t *testing.T) {
	m := matched()
	failing, err := m.ByTagRx("(")
	if err == nil || failing != nil {
		t.Errorf("a malformed pattern gives %v", failing)
	}
	byRx, err := m.ByTagRx("^cve")
	if err != nil {
		t.Error(err)
	}
	none := event.MatchedRules{}
	for name, c := range map[string][2]any{
		"GetName":            {m.GetName(), "a"},
		"GetURI":             {m.GetURI(), "/x"},
		"GetMethod":          {m.GetMethod(), "GET"},
		"GetHash":            {m.GetHash(), "h"},
		"GetVersion":         {m.GetVersion(), "0.1"},
		"GetName of 2nd":     {m[1:].GetName(), "b"},
		"GetName of a num":   {m[2:].GetName(), ""}, // of the first rule alone
		"GetURI of none":     {m[1:].GetURI(), ""},
		"GetName, no rules":  {none.GetName(), ""},
		"GetField":           {m.GetField("id"), []any{1, 2, "three", nil}},
		"GetNames":           {m.GetNames(), []string{"a", "b"}},
		"GetRuleIDs":         {m.GetRuleIDs(), []int{1, 2}},
		"GetRuleIDs of none": {none.GetRuleIDs(), []int{}},
		"Kinds":              {m.Kinds(), []string{"inband", "outofband"}},
		"GetMatchedZones":    {m.GetMatchedZones(), []string{"ARGS.a", "URI", "BODY"}},
		"GetHighestSeverity": {m.GetHighestSeverity(), event.Severity(2)},
		"severity of none":   {none.GetHighestSeverity(), event.NoSeverity},
		"severity's name":    {m.GetHighestSeverity().String() + none.GetHighestSeverity().String() + event.Severity(-1).String(), "critical"},
		"ByID":               {m.ByID(2), m[1:2]},
		"ByID of none":       {m.ByID(9), none},
		"ByKind":             {m.ByKind("inband").GetField("id"), []any{1, nil}},
		"BySeverity":         {m.BySeverity("error"), m[1:2]},
		"ByAccuracy":         {m.ByAccuracy("high"), m[:1]},
		"ByDisruptiveness":   {m.ByDisruptiveness(false), m[1:2]},
		"ByTag":              {m.ByTag("sqli"), m[:1]},
		"ByTags":             {m.ByTags([]string{"cve-1", "sqli", "cve-2"}), m[:2]}, // each once
		"ByTagRx":            {byRx, m[:2]},
		"chained":            {m.ByTag("cve-2").ByKind("outofband").GetName(), "b"},
		"GetVar":             {event.Appsec{Vars: map[string]string{"a": "1"}}.GetVar("a"), "1"},
		"GetVar of none":     {event.Appsec{}.GetVar("a"), ""},
		"embedded":           {event.Appsec{MatchedRules: m}.GetName(), "a"},
	} {
		if d := cmp.Diff(c[1], c[0]); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}
