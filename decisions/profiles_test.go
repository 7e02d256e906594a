package decisions_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// counts answers as the journal would, for every value.
type counts struct{ day, week, active int }

func (c counts) Count(_ string, since time.Time) int {
	if start.Sub(since) <= 24*time.Hour {
		return c.day
	}
	return c.week
}

func (c counts) Active(string) (int, time.Duration) { return c.active, 0 }

func env(c counts) *expression.Env {
	return expression.New(expression.Options{Decisions: c, Now: func() time.Time { return start }})
}

// alert is one of a scenario with remediation that ended just now.
func alert(scope, value, service string) *event.Alert {
	return &event.Alert{
		Scenario: "test/scenario", Remediation: true, Stop: start, IncidentID: "INC", Site: "example.com", Direct: true,
		Source: &event.Source{Scope: scope, Value: value}, ScenarioLabels: map[string]any{"service": service},
	}
}

func load(t *testing.T, text string, c counts) *decisions.Profiles {
	t.Helper()
	p, err := decisions.LoadProfiles("p.yaml", []byte(text), env(c))
	must(t, err)
	return p
}

// brief writes decisions as "type value duration", with marks.
func brief(ds []decisions.Decision) []string {
	var out []string
	for _, d := range ds {
		s := fmt.Sprintf("%s %s %s %s", d.Type, d.Scope, d.Value, d.Until.Sub(start))
		if d.Origin != decisions.OriginLocal {
			s += " " + d.Origin
		}
		if d.Simulated {
			s += " simulated"
		}
		out = append(out, s)
	}
	return out
}

// decider is the profile that decided, or the first that matched where none did.
func decider(j decisions.Judgement) string {
	if j.Decider == "" && len(j.Matched) > 0 {
		return j.Matched[0].Profile
	}
	return j.Decider
}

func TestDefaultProfiles(t *testing.T) {
	for _, tc := range []struct {
		name    string
		alert   *event.Alert
		counts  counts
		want    []string
		profile string
	}{
		{"ssh", alert("Ip", "192.0.2.1", "ssh"), counts{day: 3, week: 3}, []string{"ban Ip 192.0.2.1 4h0m0s"}, "ssh_ban"},
		{"first http", alert("Ip", "192.0.2.1", "http"), counts{week: 2}, []string{"captcha Ip 192.0.2.1 1h0m0s"}, "http_first"},
		{"second http", alert("Ip", "192.0.2.1", "http"), counts{day: 1, week: 1}, []string{"ban Ip 192.0.2.1 4h0m0s"}, "http_again"},
		{"third http", alert("Ip", "192.0.2.1", "http"), counts{day: 1, week: 2}, []string{"ban Ip 192.0.2.1 8h0m0s"}, "http_again"},
		{"sixth http", alert("Ip", "192.0.2.1", "http"), counts{day: 1, week: 5}, []string{"ban Ip 192.0.2.1 64h0m0s"}, "http_again"},
		{"seventh http", alert("Ip", "192.0.2.1", "http"), counts{day: 1, week: 6}, []string{"ban Ip 192.0.2.1 128h0m0s"}, "http_again"},
		{"thousandth http", alert("Ip", "192.0.2.1", "http"), counts{day: 9, week: 999}, []string{"ban Ip 192.0.2.1 128h0m0s"}, "http_again"},
		{"range", alert("Range", "192.0.2.0/24", "http"), counts{}, []string{"captcha Range 192.0.2.0/24 1h0m0s"}, "http_first"},
		{"other service", alert("Ip", "192.0.2.1", "ftp"), counts{}, []string{"ban Ip 192.0.2.1 4h0m0s"}, "other_ban"},
		{"no service, blackhole", func() *event.Alert {
			a := alert("Ip", "192.0.2.1", "")
			a.ScenarioLabels, a.Blackhole = nil, 5*time.Minute
			return a
		}(), counts{}, []string{"ban Ip 192.0.2.1 5m0s"}, "other_ban"},
		{"no remediation", func() *event.Alert { a := alert("Ip", "192.0.2.1", "ssh"); a.Remediation = false; return a }(), counts{}, nil, ""},
		{"scope of its own", alert("username", "root", "ssh"), counts{}, nil, ""},
		{"over by now", func() *event.Alert {
			a := alert("Ip", "192.0.2.1", "ssh")
			a.Stop = start.Add(-4 * time.Hour)
			return a
		}(), counts{}, nil, "ssh_ban"},
		{"over by now, though a ban by another profile would not be", func() *event.Alert {
			a := alert("Ip", "192.0.2.1", "http")
			a.Stop = start.Add(-2 * time.Hour)
			return a
		}(), counts{}, nil, "http_first"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := decisions.LoadProfiles("default", decisions.DefaultProfiles(), env(tc.counts))
			must(t, err)
			j, err := p.Judge(tc.alert, start)
			must(t, err)
			if d := cmp.Diff(tc.want, brief(j.Decisions)); d != "" || decider(j) != tc.profile {
				t.Errorf("profile %q: %s", decider(j), d)
			}
		})
	}
}

func TestDecisionFields(t *testing.T) {
	a := alert("ip", "2001:db8::7", "ssh")
	a.Width64, a.Stop, a.StopAt = true, time.Time{}, start.Add(-time.Minute).Format(time.RFC3339Nano)
	j, err := load(t, "name: p\nfilters: ['true']\ndecisions: [{type: BAN, duration: 1d2h}]", counts{}).Judge(a, start)
	must(t, err)
	want := []decisions.Decision{{
		IncidentID: "INC", Scope: "Range", Value: "2001:db8::/64", Type: "ban", Origin: "crowdsec", Scenario: "test/scenario",
		Host: "example.com", Created: start, Until: start.Add(26*time.Hour - time.Minute), Direct: true,
	}}
	if d := cmp.Diff(want, j.Decisions); d != "" {
		t.Error(d)
	}
}

func TestProfiles(t *testing.T) {
	const two = "\n---\nname: second\nfilters: ['true']\ndecisions: [{type: captcha, duration: 1h}]"
	for _, tc := range []struct {
		name, yaml string
		want       []string
		profile    string
		wantErr    string
	}{
		{"two true filters decide once", "name: p\nfilters: ['true', 'true']\ndecisions: [{type: ban}, {type: captcha, duration: 1m}]",
			[]string{"ban Ip 192.0.2.1 4h0m0s", "captcha Ip 192.0.2.1 1m0s"}, "p", ""},
		{"one of two filters", "name: p\nfilters: ['false', 'true']\ndecisions: [{type: ban}]", []string{"ban Ip 192.0.2.1 4h0m0s"}, "p", ""},
		{"none", "name: p\nfilters: ['false']\ndecisions: [{type: ban}]" + two, []string{"captcha Ip 192.0.2.1 1h0m0s"}, "second", ""},
		{"only the first contributes", "name: p\nfilters: ['true']\ndecisions: [{type: ban}]\non_success: continue" + two, []string{"ban Ip 192.0.2.1 4h0m0s"}, "p", ""},
		{"matched without decisions, goes on", "name: p\nfilters: ['true']\non_success: continue" + two, []string{"captcha Ip 192.0.2.1 1h0m0s"}, "second", ""},
		{"matched without decisions, stops", "name: p\nfilters: ['true']\non_success: break" + two, nil, "p", ""},
		{"origin, value, scope, simulated", "name: p\nfilters: ['true']\ndecisions: [{type: mfa, duration: 2d, origin: x, scope: AS, value: AS64496, simulated: true}]",
			[]string{"mfa AS 64496 48h0m0s crowdsec/x simulated"}, "p", ""},
		{"duration_expr", "name: p\nfilters: ['true']\ndecisions: [{type: ban, duration: 1h}]\nduration_expr: \"'1d'\"", []string{"ban Ip 192.0.2.1 24h0m0s"}, "p", ""},
		{"duration_expr that is no duration", "name: p\nfilters: ['true']\ndecisions: [{type: ban, duration: 1h}]\nduration_expr: \"'soon'\"", []string{"ban Ip 192.0.2.1 1h0m0s"}, "p", `duration "soon"`},
		{"duration_expr below zero", "name: p\nfilters: ['true']\ndecisions: [{type: ban, duration: 1h}]\nduration_expr: \"'-1h'\"", []string{"ban Ip 192.0.2.1 1h0m0s"}, "p", "above zero"},
		{"ignored keys", "name: p\ndebug: true\nfilters: ['true']\nnotifications: [mail]\non_failure: apply\ndecisions: [{type: ban, id: 7, uuid: x, until: y, scenario: z}]", []string{"ban Ip 192.0.2.1 4h0m0s"}, "p", ""},
		{"failing filter goes on and tells", "name: p\nfilters: [FAIL]\ndecisions: [{type: ban}]" + two, []string{"captcha Ip 192.0.2.1 1h0m0s"}, "second", `filter of profile "p"`},
		{"failing filter, another is true", "name: p\nfilters: [FAIL, 'true']\ndecisions: [{type: ban}]", []string{"ban Ip 192.0.2.1 4h0m0s"}, "p", `filter of profile "p"`},
		{"on_error continue", "name: p\nfilters: [FAIL]\non_error: continue\ndecisions: [{type: ban}]" + two, []string{"captcha Ip 192.0.2.1 1h0m0s"}, "second", ""},
		{"on_error ignore", "name: p\nfilters: [FAIL]\non_error: ignore\ndecisions: [{type: ban}]" + two, []string{"captcha Ip 192.0.2.1 1h0m0s"}, "second", ""},
		{"on_error apply", "name: p\nfilters: [FAIL]\non_error: apply\non_success: break\ndecisions: [{type: ban}]" + two, nil, "p", `filter of profile "p"`},
		{"on_error break goes on", "name: p\nfilters: [FAIL]\non_error: break\ndecisions: [{type: ban}]" + two, []string{"captcha Ip 192.0.2.1 1h0m0s"}, "second", `filter of profile "p"`},
		{"on_error apply, but another is true", "name: p\nfilters: [FAIL, 'true']\non_error: apply\ndecisions: [{type: ban}]", []string{"ban Ip 192.0.2.1 4h0m0s"}, "p", `filter of profile "p"`},
		{"on_error apply goes on", "name: p\nfilters: [FAIL]\non_error: apply\ndecisions: [{type: ban}]" + two, []string{"captcha Ip 192.0.2.1 1h0m0s"}, "second", `filter of profile "p"`},
		{"on_failure is without effect", "name: p\nfilters: ['false', 'true']\non_failure: break\ndecisions: [{type: ban}]", []string{"ban Ip 192.0.2.1 4h0m0s"}, "p", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.ReplaceAll(tc.yaml, "FAIL", `"Alert.Events[7].Timestamp == ''"`)
			j, err := load(t, text, counts{}).Judge(alert("Ip", "192.0.2.1", ""), start)
			if d := cmp.Diff(tc.want, brief(j.Decisions)); d != "" || decider(j) != tc.profile {
				t.Errorf("profile %q: %s", decider(j), d)
			}
			if (err != nil) != (tc.wantErr != "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("error %v, want %q", err, tc.wantErr)
			}
		})
	}
}

// TestJudge: who is notified, whoever decides.
func TestJudge(t *testing.T) {
	profile := func(name, filter, rest string) string {
		return "name: " + name + "\nfilters: [" + filter + "]\nnotifications: [" + name + "_mail, " + name + "_chat]\n" + rest + "\n---\n"
	}
	const ban, captcha, fail = "decisions: [{type: ban}]", "decisions: [{type: captcha}]", `"Alert.Events[7].Timestamp == ''"`
	given := alert("Ip", "192.0.2.1", "")
	given.Decisions = []event.AlertDecision{{Type: "ban"}}
	for _, tc := range []struct {
		name, yaml string
		alert      *event.Alert
		decider    string
		matched    []string
		decisions  int
		wantErr    bool
	}{
		{"the later ones notify", profile("a", "'true'", ban) + profile("b", "'false'", ban) + profile("c", "'true'", captcha), nil, "a", []string{"a", "c"}, 1, false},
		{"up to a break", profile("a", "'true'", ban+"\non_success: break") + profile("b", "'true'", captcha), nil, "a", []string{"a"}, 1, false},
		{"on_success continue", profile("a", "'true'", ban+"\non_success: continue") + profile("b", "'true'", captcha), nil, "a", []string{"a", "b"}, 1, false},
		{"the first that has decisions decides", profile("a", "'true'", "") + profile("b", "'true'", captcha) + profile("c", "'true'", ban), nil, "b", []string{"a", "b", "c"}, 1, false},
		{"nobody", profile("a", "'false'", ban), nil, "", nil, 0, false},
		{"a failure that applies", profile("a", fail, ban+"\non_error: apply") + profile("b", "'true'", captcha), nil, "b", []string{"a", "b"}, 1, true},
		{"a failure", profile("a", fail, ban) + profile("b", "'true'", captcha), nil, "b", []string{"b"}, 1, true},
		{"an alert with decisions", profile("a", "'true'", ban) + profile("b", "'true'", captcha), given, "", []string{"a", "b"}, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := tc.alert
			if a == nil {
				a = alert("Ip", "192.0.2.1", "")
			}
			j, err := load(t, tc.yaml, counts{}).Judge(a, start)
			if (err != nil) != tc.wantErr || j.Decider != tc.decider || len(j.Decisions) != tc.decisions {
				t.Errorf("got %+v, %v", j, err)
			}
			var want []decisions.Match
			for _, name := range tc.matched {
				want = append(want, decisions.Match{Profile: name, Notifications: []string{name + "_mail", name + "_chat"}})
			}
			if d := cmp.Diff(want, j.Matched); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestReadProfiles: the documents of the .local file come first, and errors name
// the file that they are in.
func TestReadProfiles(t *testing.T) {
	const main, own = "name: main\nfilters: ['true']\ndecisions: [{type: ban}]", "name: own\nfilters: ['true']\ndecisions: [{type: captcha}]\non_success: break"
	for _, tc := range []struct {
		name, main, local string
		want              string // the profile that decides
		wantErr           string
	}{
		{"none", main, "", "main", ""},
		{"before the others", main, own, "own", ""},
		{"several", main, "name: x\nfilters: ['false']\n---\n" + own, "own", ""},
		{"only an own one", "# nothing", own, "own", ""},
		{"neither", "# nothing", "# nothing", "", "profiles.yaml: no profile in it"},
		{"a fault in the own file", main, "name: x\n---\nnam: y", "", `profiles.yaml.local:3: document 2: unknown key "nam"`},
		{"a fault in the other", "name: x", own, "", `profiles.yaml:1: profile "x" has no filters`},
		{"no file", "", own, "", "reading profiles: open"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "profiles.yaml")
			if tc.main != "" {
				must(t, os.WriteFile(path, []byte(tc.main), 0o600))
			}
			if tc.local != "" {
				must(t, os.WriteFile(path+".local", []byte(tc.local), 0o600))
			}
			p, err := decisions.ReadProfiles(path, env(counts{}))
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want %q", err, tc.wantErr)
				}
				return
			}
			must(t, err)
			j, err := p.Judge(alert("Ip", "192.0.2.1", ""), start)
			if must(t, err); j.Decider != tc.want {
				t.Errorf("%s decides, want %s", j.Decider, tc.want)
			}
		})
	}
}

func TestJudgeSimulatedAlert(t *testing.T) {
	a := alert("Ip", "192.0.2.1", "ssh")
	a.Simulated = true
	j, err := load(t, string(decisions.DefaultProfiles()), counts{}).Judge(a, start)
	must(t, err)
	if len(j.Decisions) != 1 || !j.Decisions[0].Simulated {
		t.Errorf("got %+v", j)
	}
}

func TestProfileErrors(t *testing.T) {
	for _, tc := range []struct {
		name, yaml string
		want       []string
	}{
		{"empty", "", []string{"p.yaml: no profile in it"}},
		{"only comments", "# nothing\n---\n# here", []string{"no profile in it"}},
		{"unknown key", "name: p\nfilters: ['true']\nfilter: x", []string{`p.yaml:3: unknown key "filter"`}},
		{"missing type", "name: p\nfilters: ['true']\ndecisions:\n  - duration: 4h", []string{"p.yaml:4: decision without a type"}},
		{"bad duration", "name: p\nfilters: ['true']\ndecisions:\n  - type: ban\n    duration: 4x", []string{`p.yaml:5: decision ban: duration "4x"`}},
		{"negative duration", "name: p\nfilters: ['true']\ndecisions:\n  - type: ban\n    duration: -4h", []string{"p.yaml:5", "above zero"}},
		{"no name", "filters: ['true']", []string{"p.yaml:1: profile without a name"}},
		{"no filters", "\nname: p", []string{"p.yaml:2", "no filters"}},
		{"bad word", "name: p\nfilters: ['true']\non_success: stop", []string{`p.yaml:3: on_success "stop"`}},
		{"bad filter in the second document", "name: p\nfilters: ['true']\n---\nname: q\nfilters:\n  - Alert.Nope()", []string{`p.yaml:6: document 2: filter of profile "q"`}},
		{"filter that is text", "name: p\nfilters:\n  - Alert.GetScope()", []string{"p.yaml:3", "true or false"}},
		{"filter that is a map", "name: p\nfilters:\n  - {a: b}", []string{"p.yaml:3: expected a text, found a map"}},
		{"bad duration_expr", "name: p\nfilters: ['true']\nduration_expr: )", []string{`p.yaml:3: duration_expr of profile "p"`}},
		{"not yaml", "name: [p", []string{"p.yaml:1: "}},
		{"all faults at once", "name: p\nfilters: ['true']\ndecisions: [{duration: 1h}]\n---\nfilters: [')']", []string{"p.yaml:3", "p.yaml:5: document 2: profile without", "p.yaml:5: document 2: filter"}},
		{"notifications that are no list", "name: p\nfilters: ['true']\nnotifications: mail", []string{"p.yaml:3: a text does not fit here: a list is expected"}},
		{"a notification without a name", "name: p\nfilters: ['true']\nnotifications:\n  - mail\n  - ''", []string{`p.yaml:5: notifications of profile "p": name of a notification is missing`}},
		{"a notification that is a map", "name: p\nfilters: ['true']\nnotifications:\n  - {a: b}\n---\nname: q", []string{"p.yaml:4: expected a text", "p.yaml:6: document 2: profile \"q\" has no filters"}},
		{"a key of the second document", "name: p\nfilters: ['true']\n---\nname: q\nfilters: ['true']\nuntil: x", []string{`p.yaml:6: document 2: unknown key "until"`}},
		{"a key twice", "name: p\nname: q\nfilters: ['true']", []string{"p.yaml:2: ", "already defined"}},
		{"a key of a decision", "name: p\nfilters: ['true']\ndecisions:\n  - type: ban\n    kind: x", []string{`p.yaml:5: unknown key "kind"`}},
		{"too long", strings.Repeat("#", 2<<20), []string{"at most"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := decisions.LoadProfiles("p.yaml", []byte(tc.yaml), env(counts{}))
			if p != nil || err == nil {
				t.Fatalf("got %v, %v", p, err)
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in: %v", w, err)
				}
			}
		})
	}
}

func FuzzProfiles(f *testing.F) {
	f.Add(decisions.DefaultProfiles())
	f.Add([]byte("name: p\nfilters: ['true']\non_error: apply\nduration_expr: \"'1d'\"\ndecisions: [{type: ban, value: ::1}]\n---\n"))
	f.Add([]byte("a: &a [*a]"))
	e := env(counts{})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decisions.LoadProfiles("p.yaml", data, e)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v, %v", p, err)
		}
		if p == nil {
			return
		}
		j, _ := p.Judge(alert("Ip", "192.0.2.1", "http"), start)
		for _, d := range j.Decisions {
			if d.Type == "" || !d.Until.After(start) {
				t.Fatalf("decided %+v", d)
			}
		}
	})
}
