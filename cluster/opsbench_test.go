package cluster

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// BenchmarkJournalOps makes decisions one by one on one node of a fleet, and waits
// until all nodes have them: what one costs Redis, with so many nodes that read.
func BenchmarkJournalOps(b *testing.B) {
	for _, nodes := range []int{1, 4} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			s := redistest.Start(b, redistest.Options{})
			ms := make([]*member, nodes)
			for i := range ms {
				ms[i] = newMember(b, i+1, at(s.Addr()), nil)
			}
			joined(b, ms...)
			before := s.CPU()
			in, out := wire(s)
			for i := range b.N {
				ds := []decisions.Decision{{
					Value: fmt.Sprintf("11.%d.%d.%d", i>>16, i>>8&255, i&255), Type: "ban", Origin: "rampart", Scenario: "bench", Until: time.Now().Add(time.Hour),
				}}
				if err := ms[0].j.Append(nil, ds); err != nil {
					b.Fatal(err)
				}
				if i%64 == 63 {
					time.Sleep(10 * time.Millisecond) // some at a time, as alerts come
				}
			}
			for _, m := range ms {
				within(b, "all of them", func() bool { return m.book.Stats().Decisions == b.N })
			}
			in2, out2 := wire(s)
			b.ReportMetric(float64((s.CPU()-before).Nanoseconds())/1000/float64(b.N), "redis-µs/op")
			b.ReportMetric((in2-in)/float64(b.N), "bytes-in/op")
			b.ReportMetric((out2-out)/float64(b.N), "bytes-out/op")
		})
	}
}

// BenchmarkJournalCopy is the memory that a node has for its copy of 100,000
// decisions, and of a list of a million addresses.
func BenchmarkJournalCopy(b *testing.B) {
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	const many = 100_000
	m := newMember(b, 1, at(redistest.Start(b, redistest.Options{}).Addr()), nil)
	joined(b, m)
	for b.Loop() { // one is all there is
	}
	before := heap()
	for i := 0; i < many; i += 1000 {
		ds := make([]decisions.Decision, 1000)
		for k := range ds {
			n := i + k
			ds[k] = decisions.Decision{
				Value: fmt.Sprintf("11.%d.%d.%d", n>>16, n>>8&255, n&255), Type: "ban", Origin: "rampart", Scenario: "bench", Until: time.Now().Add(time.Hour),
			}
		}
		if err := m.j.Append(nil, ds); err != nil {
			b.Fatal(err)
		}
	}
	joined(b, m)
	after := heap()
	b.ReportMetric((after-before)/many, "B/decision")
	if err := m.j.PutList(blocklist(b, "large", 1, benchList, 0)); err != nil {
		b.Fatal(err)
	}
	joined(b, m)
	within(b, "the list", func() bool { return has(m, "large", 1) })
	b.ReportMetric((heap()-after)/benchList, "B/address")
	b.ReportMetric(0, "ns/op")
	runtime.KeepAlive(m)
}
