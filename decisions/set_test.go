package decisions_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newClock() *testkit.Clock { return testkit.NewClock(start) }

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// normal returns d in normal form.
func normal(d decisions.Decision) decisions.Decision {
	if err := decisions.Normalise(&d, false); err != nil {
		panic(err)
	}
	return d
}

func change(id int64, value, typ string, until time.Duration) decisions.Change {
	return decisions.Change{Decision: normal(decisions.Decision{ID: id, Value: value, Type: typ, Created: start, Until: start.Add(until)})}
}

func gone(c decisions.Change) decisions.Change { c.Gone = true; return c }

func verdict(a decisions.Action, id int64, until time.Duration) decisions.Verdict {
	return decisions.Verdict{Action: a, ID: id, Created: start, Until: start.Add(until)}
}

func utc(v decisions.Verdict) decisions.Verdict {
	if v.ID != 0 {
		v.Created, v.Until = v.Created.UTC(), v.Until.UTC()
	}
	return v
}

func TestSetLookup(t *testing.T) {
	const h = time.Hour
	for _, tc := range []struct {
		name    string
		changes []decisions.Change
		after   time.Duration
		ask     string
		want    decisions.Verdict
	}{
		{name: "empty", ask: "192.0.2.1"},
		{"exact", []decisions.Change{change(1, "192.0.2.1", "ban", h)}, 0, "192.0.2.1", verdict(decisions.Ban, 1, h)},
		{"neighbour", []decisions.Change{change(1, "192.0.2.1", "ban", h)}, 0, "192.0.2.2", decisions.Verdict{}},
		{"mapped address", []decisions.Change{change(1, "192.0.2.1", "ban", h)}, 0, "::ffff:192.0.2.1", verdict(decisions.Ban, 1, h)},
		{"mapped decision", []decisions.Change{change(1, "::ffff:192.0.2.1", "ban", h)}, 0, "192.0.2.1", verdict(decisions.Ban, 1, h)},
		{"mapped range", []decisions.Change{change(1, "::ffff:192.0.2.0/120", "ban", h)}, 0, "192.0.2.9", verdict(decisions.Ban, 1, h)},
		{"zone", []decisions.Change{change(1, "2001:db8::1", "ban", h)}, 0, "2001:db8::1%eth0", verdict(decisions.Ban, 1, h)},
		{"zone in decision", []decisions.Change{change(1, "2001:db8::1%eth0", "ban", h)}, 0, "2001:db8::1", verdict(decisions.Ban, 1, h)},
		{"range", []decisions.Change{change(1, "192.0.2.77/24", "captcha", h)}, 0, "192.0.2.1", verdict(decisions.Captcha, 1, h)},
		{"v6 range", []decisions.Change{change(1, "2001:db8::/64", "throttle", h)}, 0, "2001:db8::7", verdict(decisions.Throttle, 1, h)},
		{"v4 is no v6", []decisions.Change{change(1, "::c000:201", "ban", h)}, 0, "192.0.2.1", decisions.Verdict{}},
		{"to the millisecond", []decisions.Change{change(1, "192.0.2.1", "ban", h)}, h - time.Millisecond, "192.0.2.1", verdict(decisions.Ban, 1, h)},
		{"over", []decisions.Change{change(1, "192.0.2.1", "ban", h)}, h, "192.0.2.1", decisions.Verdict{}},
		{"range over", []decisions.Change{change(1, "192.0.2.0/24", "ban", h)}, h, "192.0.2.1", decisions.Verdict{}},
		{"stronger wins", []decisions.Change{change(1, "192.0.2.1", "captcha", 9*h), change(2, "192.0.2.1", "ban", h), change(3, "192.0.2.1", "throttle", 9*h)},
			0, "192.0.2.1", verdict(decisions.Ban, 2, h)},
		{"then the next", []decisions.Change{change(1, "192.0.2.1", "captcha", 9*h), change(2, "192.0.2.1", "ban", h), change(3, "192.0.2.1", "throttle", 9*h)},
			h, "192.0.2.1", verdict(decisions.Captcha, 1, 9*h)},
		{"longer of equals", []decisions.Change{change(1, "192.0.2.1", "ban", h), change(2, "192.0.2.1", "ban", 2*h)}, 0, "192.0.2.1", verdict(decisions.Ban, 2, 2*h)},
		{"unknown type is weakest", []decisions.Change{change(1, "192.0.2.1", "mfa", 9*h), change(2, "192.0.2.1", "throttle", h)}, 0, "192.0.2.1", verdict(decisions.Throttle, 2, h)},
		{"unknown type alone", []decisions.Change{change(1, "192.0.2.1", "mfa", h)}, 0, "192.0.2.1", verdict(decisions.Other, 1, h)},
		{"wider ban over exact captcha", []decisions.Change{change(1, "192.0.2.1", "captcha", h), change(2, "192.0.0.0/16", "ban", h), change(3, "192.0.2.0/24", "throttle", h)},
			0, "192.0.2.1", verdict(decisions.Ban, 2, h)},
		{"deleted", []decisions.Change{change(1, "192.0.2.1", "ban", h), gone(change(1, "192.0.2.1", "ban", h))}, 0, "192.0.2.1", decisions.Verdict{}},
		{"made again in one batch", []decisions.Change{gone(change(1, "192.0.2.1", "ban", h)), change(1, "192.0.2.1", "ban", 3*h)}, 0, "192.0.2.1", verdict(decisions.Ban, 1, 3*h)},
		{"prolonged", []decisions.Change{change(1, "192.0.2.1", "ban", h), change(1, "192.0.2.1", "ban", 2*h)}, h, "192.0.2.1", verdict(decisions.Ban, 1, 2*h)},
		{"range prolonged", []decisions.Change{change(1, "2001:db8::/64", "ban", h), change(1, "2001:db8::/64", "ban", 2*h)}, h, "2001:db8::1", verdict(decisions.Ban, 1, 2*h)},
		{"country is not looked up", []decisions.Change{{Decision: decisions.Decision{ID: 1, Scope: "Country", Value: "FR", Type: "ban", Until: start.Add(h)}}}, 0, "192.0.2.1", decisions.Verdict{}},
		{"invalid address", []decisions.Change{change(1, "192.0.2.1", "ban", h)}, 0, "", decisions.Verdict{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, oneByOne := range []bool{false, true} {
				c := newClock()
				s := setOf(c, tc.changes, oneByOne)
				c.Advance(tc.after)
				var a netip.Addr
				if tc.ask != "" {
					a = addr(tc.ask)
				}
				if d := cmp.Diff(tc.want, utc(s.Lookup(a))); d != "" {
					t.Errorf("one by one %v: %s", oneByOne, d)
				}
				if d := cmp.Diff(tc.want, utc(s.LookupAt(a, c.Now()))); d != "" {
					t.Errorf("LookupAt, one by one %v: %s", oneByOne, d)
				}
			}
		})
	}
}

// setOf returns a set after changes, made in one step or in as many as there are.
func setOf(c *testkit.Clock, changes []decisions.Change, oneByOne bool) *decisions.Set {
	s := decisions.NewSet(nil, c.Now)
	if !oneByOne {
		s.Apply(slices.Clone(changes))
		return s
	}
	for _, ch := range changes {
		s.Apply([]decisions.Change{ch})
	}
	return s
}

func TestSetLeavesOutWhatIsNotEnforced(t *testing.T) {
	c := newClock()
	s := decisions.NewSet(nil, c.Now)
	base := change(1, "192.0.2.1", "ban", time.Hour)
	for name, mark := range map[string]func(*decisions.Decision){
		"simulated":  func(d *decisions.Decision) { d.Simulated = true },
		"suppressed": func(d *decisions.Decision) { d.Suppressed = true },
		"over":       func(d *decisions.Decision) { d.Until = start },
		"no type":    func(d *decisions.Decision) { d.Type = "" },
	} {
		s.Apply([]decisions.Change{base})
		ch := base
		mark(&ch.Decision)
		s.Apply([]decisions.Change{ch})
		if v := s.Lookup(addr("192.0.2.1")); v != (decisions.Verdict{}) || s.Len() != 0 {
			t.Errorf("%s: %+v, %d kept", name, v, s.Len())
		}
	}
}

// model is the set as anybody would write it.
type model struct{ list []decisions.Decision }

func (m *model) apply(cs []decisions.Change, now time.Time) {
	for _, c := range cs {
		m.list = slices.DeleteFunc(m.list, func(d decisions.Decision) bool { return d.ID == c.Decision.ID })
		if !c.Gone && c.Decision.Until.After(now) {
			m.list = append(m.list, c.Decision)
		}
	}
}

var order = map[string]int{"ban": 4, "captcha": 3, "throttle": 2, "mfa": 1}

func (m *model) lookup(a netip.Addr, now time.Time) (best decisions.Decision) {
	a = a.Unmap().WithZone("")
	for _, d := range m.list {
		if !d.Until.After(now) {
			continue
		}
		p, err := netip.ParsePrefix(d.Value)
		if err != nil {
			x := addr(d.Value)
			p = netip.PrefixFrom(x, x.BitLen())
		}
		if !p.Contains(a) {
			continue
		}
		x, y := order[d.Type], order[best.Type]
		if x > y || x == y && (d.Until.After(best.Until) || d.Until.Equal(best.Until) && d.ID < best.ID) {
			best = d
		}
	}
	return best
}

// space draws values that collide often: a crowded /16 that gets pages of its own
// for /24s, scattered addresses, nested ranges, IPv6.
type space struct{ r *rand.Rand }

func (s space) addr() netip.Addr {
	r := s.r
	switch r.IntN(6) {
	case 0, 1:
		return netip.AddrFrom4([4]byte{10, 1, byte(r.IntN(4)), byte(r.IntN(256))})
	case 2:
		return netip.AddrFrom4([4]byte{10, 1, byte(r.IntN(256)), 7})
	case 3:
		return netip.AddrFrom4([4]byte{byte(r.IntN(3)), byte(r.IntN(2)), 0, byte(r.IntN(3))})
	case 4:
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(r.IntN(3)), 15: byte(r.IntN(4))})
	}
	return netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 10, 13: 1, 14: byte(r.IntN(4)), 15: byte(r.IntN(256))})
}

func (s space) value() string {
	a := s.addr()
	if s.r.IntN(4) > 0 {
		return a.String()
	}
	bits := []int{8, 15, 16, 22, 24, 25, 31, 32}
	if a = a.Unmap(); a.Is6() {
		bits = []int{16, 48, 63, 64, 65, 127, 128}
	}
	return netip.PrefixFrom(a, bits[s.r.IntN(len(bits))]).Masked().String()
}

func TestSetAgainstModel(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			c := newClock()
			set, m := decisions.NewSet(nil, c.Now), &model{}
			sp := space{r}
			stop := readBeside(t, set, c, sp)
			defer stop()
			nextID := int64(0)
			for step := range 200 {
				var batch []decisions.Change
				n := 1
				if r.IntN(12) == 0 {
					n = 1 + r.IntN(200)
				}
				for range n {
					batch = append(batch, randomChange(r, sp, m, c, &nextID))
				}
				m.apply(batch, c.Now())
				set.Apply(batch)
				c.Advance(time.Duration(r.IntN(4000)) * time.Millisecond)
				if step%10 == 9 {
					expireModel(m, set, c)
				}
				for range 40 {
					a := sp.addr()
					want, got := m.lookup(a, c.Now()), set.Lookup(a)
					if want.ID != got.ID || want.ID != 0 && !want.Until.Equal(got.Until) || want.Action() != got.Action || want.Direct != got.Direct {
						t.Fatalf("step %d: %s: got %+v, want %+v", step, a, got, want)
					}
				}
			}
			c.Advance(time.Hour)
			expireModel(m, set, c)
			if set.Len() != 0 || len(m.list) != 0 {
				t.Errorf("when all is over the set has %d, the model %d", set.Len(), len(m.list))
			}
		})
	}
}

func randomChange(r *rand.Rand, sp space, m *model, c *testkit.Clock, nextID *int64) decisions.Change {
	if len(m.list) > 0 && r.IntN(3) == 0 {
		d := m.list[r.IntN(len(m.list))]
		if r.IntN(2) == 0 {
			return decisions.Change{Gone: true, Decision: d}
		}
		d.Until = d.Until.Add(time.Duration(r.IntN(60)) * time.Second)
		return decisions.Change{Decision: d}
	}
	*nextID++
	d := decisions.Decision{
		ID: *nextID, Value: sp.value(), Type: []string{"ban", "captcha", "throttle", "mfa"}[r.IntN(4)],
		Created: c.Now(), Until: c.Now().Add(time.Duration(r.IntN(300)) * time.Second), Direct: r.IntN(2) == 0,
	}
	return decisions.Change{Decision: normal(d)}
}

// expireModel removes from both what is over, as the journal does.
func expireModel(m *model, set *decisions.Set, c *testkit.Clock) {
	var out []decisions.Change
	for _, d := range m.list {
		if !d.Until.After(c.Now()) {
			out = append(out, decisions.Change{Gone: true, Decision: d})
		}
	}
	m.apply(out, c.Now())
	set.Apply(out)
}

// readBeside looks up all the time, for the race detector, and checks that what
// is over is never an answer.
func readBeside(t *testing.T, set *decisions.Set, c *testkit.Clock, sp space) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 1 {
		own := space{rand.New(rand.NewPCG(sp.r.Uint64(), 2))}
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				runtime.Gosched()
				before := c.Now()
				if v := set.Lookup(own.addr()); v.ID != 0 && !v.Until.After(before) {
					t.Errorf("at %s answered with what ended at %s", before, v.Until)
					return
				}
			}
		})
	}
	return func() { close(done); wg.Wait() }
}

func TestLookupAllocatesNothing(t *testing.T) {
	allow := decisions.NewAllow(time.Now)
	must(t, allow.Add(decisions.AllowEntry{Prefix: prefix("198.51.100.0/24"), Until: time.Now().Add(time.Hour)}))
	s := decisions.NewSet(allow, time.Now)
	until := time.Since(start) + time.Hour
	s.Apply([]decisions.Change{
		change(1, "192.0.2.1", "ban", until), change(2, "192.0.0.0/16", "captcha", until),
		change(3, "192.0.2.0/24", "captcha", until), change(4, "2001:db8::/64", "ban", until), change(5, "2001:db8::/48", "ban", until),
	})
	for _, text := range []string{"192.0.2.1", "192.0.2.2", "203.0.113.1", "198.51.100.7", "2001:db8::1", "2001:db9::1", "::ffff:192.0.2.1"} {
		a := addr(text)
		if n := testing.AllocsPerRun(100, func() { s.Lookup(a) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}
