package decisions_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/journaltest"
)

// TestAdoptBelievesNothing: what a fleet says has to be what could be decided here.
func TestAdoptBelievesNothing(t *testing.T) {
	d := shared(t, 1, decisions.BookOptions{}, decisions.ShareOptions{})
	d.allow.SetBuiltin(decisions.KindHost, []netip.Prefix{prefix("203.0.113.1/32")})
	d.Grant(1000, 1999, 1000, 1999)
	const own = 1<<39 + 1<<20
	made := func(id int64, scope, value, typ string, left time.Duration) decisions.Op {
		op := d.foreignBan(id, value, left)
		op.Decisions[0].Scope, op.Decisions[0].Type = scope, typ
		return op
	}
	for name, tc := range map[string]struct {
		op   decisions.Op
		want error // nil: any
	}{
		"too wide":                   {made(1, "Range", "10.0.0.0/7", "ban", time.Hour), decisions.ErrTooWide},
		"everything":                 {made(1, "Range", "::/0", "ban", time.Hour), decisions.ErrTooWide},
		"mapped and too wide":        {made(1, "Range", "::ffff:0.0.0.0/96", "ban", time.Hour), decisions.ErrTooWide},
		"no address":                 {made(1, "Ip", "x", "ban", time.Hour), nil},
		"no type":                    {made(1, "Ip", "192.0.2.1", "", time.Hour), nil},
		"long type":                  {made(1, "Ip", "192.0.2.1", strings.Repeat("b", 65), time.Hour), nil},
		"control characters":         {made(1, "user", "a\nb", "ban", time.Hour), nil},
		"long value":                 {made(1, "user", strings.Repeat("b", 513), "ban", time.Hour), nil},
		"id 0":                       {made(0, "Ip", "192.0.2.1", "ban", time.Hour), decisions.ErrForeignID},
		"negative id":                {made(-1, "Ip", "192.0.2.1", "ban", time.Hour), decisions.ErrForeignID},
		"id beyond the minter":       {made(1<<40, "Ip", "192.0.2.1", "ban", time.Hour), decisions.ErrForeignID},
		"id of a list":               {made(1<<38+5, "Ip", "192.0.2.1", "ban", time.Hour), decisions.ErrForeignID},
		"granted to this node":       {made(1500, "Ip", "192.0.2.1", "ban", time.Hour), decisions.ErrForeignID},
		"of its emergency block":     {made(own+5000, "Ip", "192.0.2.1", "ban", time.Hour), decisions.ErrForeignID},
		"set aside of it":            {made(own+1, "Ip", "192.0.2.1", "ban", time.Hour), decisions.ErrForeignID},
		"alert granted to this node": {decisions.Op{Kind: decisions.OpAppend, Alert: &event.Alert{ID: 1500, UUID: "u"}}, decisions.ErrForeignID},
		"alert without a name":       {decisions.Op{Kind: decisions.OpAppend, Alert: &event.Alert{ID: 1}}, nil},
		"alert without an id":        {decisions.Op{Kind: decisions.OpAppend, Alert: &event.Alert{UUID: "u"}}, decisions.ErrForeignID},
		"no kind":                    {decisions.Op{}, decisions.ErrBadOp},
		"nothing":                    {decisions.Op{Kind: decisions.OpAppend}, decisions.ErrBadOp},
	} {
		before := d.Stats().RefusedOps
		errs := d.adopt(tc.op)
		if len(errs) != 1 || tc.want != nil && !errors.Is(errs[0], tc.want) || d.Stats().RefusedOps != before+1 {
			t.Errorf("%s: %v", name, errs)
		}
		if s := d.Stats(); s.Decisions != 0 || s.Alerts != 0 {
			t.Fatalf("%s: %+v", name, s)
		}
	}
	if errs := d.adopt(made(1, "Ip", "192.0.2.1", "ban", 0), made(2, "Ip", "192.0.2.1", "ban", -time.Hour)); errs != nil || d.Stats().Decisions != 0 {
		t.Errorf("over: %v, %+v", errs, d.Stats())
	}
	var cursor int64
	d.adopt(made(1, "Ip", "127.0.0.1", "ban", time.Hour), made(2, "Ip", "203.0.113.1", "ban", time.Hour), made(3, "Ip", "::ffff:127.0.0.2", "ban", time.Hour))
	for _, x := range d.List(decisions.Filter{}) {
		if !x.Suppressed {
			t.Errorf("against an allowed address: %+v", x)
		}
	}
	d.expectChanges("against allowed addresses", &cursor)
	if d.Set().Len() != 0 || d.Stats().Suppressed != 3 {
		t.Errorf("%d in the set, stats %+v", d.Set().Len(), d.Stats())
	}
}

// TestAdoptBoundsTexts: what is long is cut, for memory and disk have bounds.
func TestAdoptBoundsTexts(t *testing.T) {
	d := shared(t, 1, decisions.BookOptions{}, decisions.ShareOptions{})
	long := strings.Repeat("é", 100_000)
	op := d.foreignBan(1, "192.0.2.1", time.Hour)
	x := &op.Decisions[0]
	x.UUID, x.Origin, x.Scenario, x.Host, x.IncidentID = long, long, long+"\x01", long, long
	a := fullAlert()
	a.ID, a.UUID = 7, "u"
	a.MachineID, a.Scenario, a.Message, a.Site, a.Kind, a.StartAt, a.IncidentID = long, long, long, long, long, long, long
	a.Source.AsName, a.Source.Value = long, long
	for range 5000 {
		a.Labels = append(a.Labels, long[:200])
		a.Decisions = append(a.Decisions, event.AlertDecision{Value: long[:2000]})
		a.Events = append(a.Events, event.AlertEvent{Timestamp: long[:2000], Meta: event.Meta{{Key: "k", Value: long[:2000]}}})
	}
	op.Alert = a
	if errs := d.adopt(op); errs != nil {
		t.Fatal(errs)
	}
	got := d.List(decisions.Filter{})[0]
	if size := len(got.UUID) + len(got.Origin) + len(got.Scenario) + len(got.Host) + len(got.IncidentID); size > 4*512+64 {
		t.Errorf("%d bytes of texts", size)
	}
	kept, ok := d.Alert(7)
	text, err := json.Marshal(kept)
	must(t, err)
	if !ok || len(text) > 512<<10 || len(a.Labels) != 5000 || a.Scenario != long {
		t.Errorf("alert of %d bytes, %d labels left with the caller", len(text), len(a.Labels))
	}
	d.adopt(decisions.Op{Kind: decisions.OpAllow, Allow: &decisions.AllowEntry{Prefix: prefix("192.0.2.0/24"), Comment: long, Author: long, Kind: "host"}})
	for _, e := range d.allow.List() {
		if e.Prefix == prefix("192.0.2.0/24") && (len(e.Comment)+len(e.Author) > 1024 || e.Kind != decisions.KindManual) {
			t.Errorf("%+v", e)
		}
	}
	if d.action("192.0.2.1") != decisions.None {
		t.Error("enforced although allowed")
	}
	must(t, d.allow.Remove(prefix("192.0.2.0/24"))) // it is an operator's
	if d.action("192.0.2.1") != decisions.Ban {
		t.Error("not enforced although no longer allowed")
	}
}

func TestAdoptTwice(t *testing.T) {
	d := shared(t, 1, decisions.BookOptions{}, decisions.ShareOptions{})
	a := fullAlert()
	a.ID, a.UUID = 7, "u"
	op := d.foreignBan(1, "192.0.2.1", time.Hour)
	op.Alert, op.Decisions[0].AlertID = a, 7
	later := d.foreignBan(1, "192.0.2.1", 2*time.Hour)
	later.Decisions[0].Created = later.Decisions[0].Created.Add(time.Second)
	batch := []decisions.Op{op, later}
	var cursor int64
	for round := range 3 {
		d.adopt(batch...)
		if got := d.List(decisions.Filter{}); len(got) != 1 || !got[0].Until.Equal(start.Add(2*time.Hour)) || d.Stats().Alerts != 1 {
			t.Fatalf("round %d: %+v", round, got)
		}
		d.changes(&cursor)
	}
	d.adopt(later, later)
	d.expectChanges("the same again", &cursor)
	// The same id with something else in it is something else.
	d.adopt(d.foreignBan(1, "192.0.2.99", time.Hour))
	if d.action("192.0.2.1") != decisions.None || d.action("192.0.2.99") != decisions.Ban {
		t.Error("the decision is not what the log says last")
	}
	d.expectChanges("another one", &cursor, "-1 192.0.2.1", "+1 192.0.2.99")
	d.adopt(d.foreignBan(1, "192.0.2.99", -time.Second))
	d.expectChanges("ended by an op that is over", &cursor, "-1 192.0.2.99")
	d.adopt(d.foreignBan(2, "192.0.2.2", time.Hour), decisions.Op{Kind: decisions.OpDelete, IDs: []int64{2, 3}})
	d.expectChanges("made and deleted", &cursor, "-2 192.0.2.2")
	d.restart()
	if n := d.Stats().Decisions; n != 0 {
		t.Errorf("%d are back", n)
	}
}

// TestAdoptKeepsTheBounds: there are no more decisions and alerts for being of others.
func TestAdoptKeepsTheBounds(t *testing.T) {
	d := shared(t, 1, decisions.BookOptions{MaxDecisions: 10, MaxAlerts: 5}, decisions.ShareOptions{})
	for i := range 200 {
		op := d.foreignBan(int64(i+1), fmt.Sprintf("192.0.2.%d", i), time.Duration(i*37%200+1)*time.Minute)
		op.Alert = fullAlert()
		op.Alert.ID, op.Alert.UUID = int64(i+1), fmt.Sprint("u", i)
		op.Alert.CreatedAt = d.clock.Now().Add(time.Duration(i*37%200) * time.Second).Format(time.RFC3339)
		if i%2 == 0 {
			op.Decisions[0].AlertID = int64(400 - i) // of an alert that comes later, or never
		}
		d.adopt(op)
	}
	var all decisions.Snapshot
	for i := range 100 {
		all.Decisions = append(all.Decisions, d.foreignBan(int64(1000+i), fmt.Sprintf("198.51.100.%d", i), time.Duration(i*37%100+300)*time.Minute).Decisions...)
	}
	check := func(when string, shortest time.Duration) {
		t.Helper()
		s := d.Stats()
		if s.Decisions != 10 || d.Set().Len() != 10 || s.Alerts > 15 {
			t.Errorf("%s: %+v, %d in the set", when, s, d.Set().Len())
		}
		for _, x := range d.List(decisions.Filter{}) {
			if x.Until.Before(start.Add(shortest)) {
				t.Errorf("%s: kept %+v, which ends before those that went", when, x)
			}
		}
	}
	check("adopted", 191*time.Minute)
	must(t, d.Reconcile(all))
	check("reconciled", 390*time.Minute)
	_, err := d.Delete(decisions.Filter{Active: true}, "")
	must(t, err)
	d.Expire(d.clock.Now())
	if s := d.Stats(); s.Alerts > 5 {
		t.Errorf("%d alerts although none has a decision", s.Alerts)
	}
}

// TestRetract: two nodes concluded one overflow.
func TestRetract(t *testing.T) {
	d := shared(t, 1, decisions.BookOptions{}, decisions.ShareOptions{})
	d.adopt(d.foreignBan(1, "192.0.2.1", time.Hour))
	before := d.Export()
	conclude := func() decisions.Op {
		t.Helper()
		a := fullAlert()
		a.UUID, a.IncidentID = "overflow", ""
		must(t, d.Append(a, []decisions.Decision{
			{Value: "192.0.2.1", Type: "ban", Origin: "test", Scenario: "s", Until: start.Add(2 * time.Hour)}, // prolongs
			{Value: "192.0.2.2", Type: "ban", Origin: "test", Scenario: "s", Until: start.Add(2 * time.Hour)},
		}))
		ops, err := d.Ops(0, 0)
		must(t, err)
		return ops[0]
	}
	expect := func(when string, want decisions.Snapshot) {
		t.Helper()
		if diff := cmp.Diff(want, d.Export()); diff != "" {
			t.Errorf("%s: %s", when, diff)
		}
		if d.HasAlert("overflow") || d.Stats().Ops != 0 {
			t.Errorf("%s: %+v", when, d.Stats())
		}
	}
	for _, restart := range []bool{false, true} {
		op := conclude()
		if n := d.Bans("192.0.2.2", start.Add(-time.Hour), start.Add(time.Hour)); n != 1 || !d.HasAlert("overflow") {
			t.Errorf("%d bans before", n)
		}
		if restart {
			d.restart()
			must(t, d.Share(1, decisions.ShareOptions{}))
		}
		d.Retract(op)
		d.Retract(op)
		expect(fmt.Sprint("taken back, restart ", restart), before)
		if n, m := d.Bans("192.0.2.2", start.Add(-time.Hour), start.Add(time.Hour)), d.Count("192.0.2.1", time.Time{}); n != 0 || m != 1 {
			t.Errorf("%d bans and %d decisions count still", n, m)
		}
		if d.action("192.0.2.2") != decisions.None {
			t.Error("enforced still")
		}
	}
	// Meanwhile the other node's arrived, about the same decision.
	op := conclude()
	theirs := d.foreignBan(1, "192.0.2.1", 90*time.Minute)
	theirs.Decisions[0].AlertID = 44
	d.adopt(theirs)
	if got := d.List(decisions.Filter{ID: 1}); !got[0].Until.Equal(start.Add(2 * time.Hour)) {
		t.Errorf("an earlier foreign op won: %+v", got)
	}
	d.restart()
	must(t, d.Share(1, decisions.ShareOptions{}))
	d.Retract(op)
	want := before
	want.Decisions = theirs.Decisions
	expect("the other node's came", want)
	// What was built upon it stays.
	op = conclude()
	made := op.Decisions[1].ID
	must(t, d.Append(nil, []decisions.Decision{{Value: "192.0.2.2", Type: "ban", Origin: "test", Scenario: "s", Until: start.Add(3 * time.Hour)}}))
	d.Retract(op)
	if got := d.List(decisions.Filter{ID: made}); len(got) != 1 || !got[0].Until.Equal(start.Add(3*time.Hour)) {
		t.Errorf("a later change went with it: %+v", got)
	}
	if n := d.Count("192.0.2.2", time.Time{}); n != 1 {
		t.Errorf("%d decisions count, want the later one", n)
	}
}

// TestRetractTheUpperOne: beneath what is taken back is another own op, which waits too.
func TestRetractTheUpperOne(t *testing.T) {
	for _, first := range []string{"prolonged", "deleted"} {
		d := shared(t, 1, decisions.BookOptions{}, decisions.ShareOptions{})
		d.adopt(d.foreignBan(1, "192.0.2.1", time.Hour))
		prolong := func(left time.Duration) {
			t.Helper()
			a := fullAlert()
			must(t, d.Append(a, []decisions.Decision{{Value: "192.0.2.1", Type: "ban", Origin: "test", Scenario: "s", Until: start.Add(left)}}))
		}
		prolong(2 * time.Hour)
		if first == "deleted" {
			_, err := d.Delete(decisions.Filter{ID: 1}, "")
			must(t, err)
			d.adopt(d.foreignBan(1, "192.0.2.1", 90*time.Minute)) // said before that, by another node
		} else {
			prolong(3 * time.Hour)
		}
		ops, err := d.Ops(0, 0)
		must(t, err)
		lower, upper := ops[0], ops[1]
		d.Retract(upper) // of deletions nothing is taken back
		want := start.Add(2 * time.Hour)
		if first == "deleted" {
			want = time.Time{}
		}
		check := func(when string, want time.Time) {
			t.Helper()
			got := d.List(decisions.Filter{ID: 1})
			if len(got) == 0 && want.IsZero() {
				return
			}
			if len(got) != 1 || !got[0].Until.Equal(want) {
				t.Errorf("%s, %s: %+v", first, when, got)
			}
		}
		check("taken back", want)
		d.adopt(d.foreignBan(1, "192.0.2.1", 4*time.Hour))
		check("an earlier foreign op came", want)
		d.Adopt(decisions.Adopted{Ops: []decisions.Op{lower}, Own: []int64{lower.Seq}})
		check("the lower one came back", want)
		if first == "prolonged" {
			d.adopt(d.foreignBan(1, "192.0.2.1", 5*time.Hour))
			check("a later foreign op came", start.Add(5*time.Hour))
		}
	}
}

// FuzzAdopt: whatever is in the log, nobody allowed is banned, nothing is wider than
// may be, and the views of the Book agree.
func FuzzAdopt(f *testing.F) {
	f.Add([]byte(`{"seq":1,"kind":"append","decisions":[{"id":1,"scope":"Ip","value":"192.0.2.1","type":"ban","created":"2026-03-01T12:00:00Z","until":"2026-03-01T13:00:00Z"}],"at":"2026-03-01T12:00:00Z"}`), int64(0))
	f.Add([]byte(`{"kind":"append","decisions":[{"id":549756862465,"scope":"Range","value":"::ffff:127.0.0.0/104","type":"BAN","until":"9999-03-01T13:00:00Z"},{"id":5,"scope":"Range","value":"0.0.0.0/1","type":"ban","until":"2027-01-01T00:00:00Z"}],"at":"2026-03-01T12:00:00Z"}`), int64(3))
	f.Add([]byte(`{"kind":"delete","ids":[1,2,-3,1099511627776],"at":"2026-03-01T12:00:00Z"}`), int64(1<<62))
	f.Add([]byte(`{"kind":"allow","allow":{"prefix":"192.0.2.0/24","kind":"host","until":"2026-03-01T12:00:01Z"},"at":"2026-03-01T12:00:00Z"}`), int64(0))
	f.Add([]byte(`{"kind":"unallow","prefix":"127.0.0.0/8","at":"2026-03-01T12:00:00Z"}`), int64(0))
	f.Add([]byte(`{"kind":"append","alert":{"id":3,"uuid":"u","events":[{"meta":[{"key":"a","value":"b"}]}],"source":null,"decisions":[{"id":1}]},"at":"0001-01-01T00:00:01Z"}`), int64(2))
	f.Fuzz(func(t *testing.T, text []byte, own int64) {
		var op decisions.Op
		if json.Unmarshal(text, &op) != nil {
			return
		}
		again, err := json.Marshal(op)
		must(t, err)
		var back decisions.Op
		if err := json.Unmarshal(again, &back); err != nil && len(again) < 2<<20 {
			t.Fatalf("an op that was read cannot be read again: %v", err)
		}
		d := shared(t, 1, decisions.BookOptions{MaxDecisions: 50, MaxAlerts: 5}, decisions.ShareOptions{})
		d.allow.SetBuiltin(decisions.KindHost, []netip.Prefix{prefix("203.0.113.1/32")})
		must(t, d.Append(fullAlert(), []decisions.Decision{{Value: "192.0.2.1", Type: "ban", Until: start.Add(time.Hour)}, {Value: "203.0.113.1", Type: "ban", Until: start.Add(time.Hour)}}))
		for range 2 {
			d.Adopt(decisions.Adopted{Ops: []decisions.Op{op, back}, Own: []int64{own, 0}, Cursor: string(text[:min(len(text), 20)])})
			sound(t, d)
		}
		_ = d.Reconcile(decisions.Snapshot{Decisions: op.Decisions, Epoch: "e", Own: own})
		sound(t, d)
		d.ban("192.0.2.200", "ban", time.Hour)
		d.Retract(op)
		sound(t, d)
		d.restart()
		sound(t, d)
	})
}

// nonsense makes ops of values that are at odds with each other and with the Book.
func nonsense(r *rand.Rand, now time.Time) decisions.Op {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	when := func() time.Time {
		return []time.Time{now, now.Add(time.Hour), now.Add(time.Minute), now.Add(-time.Hour), {}, time.Unix(1<<40, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}[r.IntN(7)]
	}
	id := func() int64 {
		return []int64{int64(r.IntN(12)), int64(r.IntN(12)), 1<<39 + 1<<20 + int64(r.IntN(8)), 1<<39 + 1<<20 + int64(r.IntN(400)), 1000 + int64(r.IntN(30)), -5, 1 << 40, 1<<63 - 1, 1<<38 + 1, 1<<39 + 2<<20 + int64(r.IntN(3))}[r.IntN(10)]
	}
	op := decisions.Op{Kind: decisions.OpKind(r.IntN(7)), At: now, By: "x", List: "l"}
	for range r.IntN(4) {
		op.Decisions = append(op.Decisions, decisions.Decision{
			ID: id(), AlertID: id(), UUID: pick("", "u", "00000000-0000-4000-8000-000000000001"), Scope: pick("Ip", "Range", "", "country", "AS", "user", "ip"),
			Value: pick("192.0.2.1", "192.0.2.2", "127.0.0.1", "203.0.113.1", "0.0.0.0/0", "192.0.2.0/24", "127.0.0.0/8", "::1", "::ffff:127.0.0.1", "2001:db8::/15", "2001:db8::1", "fe80::1%eth0", "FR", "64496", "root", "10.0.0.0/8"),
			Type:  pick("ban", "BAN", "captcha", "throttle", "none", "", " ban "), Origin: pick("", "crowdsec", "lists:x"), Scenario: pick("s", "t", strings.Repeat("s", 2000)),
			Created: when(), Until: when(), Direct: r.IntN(2) == 0, Simulated: r.IntN(5) == 0, Suppressed: r.IntN(3) == 0,
		})
	}
	for range r.IntN(3) {
		op.IDs = append(op.IDs, id())
	}
	if r.IntN(3) == 0 {
		op.Alert = &event.Alert{ID: id(), UUID: fmt.Sprint("u", r.IntN(9)), CreatedAt: when().Format(time.RFC3339), Source: &event.Source{Value: "192.0.2.1"}}
	}
	p := prefix(pick("192.0.2.0/24", "192.0.2.1/32", "127.0.0.0/8", "203.0.113.1/32", "::/0", "2001:db8::/32"))
	list, item := pick("", "default", "managed", "l", "l", strings.Repeat("l", 99), "a\nb"), pick("", "", "192.0.2.1", "127.0.0.0/8", "h.example", "https://example.org/l", "file:///x", "..")
	if r.IntN(3) == 0 {
		op.Allow = &decisions.AllowEntry{Prefix: p, Kind: "loopback", Until: when(), List: list, Item: item, ListAbout: pick("", strings.Repeat("x", 9000), "y")}
	} else if r.IntN(2) == 0 {
		op.Prefix, op.List, op.Item = p, list, item
	}
	return op
}

// TestAdoptNonsense gives a Book what a fleet gone mad might say, between changes of
// its own.
func TestAdoptNonsense(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 5))
		d := shared(t, 1, decisions.BookOptions{MaxDecisions: 50, MaxAlerts: 5}, decisions.ShareOptions{MaxOps: 30})
		host := func() { d.allow.SetBuiltin(decisions.KindHost, []netip.Prefix{prefix("203.0.113.1/32")}) }
		host()
		d.Grant(1000, 1020, 1000, 1020)
		for step := range 1200 {
			now := d.clock.Now()
			batch := decisions.Adopted{Cursor: fmt.Sprintf("%d-%d", 1+step/3, r.IntN(4))}
			for range r.IntN(6) {
				batch.Ops = append(batch.Ops, nonsense(r, now))
				batch.Own = append(batch.Own, []int64{0, 0, 0, now.UnixMicro() - r.Int64N(1000), 1 << 62}[r.IntN(5)])
			}
			d.Adopt(batch)
			switch r.IntN(12) {
			case 0:
				_ = d.Reconcile(decisions.Snapshot{Decisions: nonsense(r, now).Decisions, Epoch: fmt.Sprint(r.IntN(2)), Cursor: "1-1", Own: int64(r.IntN(2)) * (now.UnixMicro() - 500)})
			case 1, 2, 3:
				must(t, d.Append(fullAlert(), []decisions.Decision{{Value: fmt.Sprintf("192.0.2.%d", r.IntN(3)), Type: "ban", Until: now.Add(time.Hour)}}))
			case 4:
				_, err := d.Delete(decisions.Filter{Value: "192.0.2.1"}, "")
				must(t, err)
			case 5:
				ops, err := d.Ops(0, 1+r.IntN(5))
				must(t, err)
				for _, op := range ops {
					if r.IntN(2) == 0 {
						d.Retract(op)
					}
					d.Sent(op.Seq)
				}
			case 6:
				if r.IntN(20) == 0 {
					d.restart()
					host()
					must(t, d.Share(1, decisions.ShareOptions{MaxOps: 30}))
				}
			}
			d.clock.Advance(time.Duration(r.IntN(100)) * time.Second)
			d.Expire(d.clock.Now())
			sound(t, d)
		}
		for _, e := range d.allow.List() { // so that compareViews knows what is allowed for how long
			if e.Kind == decisions.KindManual {
				must(t, d.allow.Remove(e.Prefix))
			}
		}
		compareViews(t, d, &journaltest.Follower{}, space{r})
	}
}

// sound fails if something is in force that may not be, or set, list, changes and
// figures do not agree.
func sound(t *testing.T, d *desk) {
	t.Helper()
	inForce := 0
	for _, x := range d.List(decisions.Filter{}) {
		p := x.Prefix()
		if d.allow.Covers(p) != x.Suppressed {
			t.Fatalf("suppressed is wrong: %+v", x)
		}
		if p.IsValid() && (p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 16) {
			t.Fatalf("too wide: %+v", x)
		}
		if x.ID < 1 || x.ID > 1<<40-1 || !x.Until.After(d.clock.Now()) {
			t.Fatalf("out of bounds: %+v", x)
		}
		if p.IsValid() && !x.Suppressed && !x.Simulated {
			inForce++
		}
	}
	if n := d.Set().Len(); n != inForce {
		t.Fatalf("%d in the set, %d listed", n, inForce)
	}
	for _, a := range []string{"127.0.0.1", "203.0.113.1", "::1", "0.0.0.0", "169.254.1.1"} {
		// The host is the node's to set, and a restart here has not.
		if v := d.Set().Lookup(addr(a)); v.Action != decisions.None && (a != "203.0.113.1" || d.allow.Contains(addr(a))) {
			t.Fatalf("%s meets %+v", a, v)
		}
	}
	for cs, at := d.Since(0, 0); len(cs) > 0; cs, at = d.Since(at, 0) {
		for _, c := range cs {
			if !c.Gone && !c.Reset && d.allow.Covers(c.Decision.Prefix()) {
				t.Fatalf("told of %+v", c)
			}
		}
	}
	if s := d.Stats(); s.Decisions > 50 || s.Damaged != 0 {
		t.Fatalf("%+v", s)
	}
}

// FuzzOp: what can be read as an op is within bounds, and says the same when written.
func FuzzOp(f *testing.F) {
	f.Add([]byte(`{"seq":1,"kind":"append","decisions":[{"id":1,"value":"192.0.2.1","type":"ban"}],"at":"2026-03-01T12:00:00Z"}`))
	f.Add([]byte(`{"seq":9,"kind":"list","list":"x","by":"y","at":"2026-03-01T12:00:00Z"}`))
	f.Add([]byte(`{"kind":"unallow","prefix":"::1/128","at":"2026-03-01T12:00:00Z"}`))
	f.Add([]byte(`{"kind":"unallow","list":"l","item":"h.example","at":"2026-03-01T12:00:00Z"}`))
	f.Add([]byte(`{"kind":"allow","allow":{"list":"l","item":"https://example.org/x","kind":"manual","list_about":"y"},"at":"2026-03-01T12:00:00Z"}`))
	f.Add([]byte(`{"kind":7}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var op decisions.Op
		if err := json.Unmarshal(text, &op); err != nil {
			return
		}
		again, err := json.Marshal(op)
		must(t, err)
		var back decisions.Op
		if len(again) > 2<<20 {
			return
		}
		must(t, json.Unmarshal(again, &back))
		if op.Seq < 0 || len(op.Decisions) > 256 || len(op.IDs) > 4096 || op.Kind < decisions.OpAppend || op.Kind > decisions.OpList || op.Kind != back.Kind || op.Seq != back.Seq || op.AllowKey() != back.AllowKey() {
			t.Fatalf("%+v came back as %+v", op, back)
		}
	})
}
