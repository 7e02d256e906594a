package decisions

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var epochStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestPage(t *testing.T) {
	for n := range 300 {
		items := make([]item, n)
		for i := range items {
			items[i] = item{uint16(3 * i), entry{uint64(i+1)<<8 | uint64(Ban), int64(i), int64(i) << 8}}
		}
		p := makePage(items)
		if p.count() != n || !slices.Equal(p.items(nil), items) {
			t.Fatalf("a page of %d has %d entries", n, p.count())
		}
		for i := range n {
			if at := p.find(n, uint16(3*i)); at != i {
				t.Fatalf("page of %d: %d is at %d, want %d", n, 3*i, at, i)
			}
			if at := p.find(n, uint16(3*i+1)); at != i+1 {
				t.Fatalf("page of %d: what follows %d is at %d", n, 3*i, at)
			}
		}
	}
}

func TestTable4ChangesForm(t *testing.T) {
	edits := func(n int, gone bool) (out []edit4) {
		for i := range n {
			out = append(out, edit4{0x0a010000 + uint32(i*37%4096), edit{entry{what: uint64(i+1)<<8 | uint64(Ban), until: 1}, gone}})
		}
		return out
	}
	table := &table4{}
	full := table.with(edits(1000, false))
	if n := &full.root[10][1]; n.subs == nil || full.count != 1000 {
		t.Fatalf("a crowded /16 has no pages for its /24s; %d entries", full.count)
	}
	few := full.with(edits(1000-joinAt+1, true))
	if n := &few.root[10][1]; n.subs != nil || few.count != joinAt-1 || n.page.count() != joinAt-1 {
		t.Errorf("a /16 of %d entries has pages for its /24s", few.count)
	}
	if none := few.with(edits(1000, true)); none.count != 0 || none.root[10] != nil {
		t.Errorf("%d entries left", none.count)
	}
	if full.count != 1000 || full.page(0x0a010000).count() == 0 || table.count != 0 {
		t.Error("an older version changed")
	}
}

func TestChangelogForgets(t *testing.T) {
	var l changelog
	l.begin(7)
	live := &record{Decision: Decision{ID: 1, Until: epochStart.Add(time.Hour)}}
	for range 100 {
		l.note(live)
	}
	over := &record{Decision: Decision{ID: 2, Until: epochStart.Add(-linger)}, gone: true}
	lately := &record{Decision: Decision{ID: 3, Until: epochStart.Add(1 - linger)}, gone: true}
	early := &record{Decision: Decision{ID: 4, Until: epochStart.Add(time.Hour)}, gone: true}
	for _, r := range []*record{over, lately, early} {
		l.note(r)
	}
	if l.compact(epochStart) {
		t.Fatal("a new epoch without need")
	}
	if got := ids(&l, 7<<seqBits|1); got != "[1 -3 -4]" {
		t.Errorf("after compacting: %s", got)
	}
	for i := range maxGone + 1 {
		l.note(&record{Decision: Decision{ID: int64(10 + i), Until: epochStart}, gone: true})
	}
	if l.compact(epochStart) {
		t.Error("a new epoch although everything in excess is over")
	}
	if got := ids(&l, 0); got != "[1 -4]" {
		t.Errorf("what is over was kept beyond the bound: %s", got)
	}
	old := l.last()
	for i := range maxGone + 1 {
		l.note(&record{Decision: Decision{ID: int64(10 + i), Until: epochStart.Add(time.Hour)}, gone: true})
	}
	if !l.compact(epochStart) || l.epoch != 8 {
		t.Fatal("no new epoch although ends had to be forgotten")
	}
	if got := ids(&l, old); got != "[reset 1]" {
		t.Errorf("an old cursor gets %s", got)
	}
	if got := ids(&l, 0); got != "[1]" {
		t.Errorf("from the start: %s", got)
	}
}

func ids(l *changelog, cursor int64) string {
	var out []string
	cs, _ := l.since(cursor, 0)
	for _, c := range cs {
		switch {
		case c.Reset:
			out = append(out, "reset")
		case c.Gone:
			out = append(out, fmt.Sprint(-c.Decision.ID))
		default:
			out = append(out, fmt.Sprint(c.Decision.ID))
		}
	}
	return fmt.Sprint(out)
}

func TestHistoryBounds(t *testing.T) {
	h := newHistory()
	h.limit = 10
	for i := range 20 {
		h.add(fmt.Sprint("v", i%4), int64(i), i%8 < 4)
	}
	if went := h.trim(0); len(went) != 10 || h.evicted != 10 || went[0].at != 0 {
		t.Errorf("%d went, %d evicted", len(went), h.evicted)
	}
	if n := h.count("v0", 0); n != 2 { // 12 and 16
		t.Errorf("%d of v0", n)
	}
	if n := h.count("v0", 13); n != 1 {
		t.Errorf("%d of v0 since 13", n)
	}
	if n, before := h.bans("v0", 0, 20), h.bans("v0", 0, 16); n != 1 || before != 0 { // 16
		t.Errorf("%d bans of v0, %d before the last", n, before)
	}
	if s := h.add("v9", 3, true); s.at != 19 {
		t.Errorf("a time before the newest became %d", s.at)
	}
	h.trim(1000)
	if len(h.times) != 0 || h.evicted != 10 {
		t.Errorf("%d values left, %d evicted", len(h.times), h.evicted)
	}
	h = newHistory()
	for i := range maxHistoryValue + 5 {
		h.add("same", int64(i), true)
	}
	if n := h.count("same", 0); n != maxHistoryValue || h.evicted != 5 {
		t.Errorf("%d kept of one value, %d evicted", n, h.evicted)
	}
	h.trim(10)
	if n := h.count("same", 0); n != maxHistoryValue-5 {
		t.Errorf("%d kept of one value after trimming ten", n)
	}
	for _, was := range []stamp{{"x", 77, 3, false}, {"x", 77, 3, true}} {
		if s, ok := parseStamp(was.key(), was.text()); !ok || s != was {
			t.Errorf("stamp %+v came back as %+v", was, s)
		}
	}
}

func TestRangesKeepOldVersions(t *testing.T) {
	s := NewSet(nil, func() time.Time { return epochStart })
	p := netip.MustParsePrefix("10.0.0.0/16")
	make1 := func(id int64) Change {
		return Change{Decision: Decision{ID: id, Scope: ScopeRange, Value: p.String(), Type: TypeBan, Until: epochStart.Add(time.Duration(id) * time.Hour)}}
	}
	s.Apply([]Change{make1(1), make1(2), make1(3)})
	old := s.state.Load()
	gone := make1(2)
	gone.Gone = true
	s.Apply([]Change{gone})
	c, _ := old.ranges.table.Get(p)
	if old.ranges.count != 3 || len(c.rest) != 2 || c.first.id() != 3 || c.rest[0].id() != 2 {
		t.Errorf("an older version changed: %+v", c)
	}
	c, _ = s.state.Load().ranges.table.Get(p)
	if s.Len() != 2 || c.first.id() != 3 || len(c.rest) != 1 || c.rest[0].id() != 1 {
		t.Errorf("%d kept: %+v", s.Len(), c)
	}
}
