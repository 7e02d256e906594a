package decisions

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/store"
)

// TestNoPointers: what there is one of for each ban or alert holds no pointer, so
// that collecting garbage costs the same however many there are.
func TestNoPointers(t *testing.T) {
	for _, v := range []any{record{}, alertRecord{}, stamp{}, recent{}, logged{}, key{}, chained{}, int32(0), int64(0)} {
		if path := pointerIn(reflect.TypeOf(v)); path != "" {
			t.Errorf("%T has a pointer: %s", v, path)
		}
	}
	var x index
	var a alertIndex
	var h history
	var l changelog
	for _, v := range []any{x.byID, x.byValue, x.later, x.due.slots, a.byID, a.byIncident, a.order, a.free, h.values, h.queue, l.entries, l.over} {
		typ := reflect.TypeOf(v)
		path := pointerIn(typ.Elem())
		if typ.Kind() == reflect.Map && path == "" {
			path = pointerIn(typ.Key())
		}
		if path != "" {
			t.Errorf("%T has a pointer: %s", v, path)
		}
	}
}

func pointerIn(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if path := pointerIn(t.Field(i).Type); path != "" {
				return t.Field(i).Name + "." + path
			}
		}
	case reflect.Array:
		return pointerIn(t.Elem())
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
	default:
		return t.String()
	}
	return ""
}

// TestRecordKeepsDecisions: what is packed comes back.
func TestRecordKeepsDecisions(t *testing.T) {
	base := Decision{
		ID: 7, UUID: "123e4567-e89b-42d3-a456-426614174000", AlertID: 9, IncidentID: "01J00000000000000000000001", Scope: "Ip", Value: "192.0.2.1",
		Type: "ban", Origin: "crowdsec", Scenario: "a/b", Host: "example.com", Created: epochStart, Until: epochStart.Add(time.Hour),
	}
	with := func(change func(*Decision)) Decision { d := base; change(&d); return d }
	cases := map[string]Decision{
		"usual": base, "nothing": {Scope: "Ip", Value: "192.0.2.1", Created: epochStart, Until: epochStart},
		"flags":             with(func(d *Decision) { d.Direct, d.Simulated, d.Suppressed = true, true, true }),
		"range":             with(func(d *Decision) { d.Scope, d.Value = "Range", "10.0.0.0/8" }),
		"IPv6":              with(func(d *Decision) { d.Value = "2001:db8::1" }),
		"IPv6 range":        with(func(d *Decision) { d.Scope, d.Value = "Range", "2001:db8::/64" }),
		"mapped":            with(func(d *Decision) { d.Value = "::ffff:192.0.2.1" }),
		"country":           with(func(d *Decision) { d.Scope, d.Value = "Country", "fr" }),
		"AS":                with(func(d *Decision) { d.Scope, d.Value = "AS", "64496" }),
		"own scope":         with(func(d *Decision) { d.Scope, d.Value = "username", "root" }),
		"an address as one": with(func(d *Decision) { d.Scope, d.Value = "hostname", "192.0.2.1" }),
		"one in other form": with(func(d *Decision) { d.Scope, d.Value = "hostname", "2001:DB8::1" }),
		"short incident":    with(func(d *Decision) { d.IncidentID = "INC" }),
		"odd incident":      with(func(d *Decision) { d.IncidentID = "\x00" + strings.Repeat("x", 25) }),
		"odd uuid":          with(func(d *Decision) { d.UUID = "123E4567-e89b-42d3-a456-426614174000" }),
		"other uuid":        with(func(d *Decision) { d.UUID = "x" }),
		"zero uuid":         with(func(d *Decision) { d.UUID = "00000000-0000-0000-0000-000000000000" }),
		"dashes elsewhere":  with(func(d *Decision) { d.UUID = "123e4567e89b-42d3-a456-42661417-4000" }),
		"long ago":          with(func(d *Decision) { d.Created = time.Date(1901, 2, 3, 4, 5, 6, 7e6, time.UTC) }),
		"far away":          with(func(d *Decision) { d.Until = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }),
	}
	x := newIndex(newNames(), newKeyer())
	var id int64
	for name, d := range cases {
		p, err := normalise(&d, false)
		if d.Type == "" {
			d.Type = "ban"
			p, err = normalise(&d, false)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		id++
		d.ID = id
		r := x.add(&d, p)
		if diff := cmp.Diff(d, x.decision(r)); diff != "" || r.prefix() != p {
			t.Errorf("%s: prefix %s, want %s %s", name, r.prefix(), p, diff)
		}
		b := x.brief(r)
		b.Value, b.UUID, b.IncidentID = d.Value, d.UUID, d.IncidentID
		if diff := cmp.Diff(d, b); diff != "" {
			t.Errorf("%s: brief: %s", name, diff)
		}
		later := d
		later.AlertID, later.IncidentID, later.Host = 99, "", "other.example.com"
		x.setCause(r, &later)
		if diff := cmp.Diff(later, x.decision(r)); diff != "" {
			t.Errorf("%s: another cause: %s", name, diff)
		}
	}
	for r := range x.all() {
		x.remove(r)
		x.bury(r)
	}
	x.reap()
	if len(x.byID)+len(x.byValue)+len(x.odd)+len(x.due.slots)+len(x.names.byText)+len(x.inForce) != 0 || len(x.records.free) != len(cases) {
		t.Errorf("something is left of records that went: %d odd, %d names", len(x.odd), len(x.names.byText))
	}
}

func TestKeys(t *testing.T) {
	k := newKeyer()
	for _, text := range []string{"192.0.2.1", "10.0.0.0/8", "2001:db8::1", "2001:db8::/48", "::", "::1", "::/96", "::ffc0:0:0/90"} {
		p, _, err := parsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.of(text); got != keyOf(p) || got.prefix() != p {
			t.Errorf("%s: key %+v of %s, prefix %s", text, got, p, got.prefix())
		}
	}
	seen := map[key]string{}
	for _, text := range []string{"", "root", "FR", "64496", "192.0.2.001", "192.0.2.1/32", "2001:DB8::1", "::ffff:192.0.2.1", "10.0.0.1/8", "192.0.2.1", "10.0.0.0/8"} {
		got := k.of(text)
		if other, dup := seen[got]; dup {
			t.Errorf("%q and %q have one key", text, other)
		}
		seen[got] = text
		if isPrefix := text == "192.0.2.1" || text == "10.0.0.0/8"; got.prefix().IsValid() != isPrefix {
			t.Errorf("%q: prefix %s", text, got.prefix())
		}
	}
}

func TestNames(t *testing.T) {
	n := newNames()
	a, b := n.hold("a"), n.hold("b")
	if a == b || a == 0 || n.hold("a") != a || n.hold("") != 0 || n.text(a) != "a" || n.text(0) != "" {
		t.Fatalf("%d, %d", a, b)
	}
	n.drop(0)
	n.drop(a)
	if n.text(a) != "a" {
		t.Fatal("went while somebody held it")
	}
	n.drop(a)
	if c := n.hold("c"); c != a || n.text(c) != "c" || n.text(b) != "b" || len(n.list) != 3 {
		t.Errorf("c is %d, of %d", c, len(n.list))
	}
}

func TestSlab(t *testing.T) {
	var s slab[int]
	want := map[int32]int{}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 5 * slabSize {
		slot, item := s.take()
		if _, used := want[slot]; used || slot == 0 || *item != 0 {
			t.Fatalf("slot %d, used %v, has %d", slot, used, *item)
		}
		*item, want[slot] = i+1, i+1
		if r.IntN(3) == 0 {
			for slot := range want {
				s.give(slot)
				delete(want, slot)
				break
			}
		}
	}
	for slot, v := range want {
		if got := *s.at(slot); got != v {
			t.Fatalf("slot %d has %d, want %d", slot, got, v)
		}
	}
	if len(s.pieces)*slabSize > 5*slabSize {
		t.Errorf("%d pieces although slots were given back", len(s.pieces))
	}
}

// TestHistoryModel holds the history against lists.
func TestHistoryModel(t *testing.T) {
	type past struct {
		of  int
		at  int64
		ban bool
	}
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 8))
		h, keys := newHistory(), newKeyer()
		h.limit = 3000
		var all []past
		var now, evicted int64
		of := func(i int) key { return keys.of(fmt.Sprint("value ", i)) }
		for step := range 12_000 {
			now += int64(r.IntN(3))
			v := min(r.IntN(6), r.IntN(6)) // some values more often than others
			p := past{v, now, r.IntN(2) == 0}
			h.add(of(v), p.at, p.ban)
			all = append(all, p)
			same := 0
			for _, q := range all {
				if q.of == v {
					same++
				}
			}
			if same > maxHistoryValue {
				evicted++
			}
			if step%7 == 0 {
				since := now - int64(r.IntN(8000))
				var want int
				for len(all) > 0 && (all[0].at < since || len(all) > h.limit) {
					if all[0].at >= since {
						evicted++
					}
					all = all[1:]
					want++
				}
				if got := h.trim(since); len(got) != want {
					t.Fatalf("%d went, want %d", len(got), want)
				}
			}
			if step%50 != 0 {
				continue
			}
			v = r.IntN(7)
			var list []past
			for _, q := range all {
				if q.of == v {
					list = append(list, q)
				}
			}
			list = list[max(0, len(list)-maxHistoryValue):]
			since, until := now-int64(r.IntN(3000)), now-int64(r.IntN(1000))
			n, bans := 0, 0
			for _, q := range list {
				if q.at >= since {
					n++
					if q.ban && q.at < until {
						bans++
					}
				}
			}
			if got, gotBans := h.count(of(v), since), h.bans(of(v), since, until); got != n || gotBans != bans || h.evicted != evicted {
				t.Fatalf("step %d: %d and %d bans, want %d and %d; %d evicted, want %d", step, got, gotBans, n, bans, h.evicted, evicted)
			}
		}
	}
}

// TestIndexModel holds the chains and the heap against lists.
func TestIndexModel(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	x := newIndex(newNames(), newKeyer())
	var all []*record
	for step := range 4000 {
		switch {
		case r.IntN(5) > 1 || len(all) == 0:
			d := Decision{ID: int64(step + 1), Scope: "Ip", Value: fmt.Sprint("192.0.2.", r.IntN(20)), Type: "ban", Until: epochStart.Add(time.Duration(r.IntN(1000)) * time.Second)}
			all = append(all, x.add(&d, netip.MustParsePrefix(d.Value+"/32")))
		case r.IntN(3) == 0:
			x.extend(all[r.IntN(len(all))], epochStart.Add(time.Duration(r.IntN(1000))*time.Second))
		default:
			i := r.IntN(len(all))
			x.remove(all[i])
			x.bury(all[i])
			all = slices.Delete(all, i, i+1)
			x.reap()
		}
		if step%20 != 0 || len(all) == 0 {
			continue
		}
		k := keyOf(netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/32", r.IntN(20))))
		var want []int64
		first := all[0].until
		for _, y := range all {
			if first = min(first, y.until); y.key == k {
				want = append(want, y.id)
			}
		}
		var got []int64
		for y := range x.against(k) {
			got = append(got, y.id)
		}
		if !slices.Equal(got, want) || x.first().until != first || len(x.byID) != len(all) {
			t.Fatalf("step %d: %v, want %v; first ends at %d, want %d", step, got, want, x.first().until, first)
		}
	}
}

// TestNothingStays makes and ends many decisions and alerts: their memory is given
// back when nobody can ask for them any more.
func TestNothingStays(t *testing.T) {
	db, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := epochStart
	b, err := OpenBook(BookOptions{DB: db, Now: func() time.Time { return now }, MaxAlerts: 10, MaxDecisions: 300})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	allowed := AllowEntry{Prefix: netip.MustParsePrefix("10.0.0.128/25")} // decided against, never announced
	if err := b.Allow().Add(allowed); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(6, 6))
	for step := range 6000 {
		now = now.Add(time.Second)
		value := []string{fmt.Sprint("10.0.0.", r.IntN(200)), fmt.Sprint("user", r.IntN(50))}[r.IntN(2)]
		scope := ""
		if strings.HasPrefix(value, "user") {
			scope = "username"
		}
		ds := []Decision{{Scope: scope, Value: value, Type: "ban", Scenario: fmt.Sprint("s", step%400), Until: now.Add(time.Duration(1+r.IntN(400)) * time.Second)},
			{Value: value, Scope: "x", Type: "captcha", Until: now.Add(time.Minute)}}
		a := &event.Alert{Scenario: fmt.Sprint("a", step%300), IncidentID: fmt.Sprint("INC", step), Source: &event.Source{Scope: "Ip", Value: value}}
		if err := b.Append(a, ds); err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			if got, ok := b.Decided(d.ID, now.Add(time.Second)); !ok || got.ID != a.ID && d.AlertID == a.ID {
				t.Fatalf("%+v was decided by %d, want %d", d, got.ID, a.ID)
			}
		}
		if step%10 == 0 {
			b.Expire(now)
		}
		if step == 3000 { // what is in force against them is suppressed only now
			allowed.Prefix = netip.MustParsePrefix("10.0.0.0/26")
			if err := b.Allow().Add(allowed); err != nil {
				t.Fatal(err)
			}
		}
	}
	now = now.Add(8 * 24 * time.Hour)
	b.Expire(now)
	now = now.Add(2 * linger)
	b.Expire(now)
	b.log.keep()
	x, a := b.index, b.alerts
	if n := int(x.records.used) - 1 - len(x.records.free); n != 0 || len(x.byID)+len(x.byValue)+len(x.odd)+len(x.due.slots)+len(b.log.entries) != 0 {
		t.Errorf("%d records, %d odd, %d changes are left", n, len(x.odd), len(b.log.entries))
	}
	if n := int(a.records.used) - 1 - len(a.records.free); n > 10 || n != len(a.byID) || len(a.more) > n || len(a.byIncident) > n || len(x.names.byText) > 3*n {
		t.Errorf("%d alerts, %d with more decisions, %d incidents, %d names are left", n, len(a.more), len(a.byIncident), len(x.names.byText))
	}
	if len(b.history.values) != 0 {
		t.Errorf("%d values of the past are left", len(b.history.values))
	}
	if used := int(x.records.used); used > 15_000 {
		t.Errorf("%d slots for at most 300 decisions at a time and those that went within the hundred minutes", used)
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.pending.mu.Lock()
	defer b.pending.mu.Unlock()
	if len(b.pending.values) != 0 {
		t.Errorf("%d alerts are still on their way", len(b.pending.values))
	}
}
