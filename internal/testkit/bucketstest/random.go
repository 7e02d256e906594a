package bucketstest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/scenarios"
)

// random compares with the model on many configurations and traces, in both
// arithmetics.
func random(t *testing.T, open Open) { against(t, open, 0, Traces) }

// Mixed pours events of both clocks into the same buckets, each of which keeps that
// of the event that made it. It is for buckets that keep both: of those that keep
// only the live ones elsewhere, the two have nothing in common.
func Mixed(t *testing.T, open Open) { against(t, open, mixed, mixed+1) }

// against compares with the model on traces of the kinds from up to to.
func against(t *testing.T, open Open, from, to int) {
	rng := rand.New(rand.NewPCG(1, 2))
	overflows := map[string]int{}
	for n := range 160 {
		yaml := Config(rng)
		s := compiled(t, yaml, n%5 == 0)
		for kind := from; kind < to; kind++ {
			replay := rng.IntN(2) == 0
			list := Trace(rng, s, kind, replay)
			model := NewModel(t, yaml)
			model.Pour(list)
			if replay {
				model.Sweep(time.Time{})
			}
			got := Play(t, open, list, replay)
			overflows[s.Type] += len(got)
			if d := cmp.Diff(model.Seen, got); d != "" {
				t.Fatalf("configuration %d, trace %d, replay %v (-model +got):\n%s\n%s", n, kind, replay, yaml, d)
			}
		}
	}
	for _, kind := range []string{"leaky", "counter", "conditional", "bayesian"} {
		if overflows[kind] < 40*(to-from) {
			t.Errorf("only %d overflows of type %s: the traces test too little", overflows[kind], kind)
		}
	}
}

func pick[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

// Config makes a random scenario.
func Config(rng *rand.Rand) string {
	n := pick(rng, 1, 2, 3, 4, 5, 10, 15, 20, 30, 40)
	l := pick(rng, "500ms", "1s", "3s", "7s", "10s", "1m", "3600s", "333333us")
	var y string
	switch rng.IntN(6) {
	case 0:
		y = counter + "duration: " + l + "\n"
	case 1, 2:
		y = conditional + "leakspeed: " + l + "\ncondition: " + quoted(Condition(rng)) + "\n"
	case 3:
		y = bayesian + "leakspeed: " + l + "\n" + beliefs(rng)
	default:
		y = leaky(fmt.Sprintf("capacity: %d\nleakspeed: %s\n", n, l))
		if rng.IntN(5) == 0 {
			y += "condition: " + quoted(Condition(rng)) + "\n"
		}
		if rng.IntN(8) == 0 {
			y += beliefs(rng)
		}
	}
	if rng.IntN(6) == 0 && !strings.Contains(y, "duration") {
		y += "duration: " + pick(rng, "1s", "10s", "1h") + "\n"
	}
	if rng.IntN(3) == 0 {
		y += fmt.Sprintf("cache_size: %d\n", 1+rng.IntN(n+3))
	}
	if rng.IntN(3) == 0 {
		y += "distinct: evt.Meta.x\n"
	}
	if rng.IntN(3) == 0 {
		y += "blackhole: " + pick(rng, "1s", "1m", "1h") + "\n"
	}
	if rng.IntN(8) == 0 {
		y += "overflow_filter: " + quoted(pick(rng, "leaky.Total_count % 3 != 0", "any(queue.Queue, {.Meta.x == '3'})", "queue.Queue[7].Meta.x == '1'")) + "\n"
	}
	return y
}

// Condition makes a random condition: some of it can be worked out event by event,
// some cannot, and some fails.
func Condition(rng *rand.Rand) string {
	term := func() string {
		return pick(rng,
			"len(queue.Queue) >= 2", "len(queue.Queue) >= 5", "len(queue.Queue) % 3 == 2", "count(queue.Queue, {.Meta.x == '1'}) > 1",
			"any(queue.Queue, {#.Meta.x == '2'})", "all(queue.Queue, {.Meta.x != '0'})", "none(queue.Queue, {.Meta.x in ['1', '3']})",
			"queue.Queue[-1].Meta.x == queue.Queue[0].Meta.x", "queue.Queue[-2].Meta.x == '1'", "queue.Queue[2].Meta.x startsWith '1'",
			"MedianInterval(map(queue.Queue, {.Time})) < duration('900ms')", "MedianInterval(map(queue.Queue[-3:], {#.Time})) >= duration('1s')",
			"Distance(queue.Queue[-1].Enriched.Latitude, queue.Queue[-1].Enriched.Longitude, queue.Queue[-2].Enriched.Latitude, queue.Queue[-2].Enriched.Longitude) > 1000",
			"queue.Queue[0].Time.Unix() % 3 == 1", "queue.Queue[-1].Time.Hour() != queue.Queue[0].Time.Hour()", "evt.Meta.x == '2'", "not (evt.Meta.x in ['2', '4'])", "leaky.Total_count > 3", "sum(map(queue.Queue, {len(.Meta.x)})) > 6",
			"any(queue.Queue, {.Parsed.p matches '^[ab]'})", "any(queue.Queue, {.Unmarshaled.u == 'a'})", "queue.Queue[0].GetMeta('x') == evt.GetMeta('x')",
			"any(queue.Queue, {.Unmarshaled.none.deeper == 'a'})", "queue.Queue[-1].Line.Raw contains '7'", "'p' in queue.Queue[-1].Parsed",
			"let bad = filter(queue.Queue, {.Meta.x in ['1', '2']}); len(bad) >= 3 && MedianInterval(map(bad[-3:], {.Time})) > duration('400ms')",
			"let bad = filter(queue.Queue, {.Meta.x == '1'}); len(bad) > 2 || count(queue.Queue, {.Parsed.p == 'a'}) == 2")
	}
	out := "(" + term() + ")"
	for rng.IntN(2) == 0 {
		out += pick(rng, " && ", " and ", " || ", " && not ") + "(" + term() + ")"
	}
	return out
}

func beliefs(rng *rand.Rand) string {
	y := fmt.Sprintf("bayesian_prior: %.2f\nbayesian_threshold: %.2f\nbayesian_conditions:\n", 0.2+0.6*rng.Float64(), 0.5+0.45*rng.Float64())
	for range 1 + rng.IntN(4) {
		y += fmt.Sprintf("  - {condition: %s, prob_given_evil: %.2f, prob_given_benign: %.2f, guillotine: %v}\n",
			quoted(Condition(rng)), 0.5+rng.Float64()/2, rng.Float64()/2, rng.IntN(3) == 0)
	}
	return y
}

func quoted(s string) string { return strconv.Quote(s) }

// Traces is how many kinds of traces with one clock there are.
const Traces = 7

const mixed = Traces // the kind with both

// Trace makes a random trace: a burst, drips of a leakspeed and of parts of one, a
// mix with pauses around the life of a bucket, events out of order, stamps in the
// zones of a night in which clocks are changed.
func Trace(rng *rand.Rand, s *scenarios.Scenario, kind int, replay bool) []scenarios.Drop {
	l, n := max(s.LeakSpeed, s.Duration), max(s.Capacity, 6)
	now := Start.Add(time.Duration(rng.Int64N(1e9)))
	var list []scenarios.Drop
	for i := range 30 + rng.IntN(6*n) {
		now = now.Add(drip(kind, l))
		switch kind {
		case 4, 6, 7:
			now = now.Add(pick(rng, 0, 0, 0, time.Duration(rng.Int64N(int64(l))), l, s.Life(),
				s.Life()+time.Microsecond, s.Life()-time.Microsecond, s.Blackhole, s.Duration))
		case 5:
			now = now.Add(time.Duration(rng.Int64N(int64(4*l))) - 3*l + l/2)
		}
		d := Drop(s, pick(rng, "192.0.2.1", "192.0.2.1", "192.0.2.2"), i, now, replay)
		if kind == mixed {
			d.Replay = rng.IntN(2) == 0
		}
		if kind == 6 {
			d.At = d.At.In(pick(rng, time.UTC, time.FixedZone("", 3600), time.FixedZone("", 7200), time.FixedZone("", -(3*3600+1800))))
			d.Event.Time, d.Event.MarshaledTime = d.At, d.At.Format(time.RFC3339Nano)
		}
		d.Distinct = fmt.Sprint(rng.IntN(pick(rng, 3, 2*n)))
		dress(rng, d.Event, d.Distinct)
		d.Uncompared = rng.IntN(40) == 0
		d.Cancel = rng.IntN(60) == 0
		d.Event.From.Direct = rng.IntN(50) > 0
		d.Event.From.Detect = rng.IntN(2) > 0
		if rng.IntN(10) == 0 {
			d.Count = 1 + rng.IntN(n+2)
		}
		list = append(list, d)
	}
	return list
}

// drip is the pause between the events of traces of a kind that drips, for a leakspeed
// of l; 0 for the others.
func drip(kind int, l time.Duration) time.Duration {
	switch kind {
	case 1:
		return l
	case 2:
		return l * 9 / 10
	case 3:
		return l / 3
	}
	return 0
}

// dress gives an event what random conditions look at.
func dress(rng *rand.Rand, ev *event.Event, value string) {
	ev.Meta["x"] = value
	if rng.IntN(3) > 0 {
		ev.Parsed = map[string]string{"p": pick(rng, "a", "b", "cc")}
	}
	if rng.IntN(4) > 0 {
		ev.Enriched = map[string]string{"Latitude": pick(rng, "48.1", "52.5", "40.7"), "Longitude": pick(rng, "11.5", "13.4", "-74.0", "")}
	}
	ev.Unmarshaled = map[string]any{"u": pick(rng, "a", "b")}
	ev.Line.Raw = "line " + value
}
