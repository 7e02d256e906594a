package bucketstest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/scenarios"
)

const (
	configurations  = 100
	perTrace        = 151 // events
	shapes          = 6
	leastEvents     = 90_000
	leastOverflows  = 2000
	everyOtherTypes = 10 // one configuration of so many is not leaky
	everyStepwise   = 12 // one trace of so many is played batch by batch as well
)

// Configurations compares buckets with the model on a hundred random configurations
// and six traces for each, more than 90,000 events in all, with the arithmetic of
// live traffic: the overflows of each key must be the same, in order, to the
// microsecond, the count and the single samples.
func Configurations(t *testing.T, open Open) {
	rng := rand.New(rand.NewPCG(11, 12))
	events, overflows := 0, 0
	for n := range configurations {
		yaml := configuration(rng, n)
		s := Scenario(t, yaml)
		for shape := range shapes {
			list := shaped(rng, s, shape, strings.Contains(yaml, "cancel_on"))
			events += len(list)
			model := NewModel(t, yaml)
			model.Pour(list)
			overflows += len(model.Seen)
			if d := cmp.Diff(byKey(model.Seen), byKey(Play(t, open, list, false))); d != "" {
				t.Fatalf("configuration %d, trace %d (-model +got):\n%s\n%s", n, shape, yaml, d)
			}
			if (n+shape)%everyStepwise != 0 {
				continue
			}
			if d := cmp.Diff(byKey(model.Seen), byKey(playSteps(t, open, list))); d != "" {
				t.Fatalf("configuration %d, trace %d, batch by batch (-model +got):\n%s\n%s", n, shape, yaml, d)
			}
		}
	}
	t.Logf("%d configurations, %d events, %d overflows", configurations, events, overflows)
	if events < leastEvents || overflows < leastOverflows {
		t.Errorf("%d events and %d overflows: the traces test too little", events, overflows)
	}
}

// byKey sorts by key and keeps the order within one.
func byKey(list []Seen) []Seen {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Seen) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// configuration makes a random scenario: capacities 1 to 40, leakspeeds of half a
// second to an hour.
func configuration(rng *rand.Rand, n int) string {
	capacity := 1 + rng.IntN(40)
	l := pick(rng, 500*time.Millisecond, time.Second, 3*time.Second, 10*time.Second, time.Minute, time.Hour,
		time.Duration(500_000+rng.Int64N(3_599_500_000))*time.Microsecond)
	var y string
	switch {
	case n%everyOtherTypes > 0:
		y = leaky(fmt.Sprintf("capacity: %d\nleakspeed: %s\n", capacity, l))
	case n%40 == 0:
		y = conditional + fmt.Sprintf("leakspeed: %s\ncondition: len(queue.Queue) > %d\n", l, capacity)
	case n%40 == 10:
		y = counter + fmt.Sprintf("duration: %s\n", l)
	case n%40 == 20:
		y = "type: trigger\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\n"
	default:
		y = bayesian + fmt.Sprintf("leakspeed: %s\nbayesian_prior: 0.5\nbayesian_threshold: 0.7\nbayesian_conditions:\n"+
			"  - {condition: \"count(queue.Queue, {.Meta.x == '1'}) > 2\", prob_given_evil: 0.9, prob_given_benign: 0.1}\n", l)
	}
	if rng.IntN(4) == 0 {
		y += fmt.Sprintf("cache_size: %d\n", 1+rng.IntN(capacity+3))
	}
	if rng.IntN(4) == 0 {
		y += "distinct: evt.Meta.x\n"
	}
	if rng.IntN(3) == 0 {
		y += "blackhole: " + pick(rng, "1s", "1m", "1h") + "\n"
	}
	if rng.IntN(4) == 0 {
		y += "cancel_on: evt.Meta.x == '0'\n"
	}
	return y
}

// shaped makes a trace: a burst at one instant, drips of a leakspeed, of nine tenths
// and of a third of one, a mix of bursts and pauses, some of them as long as a bucket
// lives, and events out of order by up to three leakspeeds.
func shaped(rng *rand.Rand, s *scenarios.Scenario, shape int, cancels bool) []scenarios.Drop {
	l, now := max(s.LeakSpeed, s.Duration, time.Second), Start
	var list []scenarios.Drop
	for i := range perTrace {
		now = now.Add(drip(shape, l))
		if shape == 4 {
			now = now.Add(pick(rng, 0, 0, 0, 0, 0, 0, time.Duration(rng.Int64N(int64(l))), l, s.Life(),
				s.Life()+time.Microsecond, s.Life()-time.Microsecond, s.Blackhole))
		}
		at := now
		if shape == 5 {
			now = now.Add(time.Duration(rng.Int64N(int64(l))))
			at = now.Add(-time.Duration(rng.Int64N(int64(3 * l))))
		}
		d := Drop(s, pick(rng, "192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"), i, at, false)
		d.Distinct = fmt.Sprint(rng.IntN(4 * perTrace / 3))
		if rng.IntN(3) == 0 {
			d.Distinct = fmt.Sprint(rng.IntN(4))
		}
		d.Event.Meta["x"] = d.Distinct
		d.Cancel = cancels && d.Distinct == "0"
		list = append(list, d)
	}
	return list
}
