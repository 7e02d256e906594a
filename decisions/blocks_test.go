package decisions

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/store"
)

// TestBlocks: ids are granted ones, where there are some, else of the emergency block;
// none is given twice, whatever happens in between.
func TestBlocks(t *testing.T) {
	dir := t.TempDir()
	given := map[int64]bool{}
	var db *store.DB
	var b *Book
	open := func() {
		t.Helper()
		var err error
		if db, err = store.Open(dir, store.Options{}); err != nil {
			t.Fatal(err)
		}
		if b, err = OpenBook(BookOptions{DB: db}); err != nil {
			t.Fatal(err)
		}
		if err := b.Share(0xabcdef0123456789, ShareOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	ban := func(count int) (ids []int64) {
		t.Helper()
		for range count {
			ds := bans(1, n)
			n++
			if err := b.Append(nil, ds); err != nil {
				t.Fatal(err)
			}
			if id := ds[0].ID; given[id] || id < 1 || id > maxDecision {
				t.Fatalf("id %d, given before %v", id, given[id])
			}
			given[ds[0].ID] = true
			ids = append(ids, ds[0].ID)
		}
		return ids
	}
	stop := func() {
		t.Helper()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	open()
	base := emergencyBase(0xabcdef0123456789)
	if ids := ban(5); ids[0] != base+1 || ids[4] != base+5 || base>>20&nodeMask != 0xabcdef0123456789&nodeMask {
		t.Fatalf("before any grant: %v, base %d", ids, base)
	}
	if d, a := b.Wants(); !d || !a {
		t.Error("nothing is wanted")
	}
	b.Grant(101, 1300, 0, 0)
	if d, a := b.Wants(); d || !a {
		t.Error("decisions are wanted, or no alerts")
	}
	ids := ban(600)
	first := slices.IndexFunc(ids, func(id int64) bool { return id < emergencyFrom })
	if first < 0 || first > 2*emergencyAside || ids[first] != 101 || ids[first+1] != 102 {
		t.Fatalf("granted ids are used from the %dth on", first)
	}
	stop()
	open()
	if next := ban(1)[0]; next != ids[len(ids)-1]+1 {
		t.Errorf("after a clean stop id %d, before %d", next, ids[len(ids)-1])
	}
	// A crash: the database as it is, while the Book lives on unheard.
	if err := b.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	state, err := loadBlocks(db, b.decision.blocks.Load().key, 0xabcdef0123456789)
	if err != nil {
		t.Fatal(err)
	}
	for id := range given {
		if state.unused(id) {
			t.Fatalf("after a crash id %d would be given again", id)
		}
	}
	ban(2000) // beyond what was granted
	b.Grant(50, 60, 1, 1)
	b.Grant(0, 5, -1, 7)
	b.Grant(listsFrom-2, listsFrom+2, emergencyFrom+5, emergencyFrom+6)
	b.Grant(7, 6, 1<<62, 1<<62+1)
	k := b.decision.blocks.Load()
	for id, want := range map[int64]bool{49: false, 50: true, 60: true, 61: false, 1: false, 7: false, listsFrom - 2: false, listsFrom: false} {
		if k.unused(id) != want {
			t.Errorf("id %d: to be given out %v, want %v", id, !want, want)
		}
	}
	for range 3 * maxGrants {
		b.Grant(70, 71, 70, 71) // the same again and again: ids in use are not given
	}
	for _, id := range ban(100) {
		if id < emergencyFrom && id != 70 && id != 71 && (id < 50 || id > 60) {
			t.Errorf("id %d from nowhere", id)
		}
	}
	stop()
}

// TestEmergencyBlockGoesRound: when it was used up, it begins again, past what is in
// use.
func TestEmergencyBlockGoesRound(t *testing.T) {
	b := openBook(t, nil)
	if err := b.Share(7, ShareOptions{}); err != nil {
		t.Fatal(err)
	}
	ds := bans(300, 0)
	if err := b.Append(nil, ds); err != nil {
		t.Fatal(err)
	}
	k := b.decision.blocks.Load()
	b.write.Lock()
	k.state.Spare = emergencyIDs - 100
	b.write.Unlock()
	seen := map[int64]string{}
	for i := 300; i < 1500; i++ {
		ds := bans(1, i)
		if err := b.Append(nil, ds); err != nil {
			t.Fatal(err)
		}
		if v := seen[ds[0].ID]; v != "" {
			t.Fatalf("id %d of %s and %s", ds[0].ID, v, ds[0].Value)
		}
		seen[ds[0].ID] = ds[0].Value
	}
	if n := len(b.List(Filter{})); n != 1500 || !k.state.Around {
		t.Errorf("%d decisions", n)
	}
	if id := ds[0].ID; k.unused(id) || k.unused(k.state.Base+emergencyIDs-1) {
		t.Error("an id in use counts as not given out")
	}
}

func TestListBase(t *testing.T) {
	seen := map[int64]bool{}
	for v := range int64(2000) {
		base := listBase("name", v)
		if base < listsFrom || base+maxListEntries > emergencyFrom {
			t.Fatalf("version %d at %d", v, base)
		}
		seen[base] = true
	}
	if len(seen) < 1900 {
		t.Errorf("2000 versions share %d places", len(seen))
	}
}

// BenchmarkReconcile takes over a million decisions: into an empty Book, then the same
// again, then with one of a hundred replaced. wait is the longest that a change by
// somebody else had to wait meanwhile.
func BenchmarkReconcile(b *testing.B) {
	const many = 1_000_000
	db, err := store.Open(b.TempDir(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	book, err := OpenBook(BookOptions{DB: db, MaxDecisions: many + many/10})
	if err != nil {
		b.Fatal(err)
	}
	defer book.Close()
	if err := book.Share(1, ShareOptions{}); err != nil {
		b.Fatal(err)
	}
	all := Snapshot{Epoch: "e", Cursor: "1-1", Decisions: bans(many, 0)}
	until := time.Now().Add(24 * time.Hour)
	for i := range all.Decisions {
		d := &all.Decisions[i]
		d.ID, d.UUID, d.Created, d.Until = int64(i+1), formatUUID(newUUID()), time.Now(), until
	}
	run := func(name string, change func()) {
		b.Run(name, func(b *testing.B) {
			var longest time.Duration
			for b.Loop() {
				b.StopTimer()
				change()
				done, ended := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(ended)
					for i := 0; ; i++ {
						select {
						case <-done:
							return
						case <-time.After(time.Millisecond):
						}
						at := time.Now()
						_ = book.Append(nil, []Decision{{Value: fmt.Sprintf("192.0.2.%d", i%250), Type: TypeBan, Until: until}})
						longest = max(longest, time.Since(at))
					}
				}()
				b.StartTimer()
				if err := book.Reconcile(all); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				close(done)
				<-ended
				if err := book.Flush(context.Background()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/many, "ns/decision")
			b.ReportMetric(float64(longest.Milliseconds()), "wait-ms")
		})
	}
	first := true
	run("fresh", func() {
		if !first {
			_, _ = book.Delete(Filter{Active: true}, "")
		}
		first = false
	})
	run("same", func() {})
	run("one in 100", func() {
		for i := 0; i < many; i += 100 {
			all.Decisions[i].ID += many
			all.Decisions[i].UUID = formatUUID(newUUID())
		}
	})
}
