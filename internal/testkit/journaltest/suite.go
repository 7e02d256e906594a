// Package journaltest is what every decisions.Journal has to do, embedded or shared.
// It is for tests, knows no storage, and starts nothing that outlives a test.
//
//	test of a journal ─► Run(open) ─► Append, Delete, Since ─► Follower ─► what is in force
//
// Run is for one goroutine; its cases come one after the other.
package journaltest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
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
	*testkit.Clock
	t *testing.T
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
			b := &bench{t: t, Clock: testkit.NewClock(Start())}
			b.Subject = open(t, b.Now)
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
	ds := []decisions.Decision{{Value: value, Type: typ, Origin: "test", Scenario: "s", Until: b.Now().Add(left)}}
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
