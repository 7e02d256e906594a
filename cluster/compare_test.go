package cluster

import (
	"testing"

	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestCompareAgainstModel compares what compare.lua and deadline.lua do with the
// model: scenarios with conditions and durations.
func TestCompareAgainstModel(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	overflows := againstModel(t, opener(c, func() { s.Do("FLUSHALL") }), 60, true, func(s *scenarios.Scenario) bool {
		return stepwise(s) && s.Shareable()
	})
	for _, kind := range []string{"leaky", "counter", "conditional", "bayesian"} {
		if overflows[kind] < 50 {
			t.Errorf("only %d overflows of type %s: the traces test too little", overflows[kind], kind)
		}
	}
}
