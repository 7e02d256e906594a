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
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
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
	decisions map[int64]decisions.Decision
	alerts    map[int64]event.Alert
	uuids     map[string]int64
	allow     map[netip.Prefix]decisions.AllowEntry
	granted   int64
}

type logEntry struct {
	op   []byte
	node int
	seq  int64
}

func newFleetLog(t *testing.T) *fleetLog {
	return &fleetLog{t: t, epoch: "e1", seqs: map[int]int64{}, decisions: map[int64]decisions.Decision{}, alerts: map[int64]event.Alert{},
		uuids: map[string]int64{}, allow: map[netip.Prefix]decisions.AllowEntry{}}
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
	raw, err := json.Marshal(op)
	must(l.t, err)
	l.entries = append(l.entries, logEntry{raw, node, op.Seq})
	var o decisions.Op // as it is after the way
	must(l.t, json.Unmarshal(raw, &o))
	switch o.Kind {
	case decisions.OpAppend:
		if o.Alert != nil {
			l.alerts[o.Alert.ID], l.uuids[o.Alert.UUID] = *o.Alert, o.Alert.ID
		}
		for _, d := range o.Decisions {
			l.decisions[d.ID] = d
		}
	case decisions.OpDelete:
		for _, id := range o.IDs {
			delete(l.decisions, id)
		}
	case decisions.OpAllow:
		l.allow[o.Allow.Prefix] = *o.Allow
	case decisions.OpUnallow:
		delete(l.allow, o.Prefix)
	}
	return false
}

func (l *fleetLog) cursor(n int) string { return fmt.Sprintf("%d-%d", 1000+n/3, n%3) }

func (l *fleetLog) snapshot(node int, now time.Time) decisions.Snapshot {
	s := decisions.Snapshot{Epoch: l.epoch, Cursor: l.cursor(len(l.entries)), Own: l.seqs[node]}
	for _, d := range l.decisions {
		if d.Until.After(now) {
			s.Decisions = append(s.Decisions, d)
		}
	}
	for _, a := range l.alerts {
		s.Alerts = append(s.Alerts, a)
	}
	for _, e := range l.allow {
		if e.Until.IsZero() || e.Until.After(now) {
			s.Allow = append(s.Allow, e)
		}
	}
	slices.SortFunc(s.Decisions, func(x, y decisions.Decision) int { return cmp.Compare(x.ID, y.ID) })
	slices.SortFunc(s.Alerts, func(x, y event.Alert) int { return cmp.Compare(x.ID, y.ID) })
	slices.SortFunc(s.Allow, func(x, y decisions.AllowEntry) int { return x.Prefix.Compare(y.Prefix) })
	return s
}

// member is a node of the simulated fleet.
type member struct {
	*desk
	log   *fleetLog
	r     *rand.Rand
	node  int
	at    int // entries adopted
	tried int64
	cut   bool // from the log
	grant bool
}

func (m *member) share() {
	must(m.t, m.Share(uint64(m.node+1), decisions.ShareOptions{}))
	m.tried = 0
	if _, c := m.Position(); c == "" {
		m.reconcile()
	}
}

func (m *member) reconcile() {
	must(m.t, m.Reconcile(m.log.snapshot(m.node, m.clock.now())))
	m.at, m.tried = len(m.log.entries), 0
}

// push sends up to n ops.
func (m *member) push(n int) {
	ops, err := m.Ops(m.tried, n)
	must(m.t, err)
	for _, op := range ops {
		known := m.log.send(m.node, op)
		m.tried = op.Seq
		if m.r.IntN(10) == 0 {
			return // the answer is lost, the op is sent again
		}
		if known {
			m.Retract(op)
		}
		m.Sent(op.Seq)
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
		must(m.t, json.Unmarshal(e.op, &op))
		own := int64(0)
		if e.node == m.node {
			own = e.seq
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
		m.Expire(m.clock.now())
	case n == 25 && r.IntN(20) == 0:
		m.log.first = max(m.log.first, len(m.log.entries)-r.IntN(60))
	}
}

// change does what people and scenarios do at a node. Few values and long bans make
// nodes prolong what others made.
func (m *member) change(sp space) {
	r, now := m.r, m.clock.now()
	value := fmt.Sprintf("192.0.2.%d", r.IntN(6))
	switch r.IntN(12) {
	case 0:
		_, err := m.Delete(decisions.Filter{Value: value}, "test")
		must(m.t, err)
	case 1:
		p := netip.PrefixFrom(addr(value), []int{32, 31, 30}[r.IntN(3)]).Masked()
		must(m.t, m.allow.Add(decisions.AllowEntry{Prefix: p, Comment: fmt.Sprint("by ", m.node), Until: now.Add(time.Duration(1+r.IntN(100)) * time.Minute)}))
	case 2:
		for _, e := range m.allow.List() {
			if e.Kind == decisions.KindManual && r.IntN(2) == 0 {
				if err := m.allow.Remove(e.Prefix); !errors.Is(err, decisions.ErrNotAllowed) {
					must(m.t, err)
				}
			}
		}
	case 3: // like an overflow that another node may conclude too
		a := fullAlert()
		a.UUID = fmt.Sprintf("00000000-0000-4000-8000-%012d", 1+len(m.log.entries)/5)
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
	for seed := range uint64(12) {
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
			for range 1500 {
				all[r.IntN(3)].step(space{r})
				clock.advance(time.Duration(r.IntN(20)) * time.Second)
			}
			settleFleet(t, all)
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
			m.tried = 0
			m.push(1000)
		}
	}
	for _, m := range all {
		for m.at < len(log.entries) {
			m.pull(7)
		}
		m.Expire(m.clock.now())
		if s := m.Stats(); s.Ops != 0 || s.RefusedOps != 0 || s.DroppedOps != 0 || s.OpBytes != 0 {
			t.Errorf("node %d: %+v", m.node, s)
		}
	}
	opts := gocmp.Options{gocmp.Comparer(func(x, y netip.Prefix) bool { return x == y })}
	for _, m := range all {
		want, got := log.snapshot(m.node, m.clock.now()), m.Export()
		want.Own, want.Lists = 0, map[string]int64{}
		want.Allow, got.Allow = append([]decisions.AllowEntry{}, want.Allow...), append([]decisions.AllowEntry{}, got.Allow...)
		for i := range want.Alerts {
			want.Alerts[i].Stop = got.Alerts[min(i, len(got.Alerts)-1)].Stop // of no JSON
		}
		if diff := gocmp.Diff(want, got, opts); diff != "" {
			t.Fatalf("node %d, of seed state (-fleet +node): %s", m.node, diff)
		}
		compareViews(t, m.desk, &follower{}, space{m.r})
	}
}
