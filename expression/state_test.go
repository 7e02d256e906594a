package expression_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// counts is a DecisionCounts that reports what it was asked.
type counts struct{ asked []string }

func (c *counts) Count(value string, since time.Time) int {
	c.asked = append(c.asked, fmt.Sprintf("%s since %s", value, since.Format(time.RFC3339)))
	return 3
}

func (c *counts) Active(string) (int, time.Duration) { return 2, time.Hour }

func TestDecisionFunctions(t *testing.T) {
	c := &counts{}
	env := expression.New(expression.Options{Decisions: c, Now: func() time.Time { return noon }})
	alert := func() *expression.Vars {
		return &expression.Vars{Alert: &event.Alert{Source: &event.Source{Value: "192.0.2.1"}}}
	}
	check(t, env, alert, [][2]any{
		{`GetDecisionsCount(Alert.GetValue())`, 3},
		{`GetDecisionsSinceCount(Alert.GetValue(), '24h')`, 3},
		{`GetDecisionsSinceCount(Alert.GetValue(), '7d')`, 3},
		{`GetDecisionsSinceCount(Alert.GetValue(), '1d12h')`, 3},
		{`GetDecisionsSinceCount(Alert.GetValue(), 'soon')`, 0},
		{`GetDecisionsSinceCount(Alert.GetValue(), 'xd')`, 0},
		{`GetActiveDecisionsCount(Alert.GetValue())`, 2},
		{`GetActiveDecisionsTimeLeft(Alert.GetValue())`, time.Hour},
		{`Sprintf('%dh', (GetDecisionsCount(Alert.GetValue()) + 1) * 4)`, "16h"},
	})
	want := []string{"192.0.2.1 since 0001-01-01T00:00:00Z", "192.0.2.1 since 2024-04-09T12:00:00Z",
		"192.0.2.1 since 2024-04-03T12:00:00Z", "192.0.2.1 since 2024-04-09T00:00:00Z", "192.0.2.1 since 0001-01-01T00:00:00Z"}
	if d := cmp.Diff(want, c.asked); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	check(t, expression.New(expression.Options{}), alert, [][2]any{
		{`GetDecisionsCount('x') + GetDecisionsSinceCount('x', '1h') + GetActiveDecisionsCount('x')`, 0},
		{`GetActiveDecisionsTimeLeft('x')`, time.Duration(0)},
	})
}

func TestStash(t *testing.T) {
	now := noon
	env := expression.New(expression.Options{Now: func() time.Time { return now }})
	env.Stash("sessions", 2, time.Minute, "LRU")
	read := func(source string, want any) {
		t.Helper()
		check(t, env, onRequest, [][2]any{{source, want}})
	}
	read(`GetFromStash('nowhere', 'a')`, "")
	env.StashPut("nowhere", "a", "1")
	read(`GetFromStash('nowhere', 'a')`, "")
	env.StashPut("sessions", "a", "1")
	env.StashPut("sessions", "b", "2")
	env.StashPut("sessions", "c", "3")
	read(`GetFromStash('sessions', 'a')`, "") // two fit
	read(`GetFromStash('sessions', 'b')`, "2")
	now = now.Add(59 * time.Second)
	read(`GetFromStash('sessions', 'b')`, "2") // reading does not extend
	now = now.Add(time.Second)
	read(`GetFromStash('sessions', 'b')`, "")
	read(`SetInStash('sessions', 'd', '4', nil)`, nil)
	read(`SetInStash('sessions', 'e', '5', duration('2m'))`, nil)
	read(`SetInStash('sessions', 'e', '5', 'soon')`, failure("SetInStash: argument 4 is text"))
	now = now.Add(time.Minute)
	read(`GetFromStash('sessions', 'd') + GetFromStash('sessions', 'e')`, "5")
}

// TestInheritedStashes: what was kept under the items of before is there under those
// of after, where the stash is the same.
func TestInheritedStashes(t *testing.T) {
	open := func(ttl time.Duration) *expression.Env {
		env := expression.New(expression.Options{})
		env.Stash("same", 2, time.Minute, "LRU")
		env.Stash("changed", 2, ttl, "LRU")
		return env
	}
	before, after := open(time.Minute), open(time.Hour)
	for _, name := range []string{"same", "changed", "gone"} {
		before.StashPut(name, "a", "1")
	}
	after.Inherit(before)
	check(t, after, onRequest, [][2]any{
		{`GetFromStash('same', 'a')`, "1"}, {`GetFromStash('changed', 'a')`, ""}, {`GetFromStash('gone', 'a')`, ""},
	})
	after.StashPut("same", "b", "2")
	check(t, before, onRequest, [][2]any{{`GetFromStash('same', 'b')`, "2"}}) // which may still be in use
}
