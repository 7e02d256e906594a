package decisions_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/journaltest"
)

// TestConformance: a Book is a Journal, alone and as one of a fleet.
func TestConformance(t *testing.T) {
	open := func(t *testing.T, now func() time.Time) journaltest.Subject {
		d := openDeskAt(t, decisions.BookOptions{}, now)
		return journaltest.Subject{Journal: d.Book, Book: d.Book}
	}
	t.Run("alone", func(t *testing.T) { journaltest.Run(t, open) })
	t.Run("shared", func(t *testing.T) {
		journaltest.Run(t, func(t *testing.T, now func() time.Time) journaltest.Subject {
			s := open(t, now)
			must(t, s.Book.Share(1, decisions.ShareOptions{}))
			return s
		})
	})
}

func TestSinceWithACursorOfAnotherTime(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	var cursor int64
	d.expectChanges("nothing yet", &cursor)
	d.ban("192.0.2.1", "ban", time.Hour)
	d.changes(&cursor)
	d.restart()
	d.ban("192.0.2.2", "ban", time.Hour)
	old := cursor
	d.expectChanges("cursor of an earlier run", &cursor, "reset0 ", "+1 192.0.2.1", "+2 192.0.2.2")
	d.expectChanges("and on", &cursor)
	cs, next := d.Since(old, 2)
	if len(cs) != 2 || !cs[0].Reset || next != cs[1].Cursor {
		t.Errorf("the old cursor again: %+v", cs)
	}
	if cs, _ = d.Since(next, 0); len(cs) != 1 || cs[0].Decision.ID != 2 {
		t.Errorf("going on from %d: %+v", next, cs)
	}
}

func TestAlertBounds(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{MaxAlerts: 5, AlertAge: 24 * time.Hour})
	for i := range 12 {
		a := fullAlert()
		a.IncidentID = fmt.Sprint("incident ", i)
		var ds []decisions.Decision
		if i < 2 {
			ds = []decisions.Decision{{Value: fmt.Sprintf("192.0.2.%d", i), Type: "ban", Until: start.Add(100 * time.Hour)}}
		}
		must(t, d.Append(a, ds))
	}
	ids := func() (out []int64) {
		for _, a := range d.Alerts(decisions.AlertFilter{}) {
			out = append(out, a.ID)
		}
		return out
	}
	expect := func(when string, want ...int64) {
		t.Helper()
		if diff := cmp.Diff(want, ids()); diff != "" {
			t.Errorf("%s: %s", when, diff)
		}
	}
	expect("the first two have decisions in force", 12, 11, 10, 2, 1)
	if _, ok := d.Incident("incident 5"); ok {
		t.Error("an evicted alert is still found by its incident")
	}
	_, err := d.Delete(decisions.Filter{Value: "192.0.2.0"}, "")
	must(t, err)
	must(t, d.Append(fullAlert(), nil))
	expect("without its decision the oldest goes", 13, 12, 11, 10, 2)
	d.restart()
	expect("after a restart", 13, 12, 11, 10, 2)
	d.clock.Advance(25 * time.Hour)
	d.Expire(d.clock.Now())
	expect("a day later", 2)
	must(t, d.Flush(context.Background()))
	n := 0
	must(t, d.db.Each("alerts", "", func(string, []byte) error { n++; return nil }))
	if n != 1 {
		t.Errorf("%d alerts on disk", n)
	}
}

func TestAlertFollowsItsDecision(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{MaxAlerts: 1})
	for range 3 {
		must(t, d.Append(fullAlert(), []decisions.Decision{{Value: "192.0.2.1", Type: "ban", Until: d.clock.Now().Add(time.Hour)}}))
		d.clock.Advance(time.Minute)
	}
	got := d.Alerts(decisions.AlertFilter{Decided: true})
	if len(got) != 1 || got[0].ID != 3 || d.Stats().Alerts != 1 {
		t.Errorf("%d alerts, decided: %+v", d.Stats().Alerts, got)
	}
}

func TestAlertFilters(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	for i, v := range []string{"192.0.2.1", "192.0.2.0/24", "2001:db8::1", "root"} {
		a := alert([]string{"Ip", "Range", "Ip", "username"}[i], v, "")
		a.Scenario, a.Kind, a.Simulated = fmt.Sprint("s", i%2), "crowdsec", i == 2
		must(t, d.Append(a, nil))
		d.clock.Advance(time.Minute)
	}
	yes := true
	for _, tc := range []struct {
		f    decisions.AlertFilter
		want []int64
	}{
		{decisions.AlertFilter{}, []int64{4, 3, 2, 1}},
		{decisions.AlertFilter{Limit: 2}, []int64{4, 3}},
		{decisions.AlertFilter{Limit: -1, Scenario: "s0"}, []int64{3, 1}},
		{decisions.AlertFilter{Value: "::ffff:192.0.2.1"}, []int64{1}},
		{decisions.AlertFilter{Contains: addr("192.0.2.1")}, []int64{2, 1}},
		{decisions.AlertFilter{Scope: "USERNAME"}, []int64{4}},
		{decisions.AlertFilter{Simulated: &yes}, []int64{3}},
		{decisions.AlertFilter{Since: start.Add(time.Minute), Until: start.Add(3 * time.Minute)}, []int64{3, 2}},
		{decisions.AlertFilter{Kind: "waf"}, nil},
		{decisions.AlertFilter{Decided: true}, nil},
	} {
		var got []int64
		for _, a := range d.Alerts(tc.f) {
			got = append(got, a.ID)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%+v: %s", tc.f, diff)
		}
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	a := fullAlert()
	a.Events, a.EventsCount = nil, 300
	for i := range 300 {
		a.Events = append(a.Events, event.AlertEvent{Timestamp: fmt.Sprint(i), Meta: event.Meta{
			{Key: "short", Value: "v"}, {Key: "long", Value: strings.Repeat("é", 5000)},
		}})
	}
	a.Message = strings.Repeat("m", 10_000)
	original := a.Events[299].Meta[1].Value
	must(t, d.Append(a, nil))
	if len(a.Events) != 300 || a.Events[299].Meta[1].Value != original {
		t.Error("the caller's alert was changed")
	}
	got, ok := d.Alert(1)
	if !ok {
		t.Fatal("no alert")
	}
	size := 0
	for _, e := range got.Events {
		for _, m := range e.Meta {
			size += len(m.Key) + len(m.Value)
		}
	}
	if size > 64<<10 || size < 50<<10 || int(got.Kept) != len(got.Events) || got.EventsCount != 300 || len(got.Message) > 2<<10 {
		t.Errorf("%d bytes in %d events, kept %d of %d, message of %d", size, len(got.Events), got.Kept, got.EventsCount, len(got.Message))
	}
	last := got.Events[len(got.Events)-1]
	if last.Timestamp != "299" || !strings.HasSuffix(last.GetMeta("long"), "é…") || last.GetMeta("short") != "v" {
		t.Errorf("last event %q: %q", last.Timestamp, last.GetMeta("long"))
	}
	if s := d.Stats(); s.CutValues < int64(len(got.Events)) || s.DroppedEvidence != int64(300-len(got.Events)) {
		t.Errorf("stats %+v with %d events kept", s, len(got.Events))
	}
}

func TestTooManyDecisions(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{MaxDecisions: 3})
	var f journaltest.Follower
	for i := range 6 {
		d.ban(fmt.Sprintf("192.0.2.%d", i), "ban", time.Duration(10-i)*time.Minute)
	}
	f.Follow(d.Book)
	if s := d.Stats(); s.Decisions != 3 || s.EvictedDecisions != 3 || d.Set().Len() != 3 || len(f.All) != 3 {
		t.Errorf("stats %+v, %d in the set, %d followed", s, d.Set().Len(), len(f.All))
	}
	if d.action("192.0.2.0") != decisions.Ban {
		t.Error("the longest one went")
	}
	if d.action("192.0.2.5") != decisions.Ban {
		t.Error("the newest one found no place")
	}
}
