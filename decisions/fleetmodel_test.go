package decisions_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/journaltest"
)

// fleetLog does what Redis does: it puts ops in an order, once each, and keeps what
// they come to. It is the oracle too: of what is said of a decision or a prefix, the
// last counts.
type fleetLog struct {
	t         *testing.T
	epoch     string
	entries   []logEntry
	first     int // of those that are still kept
	seqs      map[int]int64
	uuids     map[string]int64
	all       sums
	granted   int64
	retracted int
}

type logEntry struct {
	text []byte
	op   decisions.Op
	node int
}

// sums are what ops come to.
type sums struct {
	decisions map[int64]decisions.Decision
	alerts    map[int64]event.Alert
	allow     map[string]decisions.AllowEntry // by AllowKey
}

func newSums() sums {
	return sums{map[int64]decisions.Decision{}, map[int64]event.Alert{}, map[string]decisions.AllowEntry{}}
}

func (s *sums) apply(o *decisions.Op) {
	switch o.Kind {
	case decisions.OpAppend:
		if o.Alert != nil {
			s.alerts[o.Alert.ID] = *o.Alert
		}
		for _, d := range o.Decisions {
			s.decisions[d.ID] = d
		}
	case decisions.OpDelete:
		for _, id := range o.IDs {
			delete(s.decisions, id)
		}
	case decisions.OpAllow:
		s.allow[o.AllowKey()] = *o.Allow
	case decisions.OpUnallow:
		delete(s.allow, o.AllowKey())
	}
}

func newFleetLog(t *testing.T) *fleetLog {
	return &fleetLog{t: t, epoch: "e1", seqs: map[int]int64{}, uuids: map[string]int64{}, all: newSums()}
}

// send takes an op of a node; known: another node's alert is the same.
func (l *fleetLog) send(node int, op decisions.Op) (known bool) {
	fresh := op.Seq > l.seqs[node]
	l.seqs[node] = max(l.seqs[node], op.Seq)
	if op.Alert != nil {
		if id, ok := l.uuids[op.Alert.UUID]; ok && id != op.Alert.ID {
			return true
		}
	}
	if !fresh {
		return false
	}
	if op.Alert != nil {
		l.uuids[op.Alert.UUID] = op.Alert.ID
	}
	e := logEntry{node: node}
	var err error
	e.text, err = json.Marshal(op)
	must(l.t, err)
	must(l.t, json.Unmarshal(e.text, &e.op)) // as it is after the way
	l.entries = append(l.entries, e)
	l.all.apply(&e.op)
	return false
}

func (l *fleetLog) cursor(n int) string { return fmt.Sprintf("%d-%d", 1000+n/3, n%3) }

func (l *fleetLog) snapshot(node int, now time.Time) decisions.Snapshot {
	s := l.all.snapshot(now)
	s.Epoch, s.Cursor, s.Own = l.epoch, l.cursor(len(l.entries)), l.seqs[node]
	return s
}

func (u *sums) snapshot(now time.Time) (s decisions.Snapshot) {
	for _, d := range u.decisions {
		if d.Until.After(now) {
			s.Decisions = append(s.Decisions, d)
		}
	}
	for _, a := range u.alerts {
		s.Alerts = append(s.Alerts, a)
	}
	for _, e := range u.allow {
		if e.Until.IsZero() || e.Until.After(now) {
			s.Allow = append(s.Allow, e)
		}
	}
	slices.SortFunc(s.Decisions, func(x, y decisions.Decision) int { return cmp.Compare(x.ID, y.ID) })
	slices.SortFunc(s.Alerts, func(x, y event.Alert) int { return cmp.Compare(x.ID, y.ID) })
	slices.SortFunc(s.Allow, func(x, y decisions.AllowEntry) int {
		return cmp.Or(x.Prefix.Compare(y.Prefix), cmp.Compare(x.List, y.List), cmp.Compare(x.Item, y.Item))
	})
	return s
}

// member is a node of the simulated fleet.
type member struct {
	*desk
	log   *fleetLog
	r     *rand.Rand
	node  int
	at    int // entries adopted
	sent  []decisions.Op
	cut   bool // from the log
	grant bool
}

func (m *member) share() {
	must(m.t, m.Share(uint64(m.node+1), decisions.ShareOptions{}))
	if _, c := m.Position(); c == "" {
		m.reconcile()
	}
}

func (m *member) reconcile() {
	must(m.t, m.Reconcile(m.log.snapshot(m.node, m.clock.Now())))
	m.at = len(m.log.entries)
}

// push sends up to n ops.
func (m *member) push(n int) {
	ops, err := m.Ops(0, n)
	must(m.t, err)
	for _, op := range ops {
		known := m.log.send(m.node, op)
		if m.r.IntN(10) == 0 {
			return // the answer is lost, the op is sent again
		}
		if known {
			m.Retract(op)
			m.log.retracted++
		}
		m.Sent(op.Seq)
		if !known {
			m.sent = append(m.sent, op)
		}
	}
}

// expect holds what the node has against what it has to have: the log as far as it
// was adopted, and on top the own ops that are behind that or not in it.
func (m *member) expect() {
	m.t.Helper()
	want, met := newSums(), map[int64]bool{}
	for i := range m.log.entries[:m.at] {
		e := &m.log.entries[i]
		want.apply(&e.op)
		met[e.op.Seq] = met[e.op.Seq] || e.node == m.node
	}
	waiting, err := m.Ops(0, 0)
	must(m.t, err)
	for _, op := range append(slices.Clone(m.sent), waiting...) {
		if !met[op.Seq] {
			want.apply(&op)
		}
	}
	m.compare(want.snapshot(m.clock.Now()))
}

func (m *member) compare(want decisions.Snapshot) {
	m.t.Helper()
	got := m.Export()
	want.Epoch, want.Cursor, want.Own = got.Epoch, got.Cursor, 0
	for i := range want.Alerts {
		want.Alerts[i].Stop = time.Time{} // of no JSON
	}
	for i := range got.Alerts {
		got.Alerts[i].Stop = time.Time{}
	}
	// What is over and waits for Expire is there or not; none is none.
	for _, s := range []*decisions.Snapshot{&want, &got} {
		for i := range s.Allow { // as the node that made the list says, or the others
			s.Allow[i].ListAbout = ""
		}
		s.Allow = slices.DeleteFunc(append([]decisions.AllowEntry{}, s.Allow...), func(e decisions.AllowEntry) bool {
			return !e.Until.IsZero() && !e.Until.After(m.clock.Now())
		})
		s.Decisions = append([]decisions.Decision{}, s.Decisions...)
	}
	if diff := gocmp.Diff(want, got, gocmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); diff != "" {
		m.t.Fatalf("node %d (-wanted +there): %s", m.node, diff)
	}
}

// pull adopts up to n entries, now and then some again.
func (m *member) pull(n int) {
	if m.at < m.log.first {
		m.reconcile()
		return
	}
	from, to := m.at, min(m.at+n, len(m.log.entries))
	if m.r.IntN(4) == 0 {
		from = max(m.log.first, from-m.r.IntN(5))
	}
	if m.r.IntN(8) == 0 && from > 2 { // the same again, late
		m.adopt(max(m.log.first, from-3), from)
	}
	m.adopt(from, to)
	m.at = to
}

func (m *member) adopt(from, to int) {
	if from >= to {
		return
	}
	batch := decisions.Adopted{Cursor: m.log.cursor(to)}
	for _, e := range m.log.entries[from:to] {
		var op decisions.Op
		must(m.t, json.Unmarshal(e.text, &op))
		own := int64(0)
		if e.node == m.node {
			own = op.Seq
		}
		batch.Ops, batch.Own = append(batch.Ops, op), append(batch.Own, own)
	}
	for _, err := range m.Adopt(batch) {
		m.t.Errorf("node %d refused: %v", m.node, err)
	}
}

func (m *member) step(sp space) {
	r := m.r
	switch n := r.IntN(40); {
	case n < 9:
		m.change(sp)
	case n < 12 && !m.cut:
		m.push(1 + r.IntN(4))
	case n < 20 && !m.cut:
		m.pull(1 + r.IntN(12))
	case n == 20 && r.IntN(3) == 0:
		m.restart()
		m.share()
	case n == 21 && r.IntN(3) == 0:
		m.cut = !m.cut
	case n == 22 && !m.cut && r.IntN(4) == 0:
		m.reconcile()
	case n == 23 && !m.cut:
		decision, alert := m.Wants()
		var f [4]int64
		if decision {
			f[0], f[1] = m.log.granted+1, m.log.granted+700
		}
		if alert {
			f[2], f[3] = m.log.granted+1, m.log.granted+700
		}
		m.log.granted += 700
		m.Grant(f[0], f[1], f[2], f[3])
	case n == 24:
		m.Expire(m.clock.Now())
	case n == 25 && r.IntN(20) == 0:
		m.log.first = max(m.log.first, len(m.log.entries)-r.IntN(60))
	}
}

// change does what people and scenarios do at a node. Few values and long bans make
// nodes prolong what others made.
func (m *member) change(sp space) {
	r, now := m.r, m.clock.Now()
	value := fmt.Sprintf("192.0.2.%d", r.IntN(6))
	switch r.IntN(12) {
	case 0:
		_, err := m.Delete(decisions.Filter{Value: value}, "test")
		must(m.t, err)
	case 1:
		p := netip.PrefixFrom(addr(value), []int{32, 31, 30}[r.IntN(3)]).Masked()
		e := decisions.AllowEntry{Prefix: p, Comment: fmt.Sprint("by ", m.node), Until: now.Add(time.Duration(1+r.IntN(100)) * time.Minute)}
		if r.IntN(2) == 0 {
			e.List = "office"
			if err := m.allow.CreateList(e.List, "the same everywhere"); !errors.Is(err, decisions.ErrAllowListExists) {
				must(m.t, err)
			}
		}
		if r.IntN(4) == 0 {
			e.Prefix, e.Item = netip.Prefix{}, "vpn.example"
		}
		must(m.t, m.allow.Add(e))
	case 2:
		for _, e := range m.allow.List() {
			if e.Kind == decisions.KindManual && r.IntN(2) == 0 {
				if err := m.allow.RemoveItem(e.List, e.Text()); !errors.Is(err, decisions.ErrNotAllowed) {
					must(m.t, err)
				}
			}
		}
	case 3, 4, 5: // like an overflow that another node may conclude too
		a := fullAlert()
		a.UUID = fmt.Sprintf("00000000-0000-4000-8000-%012d", 1+len(m.log.entries)/40)
		if !m.HasAlert(a.UUID) {
			must(m.t, m.Append(a, []decisions.Decision{{Value: value, Type: "ban", Scenario: "s", Until: now.Add(time.Duration(1+r.IntN(200)) * time.Minute)}}))
		}
	default:
		a := fullAlert()
		a.IncidentID = strings.Repeat("x", r.IntN(4))
		ds := make([]decisions.Decision, r.IntN(3))
		for i := range ds {
			ds[i] = decisions.Decision{Value: value, Type: "ban", Scenario: fmt.Sprint(r.IntN(2)), Until: now.Add(time.Duration(1+r.IntN(200)) * time.Minute), Direct: r.IntN(2) == 0}
			if r.IntN(4) == 0 {
				ds[i].Value, ds[i].Type = sp.value(), "captcha"
			}
		}
		must(m.t, m.Append(a, ds))
	}
}

// TestFleetConverges plays random changes at three nodes, with a log that delays,
// doubles and forgets. When all is delivered, all have what the log comes to.
func TestFleetConverges(t *testing.T) {
	var retracted atomic.Int64
	t.Cleanup(func() {
		if n := retracted.Load(); !t.Failed() && n < 20 {
			t.Errorf("only %d alerts were met twice", n)
		}
	})
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 77))
			log, clock := newFleetLog(t), newClock()
			var all []*member
			for node := range 3 {
				m := &member{desk: openDesk(t, decisions.BookOptions{}), log: log, r: r, node: node}
				m.clock = clock
				m.restart() // with the common clock
				m.allow.SetBuiltin(decisions.KindHost, []netip.Prefix{prefix(fmt.Sprintf("192.0.2.%d/32", node))})
				m.share()
				all = append(all, m)
			}
			for range 1200 {
				m := all[r.IntN(3)]
				m.step(space{r})
				clock.Advance(time.Duration(r.IntN(20)) * time.Second)
				if r.IntN(5) == 0 {
					m.expect()
				}
			}
			settleFleet(t, all)
			retracted.Add(int64(log.retracted))
		})
	}
}

// settleFleet delivers everything and compares.
func settleFleet(t *testing.T, all []*member) {
	t.Helper()
	log := all[0].log
	for _, m := range all {
		m.cut = false
		for range 100 {
			m.push(1000)
		}
	}
	for _, m := range all {
		for m.at < len(log.entries) {
			m.pull(7)
		}
		m.Expire(m.clock.Now())
		if s := m.Stats(); s.Ops != 0 || s.RefusedOps != 0 || s.DroppedOps != 0 || s.OpBytes != 0 {
			t.Errorf("node %d: %+v", m.node, s)
		}
	}
	for _, m := range all {
		m.compare(log.snapshot(m.node, m.clock.Now()))
		for _, a := range m.Alerts(decisions.AlertFilter{Limit: -1}) {
			if !m.HasAlert(a.UUID) {
				t.Errorf("alert %d is not known by its name", a.ID)
			}
		}
		compareViews(t, m.desk, &journaltest.Follower{}, space{m.r})
	}
}
