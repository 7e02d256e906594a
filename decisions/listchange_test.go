package decisions_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

func listChanges(cs []decisions.ListChange) (out []string) {
	values := func(sign string, ps []netip.Prefix) (s string) {
		for _, p := range ps {
			s += " " + sign + valueOf(p)
		}
		return s
	}
	for _, c := range cs {
		s := c.Name
		switch {
		case c.Reset:
			s = "reset"
		case c.List == nil:
			s += " ended"
		case c.Whole:
			s += fmt.Sprintf(" whole %d until %s", c.List.Len(), c.List.Until.Sub(start))
		}
		if c.Origin != "lists:"+c.Name && !c.Reset {
			s += " of " + c.Origin
		}
		out = append(out, s+values("+", c.Added)+values("-", c.Removed))
	}
	return out
}

func (d *desk) expectLists(when string, cursor *int64, want ...string) {
	d.t.Helper()
	cs, next := d.ListsSince(*cursor)
	*cursor = next
	if diff := cmp.Diff(want, listChanges(cs)); diff != "" {
		d.t.Errorf("%s: %s", when, diff)
	}
}

func TestListChanges(t *testing.T) {
	d := openListed(t)
	var cursor, journal int64
	d.expectLists("nothing", &cursor)
	h := listHead("one")
	h.Until = start.Add(10 * time.Minute)
	d.put(h, "192.0.2.1", "192.0.2.2", "198.51.100.0/24", "2001:db8::1")
	d.expectLists("put", &cursor, "one whole 4 until 10m0s")
	d.put(h, "192.0.2.2", "192.0.2.3", "198.51.100.0/25", "2001:db8::1")
	d.expectLists("replaced", &cursor, "one +192.0.2.3 +198.51.100.0/25 -192.0.2.1 -198.51.100.0/24")
	h.Until = start.Add(20 * time.Minute)
	d.put(h, "192.0.2.2", "192.0.2.3", "198.51.100.0/25", "2001:db8::1")
	d.expectLists("its end moves", &cursor)
	other := listHead("two")
	other.From = "CAPI"
	d.put(other, "192.0.2.2", "203.0.113.1")
	d.expectLists("another one", &cursor, "two whole 2 until 24h0m0s of CAPI")

	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.0/24")}))
	d.expectLists("allowed", &cursor, "one -192.0.2.2 -192.0.2.3", "two of CAPI -192.0.2.2")
	d.put(other, "192.0.2.2", "192.0.2.9", "203.0.113.1", "203.0.113.2")
	d.expectLists("an entry comes that is allowed", &cursor, "two of CAPI +203.0.113.2")
	d.put(other, "192.0.2.9", "203.0.113.1", "203.0.113.2")
	d.expectLists("an entry goes that is allowed", &cursor)
	must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.0/30")}))
	must(t, d.allow.Remove(prefix("192.0.2.0/24")))
	d.expectLists("less is allowed", &cursor, "two of CAPI +192.0.2.9")
	must(t, d.allow.Remove(prefix("192.0.2.0/30")))
	d.expectLists("nothing is", &cursor, "one +192.0.2.2 +192.0.2.3")

	d.clock.Advance(9*time.Minute + time.Second)
	d.Expire(d.clock.Now())
	d.expectLists("just after the end that was told first", &cursor)
	d.clock.Advance(time.Second)
	d.Expire(d.clock.Now())
	d.expectLists("a little later", &cursor, "one whole 4 until 20m0s")
	d.Expire(d.clock.Now())
	d.expectLists("once", &cursor)

	three, nine := d.ban("192.0.2.3", "ban", time.Hour), d.ban("192.0.2.9", "ban", time.Hour)
	d.changes(&journal)
	_, err := d.Delete(decisions.Filter{Value: "192.0.2.3"}, "test")
	must(t, err)
	d.expectChanges("deleted", &journal, fmt.Sprintf("-%d 192.0.2.3", three.ID))
	d.expectLists("deleted, and a list has the value", &cursor, "one +192.0.2.3")
	d.put(other, "192.0.2.2", "203.0.113.1", "203.0.113.2")
	d.expectLists("not in the list", &cursor, "two of CAPI +192.0.2.2 -192.0.2.9")
	d.expectChanges("not in the list, and decided", &journal, fmt.Sprintf("+%d 192.0.2.9", nine.ID))
	must(t, d.DropList("two"))
	d.expectLists("dropped", &cursor, "two ended of CAPI -192.0.2.2 -203.0.113.1 -203.0.113.2", "one +192.0.2.2")
	other.Type = "captcha"
	h.Type = "captcha"
	d.put(h, "192.0.2.2")
	d.expectLists("another type", &cursor, "one ended -192.0.2.2 -192.0.2.3 -198.51.100.0/25 -2001:db8::1", "one whole 1 until 20m0s")
	must(t, d.SimulateLists(func(string) bool { return true }))
	d.expectLists("simulates", &cursor, "one ended -192.0.2.2")
	must(t, d.SimulateLists(func(string) bool { return false }))
	d.expectLists("enforces again", &cursor, "one whole 1 until 20m0s")
	d.clock.Advance(20 * time.Minute)
	d.Expire(d.clock.Now())
	d.expectLists("over", &cursor, "one ended -192.0.2.2")
	cursor = 0
	d.expectLists("from the beginning", &cursor)
}

// TestListsOverARestart: whoever knows when it asked last is told what changed since.
func TestListsOverARestart(t *testing.T) {
	d := openListed(t)
	h, short := listHead("one"), listHead("short")
	short.Until = start.Add(5 * time.Minute)
	d.put(h, "192.0.2.1", "192.0.2.2")
	d.put(short, "203.0.113.1", "203.0.113.2")
	since := func(when string, after time.Duration, want ...string) {
		t.Helper()
		cursor := d.ListsCursorAt(start.Add(after))
		d.expectLists(when, &cursor, want...)
	}
	d.clock.Advance(time.Minute)
	d.put(h, "192.0.2.2", "192.0.2.3")
	d.restart()
	since("before anything is known", -time.Hour, "reset", "one whole 2 until 24h0m0s", "short whole 2 until 5m0s")
	since("before all", time.Minute, "one whole 2 until 24h0m0s", "short whole 2 until 5m0s", "one +192.0.2.3 -192.0.2.1")
	since("before the second state", 90*time.Second, "one +192.0.2.3 -192.0.2.1")
	since("after that", 2*time.Minute+time.Millisecond)
	cs, _ := d.ListsSince(0)
	if len(cs) != 2 || !cs[0].At.Equal(start.Add(2*time.Minute)) || !cs[1].At.Equal(start.Add(time.Minute)) {
		t.Errorf("from the beginning: %+v", cs)
	}
	d.close()
	d.clock.Advance(10 * time.Minute)
	d.open()
	d.allow.SetBuiltin(decisions.KindHost, prefixes("192.0.2.2"))
	since("over while nobody looked", 2*time.Minute+time.Millisecond, "short ended -203.0.113.1 -203.0.113.2", "one -192.0.2.2")
	d.restart()
	since("allowed no longer", 12*time.Minute+time.Millisecond)
	since("nothing twice", 2*time.Minute+time.Millisecond, "short ended -203.0.113.1 -203.0.113.2", "one -192.0.2.2", "one +192.0.2.2")
}

// TestListHistoryIsBounded: by a day and by entries, and on disk as well.
func TestListHistoryIsBounded(t *testing.T) {
	d := openListed(t)
	h := listHead("one")
	h.Until = start.Add(100 * time.Hour)
	d.put(h, "192.0.2.1")
	var cursor int64
	d.expectLists("put", &cursor, "one whole 1 until 100h0m0s")
	old := cursor
	d.put(h, "192.0.2.2")
	d.expectLists("replaced", &cursor, "one +192.0.2.2 -192.0.2.1")
	d.clock.Advance(25 * time.Hour)
	d.Expire(d.clock.Now())
	d.expectLists("nothing new", &cursor)
	d.expectLists("from before what is kept", &old, "reset", "one whole 1 until 100h0m0s")
	old = d.ListsCursorAt(start.Add(time.Minute))
	d.expectLists("since before what is kept", &old, "reset", "one whole 1 until 100h0m0s")
	for i := range 3 {
		var ps []netip.Prefix
		for k := range 400_000 {
			ps = append(ps, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(11 + i), byte(k >> 16), byte(k >> 8), byte(k)}), 32))
		}
		must(t, d.PutList(newList(t, h, ps)))
	}
	cs, next := d.ListsSince(cursor)
	if len(cs) == 0 || !cs[0].Reset {
		t.Errorf("more than is kept: %.200s", strings.Join(listChanges(cs), "; "))
	}
	d.expectLists("nothing new", &next)
	must(t, d.Flush(t.Context()))
	n := 0
	must(t, d.db.Each("liststeps", "", func(string, []byte) error { n++; return nil }))
	if n != 1 {
		t.Errorf("%d steps on disk, one fits", n)
	}
}

// codedBefore is a list as it was coded when there were no origins.
const codedBefore = "72626c31cbd387cf3d93be41b5d79a4afc767664d810f1fce254219fba2bcb8561c69fe7002900d6ff01780362616e017880" +
	"9494caca3380ccadf3ca33809494caca33000101828080060180c8cdb10c1800010000ffff"

// TestListOrigin: a list may have an origin of its own, and those that do not are
// coded as before there was one.
func TestListOrigin(t *testing.T) {
	plain := newList(t, listHead("x"), prefixes("192.0.2.1"))
	capi := listHead("x")
	capi.From = "CAPI"
	own := newList(t, capi, prefixes("192.0.2.1", "192.0.2.2"))
	if plain.Origin() != "lists:x" || own.Origin() != "CAPI" || plain.Hash() == own.Hash() {
		t.Errorf("origins %q and %q", plain.Origin(), own.Origin())
	}
	back, err := decisions.DecodeBlocklist(own.Encode())
	must(t, err)
	if back.From != "CAPI" || back.Hash() != own.Hash() {
		t.Errorf("coded: %+v", back.ListHead)
	}
	for _, c := range [][2]*decisions.Blocklist{{plain, own}, {own, plain}} {
		next, err := c[0].Apply(decisions.Diff(c[0], c[1]))
		must(t, err)
		if next.From != c[1].From || next.Hash() != c[1].Hash() {
			t.Errorf("patched: %+v", next.ListHead)
		}
	}
	for from, ok := range map[string]bool{"lists:x": true, "lists:y": false, "CAPI": true, "a\nb": false} {
		h := listHead("x")
		h.From = from
		l, _, err := decisions.NewBlocklist(h, nil)
		if (err == nil) != ok || ok && from == "lists:x" && l.From != "" {
			t.Errorf("origin %q: %v", from, err)
		}
	}
	old, err := hex.DecodeString(codedBefore)
	must(t, err)
	l, err := decisions.DecodeBlocklist(old)
	must(t, err)
	if diff := cmp.Diff([]string{"192.0.2.1/32", "198.51.100.0/24"}, texts(l)); diff != "" || l.From != "" || !bytes.Equal(l.Encode(), old) {
		t.Errorf("%+v: %s", l.ListHead, diff)
	}
	d := openListed(t)
	must(t, d.PutList(own))
	d.restart()
	if got := d.List(decisions.Filter{Value: "192.0.2.2"}); len(got) != 1 || got[0].Origin != "CAPI" {
		t.Errorf("in force after a restart: %+v", got)
	}
}
