package decisions_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/store"
)

// childEnv makes the test binary a node that bans until it is killed.
const childEnv = "RAMPART_DECISIONS_TEST_CHILD"

// sharedEnv makes that node one of a fleet.
const sharedEnv = "RAMPART_DECISIONS_TEST_SHARED"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		fmt.Fprintln(os.Stderr, "node ended:", banForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// banForever records decisions, and says the id of each once it is flushed. What
// it records after that is not promised to survive.
func banForever(dir string) error {
	db, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	allow := decisions.NewAllow(time.Now)
	b, err := decisions.OpenBook(decisions.BookOptions{DB: db, Allow: allow})
	if err != nil {
		return err
	}
	if os.Getenv(sharedEnv) != "" {
		if err := b.Share(3, decisions.ShareOptions{}); err != nil {
			return err
		}
	}
	for i := 0; ; i++ {
		ds := []decisions.Decision{{
			Value: fmt.Sprintf("192.0.%d.%d", i/256, i%256), Type: "ban", Until: time.Now().Add(time.Hour),
			Scenario: fmt.Sprint("of process ", os.Getpid()), // otherwise it would prolong those of an earlier one
		}}
		if err := b.Append(&event.Alert{Scenario: "s", IncidentID: fmt.Sprint("incident ", i)}, ds); err != nil {
			return err
		}
		if i%3 == 0 {
			if err := b.Flush(context.Background()); err != nil {
				return err
			}
			fmt.Println(ds[0].ID)
		}
	}
}

func TestKilledNodeKeepsWhatItFlushed(t *testing.T) {
	dir := t.TempDir()
	highest := int64(0)
	for round := range 3 {
		said := banAndKill(t, dir, 4+3*round, "")
		if said[0] <= highest {
			t.Fatalf("round %d: id %d was given again, %d was there before", round, said[0], highest)
		}
		db, err := store.Open(dir, store.Options{})
		must(t, err)
		b, err := decisions.OpenBook(decisions.BookOptions{DB: db})
		must(t, err)
		for _, id := range said {
			l := b.List(decisions.Filter{ID: id})
			if len(l) != 1 || b.Set().Lookup(addr(l[0].Value)).Action != decisions.Ban {
				t.Fatalf("round %d: decision %d: %+v", round, id, l)
			}
			if a, ok := b.Alert(l[0].AlertID); !ok || len(a.Decisions) != 1 || b.Count(l[0].Value, time.Time{}) == 0 {
				t.Fatalf("round %d: alert or history of decision %d is lost", round, id)
			}
		}
		for _, x := range b.List(decisions.Filter{}) {
			highest = max(highest, x.ID)
		}
		must(t, b.Close())
		must(t, db.Close())
	}
}

// TestKilledNodeTellsItsFleet: what a killed node has on disk its fleet will hear of,
// and ids go on.
func TestKilledNodeTellsItsFleet(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		said := banAndKill(t, dir, 4+3*round, sharedEnv+"=1")
		db, err := store.Open(dir, store.Options{})
		must(t, err)
		b, err := decisions.OpenBook(decisions.BookOptions{DB: db})
		must(t, err)
		must(t, b.Share(3, decisions.ShareOptions{}))
		ops, err := b.Ops(0, 0)
		must(t, err)
		told, alerts := map[int64]bool{}, map[int64]bool{}
		for _, op := range ops {
			alerts[op.Alert.ID] = true
			for _, d := range op.Decisions {
				if told[d.ID] {
					t.Fatalf("round %d: id %d was given twice", round, d.ID)
				}
				told[d.ID] = true
			}
		}
		for _, d := range b.List(decisions.Filter{}) {
			if !told[d.ID] || !alerts[d.AlertID] {
				t.Fatalf("round %d: the fleet will not hear of %+v", round, d)
			}
		}
		for _, id := range said {
			if !told[id] {
				t.Fatalf("round %d: decision %d is lost", round, id)
			}
		}
		must(t, b.Close())
		must(t, db.Close())
	}
}

// banAndKill starts a node, kills it after n reports and returns what it reported.
func banAndKill(t *testing.T, dir string, n int, env string) (said []int64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, env)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		id, err := strconv.ParseInt(sc.Text(), 10, 64)
		must(t, err)
		if said = append(said, id); len(said) == n {
			must(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait()
	if len(said) < n {
		t.Fatalf("the node ended after %d reports", len(said))
	}
	return said
}

// TestIDsAfterACrash leaves a book without closing it, as a crash does, with ids
// given out that never reached the disk.
func TestIDsAfterACrash(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	d.ban("192.0.2.1", "ban", time.Hour)
	ds := make([]decisions.Decision, 5000)
	for i := range ds {
		ds[i] = decisions.Decision{Value: fmt.Sprintf("10.0.%d.%d", i/256, i%256), Type: "ban", Until: start.Add(time.Hour)}
	}
	must(t, d.Append(nil, ds))
	last := ds[len(ds)-1]
	crashed := d.Book
	defer crashed.Close()
	// The database as it is on disk, whatever the crashed book still has in memory.
	next, err := d.db.Get("meta", "next_decision")
	must(t, err)
	reserved := int64(0)
	for _, c := range next {
		reserved = reserved<<8 | int64(c)
	}
	if reserved <= last.ID {
		t.Errorf("id %d was given out, and on disk ids start again at %d", last.ID, reserved)
	}
}

func TestDiskThatFails(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	must(t, d.Flush(context.Background()))
	must(t, d.db.Close())
	d.ban("192.0.2.1", "ban", time.Hour)
	if d.action("192.0.2.1") != decisions.Ban {
		t.Error("not in force")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := d.Flush(ctx); err == nil {
		t.Error("flushed to a closed database")
	}
	if s := d.Stats(); s.WriteFailures == 0 || s.Queued == 0 {
		t.Errorf("stats %+v", s)
	}
	if err := d.Book.Close(); err == nil {
		t.Error("closing tells nothing of what is lost")
	}
	d.open() // for the clean-up
	if l := d.List(decisions.Filter{}); len(l) != 0 {
		t.Errorf("listed %+v", l)
	}
}

func TestBulk(t *testing.T) {
	d := openDesk(t, decisions.BookOptions{})
	ds := make([]decisions.Decision, 50_000)
	for i := range ds {
		ds[i] = decisions.Decision{Value: fmt.Sprintf("10.%d.%d.%d", i%7, i/250%250, i%250), Type: "ban", Until: start.Add(time.Hour)}
	}
	must(t, d.Append(nil, ds))
	if n := d.Set().Len(); n != len(d.List(decisions.Filter{})) || ds[49_999].ID == 0 {
		t.Errorf("%d in the set", n)
	}
	d.restart()
	if n, want := d.Set().Len(), d.Stats().Decisions; n != want || n < 40_000 {
		t.Errorf("%d in the set after a restart, %d kept", n, want)
	}
}
