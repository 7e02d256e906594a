package engine_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

func (r *rig) line(text string) event.Line {
	return event.Line{Raw: text, Src: "/var/log/auth.log", Module: "file", Time: r.now, Process: true,
		Labels: map[string]string{"type": "syslog"}}
}

// TestReadAndTake: reading first and pouring later, in another order, is the same
// as Line in that order.
func TestReadAndTake(t *testing.T) {
	start := time.Date(2024, 4, 10, 14, 30, 0, 0, time.UTC)
	var log []string
	for i := range 60 {
		log = append(log, failed(start.Add(time.Duration(i)*time.Second), fmt.Sprintf("192.0.2.%d", i%4)))
	}
	whole, parts2 := newRig(t, parts{scenarios: bruteforce, replay: true}), newRig(t, parts{scenarios: bruteforce, replay: true})
	whole.read(log...)
	type waiting struct {
		ev *event.Event
		at time.Time
	}
	var list []waiting
	for i := range log {
		ev, at, ok := parts2.Read(parts2.line(log[len(log)-1-i]))
		if !ok {
			t.Fatalf("nothing to pour in %q", log[i])
		}
		list = append(list, waiting{ev, at})
	}
	for i := range list {
		w := list[len(list)-1-i]
		parts2.Take(w.ev, w.at)
		parts2.Done(w.ev)
	}
	if len(whole.alerts) == 0 {
		t.Fatal("no alerts")
	}
	if diff := cmp.Diff(whole.alerts, parts2.alerts); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"junk", "2024-13-45T99:99:99Z host sshd[1]: Failed password for root from 192.0.2.7 port 4242 ssh2"} {
		if ev, _, ok := parts2.Read(parts2.line(text)); ok || ev != nil {
			t.Errorf("%q is to be poured", text)
		}
	}
}

// TestSimulated: alerts and decisions of the scenarios that the option names say so.
func TestSimulated(t *testing.T) {
	for _, want := range []bool{true, false} {
		r := newRig(t, parts{scenarios: bruteforce, simulated: func(a *event.Alert) bool { return want && a.Scenario == "test/ssh" }})
		for range 6 {
			r.read(failed(r.now, "192.0.2.7"))
		}
		r.expect("six", 1, 1)
		if r.alerts[0].Simulated != want || r.decided[0].Simulated != want {
			t.Errorf("alert simulated %v, decision %v, want %v", r.alerts[0].Simulated, r.decided[0].Simulated, want)
		}
	}
}

// TestObserver: it sees nodes, pours and overflows, forgiven ones too, in the order
// in which they happen.
func TestObserver(t *testing.T) {
	var seen []string
	note := func(format string, args ...any) { seen = append(seen, fmt.Sprintf(format, args...)) }
	own := parsers.Item{Path: "own.yaml", Stage: "s01-whitelist", Data: []byte("name: own\nwhitelist: {reason: ours, ip: ['192.0.2.7']}\n")}
	r := newRig(t, parts{scenarios: bruteforce, postoverflows: []parsers.Item{own}, observe: observer(note)})
	for range 6 {
		r.read(failed(r.now, "192.0.2.7"))
	}
	r.expect("forgiven", 0, 0)
	r.read(fmt.Sprintf("%s host sshd[1]: Invalid user bob from 192.0.2.7 port 4242", r.now.Format(time.RFC3339)))
	var want []string
	for i := range 7 {
		pours := 1
		if i == 6 {
			pours = 0
		}
		want = append(want, fmt.Sprintf("pour %d", pours))
		if i == 5 {
			want = append(want, "s01-whitelist own true", "overflow true ours")
		}
	}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("saw %q, want %q", seen, want)
	}
}

// TestStrictPostoverflows: with pipelines that chain stages as CrowdSec does, a
// first stage that nothing succeeds in keeps the whitelist behind it from running.
func TestStrictPostoverflows(t *testing.T) {
	items := []parsers.Item{
		{Path: "a.yaml", Stage: "s00-enrich", Data: []byte("name: six\nfilter: evt.Overflow.Alert.Source.IP contains ':'\nonsuccess: next_stage\nstatics: [{meta: a, value: b}]\n")},
		{Path: "b.yaml", Stage: "s01-whitelist", Data: []byte("name: own\nwhitelist: {reason: ours, ip: ['192.0.2.7']}\n")},
	}
	for strict, want := range map[bool]int{true: 1, false: 0} {
		r := newRig(t, parts{scenarios: bruteforce, postoverflows: items, strict: strict})
		for range 6 {
			r.read(failed(r.now, "192.0.2.7"))
		}
		if len(r.alerts) != want {
			t.Errorf("strict %v: %d alerts, want %d", strict, len(r.alerts), want)
		}
	}
}

// TestFaithful: the lines that a replay of ours leaves out or takes otherwise, as
// CrowdSec takes them.
func TestFaithful(t *testing.T) {
	every := `
type: trigger
name: test/all
description: everything
filter: "true"
groupby: evt.Meta.source_ip
labels: {remediation: true}
---
type: leaky
name: test/leaky
description: everything
filter: "true"
capacity: 1
leakspeed: 1h
labels: {remediation: true}
`
	undated := parsers.Item{Path: "a.yaml", Stage: "s00-raw", Data: []byte(`name: own
filter: evt.Line.Raw startsWith 'own'
onsuccess: next_stage
statics: [{meta: source_ip, value: '::ffff:192.0.2.7'}, {parsed: repeat, value: '5'}]
---
name: own2
filter: evt.Line.Raw startsWith 'own'
onsuccess: next_stage
statics: [{meta: a, value: b}]
`)}
	undated2 := undated
	undated2.Stage, undated2.Path = "s01-parse", "b.yaml"
	undated3 := undated
	undated3.Stage, undated3.Path = "s02-enrich", "c.yaml"
	r := newRig(t, parts{scenarios: every, replay: true, faithful: true, parsers: []parsers.Item{undated, undated2, undated3}})
	r.read("own line", "own line")
	if len(r.alerts) != 2 {
		t.Fatalf("%d alerts, want two of the trigger: %+v", len(r.alerts), r.alerts)
	}
	for _, a := range r.alerts {
		if a.Scenario != "test/all" || a.GetValue() != "::ffff:192.0.2.7" || !a.Stop.Equal(r.now) {
			t.Errorf("alert of %s about %s at %s", a.Scenario, a.GetValue(), a.Stop)
		}
	}
	// A date that cannot be read is the present, and counts.
	bad := "2024-13-45T99:99:99Z host sshd[1]: Failed password for root from 192.0.2.7 port 4242 ssh2"
	r.read(bad, bad)
	if len(r.alerts) != 5 {
		t.Errorf("%d alerts, want five: %+v", len(r.alerts), r.alerts)
	}
	if r.counts.Untimed.Load() != 0 {
		t.Errorf("%d lines without a time", r.counts.Untimed.Load())
	}
}

func observer(note func(string, ...any)) *engine.Observer {
	return &engine.Observer{
		Node: func(stage, node string, _ *event.Event, ok bool) {
			if stage == "s01-whitelist" {
				note("%s %s %v", stage, node, ok)
			}
		},
		Pour: func(_ *event.Event, drops []scenarios.Drop) { note("pour %d", len(drops)) },
		Overflow: func(ev *event.Event) {
			note("overflow %v %s", ev.Overflow.Whitelisted, ev.WhitelistReason)
		},
	}
}
