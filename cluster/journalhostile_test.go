package cluster

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// evil are decisions that must never be enforced, with the address that would show it.
func evil(now time.Time) map[string]decisions.Decision {
	d := func(id int64, scope, value string, until time.Time) decisions.Decision {
		return decisions.Decision{
			ID: id, UUID: fmt.Sprintf("55555555-5555-4555-8555-%012d", id), Scope: scope, Value: value, Type: "ban",
			Origin: "cscli", Scenario: "evil", Created: now.Add(-time.Minute), Until: until,
		}
	}
	later := now.Add(time.Hour)
	long := d(106, "Ip", "192.0.2.106", later)
	long.Scenario = strings.Repeat("x", 3<<20)
	control := d(107, "user", "a\nb", later)
	return map[string]decisions.Decision{
		"loopback":   d(101, "Ip", "127.0.0.1", later),
		"everything": d(102, "Range", "0.0.0.0/0", later),
		"allowed":    d(103, "Ip", "198.51.100.3", later),
		"host":       d(104, "Ip", "203.0.113.4", later),
		"over":       d(105, "Ip", "192.0.2.105", now.Add(-time.Second)),
		"long":       long,
		"control":    control,
		"half v6":    d(108, "Range", "2000::/3", later),
		"nonsense":   d(109, "Ip", "no address", later),
		"no id":      d(-3, "Ip", "192.0.2.109", later),
	}
}

// victims must never be banned.
func victims() []string {
	return []string{"127.0.0.1", "8.8.8.8", "198.51.100.3", "203.0.113.4", "192.0.2.105", "192.0.2.106", "192.0.2.109", "2001:db8::1"}
}

func hostileMember(t *testing.T, s *redistest.Server, n int) *member {
	t.Helper()
	m := &member{t: t, n: n, config: at(s.Addr()), dir: t.TempDir(), builtin: []netip.Prefix{netip.MustParsePrefix("203.0.113.4/32")}}
	m.start()
	t.Cleanup(m.stop)
	return m
}

func TestJournalHostileLog(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	m := hostileMember(t, s, 1)
	joined(t, m)
	if err := m.book.Allow().Add(decisions.AllowEntry{Prefix: netip.MustParsePrefix("198.51.100.3/32")}); err != nil {
		t.Fatal(err)
	}
	joined(t, m)
	key := m.j.keys.log
	op := `{"seq":7,"kind":"append","at":"2026-01-02T03:04:05Z"}`
	for name, d := range evil(time.Now()) {
		text, err := json.Marshal(&d)
		if err != nil {
			t.Fatal(err)
		}
		s.Do("XADD", key, "*", "k", "append", "w", "ffffffffffffffff", "q", "7", "o", op, "a", "", "d", "["+string(text)+"]")
		t.Log(name)
	}
	for _, fields := range [][]string{
		{"x", "y"}, {"o", "}"}, {"o", "{}"}, {"o", op, "d", "[5]"}, {"o", op, "d", `[{"id":`}, {"o", op, "a", `{"source":5}`},
		{"o", `{"seq":1,"kind":"explode","at":"2026-01-02T03:04:05Z"}`}, {"o", op, "a", strings.Repeat("[", 1<<20)},
		{"o", strings.Repeat("x", 10<<20)}, {"o", op, "d", "[" + strings.Repeat(" ", 10<<20) + "]", "w", m.c.o.Node},
		{"o", `{"seq":1,"kind":"list","list":"../../x","at":"2026-01-02T03:04:05Z"}`},
	} {
		s.Do(append([]string{"XADD", key, "*"}, fields...)...)
	}
	// What follows is taken all the same.
	good := hostileMember(t, s, 2)
	joined(t, good)
	good.ban("192.0.2.200", time.Hour)
	everywhere(t, []*member{m, good}, "192.0.2.200", true)
	for _, v := range victims() {
		if a := m.lookup(v).Action; a != decisions.None {
			t.Errorf("%s: %v", v, a)
		}
	}
	st := m.j.Stats()
	t.Logf("refused %d, adopted %d, warnings %d", st.Refused, st.Adopted, m.logs.FilterMessageSnippet("refused").Len())
	if st.Refused < 15 {
		t.Errorf("refused %d", st.Refused)
	}
	if n := m.logs.FilterMessageSnippet("refused").Len(); n == 0 || n > 6 {
		t.Errorf("%d lines in the log for all of it", n)
	}
}

func TestJournalHostileWhole(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	first := hostileMember(t, s, 1)
	joined(t, first)
	first.ban("192.0.2.200", time.Hour)
	if err := first.book.Allow().Add(decisions.AllowEntry{Prefix: netip.MustParsePrefix("198.51.100.3/32")}); err != nil {
		t.Fatal(err)
	}
	joined(t, first)
	k := first.j.keys
	for _, d := range evil(time.Now()) {
		text, err := json.Marshal(&d)
		if err != nil {
			t.Fatal(err)
		}
		s.Do("HSET", k.d, strconv.FormatInt(d.ID, 10), string(text))
	}
	for i, text := range []string{"", "{", "5", "null", strings.Repeat("x", 10<<20), `{"id":1000,"value":"192.0.2.106"}`} {
		s.Do("HSET", k.d, fmt.Sprint(2000+i), text)
		s.Do("HSET", k.a, fmt.Sprint(2000+i), text)
		s.Do("HSET", k.w, fmt.Sprintf("10.0.%d.0/24", i), text)
		s.Do("HSET", k.ls, fmt.Sprint("list", i), text)
		s.Do("ZADD", k.du, "1", fmt.Sprint("odd", i))
		s.Do("ZADD", k.au, "1", fmt.Sprint("odd", i))
	}
	crowd := []string{"HSET", k.ls}
	for i := range 2 * maxListNames {
		crowd = append(crowd, fmt.Sprint("crowd", i), "1")
	}
	s.Do(crowd...)
	m := hostileMember(t, s, 2)
	joined(t, m)
	everywhere(t, []*member{first, m}, "192.0.2.200", true)
	if err := m.j.PutList(blocklist(t, "tor", 1, 100, 0)); err != nil {
		t.Fatal(err)
	}
	within(t, "the list is in Redis", func() bool { return s.Do("HEXISTS", k.ls, "tor") == int64(1) })
	for _, v := range victims() {
		if a := m.lookup(v).Action; a != decisions.None {
			t.Errorf("%s: %v", v, a)
		}
	}
	if st := m.j.Stats(); st.Refused < 12 {
		t.Errorf("%+v", st)
	}
	m.ban("192.0.2.201", time.Hour)
	everywhere(t, []*member{first, m}, "192.0.2.201", true)
}

// TestJournalBoundsWhole: what is read of a whole is bounded in all, too.
func TestJournalBoundsWhole(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	first := hostileMember(t, s, 1)
	for i := range 200 {
		first.ban(fmt.Sprint("192.0.2.", i), time.Hour)
	}
	joined(t, first)
	within(t, "all are there", func() bool { return s.Do("HLEN", first.j.keys.d) == int64(200) })
	m := newMember(t, 2, at(s.Addr()), func(o *JournalOptions) { o.scanBytes = 10_000 })
	joined(t, m)
	if n := len(m.book.Export().Decisions); n == 0 || n > 100 {
		t.Errorf("%d decisions", n)
	}
	if st := m.j.Stats(); st.Refused < 100 {
		t.Errorf("%+v", st)
	}
}

// TestJournalHostileTypes: keys that are something else than they should be stop what
// needs them, and nothing else.
func TestJournalHostileTypes(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	m := hostileMember(t, s, 1)
	joined(t, m)
	s.Do("SET", m.j.keys.d, "no hash")
	m.ban("192.0.2.1", time.Hour)
	within(t, "it is given up", func() bool { return m.j.Stats().Dropped == 1 })
	if !m.banned("192.0.2.1") {
		t.Error("not in force here")
	}
	s.Do("DEL", m.j.keys.d)
	m.ban("192.0.2.2", time.Hour)
	late := hostileMember(t, s, 2)
	everywhere(t, []*member{m, late}, "192.0.2.2", true)
}

func TestJournalPrunes(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	s.Do("SET", defaultPrefix+"{j}:lease:"+houseLease, "somebody") // so that nothing is pruned but below
	m := newMember(t, 1, at(s.Addr()), func(o *JournalOptions) { o.MaxAlerts, o.MaxDecisions = 5, 20 })
	joined(t, m)
	for i := range 30 {
		m.ban(fmt.Sprintf("192.0.2.%d", i), time.Hour+time.Duration(i)*time.Minute)
		m.alert("", fmt.Sprintf("198.51.100.%d", i%10))
	}
	m.ban("203.0.113.1", 500*time.Millisecond)
	joined(t, m)
	if n := s.Do("HLEN", m.j.keys.d); n != int64(41) {
		t.Errorf("%v decisions", n)
	}
	time.Sleep(600 * time.Millisecond) // until the last one is over
	if err := m.j.prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int64{m.j.keys.d: 20, m.j.keys.a: 5, m.j.keys.uuid: 5} {
		if n := s.Do("HLEN", key); n != want {
			t.Errorf("%s has %v, want %d", key, n, want)
		}
	}
	if n := s.Do("ZCARD", m.j.keys.du); n != int64(20) {
		t.Errorf("du has %v", n)
	}
}
