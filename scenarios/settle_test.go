package scenarios_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/scenarios"
)

// longTrace is a log of a few days: many keys that come and go, events that are up to
// ten minutes older than those before them.
func longTrace(rng *rand.Rand, s *scenarios.Scenario, replay bool) []scenarios.Drop {
	now := start
	var list []scenarios.Drop
	for i := range 1500 {
		now = now.Add(time.Duration(rng.Int64N(int64(20 * time.Second))))
		if rng.IntN(200) == 0 {
			now = now.Add(time.Duration(rng.Int64N(int64(3 * (s.Life() + s.Blackhole + time.Hour)))))
		}
		at := now
		if rng.IntN(3) == 0 {
			at = now.Add(-time.Duration(rng.Int64N(int64(10 * time.Minute))))
		}
		d := bucketstest.Drop(s, fmt.Sprint("192.0.2.", rng.IntN(3)+i/200*3), i, at, replay)
		d.Distinct = fmt.Sprint(rng.IntN(6))
		d.Event.Meta["x"] = d.Distinct
		d.Cancel = rng.IntN(80) == 0
		d.Event.From.Detect = rng.IntN(2) == 0
		list = append(list, d)
	}
	return list
}

// TestSettle replays logs with and without it: the overflows are the same.
func TestSettle(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 4))
	overflows, early, left, kept := 0, int64(0), int64(0), int64(0)
	for n := range 80 {
		yaml := bucketstest.Config(rng)
		s := bucketstest.Scenario(t, yaml)
		list := longTrace(rng, s, n%3 > 0)
		play := func(settle bool) ([]bucketstest.Seen, scenarios.Stats) {
			var got []bucketstest.Seen
			m := scenarios.NewMemory(scenarios.MemoryOptions{Now: clock(start), Overflow: func(o *scenarios.Overflow) { got = append(got, bucketstest.See(o)) }})
			var present time.Time
			for i := range list {
				if list[i].At.After(present) {
					present = list[i].At
				}
				m.Pour(list[i : i+1])
				if settle && i%16 == 0 {
					m.Settle(present)
				}
			}
			st := m.Stats()
			m.Flush()
			// A bucket that settles overflows earlier than one that waits for its next event.
			slices.SortStableFunc(got, func(a, b bucketstest.Seen) int { return cmp.Or(strings.Compare(a.Key, b.Key), a.At.Compare(b.At)) })
			return got, st
		}
		want, before := play(false)
		got, after := play(true)
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("configuration %d (-without +with):\n%s\n%s", n, gocmp.Diff(want, got), yaml)
		}
		overflows += len(got)
		early += after.Timed - before.Timed
		left, kept = left+after.Buckets+after.Blackholes, kept+before.Buckets+before.Blackholes
	}
	t.Logf("%d overflows, %d of them earlier; %d entries left instead of %d", overflows, early, left, kept)
	if overflows < 5000 || early < 50 || left*2 > kept {
		t.Error("the traces test too little")
	}
}

// TestSettleOlder is the exception: an event older than all slack finds a new bucket.
func TestSettleOlder(t *testing.T) {
	s := leaky(t, "a", "capacity: 1\nleakspeed: 1m\n")
	for _, older := range []time.Duration{9 * time.Minute, 13 * time.Minute} {
		overflows := 0
		m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: func(*scenarios.Overflow) { overflows++ }})
		present := start.Add(time.Hour)
		m.Pour([]scenarios.Drop{bucketstest.Drop(s, "a", 1, present.Add(-older), true)})
		for range 16 {
			m.Settle(present)
		}
		m.Pour([]scenarios.Drop{bucketstest.Drop(s, "a", 2, present.Add(-older), true)})
		if want := map[bool]int{true: 1}[older < 12*time.Minute]; overflows != want {
			t.Errorf("two events %v old: %d overflows, want %d", older, overflows, want)
		}
	}
}
