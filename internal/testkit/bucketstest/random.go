package bucketstest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/scenarios"
)

// random compares with the model on many configurations and traces, in both
// arithmetics.
func random(t *testing.T, open Open) {
	rng := rand.New(rand.NewPCG(1, 2))
	overflows := 0
	for n := range 120 {
		yaml := Config(rng)
		s := Scenario(t, yaml)
		for kind := range traces {
			replay := rng.IntN(2) == 0
			list := Trace(rng, s, kind, replay)
			model := NewModel()
			model.Pour(list)
			got := Play(t, open, list)
			overflows += len(got)
			if d := cmp.Diff(model.Seen, got); d != "" {
				t.Fatalf("configuration %d, trace %d, replay %v (-model +got):\n%s\n%s", n, kind, replay, yaml, d)
			}
		}
	}
	if overflows < 1000 {
		t.Errorf("only %d overflows: the traces test too little", overflows)
	}
}

func pick[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

// Config makes a random scenario.
func Config(rng *rand.Rand) string {
	n := pick(rng, 1, 2, 3, 4, 5, 10, 15, 20, 30, 40)
	l := pick(rng, "500ms", "1s", "3s", "7s", "10s", "1m", "3600s", "333333us")
	y := leaky(fmt.Sprintf("capacity: %d\nleakspeed: %s\n", n, l))
	if rng.IntN(3) == 0 {
		y += fmt.Sprintf("cache_size: %d\n", 1+rng.IntN(n+3))
	}
	if rng.IntN(3) == 0 {
		y += "distinct: evt.Meta.x\n"
	}
	if rng.IntN(3) == 0 {
		y += "blackhole: " + pick(rng, "1s", "1m", "1h") + "\n"
	}
	return y
}

const traces = 7

// Trace makes a random trace: a burst, drips of a leakspeed and of parts of one, a
// mix with pauses around the life of a bucket, events out of order, both clocks on
// one key.
func Trace(rng *rand.Rand, s *scenarios.Scenario, kind int, replay bool) []scenarios.Drop {
	l := s.LeakSpeed
	now := Start.Add(time.Duration(rng.Int64N(1e9)))
	var list []scenarios.Drop
	for i := range 30 + rng.IntN(6*s.Capacity) {
		switch kind {
		case 1:
			now = now.Add(l)
		case 2:
			now = now.Add(l * 9 / 10)
		case 3:
			now = now.Add(l / 3)
		case 4, 6:
			now = now.Add(pick(rng, 0, 0, 0, time.Duration(rng.Int64N(int64(l))), l, s.Life(),
				s.Life()+time.Microsecond, s.Life()-time.Microsecond, s.Blackhole))
		case 5:
			now = now.Add(time.Duration(rng.Int64N(int64(4*l))) - 3*l + l/2)
		}
		d := Drop(s, pick(rng, "192.0.2.1", "192.0.2.1", "192.0.2.2"), i, now, replay)
		if kind == 6 {
			d.Replay = rng.IntN(2) == 0
		}
		d.Distinct = fmt.Sprint(rng.IntN(2 * s.Capacity))
		d.Uncompared = rng.IntN(40) == 0
		d.Cancel = rng.IntN(60) == 0
		d.Event.From.Direct = rng.IntN(50) > 0
		d.Event.From.Detect = rng.IntN(2) > 0
		if rng.IntN(10) == 0 {
			d.Count = 1 + rng.IntN(s.Capacity+2)
		}
		list = append(list, d)
	}
	return list
}
