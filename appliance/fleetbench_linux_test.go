package appliance

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// BenchmarkFleetVisit is what a request costs on a node of a fleet against one on its
// own, in turns so that both see the same machine: the time of the request's own
// thread, and of the whole process, which sends the pours to Redis too.
func BenchmarkFleetVisit(b *testing.B) {
	r := redistest.Start(b, redistest.Options{})
	alone, shared := open(b, Config{}), open(b, member("a", r.Addr(), Config{}))
	ready(b, shared)
	const rounds, many = 41, 4000
	var path, whole [2][]float64
	var redis, poured float64
	for b.Loop() {
		for round := range rounds {
			for i, a := range []*Appliance{alone, shared} {
				before, asked := r.CPU(), pours(shared)
				p, w := pass(b, a, many)
				if round == 0 { // warm
					continue
				}
				path[i], whole[i] = append(path[i], p), append(whole[i], w)
				if i == 1 {
					redis += float64((r.CPU() - before).Nanoseconds()) / many
					poured += float64(pours(shared)-asked) / many
				}
			}
		}
	}
	n := float64(len(path[0]))
	middle := func(list []float64) float64 {
		slices.Sort(list)
		return list[len(list)/2]
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(middle(path[0]), "alone-path-ns/req")
	b.ReportMetric(middle(path[1]), "fleet-path-ns/req")
	b.ReportMetric((middle(path[1])/middle(path[0])-1)*100, "path-adds-%")
	b.ReportMetric(middle(whole[0]), "alone-ns/req")
	b.ReportMetric(middle(whole[1]), "fleet-ns/req")
	b.ReportMetric(redis/n, "redis-ns/req")
	b.ReportMetric(poured/n, "pours/req")
}

// pours is how many a node has sent to Redis.
func pours(a *Appliance) int64 {
	s := a.live.Load().state.buckets.shared.Load().Stats()
	return s.Poured + s.Discarded + s.Cancelled
}

// pass takes page views through, one in ten of a page that is not there, and returns
// the ns that a view took of its own thread and of the process until all was done.
func pass(b *testing.B, a *Appliance, many int) (path, whole float64) {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	targets := []string{"/", "/index.html", "/blog/2024/a-post?page=2", "/static/app.js", "/img/logo.png", "/api/items?limit=50"}
	reqs := make([]*http.Request, 7*len(targets))
	for i := range reqs {
		reqs[i] = request(targets[i%len(targets)])
		reqs[i].Header.Set("User-Agent", fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/%[1]d.0", 128+i%7))
	}
	h := http.Header{}
	before, begin := testkit.Spent(b), thread(b)
	for i := range many {
		c := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		v := a.Begin(reqs[i%len(reqs)], Arrival{Client: c, Peer: c})
		status := http.StatusOK
		if i%10 == 9 {
			status = http.StatusNotFound
		}
		v.End(status, 1000, h)
	}
	path = float64((thread(b) - begin).Nanoseconds()) / float64(many)
	if s := a.live.Load().state.buckets.shared.Load(); s != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Drain(ctx); err != nil {
			b.Fatal(err)
		}
		if st := s.Stats(); st.Dropped+st.Failed+st.Untaken > 0 {
			b.Fatalf("pours went elsewhere: %+v", st)
		}
	}
	return path, float64((testkit.Spent(b) - before).Nanoseconds()) / float64(many)
}

// thread is the processor time of the thread that asks.
func thread(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
