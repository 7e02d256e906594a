package decisions_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// shared opens a Book that is one of a fleet; node n has its emergency block at
// 2^39 + n·2^20.
func shared(t *testing.T, node uint64, o decisions.BookOptions, s decisions.ShareOptions) *desk {
	t.Helper()
	d := openDesk(t, o)
	must(t, d.Share(node, s))
	return d
}

// said are the ops that wait, in short, and through JSON as they go out.
func (d *desk) said() (out []string) {
	d.t.Helper()
	ops, err := d.Ops(0, 0)
	must(d.t, err)
	for _, op := range ops {
		text, err := json.Marshal(op)
		must(d.t, err)
		var back decisions.Op
		must(d.t, json.Unmarshal(text, &back))
		if diff := cmp.Diff(op, back, cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); diff != "" {
			d.t.Errorf("an op changed on its way: %s", diff)
		}
		line := op.Kind.String()
		if op.Alert != nil {
			line += " a" + fmt.Sprint(op.Alert.ID&0xfffff)
		}
		for _, x := range op.Decisions {
			line += fmt.Sprintf(" %d:%s+%s", x.ID&0xfffff, x.Value, x.Until.Sub(start))
			if x.Suppressed {
				line += "!"
			}
		}
		for _, id := range op.IDs {
			line += fmt.Sprintf(" %d", id&0xfffff)
		}
		if op.Allow != nil {
			line += " " + op.Allow.Prefix.String()
		}
		if op.Prefix.IsValid() {
			line += " " + op.Prefix.String()
		}
		out = append(out, line+op.List+op.By)
	}
	return out
}

func (d *desk) expectSaid(when string, want ...string) {
	d.t.Helper()
	if diff := cmp.Diff(want, d.said()); diff != "" {
		d.t.Errorf("%s: %s", when, diff)
	}
}

// adopt gives the Book ops of another node.
func (d *desk) adopt(ops ...decisions.Op) []error {
	for i := range ops {
		if ops[i].At.IsZero() {
			ops[i].At = d.clock.Now()
		}
	}
	return d.Adopt(decisions.Adopted{Ops: ops})
}

// foreignBan is an op of another node.
func (d *desk) foreignBan(id int64, value string, left time.Duration) decisions.Op {
	return decisions.Op{Kind: decisions.OpAppend, At: d.clock.Now(), Decisions: []decisions.Decision{{
		ID: id, UUID: fmt.Sprintf("00000000-0000-4000-8000-%012d", id), Scope: "Ip", Value: value, Type: "ban", Origin: "test", Scenario: "s",
		Created: d.clock.Now(), Until: d.clock.Now().Add(left),
	}}}
}

func TestOpsOfChanges(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{MaxDecisions: 4})
	must(t, d.Share(1, decisions.ShareOptions{}))
	wake, stop := d.Watch()
	defer stop()
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.9/32"), Until: start.Add(time.Minute)}))
	<-wake
	must(t, d.Append(fullAlert(), nil))
	<-wake
	must(t, d.Append(fullAlert(), []decisions.Decision{{Value: "192.0.2.1", Type: "ban", Scenario: "s", Until: start.Add(time.Hour)}}))
	d.ban("192.0.2.9", "ban", time.Hour)
	d.ban("192.0.2.9", "ban", 2*time.Hour)
	d.ban("192.0.2.9", "ban", time.Minute) // changes nothing
	d.expectSaid("made", "allow 192.0.2.9/32", "append a1", "append a2 1:192.0.2.1+1h0m0s", "append 2:192.0.2.9+1h0m0s", "append 2:192.0.2.9+2h0m0s")
	ops, err := d.Ops(0, 2)
	must(t, err)
	d.Sent(ops[1].Seq)
	_, err = d.Delete(decisions.Filter{Value: "192.0.2.1"}, "ann")
	must(t, err)
	d.clock.Advance(time.Minute)
	d.Expire(d.clock.Now()) // of the allowlist entry
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.8/32")}))
	must(t, d.allow.Remove(prefix("192.0.2.8/32")))
	must(t, d.ShareList("bad", "bob"))
	if errs := d.adopt(d.foreignBan(7, "192.0.2.7", time.Hour)); errs != nil {
		t.Error(errs)
	}
	rest := []string{"append a2 1:192.0.2.1+1h0m0s", "append 2:192.0.2.9+1h0m0s", "append 2:192.0.2.9+2h0m0s", "delete 1ann",
		"allow 192.0.2.8/32", "unallow 192.0.2.8/32", "listbadbob"}
	d.expectSaid("ended and others", rest...)
	d.restart()
	must(t, d.Share(1, decisions.ShareOptions{}))
	d.expectSaid("shared again", rest...)
	d.ban("192.0.2.3", "ban", 5*time.Minute)
	d.ban("192.0.2.4", "ban", 5*time.Minute)
	d.ban("192.0.2.5", "ban", 5*time.Minute) // one of them has to go
	d.expectSaid("evicted", append(rest, "append 3:192.0.2.3+6m0s", "append 4:192.0.2.4+6m0s", "append 5:192.0.2.5+6m0s")...)
	ops, err = d.Ops(0, 0)
	must(t, err)
	if !slices.IsSortedFunc(ops, func(a, b decisions.Op) int { return int(a.Seq - b.Seq) }) {
		t.Error("not in order")
	}
	if s := d.Stats(); s.EvictedDecisions != 1 || s.Ops != 12 || d.Incomplete() {
		t.Errorf("%+v", s)
	}
}

// TestLargeChangesAreSeveralOps: an op has a bound, a change has none.
func TestLargeChangesAreSeveralOps(t *testing.T) {
	d := shared(t, 1, decisions.BookOptions{}, decisions.ShareOptions{})
	ds := make([]decisions.Decision, 1500)
	for i := range ds {
		ds[i] = decisions.Decision{Value: fmt.Sprintf("10.0.%d.%d", i/250, i%250), Type: "ban", Scenario: strings.Repeat("é<\x01", 3000), Until: start.Add(time.Hour)}
	}
	must(t, d.Append(fullAlert(), ds))
	_, err := d.Delete(decisions.Filter{Active: true}, strings.Repeat("x", 5000))
	must(t, err)
	ops, err := d.Ops(0, 0)
	must(t, err)
	met := map[int64]int{}
	for i, op := range ops {
		text, err := json.Marshal(op)
		must(t, err)
		must(t, json.Unmarshal(text, &op))
		if (op.Alert != nil) != (i == 0) {
			t.Errorf("op %d has alert %v", i, op.Alert)
		}
		for _, x := range op.Decisions {
			met[x.ID]++
		}
		for _, id := range op.IDs {
			met[id] += 10
		}
	}
	for id, n := range met {
		if n != 11 {
			t.Fatalf("decision %d: %d", id, n)
		}
	}
	if len(met) != 1500 {
		t.Errorf("%d decisions told", len(met))
	}
}

func TestOpsAreBounded(t *testing.T) {
	for name, o := range map[string]decisions.ShareOptions{"number": {MaxOps: 5}, "bytes": {MaxBytes: 5 * 330}} {
		t.Run(name, func(t *testing.T) {
			d := shared(t, 1, decisions.BookOptions{}, o)
			for i := range 20 {
				d.clock.Advance(time.Minute)
				d.ban(fmt.Sprintf("192.0.2.%d", i), "ban", 10*time.Hour)
			}
			kept := d.said()
			s := d.Stats()
			if len(kept) > 6 || len(kept) < 4 || s.Ops != len(kept) || int(s.DroppedOps) != 20-len(kept) || !d.Incomplete() {
				t.Fatalf("%d kept, stats %+v", len(kept), s)
			}
			d.restart()
			must(t, d.Share(1, o))
			d.expectSaid("restarted", kept...)
			if !d.Incomplete() {
				t.Error("forgotten that ops were dropped")
			}
			// What the fleet never heard of stays and is told again; what it had before goes.
			other := d.foreignBan(77, "192.0.2.77", time.Hour).Decisions
			must(t, d.Reconcile(decisions.Snapshot{Epoch: "e", Cursor: "1-1", Decisions: other}))
			if n := len(d.List(decisions.Filter{})); n != 21 {
				t.Errorf("%d decisions", n)
			}
			told := map[int64]bool{}
			for range 100 {
				ops, err := d.Ops(0, 0)
				must(t, err)
				for _, op := range ops {
					for _, x := range op.Decisions {
						told[x.ID] = true
					}
				}
				if len(ops) > 0 {
					d.Sent(ops[len(ops)-1].Seq)
				}
				if !d.Incomplete() {
					break
				}
				all := d.Export() // as if the fleet had got what was told
				all.Decisions = slices.DeleteFunc(all.Decisions, func(x decisions.Decision) bool {
					return !told[x.ID] && x.ID != 77
				})
				all.Own = ops[len(ops)-1].Seq
				must(t, d.Reconcile(all))
			}
			if len(told) != 20 || len(d.List(decisions.Filter{})) != 21 {
				t.Errorf("%d told, %d there", len(told), len(d.List(decisions.Filter{})))
			}
		})
	}
}

func TestReconcileTakesOver(t *testing.T) {
	d := shared(t, 1, decisions.BookOptions{}, decisions.ShareOptions{})
	d.ban("192.0.2.1", "ban", time.Hour) // goes: it was sent, and the fleet has it no more
	must(t, d.Append(fullAlert(), nil))
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.66/32")}))
	ops, err := d.Ops(0, 0)
	must(t, err)
	for i, op := range ops {
		d.Sent(op.Seq)
		d.Adopt(decisions.Adopted{Ops: []decisions.Op{op}, Own: []int64{op.Seq}, Cursor: fmt.Sprintf("5-%d", i)})
	}
	mine := d.ban("192.0.2.2", "ban", time.Hour) // stays: it waits
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.67/32")}))
	a := *fullAlert()
	a.ID, a.UUID = 44, "of the fleet"
	all := decisions.Snapshot{Epoch: "e2", Cursor: "9-9", Decisions: d.foreignBan(3, "192.0.2.3", time.Hour).Decisions, Alerts: []event.Alert{a},
		Allow: []decisions.AllowEntry{{Prefix: prefix("192.0.2.68/32"), Kind: "host"}, {}}}
	if err := d.Reconcile(all); err == nil || !strings.Contains(err.Error(), "allowlist entry: expected an address") {
		t.Errorf("got %v", err)
	}
	check := func(when string) {
		t.Helper()
		got := d.List(decisions.Filter{})
		if len(got) != 2 || got[0].ID != mine.ID || got[1].ID != 3 {
			t.Errorf("%s: decisions %+v", when, got)
		}
		if l := d.Alerts(decisions.AlertFilter{}); len(l) != 1 || l[0].ID != 44 || !d.HasAlert("of the fleet") || d.HasAlert(fullAlert().UUID) {
			t.Errorf("%s: alerts %+v", when, l)
		}
		var allowed []string
		for _, e := range d.allow.List() {
			if e.Kind == decisions.KindManual {
				allowed = append(allowed, e.Prefix.String())
			}
		}
		if diff := cmp.Diff([]string{"192.0.2.67/32", "192.0.2.68/32"}, allowed); diff != "" {
			t.Errorf("%s: %s", when, diff)
		}
		if epoch, cursor := d.Position(); epoch != "e2" || cursor != "9-9" {
			t.Errorf("%s: at %s %s", when, epoch, cursor)
		}
		if n := d.Count("192.0.2.3", time.Time{}); n != 1 {
			t.Errorf("%s: %d decisions were made for the fleet's", when, n)
		}
	}
	check("at once")
	d.restart()
	check("after a restart")
}

// TestTellAgainWhatIsEvicted: alerts that are to be told again may find no place beside
// the fleet's, which are newer.
func TestTellAgainWhatIsEvicted(t *testing.T) {
	d := shared(t, 1, decisions.BookOptions{MaxAlerts: 5}, decisions.ShareOptions{MaxOps: 1})
	for i := range 5 {
		a := fullAlert()
		a.UUID = fmt.Sprint("own ", i)
		must(t, d.Append(a, nil))
	}
	d.clock.Advance(time.Hour)
	if !d.Incomplete() {
		t.Fatal("no op was dropped")
	}
	all := decisions.Snapshot{Epoch: "e", Cursor: "1-1"}
	for i := range 20 {
		a := *fullAlert()
		a.ID, a.UUID, a.CreatedAt = int64(i+1), fmt.Sprint("of the fleet ", i), d.clock.Now().Format(time.RFC3339)
		all.Alerts = append(all.Alerts, a)
	}
	must(t, d.Reconcile(all))
	d.expectSaid("evicted ones are not told again", "append a5") // its op was there still
	if s := d.Stats(); s.Alerts != 5 || d.Incomplete() {
		t.Errorf("%+v", s)
	}
}

// TestShareMovesWhatThereIs takes a node from embedded storage into a fleet.
func TestShareMovesWhatThereIs(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	minter := decisions.NewMinter(make([]byte, 32))
	a := fullAlert()
	must(t, d.Append(a, []decisions.Decision{{Value: "192.0.2.1", Type: "ban", Scenario: "s", Until: start.Add(time.Hour)}}))
	over := fullAlert()
	over.IncidentID = "over"
	must(t, d.Append(over, []decisions.Decision{{Value: "192.0.2.2", Type: "ban", Scenario: "s", Until: start.Add(time.Minute)}}))
	shown := minter.Mint(d.clock.Now(), 2) // to a visitor, because of decision 2
	must(t, d.Append(nil, []decisions.Decision{{Scope: "Country", Value: "FR", Type: "captcha", Until: start.Add(time.Hour)}}))
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("198.51.100.0/24"), Comment: "office"}))
	before, alerts := d.List(decisions.Filter{}), d.Alerts(decisions.AlertFilter{})
	d.clock.Advance(2 * time.Minute)
	d.Expire(d.clock.Now())
	must(t, d.Share(5, decisions.ShareOptions{}))
	const block = 1<<39 + 5<<20
	want := []string{"append a1 1:192.0.2.1+1h0m0s", "append a2", "allow 198.51.100.0/24", "append 3:FR+1h0m0s"}
	check := func(when string) {
		t.Helper()
		d.expectSaid(when, want...)
		got := d.List(decisions.Filter{})
		if len(got) != 2 || got[1].ID != block+1 || got[0].ID != block+3 || got[1].AlertID != block+1 || got[1].UUID != before[2].UUID {
			t.Fatalf("%s: %+v", when, got)
		}
		if l := d.Alerts(decisions.AlertFilter{}); len(l) != 2 || l[1].ID != block+1 || l[1].UUID != alerts[1].UUID || l[1].Decisions[0].ID != block+1 {
			t.Errorf("%s: %+v", when, l)
		}
		if v := d.Set().Lookup(addr("192.0.2.1")); v.ID != block+1 {
			t.Errorf("%s: looked up %+v", when, v)
		}
		// The fleet's decision 2 is another one.
		if errs := d.adopt(d.foreignBan(2, "203.0.113.2", time.Hour)); errs != nil {
			t.Error(errs)
		}
		at, id, ok := minter.Open(shown)
		found, ok2 := d.Decided(id, at.Add(time.Second))
		if !ok || !ok2 || found.IncidentID != "over" {
			t.Errorf("%s: the old incident is of %+v", when, found)
		}
		if l := d.List(decisions.Filter{ID: 1}); len(l) != 1 || l[0].Value != "192.0.2.1" {
			t.Errorf("%s: decision 1 is %+v", when, l)
		}
		if a, ok := d.Incident("INC"); !ok || a.ID != block+1 {
			t.Errorf("%s: incident of %+v", when, a)
		}
		d.Adopt(decisions.Adopted{Ops: []decisions.Op{{Kind: decisions.OpDelete, IDs: []int64{2}, At: start}}})
	}
	check("joined")
	for cs, at := d.Since(0, 0); len(cs) > 0; cs, at = d.Since(at, 0) {
		for _, c := range cs {
			if c.Gone && c.Decision.ID != 2 || c.Decision.ID == 1 || c.Decision.ID == 3 {
				t.Errorf("somebody is told of %+v", c)
			}
		}
	}
	d.restart()
	must(t, d.Share(5, decisions.ShareOptions{}))
	check("restarted")
	if x := d.ban("192.0.2.50", "ban", time.Hour); x.ID <= block+3 || x.ID >= block+1<<20 {
		t.Errorf("the next one has id %d", x.ID)
	}
	if diff := cmp.Diff(before[0].Created, d.List(decisions.Filter{Scope: "Country"})[0].Created); diff != "" {
		t.Error(diff)
	}
}

// TestAloneForAWhile: what a node did without its fleet the fleet hears of when it
// comes back.
func TestAloneForAWhile(t *testing.T) {
	d := shared(t, 5, decisions.BookOptions{}, decisions.ShareOptions{})
	must(t, d.Reconcile(decisions.Snapshot{Epoch: "e", Cursor: "1-0"}))
	d.Grant(101, 2000, 101, 2000)
	for range 300 { // of the emergency block, then granted ones
		d.ban(fmt.Sprintf("192.0.2.%d", len(d.List(decisions.Filter{}))%250), fmt.Sprint("t", len(d.List(decisions.Filter{}))), time.Hour)
	}
	d.restart()
	d.ban("192.0.2.77", "ban", time.Hour)
	if ops, err := d.Ops(0, 0); err != nil || len(ops) != 0 {
		t.Errorf("%d ops although it is alone: %v", len(ops), err)
	}
	d.restart()
	must(t, d.Share(5, decisions.ShareOptions{}))
	if epoch, _ := d.Position(); epoch != "" {
		t.Errorf("it is in epoch %s still", epoch)
	}
	told := map[int64]string{}
	ops, err := d.Ops(0, 0)
	must(t, err)
	for _, op := range ops {
		for _, x := range op.Decisions {
			if told[x.ID] != "" || x.ID < 1<<39 {
				t.Errorf("id %d of %s and %s", x.ID, x.Value, told[x.ID])
			}
			told[x.ID] = x.Value
		}
	}
	if len(told) != 301 || len(d.List(decisions.Filter{})) != 301 || d.Set().Len() != 301 {
		t.Errorf("%d told, %d there, %d in the set", len(told), len(d.List(decisions.Filter{})), d.Set().Len())
	}
}

func TestDamagedOp(t *testing.T) {
	d := shared(t, 1, decisions.BookOptions{}, decisions.ShareOptions{})
	d.ban("192.0.2.1", "ban", time.Hour)
	d.ban("192.0.2.2", "ban", time.Hour)
	must(t, d.Flush(context.Background()))
	ops, err := d.Ops(0, 0)
	must(t, err)
	must(t, d.db.Put("ops", be64(ops[0].Seq), []byte(`{"seq":1,"kind":"append"}`)))
	d.expectSaid("the other", "append 2:192.0.2.2+1h0m0s")
	if s := d.Stats(); s.Damaged != 1 || s.DroppedOps != 1 || s.Ops != 1 || !d.Incomplete() {
		t.Errorf("%+v", s)
	}
}

func be64(v int64) string {
	return string([]byte{byte(v >> 56), byte(v >> 48), byte(v >> 40), byte(v >> 32), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

func TestClosedFleet(t *testing.T) {
	d := shared(t, 1, decisions.BookOptions{}, decisions.ShareOptions{})
	must(t, d.Book.Close())
	if errs := d.adopt(d.foreignBan(1, "192.0.2.1", time.Hour)); len(errs) != 1 || !errors.Is(errs[0], decisions.ErrClosed) {
		t.Errorf("adopt: %v", errs)
	}
	if err := d.Reconcile(decisions.Snapshot{}); !errors.Is(err, decisions.ErrClosed) {
		t.Errorf("reconcile: %v", err)
	}
	if err := d.ShareList("x", ""); !errors.Is(err, decisions.ErrClosed) {
		t.Errorf("share list: %v", err)
	}
	d.Grant(1, 2, 3, 4)
	d.Sent(1)
	d.Retract(decisions.Op{Seq: 1, Kind: decisions.OpAppend})
}
