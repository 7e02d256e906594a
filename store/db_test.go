package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/store"
)

func open(t *testing.T, dir string) *store.DB {
	t.Helper()
	db, err := store.Open(dir, store.Options{Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDB(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	db := open(t, dir)
	if v, err := db.Get("b", "absent"); v != nil || err != nil {
		t.Fatalf("absent: %q, %v", v, err)
	}
	must(t, db.Put("b", "k1", []byte("one")))
	must(t, db.Put("b", "k2", []byte("two")))
	must(t, db.Update(func(tx *store.Tx) error {
		if got := tx.Get("b", "k1"); string(got) != "one" {
			t.Errorf("in a transaction: %q", got)
		}
		must(t, tx.Delete("nowhere", "k"))
		must(t, tx.Delete("b", "k1"))
		return tx.Put("b", "k3", []byte("three"))
	}))
	boom := errors.New("boom")
	err := db.Update(func(tx *store.Tx) error {
		must(t, tx.Put("b", "k4", []byte("four")))
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("update returned %v", err)
	}
	must(t, db.Close())
	must(t, db.Close())

	db = open(t, dir)
	var got []string
	must(t, db.Each("b", "k2", func(k string, v []byte) error {
		got = append(got, k+"="+string(v))
		return nil
	}))
	if d := cmp.Diff([]string{"k2=two", "k3=three"}, got); d != "" {
		t.Error(d)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "rampart.db"): 0o600} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %o", path, fi.Mode(), err, want)
		}
	}
}

func TestEachStopsAtError(t *testing.T) {
	db := open(t, t.TempDir())
	must(t, db.Put("b", "1", nil))
	must(t, db.Put("b", "2", nil))
	boom := errors.New("boom")
	n := 0
	if err := db.Each("b", "", func(string, []byte) error { n++; return boom }); !errors.Is(err, boom) || n != 1 {
		t.Fatalf("%v after %d calls", err, n)
	}
	if err := db.Each("nowhere", "", func(string, []byte) error { return boom }); err != nil {
		t.Fatal(err)
	}
}

func TestTwoOpeners(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	_, err := store.Open(dir, store.Options{Timeout: 50 * time.Millisecond})
	if !errors.Is(err, store.ErrLocked) {
		t.Fatalf("second opener: %v", err)
	}
	if !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("the error does not name process %d: %v", os.Getpid(), err)
	}
	must(t, first.Close())
	second := open(t, dir)
	must(t, first.Close()) // must not take the second one's name away
	if _, err := os.Stat(filepath.Join(dir, "rampart.pid")); err != nil {
		t.Error(err)
	}
	must(t, second.Close())
}

func TestOwnerNamedOnlyWhenPidFileIsSound(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "words": "not a number\n", "negative": "-4 x\n", "missing": "\x00"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir)
			pid := filepath.Join(dir, "rampart.pid")
			if name == "missing" {
				must(t, os.Remove(pid))
			} else {
				must(t, os.WriteFile(pid, []byte(text), 0o600))
			}
			_, err := store.Open(dir, store.Options{Timeout: 20 * time.Millisecond})
			if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "another process") {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestNotADatabase(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "rampart.db"), []byte(strings.Repeat("junk ", 5000)), 0o600))
	if _, err := store.Open(dir, store.Options{}); err == nil || !strings.Contains(err.Error(), "rampart.db") {
		t.Fatalf("got %v", err)
	}
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	a, err := db.Secret("captcha", 32)
	must(t, err)
	other, err := db.Secret("incident", 32)
	must(t, err)
	if len(a) != 32 || string(a) == string(other) {
		t.Fatalf("secrets %x and %x", a, other)
	}
	must(t, db.Close())
	db = open(t, dir)
	again, err := db.Secret("captcha", 32)
	must(t, err)
	if string(again) != string(a) {
		t.Error("the secret changed with a restart")
	}
	if _, err := db.Secret("captcha", 16); err == nil {
		t.Error("another length was accepted")
	}
	if _, err := db.Secret("none", 0); err == nil {
		t.Error("no length was accepted")
	}
}
