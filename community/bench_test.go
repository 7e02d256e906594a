package community

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/store"
)

const million = 1_000_000

// addresses are a million lines, the part of them that begins at from being others.
func addresses(seed uint64, change int, csv bool) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	if csv {
		b.WriteString("id,address,note\n")
	}
	for i := range million {
		a := netip.AddrFrom4([4]byte{byte(20 + r.IntN(200)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
		if i < change {
			a = a.Next()
		}
		if csv {
			fmt.Fprintf(&b, "%d,%s,\"some, note\"\n", i, a)
		} else {
			b.WriteString(a.String())
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// BenchmarkImport is a feed of a million addresses from a file into a Book with a
// database: as it comes first, with a hundredth of it changed, and unchanged but sent
// again. The processor time is that of the whole process.
func BenchmarkImport(b *testing.B) {
	for _, c := range []struct {
		name string
		csv  bool
		next func(i int) string
	}{
		{"text", false, func(i int) string { return addresses(uint64(i), 0, false) }},
		{"csv", true, func(i int) string { return addresses(uint64(i), 0, true) }},
		{"hundredth changed", false, func(i int) string { return addresses(1, i*million/100, false) }},
		{"unchanged", false, func(int) string { return addresses(1, 0, false) }},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkImport(b, c.csv, c.next) })
	}
}

func benchmarkImport(b *testing.B, csv bool, next func(i int) string) {
	d := &desk{t: b, clock: testkit.NewClock(testStart), dir: b.TempDir()}
	var err error
	d.db, err = store.Open(d.dir, store.Options{})
	must(b, err)
	d.book, err = decisions.OpenBook(decisions.BookOptions{DB: d.db, Now: d.clock.Now, Logger: zap.NewNop()})
	must(b, err)
	b.Cleanup(d.close)
	d.feeds, err = NewFeeds(Options{Book: d.book, DB: d.db, Now: d.clock.Now})
	must(b, err)
	f := Feed{Name: "big", URL: "file://" + b.TempDir() + "/list"}
	if csv {
		f.Format = FormatCSV
	}
	must(b, d.feeds.Use([]Feed{f}))
	var cpu time.Duration
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		i++
		must(b, os.WriteFile(strings.TrimPrefix(f.URL, "file://"), []byte(next(i)), 0o600))
		d.clock.Advance(time.Minute)
		runtime.GC()
		before := testkit.Spent(b)
		b.StartTimer()
		must(b, d.feeds.Pull(b.Context(), ""))
		cpu += testkit.Spent(b) - before
	}
	b.ReportMetric(cpu.Seconds()/float64(i), "cpu-s/op")
	if s := d.feeds.Status()[0]; s.Entries < 990_000 {
		b.Fatalf("got %+v", s)
	}
}
