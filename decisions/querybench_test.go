package decisions_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/store"
)

// openCrowd returns a book for n decisions.
func openCrowd(b *testing.B, n int) *decisions.Book {
	b.Helper()
	db, err := store.Open(b.TempDir(), store.Options{})
	must(b, err)
	book, err := decisions.OpenBook(decisions.BookOptions{DB: db, MaxDecisions: n, MaxAlerts: n})
	must(b, err)
	b.Cleanup(func() {
		must(b, book.Close())
		must(b, db.Close())
	})
	return book
}

// crowdDecision is one of many: by 40 scenarios, of which most are common, four
// origins and three types; one in twenty is a range, and one in twenty of IPv6.
func crowdDecision(r *rand.Rand, until time.Time) decisions.Decision {
	d := decisions.Decision{
		Value: randomAddr4(r).String(), Type: decisions.TypeBan, Origin: decisions.OriginLocal, Until: until,
		Scenario: fmt.Sprintf("crowdsecurity/scenario-%d", min(r.IntN(40), r.IntN(40))),
	}
	switch r.IntN(20) {
	case 0:
		d.Value = netip.PrefixFrom(randomAddr4(r), 16+r.IntN(13)).Masked().String()
	case 1:
		d.Value = randomAddr6(r).String()
	}
	switch r.IntN(100) {
	case 0:
		d.Type = decisions.TypeCaptcha
	case 1, 2:
		d.Origin = "cscli"
	case 3:
		d.Simulated = true
	}
	return d
}

// latencies runs op and reports how long it took, in milliseconds: the median, the
// 99th of a hundred, and the processor time of one, since the machine may be busy.
func latencies(b *testing.B, op func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all []time.Duration
	b.ReportAllocs()
	cpu := threadTime()
	for b.Loop() {
		from := time.Now()
		op()
		all = append(all, time.Since(from))
	}
	cpu = threadTime() - cpu
	slices.Sort(all)
	const milli = float64(time.Millisecond)
	b.ReportMetric(float64(all[len(all)/2])/milli, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100])/milli, "p99-ms")
	b.ReportMetric(float64(cpu)/float64(len(all))/milli, "cpu-ms/op")
}

// BenchmarkQuery asks a book of a million decisions and a list of a million.
func BenchmarkQuery(b *testing.B) {
	const many = 1_000_000
	book, r := openCrowd(b, many), rand.New(rand.NewPCG(7, 7))
	until := time.Now().Add(24 * time.Hour)
	for n := 0; n < many; {
		ds := make([]decisions.Decision, 0, 1000)
		for range 1000 {
			ds = append(ds, crowdDecision(r, until))
		}
		must(b, book.Append(nil, ds))
		n = book.Stats().Decisions
	}
	must(b, book.Append(nil, []decisions.Decision{
		{Value: "FR", Scope: "Country", Type: "ban", Origin: "cscli", Scenario: "manual", Until: until}}))
	list, _, err := decisions.NewBlocklist(decisions.ListHead{Name: "crowd", Type: "ban", Created: time.Now(), Until: until}, randomList(r, many))
	must(b, err)
	must(b, book.PutList(list))
	must(b, book.Flush(b.Context()))
	some := slices.Collect(book.Query(decisions.Query{Limit: 1000}))
	one := func() decisions.Decision { return some[r.IntN(len(some))] }
	for _, tc := range []struct {
		name string
		q    func() decisions.Query
	}{
		{"id", func() decisions.Query { return decisions.Query{IDs: []int64{one().ID}} }},
		{"uuid", func() decisions.Query { return decisions.Query{UUIDs: []string{one().UUID}} }},
		{"100 uuids", func() decisions.Query {
			var q decisions.Query
			for range 100 {
				q.UUIDs = append(q.UUIDs, one().UUID)
			}
			return q
		}},
		{"value", func() decisions.Query { return decisions.Query{Value: one().Value} }},
		{"covering address", func() decisions.Query { return decisions.Query{Prefix: randomPrefix4(r)} }},
		{"within /20", func() decisions.Query {
			return decisions.Query{Prefix: netip.PrefixFrom(randomAddr4(r), 20), Within: true}
		}},
		{"scope", func() decisions.Query { return decisions.Query{Scopes: []string{"country"}} }},
		{"rare type and origin", func() decisions.Query {
			return decisions.Query{Types: []string{"captcha"}, Origins: []string{"cscli"}, Limit: 100}
		}},
		{"no such scenario", func() decisions.Query { return decisions.Query{Scenario: "nobody/nothing"} }},
		{"part of no scenario", func() decisions.Query { return decisions.Query{Contains: []string{"NOTHING"}} }},
		{"limit 100", func() decisions.Query { return decisions.Query{Limit: 100} }},
		{"limit 100 after half", func() decisions.Query { return decisions.Query{Limit: 100, After: many / 2} }},
		{"all", func() decisions.Query { return decisions.Query{} }},
	} {
		b.Run(tc.name, func(b *testing.B) {
			n := 0
			latencies(b, func() {
				for range book.Query(tc.q()) {
					n++
				}
			})
			b.ReportMetric(float64(n)/float64(b.N), "answers/op")
		})
	}
	b.Run("tally", func(b *testing.B) { latencies(b, func() { book.Tally() }) })
}

// BenchmarkAlerts asks a book of 100,000 alerts.
func BenchmarkAlerts(b *testing.B) {
	const many = 100_000
	book, r := openCrowd(b, 2*many), rand.New(rand.NewPCG(8, 8))
	for range many {
		d := crowdDecision(r, time.Now().Add(time.Hour))
		a := fullAlert()
		a.Scenario, a.Source = d.Scenario, &event.Source{Scope: "Ip", Value: d.Value}
		a.StartAt = time.Now().Add(-time.Duration(r.IntN(3600)) * time.Second).Format(time.RFC3339)
		ds := []decisions.Decision{d}
		if r.IntN(10) == 0 {
			ds = nil
		}
		must(b, book.Append(a, ds))
	}
	must(b, book.Flush(b.Context()))
	some := book.Alerts(decisions.AlertFilter{Limit: 1000})
	one := func() *event.Alert { return &some[r.IntN(len(some))] }
	yes, no := true, false
	for _, tc := range []struct {
		name string
		f    func() decisions.AlertFilter
	}{
		{"newest 100", func() decisions.AlertFilter { return decisions.AlertFilter{} }},
		{"value", func() decisions.AlertFilter { return decisions.AlertFilter{Value: one().Source.Value} }},
		{"scenario", func() decisions.AlertFilter { return decisions.AlertFilter{Scenario: "crowdsecurity/scenario-38"} }},
		{"no such scenario", func() decisions.AlertFilter { return decisions.AlertFilter{Scenario: "nobody/nothing"} }},
		{"covering address", func() decisions.AlertFilter { return decisions.AlertFilter{Prefix: randomPrefix4(r)} }},
		{"within /16", func() decisions.AlertFilter {
			return decisions.AlertFilter{Prefix: netip.PrefixFrom(randomAddr4(r), 16), Within: true}
		}},
		{"type and origin", func() decisions.AlertFilter {
			return decisions.AlertFilter{DecisionType: "captcha", Origin: "cscli"}
		}},
		{"in force, no such machine", func() decisions.AlertFilter {
			return decisions.AlertFilter{InForce: &yes, HideLists: true, Origin: "nobody"}
		}},
		{"without decision", func() decisions.AlertFilter { return decisions.AlertFilter{InForce: &no} }},
		{"started before all", func() decisions.AlertFilter {
			return decisions.AlertFilter{StartedBefore: time.Now().Add(-2 * time.Hour)}
		}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			n := 0
			latencies(b, func() { n += len(book.Alerts(tc.f())) })
			b.ReportMetric(float64(n)/float64(b.N), "answers/op")
		})
	}
}
