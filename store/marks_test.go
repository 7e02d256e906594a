package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/rampart-edge/rampart/store"
)

func openMarks(t *testing.T, path string) *store.Marks {
	t.Helper()
	m, err := store.OpenMarks(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "marks")
	m := openMarks(t, path)
	if _, ok := m.Load("a"); ok {
		t.Fatal("a position from nowhere")
	}
	must(t, m.Save("a", []byte("1")))
	must(t, m.Save("b", nil))
	must(t, m.Save("a", []byte("2")))
	must(t, m.Save("gone", []byte("x")))
	must(t, m.Forget("gone"))
	must(t, m.Forget("never there"))

	// Without Close, as after a kill.
	again := openMarks(t, path)
	if v, ok := again.Load("a"); !ok || string(v) != "2" {
		t.Errorf("a = %q, %v", v, ok)
	}
	if v, ok := again.Load("b"); !ok || len(v) != 0 {
		t.Errorf("b = %q, %v", v, ok)
	}
	keys := again.Keys()
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"a", "b"}) {
		t.Errorf("keys %q", keys)
	}
	must(t, m.Sync())
	must(t, m.Close())
	must(t, m.Close())
	if err := m.Save("a", []byte("3")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("save after close: %v", err)
	}
}

func TestMarksAreCopies(t *testing.T) {
	m := openMarks(t, filepath.Join(t.TempDir(), "marks"))
	in := []byte("abc")
	must(t, m.Save("k", in))
	in[0] = 'X'
	out, _ := m.Load("k")
	out[1] = 'X'
	if v, _ := m.Load("k"); string(v) != "abc" {
		t.Errorf("got %q", v)
	}
}

func TestMarksDamaged(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good")
	m := openMarks(t, good)
	must(t, m.Save("k", []byte("v")))
	data, err := os.ReadFile(good)
	must(t, err)
	flipped := slices.Clone(data)
	flipped[len(flipped)-3] ^= 1
	for name, content := range map[string][]byte{
		"empty": nil, "cut": data[:len(data)-1], "flipped": flipped,
		"junk": []byte("\x00\xff\x00"), "head only": []byte("rampart-marks 1 00000000\n"),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "marks")
			must(t, os.WriteFile(path, content, 0o600))
			m, err := store.OpenMarks(path)
			if !errors.Is(err, store.ErrMarksDamaged) || m == nil {
				t.Fatalf("got %v, %v", m, err)
			}
			if aside, err := os.ReadFile(path + ".damaged"); err != nil || string(aside) != string(content) {
				t.Errorf("aside: %q, %v", aside, err)
			}
			must(t, m.Save("k", []byte("new")))
			if v, ok := openMarks(t, path).Load("k"); !ok || string(v) != "new" {
				t.Errorf("after saving anew: %q, %v", v, ok)
			}
		})
	}
}

func TestMarksSaveThatFailsChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	must(t, os.Mkdir(dir, 0o700))
	m := openMarks(t, filepath.Join(dir, "marks"))
	must(t, m.Save("k", []byte("old")))
	must(t, os.RemoveAll(dir))
	if err := m.Save("k", []byte("new")); err == nil {
		t.Fatal("saved into a directory that is not there")
	}
	if v, _ := m.Load("k"); string(v) != "old" {
		t.Errorf("got %q", v)
	}
}

func TestMarksConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "marks")
	m := openMarks(t, path)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			key := fmt.Sprint(w)
			for i := range 50 {
				if err := m.Save(key, fmt.Append(nil, i)); err != nil {
					t.Error(err)
				}
				m.Load(key)
			}
		})
	}
	wg.Wait()
	again := openMarks(t, path)
	for w := range 4 {
		if v, _ := again.Load(fmt.Sprint(w)); string(v) != "49" {
			t.Errorf("%d = %q", w, v)
		}
	}
}

func FuzzMarksFile(f *testing.F) {
	f.Add([]byte("rampart-marks 1 00000000\n{}"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "marks")
		must(t, os.WriteFile(path, data, 0o600))
		m, err := store.OpenMarks(path)
		if m == nil || err != nil && !errors.Is(err, store.ErrMarksDamaged) {
			t.Fatalf("%v, %v", m, err)
		}
		must(t, m.Save("k", []byte("v")))
	})
}

func BenchmarkMarksSave(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d sources", n), func(b *testing.B) {
			m, err := store.OpenMarks(filepath.Join(b.TempDir(), "marks"))
			if err != nil {
				b.Fatal(err)
			}
			for i := range n {
				if err := m.Save(fmt.Sprintf("/var/log/site-%d.log", i), []byte(`{"offset":123456789}`)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				if err := m.Save("/var/log/site-0.log", fmt.Append(nil, i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
