package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// act does something random on a node.
func act(m *member, r *rand.Rand) {
	value := fmt.Sprintf("198.51.100.%d", r.IntN(40))
	switch r.IntN(10) {
	case 0, 1, 2, 3:
		m.ban(value, time.Hour+time.Duration(r.IntN(600))*time.Minute)
	case 4, 5:
		m.alert(fmt.Sprintf("44444444-4444-4444-8444-%012d", r.IntN(200)), value)
	case 6, 7:
		m.unban(value)
	case 8:
		list := []string{"default", "office"}[r.IntN(2)]
		_ = m.book.Allow().CreateList("office", "the same everywhere") // may be there
		_ = m.book.Allow().Add(decisions.AllowEntry{List: list, Item: allowItem(r), Comment: fmt.Sprint(r.IntN(9))})
	case 9:
		_ = m.book.Allow().RemoveItem([]string{"default", "office"}[r.IntN(2)], allowItem(r)) // may not be there
	}
}

// allowItem is something to allow.
func allowItem(r *rand.Rand) string {
	if n := r.IntN(8); n > 1 {
		return fmt.Sprintf("198.51.100.%d", 200+n)
	}
	return "vpn.example"
}

// logModel is what the last writers in the log say.
func logModel(t *testing.T, s *redistest.Server, key string) (ds, allow []string) {
	t.Helper()
	byID, entries := map[int64]string{}, map[string]string{}
	list, _ := s.Do("XRANGE", key, "-", "+").([]any)
	for _, e := range list {
		fields, _ := e.([]any)[1].([]any)
		v := map[string]string{}
		for i := 0; i+1 < len(fields); i += 2 {
			v[fields[i].(string)] = fields[i+1].(string)
		}
		var op decisions.Op
		var some []decisions.Decision
		_ = json.Unmarshal([]byte(v["d"]), &some) // only some kinds have it
		if v["k"] == "append" {
			for _, d := range some {
				byID[d.ID] = fmt.Sprintf("%d %s until %d", d.ID, d.Value, d.Until.UnixMilli())
			}
			continue
		}
		if err := json.Unmarshal([]byte(v["o"]), &op); err != nil {
			t.Fatal(err)
		}
		switch op.Kind {
		case decisions.OpDelete:
			for _, id := range op.IDs {
				delete(byID, id)
			}
		case decisions.OpAllow:
			entries[op.AllowKey()] = op.AllowKey() + " " + op.Allow.Comment
		case decisions.OpUnallow:
			delete(entries, op.AllowKey())
		}
	}
	for _, d := range byID {
		ds = append(ds, d)
	}
	for _, e := range entries {
		allow = append(allow, e)
	}
	slices.Sort(ds)
	slices.Sort(allow)
	return ds, allow
}

// ends are a node's decisions as logModel has them.
func ends(m *member) (out []string) {
	for _, d := range m.book.Export().Decisions {
		out = append(out, fmt.Sprintf("%d %s until %d", d.ID, d.Value, d.Until.UnixMilli()))
	}
	slices.Sort(out)
	return out
}

// TestJournalCutsAtRandom lets three nodes change things while their connections are
// cut, reset, stalled and healed at random, and holds the outcome to the log.
func TestJournalCutsAtRandom(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	ms, ps := proxiedFleet(t, 3, s)
	for end := time.Now().Add(12 * time.Second); time.Now().Before(end); time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond) {
		act(ms[r.IntN(3)], r)
		p := ps[r.IntN(3)]
		switch r.IntN(40) {
		case 0:
			p.Cut()
		case 1:
			p.Reset()
		case 2:
			p.Stall()
		case 3:
			p.Break()
		case 4, 5, 6:
			p.Heal()
		}
	}
	for _, p := range ps {
		p.Heal()
	}
	got := alike(t, ms)
	ds, allow := logModel(t, s, ms[0].j.keys.log)
	if d := gocmp.Diff(ds, ends(ms[0])); d != "" {
		t.Errorf("the log says otherwise of decisions: %s", d)
	}
	if d := gocmp.Diff(allow, got.Allow); d != "" {
		t.Errorf("the log says otherwise of the allowlist: %s", d)
	}
	t.Logf("%d decisions, %d alerts, %d allowed; %+v", len(got.Decisions), len(got.Alerts), len(got.Allow), ms[0].j.Stats())
}

// TestJournalServerLostAtRandom kills Redis at random, and lets it come back empty or
// from an old copy: the nodes stay alike, and nobody loses what nobody deleted.
func TestJournalServerLostAtRandom(t *testing.T) {
	s := redistest.Start(t, redistest.Options{RDB: true})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	ms := fleetOf(t, 3, at(s.Addr()))
	kept := map[string]bool{} // nobody deletes these
	met, dead := map[string]bool{}, map[string]bool{}
	note := func() map[string]bool { // the ids that the nodes have now
		now := map[string]bool{}
		for _, m := range ms {
			for _, d := range m.book.Export().Decisions {
				now[fmt.Sprint(d.ID)] = true
			}
		}
		maps.Copy(met, now)
		return now
	}
	for round := range 5 {
		for i := range 40 {
			act(ms[r.IntN(3)], r)
			note()
			if i%8 == 0 {
				value := fmt.Sprintf("203.0.113.%d", round*8+i/8)
				ms[r.IntN(3)].ban(value, 3*time.Hour)
				kept[value] = true
			}
			if i == 20 && r.IntN(2) == 0 {
				s.Do("SAVE")
			}
		}
		if r.IntN(2) == 0 {
			alike(t, ms)
			now := note()
			for id := range met { // deleted while everybody was there
				dead[id] = dead[id] || !now[id]
			}
		}
		s.Kill()
		act(ms[r.IntN(3)], r)
		s.Restart(r.IntN(2) == 0)
	}
	alike(t, ms)
	for id := range note() {
		if dead[id] {
			t.Errorf("decision %s is back", id)
		}
	}
	for value := range kept {
		everywhere(t, ms, value, true)
	}
}

func TestJournalSentinelFailover(t *testing.T) {
	s := redistest.StartSentinel(t)
	ms := fleetOf(t, 3, Config{Sentinels: s.Addrs(), Master: redistest.MasterName})
	ms[0].ban("192.0.2.1", time.Hour)
	everywhere(t, ms, "192.0.2.1", true)
	s.Failover()
	ms[1].ban("192.0.2.2", time.Hour)
	everywhere(t, ms, "192.0.2.2", true)
	old := s.KillPrimary()
	ms[2].ban("192.0.2.3", time.Hour)
	everywhere(t, ms, "192.0.2.3", true)
	old.Restart(false)
	if got := alike(t, ms); len(got.Decisions) != 3 {
		t.Errorf("%v", got.Decisions)
	}
}

func TestJournalClusterSlotMoves(t *testing.T) {
	s := redistest.StartCluster(t)
	ms := fleetOf(t, 3, Config{Cluster: s.Addrs()})
	slot := s.Slot(ms[0].j.keys.log)
	for to := range 3 {
		value := fmt.Sprintf("192.0.2.%d", to)
		ms[to].ban(value, time.Hour)
		s.MoveSlot(slot, (s.Owner(slot)+1)%3)
		everywhere(t, ms, value, true)
		value = fmt.Sprintf("198.51.100.%d", to)
		ms[to].ban(value, time.Hour)
		everywhere(t, ms, value, true)
	}
	if got := alike(t, ms); len(got.Decisions) != 6 {
		t.Errorf("%v", got.Decisions)
	}
}

// TestJournalOldCopyWithSomebodyNew: Redis comes back from an old copy, and somebody
// who cannot know that joins and goes on from there before the others are back. They
// notice, though the log is ahead of them by then; nothing comes back that was
// deleted, and nothing is lost.
func TestJournalOldCopyWithSomebodyNew(t *testing.T) {
	s := redistest.Start(t, redistest.Options{RDB: true})
	ms, ps := proxiedFleet(t, 2, s)
	ms[0].ban("192.0.2.1", time.Hour)
	ms[0].ban("192.0.2.2", time.Hour)
	everywhere(t, ms, "192.0.2.2", true)
	s.Do("SAVE")
	ms[0].unban("192.0.2.1")
	ms[1].ban("192.0.2.3", time.Hour)
	everywhere(t, ms, "192.0.2.3", true)
	everywhere(t, ms, "192.0.2.1", false)
	joined(t, ms...)
	for _, p := range ps {
		p.Cut()
	}
	s.Kill()
	s.Restart(false)
	late := newMember(t, 3, at(s.Addr()), nil)
	joined(t, late)
	if !late.banned("192.0.2.1") || late.banned("192.0.2.3") {
		t.Fatal("the copy is not an old one")
	}
	late.ban("192.0.2.4", time.Hour)
	joined(t, late)
	for _, p := range ps {
		p.Heal()
	}
	ms = append(ms, late)
	for value, banned := range map[string]bool{"192.0.2.1": false, "192.0.2.2": true, "192.0.2.3": true, "192.0.2.4": true} {
		everywhere(t, ms, value, banned)
	}
	if got := alike(t, ms); len(got.Decisions) != 3 {
		t.Errorf("%v", got.Decisions)
	}
}

// TestJournalOldCopyAndNobodyRemembers: nodes that restarted do not know any more
// what was deleted before; it does not come back all the same.
func TestJournalOldCopyAndNobodyRemembers(t *testing.T) {
	s := redistest.Start(t, redistest.Options{RDB: true})
	ms := fleetOf(t, 2, at(s.Addr()))
	ms[0].ban("192.0.2.1", time.Hour)
	ms[0].ban("192.0.2.2", time.Hour)
	everywhere(t, ms, "192.0.2.2", true)
	s.Do("SAVE")
	ms[0].unban("192.0.2.1")
	everywhere(t, ms, "192.0.2.1", false)
	joined(t, ms...)
	for _, m := range ms {
		m.stop()
	}
	s.Kill()
	s.Restart(false)
	for _, m := range ms {
		m.start()
	}
	joined(t, ms...)
	if got := alike(t, ms); len(got.Decisions) != 1 {
		t.Errorf("%v", got.Decisions)
	}
}

// TestJournalLogGoesOnElsewhere: the log loses its end and goes on between two
// reads, as in a fail-over that no connection of a node noticed.
func TestJournalLogGoesOnElsewhere(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	ms := fleetOf(t, 2, at(s.Addr()))
	ms[0].ban("192.0.2.1", time.Hour)
	everywhere(t, ms, "192.0.2.1", true)
	k := ms[0].j.keys
	last := s.Do("HGET", k.m, "last").(string)
	older := s.Do("HGET", k.m, "n").(string)
	ms[1].ban("192.0.2.2", time.Hour)
	everywhere(t, ms, "192.0.2.2", true)
	joined(t, ms...)
	// As if the second ban had never got here, and another change had followed.
	lost := s.Do("HGET", k.m, "last").(string)
	id := fmt.Sprint(ms[0].lookup("192.0.2.2").ID)
	s.Do("EVAL", `
		redis.call('XDEL', KEYS[1], ARGV[1])
		redis.call('HDEL', KEYS[3], ARGV[4])
		redis.call('ZREM', KEYS[4], ARGV[4])
		local new = redis.call('XADD', KEYS[1], '*', 'k', 'unallow', 'w', 'ffffffffffffffff', 'q', '1', 'p', ARGV[2], 'n', ARGV[3] + 1,
			'o', '{"seq":1,"kind":"unallow","prefix":"10.0.0.0/8","at":"2026-01-02T03:04:05Z"}')
		return redis.call('HSET', KEYS[2], 'last', new, 'n', ARGV[3] + 1)`,
		"4", k.log, k.m, k.d, k.du, lost, last, older, id)
	for _, m := range ms {
		within(t, "the loss is noticed", func() bool { return m.j.Stats().Restores == 1 })
	}
	if got := alike(t, ms); len(got.Decisions) != 2 {
		t.Errorf("%v", got.Decisions)
	}
	if s.Do("HEXISTS", k.d, id) != int64(1) {
		t.Error("it is not in Redis again")
	}
}
