package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/parsers"
)

// TestLineToDecision is the whole way of a line.
func TestLineToDecision(t *testing.T) {
	r := newRig(t, parts{scenarios: bruteforce})
	for range 5 {
		r.read(failed(r.now, "192.0.2.7"))
	}
	r.expect("five failures", 0, 0)
	r.read(failed(r.now, "192.0.2.8"), failed(r.now, "192.0.2.7"))
	r.expect("six", 1, 1)
	a, d := r.alerts[0], r.decided[0]
	if a.Scenario != "test/ssh" || a.GetValue() != "192.0.2.7" || a.EventsCount != 6 || len(a.Events) != 6 ||
		a.MachineID != "test" || !a.Direct || a.Simulated || !a.Stop.Equal(r.now) {
		t.Errorf("alert %+v", a)
	}
	if d.Type != "ban" || d.Value != "192.0.2.7" || d.AlertID != a.ID || !d.Direct || d.Simulated || d.Host != "" ||
		!d.Until.Equal(r.now.Add(4*time.Hour)) {
		t.Errorf("decision %+v", d)
	}
	c := r.counts
	if c.Lines.Load() != 7 || c.Unparsed.Load() != 0 || c.Poured.Load() != 7 || c.Overflows.Load() != 1 ||
		c.Alerts.Load() != 1 || c.Failed.Load() != 0 || c.Late.Load() != 0 {
		t.Errorf("counters %+v", c)
	}
	if r.Line(event.Line{Raw: "\x00\xff junk", Labels: map[string]string{"type": "syslog"}, Time: r.now}) || c.Unparsed.Load() != 1 {
		t.Error("junk is taken for a line")
	}
}

// TestWhenLinesCount: a line counts when it is read, unless it is old by then. A
// log that is ahead of this node's clock gets nobody off.
func TestWhenLinesCount(t *testing.T) {
	for name, tt := range map[string]struct {
		first           time.Duration // of the first line, before now
		step            time.Duration
		alerts, decided int
		late            int64
		stop            time.Duration // of the alert, before now
	}{
		"a burst just now":                   {0, 0, 1, 1, 0, 0},
		"a little behind, read at once":      {9 * time.Second, 0, 1, 1, 0, 0},
		"spread over an hour, read at once":  {time.Hour, 10 * time.Minute, 0, 0, 6, 0},
		"an hour ago within five seconds":    {time.Hour, time.Second, 1, 1, 6, time.Hour - 5*time.Second},
		"so long ago that a ban is over":     {5 * time.Hour, time.Second, 1, 0, 6, 5*time.Hour - 5*time.Second},
		"from the future, spread out":        {-time.Hour, 10 * time.Minute, 1, 1, 0, 0},
		"a little ahead":                     {-3 * time.Second, 0, 1, 1, 0, 0},
		"before the epoch of anybody's logs": {20 * 365 * 24 * time.Hour, 10 * time.Minute, 0, 0, 6, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, parts{scenarios: bruteforce})
			for i := range 6 {
				r.read(failed(r.now.Add(time.Duration(i)*tt.step-tt.first), "192.0.2.7"))
			}
			r.expect("read", tt.alerts, tt.decided)
			if got := r.counts.Late.Load(); got != tt.late {
				t.Errorf("%d lines were late, want %d", got, tt.late)
			}
			for _, a := range r.alerts {
				if !a.Stop.Equal(r.now.Add(-tt.stop)) {
					t.Errorf("alert of %s, want %s", a.Stop, r.now.Add(-tt.stop))
				}
			}
			for _, d := range r.decided {
				if want := r.now.Add(4*time.Hour - tt.stop); !d.Until.Equal(want) || !d.Created.Equal(r.now) {
					t.Errorf("decision from %s until %s, want until %s", d.Created, d.Until, want)
				}
			}
		})
	}
}

// TestRepeatedLine: syslog folds equal lines; as many count, up to a bound, and a
// request is one whatever its fields say.
func TestRepeatedLine(t *testing.T) {
	folded := func(at time.Time, n int) string {
		return fmt.Sprintf("%s host sshd[1]: message repeated %d times: [ Failed password for root from 192.0.2.7 port 4242 ssh2]",
			at.Format(time.RFC3339), n)
	}
	r := newRig(t, parts{scenarios: bruteforce})
	r.read(folded(r.now, 5))
	r.expect("five", 0, 0)
	r.read(failed(r.now, "192.0.2.7"))
	r.expect("six", 1, 1)
	r.now = r.now.Add(time.Hour)
	before := r.buckets.Stats().Poured
	r.read(folded(r.now, 99_999))
	if got := r.buckets.Stats().Poured - before; got < 6 || got > 100 {
		t.Errorf("%d events of one line", got)
	}

	r = newRig(t, parts{scenarios: strings.Replace(bruteforce, "ssh_failed-auth", "http_access-log", 1)})
	ev := r.request("192.0.2.7", event.Provenance{})
	ev.SetParsed("repeat", "50")
	r.Respond(ev, true)
	r.expect("one request", 0, 0)
	if got := r.buckets.Stats().Poured; got != 1 {
		t.Errorf("a request counts %d times", got)
	}
}

// TestReplay: on the log's own clock, the same every time, and not for lines
// without a time.
func TestReplay(t *testing.T) {
	start := time.Date(2024, 4, 10, 14, 30, 0, 0, time.UTC)
	var log []string
	for i := range 40 {
		log = append(log, failed(start.Add(time.Duration(i)*20*time.Second), "192.0.2.9"))
		if i%2 == 0 {
			log = append(log, failed(start.Add(time.Duration(i)*time.Second/4), fmt.Sprintf("192.0.2.%d", i%6)))
		}
	}
	run := func() (*rig, string) {
		r := newRig(t, parts{scenarios: bruteforce + "---" + strings.NewReplacer("test/ssh", "test/slow", "leakspeed: 10s", "leakspeed: 1m").Replace(bruteforce), replay: true})
		r.read(log...)
		text, err := json.Marshal(r.alerts)
		must(t, err)
		return r, string(text)
	}
	r, first := run()
	if len(r.alerts) < 3 {
		t.Fatalf("only %d alerts", len(r.alerts))
	}
	for _, a := range r.alerts {
		if a.GetValue() == "192.0.2.9" && a.Scenario == "test/ssh" {
			t.Errorf("an alert at one failure in 20 seconds: %+v", a)
		}
		if a.Stop.Before(start) || a.Stop.After(start.Add(15*time.Minute)) || a.CreatedAt != a.Stop.Format(time.RFC3339) {
			t.Errorf("alert of %s, created at %s", a.Stop, a.CreatedAt)
		}
	}
	if r.counts.Late.Load() != 0 {
		t.Error("a replay knows no late lines")
	}
	for range 3 {
		if _, again := run(); again != first {
			t.Fatal(cmp.Diff(first, again))
		}
	}
	r.read("2024-13-45T99:99:99Z host sshd[1]: Failed password for root from 192.0.2.7 port 4242 ssh2")
	if got := r.counts.Untimed.Load(); got != 1 {
		t.Errorf("%d lines without a time, want 1", got)
	}
}

// TestWhitelists: a parser's keeps an event out of the buckets, a postoverflow's
// an overflow from the journal.
func TestWhitelists(t *testing.T) {
	own := parsers.Item{Path: "own.yaml", Stage: "s02-enrich", Data: []byte("name: own\nwhitelist: {reason: ours, ip: ['192.0.2.7']}\n")}
	r := newRig(t, parts{scenarios: bruteforce, parsers: []parsers.Item{own}})
	for range 10 {
		r.read(failed(r.now, "192.0.2.7"), failed(r.now, "192.0.2.8"))
	}
	r.expect("one of two", 1, 1)
	if r.alerts[0].GetValue() != "192.0.2.8" || r.counts.Whitelisted.Load() != 10 {
		t.Errorf("alert about %s, %d whitelisted", r.alerts[0].GetValue(), r.counts.Whitelisted.Load())
	}
	if r.Enrich(r.request("192.0.2.7", event.Provenance{})) || !r.Enrich(r.request("192.0.2.8", event.Provenance{})) {
		t.Error("requests are not whitelisted as lines are")
	}

	own.Stage = "s01-whitelist"
	r = newRig(t, parts{scenarios: strings.Replace(bruteforce, "labels:", "reprocess: true\nlabels:", 1) + "---" + consumer,
		postoverflows: []parsers.Item{own}})
	for range 10 {
		r.read(failed(r.now, "192.0.2.7"))
	}
	r.expect("forgiven", 0, 0)
	if r.counts.Overflows.Load() != 1 || r.counts.Forgiven.Load() != 1 {
		t.Errorf("%d overflows, %d forgiven", r.counts.Overflows.Load(), r.counts.Forgiven.Load())
	}
	for range 6 {
		r.read(failed(r.now, "192.0.2.8"))
	}
	r.expect("another one, which is reprocessed", 2, 2)
}

// consumer feeds on overflows of the bruteforce.
const consumer = `
type: trigger
name: test/consumer
description: takes overflows
filter: evt.GetType() == 'overflow' && evt.Overflow.Alert.GetScenario() == 'test/ssh'
labels: {remediation: true}
`

// TestReprocess: a scenario may feed on overflows, on the clock of the node or in
// a replay on that of the log, and cannot feed on itself for ever.
func TestReprocess(t *testing.T) {
	again := strings.Replace(bruteforce, "labels:", "reprocess: true\nlabels:", 1)
	at := time.Date(2024, 4, 10, 14, 30, 0, 0, time.UTC)
	for _, replay := range []bool{false, true} {
		r := newRig(t, parts{scenarios: again + "---" + consumer, replay: replay})
		want := at
		if !replay {
			want = r.now
		}
		for range 6 {
			r.read(failed(want, "192.0.2.7"))
		}
		if len(r.alerts) != 2 {
			t.Fatalf("replay %v: %d alerts, want that of the consumer and the first", replay, len(r.alerts))
		}
		for _, a := range r.alerts {
			if a.GetValue() != "192.0.2.7" || !a.Stop.Equal(want) {
				t.Errorf("replay %v: alert of %s about %s at %s, want %s", replay, a.Scenario, a.GetValue(), a.Stop, want)
			}
		}
		if r.alerts[0].Scenario != "test/consumer" || r.counts.Looping.Load() != 0 {
			t.Errorf("replay %v: first the alert of %s; %d cut", replay, r.alerts[0].Scenario, r.counts.Looping.Load())
		}
	}
	hungry := strings.NewReplacer(" && evt.Overflow.Alert.GetScenario() == 'test/ssh'", "", "labels:", "reprocess: true\nlabels:").Replace(consumer)
	r := newRig(t, parts{scenarios: again + "---" + hungry})
	for range 6 {
		r.read(failed(r.now, "192.0.2.7"))
	}
	if n := len(r.alerts); n != 4 || r.counts.Looping.Load() != 1 {
		t.Errorf("%d alerts, %d cut, want 4 and 1", n, r.counts.Looping.Load())
	}
}

// TestJournalRefuses: what the journal does not take is counted and told of; what
// it takes in part is not lost.
func TestJournalRefuses(t *testing.T) {
	r := newRig(t, parts{scenarios: bruteforce})
	r.refuse = func(*event.Alert, []decisions.Decision) error { return fmt.Errorf("no disk") }
	for range 6 {
		r.read(failed(r.now, "192.0.2.7"))
	}
	r.expect("nothing is recorded", 0, 0)
	if r.counts.Failed.Load() != 1 || r.counts.Alerts.Load() != 0 {
		t.Errorf("%d failed, %d alerts", r.counts.Failed.Load(), r.counts.Alerts.Load())
	}
	r.refuse = func(a *event.Alert, ds []decisions.Decision) error {
		r.record(a, ds)
		ds[0].ID = 0
		return fmt.Errorf("one decision is not possible")
	}
	for range 6 {
		r.read(failed(r.now, "192.0.2.8"))
	}
	r.expect("the alert is", 1, 0)
	if r.counts.Failed.Load() != 2 || r.counts.Alerts.Load() != 1 {
		t.Errorf("%d failed, %d alerts", r.counts.Failed.Load(), r.counts.Alerts.Load())
	}

	r = newRig(t, parts{scenarios: bruteforce, profiles: `
name: odd
filters: ["Alert.GetMeta('a') == 'b' || Alert.Events[100].Timestamp == ''"]
decisions: [{type: ban}]
---
name: rest
filters: ["true"]
decisions: [{type: ban, duration: 1h}]
`})
	for range 6 {
		r.read(failed(r.now, "192.0.2.7"))
	}
	r.expect("a profile that fails leaves it to the next", 1, 1)
	if r.counts.Failed.Load() != 1 {
		t.Errorf("%d failures counted, want 1", r.counts.Failed.Load())
	}
}

// TestDetect: what only watched sites saw is simulated, with all that follows; one
// event of another site makes it real.
func TestDetect(t *testing.T) {
	scenario := strings.NewReplacer("ssh_failed-auth", "http_access-log", "service: ssh", "service: http").Replace(bruteforce)
	for name, tt := range map[string]struct {
		enforce   int // which request is for a site that enforces
		simulated bool
	}{"watched sites": {-1, true}, "one of another site": {2, false}, "the last of another site": {5, false}} {
		r := newRig(t, parts{scenarios: scenario})
		for i := range 6 {
			ev := r.request("192.0.2.7", event.Provenance{Site: "example.com", Direct: true, Detect: i != tt.enforce, Incident: "INC"})
			r.Respond(ev, true)
			r.Done(ev)
		}
		r.expect(name, 1, 1)
		if r.alerts[0].Simulated != tt.simulated || r.decided[0].Simulated != tt.simulated {
			t.Errorf("%s: alert simulated %v, decision %v, want %v", name, r.alerts[0].Simulated, r.decided[0].Simulated, tt.simulated)
		}
		if r.decided[0].Host != "example.com" || r.alerts[0].IncidentID != "INC" {
			t.Errorf("%s: site %q, incident %q", name, r.decided[0].Host, r.alerts[0].IncidentID)
		}
	}
}

// TestPhases: a request is shown to each scenario once, be it in one go or before
// and after the response.
func TestPhases(t *testing.T) {
	early := strings.NewReplacer("ssh_failed-auth", "http_access-log", "test/ssh", "test/early", "capacity: 5", "capacity: 1").Replace(bruteforce)
	late := strings.NewReplacer("log_type == 'ssh_failed-auth'", "http_status == '404'", "test/ssh", "test/late", "capacity: 5", "capacity: 1").Replace(bruteforce)
	r := newRig(t, parts{scenarios: early + "---" + late})
	e := engine.New(withPhases(r))
	for i := range 2 {
		ev := r.request("192.0.2.7", event.Provenance{Site: "example.com"})
		over := e.Inline(r.buckets, ev)
		if len(over) != i {
			t.Fatalf("request %d overflows %d buckets before the response", i+1, len(over))
		}
		for _, o := range over {
			o.Incident = "INC"
			e.Overflow(o)
		}
		ev.SetMeta("http_status", "404")
		e.Respond(ev, false)
	}
	r.expect("both phases", 2, 2)
	if r.alerts[0].Scenario != "test/early" || r.alerts[0].IncidentID != "INC" || r.alerts[1].Scenario != "test/late" {
		t.Errorf("alerts of %s (%s) and %s", r.alerts[0].Scenario, r.alerts[0].IncidentID, r.alerts[1].Scenario)
	}
	if got := r.buckets.Stats().Poured; got != 4 {
		t.Errorf("two requests count %d times in two buckets", got)
	}
}

func withPhases(r *rig) engine.Options {
	o := r.Options
	o.Rules = r.rules.WithRequestPhase(map[string]bool{"Meta.http_status": true})
	return o
}
