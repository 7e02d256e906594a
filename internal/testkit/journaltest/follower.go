package journaltest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

// Follower does what a subscriber has to do, and ends with what is in force.
type Follower struct {
	Cursor int64
	All    map[int64]decisions.Decision
}

// Follow takes in what there is, in pages of a few changes.
func (f *Follower) Follow(j interface {
	Since(cursor int64, limit int) ([]decisions.Change, int64)
}) {
	if f.All == nil {
		f.All = map[int64]decisions.Decision{}
	}
	for {
		cs, next := j.Since(f.Cursor, 7)
		for _, c := range cs {
			switch {
			case c.Reset:
				clear(f.All)
			case c.Gone:
				delete(f.All, c.Decision.ID)
			default:
				f.All[c.Decision.ID] = c.Decision
			}
		}
		if f.Cursor = next; len(cs) == 0 {
			return
		}
	}
}

// step does something of what people and scenarios do.
func (b *bench) step(r *rand.Rand) {
	value := fmt.Sprintf("192.0.2.%d", r.IntN(8))
	switch r.IntN(10) {
	case 0:
		_, err := b.Delete(decisions.Filter{Value: value}, "test")
		b.must(err)
	case 1:
		b.Book.Expire(b.Now())
	default:
		ds := make([]decisions.Decision, r.IntN(3))
		for i := range ds {
			ds[i] = decisions.Decision{Value: value, Type: []string{"ban", "captcha"}[r.IntN(2)], Scenario: fmt.Sprint(r.IntN(2)),
				Until: b.Now().Add(time.Duration(1+r.IntN(300)) * time.Second)}
		}
		b.must(b.Append(alert(), ds))
	}
	b.Advance(time.Duration(r.IntN(5000)) * time.Millisecond)
}

// agree holds what a subscriber has against what is listed.
func (b *bench) agree(f *Follower) {
	b.t.Helper()
	b.Book.Expire(b.Now())
	b.settle()
	f.Follow(b)
	want := map[int64]decisions.Decision{}
	for _, d := range b.Book.List(decisions.Filter{}) {
		want[d.ID] = d
	}
	if diff := cmp.Diff(want, f.All); diff != "" {
		b.t.Fatalf("a subscriber has something else (-listed +followed): %s", diff)
	}
}

func follows(b *bench) {
	r := rand.New(rand.NewPCG(1, 2))
	var f Follower
	for i := range 300 {
		b.step(r)
		if i%20 == 19 {
			b.agree(&f)
		}
	}
	var late Follower
	b.agree(&late)
}

func manyWriters(b *bench) {
	var writers sync.WaitGroup
	ids := make([][]int64, 4)
	for w := range ids {
		writers.Go(func() {
			for i := range 100 {
				ds := []decisions.Decision{{Value: fmt.Sprintf("10.%d.0.%d", w, i), Type: "ban", Until: b.Now().Add(time.Hour)}}
				if err := b.Append(alert(), ds); err != nil {
					b.t.Error(err)
				}
				ids[w] = append(ids[w], ds[0].ID)
			}
		})
	}
	writers.Wait()
	seen := map[int64]bool{}
	for _, id := range slices.Concat(ids...) {
		if seen[id] {
			b.t.Errorf("id %d was given twice", id)
		}
		seen[id] = true
	}
	var f Follower
	b.agree(&f)
	if len(f.All) != 400 {
		b.t.Errorf("%d decisions", len(f.All))
	}
}
