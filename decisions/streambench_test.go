package decisions_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/store"
)

// fill makes so many bans against addresses from 10.0.0.0 on.
func fill(tb testing.TB, book *decisions.Book, n int, until time.Time) {
	tb.Helper()
	for from := 0; from < n; from += 1000 {
		ds := make([]decisions.Decision, min(1000, n-from))
		for i := range ds {
			k := from + i
			a := netip.AddrFrom4([4]byte{byte(10 + k>>24), byte(k >> 16), byte(k >> 8), byte(k)})
			ds[i] = decisions.Decision{Value: a.String(), Type: "ban", Origin: "crowdsec", Scenario: "s", Until: until}
		}
		must(tb, book.Append(nil, ds))
	}
	must(tb, book.Flush(tb.Context()))
}

// BenchmarkSince asks a book of a million bans for what changed: nothing, a hundred
// bans prolonged, and a page of the beginning.
func BenchmarkSince(b *testing.B) {
	db, err := store.Open(b.TempDir(), store.Options{})
	must(b, err)
	defer db.Close()
	book, err := decisions.OpenBook(decisions.BookOptions{DB: db, MaxDecisions: 1_100_000})
	must(b, err)
	defer book.Close()
	now := time.Now()
	fill(b, book, 1_000_000, now.Add(time.Hour))
	before := book.Cursor()
	fill(b, book, 100, now.Add(2*time.Hour))
	for name, f := range map[string]func() (int, int){
		"nothing":  func() (int, int) { cs, _ := book.Since(book.Cursor(), 0); return len(cs), 0 },
		"hundred":  func() (int, int) { cs, _ := book.Since(before, 0); return len(cs), 100 },
		"page":     func() (int, int) { cs, _ := book.Since(0, 1024); return len(cs), 1024 },
		"instant":  func() (int, int) { book.CursorAt(now); return 0, 0 },
		"no lists": func() (int, int) { cs, _ := book.ListsSince(0); return len(cs), 0 },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n, want := f(); n != want {
					b.Fatalf("%d changes, want %d", n, want)
				}
			}
		})
	}
}

// BenchmarkEnds ends a hundred thousand bans at once, and tells what remembering one
// takes up in memory and on disk.
func BenchmarkEnds(b *testing.B) {
	const bans = 100_000
	for b.Loop() {
		b.StopTimer()
		db, err := store.Open(b.TempDir(), store.Options{})
		must(b, err)
		now := time.Now()
		at := now
		before := memory()
		book, err := decisions.OpenBook(decisions.BookOptions{DB: db, Now: func() time.Time { return at }})
		must(b, err)
		fill(b, book, bans, now.Add(time.Hour))
		at = now.Add(time.Hour)
		b.StartTimer()
		if n := len(book.Expire(at)); n != bans {
			b.Fatalf("%d ended", n)
		}
		must(b, book.Flush(b.Context()))
		b.StopTimer()
		after := memory()
		size := 0
		must(b, db.Each("ends", "", func(key string, value []byte) error { size += len(key) + len(value); return nil }))
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/bans, "B/end")
		b.ReportMetric(float64(size)/bans, "disk-B/end")
		must(b, book.Close())
		must(b, db.Close())
		b.StartTimer()
	}
}

// BenchmarkPutChanged replaces a list of a million addresses with one of which a
// hundredth is different, and tells of it.
func BenchmarkPutChanged(b *testing.B) {
	r := rand.New(rand.NewPCG(12, 12))
	h := decisions.ListHead{Name: "x", Type: "ban", Created: time.Now(), Until: time.Now().Add(24 * time.Hour)}
	ps := randomList(r, 1_000_000)
	lists := []*decisions.Blocklist{newList(b, h, ps), newList(b, h, append(randomList(r, 10_000), ps[10_000:]...))}
	db, err := store.Open(b.TempDir(), store.Options{})
	must(b, err)
	defer db.Close()
	book, err := decisions.OpenBook(decisions.BookOptions{DB: db})
	must(b, err)
	defer book.Close()
	must(b, book.PutList(lists[1]))
	must(b, book.Flush(b.Context()))
	i := 0
	b.Run("put", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(b, book.PutList(lists[i%2]))
			i++
		}
	})
	_, last := book.ListsSince(0)
	must(b, book.PutList(lists[i%2]))
	b.Run("tell", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if cs, _ := book.ListsSince(last); len(cs) != 1 || len(cs[0].Added) < 9_000 {
				b.Fatal(fmt.Sprint(len(cs), " changes"))
			}
		}
	})
}
