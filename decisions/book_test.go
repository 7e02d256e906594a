package decisions_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/store"
)

var _ decisions.Journal = (*decisions.Book)(nil)

// desk is a book with all that belongs to it.
type desk struct {
	t     *testing.T
	dir   string
	clock *testkit.Clock
	now   func() time.Time
	db    *store.DB
	allow *decisions.Allow
	*decisions.Book
	options decisions.BookOptions
}

func openDesk(t *testing.T, o decisions.BookOptions) *desk {
	t.Helper()
	return openDeskAt(t, o, nil)
}

// openDeskAt has a clock of its own, nil for that of the desk.
func openDeskAt(t *testing.T, o decisions.BookOptions, now func() time.Time) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir(), clock: newClock(), now: now, options: o}
	if now == nil {
		d.now = func() time.Time { return d.clock.Now() } // the clock may be replaced
	}
	d.open()
	t.Cleanup(d.close)
	return d
}

func (d *desk) open() {
	d.t.Helper()
	var err error
	d.db, err = store.Open(d.dir, store.Options{})
	must(d.t, err)
	d.allow = decisions.NewAllow(d.now)
	o := d.options
	o.DB, o.Allow, o.Now = d.db, d.allow, d.now
	d.Book, err = decisions.OpenBook(o)
	must(d.t, err)
}

func (d *desk) close() {
	must(d.t, d.Book.Close())
	must(d.t, d.db.Close())
}

func (d *desk) restart() {
	d.t.Helper()
	d.close()
	d.open()
}

// ban appends a decision without an alert and returns it as recorded.
func (d *desk) ban(value, typ string, left time.Duration) decisions.Decision {
	d.t.Helper()
	ds := []decisions.Decision{{Value: value, Type: typ, Origin: "test", Scenario: "s", Until: d.clock.Now().Add(left)}}
	must(d.t, d.Append(nil, ds))
	return ds[0]
}

func (d *desk) action(a string) decisions.Action { return d.Set().Lookup(addr(a)).Action }

// changes returns the journal after cursor in short: "+7 value" or "-7 value".
func (d *desk) changes(cursor *int64) []string {
	var out []string
	cs, next := d.Since(*cursor, 0)
	for _, c := range cs {
		sign := "+"
		if c.Gone {
			sign = "-"
		}
		if c.Reset {
			sign = "reset"
		}
		out = append(out, fmt.Sprintf("%s%d %s", sign, c.Decision.ID, c.Decision.Value))
	}
	*cursor = next
	return out
}

func (d *desk) expectChanges(when string, cursor *int64, want ...string) {
	d.t.Helper()
	if diff := cmp.Diff(want, d.changes(cursor)); diff != "" {
		d.t.Errorf("%s: %s", when, diff)
	}
}

func fullAlert() *event.Alert {
	a := alert("Ip", "192.0.2.1", "http")
	a.StopAt, a.Events = start.Format(time.RFC3339Nano), []event.AlertEvent{{Timestamp: "t", Meta: event.Meta{{Key: "k", Value: "v"}}}}
	return a
}

func TestAppend(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	wake, stop := d.Watch()
	defer stop()
	a := fullAlert()
	ds := []decisions.Decision{
		{Scope: "ip", Value: "::ffff:192.0.2.1", Type: "ban", Origin: "crowdsec", Scenario: "s", Until: start.Add(time.Hour)},
		{Scope: "country", Value: "fr", Type: "captcha", Origin: "crowdsec", Scenario: "s", Until: start.Add(time.Hour)},
	}
	must(t, d.Append(a, ds))
	if a.ID != 1 || len(a.UUID) != 36 || a.CreatedAt != "2026-03-01T12:00:00Z" || len(a.Decisions) != 2 || a.Decisions[0].Duration != "1h0m0s" {
		t.Errorf("alert %+v", a)
	}
	want := decisions.Decision{
		ID: 1, UUID: ds[0].UUID, AlertID: 1, IncidentID: "INC", Scope: "Ip", Value: "192.0.2.1", Type: "ban", Origin: "crowdsec",
		Scenario: "s", Host: "example.com", Created: start, Until: start.Add(time.Hour),
	}
	if diff := cmp.Diff(want, ds[0]); diff != "" || len(ds[0].UUID) != 36 || ds[0].UUID == ds[1].UUID {
		t.Error(diff)
	}
	if v := d.Set().Lookup(addr("192.0.2.1")); v.ID != 1 || v.Action != decisions.Ban {
		t.Errorf("looked up %+v", v)
	}
	select {
	case <-wake:
	default:
		t.Error("the watcher was not woken")
	}
	for i := range 2 { // on its way to the disk or there, then there
		got, ok := d.Alert(1)
		byIncident, ok2 := d.Incident("INC")
		if !ok || !ok2 || got.Source.Value != "192.0.2.1" || got.Events[0].GetMeta("k") != "v" || byIncident.ID != 1 || len(got.Decisions) != 2 {
			t.Errorf("round %d: alert %+v, %v; by incident %+v, %v", i, got, ok, byIncident, ok2)
		}
		must(t, d.Flush(context.Background()))
	}
	if _, ok := d.Incident(""); ok {
		t.Error("no incident is an alert")
	}
	if _, ok := d.Alert(2); ok {
		t.Error("an alert from nowhere")
	}
}

func TestWidth64(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	a := alert("Ip", "2001:db8::7", "ssh")
	a.Width64 = true
	ds := []decisions.Decision{{Scope: "Ip", Value: "2001:db8::7", Type: "ban", Until: start.Add(time.Hour)}}
	must(t, d.Append(a, ds))
	if ds[0].Scope != "Range" || ds[0].Value != "2001:db8::/64" || d.action("2001:db8::ffff") != decisions.Ban {
		t.Errorf("got %+v", ds[0])
	}
	if n := d.Count("2001:db8::7", start.Add(-time.Hour)); n != 1 {
		t.Errorf("count of an address inside: %d", n)
	}
	if n, left := d.Active("2001:db8::7"); n != 1 || left != time.Hour {
		t.Errorf("active for an address inside: %d, %v", n, left)
	}
	if n := d.Count("2001:db8:0:1::7", time.Time{}); n != 0 {
		t.Errorf("count of an address outside: %d", n)
	}
}

// TestWidth64Allowed: an allowed source is no reason to act against its neighbours.
func TestWidth64Allowed(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: netip.MustParsePrefix("2001:db8::7/128")}))
	for _, c := range []struct {
		source, value string
		suppressed    bool
	}{{"2001:db8::7", "2001:db8::7", true}, {"2001:db8::8", "2001:db8::/64", false}} {
		a := alert("Ip", c.source, "ssh")
		a.Width64, a.Source.IP = true, c.source
		// Profiles have widened the value already.
		ds := []decisions.Decision{{Scope: "Range", Value: "2001:db8::/64", Type: "ban", Until: start.Add(time.Hour)}}
		must(t, d.Append(a, ds))
		if ds[0].Value != c.value || ds[0].Suppressed != c.suppressed {
			t.Errorf("%s: got %+v", c.source, ds[0])
		}
		if got := d.action("2001:db8::ffff"); (got == decisions.Ban) == c.suppressed {
			t.Errorf("%s: its neighbour meets %v", c.source, got)
		}
		if got := d.action("2001:db8::7"); got != decisions.None {
			t.Errorf("%s: the allowed one meets %v", c.source, got)
		}
	}
}

func TestExpire(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	var cursor int64
	d.ban("192.0.2.1", "ban", time.Minute)
	d.ban("192.0.2.2", "ban", time.Hour)
	d.changes(&cursor)
	if gone := d.Expire(d.clock.Now()); gone != nil {
		t.Errorf("too early: %+v", gone)
	}
	d.clock.Advance(time.Minute)
	if d.action("192.0.2.1") != decisions.None {
		t.Error("in force although over, before Expire")
	}
	gone := d.Expire(d.clock.Now())
	if len(gone) != 1 || gone[0].ID != 1 || d.Set().Len() != 1 {
		t.Errorf("gone %+v, %d in the set", gone, d.Set().Len())
	}
	d.expectChanges("expired", &cursor, "-1 192.0.2.1")
	if n := d.Count("192.0.2.1", d.clock.Now().Add(-time.Hour)); n != 1 {
		t.Errorf("count after the end: %d", n)
	}
	if n, _ := d.Active("192.0.2.1"); n != 0 {
		t.Errorf("active after the end: %d", n)
	}
	d.clock.Advance(8 * 24 * time.Hour)
	d.Expire(d.clock.Now())
	if n := d.Count("192.0.2.1", time.Time{}); n != 0 || d.Stats().History != 0 {
		t.Errorf("after eight days: %d, history %d", n, d.Stats().History)
	}
}

func TestDelete(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	d.ban("192.0.2.1", "captcha", time.Hour)
	d.ban("192.0.2.1", "ban", time.Hour)
	d.ban("192.0.2.0/24", "throttle", time.Hour)
	if _, err := d.Delete(decisions.Filter{}, "test"); !errors.Is(err, decisions.ErrNoFilter) {
		t.Errorf("empty filter: %v", err)
	}
	var got []string
	remove := func(f decisions.Filter) {
		t.Helper()
		gone, err := d.Delete(f, "test")
		must(t, err)
		got = append(got, fmt.Sprintf("%d %s", len(gone), d.action("192.0.2.1")))
	}
	remove(decisions.Filter{Value: "192.0.2.1", Scenario: "other"})
	remove(decisions.Filter{Value: "::ffff:192.0.2.1", Type: "BAN"})
	remove(decisions.Filter{ID: 1})
	remove(decisions.Filter{Contains: addr("192.0.2.9")})
	if diff := cmp.Diff([]string{"0 ban", "1 captcha", "1 throttle", "1 none"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFilters(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("198.51.100.7/32")}))
	until := start.Add(time.Hour)
	must(t, d.Append(nil, []decisions.Decision{
		{Value: "192.0.2.1", Type: "ban", Origin: "a", Scenario: "x", Until: until},
		{Value: "192.0.2.0/24", Type: "captcha", Origin: "b", Scenario: "x", Until: until},
		{Value: "198.51.100.7", Type: "ban", Origin: "a", Scenario: "y", Until: until},
		{Value: "192.0.2.1", Type: "ban", Origin: "a", Scenario: "z", Until: until, Simulated: true},
		{Scope: "AS", Value: "64496", Type: "ban", Origin: "a", Scenario: "x", Until: until},
		{Value: "2001:db8::/32", Type: "ban", Origin: "a", Scenario: "x", Until: until.Add(time.Hour)},
	}))
	yes, no := true, false
	for _, tc := range []struct {
		f    decisions.Filter
		want []int64
	}{
		{decisions.Filter{}, []int64{6, 5, 4, 3, 2, 1}},
		{decisions.Filter{Active: true}, []int64{6, 5, 4, 2, 1}},
		{decisions.Filter{Active: true, Simulated: &no}, []int64{6, 5, 2, 1}},
		{decisions.Filter{Simulated: &yes}, []int64{4}},
		{decisions.Filter{Value: " 192.0.2.1 "}, []int64{4, 1}},
		{decisions.Filter{Value: "192.0.2.99/24"}, []int64{2}},
		{decisions.Filter{Contains: addr("::ffff:192.0.2.1")}, []int64{4, 2, 1}},
		{decisions.Filter{Contains: addr("192.0.2.2"), ID: 2}, []int64{2}},
		{decisions.Filter{Contains: addr("192.0.3.2"), ID: 2}, nil},
		{decisions.Filter{Contains: addr("2001:db8:7::1"), Type: "ban"}, []int64{6}},
		{decisions.Filter{Scope: "as"}, []int64{5}},
		{decisions.Filter{Origin: "b"}, []int64{2}},
		{decisions.Filter{Scenario: "x", Type: "ban"}, []int64{6, 5, 1}},
		{decisions.Filter{ID: 3}, []int64{3}},
		{decisions.Filter{ID: 99}, nil},
	} {
		var got []int64
		for _, x := range d.List(tc.f) {
			got = append(got, x.ID)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%+v: %s", tc.f, diff)
		}
	}
}
