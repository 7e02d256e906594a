package decisions_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/store"
)

// record appends an alert against a value, with a decision that lasts for left, or
// without one.
func (d *desk) record(value string, left time.Duration) *event.Alert {
	d.t.Helper()
	a := alert("Ip", value, "")
	a.UUID = ""
	var ds []decisions.Decision
	if left > 0 {
		ds = []decisions.Decision{{Value: value, Type: "ban", Origin: "crowdsec", Scenario: a.Scenario, Until: d.clock.Now().Add(left)}}
	}
	must(d.t, d.Append(a, ds))
	return a
}

// onDisk is how many alerts there are in the database, and their bytes.
func (d *desk) onDisk() (n int, bytes int64) {
	d.t.Helper()
	must(d.t, d.Flush(d.t.Context()))
	must(d.t, d.db.Each("alerts", "", func(_ string, value []byte) error {
		n, bytes = n+1, bytes+int64(len(value))
		return nil
	}))
	return n, bytes
}

// TestDeleteAlerts: the decisions end and are announced; what a later alert prolonged
// is that alert's.
func TestDeleteAlerts(t *testing.T) {
	d := shared(t, 1, decisions.BookOptions{}, decisions.ShareOptions{})
	first := d.record("192.0.2.1", time.Hour)
	d.clock.Advance(time.Minute)
	second := d.record("192.0.2.1", 2*time.Hour)
	other := d.record("192.0.2.2", time.Hour)
	cursor := d.Cursor()
	n, ended, err := d.DeleteAlerts(decisions.AlertFilter{IDs: []int64{first.ID, 99}}, "me")
	if n != 1 || len(ended) != 0 || err != nil || d.Stats().Decisions != 2 {
		t.Errorf("deleted %d alerts and %v (%v)", n, ended, err)
	}
	n, ended, err = d.DeleteAlerts(decisions.AlertFilter{Value: "192.0.2.1"}, "me")
	if n != 1 || len(ended) != 1 || ended[0].AlertID != second.ID || err != nil {
		t.Errorf("deleted %d alerts and %v (%v)", n, ended, err)
	}
	if told, _ := d.Since(cursor, 0); len(told) != 1 || !told[0].Gone || told[0].Decision.ID != ended[0].ID {
		t.Errorf("told %+v", told)
	}
	if said := d.said(); len(said) != 4 || said[3] != fmt.Sprintf("delete %dme", ended[0].ID&0xfffff) {
		t.Errorf("said %q", said)
	}
	if _, ok := d.Alert(second.ID); ok || d.action("192.0.2.1") != decisions.None || d.action("192.0.2.2") != decisions.Ban {
		t.Error("the alert or its decision is still there, or another is not")
	}
	if n, bytes := d.onDisk(); n != 1 || bytes != d.Stats().AlertBytes {
		t.Errorf("%d alerts of %d bytes on disk, counted %d", n, bytes, d.Stats().AlertBytes)
	}
	d.restart()
	if got := d.Alerts(decisions.AlertFilter{}); len(got) != 1 || got[0].ID != other.ID || d.Stats().Decisions != 1 {
		t.Errorf("after a restart %d alerts, %d decisions", len(got), d.Stats().Decisions)
	}
	if n, _, err := d.DeleteAlerts(decisions.AlertFilter{}, "me"); n != 1 || err != nil || d.Stats().AlertBytes != 0 || len(d.AlertTally()) != 0 {
		t.Errorf("an empty filter deleted %d (%v)", n, err)
	}
}

// TestAlertBytes: above the limit the oldest go, never one with a decision in force,
// and the count is that of the disk.
func TestAlertBytes(t *testing.T) {
	const limit = 20_000
	d := openDesk(t, decisions.BookOptions{MaxAlertBytes: limit})
	held := d.record("192.0.2.1", time.Hour)
	for i := range 200 {
		a := alert("Ip", fmt.Sprint("198.51.100.", i), "")
		a.UUID, a.Message = "", strings.Repeat("x", 100+i*5)
		must(t, d.Append(a, nil))
		d.clock.Advance(time.Second)
		if n := d.Stats().AlertBytes; n > limit {
			t.Fatalf("%d bytes of %d", n, limit)
		}
	}
	check := func(when string) {
		t.Helper()
		s := d.Stats()
		if n, bytes := d.onDisk(); n != s.Alerts || bytes != s.AlertBytes || bytes < limit/2 {
			t.Errorf("%s: %d alerts of %d bytes on disk, counted %d of %d", when, n, bytes, s.Alerts, s.AlertBytes)
		}
		if _, ok := d.Alert(held.ID); !ok {
			t.Errorf("%s: the alert of a decision in force went", when)
		}
		list := d.Alerts(decisions.AlertFilter{Limit: -1, Oldest: true})
		if list[0].ID != held.ID || list[1].ID != list[len(list)-1].ID-int64(len(list)-2) {
			t.Errorf("%s: those that stay are not the latest: %d to %d of %d", when, list[1].ID, list[len(list)-1].ID, len(list))
		}
	}
	check("full")
	d.restart()
	check("after a restart")
	d.options.MaxAlertBytes = 1
	d.restart()
	if got := d.Alerts(decisions.AlertFilter{}); len(got) != 1 || got[0].ID != held.ID {
		t.Errorf("%d alerts with no place for any", len(got))
	}
	d.clock.Advance(2 * time.Hour)
	d.Expire(d.clock.Now())
	if n, _ := d.onDisk(); n != 0 || d.Stats().AlertBytes != 0 {
		t.Errorf("%d alerts after their decisions", n)
	}
}

// TestStanding: an alert as it is shown knows what became of its decisions.
func TestStanding(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	first, second, third := d.record("192.0.2.1", time.Hour), d.record("192.0.2.2", time.Hour), d.record("192.0.2.3", time.Minute)
	d.clock.Advance(30 * time.Minute)
	d.record("192.0.2.1", 2*time.Hour)
	_, err := d.Delete(decisions.Filter{Value: "192.0.2.2"}, "test")
	must(t, err)
	d.Expire(d.clock.Now())
	for _, tc := range []struct {
		a               *event.Alert
		until, duration string
	}{
		{first, "2026-03-01T14:30:00Z", "2h0m0s"},    // prolonged
		{second, "2026-03-01T12:30:00Z", "0s"},       // deleted
		{third, "2026-03-01T12:01:00Z", "-29m0s"},    // over
		{&event.Alert{Scenario: "nothing"}, "", "-"}, // led to none
	} {
		got := *tc.a
		if kept, ok := d.Alert(got.ID); ok {
			got = kept
		}
		d.Standing(&got)
		for _, x := range got.Decisions {
			if x.Until != tc.until || x.Duration != tc.duration {
				t.Errorf("%+v, want %s until %s", x, tc.duration, tc.until)
			}
		}
	}
}

// TestAlertsOfBefore: alerts that were written when less was kept of them are found
// like others.
func TestAlertsOfBefore(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	a := d.record("192.0.2.1", time.Hour)
	must(t, d.Flush(t.Context()))
	var old string
	must(t, d.db.Each("alerts", "", func(_ string, value []byte) error {
		old = string(value)
		return nil
	}))
	head, body, _ := strings.Cut(old, "\n")
	fields := map[string]any{}
	must(t, json.Unmarshal([]byte(head), &fields))
	for _, f := range []string{"start", "led", "machine"} {
		delete(fields, f)
	}
	fields["decisions"], fields["prefix"] = []int64{a.Decisions[0].ID}, "192.0.2.1/32"
	text, err := json.Marshal(fields)
	must(t, err)
	must(t, d.db.Update(func(tx *store.Tx) error {
		var key string
		if err := tx.Each("alerts", "", func(k string, _ []byte) error { key = k; return nil }); err != nil {
			return err
		}
		return tx.Put("alerts", key, []byte(string(text)+"\n"+body))
	}))
	d.restart()
	yes := true
	got := d.Alerts(decisions.AlertFilter{Prefix: prefix("192.0.2.1/32"), Origin: "crowdsec", DecisionType: "ban", InForce: &yes, StartedBefore: d.clock.Now()})
	if len(got) != 1 || d.Stats().Damaged != 0 {
		t.Fatalf("%d alerts, %d damaged", len(got), d.Stats().Damaged)
	}
	if found, ok := d.Decided(a.Decisions[0].ID, d.clock.Now().Add(time.Second)); !ok || found.ID != a.ID {
		t.Errorf("decided by %+v", found)
	}
	if diff := gocmp.Diff(a.Decisions, got[0].Decisions); diff != "" {
		t.Error(diff)
	}
}
