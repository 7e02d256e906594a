package decisions

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/store"
)

func openBook(t *testing.T, allow *Allow) *Book {
	t.Helper()
	db, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenBook(BookOptions{DB: db, Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func bans(n, from int) []Decision {
	ds := make([]Decision, n)
	for i := range ds {
		ds[i] = Decision{Value: fmt.Sprintf("10.%d.%d.%d", (from+i)>>16, (from+i)>>8&255, (from+i)&255), Type: TypeBan,
			Origin: "o", Scenario: "s", Until: time.Now().Add(time.Hour)}
	}
	return ds
}

// TestStalledDisk: while the disk does not answer, whoever must not wait is told,
// and whoever waits holds up nobody else.
func TestStalledDisk(t *testing.T) {
	b := openBook(t, nil)
	if !b.Ready() {
		t.Fatal("not ready although nothing is to be written")
	}
	entered, answer, stalled := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		stalled <- b.o.DB.Update(func(*store.Tx) error { close(entered); <-answer; return nil })
	}()
	<-entered
	n := 0
	for ; b.Ready(); n++ {
		if n > 10*idBlock {
			t.Fatal("always ready")
		}
		if err := b.Append(&event.Alert{Scenario: "s"}, bans(1, n)); err != nil {
			t.Fatal(err)
		}
	}
	if n < idBlock/4 {
		t.Errorf("no longer ready after %d decisions", n)
	}
	waiter := make(chan error, 1)
	go func() { waiter <- b.Append(nil, bans(5*idBlock, n)) }()
	for asked := int64(0); asked < 5*idBlock; time.Sleep(time.Millisecond) {
		b.write.Lock()
		asked = b.decision.asked
		b.write.Unlock()
	}
	b.Expire(time.Now())
	if got := len(b.List(Filter{Active: true})); got != n {
		t.Errorf("%d decisions while one waits, want %d", got, n)
	}
	select {
	case err := <-waiter:
		t.Errorf("ids that are not set aside were given out: %v", err)
	default:
	}
	close(answer)
	if err := <-stalled; err != nil {
		t.Fatal(err)
	}
	if err := <-waiter; err != nil {
		t.Error(err)
	}
	if err := b.Flush(context.Background()); err != nil {
		t.Error(err)
	}
	if !b.Ready() {
		t.Error("not ready again")
	}
}

// TestTally: the figures are those of the list, whatever happens to decisions.
func TestTally(t *testing.T) {
	allow := NewAllow(time.Now)
	b := openBook(t, allow)
	check := func(when string) {
		t.Helper()
		want, suppressed := map[string]int{}, 0
		for _, d := range b.List(Filter{}) {
			switch {
			case d.Suppressed:
				suppressed++
			case !d.Simulated:
				want[d.Type]++
			}
		}
		if s := b.Stats(); !maps.Equal(s.InForce, want) || s.Suppressed != suppressed {
			t.Errorf("%s: %v and %d suppressed, want %v and %d", when, s.InForce, s.Suppressed, want, suppressed)
		}
	}
	ds := bans(20, 0)
	for i := range ds {
		ds[i].Type = []string{TypeBan, TypeCaptcha, "odd"}[i%3]
		ds[i].Simulated = i%5 == 0
		if i%4 == 0 {
			ds[i].Until = time.Now().Add(time.Minute)
		}
	}
	if err := b.Append(nil, ds); err != nil {
		t.Fatal(err)
	}
	check("made")
	entry := AllowEntry{Prefix: ds[3].Prefix()}
	if err := allow.Add(entry); err != nil {
		t.Fatal(err)
	}
	check("one is allowed")
	if err := b.Append(nil, []Decision{ds[4], ds[3]}); err != nil {
		t.Fatal(err)
	}
	check("said again")
	if err := allow.Remove(entry.Prefix); err != nil {
		t.Fatal(err)
	}
	check("no longer allowed")
	if _, err := b.Delete(Filter{Type: "odd"}, "test"); err != nil {
		t.Fatal(err)
	}
	check("one type is deleted")
	b.Expire(time.Now().Add(2 * time.Minute))
	check("some ended")
	b.Expire(time.Now().Add(2 * time.Hour))
	check("all ended")
	if s := b.Stats(); len(s.InForce) != 0 || s.Suppressed != 0 {
		t.Errorf("nothing is left, and the figures are %+v", s)
	}
}
