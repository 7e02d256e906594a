package bucketstest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/scenarios"
)

const leaky5 = "type: leaky\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: 5\nleakspeed: 10s\n"

func leaky(rest string) string { return "type: leaky\nfilter: '1 == 1'\n" + rest }

// cases returns the consequences that the specification lists for CrowdSec.
func cases() []oneCase {
	return slices.Concat(fillCases(), distinctCases(), hookCases(), counterCases(), conditionCases(), bayesianCases())
}

// fillCases are about how a bucket fills and leaks.
func fillCases() []oneCase {
	return []oneCase{
		{
			name: "burst: every sixth of capacity 5", yaml: leaky5, steps: every(13, 0),
			want: []found{{5, 6, upTo(0, 5)}, {11, 6, upTo(6, 11)}},
		},
		{name: "exactly one leakspeed apart: never", yaml: leaky5, steps: every(30, 10)},
		{
			name: "nine tenths of a leakspeed: the 42nd", yaml: leaky5, steps: every(60, 9),
			want: []found{{41, 42, upTo(36, 41)}},
		},
		{
			name: "after an overflow the bucket is new", yaml: leaky5,
			steps: append(every(6, 0), at(1, 1, 1, 1, 1, 1)...),
			want:  []found{{5, 6, upTo(0, 5)}, {11, 6, upTo(6, 11)}},
		},
		{
			name: "alternating clocks hide nothing live", yaml: leaky("capacity: 3\nleakspeed: 10s\n"),
			steps:  at(1000, 960, 1000, 960, 1000, 960, 1000, 960, 1000, 960, 1000, 960, 1000, 960, 1000, 960),
			want:   []found{{3, 4, upTo(0, 3)}, {7, 4, upTo(4, 7)}, {11, 4, upTo(8, 11)}, {15, 4, upTo(12, 15)}},
			replay: []found{},
		},
		{
			name: "decreasing times: every fourth", yaml: leaky("capacity: 3\nleakspeed: 10s\n"),
			steps: at(990, 980, 970, 960, 950, 940, 930, 920),
			want:  []found{{3, 4, upTo(0, 3)}, {7, 4, upTo(4, 7)}},
		},
		{
			name: "cache_size keeps one more than it says", yaml: leaky("capacity: 8\nleakspeed: 10s\ncache_size: 2\n"),
			steps: every(9, 0), want: []found{{8, 9, upTo(6, 8)}},
		},
		{
			name: "cache_size above capacity is ignored", yaml: leaky("capacity: 3\nleakspeed: 10s\ncache_size: 10\n"),
			steps: every(4, 0), want: []found{{3, 4, upTo(0, 3)}},
		},
	}
}

// distinctCases are about buckets of values that differ.
func distinctCases() []oneCase {
	return []oneCase{
		{
			name: "distinct", yaml: leaky("capacity: 3\nleakspeed: 10s\ndistinct: evt.Meta.x\n"),
			steps: values("a", "a", "b", "b", "c", "c", "d", "d", "e", "e"),
			want:  []found{{6, 4, []int{0, 2, 4, 6}}},
		},
		{
			name: "the empty value is one too", yaml: leaky("capacity: 1\nleakspeed: 10s\ndistinct: evt.Meta.x\n"),
			steps: values("", "", "", "a"), want: []found{{3, 2, []int{0, 3}}},
		},
		{
			name: "a known value does not keep a bucket alive", yaml: leaky("capacity: 3\nleakspeed: 10s\ndistinct: evt.Meta.x\n"),
			steps: []step{
				{at: 0, distinct: "a"}, {at: 35, distinct: "b"}, {at: 70, distinct: "a"}, {at: 76, distinct: "c"},
				{at: 76, distinct: "a"}, {at: 76, distinct: "b"}, {at: 76, distinct: "d"},
			},
			want: []found{{6, 4, upTo(3, 6)}},
		},
		{
			name: "life: exactly over is alive", yaml: leaky("capacity: 3\nleakspeed: 10s\ndistinct: evt.Meta.x\n"),
			steps: []step{
				{at: 0, distinct: "a"}, {at: 40, distinct: "a"}, {at: 40, distinct: "b"}, {at: 40, distinct: "c"},
				{at: 40, distinct: "d"}, {at: 40, distinct: "e"},
			},
			// One has leaked out when the fifth value comes at the same instant as the
			// second: three more fit.
			want: []found{{5, 5, upTo(2, 5)}},
		},
	}
}

// hookCases are about what empties a bucket or keeps its overflow quiet.
func hookCases() []oneCase {
	return []oneCase{
		{
			name: "cancel_on empties", yaml: leaky("capacity: 2\nleakspeed: 10s\ncancel_on: evt.Meta.x == 'y'\n"),
			steps: []step{{at: 0}, {at: 0}, {at: 0, cancel: true}, {at: 0}, {at: 0}, {at: 0}},
			want:  []found{{5, 3, upTo(3, 5)}},
		},
		{
			name: "a cancel with a known value is none", yaml: leaky("capacity: 3\nleakspeed: 10s\ndistinct: evt.Meta.x\ncancel_on: evt.Meta.x == 'y'\n"),
			steps: []step{
				{at: 0, distinct: "a"}, {at: 0, distinct: "b"}, {at: 0, distinct: "c"},
				{at: 0, distinct: "c", cancel: true}, {at: 0, distinct: "d"},
			},
			want: []found{{4, 4, []int{0, 1, 2, 4}}},
		},
		{
			name: "blackhole of a burst", yaml: leaky("capacity: 1\nleakspeed: 10s\nblackhole: 1m\n"),
			steps: every(12, 0), want: []found{{1, 2, upTo(0, 1)}},
		},
		{
			name: "blackhole of a trigger: its end passes", yaml: "type: trigger\nfilter: '1 == 1'\nblackhole: 1m\n",
			steps: at(0, 1, 59.9, 60, 61, 119.9, 120, 500),
			want:  []found{{0, 1, []int{0}}, {3, 1, []int{3}}, {6, 1, []int{6}}, {7, 1, []int{7}}},
		},
		{
			name: "blackhole and an older event", yaml: "type: trigger\nfilter: '1 == 1'\nblackhole: 1m\n",
			steps: at(1000, 900, 1059, 1060), want: []found{{0, 1, []int{0}}, {3, 1, []int{3}}},
		},
		{
			name: "a trigger asks neither distinct nor cancel_on", yaml: "type: trigger\nfilter: '1 == 1'\ndistinct: evt.Meta.x\ncancel_on: evt.Meta.x == 'y'\n",
			steps: []step{{at: 0, distinct: "a"}, {at: 0, distinct: "a"}, {at: 0, cancel: true}},
			want:  []found{{0, 1, []int{0}}, {1, 1, []int{1}}, {2, 1, []int{2}}},
		},
	}
}

// count compares a drop with a count to as many drops.
func count(t *testing.T, open Open) {
	for _, yaml := range []string{
		leaky("capacity: 5\nleakspeed: 10s\n"),
		leaky("capacity: 5\nleakspeed: 10s\nblackhole: 1m\n"),
		leaky("capacity: 1\nleakspeed: 10s\ndistinct: evt.Meta.x\n"),
	} {
		for n := 1; n <= 20; n++ {
			s := Scenario(t, yaml)
			first, second := Drop(s, "192.0.2.1", 0, Start, false), Drop(s, "192.0.2.1", 0, Start.Add(time.Second), false)
			single := []scenarios.Drop{first}
			for range n {
				single = append(single, second)
			}
			want := Play(t, open, single, false)
			second.Count = n
			if d := cmp.Diff(want, Play(t, open, []scenarios.Drop{first, second}, false)); d != "" {
				t.Errorf("count %d (-one by one +count):\n%s", n, d)
			}
		}
	}
}

// flags checks that Direct and Detect need every event.
func flags(t *testing.T, open Open) {
	s := Scenario(t, leaky("capacity: 2\nleakspeed: 10s\n"))
	for odd := -1; odd < 3; odd++ {
		list := drops(s, every(3, 0), false)
		for i := range list {
			list[i].Event.From.Direct = i != odd
			list[i].Event.From.Detect = i != odd
		}
		got := Play(t, open, list, false)
		if len(got) != 1 || got[0].Direct != (odd < 0) || got[0].Detect != (odd < 0) {
			t.Errorf("event %d differs: got %+v", odd, got)
		}
	}
}

// order checks that overflows of several keys come in the order of their events.
func order(t *testing.T, open Open) {
	doc := leaky("capacity: 1\nleakspeed: 10s\n")
	s := Scenario(t, doc)
	var list []scenarios.Drop
	for i := range 40 {
		list = append(list, Drop(s, []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}[i%3], i, Start.Add(time.Duration(i)*time.Millisecond), false))
	}
	model := NewModel(t, doc)
	model.Pour(list)
	if d := cmp.Diff(model.Seen, Play(t, open, list, false)); d != "" {
		t.Errorf("(-model +got):\n%s", d)
	}
}
