package decisions_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// TestQueryTakesNoLock: whoever reads the answers may change the book, and asking
// again finds how things are by then.
func TestQueryTakesNoLock(t *testing.T) {
	d := openListed(t)
	d.put(listHead("one"), "192.0.2.1", "198.51.100.0/24")
	for i := range 5 {
		d.ban(fmt.Sprint("203.0.113.", i), "ban", time.Hour)
	}
	all := d.Query(decisions.Query{})
	n := 0
	for x := range all {
		if n++; x.UUID != "" {
			_, err := d.Delete(decisions.Filter{ID: x.ID}, "test")
			must(t, err)
		} else {
			must(t, d.allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.0/24")}))
			d.ban("203.0.113.200", "captcha", time.Hour)
		}
	}
	var left []string
	for x := range all {
		left = append(left, x.Value)
	}
	if n != 7 || !slices.Equal(left, []string{"203.0.113.200", "198.51.100.0/24"}) {
		t.Errorf("%d answers, then %v", n, left)
	}
}

// TestQueryBesideWriters: what is in force all the while is found once.
func TestQueryBesideWriters(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	for i := range 200 {
		d.ban(fmt.Sprint("192.0.2.", i), "captcha", time.Hour)
		d.ban(fmt.Sprint("198.51.100.", i), "ban", time.Hour)
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	defer writing.Wait()
	defer close(stop)
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			ds := []decisions.Decision{{Value: fmt.Sprint("203.0.113.", i%250), Type: "ban", Scenario: fmt.Sprint("s", i%9), Until: d.clock.Now().Add(time.Hour)}}
			if d.Append(nil, ds) != nil {
				return
			}
			if _, err := d.DeleteQuery(decisions.Query{Types: []string{"ban"}, Limit: 3}, "test"); err != nil {
				return
			}
		}
	})
	for range 50 {
		seen, last := 0, int64(0)
		for x := range d.Query(decisions.Query{}) {
			if x.ID <= last {
				t.Fatalf("%d after %d", x.ID, last)
			}
			if last = x.ID; x.Type == "captcha" {
				seen++
			}
		}
		if seen != 200 {
			t.Fatalf("%d of 200 found", seen)
		}
	}
}

func TestDeleteQueryTellsTheFleet(t *testing.T) {
	d := shared(t, 1, decisions.BookOptions{}, decisions.ShareOptions{})
	d.ban("192.0.2.1", "ban", time.Hour)
	d.ban("192.0.2.2", "captcha", time.Hour)
	d.ban("198.51.100.1", "ban", time.Hour)
	cursor := d.Cursor()
	gone, err := d.DeleteQuery(decisions.Query{Prefix: prefix("192.0.2.0/24"), Within: true}, "me")
	must(t, err)
	said := d.said()
	if len(gone) != 2 || len(said) != 4 || said[3] != fmt.Sprintf("delete %d %dme", gone[0].ID&0xfffff, gone[1].ID&0xfffff) {
		t.Errorf("deleted %v, said %q", gone, said)
	}
	if told, _ := d.Since(cursor, 0); len(told) != 2 || !told[0].Gone || !told[1].Gone {
		t.Errorf("told %+v", told)
	}
	gone, err = d.DeleteQuery(decisions.Query{}, "me")
	if err != nil || len(gone) != 1 || d.Stats().Decisions != 0 {
		t.Errorf("an empty query ended %v (%v), %d are left", gone, err, d.Stats().Decisions)
	}
}

func TestClosedBookIsNotChanged(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	d.ban("192.0.2.1", "ban", time.Hour)
	must(t, d.Book.Close())
	if _, err := d.DeleteQuery(decisions.Query{}, "test"); !errors.Is(err, decisions.ErrClosed) {
		t.Errorf("DeleteQuery: %v", err)
	}
	if _, _, err := d.DeleteAlerts(decisions.AlertFilter{}, "test"); !errors.Is(err, decisions.ErrClosed) {
		t.Errorf("DeleteAlerts: %v", err)
	}
	if n := len(slices.Collect(d.Query(decisions.Query{}))); n != 1 {
		t.Errorf("%d decisions found", n)
	}
}
