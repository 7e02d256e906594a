package replay

import (
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// history counts a replay's own decisions on the log's clock, so that profiles
// escalate as they would have.
type history struct {
	now  time.Time
	seen map[string][]time.Time
}

func (h *history) clock() time.Time { return h.now }

// add notes decisions, and writes them into their alert.
func (h *history) add(a *event.Alert, ds []decisions.Decision) {
	for _, d := range ds {
		h.seen[d.Value] = append(h.seen[d.Value], a.Stop)
		a.Decisions = append(a.Decisions, event.AlertDecision{Type: d.Type, Scope: d.Scope, Value: d.Value,
			Origin: d.Origin, Scenario: d.Scenario, Duration: d.Until.Sub(a.Stop).String(),
			Until: d.Until.UTC().Format(time.RFC3339), Simulated: d.Simulated})
	}
}

// Count implements expression.DecisionCounts.
func (h *history) Count(value string, since time.Time) int {
	n := 0
	for _, t := range h.seen[value] {
		if !t.Before(since) {
			n++
		}
	}
	return n
}

// Active implements expression.DecisionCounts; nothing is in force in a replay.
func (h *history) Active(string) (int, time.Duration) { return 0, 0 }

var _ expression.DecisionCounts = (*history)(nil)
