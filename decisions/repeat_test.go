package decisions_test

import (
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// TestBans: bans are told from milder decisions, and remembered beyond their end
// and a restart.
func TestBans(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	start := d.clock.Now()
	d.ban("192.0.2.7", "captcha", time.Hour)
	d.clock.Advance(time.Minute)
	d.ban("192.0.2.7", "ban", time.Minute)
	d.clock.Advance(10 * time.Minute)
	d.Expire(d.clock.Now())
	d.ban("192.0.2.7", "ban", time.Minute)
	check := func(when string) {
		t.Helper()
		if n := d.Bans("192.0.2.7", start, d.clock.Now().Add(time.Hour)); n != 2 {
			t.Errorf("%s: %d bans, want 2", when, n)
		}
		if n := d.Bans("192.0.2.7", start, d.clock.Now().Add(-5*time.Second)); n != 1 {
			t.Errorf("%s: %d bans before the last, want 1", when, n)
		}
		if n := d.Bans("192.0.2.7", d.clock.Now().Add(-time.Minute), d.clock.Now().Add(-5*time.Second)); n != 0 {
			t.Errorf("%s: %d bans within the last minute before the last, want 0", when, n)
		}
	}
	check("at once")
	d.restart()
	check("after a restart")
}

// TestDecided: the alert of a decision is found when the decision is long over,
// and of several that prolonged it the one that did so before the instant asked for.
func TestDecided(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	record := func() (decisions.Decision, int64) {
		a := &event.Alert{Scenario: "s", Source: &event.Source{Scope: "Ip", Value: "192.0.2.7", IP: "192.0.2.7"}}
		ds := []decisions.Decision{{Value: "192.0.2.7", Type: "ban", Origin: "test", Scenario: "s", Until: d.clock.Now().Add(time.Hour)}}
		must(t, d.Append(a, ds))
		return ds[0], a.ID
	}
	first, one := record()
	between := d.clock.Now().Add(time.Second)
	d.clock.Advance(time.Minute)
	again, two := record()
	if first.ID != again.ID {
		t.Fatalf("decision %d became %d; the test wants it prolonged", first.ID, again.ID)
	}
	d.clock.Advance(3 * time.Hour)
	d.Expire(d.clock.Now())
	d.restart()
	for _, c := range []struct {
		until time.Time
		want  int64
	}{{between, one}, {d.clock.Now(), two}, {between.Add(-time.Hour), 0}} {
		a, ok := d.Decided(first.ID, c.until)
		if ok != (c.want != 0) || a.ID != c.want {
			t.Errorf("before %s: alert %d, want %d", c.until, a.ID, c.want)
		}
	}
}

// TestCursor: what Cursor says is where Since goes on with what comes later.
func TestCursor(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	d.ban("192.0.2.1", "ban", time.Hour)
	at := d.Cursor()
	if cs, _ := d.Since(at, 0); len(cs) != 0 {
		t.Errorf("%d changes after the cursor", len(cs))
	}
	late := d.ban("192.0.2.2", "ban", time.Hour)
	if cs, _ := d.Since(at, 0); len(cs) != 1 || cs[0].Decision.ID != late.ID {
		t.Errorf("after one more decision: %+v", cs)
	}
}
