package scenarios_test

import (
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestLevel: what a bucket of three holds while it is poured into and leaks, on both
// clocks.
func TestLevel(t *testing.T) {
	list, err := scenarios.Load(scenarios.Item{Path: "s.yaml", Own: true, Data: []byte(
		"type: leaky\nfilter: 'true'\ngroupby: evt.Meta.source_ip\ncapacity: 3\nleakspeed: 10s\nblackhole: 1m\nlabels: {service: x}\n")}, expression.New(expression.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, replay := range []bool{false, true} {
		rules := scenarios.NewRules(list)
		m := scenarios.NewMemory(scenarios.MemoryOptions{Now: time.Now})
		m.Use(rules)
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		drop := func() scenarios.Drop {
			return scenarios.Drop{Scenario: list[0], Key: "k", At: at, Replay: replay,
				Event: &event.Event{Meta: map[string]string{"source_ip": "192.0.2.1"}}}
		}
		if l := m.Level(drop()); l != (scenarios.Level{}) {
			t.Errorf("no bucket: %+v", l)
		}
		for i, step := range []struct {
			after       time.Duration
			held, count int
		}{{0, 1, 1}, {time.Second, 2, 2}, {9 * time.Second, 2, 3}, {25 * time.Second, 1, 4}, {0, 2, 5}, {0, 3, 6}} {
			at = at.Add(step.after)
			m.Pour([]scenarios.Drop{drop()})
			if l := m.Level(drop()); l.Held != step.held || l.Count != step.count || !l.Hole.IsZero() || l.First.IsZero() {
				t.Errorf("replay %t, pour %d: %+v, want %d held of %d", replay, i, l, step.held, step.count)
			}
		}
		m.Pour([]scenarios.Drop{drop()})
		if l := m.Level(drop()); l.Count != 0 || !l.Hole.Equal(at.Add(time.Minute)) {
			t.Errorf("replay %t, after the overflow: %+v", replay, l)
		}
	}
}
