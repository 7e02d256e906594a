package decisions_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

func TestAllowSuppresses(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	d.allow.SetBuiltin(decisions.KindHost, []netip.Prefix{prefix("203.0.113.1/32")})
	var cursor int64
	born := d.ban("203.0.113.1", "ban", time.Hour)
	if !born.Suppressed || d.action("203.0.113.1") != decisions.None {
		t.Errorf("against the host: %+v", born)
	}
	d.expectChanges("born suppressed", &cursor)
	d.ban("192.0.2.1", "ban", time.Hour)
	d.ban("192.0.2.128/25", "ban", time.Hour)
	d.ban("192.0.0.0/16", "captcha", time.Hour)
	d.changes(&cursor)

	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.0/24")}))
	d.expectChanges("allowed", &cursor, "-2 192.0.2.1", "-3 192.0.2.128/25")
	if v := d.Set().Lookup(addr("192.0.2.1")); !v.Allowed {
		t.Errorf("allowed: %+v", v)
	}
	if d.action("192.0.3.1") != decisions.Captcha {
		t.Error("the wide range, of which only a part is allowed, is not kept")
	}
	if n := d.Count("192.0.2.1", time.Time{}); n != 1 {
		t.Errorf("%d decisions counted for the value", n)
	}
	if n, _ := d.Active("192.0.2.1"); n != 0 {
		t.Error("a suppressed decision is active")
	}
	d.restart()
	cursor = 0
	// The host entry is the node's to set, and this start has not.
	d.expectChanges("after a restart", &cursor, "+1 203.0.113.1", "-2 192.0.2.1", "-3 192.0.2.128/25", "+4 192.0.0.0/16")

	must(t, d.allow.Remove(prefix("192.0.2.0/24")))
	d.expectChanges("no more allowed", &cursor, "+2 192.0.2.1", "+3 192.0.2.128/25")
	if d.action("192.0.2.1") != decisions.Ban || d.action("192.0.2.200") != decisions.Ban {
		t.Error("what is no more allowed is not banned again")
	}
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.0/24"), Until: d.clock.Now().Add(time.Minute)}))
	d.expectChanges("allowed for a minute", &cursor, "-2 192.0.2.1", "-3 192.0.2.128/25")
	d.clock.Advance(time.Minute)
	if n := len(d.Expire(d.clock.Now())); n != 0 {
		t.Errorf("%d decisions ended", n)
	}
	d.expectChanges("a minute later", &cursor, "+2 192.0.2.1", "+3 192.0.2.128/25")
	d.clock.Advance(time.Hour)
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.0.0/8")}))
	d.Expire(d.clock.Now())
	must(t, d.allow.Remove(prefix("192.0.0.0/8")))
	d.changes(&cursor)
	if l := d.List(decisions.Filter{}); len(l) != 0 {
		t.Errorf("over, and still there: %+v", l)
	}
}

func TestRestart(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	a := fullAlert()
	must(t, d.Append(a, []decisions.Decision{{Value: "192.0.2.1", Type: "ban", Origin: "o", Scenario: "s", Until: start.Add(time.Hour), Direct: true}}))
	d.ban("2001:db8::/48", "captcha", time.Minute)
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("198.51.100.0/24"), Comment: "office", Author: "ann", Until: start.Add(time.Hour)}))
	before, allowed := d.List(decisions.Filter{}), d.allow.List()
	d.restart()
	if diff := cmp.Diff(before, d.List(decisions.Filter{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(allowed, d.allow.List(), cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); diff != "" {
		t.Error(diff)
	}
	if got, ok := d.Incident("INC"); !ok || got.ID != 1 || !got.Stop.Equal(start) {
		t.Errorf("alert after the restart: %+v, %v", got, ok)
	}
	if n := d.Count("192.0.2.1", start.Add(-time.Hour)); n != 1 {
		t.Errorf("history after the restart: %d", n)
	}
	if v := d.Set().Lookup(addr("192.0.2.1")); v.Action != decisions.Ban || !v.Direct {
		t.Errorf("looked up %+v", v)
	}
	// Ids go on, also when the last ones were deleted.
	_, err := d.Delete(decisions.Filter{Active: true}, "test")
	must(t, err)
	d.restart()
	if got := d.ban("192.0.2.1", "ban", time.Hour); got.ID != 3 {
		t.Errorf("id %d after two were deleted, want 3", got.ID)
	}
	d.clock.Advance(2 * time.Hour)
	d.restart()
	if l := d.List(decisions.Filter{}); len(l) != 0 || d.Set().Len() != 0 {
		t.Errorf("over while nobody looked: %+v", l)
	}
	d.restart()
	if got := d.ban("192.0.2.1", "ban", time.Hour); got.ID != 4 {
		t.Errorf("id %d, want 4", got.ID)
	}
}

func TestDamagedRecordsAreLeftAlone(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	d.ban("192.0.2.1", "ban", time.Hour)
	must(t, d.Append(fullAlert(), nil))
	must(t, d.Flush(context.Background()))
	for _, bucket := range []string{"decisions", "alerts", "history", "allow"} {
		must(t, d.db.Put(bucket, "zz", []byte("{")))
	}
	must(t, d.db.Put("decisions", "wrongkey", []byte(`{"id":7,"value":"192.0.2.9","type":"ban","until":"2999-01-01T00:00:00Z"}`)))
	d.restart()
	if s := d.Stats(); s.Damaged != 5 || s.Decisions != 1 || s.Alerts != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestClosedBook(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	d.ban("192.0.2.1", "ban", time.Hour)
	must(t, d.Book.Close())
	must(t, d.Book.Close())
	if err := d.Append(fullAlert(), nil); !errors.Is(err, decisions.ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := d.Delete(decisions.Filter{ID: 1}, ""); !errors.Is(err, decisions.ErrClosed) {
		t.Errorf("delete: %v", err)
	}
	must(t, d.Flush(context.Background()))
	d.Expire(start.Add(2 * time.Hour))
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.0/24")}))
	if len(d.List(decisions.Filter{})) != 1 {
		t.Error("what a closed book has is gone")
	}
}
