package cluster

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// TestPourAgainstModel compares what pour.lua does with the model, on random
// scenarios and traces. All drops are live: a replay is never shared.
func TestPourAgainstModel(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	open := opener(c, func() { s.Do("FLUSHALL") })
	rng := rand.New(rand.NewPCG(3, 4))
	configs, events, overflows := 0, 0, 0
	for configs < 60 {
		yaml := bucketstest.Config(rng)
		sc := bucketstest.Scenario(t, yaml)
		if stepwise(sc) {
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
			overflows += len(got)
			if d := cmp.Diff(model.Seen, got); d != "" {
				t.Fatalf("configuration %d, trace %d (-model +got):\n%s\n%s", configs, kind, yaml, d)
			}
		}
	}
	t.Logf("%d configurations, %d events, %d overflows", configs, events, overflows)
	if overflows < 1000 {
		t.Error("so few overflows test too little")
	}
}
