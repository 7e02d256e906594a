package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/journaltest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/store"
)

// member is a node of a fleet, with everything that a restart takes away.
type member struct {
	t       testing.TB
	n       int
	config  Config
	dir     string
	tune    func(*JournalOptions)
	builtin []netip.Prefix   // addresses of the host
	now     func() time.Time // nil: the real clock

	db   *store.DB
	book *decisions.Book
	c    *Client
	j    *Journal
	logs *observer.ObservedLogs
}

func newMember(t testing.TB, n int, config Config, tune func(*JournalOptions)) *member {
	t.Helper()
	m := &member{t: t, n: n, config: config, dir: t.TempDir(), tune: tune}
	m.start()
	t.Cleanup(m.stop)
	return m
}

// fleetOf starts several nodes and waits until all have joined.
func fleetOf(t testing.TB, many int, config Config) []*member {
	t.Helper()
	out := make([]*member, many)
	for i := range out {
		out[i] = newMember(t, i+1, config, nil)
	}
	joined(t, out...)
	return out
}

// proxiedFleet is fleetOf with a proxy before each node.
func proxiedFleet(t testing.TB, many int, s *redistest.Server) (ms []*member, ps []*redistest.Proxy) {
	t.Helper()
	for i := range many {
		p := redistest.NewProxy(t, s.Addr())
		ps, ms = append(ps, p), append(ms, newMember(t, i+1, at(p.Addr()), nil))
	}
	joined(t, ms...)
	return ms, ps
}

func joined(t testing.TB, ms ...*member) {
	t.Helper()
	for _, m := range ms {
		within(t, fmt.Sprintf("node %d joins", m.n), func() bool { return m.j.Stats().Joined && m.j.Stats().Waiting == 0 })
	}
}

func (m *member) start() {
	m.t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	m.logs = logs
	log := zap.New(core)
	clock := m.now
	if clock == nil {
		clock = time.Now
	}
	allow := decisions.NewAllow(clock)
	allow.SetBuiltin(decisions.KindHost, m.builtin)
	var err error
	if m.db, err = store.Open(m.dir, store.Options{}); err != nil {
		m.t.Fatal(err)
	}
	if m.book, err = decisions.OpenBook(decisions.BookOptions{DB: m.db, Allow: allow, Now: m.now, Logger: log}); err != nil {
		m.t.Fatal(err)
	}
	if m.c, err = Open(Options{Config: m.config, Node: nodeID(m.n), Name: fmt.Sprint("node ", m.n), Logger: log}); err != nil {
		m.t.Fatal(err)
	}
	o := JournalOptions{Book: m.book, Logger: log, Now: m.now}
	if m.tune != nil {
		m.tune(&o)
	}
	if m.j, err = NewJournal(m.c, o); err != nil {
		m.t.Fatal(err)
	}
}

func (m *member) stop() {
	m.t.Helper()
	if m.j == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_ = m.j.Close(ctx) // what it could not send is still there after the next start
	m.j = nil
	for _, err := range []error{m.c.Close(), m.book.Close(), m.db.Close()} {
		if err != nil {
			m.t.Error(err)
		}
	}
}

func (m *member) ban(value string, d time.Duration) decisions.Decision {
	m.t.Helper()
	ds := []decisions.Decision{{Value: value, Type: "ban", Origin: "cscli", Scenario: "test", Until: time.Now().Add(d)}}
	if err := m.j.Append(nil, ds); err != nil {
		m.t.Fatal(err)
	}
	return ds[0]
}

// alert records an alert with a ban.
func (m *member) alert(uuid, value string) (*event.Alert, decisions.Decision) {
	m.t.Helper()
	a := &event.Alert{
		UUID: uuid, Scenario: "test/scenario", Message: "seen", EventsCount: 3, StartAt: "2026-01-02T03:04:05Z", StopAt: "2026-01-02T03:04:06Z",
		Source: &event.Source{Scope: "Ip", Value: value, IP: value}, Events: []event.AlertEvent{},
	}
	ds := []decisions.Decision{{Value: value, Type: "ban", Origin: "crowdsec", Scenario: a.Scenario, Until: time.Now().Add(time.Hour)}}
	if err := m.j.Append(a, ds); err != nil {
		m.t.Fatal(err)
	}
	return a, ds[0]
}

func (m *member) unban(value string) {
	m.t.Helper()
	if _, err := m.j.Delete(decisions.Filter{Value: value}, "test"); err != nil {
		m.t.Fatal(err)
	}
}

func (m *member) lookup(value string) decisions.Verdict {
	return m.book.Set().Lookup(netip.MustParseAddr(value))
}

func (m *member) banned(value string) bool { return m.lookup(value).Action == decisions.Ban }

// everywhere waits until all nodes say the same of an address.
func everywhere(t testing.TB, ms []*member, value string, banned bool) {
	t.Helper()
	for _, m := range ms {
		within(t, fmt.Sprintf("banned of %s is %v on node %d", value, banned, m.n), func() bool { return m.banned(value) == banned })
	}
}

// state is what a Book has, in a form that can be compared between nodes.
type state struct {
	Decisions []string
	Alerts    []string
	Allow     []string
}

func (m *member) state() state {
	var s state
	all := m.book.Export()
	for _, d := range all.Decisions {
		s.Decisions = append(s.Decisions, fmt.Sprintf("%d %s %s %s %s until %d alert %d", d.ID, d.UUID, d.Type, d.Value, d.Origin, d.Until.UnixMilli(), d.AlertID))
	}
	for _, a := range all.Alerts {
		s.Alerts = append(s.Alerts, fmt.Sprintf("%d %s %s", a.ID, a.UUID, a.GetValue()))
	}
	for _, e := range all.Allow {
		s.Allow = append(s.Allow, fmt.Sprintf("%s %s", e.Key(), e.Comment))
	}
	for _, list := range [][]string{s.Decisions, s.Alerts, s.Allow} {
		slices.Sort(list)
	}
	return s
}

// alike waits until all Books are the same and nothing waits.
func alike(t testing.TB, ms []*member) state {
	t.Helper()
	var diff string
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		diff = ""
		for _, m := range ms {
			if s := m.j.Stats(); !s.Joined || s.Waiting > 0 {
				diff = fmt.Sprintf("node %d: %+v", m.n, s)
			}
		}
		first := ms[0].state()
		for _, m := range ms[1:] {
			if d := gocmp.Diff(first, m.state()); d != "" && diff == "" {
				diff = fmt.Sprintf("nodes %d and %d: %s", ms[0].n, m.n, d)
			}
		}
		if diff == "" {
			return first
		}
	}
	t.Fatalf("the nodes do not become alike: %s", diff)
	return state{}
}

func TestJournalThreeNodes(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	ms := fleetOf(t, 3, at(s.Addr()))
	var took []time.Duration
	for i := range 200 {
		value := fmt.Sprintf("192.0.2.%d", i)
		begin := time.Now()
		ms[i%3].ban(value, time.Hour)
		everywhere(t, ms, value, true)
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	t.Logf("from Append to the last node's lookup: p50 %v, p99 %v", took[len(took)/2], took[len(took)*99/100])
	ms[1].unban("192.0.2.7")
	everywhere(t, ms, "192.0.2.7", false)

	before := ms[0].lookup("192.0.2.8")
	again := ms[2].ban("192.0.2.8", 5*time.Hour)
	if again.ID != before.ID {
		t.Errorf("prolonging made decision %d of %d", again.ID, before.ID)
	}
	for _, m := range ms {
		within(t, "the end moves", func() bool { return m.lookup("192.0.2.8").Until.Equal(again.Until) })
	}
	if err := ms[0].book.Allow().Add(decisions.AllowEntry{Prefix: netip.MustParsePrefix("192.0.2.9/32"), Comment: "ours"}); err != nil {
		t.Fatal(err)
	}
	everywhere(t, ms, "192.0.2.9", false)
	if err := ms[2].book.Allow().Remove(netip.MustParsePrefix("192.0.2.9/32")); err != nil {
		t.Fatal(err)
	}
	everywhere(t, ms, "192.0.2.9", true)
	if got := alike(t, ms); len(got.Decisions) != 199 {
		t.Errorf("%d decisions", len(got.Decisions))
	}
	for _, m := range ms {
		if s := m.j.Stats(); s.Refused != 0 || s.Dropped != 0 || s.Epoch == "" || s.LagEntries != 0 {
			t.Errorf("node %d: %+v", m.n, s)
		}
	}
}

func TestJournalRestartOfANode(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	ms := fleetOf(t, 2, at(s.Addr()))
	ms[0].ban("192.0.2.1", time.Hour)
	everywhere(t, ms, "192.0.2.1", true)
	ms[1].stop()
	ms[0].ban("192.0.2.2", time.Hour)
	ms[0].unban("192.0.2.1")
	ms[0].alert("11111111-1111-4111-8111-111111111111", "192.0.2.3")
	joined(t, ms[0])
	ms[1].start()
	everywhere(t, ms, "192.0.2.2", true)
	everywhere(t, ms, "192.0.2.1", false)
	everywhere(t, ms, "192.0.2.3", true)
	alike(t, ms)
	if n := ms[1].j.Stats().Reconciles; n != 0 {
		t.Errorf("%d reconciles where the log had all", n)
	}
	// One that comes late gets the whole.
	late := newMember(t, 3, at(s.Addr()), nil)
	joined(t, late)
	alike(t, append(ms, late))
}

func TestJournalSameAlertOnTwoNodes(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	ms := fleetOf(t, 3, at(s.Addr()))
	s.Pause()
	const uuid = "22222222-2222-4222-8222-222222222222"
	ms[0].alert(uuid, "198.51.100.1")
	ms[1].alert(uuid, "198.51.100.1")
	s.Resume()
	everywhere(t, ms, "198.51.100.1", true)
	got := alike(t, ms)
	if len(got.Alerts) != 1 || len(got.Decisions) != 1 {
		t.Errorf("alerts %v, decisions %v", got.Alerts, got.Decisions)
	}
	if n := ms[0].j.Stats().Known + ms[1].j.Stats().Known; n != 1 {
		t.Errorf("%d were known", n)
	}
}

func TestJournalRedisRestartsEmpty(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	ms := fleetOf(t, 3, at(s.Addr()))
	ms[0].ban("192.0.2.1", time.Hour)
	ms[0].ban("192.0.2.2", time.Hour)
	ms[1].alert("33333333-3333-4333-8333-333333333333", "192.0.2.3")
	everywhere(t, ms, "192.0.2.3", true)
	everywhere(t, ms, "192.0.2.2", true)
	ms[2].unban("192.0.2.2")
	everywhere(t, ms, "192.0.2.2", false)
	epoch := ms[0].j.Stats().Epoch
	given := granted(t, s, ms[0])
	s.Kill()
	for i, m := range ms {
		m.ban(fmt.Sprintf("203.0.113.%d", i), time.Hour)
		if !m.banned(fmt.Sprintf("203.0.113.%d", i)) {
			t.Errorf("node %d does not enforce its own while Redis is gone", m.n)
		}
	}
	ms[1].unban("192.0.2.1")
	s.Restart(true)
	for i := range ms {
		everywhere(t, ms, fmt.Sprintf("203.0.113.%d", i), true)
	}
	everywhere(t, ms, "192.0.2.1", false)
	got := alike(t, ms)
	if len(got.Decisions) != 4 || len(got.Alerts) != 1 {
		t.Errorf("got %v", got)
	}
	if now := ms[0].j.Stats().Epoch; now == epoch || now == "" {
		t.Errorf("epoch %q after %q", now, epoch)
	}
	if now := granted(t, s, ms[0]); now <= given {
		t.Errorf("ids go on after %d, those up to %d may be in use", now, given)
	}
}

// granted is the last decision id that Redis has set aside.
func granted(t *testing.T, s *redistest.Server, m *member) int64 {
	t.Helper()
	text, _ := s.Do("HGET", m.j.keys.ids, "d").(string)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestJournalRedisRestartsFromAnOldCopy(t *testing.T) {
	s := redistest.Start(t, redistest.Options{RDB: true})
	ms := fleetOf(t, 3, at(s.Addr()))
	ms[0].ban("192.0.2.1", time.Hour)
	ms[0].ban("192.0.2.2", time.Hour)
	everywhere(t, ms, "192.0.2.2", true)
	s.Do("SAVE")
	ms[1].unban("192.0.2.1")
	ms[1].ban("192.0.2.3", time.Hour)
	again := ms[2].ban("192.0.2.2", 9*time.Hour)
	everywhere(t, ms, "192.0.2.3", true)
	everywhere(t, ms, "192.0.2.1", false)
	for _, m := range ms {
		within(t, "prolonged", func() bool { return m.lookup("192.0.2.2").Until.Equal(again.Until) })
	}
	s.Kill()
	s.Restart(false)
	for _, m := range ms {
		within(t, "the loss is noticed", func() bool { return m.j.Stats().Reconciles > 1 || m.j.Stats().Restores > 0 })
	}
	got := alike(t, ms)
	if len(got.Decisions) != 2 || ms[0].banned("192.0.2.1") {
		t.Errorf("what was deleted is back: %v", got.Decisions)
	}
	if !ms[0].lookup("192.0.2.2").Until.Equal(again.Until) {
		t.Error("the later end is lost")
	}
}

func TestJournalReadOnlyRedis(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	ms := fleetOf(t, 2, at(s.Addr()))
	s.Do("CONFIG", "SET", "min-replicas-to-write", "1")
	ms[0].ban("192.0.2.1", time.Hour)
	within(t, "redis is out of use", func() bool { return !ms[0].c.Up() })
	if ms[1].banned("192.0.2.1") || !ms[0].banned("192.0.2.1") || ms[0].j.Stats().Waiting == 0 {
		t.Errorf("while redis does not take writes: %+v", ms[0].j.Stats())
	}
	s.Do("CONFIG", "SET", "min-replicas-to-write", "0")
	everywhere(t, ms, "192.0.2.1", true)
	alike(t, ms)
}

func TestJournalCutOffNode(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	p := redistest.NewProxy(t, s.Addr())
	ms := []*member{newMember(t, 1, at(s.Addr()), nil), newMember(t, 2, at(s.Addr()), nil), newMember(t, 3, at(p.Addr()), nil)}
	joined(t, ms...)
	for i := range 5 {
		ms[0].ban(fmt.Sprintf("192.0.2.%d", i), time.Hour)
	}
	everywhere(t, ms, "192.0.2.4", true)
	p.Cut()
	within(t, "the cut is noticed", func() bool { return !ms[2].c.Up() })
	ms[2].unban("192.0.2.0")
	ms[2].ban("198.51.100.9", time.Hour)
	ms[0].unban("192.0.2.1")
	for i := range 50 {
		ms[i%2].ban(fmt.Sprintf("203.0.113.%d", i), time.Hour)
	}
	everywhere(t, ms[:2], "203.0.113.49", true)
	joined(t, ms[:2]...)
	// An hour later the log has nothing left of it.
	s.Do("XTRIM", ms[0].j.keys.log, "MAXLEN", "1")
	p.Heal()
	for value, banned := range map[string]bool{"192.0.2.0": false, "192.0.2.1": false, "192.0.2.2": true, "198.51.100.9": true, "203.0.113.3": true} {
		everywhere(t, ms, value, banned)
	}
	got := alike(t, ms)
	if len(got.Decisions) != 3+1+50 {
		t.Errorf("%d decisions: %v", len(got.Decisions), got.Decisions)
	}
	if st := ms[2].j.Stats(); st.Reconciles != 2 || st.Restores != 0 {
		t.Errorf("%+v", st)
	}
}

// TestJournalConforms runs what every journal has to do on one node of two, and holds
// the other one to it.
func TestJournalConforms(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	fleets := 0
	journaltest.Run(t, func(t *testing.T, now func() time.Time) journaltest.Subject {
		fleets++
		config := at(s.Addr())
		config.Prefix = fmt.Sprint("fleet", fleets, ":")
		var ms []*member
		for n := range 2 {
			m := &member{t: t, n: n + 1, config: config, dir: t.TempDir(), now: now}
			m.start()
			t.Cleanup(m.stop)
			ms = append(ms, m)
		}
		joined(t, ms...)
		return journaltest.Subject{Journal: ms[0].j, Book: ms[0].book, Settle: func() {
			joined(t, ms[0])
			within(t, "the other node has the same", func() bool {
				return slices.Equal(ms[0].state().Decisions, ms[1].state().Decisions)
			})
		}}
	})
}

func TestJournalMethodsOfABook(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	m := fleetOf(t, 1, at(s.Addr()))[0]
	m.ban("192.0.2.1", time.Hour)
	cs, next := m.j.Since(0, 0)
	if len(cs) != 1 || next == 0 || cs[0].Decision.Value != "192.0.2.1" {
		t.Errorf("%v", cs)
	}
	if _, err := m.j.Delete(decisions.Filter{}, ""); !errors.Is(err, decisions.ErrNoFilter) {
		t.Errorf("got %v", err)
	}
	if _, err := NewJournal(m.c, JournalOptions{}); err == nil {
		t.Error("a journal without a book")
	}
}
