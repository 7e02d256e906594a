package notify

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
)

// attack is an alert as the engine makes it.
func attack() *event.Alert {
	return &event.Alert{ID: 7, UUID: "u-7", MachineID: "edge", CreatedAt: "2026-03-01T10:00:00Z", Kind: "crowdsec", Scenario: "author/ssh-bf",
		ScenarioHash: "h", ScenarioVersion: "0.1", Message: "Ip 192.0.2.7 performed <b>", EventsCount: 6, StartAt: "2026-03-01T09:59:00Z",
		StopAt: "2026-03-01T10:00:00Z", Capacity: 5, Leakspeed: "10s", Remediation: true, IncidentID: "INC", Direct: true, Site: "shop.example",
		Events: []event.AlertEvent{
			{Timestamp: "2026-03-01T09:59:00Z", Meta: event.Meta{{Key: "target_user", Value: "bob"}}},
			{Timestamp: "2026-03-01T10:00:00Z", Meta: event.Meta{{Key: "target_user", Value: "eve"}}},
		},
		Source: &event.Source{Scope: "Ip", Value: "192.0.2.7", IP: "192.0.2.7", Range: "192.0.2.0/24", AsName: "ACME", AsNumber: "64500", Cn: "FR"},
		Meta:   event.Meta{{Key: "target_user", Value: `["bob"]`}},
		Decisions: []event.AlertDecision{{ID: 1, UUID: "d-1", Type: "ban", Scope: "Ip", Value: "192.0.2.7", Origin: "crowdsec",
			Scenario: "author/ssh-bf", Duration: "3h59m59s"}},
	}
}

func TestDefaultFormat(t *testing.T) {
	f, err := compileFormat("format", "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.render([]*Alert{newAlert(attack())})
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"capacity":5,"created_at":"2026-03-01T10:00:00Z","decisions":[{"duration":"3h59m59s","id":1,"origin":"crowdsec",` +
		`"scenario":"author/ssh-bf","scope":"Ip","simulated":false,"type":"ban","value":"192.0.2.7"}],"events":[{"meta":[{"key":"target_user",` +
		`"value":"bob"}],"timestamp":"2026-03-01T09:59:00Z"},{"meta":[{"key":"target_user","value":"eve"}],"timestamp":"2026-03-01T10:00:00Z"}],` +
		`"events_count":6,"id":7,"kind":"crowdsec","labels":null,"leakspeed":"10s","machine_id":"edge","message":"Ip 192.0.2.7 performed \u003cb\u003e",` +
		`"meta":[{"key":"target_user","value":"[\"bob\"]"}],"remediation":true,"scenario":"author/ssh-bf","scenario_hash":"h","scenario_version":"0.1",` +
		`"simulated":false,"source":{"as_name":"ACME","as_number":"64500","cn":"FR","ip":"192.0.2.7","range":"192.0.2.0/24","scope":"Ip","value":"192.0.2.7"},` +
		`"start_at":"2026-03-01T09:59:00Z","stop_at":"2026-03-01T10:00:00Z","uuid":"u-7"}]`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFormats(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, format, want, fault string }{
		{"ranges", `{{range . -}}{{$a := . -}}{{range .Decisions -}}{{.Value}} gets {{.Type}} for {{.Duration}} ({{.Scenario}}, {{.Scope}}, {{.Origin}}) on {{$a.MachineID}}{{end}}{{end}}`,
			"192.0.2.7 gets ban for 3h59m59s (author/ssh-bf, Ip, crowdsec) on edge", ""},
		{"source", `{{range .}}{{with .Source}}{{.IP}} {{.Cn}} {{.AsName}} {{.AsNumber}} {{.Range}} {{.Scope}} {{.Value}} {{.GetAsNumberName}}{{end}}{{end}}`,
			"192.0.2.7 FR ACME 64500 192.0.2.0/24 Ip 192.0.2.7 64500 ACME", ""},
		{"methods", `{{range .}}{{.GetScope}} {{.GetValue}} {{.GetScenario}} {{.GetEventsCount}} {{.HasRemediation}} {{.Source}}{{end}}`,
			"Ip 192.0.2.7 author/ssh-bf 6 true 192.0.2.7 (FR) 64500 ACME", ""},
		{"GetMeta", `{{range .}}{{GetMeta . "target_user" | join ","}} {{range .Meta}}{{.Key}}={{.Value}}{{end}} {{range .Events}}{{.Timestamp}}{{range .Meta}}[{{.Key}}]{{end}}{{end}}{{end}}`,
			`bob,eve target_user=["bob"] 2026-03-01T09:59:00Z[target_user]2026-03-01T10:00:00Z[target_user]`, ""},
		{"escape", `{{range .}}{{.Message | HTMLEscape}}{{end}}`, "Ip 192.0.2.7 performed &lt;b&gt;", ""},
		{"hostname", `{{Hostname}}`, host, ""},
		{"sprig", `{{range .}}{{.Scenario | upper | replace "/" "." | quote}} {{.EventsCount | add 1}} {{len .Decisions | plural "one" "many"}} {{list 1 2 | toJson}}{{end}}`,
			`"AUTHOR.SSH-BF" 7 one [1,2]`, ""},
		{"comparing", `{{range .}}{{if eq .Scenario "author/ssh-bf"}}yes{{end}}{{if .Simulated}}no{{end}}{{end}}`, "yes", ""},
		{"dates", `{{range .}}{{(toDate "2006-01-02T15:04:05Z07:00" .StartAt).Unix}}{{end}}`, "1772359140", ""},
		{"ours", `{{range .}}{{.IncidentID}} {{.Site}} {{(index .Decisions 0).UUID}} {{(index .Decisions 0).Suppressed}}{{end}}`, "INC shop.example d-1 false", ""},
		{"numbers", `{{until 3}} {{until -2}} {{untilStep 5 0 -2}} {{untilStep 0 5 0}} {{seq 3}} {{seq 2 0}} {{seq 0 2 4}} {{repeat 3 "ab"}} {{"a\nb" | indent 2}}{{"c" | nindent 1}}`,
			"[0 1 2] [0 -1] [5 3 1] [] 1 2 3 2 1 0 0 2 4 ababab   a\n  b\n c", ""},
		{"unknown field", `{{range .}}{{.Nothing}}{{end}}`, "", "can't evaluate field Nothing"},
		{"failing", `{{fail "no"}}`, "", "no"},
		{"out of range", `{{index . 9}}`, "", "out of range"},
		{"divided by nothing", `{{div 1 0}}`, "", "divide by zero"},
		{"huge repeat", `{{repeat 2000000 "x"}}`, "", "does not fit"},
		{"huge indent", `{{indent 2000000 "x"}}`, "", "does not fit"},
		{"huge list", `{{until 1000000000}}`, "", "more than 10000 numbers"},
		{"huge seq", `{{seq 1000000000}}`, "", "more than 10000 numbers"},
		{"huge random", `{{randAlphaNum 1000000000}}`, "", "expected 0 to"},
		{"huge text", `{{range until 200}}{{repeat 10000 "x"}}{{end}}`, "", "exceeds 1048576 bytes"},
		{"for ever", `{{define "x"}}{{template "x"}}{{end}}{{template "x"}}`, "", "exceeded maximum template depth"},
		{"long loops", `{{range until 10000}}{{range until 10000}}{{range until 10000}}{{end}}{{end}}{{end}}`, "", "longer than 2s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := compileFormat("format", c.format)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.render([]*Alert{newAlert(attack())})
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if (c.fault == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("error %v, want %q", err, c.fault)
			}
		})
	}
}

// TestWithheld: each is refused when the file is read, with its reason.
func TestWithheld(t *testing.T) {
	for name, why := range withheld {
		_, err := compileFormat("format", "{{"+name+"}}")
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestCopied: what a receiver waits with does not change with the alert.
func TestCopied(t *testing.T) {
	a := attack()
	c := newAlert(a)
	a.Decisions[0].Value, a.Events[0].Meta[0].Value, a.Source.IP = "x", "x", "x"
	if c.Decisions[0].Value == "x" || c.Events[0].Meta[0].Value == "x" || c.Source.IP == "x" {
		t.Error("the copy changed")
	}
	empty := newAlert(&event.Alert{})
	if _, err := json.Marshal(empty); err != nil || empty.Source == nil || empty.GetScope() != "" || empty.GetMeta("x") != nil {
		t.Errorf("an empty alert: %+v %v", empty, err)
	}
}

func TestDigest(t *testing.T) {
	var tl tally
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for i := range 9912 {
		a := &Alert{Scenario: "s/one", Source: &Source{Value: "192.0.2.1"}}
		if i%10 == 0 {
			a = &Alert{Scenario: "s/two\nforged", Source: &Source{Value: "192.0.2.2"}}
		}
		tl.add(a, at.Add(time.Duration(i)*time.Millisecond), i >= 9900)
	}
	d := tl.digest("chat")
	want := "and 9,912 more alerts between 10:00:00 and 10:00:09 UTC (12 of them found no room or could not be sent)" +
		": top scenarios s/one 8,920, s/two\uFFFDforged 992; top sources 192.0.2.1 8,920, 192.0.2.2 992"
	if d.String() != want {
		t.Errorf("got  %s\nwant %s", d, want)
	}
	if tl.total != 0 {
		t.Error("the tally did not begin anew")
	}
	tl.add(&Alert{Scenario: "s", Source: &Source{}}, at, false)
	if got := tl.digest("").String(); got != "and 1 more alert between 10:00:00 and 10:00:00 UTC: top scenarios s 1" {
		t.Error(got)
	}
	for i := range 5000 {
		tl.add(&Alert{Scenario: strings.Repeat("x", i%3000), Source: &Source{Value: strings.Repeat("y", i)}}, at, false)
	}
	if len(tl.scenarios) > maxTallied || len(tl.sources) > maxTallied || tl.total != 5000 {
		t.Errorf("%d scenarios, %d sources, %d in all", len(tl.scenarios), len(tl.sources), tl.total)
	}
}
