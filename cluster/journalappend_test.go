package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// TestJournalAppendScript: what was applied is not applied again, whatever became of
// the answer, and what a node brings back never undoes anything.
func TestJournalAppendScript(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	m := newMember(t, 1, at(s.Addr()), nil)
	joined(t, m)
	now := time.Now()
	base := now.UnixMicro() + 1_000_000_000 // above what the Book has given
	d := func(id int64, hours int) decisions.Decision {
		return decisions.Decision{
			ID: id, UUID: fmt.Sprintf("66666666-6666-4666-8666-%012d", id), Scope: "Ip", Value: fmt.Sprintf("192.0.2.%d", id), Type: "ban",
			Origin: "cscli", Scenario: "test", Created: now, Until: now.Add(time.Duration(hours) * time.Hour),
		}
	}
	alert := func(id int64, uuid string) *event.Alert { return &event.Alert{ID: id, UUID: uuid, Scenario: "test"} }
	entry := &decisions.AllowEntry{Prefix: netip.MustParsePrefix("198.51.100.1/32"), Kind: decisions.KindManual, Created: now}
	steps := []struct {
		name  string
		seq   int64
		op    decisions.Op
		want  string
		grows bool // the log
	}{
		{"an alert", 1, decisions.Op{Kind: decisions.OpAppend, Alert: alert(11, "u1"), Decisions: []decisions.Decision{d(1, 1)}}, "ok", true},
		{"again", 1, decisions.Op{Kind: decisions.OpAppend, Alert: alert(11, "u1"), Decisions: []decisions.Decision{d(1, 1)}}, "done", false},
		{"the same of another node", 2, decisions.Op{Kind: decisions.OpAppend, Alert: alert(12, "u1"), Decisions: []decisions.Decision{d(2, 1)}}, "known", false},
		{"again, since the answer was lost", 2, decisions.Op{Kind: decisions.OpAppend, Alert: alert(12, "u1"), Decisions: []decisions.Decision{d(2, 1)}}, "known", false},
		{"one more", 3, decisions.Op{Kind: decisions.OpAppend, Decisions: []decisions.Decision{d(3, 2)}}, "ok", true},
		{"an earlier end brought back", 0, decisions.Op{Kind: decisions.OpAppend, Decisions: []decisions.Decision{d(3, 1)}}, "ok", false},
		{"a later end brought back", 0, decisions.Op{Kind: decisions.OpAppend, Decisions: []decisions.Decision{d(3, 3)}}, "ok", true},
		{"an earlier end, made", 4, decisions.Op{Kind: decisions.OpAppend, Decisions: []decisions.Decision{d(3, 1)}}, "ok", true},
		{"deleted", 5, decisions.Op{Kind: decisions.OpDelete, IDs: []int64{3, 99}}, "ok", true},
		{"brought back though deleted", 0, decisions.Op{Kind: decisions.OpAppend, Decisions: []decisions.Decision{d(3, 9)}}, "ok", false},
		{"an old change comes late", 4, decisions.Op{Kind: decisions.OpAppend, Decisions: []decisions.Decision{d(3, 9)}}, "done", false},
		{"made anew", 6, decisions.Op{Kind: decisions.OpAppend, Decisions: []decisions.Decision{d(3, 1)}}, "ok", true},
		{"a known alert brought back", 0, decisions.Op{Kind: decisions.OpAppend, Alert: alert(11, "u1")}, "ok", false},
		{"an unknown one", 0, decisions.Op{Kind: decisions.OpAppend, Alert: alert(14, "u4")}, "ok", true},
		{"deleted what nobody has, brought back", 0, decisions.Op{Kind: decisions.OpDelete, IDs: []int64{77}}, "ok", false},
		{"allowed", 7, decisions.Op{Kind: decisions.OpAllow, Allow: entry}, "ok", true},
		{"brought back", 0, decisions.Op{Kind: decisions.OpAllow, Allow: entry}, "ok", false},
		{"no longer", 8, decisions.Op{Kind: decisions.OpUnallow, Prefix: entry.Prefix}, "ok", true},
		{"brought back though removed", 0, decisions.Op{Kind: decisions.OpAllow, Allow: entry}, "ok", false},
	}
	for _, step := range steps {
		before := s.Do("XLEN", m.j.keys.log).(int64)
		step.op.At = now
		seq := step.seq
		if seq > 0 {
			seq += base
		}
		args, err := encodeOp(&step.op, seq)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.j.runAppend(t.Context(), args)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff([]string{step.want}, got); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
		if grew := s.Do("XLEN", m.j.keys.log).(int64) > before; grew != step.grows {
			t.Errorf("%s: the log grew: %v", step.name, grew)
		}
	}
	for key, want := range map[string]int64{m.j.keys.d: 2, m.j.keys.a: 2, m.j.keys.uuid: 2, m.j.keys.w: 0} {
		if n := s.Do("HLEN", key); n != want {
			t.Errorf("%s has %v, want %d", key, n, want)
		}
	}
	// Another state than the one joined takes nothing.
	s.Do("HSET", m.j.keys.m, "epoch", "another")
	if _, err := m.j.runAppend(t.Context(), nil); !errors.Is(err, errPlace) {
		t.Errorf("got %v", err)
	}
}

// FuzzJournalEntry holds decoding to: no panic, and an op only of what is one.
func FuzzJournalEntry(f *testing.F) {
	f.Add(`{"seq":1,"kind":"append","at":"2026-01-02T03:04:05Z"}`, `{"id":3}`, `[{"id":1}]`)
	f.Add(`{"seq":1,"kind":"delete","ids":[5],"at":"2026-01-02T03:04:05Z"}`, "", "[]")
	f.Add(`{}`, "}", `],"kind":"list"`)
	f.Fuzz(func(t *testing.T, op, alert, list string) {
		e, err := decodeEntry(entryOf(op, alert, list))
		if err == nil && e.op.Kind == decisions.OpAppend && e.op.Alert == nil && len(e.op.Decisions) == 0 {
			t.Errorf("an append of nothing from %q %q %q", op, alert, list)
		}
	})
}

func entryOf(op, alert, list string) *redis.XMessage {
	return &redis.XMessage{ID: "1-1", Values: map[string]any{"o": op, "a": alert, "d": list}}
}
