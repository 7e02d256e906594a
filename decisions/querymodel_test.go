package decisions_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/journaltest"
)

// TestQueryAgainstModel compares Query, DeleteQuery and Tally with a look at every
// decision that the change log and the lists tell of.
func TestQueryAgainstModel(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := queryModel{desk: openDesk(t, decisions.BookOptions{MaxDecisions: 400}), r: rand.New(rand.NewPCG(seed, 70))}
			m.putLists()
			m.run(m.change, func() { m.compare(m.query()) }, m.compareTally)
		})
	}
}

type queryModel struct {
	*desk
	r                *rand.Rand
	follower         journaltest.Follower
	answers, deleted int
}

// run changes the book many times, over a restart too, and asks it what it has to know
// after each.
func (m *queryModel) run(change, ask, tally func()) {
	m.t.Helper()
	for step := range 300 {
		change()
		if step == 150 {
			m.restart()
			m.follower = journaltest.Follower{}
		}
		m.follower.Follow(m.Book)
		for range 5 {
			ask()
		}
		tally()
	}
	if m.answers < 1000 || m.deleted < 20 {
		m.t.Errorf("%d answers and %d deletions compared: too few to say anything", m.answers, m.deleted)
	}
}

func (m *queryModel) pick(texts ...string) string { return texts[m.r.IntN(len(texts))] }

func (m *queryModel) putLists() {
	for i, name := range []string{"spam", "Web-Scanners"} {
		h := listHead(name)
		if i == 1 {
			h.Type, h.Scenario = "captcha", "other/cause"
		}
		var list []netip.Prefix
		for range 200 {
			if p, err := netip.ParsePrefix((space{m.r}).value()); err == nil {
				list = append(list, p)
			} else {
				a := (space{m.r}).addr().Unmap()
				list = append(list, netip.PrefixFrom(a, a.BitLen()))
			}
		}
		must(m.t, m.PutList(newList(m.t, h, list)))
	}
}

// change does one thing to the book.
func (m *queryModel) change() {
	switch m.r.IntN(12) {
	case 0:
		m.clock.Advance(time.Duration(m.r.IntN(1200)) * time.Second)
	case 1:
		m.Expire(m.clock.Now())
	case 2:
		q := m.query()
		q.Offset, q.Limit = 0, 1+m.r.IntN(5)
		want := m.expect(q)
		want = slices.DeleteFunc(want, func(d decisions.Decision) bool { return d.UUID == "" }) // of a list
		got, err := m.DeleteQuery(q, "test")
		must(m.t, err)
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			m.t.Fatalf("deleting %+v: %s", q, diff)
		}
		m.deleted += len(got)
		for _, d := range m.List(decisions.Filter{Active: true}) {
			if slices.ContainsFunc(got, func(g decisions.Decision) bool { return g.ID == d.ID }) {
				m.t.Fatalf("%+v is still there", d)
			}
		}
	case 4:
		only := m.pick("spam", "Web-Scanners", "neither", "neither")
		must(m.t, m.SimulateLists(func(name string) bool { return name == only }))
	case 3:
		e := decisions.AllowEntry{Prefix: prefix(m.pick("10.1.0.0/26", "10.1.2.0/24", "2001:db8::/64")), Until: m.clock.Now().Add(time.Hour)}
		must(m.t, m.allow.Add(e))
	default:
		m.append()
	}
}

func (m *queryModel) append() {
	var ds []decisions.Decision
	for range 1 + m.r.IntN(6) {
		d := decisions.Decision{
			Value: (space{m.r}).value(), Type: m.pick("ban", "ban", "captcha", "Tarpit"), Origin: m.pick("crowdsec", "cscli", "lists:foreign"),
			Scenario:  m.pick("crowdsecurity/ssh-bf", "crowdsecurity/http-probing", "mine/Web-scan"),
			Simulated: m.r.IntN(6) == 0, Until: m.clock.Now().Add(time.Duration(1+m.r.IntN(7200)) * time.Second),
		}
		switch m.r.IntN(10) {
		case 0:
			d.Scope, d.Value = "Country", m.pick("FR", "DE")
		case 1:
			d.Scope, d.Value = "session", m.pick("abc", "10.1.0.7")
		}
		ds = append(ds, d)
	}
	_ = m.Append(nil, ds) // some are too wide
}

// query is one of any kind; most parts of it say nothing.
func (m *queryModel) query() (q decisions.Query) {
	some := func(n int) bool { return m.r.IntN(n) == 0 }
	known := slices.SortedFunc(maps.Values(m.follower.All), func(x, y decisions.Decision) int { return cmp.Compare(x.ID, y.ID) })
	if some(6) && len(known) > 0 {
		for range 1 + m.r.IntN(4) {
			q.IDs = append(q.IDs, known[m.r.IntN(len(known))].ID, m.r.Int64N(1500))
		}
	}
	if some(8) && len(known) > 0 {
		q.UUIDs = []string{strings.ToUpper(known[m.r.IntN(len(known))].UUID), known[m.r.IntN(len(known))].UUID, "", "no uuid"}
	}
	if some(4) {
		q.Scopes = []string{m.pick("ip", "RANGE", "Country", "session", "SESSION"), m.pick("Ip", "as")}
	}
	if some(5) {
		q.Origins = []string{m.pick("crowdsec", "cscli", "lists", "lists:spam", "Crowdsec"), "nobody"}
	}
	if some(5) {
		q.Types = []string{m.pick("ban", "CAPTCHA", "tarpit")}
	}
	if some(6) {
		q.Value = m.pick("FR", "10.1.0.7", (space{m.r}).value(), (space{m.r}).value())
	}
	if some(3) {
		p, err := netip.ParsePrefix((space{m.r}).value())
		if err != nil {
			a := (space{m.r}).addr()
			p = netip.PrefixFrom(a, a.BitLen())
		}
		q.Prefix, q.Within = p, some(2)
		if some(4) {
			q.Prefix = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
	}
	if some(6) {
		q.Scenario = m.pick("crowdsecurity/ssh-bf", "spam", "other/cause", "Web-Scanners", "nothing")
	}
	if some(5) {
		q.Contains = []string{m.pick("SSH", "web", "cause"), m.pick("probing", "")}
	}
	if some(6) {
		q.Lacks = []string{m.pick("bf", "WEB", "spam")}
	}
	q.Simulated = some(3)
	if some(5) {
		q.After = m.r.Int64N(900)
	}
	if some(4) {
		q.Offset, q.Limit = m.r.IntN(8), 1+m.r.IntN(8)
	}
	return q
}

// listed are the entries of lists as decisions, by id.
func (m *queryModel) listed() (out []decisions.Decision) {
	for _, l := range m.Lists() {
		for i := range l.Len() {
			p, scope, value := l.At(i), "Range", l.At(i).String()
			if p.IsSingleIP() {
				scope, value = "Ip", p.Addr().String()
			}
			if l.Until.After(m.clock.Now()) && !m.allow.Covers(p) {
				out = append(out, decisions.Decision{ID: l.Base + int64(i), Scope: scope, Value: value, Type: l.Type, Origin: "lists:" + l.Name,
					Scenario: l.Scenario, Created: l.Created, Until: l.Until, Direct: true, Simulated: l.Simulated})
			}
		}
	}
	slices.SortFunc(out, func(x, y decisions.Decision) int { return cmp.Compare(x.ID, y.ID) })
	return out
}

// all are the decisions in force, in the order of a Query.
func (m *queryModel) all() (out []decisions.Decision) {
	for _, d := range m.follower.All {
		if d.Until.After(m.clock.Now()) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(x, y decisions.Decision) int { return cmp.Compare(x.ID, y.ID) })
	return append(out, m.listed()...)
}

// expect is what q finds, by a look at every decision.
func (m *queryModel) expect(q decisions.Query) (out []decisions.Decision) {
	m.follower.Follow(m.Book)
	for _, d := range m.all() {
		if naiveQuery(q, d) {
			out = append(out, d)
		}
	}
	out = out[min(q.Offset, len(out)):]
	if q.Limit > 0 {
		out = out[:min(q.Limit, len(out))]
	}
	return slices.Clip(out)
}

func naiveQuery(q decisions.Query, d decisions.Decision) bool {
	names := []string{d.Scenario}
	if name, ok := strings.CutPrefix(d.Origin, "lists:"); ok && d.UUID == "" {
		names = append(names, name)
	}
	any := func(wants []string, takes func(string) bool) bool {
		return len(wants) == 0 || slices.ContainsFunc(wants, takes)
	}
	part := func(want string) bool {
		return want != "" && slices.ContainsFunc(names, func(n string) bool { return strings.Contains(strings.ToLower(n), strings.ToLower(want)) })
	}
	p := d.Prefix()
	inside := func(in, out netip.Prefix) bool {
		return in.IsValid() && out.IsValid() && in.Bits() >= out.Bits() && out.Contains(in.Addr())
	}
	value := decisions.Decision{Value: q.Value, Type: "x"}
	_ = decisions.Normalise(&value, false)
	asked := q.Prefix
	if asked.IsValid() && asked.Addr().Is4In6() && asked.Bits() >= 96 {
		asked = netip.PrefixFrom(asked.Addr().Unmap(), asked.Bits()-96)
	}
	asked = asked.Masked()
	return (len(q.IDs) == 0 || slices.Contains(q.IDs, d.ID)) && d.ID > q.After && (q.Simulated || !d.Simulated) &&
		any(q.UUIDs, func(u string) bool { return d.UUID != "" && strings.EqualFold(u, d.UUID) }) &&
		any(q.Scopes, func(s string) bool { return s == d.Scope || d.Scope != "session" && strings.EqualFold(s, d.Scope) }) &&
		any(q.Origins, func(o string) bool { return o == d.Origin || o == "lists" && strings.HasPrefix(d.Origin, "lists:") }) &&
		any(q.Types, func(s string) bool { return strings.EqualFold(s, d.Type) }) &&
		(q.Value == "" || q.Value == d.Value || value.Value == d.Value) &&
		(q.Scenario == "" || slices.Contains(names, q.Scenario)) &&
		(len(q.Contains) == 0 || slices.ContainsFunc(q.Contains, part)) && !slices.ContainsFunc(q.Lacks, part) &&
		(!asked.IsValid() || q.Within && inside(p, asked) || !q.Within && inside(asked, p))
}

func (m *queryModel) compare(q decisions.Query) {
	m.t.Helper()
	want, got := m.expect(q), slices.Collect(m.Query(q))
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		m.t.Fatalf("%+v: %s", q, diff)
	}
	m.answers += len(got)
}

func (m *queryModel) compareTally() {
	m.t.Helper()
	m.Expire(m.clock.Now()) // the tally counts what is over until then
	m.follower.Follow(m.Book)
	count := map[decisions.Tally]int{}
	for _, d := range m.all() {
		if !d.Simulated {
			count[decisions.Tally{Scenario: d.Scenario, Origin: d.Origin, Type: d.Type}]++
		}
	}
	got := map[decisions.Tally]int{}
	for _, x := range m.Tally() {
		n := x.N
		x.N = 0
		got[x] += n
	}
	if diff := gocmp.Diff(count, got); diff != "" {
		m.t.Fatalf("tally: %s", diff)
	}
}
