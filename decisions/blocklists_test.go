package decisions_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/store"
)

// openListed opens a book a minute after the lists of the tests were made.
func openListed(t *testing.T) *desk {
	t.Helper()
	d := openDesk(t, decisions.BookOptions{})
	d.clock.Advance(time.Minute)
	return d
}

func (d *desk) put(h decisions.ListHead, texts ...string) {
	d.t.Helper()
	must(d.t, d.PutList(newList(d.t, h, prefixes(texts...))))
}

func (d *desk) expectActions(when string, want map[string]decisions.Action) {
	d.t.Helper()
	for text, action := range want {
		if got := d.action(text); got != action {
			d.t.Errorf("%s: %s is %s, want %s", when, text, got, action)
		}
	}
}

// TestListInForce: lookups and filters find the entries, under ids of their own, and
// a restart changes nothing.
func TestListInForce(t *testing.T) {
	b := openListed(t)
	ds := []decisions.Decision{{Value: "203.0.113.1", Type: "captcha", Origin: "crowdsec", Scenario: "s", Until: start.Add(time.Hour)}}
	must(t, b.Append(nil, ds))
	b.put(listHead("one"), "192.0.2.1", "198.51.100.0/24", "2001:db8::/48", "192.0.2.200")
	two := listHead("two")
	two.Type, two.Scenario = "throttle", "because"
	b.put(two, "192.0.2.1", "203.0.113.1", "203.0.113.2")
	check := func(when string) {
		t.Helper()
		b.expectActions(when, map[string]decisions.Action{"192.0.2.1": decisions.Ban, "::ffff:192.0.2.1": decisions.Ban, "198.51.100.255": decisions.Ban,
			"192.0.2.2": decisions.None, "2001:db8:0:1::2": decisions.Ban, "2001:db9::": decisions.None,
			"203.0.113.1": decisions.Captcha, "203.0.113.2": decisions.Throttle})
		lists := b.Lists()
		if len(lists) != 2 || lists[0].Name != "one" || lists[1].Scenario != "because" {
			t.Fatalf("%s: %v", when, lists)
		}
		for text, want := range map[string]decisions.Decision{
			"192.0.2.200":    {ID: lists[0].Base + 1, Scope: "Ip", Value: "192.0.2.200", Type: "ban", Origin: "lists:one", Scenario: "one"},
			"198.51.100.7":   {ID: lists[0].Base + 2, Scope: "Range", Value: "198.51.100.0/24", Type: "ban", Origin: "lists:one", Scenario: "one"},
			"203.0.113.2":    {ID: lists[1].Base + 2, Scope: "Ip", Value: "203.0.113.2", Type: "throttle", Origin: "lists:two", Scenario: "because"},
			"2001:db8::1234": {ID: lists[0].Base + 3, Scope: "Range", Value: "2001:db8::/48", Type: "ban", Origin: "lists:one", Scenario: "one"},
		} {
			v := b.Set().Lookup(addr(text))
			if v.ID != want.ID || !v.Direct || !v.Created.Equal(start) || !v.Until.Equal(start.Add(24*time.Hour)) {
				t.Errorf("%s: %s: %+v, want id %d", when, text, v, want.ID)
			}
			want.Direct, want.Created, want.Until = true, start, start.Add(24*time.Hour)
			for name, f := range map[string]decisions.Filter{"id": {ID: v.ID}, "address": {Contains: addr(text)}, "value": {Value: want.Value},
				"origin and scope": {Origin: want.Origin, Contains: addr(text), Scope: want.Scope, Active: true}, "both": {ID: v.ID, Contains: addr(text)}} {
				if diff := cmp.Diff([]decisions.Decision{want}, b.List(f)); diff != "" {
					t.Errorf("%s: %s by %s: %s", when, text, name, diff)
				}
			}
		}
		for name, c := range map[string]struct {
			f    decisions.Filter
			want int
		}{
			"nothing": {decisions.Filter{}, 1}, "active": {decisions.Filter{Active: true}, 1}, "a type": {decisions.Filter{Type: "ban"}, 0},
			"an origin": {decisions.Filter{Origin: "lists:one"}, 4}, "another origin": {decisions.Filter{Origin: "lists:three"}, 0},
			"an address of two": {decisions.Filter{Contains: addr("192.0.2.1")}, 2}, "a list and a decision": {decisions.Filter{Value: "203.0.113.1"}, 2},
			"another type": {decisions.Filter{Contains: addr("192.0.2.1"), Type: "throttle"}, 1}, "a part of a range": {decisions.Filter{Value: "198.51.100.0/25"}, 0},
			"an id before": {decisions.Filter{ID: lists[0].Base - 1}, 0}, "no address": {decisions.Filter{Value: "FR"}, 0},
			"an id elsewhere": {decisions.Filter{ID: lists[0].Base, Contains: addr("192.0.2.2")}, 0},
		} {
			if got := b.List(c.f); len(got) != c.want && name != "an id before" {
				t.Errorf("%s: by %s: %+v", when, name, got)
			}
		}
		if n, left := b.Active("192.0.2.1"); n != 2 || left != 24*time.Hour-time.Minute {
			t.Errorf("%s: %d active, %s left", when, n, left)
		}
	}
	check("at first")
	b.restart()
	check("restarted")
	// Ids of lists are not given again.
	next := []decisions.Decision{{Value: "203.0.113.9", Type: "ban", Until: start.Add(time.Hour)}}
	must(t, b.Append(nil, next))
	if last := b.Lists()[1]; next[0].ID < last.Base+int64(last.Len()) {
		t.Errorf("id %d is of list two, %d and on", next[0].ID, last.Base)
	}
}

// TestListStrength: with single decisions and other lists the usual order holds: the
// stronger one, then the longer one.
func TestListStrength(t *testing.T) {
	for _, c := range []struct {
		single, list string // types
		length       time.Duration
		want         decisions.Action
		ofList       bool
	}{
		{"captcha", "ban", time.Hour, decisions.Ban, true}, {"ban", "captcha", time.Hour, decisions.Ban, false},
		{"ban", "ban", time.Hour, decisions.Ban, true}, {"ban", "ban", 48 * time.Hour, decisions.Ban, false},
		{"throttle", "captcha", 48 * time.Hour, decisions.Captcha, true}, {"mfa", "throttle", 48 * time.Hour, decisions.Throttle, true},
	} {
		for _, value := range []string{"192.0.2.1", "192.0.2.0/24"} {
			b := openListed(t)
			h := listHead("x")
			h.Type = c.list
			b.put(h, value)
			must(t, b.Append(nil, []decisions.Decision{{Value: "192.0.2.1", Type: c.single, Until: start.Add(c.length)}}))
			v := b.Set().Lookup(addr("192.0.2.1"))
			if v.Action != c.want || (v.ID == b.Lists()[0].Base) != c.ofList {
				t.Errorf("%s and a list of %s for %s: %+v", c.single, c.list, value, v)
			}
		}
	}
}

// TestAllowedOnList: the allowlist is asked first, also for a list that comes later,
// and what it covers is told.
func TestAllowedOnList(t *testing.T) {
	b := openListed(t)
	b.put(listHead("x"), "192.0.2.1", "192.0.2.2", "192.0.2.128/25", "198.51.100.0/24", "2001:db8::1", "2001:db8:1::/64", "2001:db8:2::/48")
	for _, text := range []string{"192.0.2.2/32", "192.0.2.128/26", "2001:db8::/47", "2001:db8:1::/64"} {
		must(t, b.Allow().Add(decisions.AllowEntry{Prefix: netip.MustParsePrefix(text)}))
	}
	check := func(when string, suppressed int) {
		t.Helper()
		b.expectActions(when, map[string]decisions.Action{"192.0.2.1": decisions.Ban, "192.0.2.2": decisions.None, "192.0.2.129": decisions.None,
			"192.0.2.193": decisions.Ban, "2001:db8::1": decisions.None, "2001:db8:1::7": decisions.None, "2001:db8:2::1": decisions.Ban})
		if v := b.Set().Lookup(addr("192.0.2.2")); !v.Allowed {
			t.Errorf("%s: %+v", when, v)
		}
		if n := b.Suppressed(b.Lists()[0]); n != suppressed {
			t.Errorf("%s: %d suppressed, want %d", when, n, suppressed)
		}
	}
	check("allowed", 3)
	if ds := b.List(decisions.Filter{Contains: addr("192.0.2.2")}); len(ds) != 1 || !ds[0].Suppressed {
		t.Errorf("%+v", ds)
	}
	if ds := b.List(decisions.Filter{Contains: addr("192.0.2.2"), Active: true}); len(ds) != 0 {
		t.Errorf("active: %+v", ds)
	}
	b.put(listHead("x"), "192.0.2.1", "192.0.2.0/28", "192.0.2.2", "192.0.2.128/25", "2001:db8::1", "2001:db8:1::/64", "2001:db8:2::/48")
	check("put again", 2) // 192.0.2.2 is in a range, which is not suppressed
	must(t, b.Allow().Remove(netip.MustParsePrefix("192.0.2.2/32")))
	b.expectActions("no longer allowed", map[string]decisions.Action{"192.0.2.2": decisions.Ban})
}

// TestSuppressedAgainstModel: the count is that of entries that the allowlist covers.
func TestSuppressedAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for round := range 10 {
		b := openListed(t)
		for _, p := range crowded(r, 20) {
			must(t, b.Allow().Add(decisions.AllowEntry{Prefix: p}))
		}
		l := newList(t, listHead("x"), crowded(r, 500))
		want := 0
		for p := range l.All() {
			if b.Allow().Covers(p) {
				want++
			}
		}
		if got := b.Suppressed(l); got != want {
			t.Fatalf("round %d: %d, want %d", round, got, want)
		}
	}
}

// TestListEnds: lookups stop at its end; then it goes by itself, from the disk too.
func TestListEnds(t *testing.T) {
	b := openListed(t)
	wake, stop := b.Watch()
	defer stop()
	woken := func(when string) {
		t.Helper()
		select {
		case <-wake:
		default:
			t.Errorf("%s: nobody was woken", when)
		}
	}
	b.put(listHead("x"), "192.0.2.1")
	woken("put")
	long := listHead("y")
	long.Until = start.Add(48 * time.Hour)
	b.put(long, "192.0.2.2")
	woken("put")
	b.clock.Advance(24*time.Hour - time.Minute - time.Millisecond)
	b.expectActions("before the end", map[string]decisions.Action{"192.0.2.1": decisions.Ban})
	b.clock.Advance(time.Millisecond)
	b.expectActions("at the end", map[string]decisions.Action{"192.0.2.1": decisions.None, "192.0.2.2": decisions.Ban})
	if ds := b.List(decisions.Filter{Value: "192.0.2.1", Active: true}); len(ds) != 0 {
		t.Errorf("%+v", ds)
	}
	b.Expire(b.clock.Now())
	woken("ended")
	if lists := b.Lists(); len(lists) != 1 || lists[0].Name != "y" {
		t.Errorf("%v", lists)
	}
	must(t, b.Flush(context.Background()))
	if v, err := b.db.Get("lists", "x"); v != nil || err != nil {
		t.Errorf("%d bytes are on disk, %v", len(v), err)
	}
	if err := b.PutList(newList(t, listHead("x"), prefixes("192.0.2.1"))); !errors.Is(err, decisions.ErrOver) {
		t.Errorf("one that is over: %v", err)
	}
	b.clock.Advance(48 * time.Hour)
	b.restart()
	if lists := b.Lists(); len(lists) != 0 {
		t.Errorf("ended while nobody looked: %v", lists)
	}
	must(t, b.Flush(context.Background()))
	if v, err := b.db.Get("lists", "y"); v != nil || err != nil {
		t.Errorf("%d bytes are on disk, %v", len(v), err)
	}
}

// TestDropList: gone at once, and after a restart.
func TestDropList(t *testing.T) {
	b := openListed(t)
	b.put(listHead("x"), "192.0.2.1")
	b.put(listHead("y"), "192.0.2.2")
	must(t, b.DropList("x"))
	b.expectActions("dropped", map[string]decisions.Action{"192.0.2.1": decisions.None, "192.0.2.2": decisions.Ban})
	if err := b.DropList("x"); !errors.Is(err, decisions.ErrNoList) {
		t.Errorf("again: %v", err)
	}
	b.restart()
	b.expectActions("restarted", map[string]decisions.Action{"192.0.2.1": decisions.None, "192.0.2.2": decisions.Ban})
}

// TestListLimits: how many there can be, and a damaged one on disk.
func TestListLimits(t *testing.T) {
	b := openListed(t)
	for i := range 64 {
		b.put(listHead(fmt.Sprintf("l%d", i)), "192.0.2.1")
	}
	if err := b.PutList(newList(t, listHead("more"), nil)); err == nil || !strings.Contains(err.Error(), "64 lists") {
		t.Errorf("got %v", err)
	}
	b.put(listHead("l7"), "192.0.2.7") // in the place of one that is there
	must(t, b.Flush(context.Background()))
	v, err := b.db.Get("lists", "l1")
	must(t, err)
	v[len(v)-1] ^= 1
	must(t, b.db.Put("lists", "l1", v))
	v, err = b.db.Get("lists", "l2")
	must(t, err)
	must(t, b.db.Put("lists", "l3", v)) // under another name
	b.restart()
	if n := len(b.Lists()); n != 62 || b.Stats().Damaged != 2 {
		t.Errorf("%d lists, %d damaged", n, b.Stats().Damaged)
	}
	b.expectActions("restarted", map[string]decisions.Action{"192.0.2.7": decisions.Ban})
}

// TestListOfThousands: an origin shows the first thousand entries.
func TestListOfThousands(t *testing.T) {
	b := openListed(t)
	r := rand.New(rand.NewPCG(8, 8))
	must(t, b.PutList(newList(t, listHead("x"), randomList(r, 50_000))))
	ds := b.List(decisions.Filter{Origin: "lists:x"})
	if len(ds) != 1000 || ds[999].ID != b.Lists()[0].Base {
		t.Errorf("%d", len(ds))
	}
}

// TestReplaceUnderLookups: who looks up while a list is replaced sees the old or the
// new one, whole: an address of both is found always.
func TestReplaceUnderLookups(t *testing.T) {
	b := openListed(t)
	r := rand.New(rand.NewPCG(9, 9))
	common := randomList(r, 2000)
	versions := make([]*decisions.Blocklist, 8)
	for i := range versions {
		h := listHead("x")
		h.Version = int64(i + 1)
		versions[i] = newList(t, h, append(randomList(r, 2000), common...))
	}
	must(t, b.PutList(versions[0]))
	done := make(chan struct{})
	var wg sync.WaitGroup
	var lookups atomic.Int64
	for range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				a := common[i%len(common)].Addr()
				v := b.Set().Lookup(a)
				if v.Action != decisions.Ban && !v.Allowed { // loopback
					t.Errorf("%s is missed for a moment", a)
					return
				}
				lookups.Add(1)
				if i%64 == 0 {
					b.List(decisions.Filter{ID: v.ID})
					b.Suppressed(b.Lists()[0])
				}
			}
		})
	}
	bases := map[int64]bool{}
	for i := range 25 {
		must(t, b.PutList(versions[i%len(versions)]))
		base := b.Lists()[0].Base
		if bases[base] {
			t.Errorf("the ids from %d on are given twice", base)
		}
		bases[base] = true
		must(t, b.Append(nil, []decisions.Decision{{Value: "192.0.2.1", Type: "ban", Until: start.Add(time.Hour)}}))
		runtime.Gosched()
	}
	close(done)
	wg.Wait()
	if lookups.Load() == 0 {
		t.Error("nobody looked")
	}
}

// TestLookupOfListAllocatesNothing, whether it finds something or not.
func TestLookupOfListAllocatesNothing(t *testing.T) {
	b := openListed(t)
	b.put(listHead("x"), "192.0.2.1", "198.51.100.0/24", "2001:db8::/48")
	for _, text := range []string{"192.0.2.1", "192.0.2.2", "198.51.100.7", "2001:db8::1", "2001:db9::1", "::ffff:192.0.2.1"} {
		a := addr(text)
		if n := testing.AllocsPerRun(100, func() { b.Set().Lookup(a) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

// BenchmarkLookupLists: lookups of a set of 100,000 single bans without lists, with a
// list of a million addresses, and with ten small lists.
func BenchmarkLookupLists(b *testing.B) {
	r := rand.New(rand.NewPCG(10, 10))
	million := randomList(r, 1_000_000)
	h := decisions.ListHead{Name: "x", Type: "ban", Created: time.Now(), Until: time.Now().Add(24 * time.Hour)}
	var singles []decisions.Change
	for i := range 100_000 {
		singles = append(singles, decisions.Change{Decision: decisions.Decision{ID: int64(i + 1), Scope: "Ip", Type: "ban",
			Value: randomAddr4(r).String(), Created: time.Now(), Until: time.Now().Add(time.Hour)}})
	}
	const many = 1 << 18
	misses, hits, own := make([]netip.Addr, many), make([]netip.Addr, many), make([]netip.Addr, many)
	for i := range many {
		misses[i], hits[i], own[i] = randomAddr4(r), million[r.IntN(len(million))].Addr(), addr(singles[r.IntN(len(singles))].Decision.Value)
	}
	for _, c := range []struct {
		name  string
		lists int
		each  int
	}{{"no list", 0, 0}, {"a list of 1 M", 1, len(million)}, {"10 lists of 10,000", 10, 10_000}} {
		db, err := store.Open(b.TempDir(), store.Options{})
		must(b, err)
		book, err := decisions.OpenBook(decisions.BookOptions{DB: db})
		must(b, err)
		book.Set().Apply(singles)
		for i := range c.lists {
			h.Name = fmt.Sprintf("x%d", i)
			must(b, book.PutList(newList(b, h, million[i*c.each:][:c.each])))
		}
		for _, way := range []struct {
			name  string
			addrs []netip.Addr
		}{{"miss", misses}, {"hot miss", misses[:256]}, {"single", own}, {"listed", hits}, {"hot listed", hits[:256]}} {
			b.Run(c.name+"/"+way.name, func(b *testing.B) {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				set, i, found := book.Set(), 0, 0
				b.ReportAllocs()
				cpu := threadTime()
				for b.Loop() {
					if i++; i == len(way.addrs) {
						i = 0
					}
					if set.Lookup(way.addrs[i]).Action == decisions.Ban {
						found++
					}
				}
				b.ReportMetric(float64(threadTime()-cpu)/float64(b.N), "cpu-ns/op")
				b.ReportMetric(float64(found)/float64(b.N), "hits/op")
			})
		}
		must(b, book.Close())
		must(b, db.Close())
	}
}

// BenchmarkPutList replaces a list of a million addresses, and opens a book with it.
func BenchmarkPutList(b *testing.B) {
	r := rand.New(rand.NewPCG(11, 11))
	h := decisions.ListHead{Name: "x", Type: "ban", Created: time.Now(), Until: time.Now().Add(24 * time.Hour)}
	l := newList(b, h, randomList(r, 1_000_000))
	db, err := store.Open(b.TempDir(), store.Options{})
	must(b, err)
	defer db.Close()
	book, err := decisions.OpenBook(decisions.BookOptions{DB: db})
	must(b, err)
	b.Run("put and flush", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(b, book.PutList(l))
			must(b, book.Flush(b.Context()))
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(b, book.Close())
			book, err = decisions.OpenBook(decisions.BookOptions{DB: db})
			must(b, err)
		}
	})
	must(b, book.Close())
}
