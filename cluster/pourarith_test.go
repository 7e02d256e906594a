package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// seen gathers overflows.
type seen []bucketstest.Seen

func (s *seen) sink(o *scenarios.Overflow) { *s = append(*s, bucketstest.See(o)) }

// TestPourArithmetic compares pour.lua with the arithmetic of a node's memory, which
// counts in 64-bit integers, where rounding would show: instants at the edges of
// leakspeeds and lives, long-lived buckets, credit of many digits, clocks that step
// back.
func TestPourArithmetic(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	rng := rand.New(rand.NewPCG(5, 6))
	total := 0
	for round := range 40 {
		n := []int{1, 2, 3, 7, 40, 1000}[rng.IntN(6)]
		each := []time.Duration{time.Microsecond, 3 * time.Microsecond, 333_333 * time.Microsecond, 500 * time.Millisecond,
			7 * time.Second, 4 * time.Hour, 24 * 30 * time.Hour}[rng.IntN(7)]
		sc := bucketstest.Scenario(t, fmt.Sprintf("type: leaky\nfilter: '1 == 1'\ncapacity: %d\nleakspeed: %s\n", n, each))
		var list []scenarios.Drop
		now := bucketstest.Start.Add(time.Duration(rng.Int64N(1e15)))
		for i := range 1500 {
			gap := []time.Duration{0, 0, time.Microsecond, each, each - time.Microsecond, each + time.Microsecond, each / 2,
				each * 9 / 10, each / 3, -each, sc.Life(), sc.Life() + time.Microsecond, sc.Life() - time.Microsecond,
				time.Duration(rng.Int64N(int64(each)*3 + 1))}[rng.IntN(14)]
			if n > 100 && gap > each && rng.IntN(20) > 0 {
				gap = each / 100 // or it would never be full
			}
			if next := now.Add(gap); next.Year() > 2000 && next.Year() < 2150 {
				now = next
			}
			d := bucketstest.Drop(sc, "192.0.2.1", i, now, false)
			d.Count = []int{1, 1, 1, 2, n, n + 1, 2*n + 3}[rng.IntN(7)]
			list = append(list, d)
		}
		var want, got seen
		m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: want.sink, SampleBytes: -1})
		m.Pour(list)
		b, stop := openBuckets(t, c, BucketOptions{absolute: true, SampleBytes: -1}, got.sink)
		for len(list) > 0 {
			k := min(len(list), 1+rng.IntN(200))
			b.Pour(list[:k])
			list = list[k:]
			if rng.IntN(3) == 0 {
				drain(t, b)
			}
		}
		drain(t, b)
		stop()
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("round %d, capacity %d, leakspeed %v (-memory +redis):\n%.4000s", round, n, each, d)
		}
		total += len(got)
		s.Do("FLUSHALL")
	}
	if t.Logf("%d overflows", total); total < 5000 {
		t.Error("so few overflows test too little")
	}
}

// TestPourMerged pours the same list so that equal pours wait together, and one after
// the other. Events of one instant are merged with absolute.
func TestPourMerged(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	rng := rand.New(rand.NewPCG(7, 8))
	merged := int64(0)
	for round := range 40 {
		yaml := "type: leaky\nfilter: '1 == 1'\n" + fmt.Sprintf("capacity: %d\nleakspeed: 1s\n", 1+rng.IntN(6)) +
			[]string{"", "blackhole: 3s\n", "distinct: evt.Meta.x\n", "cancel_on: evt.Meta.x == '1'\n",
				"overflow_filter: leaky.Total_count % 2 == 0\nblackhole: 3s\n"}[round%5]
		sc := bucketstest.Scenario(t, yaml)
		var list []scenarios.Drop
		now := bucketstest.Start
		for i := range 120 {
			if rng.IntN(4) == 0 {
				now = now.Add(time.Duration(rng.Int64N(2e9)))
			}
			d := bucketstest.Drop(sc, fmt.Sprint("192.0.2.", rng.IntN(3)), i, now, false)
			x := fmt.Sprint(rng.IntN(8))
			d.Distinct, d.Event.Meta["x"] = x, x
			d.Cancel = round%5 == 3 && x == "1"
			d.Event.From.Detect = rng.IntN(10) > 0
			d.Count = 1 + max(rng.IntN(8)-5, 0)
			list = append(list, d)
		}
		play := func(at int) (out seen) {
			s.Do("FLUSHALL")
			b, stop := openBuckets(t, c, BucketOptions{absolute: true, FlushEvery: time.Minute, Batch: at}, out.sink)
			defer stop()
			for i := range list {
				b.Pour(list[i : i+1])
				if at == 1 {
					drain(t, b)
				}
			}
			for b.groups[0].waiting() > 0 || !b.groups[0].idle() {
				time.Sleep(time.Millisecond)
			}
			drain(t, b)
			merged += b.Stats().Merged
			return out
		}
		if d := cmp.Diff(play(1), play(len(list))); d != "" {
			t.Fatalf("%s(-one by one +together):\n%s", yaml, d)
		}
	}
	if merged < 500 {
		t.Errorf("only %d pours were merged", merged)
	}
}
