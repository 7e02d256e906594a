package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

const benchList = 1_000_000

// BenchmarkJournalList brings a list of a million addresses to a node that has none,
// and one with a hundredth replaced to a node that has the former. Bytes are those
// between that node and Redis.
func BenchmarkJournalList(b *testing.B) {
	for _, replaced := range []int{-1, benchList / 100} {
		name := "fresh"
		if replaced >= 0 {
			name = "refresh"
		}
		b.Run(name, func(b *testing.B) {
			s := redistest.Start(b, redistest.Options{})
			owner := newMember(b, 1, at(s.Addr()), nil)
			joined(b, owner)
			version := int64(1)
			if err := owner.j.PutList(blocklist(b, "large", version, benchList, 0)); err != nil {
				b.Fatal(err)
			}
			joined(b, owner)
			var took time.Duration
			var bytes int64
			for b.Loop() {
				p := redistest.NewProxy(b, s.Addr())
				begin := time.Now()
				m := newMember(b, 2, at(p.Addr()), nil)
				within(b, "the list", func() bool { return has(m, "large", version) })
				if replaced >= 0 {
					version++
					next := blocklist(b, "large", version, benchList, replaced)
					_, before := p.Bytes()
					begin = time.Now()
					if err := owner.j.PutList(next); err != nil {
						b.Fatal(err)
					}
					within(b, "the next version", func() bool { return has(m, "large", version) })
					took += time.Since(begin)
					_, after := p.Bytes()
					bytes += after - before
				} else {
					took += time.Since(begin)
					_, n := p.Bytes()
					bytes += n
				}
				m.stop()
			}
			b.ReportMetric(took.Seconds()/float64(b.N), "s/list")
			b.ReportMetric(float64(bytes)/float64(b.N), "bytes/list")
		})
	}
}

// BenchmarkJournalReconcile brings 100,000 decisions to a node that has none.
func BenchmarkJournalReconcile(b *testing.B) {
	const many = 100_000
	s := redistest.Start(b, redistest.Options{})
	owner := newMember(b, 1, at(s.Addr()), nil)
	joined(b, owner)
	begin := time.Now()
	for i := 0; i < many; i += 1000 {
		ds := make([]decisions.Decision, 1000)
		for k := range ds {
			n := i + k
			ds[k] = decisions.Decision{
				Value: fmt.Sprintf("11.%d.%d.%d", n>>16, n>>8&255, n&255), Type: "ban", Origin: "cscli", Scenario: "bench", Until: time.Now().Add(time.Hour),
			}
		}
		if err := owner.j.Append(nil, ds); err != nil {
			b.Fatal(err)
		}
	}
	joined(b, owner)
	sent := time.Since(begin)
	var took time.Duration
	var bytes int64
	for b.Loop() {
		p := redistest.NewProxy(b, s.Addr())
		begin := time.Now()
		m := newMember(b, 2, at(p.Addr()), nil)
		within(b, "all of them", func() bool { return m.book.Stats().Decisions == many })
		took += time.Since(begin)
		_, n := p.Bytes()
		bytes += n
		m.stop()
	}
	b.ReportMetric(sent.Seconds(), "s-to-send")
	b.ReportMetric(took.Seconds()/float64(b.N), "s/reconcile")
	b.ReportMetric(float64(bytes)/float64(b.N), "bytes/reconcile")
}
