package journaltest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

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
		ds := []decisions.Decision{{Value: "192.0.2.1", Type: "ban", Origin: "o", Scenario: "s", Until: b.Now().Add(left), Direct: direct}}
		b.must(b.Append(a, ds))
		return ds[0], a.ID
	}
	first, _ := ban(time.Hour, true)
	b.expect("first", &cursor, made(first))
	b.Advance(time.Minute)
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
	b.Advance(61 * time.Minute)
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
		left []decisions.Decision // of the same value, told again
	}{
		{f: decisions.Filter{Value: "192.0.2.1", Scenario: "other"}},
		{decisions.Filter{Value: "::ffff:192.0.2.1", Type: "BAN"}, []decisions.Decision{two}, []decisions.Decision{one}},
		{f: decisions.Filter{ID: one.ID}, want: []decisions.Decision{one}},
		{f: decisions.Filter{ID: one.ID}},
		{f: decisions.Filter{Contains: three.Prefix().Addr().Next()}, want: []decisions.Decision{three}},
		{f: decisions.Filter{Active: true}, want: []decisions.Decision{four}},
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
		for _, d := range c.left {
			want = append(want, made(d))
		}
		b.expect(fmt.Sprintf("%+v", c.f), &cursor, want...)
	}
}
