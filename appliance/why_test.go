package appliance

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

func why(t testing.TB, a *Appliance, subject string) Why {
	t.Helper()
	return ask[Why](t, a, http.MethodGet, "/rampart/why/"+subject, nil)
}

// scan has a client overflow a request-phase scenario and returns the refused visit.
func scan(t testing.TB, a *Appliance, client string) *Visit {
	t.Helper()
	for _, p := range []string{"/.env", "/.git/config", "/backup.sql", "/id_rsa", "/.aws/credentials", "/wp-config.php.bak"} {
		if v := visit(a, from(client), p, 404); v.Action != Pass {
			return v
		}
	}
	t.Fatal("nothing overflowed")
	return nil
}

// TestWhyIncident: the id that a visitor was shown leads to the evidence, that of
// the overflowing request and that of a later one.
func TestWhyIncident(t *testing.T) {
	a := open(t, Config{})
	first := scan(t, a, "192.0.2.7")
	later := visit(a, from("192.0.2.7"), "/index.html", 200)
	if first.Incident == later.Incident || len(first.Incident) != 26 || len(later.Incident) != 26 {
		t.Fatalf("incidents %q and %q", first.Incident, later.Incident)
	}
	for name, v := range map[string]*Visit{"the overflowing request": first, "a later one": later} {
		w := why(t, a, v.Incident)
		if w.Incident != v.Incident || w.Address != "192.0.2.7" || w.Verdict != "captcha" || time.Since(w.At) > time.Minute {
			t.Errorf("%s: %+v", name, w)
		}
		if len(w.Decisions) != 1 || w.Decisions[0].ID != v.DecisionID || len(w.Ended) != 0 {
			t.Errorf("%s: decisions %+v, ended %+v", name, w.Decisions, w.Ended)
		}
		if len(w.Alerts) != 1 || w.Alerts[0].IncidentID != first.Incident || len(w.Alerts[0].Events) == 0 {
			t.Errorf("%s: alerts %+v", name, w.Alerts)
		}
		if len(w.Refusals) != 1 || w.Refusals[0].Incident != v.Incident {
			t.Errorf("%s: refusals %+v", name, w.Refusals)
		}
		if !strings.Contains(w.Summary, "192.0.2.7: captcha until") || !slices.Contains(w.Next, "rampart unban 192.0.2.7") {
			t.Errorf("%s: %q, next %q", name, w.Summary, w.Next)
		}
	}
	// The decision goes, its alert stays.
	ask[Deleted](t, a, http.MethodPost, "/rampart/unban", map[string]string{"value": "192.0.2.7"})
	a.live.Load().state.recent = newRefusals()
	for name, v := range map[string]*Visit{"the overflowing request": first, "a later one": later} {
		w := why(t, a, v.Incident)
		if w.Verdict != "pass" || len(w.Decisions) != 0 || len(w.Ended) != 1 || w.Ended[0].ID != v.DecisionID || len(w.Alerts) != 1 {
			t.Errorf("%s, unbanned: %+v", name, w)
		}
		if !strings.Contains(w.Summary, "has ended") {
			t.Errorf("%s, unbanned: %q", name, w.Summary)
		}
	}
}

// TestWhySubjects: addresses and networks, in every state.
func TestWhySubjects(t *testing.T) {
	a := open(t, Config{Allow: []string{"198.51.100.0/24"}})
	st := a.live.Load().state
	for _, q := range []DecisionRequest{{Value: "192.0.2.7"}, {Value: "203.0.113.0/24", Type: "captcha"}, {Value: "203.0.113.7"},
		{Value: "2001:db8::/64", Type: "throttle"}, {Value: "198.51.100.9"}} {
		ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", q)
	}
	visit(a, from("203.0.113.7"), "/x", 200)
	if err := st.book.Append(&event.Alert{Scenario: "watched", Simulated: true, Source: &event.Source{Scope: "Ip", Value: "192.0.2.99"}},
		[]decisions.Decision{{Value: "192.0.2.99", Type: "ban", Until: time.Now().Add(time.Hour), Simulated: true}}); err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]struct {
		verdict   string
		decisions int
		alerts    int
		refusals  int
		summary   string
	}{
		"192.0.2.7":          {"ban", 1, 1, 0, "192.0.2.7: ban until"},
		"::ffff:192.0.2.7":   {"ban", 1, 1, 0, "192.0.2.7: ban until"},
		"192.0.2.8":          {"pass", 0, 0, 0, "nothing is decided about it"},
		"192.0.2.0/24":       {"pass", 0, 0, 0, "nothing is decided about it"},
		"192.0.2.99":         {"pass", 1, 1, 0, "simulated or suppressed"},
		"203.0.113.7":        {"ban", 2, 2, 1, "ban until"},
		"203.0.113.8":        {"captcha", 1, 1, 0, "captcha until"},
		"203.0.113.0/24":     {"captcha", 1, 1, 1, "203.0.113.0/24: captcha until"},
		"203.0.113.0/28":     {"captcha", 1, 0, 1, "captcha until"},
		"203.0.112.0/23":     {"pass", 0, 0, 1, "nothing is decided about it"},
		"2001:db8::1":        {"throttle", 1, 1, 0, "throttle until"},
		"2001:db8:0:1::1":    {"pass", 0, 0, 0, "nothing"},
		"198.51.100.9":       {"allowed", 1, 1, 0, "on the allowlist (config 198.51.100.0/24)"},
		"198.51.100.0/25":    {"allowed", 0, 0, 0, "on the allowlist"},
		"127.0.0.1":          {"allowed", 0, 0, 0, "loopback"},
		"fe80::1%25anything": {"allowed", 0, 0, 0, "link-local"},
	} {
		w := why(t, a, subject)
		if w.Verdict != want.verdict || len(w.Decisions) != want.decisions || len(w.Refusals) != want.refusals ||
			!strings.Contains(w.Summary, want.summary) {
			t.Errorf("%s: %s, %d decisions, %d refusals, %q, want %+v", subject, w.Verdict, len(w.Decisions), len(w.Refusals), w.Summary, want)
		}
		if len(w.Alerts) != want.alerts && !(want.alerts == 0 && len(w.Decisions) > 0) {
			t.Errorf("%s: %d alerts, want %d", subject, len(w.Alerts), want.alerts)
		}
		if (w.Verdict == "allowed") != (w.Allowed != nil) || w.Next == nil || w.Ended == nil || w.Alerts == nil {
			t.Errorf("%s: %+v", subject, w)
		}
	}
}

// TestRefusalsAreBounded: in number, in size, and in what they keep alive.
func TestRefusalsAreBounded(t *testing.T) {
	r := newRefusals()
	long := strings.Repeat("é", 1<<20)
	for i := range keptRefusals + 10 {
		r.add(Refusal{Incident: string(rune('a' + i%26)), Method: long, Site: long, Path: long[:1+i%400], DecisionID: int64(i)})
	}
	all := r.find(1<<30, func(Refusal) bool { return true })
	if len(all) != keptRefusals || all[0].DecisionID != 10 || all[len(all)-1].DecisionID != keptRefusals+9 {
		t.Fatalf("%d kept, from %d to %d", len(all), all[0].DecisionID, all[len(all)-1].DecisionID)
	}
	for _, f := range all {
		if len(f.Method) > maxRefusedText || len(f.Path) > maxRefusedText+2 || strings.ToValidUTF8(f.Path, "") != f.Path {
			t.Fatalf("%d bytes of method, %d of path", len(f.Method), len(f.Path))
		}
	}
	if last := r.find(3, func(f Refusal) bool { return f.DecisionID%2 == 0 }); len(last) != 3 || last[2].DecisionID != keptRefusals+8 {
		t.Errorf("the last three: %+v", last)
	}
}
