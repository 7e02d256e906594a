package decisions_test

import (
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// TestToldAgain: a decision that goes on past ends that were told before.
func TestToldAgain(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	var cursor int64
	quiet := func(when string) {
		t.Helper()
		d.Expire(d.clock.Now())
		d.expectChanges(when, &cursor)
	}
	d.ban("192.0.2.1", "ban", time.Minute)
	d.clock.Advance(10 * time.Second)
	d.ban("192.0.2.1", "ban", 2*time.Minute) // until 2m10s
	d.clock.Advance(10 * time.Second)
	d.ban("192.0.2.1", "ban", 3*time.Minute) // until 3m20s
	d.expectChanges("prolonged twice", &cursor, "+1 192.0.2.1")
	d.ban("192.0.2.1", "ban", time.Minute)
	d.expectChanges("again, to end earlier", &cursor)
	d.clock.Advance(41 * time.Second)
	quiet("the first end has just come")
	d.clock.Advance(time.Second)
	d.Expire(d.clock.Now())
	d.expectChanges("two seconds later", &cursor, "+1 192.0.2.1")
	d.since("told again", time.Minute, "+1 at 1m2s until 3m20s")
	quiet("once")
	d.restart()
	d.since("that it was is not forgotten", time.Minute, "+1 at 1m2s until 3m20s")
	cursor = d.Cursor()
	d.clock.Advance(69 * time.Second)
	quiet("before the second end")
	d.clock.Advance(time.Second)
	d.Expire(d.clock.Now())
	d.expectChanges("the second end, of before the restart", &cursor, "+1 192.0.2.1")
	d.clock.Advance(2 * time.Minute)
	d.Expire(d.clock.Now())
	d.expectChanges("its own end", &cursor, "-1 192.0.2.1")
	d.clock.Advance(time.Hour)
	quiet("later")
}

// TestManyEnds: a decision that is prolonged very often is told again some times, and
// nothing of that stays.
func TestManyEnds(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	var cursor int64
	for range 360 {
		d.ban("192.0.2.1", "ban", time.Hour)
		d.clock.Advance(10 * time.Second)
	}
	d.changes(&cursor)
	told, last := 0, d.clock.Now()
	for range 360 {
		d.Expire(d.clock.Now())
		if n := len(d.changes(&cursor)); n > 0 {
			told, last = told+n, d.clock.Now()
		}
		d.clock.Advance(10 * time.Second)
	}
	if told != 8 || d.clock.Now().Sub(last) > time.Minute { // at the end that was told before the last it is over
		t.Errorf("told %d times, the last time at %s, want seven times and its end", told, last)
	}
}

// TestSurvivors: what is left of a value when one of its decisions ends.
func TestSurvivors(t *testing.T) {
	d := openListed(t)
	var cursor int64
	one := decisions.Decision{Value: "192.0.2.1", Type: "ban", Scenario: "a", Until: d.clock.Now().Add(time.Minute)}
	two, three, simulated := one, one, one
	two.Scenario, two.Until = "b", one.Until.Add(time.Minute)
	three.Type, three.Until = "captcha", two.Until
	simulated.Simulated, simulated.Until = true, three.Until
	ds := []decisions.Decision{one, two, three, simulated, {Value: "192.0.2.0/24", Type: "ban", Until: two.Until}}
	must(t, d.Append(nil, ds))
	d.changes(&cursor)
	d.clock.Advance(time.Minute)
	d.Expire(d.clock.Now())
	d.expectChanges("one is over", &cursor, "-1 192.0.2.1", "+2 192.0.2.1", "+3 192.0.2.1")
	_, err := d.Delete(decisions.Filter{ID: 2}, "test")
	must(t, err)
	d.expectChanges("another deleted", &cursor, "-2 192.0.2.1", "+3 192.0.2.1")
	_, err = d.Delete(decisions.Filter{ID: 4}, "test")
	must(t, err)
	d.expectChanges("a simulated one deleted", &cursor, "-4 192.0.2.1")
	d.close()
	d.clock.Advance(30 * time.Second)
	d.open()
	cursor = d.Cursor()
	d.ban("192.0.2.1", "ban", time.Hour)
	d.expectChanges("a new one after a restart", &cursor, "+6 192.0.2.1")
	d.close()
	d.clock.Advance(time.Minute)
	d.open()
	d.since("one was over while nobody looked", 2*time.Minute+30*time.Second, "-3 at 3m0s until 3m0s", "-5 at 3m0s until 3m0s", "+6 at 3m30s until 1h2m30s")
}
