package cluster

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// againstModel compares what Redis does with the model, on traces of random scenarios,
// of those that fit. It returns how many overflows there were of each type. All drops
// are live: a replay is never shared.
func againstModel(t *testing.T, open bucketstest.Open, configs int, ordered bool, fits func(*scenarios.Scenario) bool) map[string]int {
	rng := rand.New(rand.NewPCG(3, 4))
	events, overflows := 0, map[string]int{}
	for n := 0; n < configs; {
		yaml := bucketstest.Config(rng)
		sc := bucketstest.Scenario(t, yaml)
		if !fits(sc) {
			continue
		}
		n++
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
			if !ordered {
				for _, l := range [][]bucketstest.Seen{model.Seen, got} {
					slices.SortStableFunc(l, func(a, b bucketstest.Seen) int { return strings.Compare(a.Key, b.Key) })
				}
			}
			if d := cmp.Diff(model.Seen, got); d != "" {
				t.Fatalf("configuration %d, trace %d (-model +got):\n%s\n%s", n, kind, yaml, d)
			}
		}
	}
	t.Logf("%d configurations, %d events, overflows %v", configs, events, overflows)
	return overflows
}

// pourAgainstModel does it with what pour.lua pours.
func pourAgainstModel(t *testing.T, open bucketstest.Open, configs int, ordered bool) {
	all := 0
	for _, n := range againstModel(t, open, configs, ordered, func(s *scenarios.Scenario) bool { return !stepwise(s) }) {
		all += n
	}
	if all < 15*configs {
		t.Error("so few overflows test too little")
	}
}

func TestPourAgainstModel(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	pourAgainstModel(t, opener(c, func() { s.Do("FLUSHALL") }), 60, true)
}

// TestPourClusterAgainstModel is the same in a Redis Cluster, where only the
// overflows of one bucket have an order.
func TestPourClusterAgainstModel(t *testing.T) {
	cl := redistest.StartCluster(t)
	c := up(t, 1, Config{Cluster: cl.Addrs()})
	pourAgainstModel(t, opener(c, func() {
		for _, s := range cl.Servers() {
			s.Do("FLUSHALL")
		}
	}), 15, false)
}
