package decisions

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gaissmai/bart"

	"github.com/rampart-edge/rampart/store"
)

var epochStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestTable4KeepsOldVersions(t *testing.T) {
	edits := func(from, n int, gone bool) (out []edit4) {
		for i := from; i < from+n; i++ {
			out = append(out, edit4{key: uint32(i % 700), edit: edit{entry{what: uint64(i+1)<<8 | uint64(Ban), until: 1<<47 - 1, born: 1<<55 - 1&^0xff | 32}, gone}})
		}
		return out
	}
	now := instant{now: 1}
	empty := newTable4()
	full := empty.with(edits(0, 1000, false))
	part := full.with(edits(0, 700, true))
	if empty.count != 0 || full.count != 1000 || part.count != 300 {
		t.Fatalf("%d, %d, %d entries", empty.count, full.count, part.count)
	}
	for key := range uint32(700) {
		if e := full.best(key, &now); e.id() != int64(key+1) || e.until != 1<<47-1 || e.born != 1<<55-1&^0xff|32 {
			t.Fatalf("%d: %+v", key, e)
		}
		if e := part.best(key, &now); e.id() != 0 && e.id() != int64(key+701) || (e.id() == 0) != (key >= 300) {
			t.Fatalf("%d, its first entry gone: %+v", key, e)
		}
		if e := empty.best(key, &now); e.id() != 0 {
			t.Fatalf("%d in an empty table: %+v", key, e)
		}
	}
	if none := part.with(edits(700, 300, true)); none.count != 0 || none.best(5, &now).what != 0 {
		t.Errorf("%d entries left", none.count)
	}
}

func TestInstant(t *testing.T) {
	const ms = 1_000_000
	for _, tc := range []struct {
		coarse, until int64
		past, reads   bool
	}{
		{0, ms, true, true}, {0, ms + 1, false, true}, {0, ms + 99_000, false, true},
		{ms - 50, ms - 50, true, false}, {ms - 50, ms - 49, true, true}, {ms - 50, ms, true, true}, {ms - 50, ms + 1, false, true},
		{ms - 50, ms - 50 + coarseError, false, true}, {ms - 50, ms - 49 + coarseError, false, false},
	} {
		reads := false
		c := instant{coarse: tc.coarse, read: func() time.Time { reads = true; return time.UnixMilli(ms) }}
		if past := c.past(tc.until); past != tc.past || reads != tc.reads {
			t.Errorf("%+v: past %v, clock read %v", tc, past, reads)
		}
	}
}

// TestBookTicks has a real clock: a decision ends when it is due, with a time that
// is a tick old.
func TestBookTicks(t *testing.T) {
	db, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	b, err := OpenBook(BookOptions{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	ds := []Decision{{Value: "192.0.2.1", Type: TypeBan, Until: time.Now().Add(300 * time.Millisecond)}, {Value: "192.0.2.2", Type: TypeBan, Until: time.Now().Add(time.Hour)}}
	if err := b.Append(nil, ds); err != nil {
		t.Fatal(err)
	}
	for b.set.coarse.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	for {
		before := time.Now()
		v := b.Set().Lookup(netip.MustParseAddr("192.0.2.1"))
		if v.Action == Ban && !before.Before(v.Until) {
			t.Fatalf("at %s answered with what ended at %s", before, v.Until)
		}
		if v.Action == None {
			if time.Now().Before(ds[0].Until) {
				t.Fatal("ended early")
			}
			break
		}
	}
	if v := b.Set().Lookup(netip.MustParseAddr("192.0.2.2")); v.Action != Ban {
		t.Errorf("got %+v", v)
	}
	if err := b.Close(); err != nil || b.set.coarse.Load() != 0 {
		t.Errorf("closed: %v, time %d", err, b.set.coarse.Load())
	}
}

func TestReach(t *testing.T) {
	var g grown
	for _, p := range []string{"10.1.2.128/25", "10.2.0.0/15", "172.0.0.0/7", "255.255.255.0/24"} {
		g.add(netip.MustParsePrefix(p))
	}
	for text, want := range map[string]bool{
		"10.1.2.3": true, "10.1.1.255": false, "10.1.3.0": false, "10.2.0.0": true, "10.3.255.255": true, "10.4.0.0": false,
		"172.0.0.0": true, "173.255.255.255": true, "174.0.0.0": false, "171.255.255.255": false,
		"255.255.255.1": true, "255.255.254.255": false, "0.0.0.0": false,
	} {
		if got := g.touches(key4(netip.MustParseAddr(text))); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestReachIsMadeAnew ends so many ranges that their bits are cleared.
func TestReachIsMadeAnew(t *testing.T) {
	r := &ranges{table: &bart.Table[chain]{}, reach: &reach{}}
	var come, went []rangeEdit
	for i := range maxStale + 10 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i)}), 24)
		ed := edit{e: entry{what: uint64(i+1)<<8 | uint64(Ban), until: 9, born: 24}}
		come = append(come, rangeEdit{p, ed})
		ed.gone = true
		went = append(went, rangeEdit{p, ed})
	}
	r = r.with(come)
	if r.count != len(come) || !r.reach.touches(0x0a000100) {
		t.Fatalf("%d ranges", r.count)
	}
	r = r.with(went)
	if r.count != 0 || r.stale != 0 || r.reach.touches(0x0a000100) {
		t.Errorf("%d ranges left, %d stale", r.count, r.stale)
	}
}

func TestChangelogForgets(t *testing.T) {
	x := newIndex(newNames(), newKeyer())
	now := epochStart
	l := changelog{records: x, now: func() time.Time { return now }}
	l.begin(7)
	// An end that was to come at until, and comes now if gone.
	make1 := func(id int64, until time.Time, gone bool) *record {
		r := x.add(&Decision{ID: id, Until: until}, netip.Prefix{})
		if r.gone = gone; gone {
			x.remove(r)
			r.told, r.until = r.until, min(r.until, now.UnixMilli())
		}
		l.note(r)
		return r
	}
	var dropped []int64
	forget := func() bool {
		dropped = nil
		return l.forget(now, func(r *record, at int64) {
			if at != l.at(r) {
				t.Errorf("the end of %d was at %d, not %d", r.id, l.at(r), at)
			}
			dropped = append(dropped, r.id)
		})
	}
	live := make1(1, epochStart.Add(linger), false)
	for range 100 {
		l.note(live)
	}
	make1(2, now, true)
	allowed := make1(3, now.Add(time.Hour), false)
	x.suppress(allowed, true)
	l.note(allowed)
	make1(4, now.Add(linger+time.Hour), true)
	now = now.Add(time.Millisecond)
	make1(5, now, true)
	now = epochStart.Add(linger)
	if forget() || fmt.Sprint(dropped) != "[2 3]" && fmt.Sprint(dropped) != "[3 2]" {
		t.Errorf("forgotten after a day: %v, want what ended first, none that was to last longer", dropped)
	}
	if got := ids(&l, 7<<seqBits); got != "[1 -4 -5]" {
		t.Errorf("then it tells %s", got)
	}
	if l.keep(); len(l.entries) != 3 {
		t.Errorf("%d entries, three of them good", len(l.entries))
	}
	if allowed.cursor != 0 || live.cursor == 0 {
		t.Error("what is suppressed and forgotten counts as told, or what is in force does not")
	}
	for i := range maxGone {
		make1(int64(10+i), now, true)
	}
	if forget() || len(dropped) != 2 || dropped[0] != 5 || len(l.over)+len(l.early) != maxGone {
		t.Errorf("%d dropped, %d left, a new epoch perhaps although everything in excess is over", len(dropped), len(l.over)+len(l.early))
	}
	old := l.last()
	for i := range maxGone - 1 {
		make1(int64(maxGone+10+i), now.Add(3*linger), true)
	}
	if forget() {
		t.Error("a new epoch although those that were over could go")
	}
	if make1(7, now.Add(3*linger), true); !forget() || l.epoch != 8 || len(l.over)+len(l.early) != maxGone/2 || l.lost != now.UnixMilli()+1 {
		t.Fatalf("epoch %d, %d ends left, lost at %d", l.epoch, len(l.over)+len(l.early), l.lost)
	}
	if got := ids(&l, old); !strings.HasPrefix(got, "[reset 1 -") || strings.Count(got, "-") != maxGone/2 {
		t.Errorf("an old cursor gets %.80s", got)
	}
	// What the log has forgotten is given back, and nothing else.
	x.reap()
	if n := int(x.records.used) - 1 - len(x.records.free); n != 2+maxGone/2 {
		t.Errorf("%d records are kept, want the two that have not ended and %d that have", n, maxGone/2)
	}
}

// TestCursorAt goes back in time.
func TestCursorAt(t *testing.T) {
	x := newIndex(newNames(), newKeyer())
	now := epochStart
	l := changelog{records: x, now: func() time.Time { return now }}
	l.begin(1)
	at := func(seconds int) string {
		return ids(&l, l.cursorAt(epochStart.Add(time.Duration(seconds)*time.Second)))
	}
	if got := at(0); got != "[]" {
		t.Errorf("of nothing: %s", got)
	}
	for i := range int64(4) {
		now = epochStart.Add(time.Duration(i/2*10) * time.Second)
		l.note(x.add(&Decision{ID: i + 1, Until: now.Add(time.Hour)}, netip.Prefix{}))
	}
	now = epochStart // back by ten seconds: changes keep their order
	l.note(x.add(&Decision{ID: 5, Until: now.Add(time.Hour)}, netip.Prefix{}))
	for seconds, want := range map[int]string{-1: "[1 2 3 4 5]", 0: "[1 2 3 4 5]", 1: "[3 4 5]", 10: "[3 4 5]", 11: "[]"} {
		if got := at(seconds); got != want {
			t.Errorf("since %d s: %s, want %s", seconds, got, want)
		}
	}
	l.lost = epochStart.UnixMilli() + 1
	if got := at(0); got != "[reset 1 2 3 4 5]" {
		t.Errorf("since before what is remembered: %s", got)
	}
	if got := at(1); got != "[3 4 5]" {
		t.Errorf("since after what is forgotten: %s", got)
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
	h, keys := newHistory(), newKeyer()
	h.limit = 10
	for i := range 20 {
		h.add(keys.of(fmt.Sprint("v", i%4)), int64(i), i%8 < 4)
	}
	if went := h.trim(0); len(went) != 10 || h.evicted != 10 || went[0].at != 0 {
		t.Errorf("%d went, %d evicted", len(went), h.evicted)
	}
	if n := h.count(keys.of("v0"), 0); n != 2 { // 12 and 16
		t.Errorf("%d of v0", n)
	}
	if n := h.count(keys.of("v0"), 13); n != 1 {
		t.Errorf("%d of v0 since 13", n)
	}
	if n, before := h.bans(keys.of("v0"), 0, 20), h.bans(keys.of("v0"), 0, 16); n != 1 || before != 0 { // 16
		t.Errorf("%d bans of v0, %d before the last", n, before)
	}
	if s := h.add(keys.of("v9"), 3, true); s.at != 19 {
		t.Errorf("a time before the newest became %d", s.at)
	}
	h.trim(1000)
	if len(h.values) != 0 || h.evicted != 10 {
		t.Errorf("%d values left, %d evicted", len(h.values), h.evicted)
	}
	h = newHistory()
	for i := range maxHistoryValue + 5 {
		h.add(keys.of("same"), int64(i), true)
	}
	if n := h.count(keys.of("same"), 0); n != maxHistoryValue || h.evicted != 5 {
		t.Errorf("%d kept of one value, %d evicted", n, h.evicted)
	}
	h.trim(10)
	if n := h.count(keys.of("same"), 0); n != maxHistoryValue-5 {
		t.Errorf("%d kept of one value after trimming ten", n)
	}
	for _, ban := range []bool{false, true} {
		was := stamp{at: 77, serial: 3, ban: ban}
		if s, of, ok := parseStamp(was.dbKey(), string(stampText("x", ban))); !ok || s != was || of != "x" {
			t.Errorf("stamp %+v came back as %+v of %q", was, s, of)
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
