package decisions_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// TestAlertsAgainstModel compares Alerts, DeleteAlerts and AlertTally with a look at
// every alert that was recorded.
func TestAlertsAgainstModel(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := alertModel{queryModel: queryModel{desk: openDesk(t, decisions.BookOptions{}), r: rand.New(rand.NewPCG(seed, 80))}}
			m.run(m.change, func() { m.compare(m.filter()) }, m.compareTally)
		})
	}
}

type alertModel struct {
	queryModel
	list []recorded
}

// recorded is an alert and when it was recorded.
type recorded struct {
	event.Alert
	at time.Time
}

func (m *alertModel) change() {
	switch m.r.IntN(12) {
	case 0, 1:
		m.clock.Advance(time.Duration(m.r.IntN(1200)) * time.Second)
	case 2:
		m.Expire(m.clock.Now())
	case 3:
		m.delete()
	case 4:
		if _, err := m.DeleteQuery(decisions.Query{Prefix: prefix("10.1.0.0/18"), Within: true}, "test"); err != nil {
			m.t.Fatal(err)
		}
	case 5: // a clock that was put back
		m.clock.Advance(-time.Duration(m.r.IntN(300)) * time.Second)
	default:
		m.record()
	}
}

func (m *alertModel) record() {
	now := m.clock.Now()
	a := alert(m.pick("Ip", "Range", "Ip", "session", "lists:spam"), (space{m.r}).value(), "")
	a.UUID, a.Scenario, a.Kind = "", m.pick("crowdsecurity/ssh-bf", "mine/web", "manual"), m.pick("crowdsec", "cscli", "capi", "")
	a.MachineID, a.Simulated = m.pick("one", "two", ""), m.r.IntN(5) == 0
	a.StartAt = now.Add(-time.Duration(m.r.IntN(1000)) * time.Second).Format(time.RFC3339)
	if m.r.IntN(6) == 0 {
		a.StartAt = "long ago"
	}
	var ds []decisions.Decision
	for range m.r.IntN(4) {
		d := decisions.Decision{
			Value: (space{m.r}).value(), Type: m.pick("ban", "captcha"), Origin: m.pick("crowdsec", "cscli", "CAPI", "lists:spam"),
			Scenario: m.pick(a.Scenario, "another"), Until: now.Add(time.Duration(1+m.r.IntN(4000)) * time.Second),
		}
		if m.r.IntN(8) == 0 {
			d.Scope, d.Value = "session", "10.1.0.7"
		}
		ds = append(ds, d)
	}
	_ = m.Append(a, ds) // some are too wide
	m.list = append(m.list, recorded{*a, now})
}

func (m *alertModel) delete() {
	f := decisions.AlertFilter{Limit: 1} // which does not count
	switch all := m.filter(); m.r.IntN(4) {
	case 0:
		f.IDs = []int64{1 + m.r.Int64N(int64(len(m.list)+1)), 1 + m.r.Int64N(int64(len(m.list)+1)), 7}
	case 1:
		f.Value = (space{m.r}).value()
	case 2:
		f.Prefix, f.Within = netip.PrefixFrom((space{m.r}).addr(), 14+m.r.IntN(11)), true
	case 3:
		f.Machine, f.Scenario, f.DecisionType, f.Until = "two", "another", all.DecisionType, m.clock.Now().Add(-time.Hour)
	}
	want := m.expect(f, -1)
	n, ended, err := m.DeleteAlerts(f, "test")
	must(m.t, err)
	m.list = slices.DeleteFunc(m.list, func(a recorded) bool { return slices.Contains(want, a.ID) })
	if n != len(want) {
		m.t.Fatalf("%d alerts deleted, want %v", n, want)
	}
	for _, d := range ended {
		if !slices.Contains(want, d.AlertID) {
			m.t.Fatalf("%+v ended with alerts %v", d, want)
		}
	}
	for _, d := range m.List(decisions.Filter{}) {
		if slices.Contains(want, d.AlertID) {
			m.t.Fatalf("%+v is still there, its alert is not", d)
		}
	}
	m.deleted += n
}

func (m *alertModel) filter() (f decisions.AlertFilter) {
	some := func(n int) bool { return m.r.IntN(n) == 0 }
	ago := func() time.Time {
		return m.clock.Now().Add(-time.Duration(m.r.IntN(8000)) * time.Second).Truncate(time.Second)
	}
	if some(8) {
		f.IDs = []int64{1 + m.r.Int64N(200), 1 + m.r.Int64N(200), 7}
	}
	if some(6) {
		f.Value = (space{m.r}).value()
	}
	if some(6) {
		f.Scope = m.pick("ip", "range", "session", "SESSION")
	}
	if some(6) {
		f.Scenario = m.pick("mine/web", "another", "nothing")
	}
	if some(6) {
		f.Kind = m.pick("crowdsec", "capi")
	}
	if some(8) {
		f.Contains = (space{m.r}).addr()
	}
	if some(6) {
		f.Machine = m.pick("one", "three")
	}
	f.Since, f.Until = pickTime(some(6), ago), pickTime(some(6), ago)
	f.StartedAfter, f.StartedBefore = pickTime(some(6), ago), pickTime(some(6), ago)
	if some(4) {
		q := m.query()
		f.Prefix, f.Within = q.Prefix, q.Within
	}
	if some(5) {
		f.Origin = m.pick("cscli", "lists", "CAPI", "lists:spam")
	}
	if some(5) {
		f.DecisionType = m.pick("ban", "Captcha")
	}
	f.InForce, f.Simulated = m.pickBool(), m.pickBool()
	f.HideLists, f.Oldest, f.Limit = some(4), some(2), m.r.IntN(12)-1
	return f
}

func pickTime(is bool, at func() time.Time) time.Time {
	if is {
		return at()
	}
	return time.Time{}
}

func (m *alertModel) pickBool() *bool {
	if m.r.IntN(6) > 0 {
		return nil
	}
	yes := m.r.IntN(2) == 0
	return &yes
}

// expect is what f finds, by a look at every alert; a limit below zero is none.
func (m *alertModel) expect(f decisions.AlertFilter, limit int) (ids []int64) {
	list := slices.Clone(m.list)
	slices.SortFunc(list, func(x, y recorded) int { return cmp.Or(x.at.Compare(y.at), cmp.Compare(x.ID, y.ID)) })
	if !f.Oldest {
		slices.Reverse(list)
	}
	for i := range list {
		if m.naive(&f, &list[i]) && (limit < 0 || len(ids) < limit) {
			ids = append(ids, list[i].ID)
		}
	}
	return ids
}

func (m *alertModel) naive(f *decisions.AlertFilter, a *recorded) bool {
	value := decisions.Decision{Value: f.Value, Type: "x"}
	_ = decisions.Normalise(&value, false)
	source := decisions.Decision{Value: a.Source.Value, Type: "x"}
	sourceKnown := decisions.Normalise(&source, false) == nil
	began, err := time.Parse(time.RFC3339, a.StartAt)
	if err != nil {
		began = a.at
	}
	covers := sourceKnown && f.Contains.IsValid() && source.Prefix().Contains(f.Contains.Unmap())
	var force, one, told bool
	scenario := f.Scenario == "" || f.Scenario == a.Scenario
	for _, d := range a.Decisions {
		now, known := m.follower.All[d.ID]
		force = force || known && now.Until.After(m.clock.Now())
		scenario = scenario || d.Scenario == f.Scenario
		told = told || d.Origin == "CAPI" || strings.HasPrefix(d.Origin, "lists:")
		q := decisions.Query{Prefix: f.Prefix, Within: f.Within, Simulated: true}
		if f.Origin != "" {
			q.Origins = []string{f.Origin}
		}
		if f.DecisionType != "" {
			q.Types = []string{f.DecisionType}
		}
		one = one || naiveQuery(q, decisions.Decision{ID: d.ID, UUID: d.UUID, Scope: d.Scope, Value: d.Value, Type: d.Type, Origin: d.Origin})
	}
	about := f.Prefix.IsValid() || f.Origin != "" || f.DecisionType != ""
	return scenario && (one || !about) && (len(f.IDs) == 0 || slices.Contains(f.IDs, a.ID)) &&
		(f.Value == "" || value.Value == source.Value) && (f.Scope == "" || strings.EqualFold(f.Scope, a.Source.Scope)) &&
		(f.Kind == "" || f.Kind == a.Kind) && (f.Machine == "" || f.Machine == a.MachineID) && (!f.Contains.IsValid() || covers) &&
		!(!f.Since.IsZero() && a.at.Before(f.Since)) && (f.Until.IsZero() || a.at.Before(f.Until)) &&
		!(!f.StartedAfter.IsZero() && began.Before(f.StartedAfter)) && !(!f.StartedBefore.IsZero() && began.After(f.StartedBefore)) &&
		(f.Simulated == nil || *f.Simulated == a.Simulated) && (f.InForce == nil || *f.InForce && force || !*f.InForce && len(a.Decisions) == 0) &&
		!(f.HideLists && (told || a.Kind == "capi" || strings.HasPrefix(a.Source.Scope, "lists:")))
}

func (m *alertModel) compare(f decisions.AlertFilter) {
	m.t.Helper()
	limit := f.Limit
	if limit == 0 {
		limit = 100
	}
	want, got := m.expect(f, limit), []int64{}
	for a := range m.AlertSeq(f) {
		got = append(got, a.ID)
	}
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		m.t.Fatalf("%+v: %s", f, diff)
	}
	m.answers += len(got)
}

func (m *alertModel) compareTally() {
	m.t.Helper()
	want := map[string]int{}
	for i := range m.list {
		want[m.list[i].Scenario]++
	}
	if diff := gocmp.Diff(want, m.AlertTally()); diff != "" {
		m.t.Fatal(diff)
	}
}
