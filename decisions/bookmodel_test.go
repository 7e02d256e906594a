package decisions_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/journaltest"
)

// TestBookAgainstItsViews does random things and holds what the book lists, what
// the set answers, what a subscriber ends with and what a restart brings back
// against each other, and lookups against the model of the set.
func TestBookAgainstItsViews(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			d := openDesk(t, decisions.BookOptions{})
			sp, f := space{r}, &journaltest.Follower{}
			for step := range 250 {
				randomStep(t, d, r, sp)
				if r.IntN(60) == 0 {
					d.restart()
				}
				if step%10 == 9 {
					compareViews(t, d, f, sp)
				}
				d.clock.Advance(time.Duration(r.IntN(5000)) * time.Millisecond)
			}
		})
	}
}

func randomStep(t *testing.T, d *desk, r *rand.Rand, sp space) {
	t.Helper()
	now := d.clock.Now()
	switch r.IntN(12) {
	case 0:
		_, err := d.Delete(decisions.Filter{Contains: sp.addr()}, "test")
		must(t, err)
	case 1:
		d.Expire(now)
	case 2:
		p, err := sp.addr().Unmap().Prefix([]int{24, 30, 32}[r.IntN(3)])
		must(t, err)
		e := decisions.AllowEntry{Prefix: p}
		if r.IntN(2) == 0 {
			e.Until = now.Add(time.Duration(1+r.IntN(20)) * time.Second)
		}
		must(t, d.allow.Add(e))
	case 3:
		for _, e := range d.allow.List() {
			if e.Kind == decisions.KindManual && r.IntN(2) == 0 {
				// Another writer may have been faster.
				if err := d.allow.Remove(e.Prefix); !errors.Is(err, decisions.ErrNotAllowed) {
					must(t, err)
				}
			}
		}
	default:
		ds := make([]decisions.Decision, 1+r.IntN(5))
		for i := range ds {
			ds[i] = decisions.Decision{
				Value: sp.value(), Type: []string{"ban", "captcha", "throttle", "mfa"}[r.IntN(4)], Scenario: fmt.Sprint(r.IntN(2)),
				Until: now.Add(time.Duration(1+r.IntN(120)) * time.Second), Direct: r.IntN(2) == 0, Simulated: r.IntN(8) == 0,
			}
		}
		must(t, d.Append(fullAlert(), ds))
	}
}

func compareViews(t *testing.T, d *desk, f *journaltest.Follower, sp space) {
	t.Helper()
	d.Expire(d.clock.Now())
	m := &model{}
	want := map[int64]decisions.Decision{}
	for _, x := range d.List(decisions.Filter{}) {
		if allowed := d.allow.Covers(x.Prefix()); allowed != x.Suppressed {
			t.Fatalf("%+v although allowed is %v", x, allowed)
		}
		if !x.Suppressed {
			want[x.ID] = x
		}
		if !x.Suppressed && !x.Simulated {
			m.list = append(m.list, x)
		}
	}
	f.Follow(d.Book)
	if diff := cmp.Diff(want, f.All); diff != "" {
		t.Fatalf("a subscriber has something else: %s", diff)
	}
	if n := d.Set().Len(); n != len(m.list) {
		t.Fatalf("the set has %d, want %d", n, len(m.list))
	}
	for range 100 {
		a := sp.addr()
		v, x := d.Set().Lookup(a), m.lookup(a, d.clock.Now())
		if d.allow.Contains(a) {
			x = decisions.Decision{}
		}
		if v.ID != x.ID || v.Action != x.Action() || v.Allowed != d.allow.Contains(a) {
			t.Fatalf("%s: %+v, want %+v", a, v, x)
		}
		n, _ := d.Active(a.String())
		exact := d.List(decisions.Filter{Value: a.String(), Active: true})
		exact = slices.DeleteFunc(exact, func(x decisions.Decision) bool { return x.Simulated })
		if a.Unmap().Is4() && n != len(exact) {
			t.Fatalf("%s: %d active, %d listed", a, n, len(exact))
		}
	}
	onDisk := map[int64]bool{}
	must(t, d.Flush(context.Background()))
	must(t, d.db.Each("decisions", "", func(key string, _ []byte) error {
		onDisk[int64(binary.BigEndian.Uint64([]byte(key)))] = true
		return nil
	}))
	kept := map[int64]bool{}
	for _, x := range d.List(decisions.Filter{}) {
		kept[x.ID] = true
	}
	if !maps.Equal(kept, onDisk) {
		t.Fatalf("%d decisions kept, %d on disk", len(kept), len(onDisk))
	}
}

// TestBookConcurrently is for the race detector; at the end the views must agree.
func TestBookConcurrently(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	var writers, readers sync.WaitGroup
	for w := range uint64(3) {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(w, 4))
			for range 60 {
				randomStep(t, d, r, space{r})
			}
		})
	}
	done := make(chan struct{})
	wake, stop := d.Watch()
	defer stop()
	f := &journaltest.Follower{}
	readers.Go(func() {
		for {
			select {
			case <-wake:
				f.Follow(d.Book)
			case <-done:
				return
			}
		}
	})
	readers.Go(func() {
		sp := space{rand.New(rand.NewPCG(9, 9))}
		for {
			select {
			case <-done:
				return
			default:
			}
			a := sp.addr()
			d.Set().Lookup(a)
			d.Count(a.String(), time.Time{})
			d.Active(a.String())
			d.List(decisions.Filter{Contains: a})
			for _, al := range d.Alerts(decisions.AlertFilter{Limit: 1}) {
				d.Alert(al.ID)
			}
			d.Stats()
		}
	})
	writers.Wait()
	close(done)
	readers.Wait()
	compareViews(t, d, f, space{rand.New(rand.NewPCG(5, 5))})
}
