package engine_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

const bruteforce = `
type: leaky
name: test/ssh
description: failed logins
filter: evt.Meta.log_type == 'ssh_failed-auth'
groupby: evt.Meta.source_ip
capacity: 5
leakspeed: 10s
blackhole: 1m
labels: {service: ssh, remediation: true}
`

// parts are what a rig is made of.
type parts struct {
	scenarios     string // YAML
	profiles      string // YAML; empty: the default ones
	parsers       []parsers.Item
	postoverflows []parsers.Item
	replay        bool
	faithful      bool
	strict        bool // postoverflow stages are chained as CrowdSec chains them
	now           time.Time
	simulated     func(*event.Alert) bool
	observe       *engine.Observer
}

// rig is an engine with all around it, the journal included, on a clock that the
// test moves.
type rig struct {
	*engine.Engine
	t       testing.TB
	now     time.Time
	counts  *engine.Counters
	buckets *scenarios.Memory
	rules   *scenarios.Rules

	refuse  func(a *event.Alert, ds []decisions.Decision) error // what the journal says; nil: it takes all
	lastID  int64
	alerts  []event.Alert
	decided []decisions.Decision
}

func newRig(t testing.TB, p parts) *rig {
	t.Helper()
	r := &rig{t: t, now: p.now, counts: &engine.Counters{}}
	if r.now.IsZero() {
		r.now = time.Date(2026, 4, 10, 14, 30, 0, 0, time.UTC)
	}
	clock := func() time.Time { return r.now }
	env := expression.New(expression.Options{Now: clock})
	pipeline, err := parsers.Load(append(builtinParsers(t), p.parsers...), env, parsers.Options{Now: clock, FixYear: !p.replay})
	must(t, err)
	var post *parsers.Pipeline
	if p.postoverflows != nil {
		post, err = parsers.Load(p.postoverflows, env, parsers.Options{Now: clock, Postoverflow: !p.strict})
		must(t, err)
	}
	list, err := scenarios.Load(scenarios.Item{Path: "test.yaml", Data: []byte(p.scenarios)}, env)
	must(t, err)
	r.rules = scenarios.NewRules(list)
	profiles := []byte(p.profiles)
	if p.profiles == "" {
		profiles = decisions.DefaultProfiles()
	}
	rules, err := decisions.LoadProfiles("profiles.yaml", profiles, env)
	must(t, err)
	r.buckets = scenarios.NewMemory(scenarios.MemoryOptions{Now: clock, Overflow: func(o *scenarios.Overflow) { r.Overflow(o) }})
	r.buckets.Use(r.rules)
	o := engine.Options{Pipeline: pipeline, Postoverflows: post, Rules: r.rules, Buckets: r.buckets, Profiles: rules,
		Journal: r, Watch: r.watch, Counters: r.counts, Logger: zap.NewNop(), Now: clock, Machine: "test",
		Replay: p.replay, Faithful: p.faithful, Width64: !p.faithful, Simulated: p.simulated, Observe: p.observe}
	if p.replay {
		o.Journal = nil
	}
	r.Engine = engine.New(o)
	return r
}

func builtinParsers(t testing.TB) []parsers.Item {
	t.Helper()
	content := parsers.Builtin()
	files, err := fs.Glob(content, "*/*.yaml")
	must(t, err)
	var items []parsers.Item
	for _, f := range files {
		data, err := fs.ReadFile(content, f)
		must(t, err)
		stage, _, _ := strings.Cut(f, "/")
		items = append(items, parsers.Item{Path: f, Stage: stage, Data: data})
	}
	return items
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Append implements engine.Journal.
func (r *rig) Append(a *event.Alert, ds []decisions.Decision) error {
	if r.refuse != nil {
		return r.refuse(a, ds)
	}
	r.record(a, ds)
	return nil
}

func (r *rig) record(a *event.Alert, ds []decisions.Decision) {
	r.lastID++
	a.ID = r.lastID
	for i := range ds {
		ds[i].ID, ds[i].AlertID = r.lastID*100+int64(i), a.ID
	}
}

func (r *rig) watch(a *event.Alert, ds []decisions.Decision, _ []decisions.Match) {
	r.alerts = append(r.alerts, *a)
	r.decided = append(r.decided, ds...)
}

// failed is an sshd line as syslog with ISO dates writes it.
func failed(at time.Time, addr string) string {
	return fmt.Sprintf("%s host sshd[1]: Failed password for root from %s port 4242 ssh2", at.Format(time.RFC3339), addr)
}

// read has the engine take lines of a system log, read now.
func (r *rig) read(lines ...string) {
	r.t.Helper()
	for _, text := range lines {
		l := event.Line{Raw: text, Src: "/var/log/auth.log", Module: "file", Time: r.now, Process: true,
			Labels: map[string]string{"type": "syslog"}}
		if !r.Line(l) {
			r.t.Errorf("no parser knows %q", text)
		}
	}
}

// expect checks how many alerts and decisions there are.
func (r *rig) expect(when string, alerts, decided int) {
	r.t.Helper()
	if len(r.alerts) != alerts || len(r.decided) != decided {
		r.t.Fatalf("%s: %d alerts and %d decisions, want %d and %d: %+v", when, len(r.alerts), len(r.decided), alerts, decided, r.alerts)
	}
}

// request is a live request that nothing was done with yet.
func (r *rig) request(addr string, from event.Provenance) *event.Event {
	ev := r.Event()
	from.Inline, from.At = true, r.now
	ev.From, ev.Time, ev.Process = from, r.now, true
	ev.SetMeta("log_type", "http_access-log")
	ev.SetMeta("service", "http")
	ev.SetMeta("source_ip", addr)
	return ev
}
