package decisions_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// gatherer is a desk with an aggregator.
type gatherer struct {
	*desk
	*decisions.Aggregator
	leads bool
}

func newGatherer(t *testing.T) *gatherer {
	g := &gatherer{desk: openDesk(t, decisions.BookOptions{}), leads: true}
	g.begin()
	return g
}

// begin opens the aggregator anew, with the defaults.
func (g *gatherer) begin() {
	g.t.Helper()
	var err error
	g.Aggregator, err = decisions.OpenAggregator(decisions.AggregateOptions{Book: g.Book, DB: g.db, Now: g.now, Leads: func() bool { return g.leads }})
	must(g.t, err)
	c, err := decisions.AggregateConfig{}.Complete()
	must(g.t, err)
	g.Use(&c)
}

// bans makes bans of n addresses that format makes of numbers.
func (g *gatherer) bans(format string, n int, left time.Duration) {
	g.t.Helper()
	for i := range n {
		ds := []decisions.Decision{{Value: fmt.Sprintf(format, i+1), Type: "ban", Origin: "test", Scenario: "s", Host: "a.example", Until: g.clock.Now().Add(left), Direct: true}}
		must(g.t, g.Append(nil, ds))
	}
}

// ranges are the bans of ranges of ours in force.
func (g *gatherer) ranges() []string {
	g.Step()
	out := []string{}
	for _, d := range g.List(decisions.Filter{Origin: decisions.OriginAggregate, Active: true}) {
		out = append(out, d.Value)
	}
	slices.Sort(out)
	return out
}

func (g *gatherer) expect(when string, want ...string) {
	g.t.Helper()
	if d := cmp.Diff(append([]string{}, want...), g.ranges()); d != "" {
		g.t.Errorf("%s: %s", when, d)
	}
}

func TestAggregateMakesRanges(t *testing.T) {
	g := newGatherer(t)
	g.bans("192.0.2.%d", 7, 2*time.Hour)
	g.bans("192.0.2.%d", 7, 3*time.Hour) // the same ones again
	g.expect("seven are too few")
	g.clock.Advance(time.Minute)
	must(t, g.Append(nil, []decisions.Decision{{Value: "192.0.2.200", Type: "ban", Origin: "test", Scenario: "other", Until: g.clock.Now().Add(time.Hour)}}))
	g.expect("eight", "192.0.2.0/24")
	d := g.List(decisions.Filter{Origin: decisions.OriginAggregate})[0]
	if d.Direct || d.Host != "" || d.Scenario != decisions.OriginAggregate || d.Type != "ban" || d.Scope != "Range" || !d.Until.Equal(start.Add(3*time.Hour)) {
		t.Errorf("decision %+v", d)
	}
	if got := g.action("192.0.2.77"); got != decisions.Ban {
		t.Errorf("a neighbour: %s", got)
	}
	a, ok := g.Alert(d.AlertID)
	if !ok || a.Scenario != decisions.OriginAggregate || a.EventsCount != 8 || len(a.Events) != 8 || a.GetScope() != "Range" || a.GetValue() != "192.0.2.0/24" ||
		!strings.Contains(a.GetMeta("members"), `"192.0.2.200"`) || a.Events[7].GetMeta("scenario") != "other" || a.Message != "8 addresses of 192.0.2.0/24 were banned within 1h0m0s" {
		t.Errorf("alert %+v", a)
	}
	g.bans("192.0.2.1%d", 9, 3*time.Hour)
	g.expect("more of them change nothing", "192.0.2.0/24")
	if s := g.Aggregator.Stats(); s.Made != 1 || s.Ranges != 1 || s.Members != 17 {
		t.Errorf("%+v", s)
	}
	g.bans("192.0.2.2%d", 1, 9*time.Hour)
	g.expect("one that is banned for much longer prolongs it", "192.0.2.0/24")
	if next := g.List(decisions.Filter{Origin: decisions.OriginAggregate}); len(next) != 1 || next[0].ID != d.ID || !next[0].Until.After(start.Add(8*time.Hour)) {
		t.Errorf("decisions %+v", next)
	}
}

func TestAggregateAllDirect(t *testing.T) {
	g := newGatherer(t)
	g.bans("198.51.100.%d", 8, time.Hour)
	g.expect("eight", "198.51.100.0/24")
	if d := g.List(decisions.Filter{Origin: decisions.OriginAggregate})[0]; !d.Direct || d.Host != "a.example" {
		t.Errorf("decision %+v", d)
	}
}

func TestAggregateIPv6(t *testing.T) {
	g := newGatherer(t)
	g.bans("2001:db8:0:1::%x", 9, time.Hour) // one subscriber, once
	g.expect("one /64")
	g.bans("2001:db8:0:1%02x::/64", 8, time.Hour)
	g.expect("eight of one /56", "2001:db8:0:100::/56")
	for i := range 7 {
		g.bans(fmt.Sprintf("2001:db8:0:%x%%02x::5", i+2), 8, time.Hour)
	}
	want := []string{}
	for i := range 8 {
		want = append(want, fmt.Sprintf("2001:db8:0:%x00::/56", i+1))
	}
	g.expect("eight of them", want...)
	g.expect("make a /48", append(want, "2001:db8::/48")...)
}

// What does not count.
func TestAggregateLeavesOut(t *testing.T) {
	for name, do := range map[string]func(g *gatherer){
		"an allowed address in it":     func(g *gatherer) { must(g.t, g.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.250/32")})) },
		"somebody else leads":          func(g *gatherer) { g.leads = false },
		"it is off":                    func(g *gatherer) { g.Use(nil) },
		"too long ago":                 func(g *gatherer) { g.bans("192.0.2.%d", 4, 9*time.Hour); g.clock.Advance(61 * time.Minute) },
		"some were taken back":         func(g *gatherer) { g.bans("192.0.2.%d", 3, time.Hour); g.Step(); g.end("192.0.2.1") },
		"it is banned anyway":          func(g *gatherer) { g.ban("192.0.0.0/16", "ban", 9*time.Hour) },
		"the allowlist covers some":    func(g *gatherer) { must(g.t, g.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.4/30")})) },
		"it was banned for long, once": func(g *gatherer) { g.ban("192.0.2.0/24", "ban", 9*time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGatherer(t)
			do(g)
			from, n := "192.0.2.%d", 8
			if strings.HasPrefix(name, "too long") || strings.HasPrefix(name, "some were") {
				from, n = "192.0.2.10%d", 5
			}
			g.bans(from, n, time.Hour)
			g.expect(name)
		})
	}
}

// end deletes what is against a value.
func (g *gatherer) end(value string) {
	g.t.Helper()
	ds, err := g.Delete(decisions.Filter{Value: value}, "ann")
	must(g.t, err)
	if len(ds) == 0 {
		g.t.Fatalf("nothing against %s", value)
	}
}

func TestAggregateLeavesOutOtherDecisions(t *testing.T) {
	g := newGatherer(t)
	for i := range 20 {
		v := fmt.Sprintf("192.0.2.%d", i)
		until := start.Add(time.Hour)
		must(t, g.Append(nil, []decisions.Decision{{Value: v, Type: "captcha", Until: until}, {Value: v, Type: "ban", Simulated: true, Until: until},
			{Scope: "Country", Value: "FR", Type: "ban", Until: until}, {Value: fmt.Sprintf("192.0.%d.0/24", i), Type: "ban", Until: until}}))
	}
	l, _, err := decisions.NewBlocklist(decisions.ListHead{Name: "l", Type: "ban", Created: start, Until: start.Add(time.Hour)}, []netip.Prefix{
		prefix("203.0.113.1/32"), prefix("203.0.113.2/32"), prefix("203.0.113.3/32"), prefix("203.0.113.4/32"), prefix("203.0.113.5/32"),
		prefix("203.0.113.6/32"), prefix("203.0.113.7/32"), prefix("203.0.113.8/32"), prefix("203.0.113.9/32")})
	must(t, err)
	must(t, g.PutList(l))
	g.expect("captchas, simulated ones, countries, ranges, lists")
}

// TestAggregateDeleted: to delete a range is final, for as long as bans count, also
// across a restart, and on a node that does not lead.
func TestAggregateDeleted(t *testing.T) {
	g := newGatherer(t)
	g.bans("192.0.2.%d", 8, 9*time.Hour)
	g.expect("eight", "192.0.2.0/24")
	g.Step()
	g.end("192.0.2.0/24")
	g.bans("192.0.2.2%d", 3, 9*time.Hour)
	g.expect("deleted")
	g.restart()
	g.begin()
	g.clock.Advance(50 * time.Minute)
	g.bans("192.0.2.3%d", 9, 9*time.Hour)
	g.expect("after a restart")
	g.clock.Advance(11 * time.Minute)
	g.bans("192.0.2.4%d", 1, 9*time.Hour)
	g.expect("when that is over", "192.0.2.0/24")
	g.clock.Advance(10 * time.Hour)
	g.Expire(g.clock.Now())
	g.expect("over by itself")
	g.bans("192.0.2.%d", 8, time.Hour)
	g.expect("which does not mean that somebody deleted it", "192.0.2.0/24")
	if s := g.Aggregator.Stats(); s.Deleted != 0 {
		t.Errorf("%+v", s)
	}
}

// TestAggregateRestart: the same again makes nothing again.
func TestAggregateRestart(t *testing.T) {
	g := newGatherer(t)
	g.bans("192.0.2.%d", 9, 3*time.Hour)
	g.leads = false
	g.expect("another leads")
	g.leads = true
	g.expect("now it is this one", "192.0.2.0/24")
	g.restart()
	g.begin()
	g.expect("after a restart", "192.0.2.0/24")
	if s := g.Aggregator.Stats(); s.Made != 0 || len(g.List(decisions.Filter{Origin: decisions.OriginAggregate})) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAggregateConfig(t *testing.T) {
	for text, c := range map[string]decisions.AggregateConfig{
		"":                  {Count: 2, Within: time.Minute, Prefix4: 16, Prefixes6: []int{60, 56, 48, 32}},
		"count 1":           {Count: 1},
		"within 1s":         {Within: time.Second},
		"IPv4 prefix 12":    {Prefix4: 12},
		"IPv4 prefix 32":    {Prefix4: 32},
		"IPv6 prefixes [48": {Prefixes6: []int{48, 56}},
		"IPv6 prefixes [56": {Prefixes6: []int{56, 56}},
		"IPv6 prefixes [64": {Prefixes6: []int{64}},
		"IPv6 prefixes [24": {Prefixes6: []int{24}},
		"nothing wider":     {Widest4: 4},
	} {
		_, err := c.Complete()
		if (err == nil) != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestAggregateRun(t *testing.T) {
	g := newGatherer(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); g.Run(ctx) }()
	g.bans("192.0.2.%d", 8, 3*time.Hour)
	deadline := time.Now().Add(20 * time.Second)
	for g.Aggregator.Stats().Made == 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	<-ended
	if s := g.Aggregator.Stats(); s.Made != 1 {
		t.Errorf("%+v", s)
	}
}

// TestAggregateModel holds it to a naive look at everything, after random changes.
func TestAggregateModel(t *testing.T) {
	for seed := range uint64(20) {
		g := newGatherer(t)
		r := rand.New(rand.NewPCG(seed, 7))
		deleted := map[string]time.Time{}
		allowed := map[string]bool{}
		for range 400 {
			value := fmt.Sprintf("192.0.%d.%d", r.IntN(3), r.IntN(12))
			fresh := false // value has its first ban
			switch r.IntN(20) {
			case 0:
				g.clock.Advance(time.Duration(r.IntN(40)) * time.Minute)
				g.Expire(g.clock.Now())
			case 1:
				_, err := g.Delete(decisions.Filter{Value: value}, "ann")
				must(t, err)
			case 2:
				if l := g.List(decisions.Filter{Origin: decisions.OriginAggregate, Active: true}); len(l) > 0 {
					g.Step()
					g.end(l[0].Value)
					deleted[l[0].Value] = g.clock.Now()
				}
			case 3:
				if p := value + "/32"; !allowed[p] && r.IntN(4) == 0 {
					must(t, g.allow.Add(decisions.AllowEntry{Prefix: prefix(p)}))
					allowed[p] = true
				} else if allowed[p] {
					must(t, g.allow.Remove(prefix(p)))
					delete(allowed, p)
				}
			default:
				fresh = len(g.List(decisions.Filter{Value: value})) == 0
				g.ban(value, "ban", time.Duration(30+r.IntN(200))*time.Minute)
			}
			before := map[string]bool{}
			for _, d := range g.List(decisions.Filter{Origin: decisions.OriginAggregate, Active: true}) {
				before[d.Value] = true
			}
			after := g.ranges()
			for i := range 3 {
				p := fmt.Sprintf("192.0.%d.0/24", i)
				at, ok := deleted[p]
				if ok && g.clock.Now().Sub(at) < time.Hour && slices.Contains(after, p) {
					t.Fatalf("seed %d: %s is back", seed, p)
				}
				if slices.Contains(after, p) && !before[p] && !g.ripe(p) {
					t.Fatalf("seed %d: %s was banned for no reason", seed, p)
				}
				if fresh && prefix(p).Contains(addr(value)) && g.ripe(p) && !slices.Contains(after, p) && (!ok || g.clock.Now().Sub(at) >= time.Hour) {
					t.Fatalf("seed %d: %s is not banned", seed, p)
				}
			}
		}
	}
}

// ripe reports whether a range may be banned, as one reads the rules.
func (g *gatherer) ripe(p string) bool {
	seen := map[string]bool{}
	for _, d := range g.List(decisions.Filter{Active: true, Type: "ban"}) {
		if d.Scope == "Ip" && prefix(p).Contains(addr(d.Value)) && g.clock.Now().Sub(d.Created) < time.Hour {
			seen[d.Value] = true
		}
	}
	return len(seen) >= 8 && !g.allow.Overlaps(prefix(p))
}

// TestAggregateRefusedRecords: what the disk has that makes no sense is left out.
func TestAggregateRefusedRecords(t *testing.T) {
	g := newGatherer(t)
	for key, value := range map[string]string{"junk": "12345678", "192.0.2.0/24": "short", "192.0.2.1/24": "\x00\x00\x01\xff\x00\x00\x00\x00", "10.0.0.0/24": "\xff\xff\xff\xff\xff\xff\xff\xff"} {
		must(t, g.db.Put("aggregate", key, []byte(value)))
	}
	g.begin()
	g.bans("192.0.2.%d", 8, time.Hour)
	g.expect("none of it counts", "192.0.2.0/24")
}

// TestAggregateRefusal: who records may have something against it.
func TestAggregateRefusal(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	g, err := decisions.OpenAggregator(decisions.AggregateOptions{Book: d.Book, DB: d.db, Now: d.now,
		Append: func(*event.Alert, []decisions.Decision) error { return decisions.ErrClosed }})
	must(t, err)
	c, err := decisions.AggregateConfig{Count: 2}.Complete()
	must(t, err)
	g.Use(&c)
	d.ban("192.0.2.1", "ban", time.Hour)
	d.ban("192.0.2.2", "ban", time.Hour)
	g.Step()
	if s := g.Stats(); s.Failed != 1 || s.Made != 0 {
		t.Errorf("%+v", s)
	}
}
