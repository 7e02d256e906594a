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
	r := rand.New(rand.NewPCG(2, 90))
	ids := r.Perm(1800) // records do not lie in the order of ids
	ds := bans(len(ids), 0)
	for i := range ds {
		ds[i].ID = int64(ids[i] + 1)
	}
	for part := range slices.Chunk(ds, maxOpDecisions) {
		if refused := b.Adopt(Adopted{Ops: []Op{{Kind: OpAppend, Decisions: part, At: b.o.Now()}}}); len(refused) > 0 {
			t.Fatal(refused)
		}
	}
	var want []int64
	for id := range b.index.byID {
		want = append(want, id)
	}
	slices.Sort(want)
	if len(want) != len(ids) {
		t.Fatalf("%d decisions, want %d", len(want), len(ids))
	}
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

// TestAlertNamesGoOn is TestNamesGoOn for each test that a search of alerts makes.
func TestAlertNamesGoOn(t *testing.T) {
	for field, get := range map[string]func(*alertSearch) *sought{
		"kind":          func(s *alertSearch) *sought { return &s.kinds },
		"scope":         func(s *alertSearch) *sought { return &s.scopes },
		"scenario":      func(s *alertSearch) *sought { return &s.scenarios },
		"machine":       func(s *alertSearch) *sought { return &s.machine },
		"decision type": func(s *alertSearch) *sought { return &s.one.kinds },
		"origin":        func(s *alertSearch) *sought { return &s.one.origins },
		"hidden origin": func(s *alertSearch) *sought { return &s.told.origins },
		"hidden scope":  func(s *alertSearch) *sought { return &s.told.scopes },
		"hidden kind":   func(s *alertSearch) *sought { return &s.told.kinds },
	} {
		names, want := newNames(), "two"
		switch field {
		case "hidden origin", "hidden scope":
			want = "lists:two"
		case "hidden kind":
			want = "capi"
		}
		first := names.hold("one")
		s := AlertFilter{Kind: want, Scope: want, Scenario: want, Machine: want, DecisionType: want, Origin: want, HideLists: true}.
			compile(newKeyer(), timeOf(0))
		if s.renew(names); get(s).has(names, first) {
			t.Errorf("%s: one passes", field)
		}
		names.drop(first)
		names.hold(want)
		if s.renew(names); !get(s).has(names, first) {
			t.Errorf("%s: %s does not pass", field, want)
		}
	}
}
