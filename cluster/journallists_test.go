package cluster

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// blocklist makes a list of n addresses, of which those that replaced names are others.
func blocklist(t testing.TB, name string, version int64, n, replaced int) *decisions.Blocklist {
	t.Helper()
	ps := make([]netip.Prefix, n)
	old, fresh := rand.New(rand.NewPCG(1, 1)), rand.New(rand.NewPCG(2, uint64(version)))
	for i := range ps {
		x := old.Uint32()
		if i < replaced {
			x = fresh.Uint32()
		}
		// Below 112.0.0.0, clear of what is allowed.
		ps[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + x>>24%111), byte(x >> 16), byte(x >> 8), byte(x)}), 32)
	}
	now := time.Now()
	l, _, err := decisions.NewBlocklist(decisions.ListHead{Name: name, Type: "ban", Created: now, Until: now.Add(time.Hour), Version: version}, ps)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func has(m *member, name string, version int64) bool {
	l := m.j.listNamed(name)
	return l != nil && l.Version == version
}

func TestJournalLists(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	ms := fleetOf(t, 3, at(s.Addr()))
	const many = 20_000
	if err := ms[0].j.PutList(blocklist(t, "tor", 1, many, 0)); err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		within(t, "the list is there", func() bool { return has(m, "tor", 1) })
	}
	first := ms[0].j.listNamed("tor").At(3).Addr().String()
	everywhere(t, ms, first, true)
	id := ms[0].lookup(first).ID
	for _, m := range ms {
		if v := m.lookup(first); v.ID != id || id == 0 {
			t.Errorf("node %d: decision %d, want %d", m.n, v.ID, id)
		}
	}
	if d := ms[1].ban("192.0.2.1", time.Hour); d.ID >= id && d.ID < id+many {
		t.Errorf("id %d is one of the list's", d.ID)
	}
	if err := ms[0].j.PutList(blocklist(t, "tor", 1, 5, 0)); err == nil {
		t.Error("a version that is not higher was taken")
	}
	// A change comes as a patch.
	if err := ms[0].j.PutList(blocklist(t, "tor", 2, many, many/100)); err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		within(t, "the next version", func() bool { return has(m, "tor", 2) })
	}
	for _, m := range ms[1:] {
		within(t, "the second was a patch", func() bool { return m.j.Stats().ListPatches == 1 && m.j.Stats().ListLoads == 2 })
	}
	// One that comes late takes the whole, and one that was away too.
	late := newMember(t, 4, at(s.Addr()), nil)
	within(t, "the late one has it", func() bool { return has(late, "tor", 2) })
	ms[2].stop()
	if err := ms[1].j.DropList("tor"); err != nil {
		t.Fatal(err)
	}
	if err := ms[1].j.PutList(blocklist(t, "other", 7, 100, 0)); err != nil {
		t.Fatal(err)
	}
	ms[2].start()
	for _, m := range append(ms, late) {
		within(t, "dropped, and the other there", func() bool { return m.j.listNamed("tor") == nil && has(m, "other", 7) })
	}
	if n := s.Do("EXISTS", ms[0].j.keys.list("tor"), ms[0].j.keys.patch("tor")); n != int64(0) {
		t.Errorf("%v keys of a dropped list are left", n)
	}
}

func TestJournalListsWhileRedisIsGone(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	ms := fleetOf(t, 2, at(s.Addr()))
	if err := ms[0].j.PutList(blocklist(t, "old", 1, 50, 0)); err != nil {
		t.Fatal(err)
	}
	within(t, "there", func() bool { return has(ms[1], "old", 1) })
	s.Kill()
	if err := ms[1].j.PutList(blocklist(t, "new", 1, 50, 0)); err != nil {
		t.Fatal(err)
	}
	if !has(ms[1], "new", 1) {
		t.Error("not in force here")
	}
	s.Restart(true)
	for _, m := range ms {
		within(t, "both lists", func() bool { return has(m, "old", 1) && has(m, "new", 1) })
	}
}

// TestJournalHostileList: bytes that are no list, or not the one they say, leave the
// last good one in force.
func TestJournalHostileList(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	ms := fleetOf(t, 2, at(s.Addr()))
	if err := ms[0].j.PutList(blocklist(t, "tor", 1, 500, 0)); err != nil {
		t.Fatal(err)
	}
	within(t, "there", func() bool { return has(ms[1], "tor", 1) })
	addr := ms[1].j.listNamed("tor").At(3).Addr().String()
	k := ms[0].j.keys
	state := func(version int64) string {
		return fmt.Sprint(version, " ", time.Now().Add(time.Hour).UnixMilli(), " ", strings.Repeat("ab", 32))
	}
	wide := blocklist(t, "tor", 9, 3, 0)
	for name, set := range map[string]func(){
		"garbage": func() { s.Do("HSET", k.list("tor"), "head", `{"version":9,"bytes":5}`, "0", "hello") },
		"endless": func() { s.Do("HSET", k.list("tor"), "head", `{"version":9,"bytes":99000000000}`) },
		"short":   func() { s.Do("HSET", k.list("tor"), "head", `{"version":9,"bytes":500000}`, "0", "x") },
		"no head": func() { s.Do("HDEL", k.list("tor"), "head") },
		"another list": func() {
			s.Do("HSET", k.list("tor"), "head", fmt.Sprintf(`{"version":9,"bytes":%d}`, len(wide.Encode())), "0", string(wide.Encode()))
		},
		"no state": func() { s.Do("HSET", k.ls, "tor", "9 soon") },
	} {
		t.Run(name, func(t *testing.T) {
			fails := ms[1].j.Stats().ListFails + ms[1].j.Stats().Refused
			s.Do("HSET", k.ls, "tor", state(9))
			set()
			poke(ms[1].j.lists)
			within(t, "it is noticed", func() bool { return ms[1].j.Stats().ListFails+ms[1].j.Stats().Refused > fails })
			if !has(ms[1], "tor", 1) || !ms[1].banned(addr) {
				t.Error("the good list is gone")
			}
		})
	}
	// What is allowed stays so, whatever a list says, and the widest is left out.
	l, _, err := decisions.NewBlocklist(decisions.ListHead{Name: "evil", Type: "ban", Created: time.Now(), Until: time.Now().Add(time.Hour), Version: 1},
		[]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("192.0.2.1/32")})
	if err != nil {
		t.Fatal(err)
	}
	if err := ms[0].j.PutList(l); err != nil {
		t.Fatal(err)
	}
	everywhere(t, ms, "192.0.2.1", true)
	for _, m := range ms {
		for _, v := range []string{"127.0.0.1", "192.0.2.2"} {
			if m.banned(v) {
				t.Errorf("node %d bans %s", m.n, v)
			}
		}
	}
	if !slices.ContainsFunc(ms[1].book.Lists(), func(l *decisions.Blocklist) bool { return l.Name == "evil" }) {
		t.Error("no list")
	}
}
