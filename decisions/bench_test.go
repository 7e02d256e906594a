package decisions_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/store"
)

// The population that docs/benchmarks.md speaks of.
const (
	bench4     = 1_000_000
	benchRange = 50_000
	bench6     = 50_000
)

func randomAddr4(r *rand.Rand) netip.Addr {
	x := r.Uint32()
	return netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)})
}

func randomAddr6(r *rand.Rand) netip.Addr {
	a, b := r.Uint64(), r.Uint64()
	out := [16]byte{0: 0x20, 1: 1}
	for i := range 6 {
		out[2+i] = byte(a >> (8 * i))
	}
	for i := range 8 {
		out[8+i] = byte(b >> (8 * i))
	}
	return netip.AddrFrom16(out)
}

// population returns a million single addresses, 50,000 ranges of /18 to /24 and
// 50,000 IPv6 addresses.
func population(r *rand.Rand) []decisions.Change {
	out := make([]decisions.Change, 0, bench4+benchRange+bench6)
	until := time.Now().Add(24 * time.Hour)
	add := func(scope, value string) {
		out = append(out, decisions.Change{Decision: decisions.Decision{
			ID: int64(len(out) + 1), Scope: scope, Value: value, Type: "ban", Created: time.Now(), Until: until,
		}})
	}
	for range bench4 {
		add("Ip", randomAddr4(r).String())
	}
	for range benchRange {
		add("Range", netip.PrefixFrom(randomAddr4(r), 18+r.IntN(7)).Masked().String())
	}
	for range bench6 {
		add("Ip", randomAddr6(r).String())
	}
	return out
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// threadTime is the CPU time of the calling thread: on a busy machine, and with a
// writer beside, the wall clock says little about a lookup.
func threadTime() time.Duration {
	const thisThread = 1
	var u syscall.Rusage
	if err := syscall.Getrusage(thisThread, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLookup looks up in the full set while a writer publishes a batch of
// 100 bans and the end of 100 others every 10 ms.
func BenchmarkLookup(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	all := population(r)
	db, err := store.Open(b.TempDir(), store.Options{})
	must(b, err)
	defer db.Close()
	book, err := decisions.OpenBook(decisions.BookOptions{DB: db, Allow: decisions.NewAllow(time.Now)})
	must(b, err)
	defer book.Close()
	set := book.Set() // as in production: with a ticker
	before := heap()
	set.Apply(all)
	perEntry := float64(heap()-before) / float64(set.Len())
	const many = 1 << 20
	hits := make([]netip.Addr, many)
	misses := make([]netip.Addr, many)
	for i := range many {
		hits[i] = addr(all[r.IntN(bench4)].Decision.Value)
		misses[i] = randomAddr4(r)
	}
	hits6 := make([]netip.Addr, bench6)
	for i := range hits6 {
		hits6[i] = addr(all[bench4+benchRange+i].Decision.Value)
	}
	for _, tc := range []struct {
		name  string
		addrs []netip.Addr
	}{
		{"hot hit", hits[:1024]}, {"hot other", misses[:1024]}, {"cold hit", hits}, {"cold other", misses}, {"v6 hit", hits6},
	} {
		b.Run(tc.name, func(b *testing.B) {
			stop := publishBeside(set)
			defer stop()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b.ReportAllocs()
			i, found := 0, 0
			cpu := threadTime()
			for b.Loop() {
				if i++; i == len(tc.addrs) {
					i = 0
				}
				if set.Lookup(tc.addrs[i]).Action == decisions.Ban {
					found++
				}
			}
			b.ReportMetric(float64(threadTime()-cpu)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(perEntry, "B/entry")
			b.ReportMetric(float64(found)/float64(b.N), "hits/op")
		})
	}
}

// publishBeside starts the writer of BenchmarkLookup. What it allocates is counted
// to the benchmark, but stays below one allocation per lookup.
func publishBeside(set *decisions.Set) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		r := rand.New(rand.NewPCG(7, 7))
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		var last []decisions.Change
		id := int64(1 << 32)
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			batch := make([]decisions.Change, 0, 200)
			for _, c := range last {
				batch = append(batch, gone(c))
			}
			last = nil
			for range 100 {
				id++
				last = append(last, decisions.Change{Decision: decisions.Decision{
					ID: id, Scope: "Ip", Value: randomAddr4(r).String(), Type: "ban", Created: time.Now(), Until: time.Now().Add(time.Hour),
				}})
			}
			set.Apply(append(batch, last...))
		}
	})
	return func() { close(done); wg.Wait() }
}

// BenchmarkPublish brings bans into the full set.
func BenchmarkPublish(b *testing.B) {
	r := rand.New(rand.NewPCG(2, 2))
	all := population(r)
	for _, tc := range []struct {
		name string
		n    int
		six  bool
	}{{"one v4", 1, false}, {"one v6", 1, true}, {"batch of 100,000 v4", 100_000, false}} {
		b.Run(tc.name, func(b *testing.B) {
			set := decisions.NewSet(nil, time.Now)
			set.Apply(all)
			fresh := make([]decisions.Change, 1<<18)
			for i := range fresh {
				a := randomAddr4(r)
				if tc.six {
					a = randomAddr6(r)
				}
				fresh[i].Decision = decisions.Decision{
					ID: int64(1<<32 + i), Scope: "Ip", Value: a.String(), Type: "ban", Created: time.Now(), Until: time.Now().Add(time.Hour),
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i+tc.n > len(fresh) {
					i = 0
				}
				set.Apply(fresh[i : i+tc.n])
				i += tc.n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*tc.n), "ns/ban")
		})
	}
}

func BenchmarkAllowContains(b *testing.B) {
	allow := decisions.NewAllow(time.Now)
	a := addr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		allow.Contains(a)
	}
}

// BenchmarkAppend records an alert with one decision, the disk writing behind.
func BenchmarkAppend(b *testing.B) {
	db, err := store.Open(b.TempDir(), store.Options{})
	must(b, err)
	defer db.Close()
	book, err := decisions.OpenBook(decisions.BookOptions{DB: db})
	must(b, err)
	defer book.Close()
	r := rand.New(rand.NewPCG(3, 3))
	b.ReportAllocs()
	for b.Loop() {
		a := fullAlert()
		a.IncidentID = ""
		ds := []decisions.Decision{{Value: randomAddr4(r).String(), Type: "ban", Until: time.Now().Add(time.Hour)}}
		if err := book.Append(a, ds); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(book.Stats().Blocked), "blocked")
}

// BenchmarkBookMemory fills a book with 100,000 bans, each with the alert that led
// to it, and collects garbage: objects and bytes that a ban costs, and processor
// time that a collection costs with them and, as idle-gc-cpu-ns, without.
func BenchmarkBookMemory(b *testing.B) {
	const bans = 100_000
	db, err := store.Open(b.TempDir(), store.Options{})
	must(b, err)
	defer db.Close()
	idle := collectionTime()
	before := memory()
	book, err := decisions.OpenBook(decisions.BookOptions{DB: db})
	must(b, err)
	defer book.Close()
	r := rand.New(rand.NewPCG(5, 5))
	mint := 0
	for range bans {
		a := fullAlert()
		mint++
		a.IncidentID = fmt.Sprintf("01J%023d", mint)
		ds := []decisions.Decision{{Value: randomAddr4(r).String(), Type: "ban", Until: time.Now().Add(time.Hour)}}
		must(b, book.Append(a, ds))
	}
	must(b, book.Flush(b.Context()))
	after := memory()
	for b.Loop() {
		runtime.GC()
	}
	busy := collectionTime()
	b.ReportMetric(float64(after.HeapObjects-before.HeapObjects)/bans, "objects/ban")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/bans, "B/ban")
	b.ReportMetric(float64(busy), "gc-cpu-ns")
	b.ReportMetric(float64(idle), "idle-gc-cpu-ns")
	if n := book.Stats().Decisions; n < bans*99/100 {
		b.Fatalf("%d decisions", n)
	}
}

func memory() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}

// collectionTime is the processor time of one collection in this process, the
// least of several.
func collectionTime() time.Duration {
	best := time.Duration(math.MaxInt64)
	for range 7 {
		start := processTime()
		runtime.GC()
		best = min(best, processTime()-start)
	}
	return best
}

func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
