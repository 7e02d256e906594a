package cluster

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// TestCompareAgainstModel compares what compare.lua and deadline.lua do with the
// model, on random scenarios with conditions and durations. All drops are live: a
// replay is never shared.
func TestCompareAgainstModel(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	open := opener(c, func() { s.Do("FLUSHALL") })
	rng := rand.New(rand.NewPCG(5, 6))
	configs, events, overflows := 0, 0, map[string]int{}
	for configs < 60 {
		yaml := bucketstest.Config(rng)
		sc := bucketstest.Scenario(t, yaml)
		if !stepwise(sc) || !sc.Shareable() {
			continue
		}
		configs++
		for kind := range bucketstest.Traces {
			list := bucketstest.Trace(rng, sc, kind, false)
			for i := range list {
				list[i].Replay = false
			}
			events += len(list)
			model := bucketstest.NewModel(t, yaml)
			model.Pour(list)
			got := bucketstest.Play(t, open, list, false)
			overflows[sc.Type] += len(got)
			if d := cmp.Diff(model.Seen, got); d != "" {
				t.Fatalf("configuration %d, trace %d (-model +got):\n%s\n%s", configs, kind, yaml, d)
			}
		}
	}
	t.Logf("%d configurations, %d events, overflows %v", configs, events, overflows)
	for _, kind := range []string{"leaky", "counter", "conditional", "bayesian"} {
		if overflows[kind] < 50 {
			t.Errorf("only %d overflows of type %s: the traces test too little", overflows[kind], kind)
		}
	}
}
