package decisions

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestQueryPages: where a query holds fewer ids than there are answers, it finds them
// all, each once, in order.
func TestQueryPages(t *testing.T) {
	b := openBook(t, nil)
	if err := b.Append(nil, bans(2000, 0)); err != nil {
		t.Fatal(err)
	}
	// Slots get other ids, so that they are in no order.
	if _, err := b.DeleteQuery(Query{Contains: []string{"s"}, After: 500, Limit: 1000}, "test"); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	b.log.keep(func(*record) bool { return false })
	b.index.reap()
	b.mu.Unlock()
	if err := b.Append(nil, bans(800, 5000)); err != nil {
		t.Fatal(err)
	}
	var want []int64
	for id := range b.index.byID {
		want = append(want, id)
	}
	slices.Sort(want)
	for _, tc := range []struct{ page, skip, left int }{{1, 0, 30}, {7, 0, -1}, {64, 50, 100}, {1800, 0, -1}, {1801, 0, -1}} {
		s := (&Query{}).compile(b.index.keys, b.o.Now())
		s.page = tc.page
		var got []int64
		for ids := range b.found(s, tc.skip, tc.left) {
			if got = append(got, ids...); tc.left >= 0 && len(got) >= tc.skip+tc.left {
				break
			}
		}
		expected := want
		if tc.left >= 0 {
			got, expected = got[:min(len(got), tc.skip+tc.left)], want[:tc.skip+tc.left]
		}
		if !slices.Equal(got, expected) {
			t.Errorf("%+v: %d ids, want %d, or in another order", tc, len(got), len(expected))
		}
	}
}

func TestLowest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 90))
	for _, most := range []int{1, 2, 5, 100, 300} {
		l := lowest{most: most}
		var all []int64
		for range 250 {
			id := 1 + r.Int64N(400)
			l.add(id)
			all = append(all, id)
			if len(l.ids) >= 2*most {
				t.Fatalf("%d ids for at most %d", len(l.ids), most)
			}
		}
		slices.Sort(all)
		all = slices.Compact(all)
		if want := all[:min(most, len(all))]; !slices.Equal(l.sorted(), want) {
			t.Errorf("lowest %d: %v, want %v", most, l.ids, want)
		}
	}
}

// TestNamesGoOn: a number that stands for another text than before is looked at anew,
// between two pieces of one query too.
func TestNamesGoOn(t *testing.T) {
	names := newNames()
	first := names.hold("one")
	s := (&Query{Scenario: "two"}).compile(newKeyer(), timeOf(0))
	if s.renew(names); s.scenarios.has(names, first) {
		t.Error("one is two")
	}
	names.drop(first)
	if again := names.hold("two"); again != first {
		t.Fatalf("name %d, want %d again", again, first)
	}
	if s.renew(names); !s.scenarios.has(names, first) {
		t.Error("two is not two")
	}
}
