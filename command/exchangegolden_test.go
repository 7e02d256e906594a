package command

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/logsources"
)

// answered fills a type of another package, which tests of commands do not import, by way
// of JSON.
func answered[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func sampleCapi(t *testing.T) appliance.CentralStatus {
	return answered[appliance.CentralStatus](t, `{"configured": true, "credentials": "/var/lib/rampart/default/central_api.yaml", "registered": true, "works": true,
		"status": {"enabled": true, "url": "https://api.example.com/", "login": "abc", "leads": true, "pull": true, "sharing": true, "metrics": false,
		"organisation": "org", "subscription": "COMMUNITY", "reachable": true, "since": "2026-03-01T11:00:00Z", "last_pull": "2026-03-01T11:00:00Z",
		"next_pull": "2026-03-01T13:00:00Z", "last_push": "2026-03-01T11:59:50Z", "queue": 3, "queue_bytes": 900, "sent": 7, "dropped": 1, "refused": 2, "community": 15000,
		"skipped": 0, "lists": [{"name": "paid", "entries": 4, "until": "2026-03-02T11:00:00Z"}, {"name": "bad", "entries": 0, "problem": "404 \u001b[2J"}],
		"allowlists": [{"name": "ours", "entries": 2}], "last_error": "timed out", "error_at": "2026-03-01T10:00:00Z"}}`)
}

func sampleNotifications(t *testing.T) appliance.Notifications {
	return answered[appliance.Notifications](t, `{"dir": "/etc/rampart/notifications", "receivers": [
		{"name": "hook", "type": "http", "profiles": ["addresses", "ranges"], "waiting": 2, "untold": 1, "sent": 9, "failed": 1, "empty": 0, "retried": 4, "dropped": 0, "digested": 5,
		 "last_sent": "2026-03-01T11:00:00Z", "last_error": "asking example.com: 503\u001b", "last_error_at": "2026-03-01T11:30:00Z"},
		{"name": "quiet", "type": "file", "profiles": [], "waiting": 0, "untold": 0, "sent": 0, "failed": 0, "empty": 0, "retried": 0, "dropped": 0, "digested": 0}],
		"faults": ["/etc/rampart/notifications/x.yaml:3: it has no type"], "unknown": ["nobody"], "untold": 0}`)
}

func sampleSimulation() appliance.SimulationStatus {
	return appliance.SimulationStatus{All: true, Unknown: []string{"list:gone\x1b"}, Rules: []appliance.SimulationRule{
		{Selector: "*", From: "default", Overruled: true}, {Selector: "own/soft", On: true, From: "file", Overruled: true},
		{Selector: "*", On: true, From: "operator", By: "operator", At: now.Add(-time.Hour)},
		{Selector: "list:gone\x1b", On: true, From: "operator", By: "operator", At: now}}}
}

func sampleProfiles() []decisions.ProfileSummary {
	return []decisions.ProfileSummary{
		{Name: "addresses", Filters: []string{`Alert.GetScope() == "Ip"`, "true"}, Decisions: []decisions.ProfileDecision{{Type: "ban", Origin: "crowdsec", Duration: "4h0m0s"},
			{Type: "captcha", Scope: "Range", Value: "192.0.2.0/24", Origin: "crowdsec", Simulated: true}}, DurationExpr: "Sprintf('%dh', 4)", Notifications: []string{"hook", "mail"}, Stops: true},
		{Name: "rest", Filters: []string{"true"}, Decisions: []decisions.ProfileDecision{}, Notifications: []string{}, OnError: "apply"}}
}

// sampleTest has a profile of each outcome.
func sampleTest() appliance.ProfileTest {
	d := decisions.Decision{Scope: "Ip", Value: "203.0.113.7", Type: "ban", Origin: "crowdsec", Created: now, Until: now.Add(4 * time.Hour), Simulated: true}
	return appliance.ProfileTest{AlertID: 9, Scenario: "rampart/http-probing\x1b", Source: "203.0.113.7 (FR)", Simulated: true,
		Decisions: []decisions.Decision{d}, Notifications: []string{"hook", "nobody"}, Unknown: []string{"nobody"},
		Profiles: []decisions.ProfileVerdict{
			{Profile: "no", Reached: true, Filters: []decisions.FilterVerdict{{Filter: "false", Tried: true}, {Filter: "Alert.X()", Tried: true, Error: "no such thing"}}},
			{Profile: "failing", Reached: true, Matched: true, ByError: true, Why: "a filter failed, and on_error lets the profile match without decisions",
				Filters: []decisions.FilterVerdict{{Filter: "Alert.X()", Tried: true, Error: "no such thing"}}, Notifications: []string{"hook"}},
			{Profile: "bans", Reached: true, Matched: true, Decides: true, Stops: true, DurationExpr: `"4h"`, Duration: "4h0m0s", Notifications: []string{"hook", "nobody"},
				Filters: []decisions.FilterVerdict{{Filter: "true", Tried: true, True: true}, {Filter: "false"}}, Decisions: []decisions.Decision{d}},
			{Profile: "later", Filters: []decisions.FilterVerdict{{Filter: "true"}}}}}
}

func sampleFigures(t *testing.T) appliance.Figures {
	f := answered[appliance.Figures](t, `{"parsers": {"lines": 226, "parsed": 24, "unparsed": 202, "late": 3, "whitelisted": 1},
		"scenarios": {"loaded": 19, "buckets": 20000, "poured": 3000, "overflows": 4, "cancelled": 1, "expired": 2, "evicted": 17},
		"alerts": [{"reason": "rampart/http-probing", "count": 3}], "decisions": [{"reason": "drop", "origin": "lists", "action": "ban", "count": 1000000},
		{"reason": "manual: inf\u001b", "origin": "cscli", "action": "captcha", "count": 1}], "requests": {"passed": 990, "banned": 10, "throttled": 1, "challenged": 57, "connections_closed": 1, "without_client_address": 3},
		"lapi": [{"route": "/v1/decisions/stream", "method": "GET", "requests": 720, "mean_ms": 1.25}], "lapi-bouncer": [{"name": "8", "route": "/v1/decisions", "method": "GET", "requests": 5}],
		"lapi-machine": [{"name": "web1", "route": "/v1/alerts", "method": "POST", "requests": 2}], "lapi-decisions": [{"bouncer": "8", "given": 1, "none": 4}],
		"bouncers": [{"name": "fw", "at": "2026-03-01T11:45:00Z", "dropped": 0, "figures": [{"name": "dropped", "unit": "packet", "origin": "CAPI", "labels": {"ip_type": "ipv4"}, "value": 71},
		{"name": "processed", "unit": "byte", "origin": "", "labels": {}, "value": 1234567890}]}], "machines": [], "capi": {"enabled": true, "community": 15000, "sent": 7},
		"notifications": {"receivers": [{"name": "hook", "type": "http", "sent": 9, "failed": 1}], "faults": [], "unknown": [], "untold": 0}}`)
	f.Acquisition = []logsources.Status{{Name: "/var/log/auth.log", Type: "file", State: logsources.Running, Lines: 226, Bytes: 9000, TooLong: 3, Binary: 200, LastLine: now}}
	return f
}

// TestGoldenExchange: what commands print about what comes from others and goes to them.
func TestGoldenExchange(t *testing.T) {
	off := sampleCapi(t)
	off.Configured = false
	failing := sampleCapi(t)
	failing.Works, failing.Problem = false, "403 Forbidden"
	failing.Status.Sharing, failing.Status.Leads, failing.Status.Organisation = false, false, ""
	unregistered := appliance.CentralStatus{Configured: true, Credentials: "/c.yaml", Problem: "not registered"}
	list := answered[[]appliance.ListStatus](t, `[{"name": "feed", "origin": "lists:feed", "type": "ban", "scenario": "feed", "version": 1, "created": "2026-03-01T11:00:00Z", "until": "2026-03-08T11:00:00Z",
		"entries": 2, "ipv4_addresses": 2, "ipv4_ranges": 0, "ipv6": 0, "suppressed": 0, "first_id": 5, "from": "url", "url": "https://example.com/a.txt", "fetched": "2026-03-01T11:00:00Z", "problem": "503"}]`)
	shared := answered[appliance.SignalPreview](t, `{"sharing": true, "waiting": 1, "signals": [{"context": null, "message": "m\u202e", "scenario": "rampart/x", "scenario_hash": "", "scenario_version": "", "scenario_trust": "custom",
		"source": {"scope": "Ip", "value": "203.0.113.7"}, "start_at": "2026-03-01T11:00:00Z", "stop_at": "2026-03-01T11:00:01Z", "uuid": "u",
		"decisions": [{"duration": "4h", "id": 0, "origin": "crowdsec", "scenario": "rampart/x", "scope": "Ip", "type": "ban", "value": "203.0.113.7"}]}]}`)
	unshared := shared
	unshared.Sharing, unshared.Waiting = false, 0
	for _, c := range []struct {
		name, args string
		answer     any
	}{
		{"capi-status", "capi status", sampleCapi(t)}, {"capi-status-off", "capi status", off}, {"capi-status-failing", "capi status", failing},
		{"capi-status-unregistered", "capi status", unregistered},
		{"capi-preview", "capi preview", shared}, {"capi-preview-off", "capi preview", unshared},
		{"capi-preview-none", "capi preview", appliance.SignalPreview{}}, {"capi-preview-shared-none", "capi preview", appliance.SignalPreview{Sharing: true}},
		{"capi-register", "capi register", appliance.Registration{URL: "https://api.example.com/", Login: "abc", Credentials: "/c.yaml"}},
		{"capi-enroll", "capi enroll k", appliance.Enrolled{URL: "https://api.example.com/", Login: "abc", Name: "edge"}},
		{"capi-pull", "capi pull", appliance.Pulled{Lists: []appliance.PulledList{{Name: "CAPI", Entries: 15000, Added: 12, Removed: 7}, {Name: "gone", Removed: 4, Ended: true}}}},
		{"lists-refresh", "lists refresh feed", appliance.Refreshed{List: list[0], Added: 1, Removed: 2}},
		{"notifications", "notifications list", sampleNotifications(t)},
		{"notifications-none", "notifications list", appliance.Notifications{}},
		{"notifications-test", "notifications test hook", appliance.Notified{Name: "hook", Type: "http", Took: 12}},
		{"simulation", "simulation status", sampleSimulation()},
		{"simulation-enable", "simulation enable -g list:gone", sampleSimulation()},
		{"simulation-reset", "simulation reset", appliance.SimulationStatus{Rules: sampleSimulation().Rules[:1]}},
		{"profiles", "profiles list", sampleProfiles()}, {"profiles-test", "profiles test --alert 9", sampleTest()},
		{"metrics", "metrics", sampleFigures(t)},
	} {
		checkGolden(t, c.name, c.args, c.answer)
	}
}

// TestMetricsSections: what is named is shown alone, in every format.
func TestMetricsSections(t *testing.T) {
	x := &exchange{answer: sampleFigures(t)}
	out, err := run(t, x, "metrics", "show", "lapi-bouncer", "machines")
	if err != nil || !strings.HasPrefix(out, "Local API, by bouncer\n") || !strings.Contains(out, "What machines did: nothing yet.") || strings.Contains(out, "Requests\n") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = run(t, x, "metrics", "show", "lapi", "capi", "-o", "json")
	var got map[string]any
	if jerr := json.Unmarshal([]byte(out), &got); err != nil || jerr != nil || len(got) != 2 || got["lapi"] == nil || got["capi"] == nil {
		t.Errorf("%v %v: %s", err, jerr, out)
	}
	out, err = run(t, x, "metrics", "show", "lapi-bouncer", "-o", "raw")
	if want := "section,about,figure,value\nlapi-bouncer,bouncer=8 route=/v1/decisions method=GET,requests,5\n"; err != nil || out != want {
		t.Errorf("%v: %s", err, out)
	}
	names := map[string]bool{}
	enc, err := json.Marshal(sampleFigures(t))
	if err == nil {
		err = json.Unmarshal(enc, &got)
	}
	for _, s := range sections() {
		if names[s.name] = true; got[s.name] == nil {
			t.Errorf("section %s is no key of the node's answer", s.name)
		}
	}
	for key := range got {
		if !names[key] {
			t.Errorf("nothing shows %s", key)
		}
	}
	if err != nil {
		t.Error(err)
	}
}
