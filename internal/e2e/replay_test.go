package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// replayed runs `rampart replay` and returns what it printed; stderr is part of
// what it says only when it fails.
func replayed(t *testing.T, args ...string) string {
	t.Helper()
	b, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(b, append([]string{"replay"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("replay %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// replayedAlert is as much of an alert as the tests look at.
type replayedAlert struct {
	Scenario    string `json:"scenario"`
	StopAt      string `json:"stop_at"`
	Message     string `json:"message"`
	EventsCount int    `json:"events_count"`
	Source      struct{ Scope, Value, IP string }
	Events      []struct {
		Timestamp string
		Meta      []struct{ Key, Value string }
	}
	Decisions []struct{ Type, Value, Duration, Origin, Scenario, Scope string }
}

func replayedAlerts(t *testing.T, args ...string) []replayedAlert {
	t.Helper()
	var out []replayedAlert
	for line := range strings.Lines(replayed(t, append(args, "-o", "json")...)) {
		var a replayedAlert
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("a line of output is not one alert: %v\n%s", err, line)
		}
		out = append(out, a)
	}
	return out
}

// first is when each source was first alerted about, as the log's clock has it.
func first(alerts []replayedAlert, scenario string) map[string]string {
	out := map[string]string{}
	for _, a := range alerts {
		if a.Scenario == scenario && out[a.Source.Value] == "" {
			out[a.Source.Value] = a.StopAt[len("2006-01-02T"):len("2006-01-02T15:04:05")]
		}
	}
	return out
}

// counted runs the awk script, which counts failures in windows of time and knows
// nothing of buckets.
func counted(t *testing.T, log string, vars ...string) map[string]string {
	t.Helper()
	awk, err := exec.LookPath("awk")
	if err != nil {
		t.Skip("needs awk, which is not installed")
	}
	args := []string{"-f", "testdata/sixin10.awk"}
	for _, v := range vars {
		args = append(args, "-v", v)
	}
	out, err := exec.Command(awk, append(args, log)...).CombinedOutput()
	if err != nil {
		t.Fatalf("awk: %v\n%s", err, out)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		ip, at, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			t.Fatalf("awk printed %q", line)
		}
		found[ip] = at
	}
	return found
}

// TestReplayAgainstAwk compares who is alerted about in real logs, and when first,
// with what counting lines in windows says. Six failures in less than ten seconds
// always overflow a bucket of capacity 5 that leaks one in ten; so do seven in
// less than 20, eight in less than 30…, since what leaks is spread over time. The
// sets are equal when these longer windows are counted too; the six-in-ten ones
// alone must all be among them.
func TestReplayAgainstAwk(t *testing.T) {
	for _, file := range []string{"openssh_2k.log", "auth.log"} {
		log := testkit.Shared(t, "logs", file)
		alerts := replayedAlerts(t, "--type", "syslog", log)
		quick := first(alerts, "rampart/ssh-bruteforce")
		if diff := cmp.Diff(counted(t, log, "more=1"), quick); diff != "" {
			t.Errorf("%s: quick rule (- awk, + replay):\n%s", file, diff)
		}
		slow := first(alerts, "rampart/ssh-slow-bruteforce")
		if diff := cmp.Diff(counted(t, log, "more=1", "per=11", "window=60"), slow); diff != "" {
			t.Errorf("%s: slow rule (- awk, + replay):\n%s", file, diff)
		}
		six := counted(t, log)
		for ip, at := range six {
			if quick[ip] == "" || quick[ip] > at {
				t.Errorf("%s: %s had six failures within ten seconds by %s; first alert at %q", file, ip, at, quick[ip])
			}
		}
		t.Logf("%s: six in ten: %v; dense for longer: %v; slow rule: %v", file, sorted(six),
			sorted(without(quick, six)), sorted(slow))
		if len(six) == 0 || len(slow) == 0 {
			t.Errorf("%s shows nothing: six in ten %v, slow %v", file, six, slow)
		}
	}
}

func without(m, gone map[string]string) map[string]string {
	out := maps.Clone(m)
	maps.DeleteFunc(out, func(k, _ string) bool { return gone[k] != "" })
	return out
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// TestReplaySixExactly takes the six-in-ten rule by itself: of two sources, one
// fails six times within nine seconds, the other five times and once more at the
// tenth second, when one has leaked.
func TestReplaySixExactly(t *testing.T) {
	n := newNode(t)
	at := time.Date(2024, 4, 10, 14, 30, 0, 0, time.UTC)
	for i, s := range []int{0, 2, 4, 6, 8, 9} {
		n.add("auth.log", sshFailure(at.Add(time.Duration(s)*time.Second), "root", "192.0.2.1"))
		if i == 5 {
			s = 10
		}
		n.add("auth.log", sshFailure(at.Add(time.Duration(s)*time.Second), "root", "192.0.2.2"))
	}
	got := first(replayedAlerts(t, "--type", "syslog", n.path("auth.log")), "rampart/ssh-bruteforce")
	if diff := cmp.Diff(map[string]string{"192.0.2.1": "14:30:09"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(counted(t, n.path("auth.log")), got); diff != "" {
		t.Errorf("- awk, + replay: %s", diff)
	}
}

// sshFailure is a line as sshd and rsyslog write it.
func sshFailure(at time.Time, user, ip string) string {
	return fmt.Sprintf("%s host sshd[4242]: Failed password for %s from %s port 40022 ssh2", at.Format(time.Stamp), user, ip)
}

// TestReplayAlertModel checks every alert printed for the real logs against what
// the Local API requires of one.
func TestReplayAlertModel(t *testing.T) {
	n := 0
	for _, file := range []string{"openssh_2k.log", "auth.log"} {
		for line := range strings.Lines(replayed(t, "--type", "syslog", "-o", "json", testkit.Shared(t, "logs", file))) {
			n++
			if err := checkAlert([]byte(line)); err != nil {
				t.Errorf("%s: %v\n%s", file, err, line)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d alerts were checked", n)
	}
}

var alertMessage = regexp.MustCompile(`^Ip \S+ performed 'rampart/[a-z-]+' \(\d+ events over [0-9hms.µn]+\) at ` +
	`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4} \S+$`)

// checkAlert holds one printed alert against the alert model: what must be there
// and not null, and the form of what is.
func checkAlert(line []byte) error {
	var a map[string]json.RawMessage
	if err := json.Unmarshal(line, &a); err != nil {
		return err
	}
	kinds := map[string]any{"scenario": new(string), "scenario_hash": new(string), "scenario_version": new(string),
		"message": new(string), "events_count": new(int32), "start_at": new(time.Time), "stop_at": new(time.Time),
		"capacity": new(int32), "leakspeed": new(string), "simulated": new(bool), "remediation": new(bool),
		"kind": new(string), "machine_id": new(string), "events": new([]modelEvent),
		"source": new(map[string]any), "decisions": new([]map[string]any)}
	for key, into := range kinds {
		if raw, ok := a[key]; !ok || string(raw) == "null" {
			return fmt.Errorf("%s is missing", key)
		}
		dec := json.NewDecoder(bytes.NewReader(a[key]))
		dec.DisallowUnknownFields()
		if err := dec.Decode(into); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if m := *kinds["message"].(*string); !alertMessage.MatchString(m) {
		return fmt.Errorf("message %q has another form", m)
	}
	if _, err := time.ParseDuration(*kinds["leakspeed"].(*string)); err != nil {
		return err
	}
	if *kinds["kind"].(*string) != "crowdsec" {
		return fmt.Errorf("kind is %q", *kinds["kind"].(*string))
	}
	for _, key := range []string{"scope", "value"} {
		if (*kinds["source"].(*map[string]any))[key] == "" {
			return fmt.Errorf("the source has no %s", key)
		}
	}
	for _, d := range *kinds["decisions"].(*[]map[string]any) {
		for _, key := range []string{"duration", "origin", "scenario", "scope", "type", "value"} {
			if s, ok := d[key].(string); !ok || s == "" {
				return fmt.Errorf("a decision has no %s", key)
			}
		}
	}
	return checkEvents(*kinds["events"].(*[]modelEvent))
}

type modelEvent struct {
	Timestamp *time.Time `json:"timestamp"`
	Meta      []struct {
		Key   *string `json:"key"`
		Value *string `json:"value"`
	} `json:"meta"`
}

func checkEvents(events []modelEvent) error {
	if len(events) == 0 {
		return fmt.Errorf("there are no events")
	}
	for _, e := range events {
		if e.Timestamp == nil || len(e.Meta) == 0 {
			return fmt.Errorf("an event has no time or no meta")
		}
		var keys []string
		for _, m := range e.Meta {
			if m.Key == nil || m.Value == nil {
				return fmt.Errorf("an event has a meta without key or value")
			}
			keys = append(keys, *m.Key)
		}
		if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
			return fmt.Errorf("the meta of an event is not sorted by key: %v", keys)
		}
	}
	return nil
}

// TestReplayRealLogs runs what else there is of real logs, in every format.
func TestReplayRealLogs(t *testing.T) {
	for _, c := range []struct {
		file, kind string
		lines      int
	}{
		{"openssh_2k.log", "syslog", 2000},
		{"auth.log", "syslog", 7121},
		{"linux_2k.log", "syslog", 2000},
		{"apache_access_10k.log", "apache2", 10000},
	} {
		log := testkit.Shared(t, "logs", c.file)
		out := replayed(t, "--type", c.kind, log)
		if !strings.Contains(out, fmt.Sprintf("\n%d lines, ", c.lines)) {
			t.Errorf("%s:\n%s", c.file, out)
		}
		t.Logf("%s: %s", c.file, strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]))
		rows, err := csv.NewReader(strings.NewReader(replayed(t, "--type", c.kind, "-o", "raw", log))).ReadAll()
		if err != nil || len(rows) == 0 || rows[0][2] != "source" {
			t.Errorf("%s as CSV: %v %v", c.file, err, rows)
		}
	}
}
