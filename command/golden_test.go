package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/firewall"
	"github.com/rampart-edge/rampart/logsources"
	"github.com/rampart-edge/rampart/notify"
)

func sampleDecisions() []decisions.Decision {
	return []decisions.Decision{
		{ID: 4, UUID: "u4", AlertID: 9, Scope: "Ip", Value: "203.0.113.7", Type: "ban", Origin: "crowdsec", Scenario: "rampart/http-probing",
			Host: "example.com", Created: now.Add(-time.Minute), Until: now.Add(4*time.Hour - time.Millisecond)},
		{ID: 3, UUID: "u3", AlertID: 8, Scope: "Range", Value: "2001:db8::/64", Type: "captcha", Origin: "crowdsec", Scenario: "rampart/crawl",
			Created: now.Add(-time.Hour), Until: now.Add(-time.Second), Simulated: true},
		{ID: 2, UUID: "u2", AlertID: 7, Scope: "Ip", Value: "127.0.0.1", Type: "ban", Origin: "rampart", Scenario: "manual: a \"test\"\x1b[2J",
			Created: now, Until: now.Add(50 * time.Hour), Suppressed: true, Direct: true},
	}
}

func meta(pairs ...string) event.Meta {
	var m event.Meta
	for i := 0; i+1 < len(pairs); i += 2 {
		m = append(m, event.MetaItem{Key: pairs[i], Value: pairs[i+1]})
	}
	return m
}

func stamped(ago time.Duration) string { return now.Add(-ago).Format(time.RFC3339Nano) }

// sampleAlert overflowed from 40 requests, of which some are alike.
func sampleAlert() event.Alert {
	a := event.Alert{ID: 9, UUID: "a9", MachineID: "default", CreatedAt: stamped(time.Minute), Kind: "crowdsec", Scenario: "rampart/http-probing",
		Message: "Ip 203.0.113.7 performed 'rampart/http-probing' (200 events over 1m30.5s) at 2026-03-01 11:59:00 +0000 UTC", EventsCount: 200,
		StartAt: stamped(150*time.Second + 123456789), StopAt: stamped(time.Minute), Capacity: 10, Leakspeed: "10s", Remediation: true,
		Source: &event.Source{Scope: "Ip", Value: "203.0.113.7", IP: "203.0.113.7"}, IncidentID: "01JNT5R6V8K2M4P6Q8S0T2W4Y6", Kept: 40, Site: "example.com",
		Decisions: []event.AlertDecision{{ID: 4, UUID: "u4", Type: "ban", Scope: "Ip", Value: "203.0.113.7", Origin: "crowdsec",
			Scenario: "rampart/http-probing", Duration: "3h59m59.999s", Until: now.Add(4 * time.Hour).Format(time.RFC3339)}}}
	for i := range 40 {
		path := fmt.Sprintf("/.env.%d", i)
		if i >= 37 {
			path = "/admin\x1b]0;x\a\u202e"
		}
		a.Events = append(a.Events, event.AlertEvent{Timestamp: stamped(time.Duration(100-i) * time.Second), Meta: meta("http_path", path,
			"http_status", "404", "http_user_agent", "Mozilla \"5.0\"\n", "http_verb", "GET", "service", "http", "source_ip", "203.0.113.7", "target_fqdn", "example.com")})
	}
	return a
}

// sampleLogins are failed SSH logins whose user names are made to mislead.
func sampleLogins() event.Alert {
	a := event.Alert{ID: 8, UUID: "a8", Kind: "crowdsec", Scenario: "rampart/ssh-bruteforce", Message: "m", EventsCount: 6, StartAt: stamped(10 * time.Second),
		StopAt: stamped(2 * time.Second), Source: &event.Source{Scope: "Ip", Value: "2001:db8::7", IP: "2001:db8::7"}, Events: []event.AlertEvent{}}
	for i, user := range []string{"root", "root", "root", "x source_ip=192.0.2.1", "", "\n"} {
		a.Events = append(a.Events, event.AlertEvent{Timestamp: stamped(time.Duration(10-i) * time.Second), Meta: meta("datasource_path", "/var/log/auth.log",
			"log_type", "ssh_failed-auth", "machine", "web1", "service", "ssh", "source_ip", "2001:db8::7", "target_user", user, "timestamp", "t")})
	}
	a.Events[5].Meta[4].Value = "2001:db8::8"
	return a
}

func sampleManual() event.Alert {
	return event.Alert{ID: 7, UUID: "a7", Kind: "rampart", Scenario: "manual", Message: "ban of 127.0.0.1 by hand: test", StartAt: stamped(0), StopAt: stamped(0),
		Simulated: true, Source: &event.Source{Scope: "Ip", Value: "127.0.0.1", IP: "127.0.0.1"}, Events: []event.AlertEvent{},
		Decisions: []event.AlertDecision{{ID: 2, Type: "ban", Scope: "Ip", Value: "127.0.0.1", Duration: "50h0m0s", Suppressed: true}}}
}

func sampleStatus() appliance.Status {
	s := appliance.Status{Node: "default", DataDir: "/var/lib/rampart/default", Started: now.Add(-26 * time.Hour), Suppressed: 1, Allowed: 12,
		Scenarios: appliance.ScenarioStatus{Loaded: 19, RequestPhase: []string{"rampart/flood"}, Blockers: []string{"own/whitelist"}},
		Watch:     appliance.WatchStatus{Files: 2, Swaps: 1, Problem: "x"}, Decisions: map[string]int{"ban": 2, "captcha": 1},
		Events:   appliance.EventStatus{Lines: 226, Unparsed: 202, Late: 3, Requests: 1000, Overflows: 4, Alerts: 1, Queued: 5, Dropped: 2},
		Requests: appliance.RequestStatus{Passed: 990, Banned: 10, Throttled: 1, Responded: 57, Closed: 1, Unknown: 3},
		Firewall: appliance.FirewallStatus{Mode: "nftables", Active: "dry-run", Entries: 1, Dropped: map[string]firewall.Traffic{"rampart": {Packets: 7}}},
		Sources: []logsources.Status{
			{Name: "/var/log/auth.log", State: logsources.Running, Lines: 226, TooLong: 3, Binary: 200, Rotations: 1, LastLine: now, LastLineAge: 90 * time.Second},
			{Name: "/var/log/none.log", State: logsources.Running, LastLineAge: -1, Error: "e"},
			{Name: "journal", State: logsources.Failing, Lines: 1, Restarts: 4, LastLineAge: -1}},
		Problems: []string{"source /var/log/none.log: no file matches yet", "changed files were not taken: a.yaml:3: one\nb.yaml:5: two\x1b"}}
	s.Buckets.Buckets, s.Buckets.Evicted = 20000, 17
	s.LastStop.Clean, s.LastStop.Restored = true, 1
	return s
}

// sampleFleet is the status of a node among others, of which one is silent and one
// lags behind.
func sampleFleet() appliance.Status {
	s := sampleStatus()
	s.API = appliance.APIStatus{Served: true, Addresses: []string{"127.0.0.1:8080", "/run/rampart/api.sock"}, Bouncers: 3, Machines: 1, Requests: 1200, Refused: 4}
	s.Community = community.Status{Enabled: true, URL: "https://community.example/", Leads: false, Pull: true, Sharing: true, Since: now.Add(-time.Hour),
		LastPull: now.Add(-2 * time.Hour), Community: 14980, Queue: 12, Sent: 30, Lists: []community.ListStatus{{Name: "tor"}}}
	s.Lists = []community.FeedStatus{{ListStatus: community.ListStatus{Name: "drop", Entries: 1090, Fetched: now.Add(-30 * time.Minute)}},
		{ListStatus: community.ListStatus{Name: "new"}},
		{ListStatus: community.ListStatus{Name: "far\x1b", Problem: "no answer"}},
		{ListStatus: community.ListStatus{Name: "odd", Entries: 7, Fetched: now.Add(-time.Hour), Problem: "it is empty now"}}}
	s.Notifications.Receivers = []notify.Stats{{Name: "mail", Type: "email", Sent: 3, Waiting: 1, Digested: 900, Failed: 2}}
	s.Aggregate = appliance.AggregateStatus{On: true, Members: 40, Ranges: 2, Spared: 1}
	s.Sources, s.Problems = nil, []string{"Redis is out of use since 2026-03-01 11:57:00: connection refused"}
	node := func(id, name string, lag int64, ago time.Duration) cluster.Node {
		return cluster.Node{ID: id, Name: name, Number: 1, Started: now.Add(-time.Hour), Seen: now.Add(-ago), Lag: lag, Degraded: ago > time.Minute}
	}
	s.Storage = appliance.StorageStatus{Kind: "redis", Fleet: &appliance.FleetStatus{Prefix: "rampart:", ID: "00112233445566aa", Name: "edge-1",
		Number: 2, Away: 260, Unshared: []string{"own/whole", "own/other"},
		Redis: cluster.Health{State: cluster.StateDegraded, Since: now.Add(-3 * time.Minute), Reason: "connection refused by 192.0.2.1:6379",
			Kind: "sentinel", Server: "7.0.15", EvalMicros: 21.4},
		Nodes: []cluster.Node{node("00112233445566aa", "edge-1", 0, 0), node("00112233445566bb", "edge-2\x1b[2J", 7, time.Second),
			node("00112233445566cc", "edge-3", 0, 90*time.Minute), node("00112233445566dd", "edge-4", 0, 0)},
		Journal: cluster.JournalStats{LagEntries: 3, Lag: 4 * time.Second, Waiting: 5, Sent: 12, Adopted: 34, Dropped: 1, Lost: 2, Refused: 2, Reconciles: 1},
		Buckets: cluster.BucketStats{Poured: 1000, Calls: 40, Merged: 8, Waiting: 6, Dropped: 9, Overflowed: 1,
			Scripts: []cluster.ScriptStats{{Name: "beat", Calls: 3, Mean: 1}, {Name: "pour", Calls: 40, Mean: 320.4, P99: 800}}}}}
	return s
}

func sampleWhy() appliance.Why {
	w := appliance.Why{Subject: "203.0.113.7", Address: "203.0.113.7", Verdict: "ban", Until: now.Add(4 * time.Hour),
		Summary:   "203.0.113.7: ban until 2026-03-01 16:00:00 for rampart/http-probing (decision 4 by crowdsec).",
		Decisions: sampleDecisions()[:1], Ended: sampleDecisions()[1:2], Firewall: &firewall.Ban{Prefix: netip.MustParsePrefix("203.0.113.7/32"), Until: now.Add(4 * time.Hour), Origin: "crowdsec"},
		Next: []string{"rampart unban 203.0.113.7", "rampart alerts inspect 9"}}
	for i := range 9 {
		w.Refusals = append(w.Refusals, appliance.Refusal{Incident: fmt.Sprintf("01JNT5R6V8K2M4P6Q8S0T2W4Y%d", i), Time: now.Add(time.Duration(i-9) * time.Second),
			Client: netip.MustParseAddr("203.0.113.7"), Site: "example.com", Method: "GET", Path: fmt.Sprintf("/p%d\x1b", i), Action: "ban", DecisionID: 4})
	}
	w.Alerts = []event.Alert{sampleAlert(), sampleLogins(), sampleManual(), sampleLogins(), sampleManual()}
	return w
}

// TestGolden: the output of every command in every format. For people and as CSV it
// is as kept in testdata, as JSON it is what the node answered.
func TestGolden(t *testing.T) {
	incident := sampleWhy()
	incident.Incident, incident.At, incident.Refusals, incident.Alerts = incident.Refusals[8].Incident, now, incident.Refusals[8:], nil
	allow := []decisions.AllowEntry{{Prefix: netip.MustParsePrefix("127.0.0.0/8"), Kind: "loopback"},
		{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Kind: "manual", Comment: "office", Author: "operator", Created: now, Until: now.Add(time.Hour)}}
	for _, c := range []struct {
		name, args string
		answer     any
	}{
		{"status", "status", sampleStatus()},
		{"status-fleet", "status", sampleFleet()},
		{"status-idle", "status", appliance.Status{Node: "n", Started: now.Add(-5 * time.Second), Firewall: appliance.FirewallStatus{Mode: "off", Active: "off"}}},
		{"decisions", "decisions list --all", sampleDecisions()},
		{"decisions-none", "decisions list", []decisions.Decision{}},
		{"decisions-add", "decisions add 127.0.0.1", appliance.DecisionAnswer{AlertID: 7, Decisions: sampleDecisions()[2:]}},
		{"decisions-delete", "decisions delete --all", appliance.Deleted{Deleted: sampleDecisions()[:2]}},
		{"unban-none", "unban 192.0.2.9", appliance.Deleted{Deleted: []decisions.Decision{}}},
		{"alerts", "alerts list", []event.Alert{sampleAlert(), sampleLogins(), sampleManual()}},
		{"alerts-none", "alerts list", []event.Alert{}},
		{"alert-requests", "alerts inspect 9", sampleAlert()},
		{"alert-logins", "alerts inspect 8", sampleLogins()},
		{"alert-manual", "alerts inspect 7", sampleManual()},
		{"why", "why 203.0.113.7", sampleWhy()},
		{"why-incident", "why 01JNT5R6V8K2M4P6Q8S0T2W4Y8", incident},
		{"allowlist", "allowlist list", allow},
		{"allowlist-add", "allowlist add 192.0.2.7", allow[1]},
		{"allowlist-delete", "allowlist delete 192.0.2.7", map[string]string{"deleted": "192.0.2.7/32"}},
		{"replay", "replay --type syslog --collection rampart/sshd testdata/auth.log", nil},
	} {
		checkGolden(t, c.name, c.args, c.answer)
	}
}

// checkGolden runs a command in every format against a node that gives one answer.
func checkGolden(t *testing.T, name, args string, answer any) {
	t.Helper()
	for _, format := range []string{human, jsonF, raw} {
		out, err := run(t, &exchange{answer: answer}, append(strings.Fields(args), "-o", format)...)
		if err != nil {
			t.Errorf("%s -o %s: %v", args, format, err)
		}
		if i := strings.LastIndex(out, " in "); name == "replay" && format == human && i > 0 {
			out = out[:i] + "\n" // how long it took
		}
		if format != jsonF && strings.ContainsFunc(out, func(r rune) bool { return r != '\n' && unprintable(r) }) {
			t.Errorf("%s lets control characters through: %q", args, out)
		}
		if format == jsonF {
			sameJSON(t, args, answer, out)
			continue
		}
		golden(t, name+"."+format, out)
	}
}

// sameJSON: JSON output is what the node answered, whatever that has.
func sameJSON(t *testing.T, args string, answer any, out string) {
	t.Helper()
	if answer == nil { // a replay: one alert a line
		var a event.Alert
		if err := json.Unmarshal([]byte(out), &a); err != nil || a.GetValue() != "192.0.2.66" || strings.Count(out, "\n") != 1 {
			t.Errorf("%s -o json: %v in %s", args, err, out)
		}
		return
	}
	want, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Compact(&got, []byte(out)); err != nil {
		t.Errorf("%s -o json: %v in %s", args, err, out)
		return
	}
	var a, b any
	if err := errors.Join(json.Unmarshal(want, &a), json.Unmarshal(got.Bytes(), &b)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("%s -o json (- answer, + printed):\n%s", args, diff)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 400 * time.Millisecond: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m30s", 10 * time.Minute: "10m",
		4*time.Hour - time.Millisecond: "4h", 3*time.Hour + 59*time.Minute + 29*time.Second: "3h59m", time.Hour: "1h",
		26 * time.Hour: "26h", 48 * time.Hour: "2d", 50*time.Hour + 29*time.Minute: "2d2h", 72*time.Hour - time.Second: "3d",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
		if back, err := appliance.ParseDuration(span(d)); err != nil || (back-d).Abs() > time.Hour {
			t.Errorf("%q reads as %s: %v", span(d), back, err)
		}
	}
}
