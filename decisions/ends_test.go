package decisions_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

// at has the time of the tests' clock that a change has, and its decision's end.
func at(cs []decisions.Change) (out []string) {
	for _, c := range cs {
		sign, shade := "+", ""
		if c.Gone {
			sign = "-"
		}
		if c.Reset {
			sign = "reset"
		}
		if c.Shadowed {
			shade = " shadowed"
		}
		out = append(out, fmt.Sprintf("%s%d at %s until %s%s", sign, c.Decision.ID, c.At.Sub(start), c.Decision.Until.Sub(start), shade))
	}
	return out
}

// since expects what the journal has to tell since so long after the start of the tests.
func (d *desk) since(when string, after time.Duration, want ...string) {
	d.t.Helper()
	cs, _ := d.Since(d.CursorAt(start.Add(after)), 0)
	if diff := cmp.Diff(want, at(cs)); diff != "" {
		d.t.Errorf("%s: %s", when, diff)
	}
}

// TestEndsAreRemembered: those of before a restart too, and those that came while the
// process was down, for a day.
func TestEndsAreRemembered(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{MaxDecisions: 4})
	d.clock.Advance(time.Minute)
	d.ban("192.0.2.1", "ban", time.Hour)
	d.ban("192.0.2.2", "ban", time.Minute)
	d.ban("192.0.2.3", "ban", 2*time.Hour)
	d.ban("192.0.2.4", "ban", 3*time.Hour)
	d.clock.Advance(time.Minute)
	got, err := d.Delete(decisions.Filter{ID: 1}, "test")
	must(t, err)
	if len(got) != 1 || !got[0].Until.Equal(start.Add(61*time.Minute)) {
		t.Errorf("what is deleted is returned as %+v, want it as it was", got)
	}
	d.clock.Advance(time.Second)
	d.Expire(d.clock.Now())
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.4/32")}))
	want := []string{"-1 at 2m0s until 2m0s", "-2 at 2m1s until 2m0s", "-4 at 2m1s until 2m1s"}
	d.since("before the restart", 2*time.Minute, want...)
	d.restart()
	d.since("after it", 2*time.Minute, want...)
	if cs, _ := d.Since(d.CursorAt(start.Add(2*time.Minute)), 1); !cs[0].Due.Equal(start.Add(61 * time.Minute)) {
		t.Errorf("what was deleted was to end at %s", cs[0].Due)
	}
	d.since("since later", 2*time.Minute+time.Second, want[1:]...)
	d.since("since what is still in force", time.Minute, append([]string{"+3 at 1m0s until 2h1m0s"}, want...)...)
	d.since("nothing new", 3*time.Minute)
	d.since("since before anything is known", -time.Hour, append([]string{"reset0 at " + (time.Time{}).Sub(start).String() + " until " + (time.Time{}).Sub(start).String(),
		"+3 at 1m0s until 2h1m0s"}, want...)...)

	d.close()
	d.clock.Advance(3 * time.Hour)
	d.open()
	want = append(want, "-3 at 2h1m0s until 2h1m0s")
	d.since("over while nobody looked", 2*time.Minute, want...)
	d.restart()
	d.since("and known from then on", 2*time.Minute, want...)
	must(t, d.allow.Remove(prefix("192.0.2.4/32")))
	d.since("allowed until it was over", 2*time.Minute, want...)

	d.clock.Advance(21 * time.Hour)
	d.Expire(d.clock.Now())
	d.since("a day later", 2*time.Minute, want[3:]...)
	d.clock.Advance(3 * time.Hour)
	d.Expire(d.clock.Now())
	d.restart()
	d.since("another day later", 2*time.Minute)
	n := 0
	must(t, d.db.Each("ends", "", func(string, []byte) error { n++; return nil }))
	if n != 0 {
		t.Errorf("%d ends are left on disk", n)
	}
}

// TestDamagedEnd: one that cannot be understood is left alone.
func TestDamagedEnd(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	for bucket, value := range map[string]string{"ends": `{"id":7,"value":"192.0.2.9","type":"ban"}`, "liststeps": "\x01", "listtold": "x"} {
		must(t, d.db.Put(bucket, "zz", []byte(value)))
	}
	d.restart()
	if s := d.Stats(); s.Damaged != 3 {
		t.Errorf("%d damaged records, want 3", s.Damaged)
	}
}

func TestShadowed(t *testing.T) {
	d := openListed(t)
	shade := func(when string, want ...string) {
		t.Helper()
		var got []string
		cs, _ := d.Since(0, 0)
		for _, c := range cs {
			if c.Shadowed {
				got = append(got, c.Decision.Scenario)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", when, diff)
		}
	}
	add := func(x decisions.Decision) {
		t.Helper()
		must(t, d.Append(nil, []decisions.Decision{x}))
	}
	in := func(left time.Duration) time.Time { return d.clock.Now().Add(left) }
	ban := decisions.Decision{Value: "192.0.2.1", Type: "ban", Scenario: "one", Until: in(time.Hour)}
	add(ban)
	add(decisions.Decision{Value: "192.0.2.1", Type: "captcha", Scenario: "other type", Until: in(2 * time.Hour)})
	add(decisions.Decision{Value: "192.0.2.0/24", Type: "ban", Scenario: "range", Until: in(2 * time.Hour)})
	add(decisions.Decision{Value: "192.0.2.1", Type: "ban", Scenario: "simulated", Until: in(2 * time.Hour), Simulated: true})
	shade("another type, a range around, a simulated one")
	ban.Scenario = "two"
	add(ban)
	shade("as long, with a higher id", "two")
	ban.Scenario, ban.Until = "three", in(90*time.Minute)
	add(ban)
	shade("a longer one", "one", "two")
	end := func(f decisions.Filter) {
		t.Helper()
		_, err := d.Delete(f, "test")
		must(t, err)
	}
	end(decisions.Filter{Scenario: "one"})
	shade("ended while others are in force", "one", "two")
	no := false
	end(decisions.Filter{Type: "ban", Simulated: &no})
	shade("all ended")
	d.put(listHead("list"), "192.0.2.1", "198.51.100.1")
	shade("a list has the value", "simulated", "one", "two", "three")
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.1/32")}))
	shade("and the value is allowed")
	add(decisions.Decision{Value: "198.51.100.1", Type: "ban", Scenario: "short", Until: in(time.Hour)})
	add(decisions.Decision{Value: "198.51.100.1", Type: "ban", Scenario: "long", Until: in(48 * time.Hour)})
	shade("a list lasts longer than the one, not than the other", "short")
}
