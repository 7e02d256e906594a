package localapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// subscriber is a bouncer and what it holds.
type subscriber struct {
	name, query string
	sel         *selection
	asked       bool // it has been told everything once
	// held are types by scope and value, for those that forget all of a value when one
	// of its decisions ends, and never by themselves.
	held map[string]map[string]bool
	// timed are the ends of bans by value, for those that keep what they have until its
	// end comes or it is told.
	timed map[string]time.Time
}

// model is a book that random things happen to, and bouncers that ask at random.
type model struct {
	*booth
	t           *testing.T
	rnd         *rand.Rand
	subscribers []*subscriber
	log         []string
	// plain: there are neither lists nor an allowlist, so that nothing happens early but
	// deletions.
	plain bool
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{booth: openBooth(t, decisions.BookOptions{}), t: t, rnd: rand.New(rand.NewPCG(seed, 1)), plain: seed%2 == 1}
	m.clock.Advance(2 * streamOverlap) // what was before the book began nobody knows
	for i, query := range []string{
		"", "origins=cscli", "scenarios_containing=B&scopes=ip,range,country", "type=captcha", "dedup=false", "origins=lists,crowdsec",
		"scenarios_not_containing=a&simulated=true", "range=10.0.0.0/30&contains=false",
	} {
		v, err := url.ParseQuery(query)
		m.must(err)
		sel, err := readStream(v)
		m.must(err)
		h := &subscriber{name: fmt.Sprintf("b%d", i), query: query, sel: sel, held: map[string]map[string]bool{}, timed: map[string]time.Time{}}
		m.bouncer(h.name, "key-"+h.name)
		m.subscribers = append(m.subscribers, h)
	}
	return m
}

func (m *model) note(format string, args ...any) {
	m.log = append(m.log, m.clock.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (m *model) value() (scope, value string) {
	if m.rnd.IntN(6) == 0 {
		return pick(m.rnd, "Range", "Range", "Country"), ""
	}
	return "Ip", fmt.Sprintf("10.0.0.%d", m.rnd.IntN(6))
}

// decide makes a decision, or prolongs one.
func (m *model) decide() {
	scope, value := m.value()
	switch scope {
	case "Range":
		value = pick(m.rnd, "10.0.0.0/30", "2001:db8::/48")
	case "Country":
		value = pick(m.rnd, "FR", "DE")
	}
	now := m.clock.Now()
	d := decisions.Decision{
		Scope: scope, Value: value, Type: pick(m.rnd, "ban", "ban", "captcha"), Origin: pick(m.rnd, "cscli", "crowdsec"),
		Scenario: pick(m.rnd, "x/a", "x/b"), Created: now, Until: now.Add(time.Duration(1+m.rnd.IntN(120)) * time.Second),
		Simulated: m.rnd.IntN(8) == 0,
	}
	ds := []decisions.Decision{d}
	m.must(m.book.Append(nil, ds))
	d = ds[0]
	m.note("decide %s %s #%d %s %s until %s, simulated %v, suppressed %v", d.Type, d.Value, d.ID, d.Origin, d.Scenario,
		d.Until.Format("15:04:05.000"), d.Simulated, d.Suppressed)
}

// end deletes what is against one value, or one decision of it.
func (m *model) end() {
	_, value := m.value()
	q := decisions.Query{Value: value, Simulated: true}
	if m.rnd.IntN(2) == 0 {
		q.Types = []string{"ban"}
	}
	if m.rnd.IntN(2) == 0 { // one of several, perhaps
		for d := range m.book.Query(q) {
			q = decisions.Query{IDs: []int64{d.ID}, Simulated: true}
			if m.rnd.IntN(3) == 0 {
				break
			}
		}
	}
	if value == "" {
		q = decisions.Query{Scopes: []string{"Range", "Country"}}
	}
	ds, err := m.book.DeleteQuery(q, "model")
	m.must(err)
	m.note("end %v %s %v: %d", q.Types, value, q.IDs, len(ds))
}

// early is called when something ended before its time. Whoever took no notice of a
// longer decision because of it, and is told of no end since that goes on, holds it up
// to the end that was told: how long that is nobody can say.
func (m *model) early(at string) {
	for _, h := range m.subscribers {
		if _, holds := h.timed[at]; holds {
			h.timed[at] = m.clock.Now().Add(time.Hour)
		}
	}
}

// allow changes the allowlist.
func (m *model) allow() {
	for i := range 8 {
		m.early(fmt.Sprintf("Ip 10.0.0.%d", i))
	}
	m.early("Range 10.0.0.0/30")
	p := netip.MustParsePrefix(pick(m.rnd, "10.0.0.1/32", "10.0.0.2/31", "10.0.0.0/30"))
	if m.rnd.IntN(2) == 0 {
		m.must(m.book.Allow().Add(decisions.AllowEntry{Prefix: p}))
		m.note("allow %s", p)
	} else if m.book.Allow().Remove(p) == nil {
		m.note("disallow %s", p)
	}
}

// list puts or drops one of two lists.
func (m *model) list() {
	name := pick(m.rnd, "one", "two-b")
	for i := range 8 {
		m.early(fmt.Sprintf("Ip 10.0.0.%d", i))
	}
	if m.rnd.IntN(4) == 0 {
		if m.book.DropList(name) == nil {
			m.note("drop list %s", name)
		}
		return
	}
	var ps []netip.Prefix
	for i := range 8 {
		if m.rnd.IntN(2) == 0 {
			ps = append(ps, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32))
		}
	}
	now := m.clock.Now()
	h := decisions.ListHead{Name: name, Type: pick(m.rnd, "ban", "ban", "ban", "captcha"), Created: now,
		Until: now.Add(time.Duration(30+m.rnd.IntN(300)) * time.Second)}
	l, _, err := decisions.NewBlocklist(h, ps)
	m.must(err)
	if len(ps) == 0 {
		return
	}
	m.must(m.book.PutList(l))
	m.note("list %s %s %v until %s", name, h.Type, ps, h.Until.Format("15:04:05"))
}

func (m *model) pass() {
	m.clock.Advance(time.Duration(m.rnd.IntN(20_000)) * time.Millisecond)
	m.book.Expire(m.clock.Now())
}

// pullFor has a bouncer ask, and take in what it is told.
func (m *model) pullFor(h *subscriber, startup bool) {
	m.t.Helper()
	uri := "/v1/decisions/stream?" + h.query
	if startup {
		uri += "&startup=true"
		clear(h.held)
		clear(h.timed)
	}
	w := m.do("GET", uri, "", "X-Api-Key: key-"+h.name)
	var p pulled
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 {
		m.t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	h.asked = true
	m.note("%s %q pulls, startup %v:%s", h.name, h.query, startup, brief(&p))
	told := map[string]bool{}
	for _, d := range p.New {
		told[d.Value] = true
	}
	for _, d := range p.Deleted {
		if told[d.Value] {
			m.fail("%s is told %s as new and as deleted", h.name, d.Value)
		}
		delete(h.held, d.Scope+" "+d.Value)
		delete(h.timed, d.Scope+" "+d.Value)
	}
	now := m.clock.Now()
	for _, d := range p.New {
		length, err := time.ParseDuration(d.Duration)
		if err != nil || length < time.Second || length%time.Second != 0 {
			m.fail("duration %q among the new", d.Duration)
		}
		at := d.Scope + " " + d.Value
		if h.held[at] == nil {
			h.held[at] = map[string]bool{}
		}
		h.held[at][d.Type] = true
		if d.Type == "ban" && !h.timed[at].After(now) {
			h.timed[at] = now.Add(length)
		}
	}
}

func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf(format+"\n%s", append(args, strings.Join(m.log[max(0, len(m.log)-400):], "\n"))...)
}

// brief is an answer for people.
func brief(p *pulled) string {
	var out strings.Builder
	for sign, list := range map[string][]wireDecision{"+": p.New, "-": p.Deleted} {
		for _, d := range list {
			fmt.Fprintf(&out, " %s%s %s #%d %s %s %s", sign, d.Type, d.Value, d.ID, d.Origin, d.Scenario, d.Duration)
		}
	}
	return out.String()
}

// check compares what a bouncer holds with what is in force. It has asked twice since
// anything happened: what an answer withholds is in the next.
func (m *model) check(h *subscriber) {
	m.t.Helper()
	now := m.clock.Now()
	want := map[string]map[string]bool{}
	for d := range m.book.Query(h.sel.Query) {
		if !d.Until.After(now) {
			continue
		}
		at := d.Scope + " " + d.Value
		if want[at] == nil {
			want[at] = map[string]bool{}
		}
		want[at][d.Type] = true
		// Told durations are rounded, and what went on longer is told two seconds late.
		// Of simulated ones nothing is told again.
		if d.Type == "ban" && !h.sel.Simulated && d.Until.Sub(now) > 4*time.Second && !h.timed[at].After(now.Add(-4*time.Second)) {
			m.fail("%s (%s), which keeps ends: does not hold %s until %s", h.name, h.query, at, d.Until)
		}
	}
	if len(want) != len(h.held) || !maps.EqualFunc(want, h.held, maps.Equal[map[string]bool, map[string]bool]) {
		m.fail("%s (%s) holds %v, in force is %v", h.name, h.query, h.held, want)
	}
}

// TestStreamModel: whatever happens, in whatever order bouncers with all kinds of
// filters ask, what each holds is what is in force for it; also across restarts.
func TestStreamModel(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := newModel(t, seed)
			for step := range 250 {
				m.step()
				if step%5 != 4 {
					continue
				}
				for _, h := range m.subscribers {
					m.pullFor(h, !h.asked)
					m.pullFor(h, false)
					m.check(h)
				}
			}
		})
	}
}

// step does one thing of those that may happen.
func (m *model) step() {
	m.t.Helper()
	switch n := m.rnd.IntN(40); {
	case n < 14, m.plain && n >= 18 && n < 23:
		m.decide()
	case n < 18:
		m.end()
	case n < 20:
		m.allow()
	case n < 23:
		m.list()
	case n < 29:
		m.pass()
	case n < 30:
		m.note("restart")
		m.restart()
		m.token = ""
	default:
		h := pick(m.rnd, m.subscribers...)
		m.pullFor(h, !h.asked || m.rnd.IntN(10) == 0)
	}
	m.clock.Advance(time.Duration(m.rnd.IntN(3)) * time.Millisecond)
	m.book.Expire(m.clock.Now())
}

// TestStreamKeepsNothing: an empty book tells two empty lists, to the letter.
func TestStreamKeepsNothing(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	for _, uri := range []string{"/v1/decisions/stream?startup=true", "/v1/decisions/stream"} {
		if got := b.pull(uri).Body.String(); got != `{"new": [], "deleted": []}` {
			t.Errorf("%s: %q", uri, got)
		}
	}
	b.decide("ban", "Ip", "192.0.2.1", "1h")
	b.clock.Advance(1500 * time.Millisecond)
	got := b.pull("/v1/decisions/stream").Body.String()
	uuid := slices.Collect(b.book.Query(decisions.Query{}))[0].UUID
	want := `{"new": [{"duration":"59m59s","id":1,"origin":"cscli","scenario":"manual 'ban' from 'testmachine'","scope":"Ip","type":"ban","uuid":"` +
		uuid + `","value":"192.0.2.1"}], "deleted": []}`
	if got = strings.ReplaceAll(got, `\u0027`, "'"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
