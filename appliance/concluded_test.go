package appliance

import (
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/scenarios"
)

// overflowed makes a client overflow the own scenario and returns what was found,
// which nobody has concluded.
func overflowed(t *testing.T, a *Appliance, client string) []*scenarios.Overflow {
	t.Helper()
	l := a.live.Load()
	for range 6 {
		ev := l.engine.Event()
		requestFields(ev, request("/x"), client, l.settings.splits())
		ev.From = event.Provenance{Inline: true, At: time.Now(), Site: "example.com", Direct: true}
		ev.Time = ev.From.At
		l.engine.Enrich(ev)
		if over := l.engine.Inline(l.state.buckets, ev); len(over) > 0 {
			return over
		}
	}
	t.Fatal("nothing overflowed")
	return nil
}

// TestConcludedForOthers: who waits for the end of an overflow is told when its alert
// is recorded, or would bring a fault to light anywhere, and not when the journal is
// closed. What comes a second time is recorded once.
func TestConcludedForOthers(t *testing.T) {
	a := open(t, member("a", "127.0.0.1:1", Config{Scenarios: []string{ownFile(t)}})) // nobody listens there
	l := a.live.Load()
	told := func(over []*scenarios.Overflow) bool {
		n, heard := 0, 0
		l.state.queue.conclude([]finished{{live: l, over: over, done: func(recorded bool) {
			if heard++; recorded {
				n++
			}
		}}})
		if heard != 1 {
			t.Errorf("told %d times", heard)
		}
		return n == 1
	}
	over := overflowed(t, a, "203.0.113.7")
	for range 2 {
		if !told(over) {
			t.Error("nobody was told of an alert that is recorded")
		}
	}
	if got := len(l.state.book.Alerts(decisions.AlertFilter{Value: "203.0.113.7"})); got != 1 || a.counters.engine.Known.Load() != 1 {
		t.Errorf("%d alerts of one overflow, %d known", got, a.counters.engine.Known.Load())
	}
	if !told([]*scenarios.Overflow{{}}) || a.counters.panics.Load() != 1 {
		t.Errorf("what panics is left to others; %d panics", a.counters.panics.Load())
	}
	last := overflowed(t, a, "203.0.113.8")
	if err := l.state.book.Close(); err != nil {
		t.Fatal(err)
	}
	if told(last) {
		t.Error("told of an alert that the journal did not take")
	}
}

// TestMinters: ids of secrets that were in force before are understood, up to a bound.
func TestMinters(t *testing.T) {
	var m minters
	now := time.Now()
	var ids []string
	for i := range maxMinters + 1 {
		m.use([]byte{byte(i), 1, 2, 3})
		ids = append(ids, m.Mint(now, int64(i)))
	}
	m.use([]byte{1, 1, 2, 3}) // back to an earlier one
	for i, id := range ids {
		_, decision, ok := m.Open(id)
		if ok != (i > 0) || ok && decision != int64(i) {
			t.Errorf("id %d: decision %d, %v", i, decision, ok)
		}
	}
	if len(m.secrets) != maxMinters {
		t.Errorf("%d secrets", len(m.secrets))
	}
}
