package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/store"
)

// desk is a node's tables and what they were told of others.
type desk struct {
	*Tables
	logs *observer.ObservedLogs

	mu   sync.Mutex
	told map[string]string // the last word on each row of "bouncers", "-" if it is gone
}

// openDesk opens the tables of node n, whose database is in dir.
func openDesk(t testing.TB, n int, config Config, dir string, now func() time.Time) (d *desk, stop func()) {
	t.Helper()
	c, logs := open(t, n, config)
	db, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d = &desk{logs: logs, told: map[string]string{}}
	if d.Tables, err = OpenTables(c, TablesOptions{DB: db, Now: now}); err != nil {
		t.Fatal(err)
	}
	d.Watch(func(table, key string, value []byte) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.told[key] = string(value); value == nil {
			d.told[key] = "-"
		}
	})
	d.rows(t) // opens it
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, err := range []error{d.Close(ctx), c.Close(), db.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	t.Cleanup(stop)
	return d, stop
}

// openDesks opens the tables of some nodes that stay.
func openDesks(t testing.TB, many int, s *redistest.Server) (desks []*desk) {
	t.Helper()
	for n := range many {
		d, _ := openDesk(t, n+1, at(s.Addr()), t.TempDir(), nil)
		desks = append(desks, d)
	}
	return desks
}

const bouncers = "bouncers"

// rows are those of "bouncers".
func (d *desk) rows(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := d.Each(bouncers, func(key string, value []byte) error {
		out[key] = string(value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// set writes a row, or deletes it with "-".
func (d *desk) set(t testing.TB, key, value string) {
	t.Helper()
	write := func() error { return d.Put(bouncers, key, []byte(value)) }
	if value == "-" {
		write = func() error { return d.Delete(bouncers, key) }
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
}

// expectRows waits until each of the desks has these rows and nothing to tell.
func expectRows(t testing.TB, what string, want map[string]string, desks ...*desk) {
	t.Helper()
	defer func() {
		for i, d := range desks {
			if diff := cmp.Diff(want, d.rows(t)); t.Failed() && diff != "" {
				t.Logf("node %d: %+v\n%s", i, d.Stats(), diff)
			}
		}
	}()
	within(t, what, func() bool {
		for _, d := range desks {
			if !maps.Equal(d.rows(t), want) || d.Stats().Waiting > 0 || !d.Stats().InStep {
				return false
			}
		}
		return true
	})
}

func TestTables(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	desks := openDesks(t, 3, s)
	a, b, c := desks[0], desks[1], desks[2]
	a.set(t, "fw", "one")
	b.set(t, "nginx", "two")
	expectRows(t, "all have both", map[string]string{"fw": "one", "nginx": "two"}, a, b, c)
	c.set(t, "fw", "three")
	expectRows(t, "all have the change", map[string]string{"fw": "three", "nginx": "two"}, a, b, c)
	b.set(t, "fw", "-")
	b.set(t, "absent", "-")
	expectRows(t, "all have the deletion", map[string]string{"nginx": "two"}, a, b, c)
	within(t, "the others are told", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return maps.Equal(a.told, map[string]string{"fw": "-", "nginx": "two"})
	})
	a.set(t, "fw", "again")
	expectRows(t, "a row comes into being again", map[string]string{"fw": "again", "nginx": "two"}, a, b, c)

	late, _ := openDesk(t, 4, at(s.Addr()), t.TempDir(), nil)
	expectRows(t, "who comes late has all", map[string]string{"fw": "again", "nginx": "two"}, late)
}

// TestTablesWithoutRedis: writes wait on disk, through a restart too, and go out on
// return, whether Redis has kept what it had or not.
func TestTablesWithoutRedis(t *testing.T) {
	for _, empty := range []bool{false, true} {
		t.Run(fmt.Sprint("empty=", empty), func(t *testing.T) {
			s := redistest.Start(t, redistest.Options{})
			dir := t.TempDir()
			a, stop := openDesk(t, 1, at(s.Addr()), dir, nil)
			b, _ := openDesk(t, 2, at(s.Addr()), t.TempDir(), nil)
			for _, key := range []string{"kept", "changed", "deleted", "both"} {
				a.set(t, key, "before")
			}
			before := map[string]string{"kept": "before", "changed": "before", "deleted": "before", "both": "before"}
			expectRows(t, "both have them", before, a, b)
			s.Kill()
			within(t, "both notice", func() bool { return !a.c.Up() && !b.c.Up() })
			a.set(t, "changed", "after")
			a.set(t, "deleted", "-")
			a.set(t, "both", "of a")
			a.set(t, "new", "of a")
			b.set(t, "both", "of b")
			if got := a.Stats().Waiting; got != 4 {
				t.Errorf("%d rows wait, want 4", got)
			}
			stop()
			a, _ = openDesk(t, 1, at(s.Addr()), dir, nil)
			s.Restart(empty)
			expectRows(t, "both have what was written meanwhile",
				map[string]string{"kept": "before", "changed": "after", "both": "of b", "new": "of a"}, a, b)
		})
	}
}

// TestTablesEmptied: Redis loses all while nobody notices that it was away.
func TestTablesEmptied(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	desks := openDesks(t, 2, s)
	a, b := desks[0], desks[1]
	a.set(t, "fw", "one")
	a.set(t, "old", "one")
	a.set(t, "old", "-")
	expectRows(t, "both have it", map[string]string{"fw": "one"}, a, b)
	s.Do("FLUSHALL")
	b.set(t, "nginx", "two")
	expectRows(t, "both have all", map[string]string{"fw": "one", "nginx": "two"}, a, b)
	within(t, "Redis has all", func() bool { return s.Do("HLEN", "rampart:{j}:table:bouncers") == int64(3) })
}

// TestTablesConverge has three nodes write the same rows at once while Redis comes
// and goes: in the end all have the same.
func TestTablesConverge(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	desks := openDesks(t, 3, s)
	var all sync.WaitGroup
	for n, d := range desks {
		all.Go(func() {
			for i := range 150 {
				value := fmt.Sprintf("%d of %d", i, n)
				if i%7 == 3 {
					value = "-"
				}
				d.set(t, fmt.Sprint("row ", (i*5+n)%20), value)
			}
		})
	}
	s.Kill()
	s.Restart(true)
	all.Wait()
	desks[1].set(t, "last", "word")
	within(t, "all have the last word", func() bool {
		for _, d := range desks {
			if d.rows(t)["last"] != "word" || d.Stats().Waiting > 0 || !d.Stats().InStep {
				return false
			}
		}
		return true
	})
	// What waits is told by now, and the notices of it are on their way.
	within(t, "all have the same", func() bool {
		return maps.Equal(desks[0].rows(t), desks[1].rows(t)) && maps.Equal(desks[1].rows(t), desks[2].rows(t))
	})
}

// TestTablesDeletionWins: who has not heard of a deletion does not undo it.
func TestTablesDeletionWins(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	p := redistest.NewProxy(t, s.Addr())
	a, _ := openDesk(t, 1, at(s.Addr()), t.TempDir(), nil)
	b, _ := openDesk(t, 2, at(p.Addr()), t.TempDir(), nil)
	a.set(t, "fw", "key")
	expectRows(t, "both have it", map[string]string{"fw": "key"}, a, b)
	p.Cut()
	within(t, "b is alone", func() bool { return !b.c.Up() })
	a.set(t, "fw", "-")
	b.set(t, "fw", "key, seen later")
	p.Heal()
	expectRows(t, "it is gone", map[string]string{}, a, b)
}

// TestTablesLongAway: a node comes back when nobody remembers the deletion any more.
func TestTablesLongAway(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	clock := testkit.NewClock(time.Now())
	dir := t.TempDir()
	a, _ := openDesk(t, 1, at(s.Addr()), t.TempDir(), clock.Now)
	b, stop := openDesk(t, 2, at(s.Addr()), dir, clock.Now)
	a.set(t, "fw", "key")
	a.set(t, "nginx", "key")
	expectRows(t, "both have it", map[string]string{"fw": "key", "nginx": "key"}, a, b)
	stop()
	a.set(t, "fw", "-")
	expectRows(t, "it is deleted", map[string]string{"nginx": "key"}, a)
	clock.Advance(goneFor + time.Hour)
	poke(a.wake)
	within(t, "it is forgotten", func() bool { return s.Do("HEXISTS", "rampart:{j}:table:bouncers", "fw") == int64(0) })
	b, _ = openDesk(t, 2, at(s.Addr()), dir, clock.Now)
	expectRows(t, "it is gone", map[string]string{"nginx": "key"}, a, b)
}

// TestTablesOutside: what a node without a fleet did to its rows, it brings along.
func TestTablesOutside(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	dir := t.TempDir()
	a, _ := openDesk(t, 1, at(s.Addr()), t.TempDir(), nil)
	b, stop := openDesk(t, 2, at(s.Addr()), dir, nil)
	a.set(t, "changed", "before")
	a.set(t, "deleted", "before")
	expectRows(t, "both have it", map[string]string{"changed": "before", "deleted": "before"}, a, b)
	stop()
	db, err := store.Open(dir, store.Options{})
	if err == nil {
		err = errors.Join(db.Put(bouncers, "changed", []byte("after")), db.Delete(bouncers, "deleted"),
			db.Put(bouncers, "new", []byte("after")), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	b, _ = openDesk(t, 2, at(s.Addr()), dir, nil)
	expectRows(t, "both have what was done alone", map[string]string{"changed": "after", "new": "after"}, a, b)
}

// TestTablesHostile: Redis is not believed.
func TestTablesHostile(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	a, _ := openDesk(t, 1, at(s.Addr()), t.TempDir(), nil)
	a.set(t, "fw", "key")
	expectRows(t, "it is there", map[string]string{"fw": "key"}, a)
	hash := "rampart:{j}:table:bouncers"
	stamp := strings.Repeat("0", rankBytes)
	version := 98
	for key, record := range map[string]string{
		"short": "x", "no rank": strings.Repeat("z", rankBytes) + "vfoo", "no kind": stamp + "xfoo", "beyond": strings.Repeat("f", rankBytes) + "vfoo",
		"large": stamp + "v" + strings.Repeat("x", maxTableValue+1), strings.Repeat("k", maxTableKey+1): stamp + "vfoo", "": stamp + "vfoo",
	} {
		version++ // as the script gives them: each its own
		s.Do("HSET", hash, key, record)
		s.Do("ZADD", hash+":order", strconv.Itoa(version), key)
	}
	s.Do("HSET", "rampart:{j}:table", "v:bouncers", strconv.Itoa(version))
	within(t, "all is refused", func() bool { return a.Stats().Refused >= 7 })
	s.Do("ZADD", hash+":order", "+inf", "endless")
	s.Do("HSET", "rampart:{j}:table", "v:bouncers", strconv.Itoa(version+1))
	a.set(t, "haproxy", "key")
	within(t, "the fleet is told", func() bool { return a.Stats().Waiting == 0 && a.Stats().Refused >= 8 })
	a.set(t, "haproxy", "-")
	s.Do("HSET", "rampart:{j}:table", "v:bouncers", "junk")
	a.set(t, "nginx", "key")
	expectRows(t, "only ours is there", map[string]string{"fw": "key", "nginx": "key"}, a)
	if n := a.logs.FilterField(zap.String("kind", "row of a table")).Len(); n != 1 {
		t.Errorf("the log has %d lines of it, want 1", n)
	}
}

// TestTablesKeyOfOtherType: of a key that holds something else than it should the log
// tells with its name; other tables go on, and that one when the key is gone.
func TestTablesKeyOfOtherType(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	a, _ := openDesk(t, 1, at(s.Addr()), t.TempDir(), nil)
	const key = "rampart:{j}:table:bouncers"
	s.Do("SET", key, "no hash")
	a.set(t, "fw", "key")
	var told []observer.LoggedEntry
	within(t, "the log tells", func() bool {
		told = a.logs.FilterMessageSnippet("sharing tables").All()
		return len(told) > 0
	})
	if fields := told[0].ContextMap(); !strings.Contains(fmt.Sprint(fields["error"]), key) || fields["remedy"] == nil {
		t.Errorf("the log tells %v", fields)
	}
	if err := a.Put("machines", "web1", []byte("password")); err != nil {
		t.Fatal(err)
	}
	within(t, "another table is shared", func() bool { return s.Do("HLEN", "rampart:{j}:table:machines") == int64(1) })
	s.Do("DEL", key)
	expectRows(t, "it goes on", map[string]string{"fw": "key"}, a)
	if n := s.Do("HLEN", key); n != int64(1) {
		t.Errorf("redis has %v rows", n)
	}
}

func TestTablesLimits(t *testing.T) {
	a, _ := openDesk(t, 1, at("127.0.0.1:1"), t.TempDir(), nil)
	for what, err := range map[string]error{
		"value": a.Put(bouncers, "k", make([]byte, maxTableValue+1)), "no key": a.Put(bouncers, "", nil),
		"key": a.Put(bouncers, strings.Repeat("k", maxTableKey+1), nil), "table": a.Put("a:b", "k", nil),
	} {
		if err == nil {
			t.Errorf("too large or empty %s: accepted", what)
		}
	}
	tb, err := a.table(bouncers)
	if err != nil {
		t.Fatal(err)
	}
	tb.rows = maxRows
	if err := a.Put(bouncers, "one more", nil); !errors.Is(err, errTableFull) {
		t.Errorf("a table that is full: %v", err)
	}
}

func FuzzParseRow(f *testing.F) {
	f.Add("fw", strings.Repeat("0", rankBytes)+"vvalue")
	f.Add("fw", strings.Repeat("01", rankBytes/2)+"d")
	f.Fuzz(func(t *testing.T, key, record string) {
		r, err := parseRow(key, record)
		if err != nil {
			return
		}
		if string(r.record()) != record {
			t.Errorf("%q is read as %q", record, r.record())
		}
		if next := r.next(time.Now(), nodeID(1), true); next.String() <= r.rank.String() {
			t.Errorf("what follows %s is %s", r.rank, next)
		}
	})
}
