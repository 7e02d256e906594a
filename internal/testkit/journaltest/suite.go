// Package journaltest is what every decisions.Journal has to do, embedded or shared.
// It is for tests, knows no storage, and starts nothing that outlives a test.
//
//	test of a journal ─► Run(open) ─► Append, Delete, Since ─► Follower ─► what is in force
//
// Run is for one goroutine; its cases come one after the other.
package journaltest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// Subject is a journal under test. Its ids may be any that were not given before.
type Subject struct {
	decisions.Journal
	// Book is where it keeps what it has, for Expire and the allowlist, whose other
	// entries than the usual ones are the suite's.
	Book *decisions.Book
	// Settle returns when what was done before is in the journal; nil: it is at once.
	Settle func()
}

// Open makes an empty journal whose clock is now, which may be called from any
// goroutine. It is closed with the test.
type Open func(t *testing.T, now func() time.Time) Subject

// Start is where the clock begins.
func Start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// bench is one case under way.
type bench struct {
	Subject
	t  *testing.T
	mu sync.Mutex
	at time.Time
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func (b *bench) advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = b.at.Add(d)
}

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		run  func(*bench)
	}{
		{"fills in", fillsIn}, {"bad ones are left out", badOnes}, {"prolongs", prolongs}, {"deletes", deletes},
		{"pages", pages}, {"cursors of another time", cursors}, {"allowed is suppressed", suppresses}, {"ends", ends},
		{"a follower has what is in force", follows}, {"many writers", manyWriters},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{t: t, at: Start()}
			b.Subject = open(t, b.now)
			c.run(b)
		})
	}
}

func (b *bench) settle() {
	if b.Settle != nil {
		b.Settle()
	}
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func alert() *event.Alert {
	return &event.Alert{
		Scenario: "test/scenario", IncidentID: "INC", Site: "example.com", Events: []event.AlertEvent{{Timestamp: "t", Meta: event.Meta{{Key: "k", Value: "v"}}}},
		Source: &event.Source{Scope: "Ip", Value: "192.0.2.1", IP: "192.0.2.1"},
	}
}

// ban appends one decision and returns it as recorded.
func (b *bench) ban(value, typ string, left time.Duration) decisions.Decision {
	b.t.Helper()
	ds := []decisions.Decision{{Value: value, Type: typ, Origin: "test", Scenario: "s", Until: b.now().Add(left)}}
	b.must(b.Append(nil, ds))
	b.settle()
	return ds[0]
}

// change is a Change in short.
func change(c decisions.Change) string {
	switch {
	case c.Reset:
		return "reset"
	case c.Gone:
		return fmt.Sprintf("-%d", c.Decision.ID)
	}
	return fmt.Sprintf("+%d", c.Decision.ID)
}

func (b *bench) changes(cursor *int64) (out []string) {
	b.settle()
	cs, next := b.Since(*cursor, 0)
	for _, c := range cs {
		out = append(out, change(c))
	}
	*cursor = next
	return out
}

func (b *bench) expect(when string, cursor *int64, want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.changes(cursor)); diff != "" {
		b.t.Errorf("%s: %s", when, diff)
	}
}

func made(d decisions.Decision) string { return fmt.Sprintf("+%d", d.ID) }
func gone(d decisions.Decision) string { return fmt.Sprintf("-%d", d.ID) }

func fillsIn(b *bench) {
	a := alert()
	ds := []decisions.Decision{
		{Scope: "ip", Value: "::ffff:192.0.2.1", Type: "BAN", Origin: "crowdsec", Scenario: "s", Until: Start().Add(time.Hour)},
		{Scope: "country", Value: "fr", Type: "captcha", Origin: "crowdsec", Scenario: "s", Until: Start().Add(time.Hour)},
	}
	b.must(b.Append(a, ds))
	if a.ID < 1 || len(a.UUID) != 36 || a.CreatedAt == "" || len(a.Decisions) != 2 || a.Decisions[1].ID != ds[1].ID || a.Decisions[0].Duration != "1h0m0s" {
		b.t.Errorf("alert %+v", a)
	}
	want := decisions.Decision{
		ID: ds[0].ID, UUID: ds[0].UUID, AlertID: a.ID, IncidentID: "INC", Scope: "Ip", Value: "192.0.2.1", Type: "ban", Origin: "crowdsec",
		Scenario: "s", Host: "example.com", Created: Start(), Until: Start().Add(time.Hour),
	}
	if diff := cmp.Diff(want, ds[0]); diff != "" || ds[0].ID < 1 || ds[0].ID > 1<<40-1 || len(ds[0].UUID) != 36 || ds[0].UUID == ds[1].UUID || ds[0].ID == ds[1].ID {
		b.t.Errorf("%+v and %+v: %s", ds[0], ds[1], diff)
	}
	b.settle()
	cs, _ := b.Since(0, 0)
	if len(cs) != 2 || cmp.Diff(ds[0], cs[0].Decision) != "" || cmp.Diff(ds[1], cs[1].Decision) != "" {
		b.t.Errorf("told %+v", cs)
	}
	if got, ok := b.Book.Alert(a.ID); !ok || got.UUID != a.UUID || got.Events[0].GetMeta("k") != "v" || !b.Book.HasAlert(a.UUID) {
		b.t.Errorf("kept %+v", got)
	}
}

func badOnes(b *bench) {
	until := Start().Add(time.Hour)
	ds := []decisions.Decision{
		{Value: "192.0.2.0/7", Type: "ban", Until: until}, {Value: "x", Type: "ban", Until: until},
		{Value: "192.0.2.1", Type: "ban", Until: Start()}, {Value: "192.0.2.1", Type: "ban", Until: until},
	}
	err := b.Append(nil, ds)
	if !errors.Is(err, decisions.ErrTooWide) || !errors.Is(err, decisions.ErrOver) || !strings.Contains(err.Error(), `"x"`) {
		b.t.Errorf("got %v", err)
	}
	if ds[0].ID != 0 || ds[1].ID != 0 || ds[2].ID != 0 || ds[3].ID == 0 {
		b.t.Errorf("got %+v", ds)
	}
	var cursor int64
	b.expect("the good one", &cursor, made(ds[3]))
}

func prolongs(b *bench) {
	var cursor int64
	ban := func(left time.Duration, direct bool) (decisions.Decision, int64) {
		b.t.Helper()
		a := alert()
		a.IncidentID = ""
		ds := []decisions.Decision{{Value: "192.0.2.1", Type: "ban", Origin: "o", Scenario: "s", Until: b.now().Add(left), Direct: direct}}
		b.must(b.Append(a, ds))
		return ds[0], a.ID
	}
	first, _ := ban(time.Hour, true)
	b.expect("first", &cursor, made(first))
	b.advance(time.Minute)
	again, cause := ban(time.Hour, true)
	if again.ID != first.ID || again.AlertID != cause || !again.Created.Equal(Start().Add(time.Minute)) || again.UUID != first.UUID {
		b.t.Errorf("prolonged: %+v", again)
	}
	b.expect("prolonged", &cursor, made(first))
	shorter, _ := ban(time.Minute, true)
	if shorter.ID != first.ID || !shorter.Until.Equal(again.Until) || shorter.AlertID != cause {
		b.t.Errorf("a shorter one changed it: %+v", shorter)
	}
	b.expect("shorter", &cursor)
	hearsay, _ := ban(2*time.Hour, false)
	if hearsay.ID == first.ID {
		b.t.Errorf("evidence through a proxy prolonged a direct ban: %+v", hearsay)
	}
	b.expect("hearsay", &cursor, made(hearsay))
	if n := b.Book.Count("192.0.2.1", time.Time{}); n != 4 {
		b.t.Errorf("%d decisions made, want 4", n)
	}
	b.advance(61 * time.Minute)
	if v := b.Book.Set().Lookup(hearsay.Prefix().Addr()); v.ID != hearsay.ID {
		b.t.Errorf("after the first one's end: %+v", v)
	}
	if fresh, _ := ban(time.Hour, true); fresh.ID == first.ID {
		b.t.Errorf("one that is over was prolonged: %+v", fresh)
	}
}

func deletes(b *bench) {
	one, two := b.ban("192.0.2.1", "captcha", time.Hour), b.ban("192.0.2.1", "ban", time.Hour)
	three, four := b.ban("192.0.2.0/24", "throttle", time.Hour), b.ban("2001:db8::1", "ban", time.Hour)
	if _, err := b.Delete(decisions.Filter{}, "test"); !errors.Is(err, decisions.ErrNoFilter) {
		b.t.Errorf("empty filter: %v", err)
	}
	var cursor int64
	b.changes(&cursor)
	for _, c := range []struct {
		f    decisions.Filter
		want []decisions.Decision
	}{
		{decisions.Filter{Value: "192.0.2.1", Scenario: "other"}, nil},
		{decisions.Filter{Value: "::ffff:192.0.2.1", Type: "BAN"}, []decisions.Decision{two}},
		{decisions.Filter{ID: one.ID}, []decisions.Decision{one}},
		{decisions.Filter{ID: one.ID}, nil},
		{decisions.Filter{Contains: three.Prefix().Addr().Next()}, []decisions.Decision{three}},
		{decisions.Filter{Active: true}, []decisions.Decision{four}},
	} {
		got, err := b.Delete(c.f, "test")
		b.must(err)
		if diff := cmp.Diff(c.want, got); diff != "" {
			b.t.Errorf("%+v: %s", c.f, diff)
		}
		var want []string
		for _, d := range c.want {
			want = append(want, gone(d))
		}
		b.expect(fmt.Sprintf("%+v", c.f), &cursor, want...)
	}
}

func pages(b *bench) {
	var ds []decisions.Decision
	for i := range 10 {
		ds = append(ds, b.ban(fmt.Sprintf("192.0.2.%d", i), "ban", time.Hour))
	}
	_, err := b.Delete(decisions.Filter{ID: ds[3].ID}, "")
	b.must(err)
	b.settle()
	var want, got []string
	for i, d := range ds {
		if i != 3 {
			want = append(want, made(d))
		}
	}
	want = append(want, gone(ds[3]))
	cursor, n := int64(0), 0
	for {
		cs, next := b.Since(cursor, 3)
		for _, c := range cs {
			if c.Cursor <= cursor {
				b.t.Errorf("cursor %d after %d", c.Cursor, cursor)
			}
			got = append(got, change(c))
		}
		if cursor = next; len(cs) == 0 {
			break
		}
		n++
	}
	if diff := cmp.Diff(want, got); diff != "" || n != 4 {
		b.t.Errorf("%d pages: %s", n, diff)
	}
}

func cursors(b *bench) {
	var cursor int64
	b.expect("nothing yet", &cursor)
	one, two := b.ban("192.0.2.1", "ban", time.Hour), b.ban("192.0.2.2", "ban", time.Hour)
	b.expect("two", &cursor, made(one), made(two))
	b.expect("and on", &cursor)
	for _, bad := range []int64{cursor + 1, -1, 1, 1 << 62} {
		cs, next := b.Since(bad, 2)
		if len(cs) != 2 || !cs[0].Reset || next != cs[1].Cursor || change(cs[1]) != made(one) {
			b.t.Errorf("cursor %d: %+v", bad, cs)
			continue
		}
		if cs, _ = b.Since(next, 0); len(cs) != 1 || change(cs[0]) != made(two) {
			b.t.Errorf("going on from %d: %+v", next, cs)
		}
	}
}

func suppresses(b *bench) {
	var cursor int64
	if d := b.ban("127.0.0.1", "ban", time.Hour); !d.Suppressed {
		b.t.Errorf("against loopback: %+v", d)
	}
	b.expect("born suppressed", &cursor)
	d := b.ban("192.0.2.1", "ban", time.Hour)
	b.expect("made", &cursor, made(d))
	b.must(b.Book.Allow().Add(decisions.AllowEntry{Prefix: d.Prefix()}))
	b.expect("allowed", &cursor, gone(d))
	b.must(b.Book.Allow().Remove(d.Prefix()))
	b.expect("no longer allowed", &cursor, made(d))
}

func ends(b *bench) {
	var cursor int64
	short, long := b.ban("192.0.2.1", "ban", time.Minute), b.ban("192.0.2.2", "ban", time.Hour)
	b.expect("two", &cursor, made(short), made(long))
	b.advance(time.Minute)
	b.Book.Expire(b.now())
	b.expect("one is over", &cursor, gone(short))
	cursor = 0
	if got := b.changes(&cursor); !slices.Contains(got, made(long)) || slices.Contains(got, made(short)) {
		b.t.Errorf("from the beginning: %v", got)
	}
}

// step does something of what people and scenarios do.
func (b *bench) step(r *rand.Rand) {
	value := fmt.Sprintf("192.0.2.%d", r.IntN(8))
	switch r.IntN(10) {
	case 0:
		_, err := b.Delete(decisions.Filter{Value: value}, "test")
		b.must(err)
	case 1:
		b.Book.Expire(b.now())
	default:
		ds := make([]decisions.Decision, r.IntN(3))
		for i := range ds {
			ds[i] = decisions.Decision{Value: value, Type: []string{"ban", "captcha"}[r.IntN(2)], Scenario: fmt.Sprint(r.IntN(2)),
				Until: b.now().Add(time.Duration(1+r.IntN(300)) * time.Second)}
		}
		b.must(b.Append(alert(), ds))
	}
	b.advance(time.Duration(r.IntN(5000)) * time.Millisecond)
}

// agree holds what a subscriber has against what is listed.
func (b *bench) agree(f *Follower) {
	b.t.Helper()
	b.Book.Expire(b.now())
	b.settle()
	f.Follow(b)
	want := map[int64]decisions.Decision{}
	for _, d := range b.Book.List(decisions.Filter{}) {
		want[d.ID] = d
	}
	if diff := cmp.Diff(want, f.All); diff != "" {
		b.t.Fatalf("a subscriber has something else (-listed +followed): %s", diff)
	}
}

func follows(b *bench) {
	r := rand.New(rand.NewPCG(1, 2))
	var f Follower
	for i := range 300 {
		b.step(r)
		if i%20 == 19 {
			b.agree(&f)
		}
	}
	var late Follower
	b.agree(&late)
}

func manyWriters(b *bench) {
	var writers sync.WaitGroup
	ids := make([][]int64, 4)
	for w := range ids {
		writers.Go(func() {
			for i := range 100 {
				ds := []decisions.Decision{{Value: fmt.Sprintf("10.%d.0.%d", w, i), Type: "ban", Until: b.now().Add(time.Hour)}}
				if err := b.Append(alert(), ds); err != nil {
					b.t.Error(err)
				}
				ids[w] = append(ids[w], ds[0].ID)
			}
		})
	}
	writers.Wait()
	seen := map[int64]bool{}
	for _, id := range slices.Concat(ids...) {
		if seen[id] {
			b.t.Errorf("id %d was given twice", id)
		}
		seen[id] = true
	}
	var f Follower
	b.agree(&f)
	if len(f.All) != 400 {
		b.t.Errorf("%d decisions", len(f.All))
	}
}
