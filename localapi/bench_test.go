package localapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// nobody takes an answer and counts its bytes.
type nobody struct {
	header http.Header
	n      int64
}

func (w *nobody) Header() http.Header         { return w.header }
func (w *nobody) Write(p []byte) (int, error) { w.n += int64(len(p)); return len(p), nil }
func (w *nobody) WriteHeader(int)             {}
func (w *nobody) Flush()                      {}

// asks is a request of the first bouncer's, to be sent again and again.
func (b *booth) asks(uri string) func() int64 {
	r := httptest.NewRequest("GET", uri, http.NoBody)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-Api-Key", boothKey)
	r.Header.Set("User-Agent", "bench/1.0")
	return func() int64 {
		w := &nobody{header: http.Header{}}
		b.handler.ServeHTTP(w, r)
		return w.n
	}
}

const million = 1_000_000

// fill makes a million decisions of our own, or as many entries of a list.
func (b *booth) fill(own bool) {
	b.tb.Helper()
	now := b.clock.Now()
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}) }
	if !own {
		ps := make([]netip.Prefix, million)
		for i := range ps {
			ps[i] = netip.PrefixFrom(address(i), 32)
		}
		l, _, err := decisions.NewBlocklist(decisions.ListHead{Name: "many", Type: "ban", Created: now, Until: now.Add(24 * time.Hour)}, ps)
		b.must(err)
		b.must(b.book.PutList(l))
		return
	}
	const step = 10_000
	for from := 0; from < million; from += step {
		ds := make([]decisions.Decision, step)
		for i := range ds {
			ds[i] = decisions.Decision{Scope: "Ip", Value: address(from + i).String(), Type: "ban", Origin: "cscli", Scenario: "import", Until: now.Add(24 * time.Hour)}
		}
		b.must(b.book.Append(nil, ds))
	}
}

// BenchmarkStream: all of a million decisions, ten changes of them, and none.
func BenchmarkStream(b *testing.B) {
	for _, kind := range []string{"own", "list"} {
		o := openBooth(b, decisions.BookOptions{MaxDecisions: 2 * million})
		o.fill(kind == "own")
		startup, delta := o.asks("/v1/decisions/stream?startup=true"), o.asks("/v1/decisions/stream")
		b.Run(kind+"/startup", func(b *testing.B) {
			b.ReportAllocs()
			n := int64(0)
			for b.Loop() {
				n = startup()
			}
			b.SetBytes(n)
		})
		b.Run(kind+"/delta of 10", func(b *testing.B) {
			startup()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				b.StopTimer()
				n++
				ds := make([]decisions.Decision, 10)
				for i := range ds {
					ds[i] = decisions.Decision{Scope: "Ip", Value: fmt.Sprintf("30.%d.%d.%d", n>>8&255, n&255, i), Type: "ban", Origin: "cscli",
						Scenario: "s", Until: o.clock.Now().Add(time.Hour)}
				}
				o.must(o.book.Append(nil, ds))
				b.StartTimer()
				if delta() < 1000 {
					b.Fatal("nothing told")
				}
			}
		})
		b.Run(kind+"/delta of none", func(b *testing.B) {
			delta()
			b.ReportAllocs()
			for b.Loop() {
				delta()
			}
		})
		hit, miss := o.asks("/v1/decisions?ip=20.1.2.3"), o.asks("/v1/decisions?ip=40.1.2.3")
		b.Run(kind+"/live hit", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if hit() < 100 {
					b.Fatal("not found")
				}
			}
		})
		b.Run(kind+"/live miss", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if miss() != 4 {
					b.Fatal("found")
				}
			}
		})
	}
}
