package bucketstest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/scenarios"
)

const (
	counter     = "type: counter\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: -1\n"
	conditional = "type: conditional\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: -1\n"
	bayesian    = "type: bayesian\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: -1\n"
)

// counterCases are about durations, of counters and of other types.
func counterCases() []oneCase {
	return []oneCase{
		{
			name: "a counter overflows when a later event shows that it is over", yaml: counter + "duration: 10s\n",
			steps: at(0, 1, 9.9, 10, 15), want: []found{{2, 3, upTo(0, 2)}},
			replay: []found{{2, 3, upTo(0, 2)}, {4, 2, upTo(3, 4)}},
		},
		{
			name: "distinct values of a counter", yaml: counter + "duration: 10s\ndistinct: evt.Meta.x\n",
			steps: append(values("a", "a", "b", "a", "c"), step{at: 20, distinct: "a"}), want: []found{{4, 3, []int{0, 2, 4}}},
			replay: []found{{4, 3, []int{0, 2, 4}}, {5, 1, []int{5}}},
		},
		{
			name: "a known value ends a counter all the same", yaml: counter + "duration: 10s\ndistinct: evt.Meta.x\n",
			steps: []step{{at: 0, distinct: "a"}, {at: 10, distinct: "a"}}, want: []found{{0, 1, []int{0}}},
			replay: []found{{0, 1, []int{0}}, {1, 1, []int{1}}},
		},
		{
			name: "a cancelled counter is none", yaml: counter + "duration: 10s\ncancel_on: evt.Meta.x == 'y'\n",
			steps: []step{{at: 0}, {at: 1, cancel: true}, {at: 12}}, want: []found{}, replay: []found{{2, 1, []int{2}}},
		},
		{
			name: "a counter of the newest two", yaml: counter + "duration: 10s\ncache_size: 1\n",
			steps: at(0, 1, 2, 30), want: []found{{2, 3, upTo(1, 2)}}, replay: []found{{2, 3, upTo(1, 2)}, {3, 1, []int{3}}},
		},
		{
			name: "blackhole of a counter counts from its end", yaml: counter + "duration: 10s\nblackhole: 15s\n",
			steps: at(0, 12, 24, 36), want: []found{{0, 1, []int{0}}, {2, 1, []int{2}}},
		},
		{
			name: "a leaky bucket with a duration does both", yaml: leaky("capacity: 2\nleakspeed: 10s\nduration: 15s\n"),
			steps: at(0, 1, 16, 17, 17, 40, 54.9, 55), want: []found{{1, 2, upTo(0, 1)}, {4, 3, upTo(2, 4)}, {6, 2, upTo(5, 6)}},
			replay: []found{{1, 2, upTo(0, 1)}, {4, 3, upTo(2, 4)}, {6, 2, upTo(5, 6)}, {7, 1, []int{7}}},
		},
		{
			name: "a conditional with a duration ends after its leakspeed", yaml: conditional + "leakspeed: 5s\nduration: 1h\ncondition: len(queue.Queue) >= 3\n",
			steps: at(0, 4, 5, 6, 7, 20), want: []found{{1, 2, upTo(0, 1)}, {4, 3, upTo(2, 4)}},
			replay: []found{{1, 2, upTo(0, 1)}, {4, 3, upTo(2, 4)}, {5, 1, []int{5}}},
		},
		{
			name: "a trigger has no duration", yaml: "type: trigger\nfilter: '1 == 1'\nduration: 10s\ncondition: 'false'\n",
			steps: at(0, 1), want: []found{{0, 1, []int{0}}, {1, 1, []int{1}}},
		},
	}
}

// conditionCases are about what conditions see and when.
func conditionCases() []oneCase {
	four := conditional + "leakspeed: 30s\ncondition: len(queue.Queue) >= 4\n"
	return []oneCase{
		{name: "the fourth, and anew", yaml: four, steps: every(9, 1), want: []found{{3, 4, upTo(0, 3)}, {7, 4, upTo(4, 7)}}},
		{name: "a gap of one leakspeed is kept", yaml: four, steps: at(0, 30, 60, 90), want: []found{{3, 4, upTo(0, 3)}}},
		{name: "a longer one is not", yaml: four, steps: at(0, 30.000001, 60, 90)},
		{
			name: "cancel_on empties", yaml: four + "cancel_on: evt.Meta.x == 'y'\n",
			steps: []step{{at: 0}, {at: 0}, {at: 0}, {at: 0, cancel: true}, {at: 0}, {at: 0}, {at: 0}, {at: 0}},
			want:  []found{{7, 4, upTo(4, 7)}},
		},
		{
			name: "a cancel with a known value is none", yaml: four + "distinct: evt.Meta.x\ncancel_on: evt.Meta.x == 'c'\n",
			steps: []step{{at: 0, distinct: "a"}, {at: 0, distinct: "b"}, {at: 0, distinct: "c"}, {at: 0, distinct: "c", cancel: true}, {at: 0, distinct: "d"}},
			want:  []found{{4, 4, []int{0, 1, 2, 4}}},
		},
		{
			name: "no limit overflows it, and capacity bounds what it sees", yaml: "type: conditional\nfilter: '1 == 1'\ncapacity: 2\nleakspeed: 10s\ncondition: len(queue.Queue) >= 4\n",
			steps: every(12, 0),
		},
		{
			name: "three are seen of capacity 2", yaml: "type: conditional\nfilter: '1 == 1'\ncapacity: 2\nleakspeed: 10s\ncondition: queue.Queue[0].Meta.x == 'b'\n",
			steps: values("a", "b", "a", "a", "a"), want: []found{{3, 4, upTo(1, 3)}},
		},
		{
			name: "a condition that fails is none", yaml: conditional + "leakspeed: 10s\ncondition: queue.Queue[-2].Meta.x == 'a'\n",
			steps: values("a", "b", "b"), want: []found{{1, 2, upTo(0, 1)}},
		},
		{
			name: "a leaky bucket with a condition: either", yaml: leaky("capacity: 3\nleakspeed: 10s\ncondition: evt.Meta.x == 'z'\n"),
			steps: values("a", "z", "a", "a", "a", "a"), want: []found{{1, 2, upTo(0, 1)}, {5, 4, upTo(2, 5)}},
		},
		{
			name: "blackhole", yaml: conditional + "leakspeed: 10s\nblackhole: 1m\ncondition: len(queue.Queue) >= 2\n",
			steps: at(0, 1, 2, 3, 60, 61), want: []found{{1, 2, upTo(0, 1)}, {5, 2, upTo(4, 5)}},
		},
		{
			name: "the filter of overflows comes before the blackhole", yaml: conditional +
				"leakspeed: 10s\nblackhole: 1m\ncondition: len(queue.Queue) >= 2\noverflow_filter: any(queue.Queue, {.Meta.x == 'z'})\n",
			steps: values("a", "a", "a", "z", "z", "z"), want: []found{{3, 2, upTo(2, 3)}},
		},
		{
			name: "slow attempts by their median", yaml: conditional + "leakspeed: 2h\n" +
				"condition: let bad = filter(queue.Queue, {#.Meta.x == 'bad'}); len(bad) >= 4 && MedianInterval(map(bad[-4:], {#.Time})) > duration('10m')\n",
			steps: []step{
				{at: 0, distinct: "bad"}, {at: 660, distinct: "bad"}, {at: 700, distinct: "ok"}, {at: 1320, distinct: "bad"},
				{at: 1330, distinct: "ok"}, {at: 1980, distinct: "bad"}, {at: 1981, distinct: "bad"},
			},
			want: []found{{5, 6, upTo(0, 5)}},
		},
	}
}

// bayesianCases are worked out by hand.
func bayesianCases() []oneCase {
	// Each of x == a and x == b makes 0.5 to 0.8; both make 0.941.
	two := bayesian + "leakspeed: 30s\nbayesian_prior: 0.5\nbayesian_threshold: 0.9\nbayesian_conditions:\n" +
		"  - {condition: \"any(queue.Queue, {.Meta.x == 'a'})\", prob_given_evil: 0.8, prob_given_benign: 0.2}\n" +
		"  - {condition: \"any(queue.Queue, {.Meta.x == 'b'})\", prob_given_evil: 0.8, prob_given_benign: 0.2}\n"
	now := func(guillotine string) string {
		return bayesian + "leakspeed: 30s\nbayesian_prior: 0.5\nbayesian_threshold: 0.9\nbayesian_conditions:\n" +
			"  - {condition: evt.Meta.x == 'a', prob_given_evil: 0.8, prob_given_benign: 0.2" + guillotine + "}\n" +
			"  - {condition: evt.Meta.x == 'b', prob_given_evil: 0.8, prob_given_benign: 0.2}\n"
	}
	return []oneCase{
		{name: "both signs", yaml: two, steps: values("c", "a", "c", "b", "b"), want: []found{{3, 4, upTo(0, 3)}}},
		{name: "one sign is not enough", yaml: two, steps: values("a", "a", "a", "a")},
		{name: "its bucket lives for a leakspeed", yaml: two, steps: []step{{at: 0, distinct: "a"}, {at: 31, distinct: "b"}}},
		{name: "signs of one event each", yaml: now(""), steps: values("a", "b", "a", "b")},
		{name: "a guillotine stays fallen", yaml: now(", guillotine: true"), steps: values("b", "a", "c", "b", "b"), want: []found{{3, 4, upTo(0, 3)}}},
		{
			name: "exactly the threshold is not above it", yaml: bayesian + "leakspeed: 30s\nbayesian_prior: 0.5\nbayesian_threshold: 0.5\n" +
				"bayesian_conditions: [{condition: evt.Meta.x == 'a', prob_given_evil: 0.75, prob_given_benign: 0.75}]\n",
			steps: values("a", "b"),
		},
		{
			name: "a condition that fails says nothing", yaml: bayesian + "leakspeed: 30s\nbayesian_prior: 0.5\nbayesian_threshold: 0.7\nbayesian_conditions:\n" +
				"  - {condition: \"queue.Queue[1].Meta.x == 'a'\", prob_given_evil: 0.1, prob_given_benign: 0.9}\n" +
				"  - {condition: evt.Meta.x != '', prob_given_evil: 0.8, prob_given_benign: 0.2}\n",
			steps: values("a", "a", "b"), want: []found{{0, 1, []int{0}}, {1, 1, []int{1}}, {2, 1, []int{2}}},
		},
		{
			name: "a threshold makes a leaky bucket bayesian too", yaml: leaky("capacity: 3\nleakspeed: 10s\nbayesian_prior: 0.5\nbayesian_threshold: 0.7\n" +
				"bayesian_conditions: [{condition: evt.Meta.x == 'a', prob_given_evil: 0.8, prob_given_benign: 0.2}]\n"),
			steps: values("b", "a", "b", "b", "b", "b"), want: []found{{1, 2, upTo(0, 1)}, {5, 4, upTo(2, 5)}},
		},
	}
}

// deadlines checks that Sweep ends buckets when their duration is over on the
// buckets' clock, in order, each once, and no other.
func deadlines(t *testing.T, open Open) {
	doc := counter + "duration: 10s\n"
	s := Scenario(t, doc)
	model := NewModel(t, doc)
	on := newStage(t)
	b, flush := open(t, on.now, on.sink)
	keys := []string{"192.0.2.3", "192.0.2.1", "192.0.2.2", "192.0.2.4"}
	for i := range 400 {
		now := Start.Add(time.Duration(i) * 700 * time.Millisecond)
		on.set(now)
		list := []scenarios.Drop{Drop(s, keys[i*i%4], i, now, false)}
		if i%3 > 0 {
			b.Pour(list)
			model.Pour(list)
			flush()
		}
		b.Sweep(now)
		flush()
		model.Sweep(now)
	}
	got := on.list()
	if d := cmp.Diff(model.Seen, got); d != "" || len(got) < 40 {
		t.Errorf("%d overflows (-model +got):\n%s", len(got), d)
	}
}

// equal pours ten thousand events of one instant.
func equal(t *testing.T, open Open) {
	for _, doc := range []string{
		leaky5, leaky5 + "blackhole: 1m\n", counter + "duration: 1s\ncache_size: 20\n",
		conditional + "leakspeed: 1s\ncondition: len(queue.Queue) >= 7\n",
		conditional + "leakspeed: 1s\ncache_size: 5\ncondition: count(queue.Queue, {.Meta.id matches '[47]$'}) >= 2\n",
		bayesian + "leakspeed: 1s\nbayesian_prior: 0.1\nbayesian_threshold: 0.9\nbayesian_conditions: [{condition: len(queue.Queue) > 20, prob_given_evil: 0.99, prob_given_benign: 0.01}]\n",
	} {
		for _, replay := range []bool{false, true} {
			s := Scenario(t, doc)
			var list []scenarios.Drop
			for i := range 10_000 {
				list = append(list, Drop(s, "192.0.2.1", i, Start, replay))
			}
			model := NewModel(t, doc)
			model.Pour(list)
			model.Sweep(time.Time{})
			if d := cmp.Diff(model.Seen, Play(t, open, list, true)); d != "" || len(model.Seen) == 0 {
				t.Errorf("replay %v, %d overflows (-model +got):\n%s\n%s", replay, len(model.Seen), d, doc)
			}
		}
	}
}
