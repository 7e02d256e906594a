package scenarios_test

import (
	"testing"

	"github.com/rampart-edge/rampart/internal/testkit/hubset"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestConcerns: where Concerns says no, Drops gives nothing, on any event and in any
// phase; and both answers are given.
func TestConcerns(t *testing.T) {
	list := hubScenarios(t, hubset.Env(t, false), hubset.Files(t, "scenarios"))
	rules := scenarios.NewRules(list).WithRequestPhase(map[string]bool{"Meta.http_status": true, "Meta.sub_type": true})
	quiet, loud := 0, 0
	for _, ev := range hubset.Events(t, 20) {
		for _, ph := range []scenarios.Phase{scenarios.Whole, scenarios.Request, scenarios.Response} {
			concerns := rules.Concerns(ev, ph)
			n := len(rules.Drops(ev.Clone(), ph, start, nil))
			if !concerns && n > 0 {
				t.Errorf("phase %d of %q: %d drops of nothing that concerns", ph, ev.Line.Raw, n)
			}
			if concerns {
				loud++
			} else {
				quiet++
			}
		}
	}
	if quiet < 100 || loud < 100 {
		t.Errorf("%d events concern somebody and %d nobody", loud, quiet)
	}
}
