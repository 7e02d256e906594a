package hub

import (
	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/parsers"
)

// Record returns results that are empty, and an observer for an engine with these
// rules that notes in them what passes: every event at every node, so it is for
// logs that fit in memory many times.
func (s *Ruleset) Record() (*Results, *engine.Observer) {
	results := newResults()
	stages := s.Pipeline.Stages()
	var later []string
	if s.Postoverflows != nil {
		later = s.Postoverflows.Stages()
	}
	return results, &engine.Observer{
		Node:     results.node,
		Parsed:   func(_ *event.Event, out parsers.Outcome) { results.passed(stages, out) },
		Pour:     results.pour,
		Overflow: func(ev *event.Event) { results.overflow(ev); results.passed(later, parsers.Outcome{}) },
	}
}

// Sort puts the overflows in the order in which dumps have them. It is called once,
// at the end.
func (r *Results) Sort() { r.Overflows.sort() }
