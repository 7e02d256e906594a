package file

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// copyTruncate does what logrotate's copytruncate does.
func copyTruncate(t *testing.T, path, to string) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(to, b, 0o644))
	must(t, os.Truncate(path, 0))
}

// downCase is something that happens to path between two runs.
type downCase struct {
	name   string
	glob   string                                    // pattern besides the path itself
	before int                                       // lines that were delivered before
	do     func(t *testing.T, path string, tx texts) // writes lines 100 … 399
	want   []int                                     // hundreds of lines that are delivered afterwards
}

// texts gives the text of a hundred numbered lines.
type texts func(hundred int) string

func downCases() []downCase {
	return []downCase{
		{name: "appended", do: func(t *testing.T, path string, tx texts) {
			appendTo(t, path, tx(1)+tx(2))
		}, want: []int{1, 2}},
		{name: "renamed and created", do: func(t *testing.T, path string, tx texts) {
			appendTo(t, path, tx(1))
			must(t, os.Rename(path, path+".1"))
			appendTo(t, path, tx(2))
		}, want: []int{1, 2}},
		{name: "renamed, not created", do: func(t *testing.T, path string, tx texts) {
			appendTo(t, path, tx(1))
			must(t, os.Rename(path, path+".1"))
		}, want: []int{1}},
		{name: "renamed three times", do: func(t *testing.T, path string, tx texts) {
			for i := 1; i <= 3; i++ {
				appendTo(t, path, tx(i))
				must(t, os.Rename(path, fmt.Sprintf("%s-2026010%d", path, i)))
			}
			appendTo(t, path, tx(4))
		}, want: []int{1, 2, 3, 4}},
		{name: "renamed, few lines so far", before: 2, do: func(t *testing.T, path string, tx texts) {
			appendTo(t, path, tx(1))
			must(t, os.Rename(path, path+".old"))
			appendTo(t, path, tx(2))
		}, want: []int{1, 2}},
		{name: "renamed to a name that matches", glob: "app.log*", do: func(t *testing.T, path string, tx texts) {
			appendTo(t, path, tx(1))
			must(t, os.Rename(path, path+".1"))
			appendTo(t, path, tx(2))
		}, want: []int{1, 2}},
		{name: "copied and truncated", do: func(t *testing.T, path string, tx texts) {
			appendTo(t, path, tx(1))
			copyTruncate(t, path, path+".1")
			appendTo(t, path, tx(2))
		}, want: []int{1, 2}},
		{name: "copied to a name that matches and truncated", glob: "app.log*", do: func(t *testing.T, path string, tx texts) {
			appendTo(t, path, tx(1))
			copyTruncate(t, path, path+".1")
			appendTo(t, path, tx(2))
		}, want: []int{1, 2}},
		{name: "truncated and grown beyond", do: func(t *testing.T, path string, tx texts) {
			must(t, os.Truncate(path, 0))
			appendTo(t, path, tx(1)+tx(2)+tx(3))
		}, want: []int{1, 2, 3}},
		{name: "deleted and created", do: func(t *testing.T, path string, tx texts) {
			must(t, os.Remove(path))
			appendTo(t, path, tx(1))
		}, want: []int{1}},
		{name: "edited", do: func(t *testing.T, path string, tx texts) {
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path+"~new", append(b, tx(1)...), 0o644))
			must(t, os.Rename(path+"~new", path))
		}, want: []int{1}},
		{name: "put back from a copy", do: func(t *testing.T, path string, tx texts) {
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.Rename(path, path+".1"))
			must(t, os.WriteFile(path, b, 0o644))
			appendTo(t, path, tx(1))
		}, want: []int{1}},
		{name: "older rotated files do not count", do: func(t *testing.T, path string, tx texts) {
			appendTo(t, path+".1", tx(8))
			past := time.Now().Add(-time.Hour)
			must(t, os.Chtimes(path+".1", past, past))
			must(t, os.Rename(path+".1", path+".2"))
			must(t, os.Rename(path, path+".1"))
			appendTo(t, path, tx(1))
		}, want: []int{1}},
	}
}

func TestWhileDown(t *testing.T) {
	for _, live := range []bool{false, true} {
		for _, c := range downCases() {
			t.Run(fmt.Sprintf("%s/live=%v", c.name, live), func(t *testing.T) {
				dir, path := tempLog(t)
				o := Options{Patterns: []string{path}}
				if c.glob != "" {
					o.Patterns = append(o.Patterns, filepath.Join(dir, c.glob))
				}
				r := newReader(t, o)
				r.start()
				if c.before == 0 {
					c.before = 100
				}
				want, text := numbered(0, c.before)
				appendTo(t, path, text)
				r.expect(want...)
				if !live {
					r.stop()
				}
				c.do(t, path, func(h int) string { _, s := numbered(100*h, 100*h+100); return s })
				if !live {
					r.start()
				}
				for _, h := range c.want {
					l, _ := numbered(100*h, 100*h+100)
					want = append(want, l...)
				}
				r.expect(want...)
				// Whatever happened, it goes on, and nothing comes again.
				r.stop()
				r.start()
				appendTo(t, path, "the end\n")
				r.expect(append(want, "the end")...)
			})
		}
	}
}

func TestLateWritesToRotatedFile(t *testing.T) {
	both(t, func(t *testing.T, blind bool) {
		_, path := tempLog(t)
		r := newReader(t, Options{Patterns: []string{path}})
		r.blind = blind
		r.start()
		f, err := os.Create(path)
		must(t, err)
		defer f.Close()
		fmt.Fprintln(f, "one")
		r.expect("one")
		must(t, os.Rename(path, path+".1"))
		appendTo(t, path, "two\n")
		r.expect("one", "two")
		fmt.Fprintln(f, "late")
		r.expect("one", "two", "late")
		r.stop()
		fmt.Fprintln(f, "later")
		r.start()
		r.expect("one", "two", "late", "later")
	})
}

func TestRotatedFilesAreClosedWhenQuiet(t *testing.T) {
	_, path := tempLog(t)
	r := newReader(t, Options{Patterns: []string{path}})
	r.linger = 50 * time.Millisecond
	r.start()
	var want []string
	for i := range 5 {
		lines, text := numbered(i*100, i*100+100)
		appendTo(t, path, text)
		want = append(want, lines...)
		r.wait(len(want))
		must(t, os.Rename(path, fmt.Sprintf("%s.%d", path, i)))
	}
	appendTo(t, path, "last\n")
	r.expect(append(want, "last")...)
	eventually(t, "one file is open", func() bool { return r.counters.Files.Load() == 1 })
	r.expect(append(want, "last")...)
}

func TestHoleAfterTruncation(t *testing.T) {
	_, path := tempLog(t)
	f, err := os.Create(path) // no O_APPEND: goes on at its old offset
	must(t, err)
	defer f.Close()
	r := newReader(t, Options{Patterns: []string{path}})
	r.start()
	want, text := numbered(0, 5000)
	f.WriteString(text)
	r.expect(want...)
	must(t, os.Truncate(path, 0))
	f.WriteString("after the hole\n")
	r.expect(append(want, "after the hole")...)
	if n := r.counters.Truncations.Load(); n != 1 {
		t.Errorf("%d truncations, want 1", n)
	}
}

func TestReusedInodeIsANewFile(t *testing.T) {
	_, path := tempLog(t)
	r := newReader(t, Options{Patterns: []string{path}})
	r.start()
	want, text := numbered(0, 100)
	appendTo(t, path, text)
	r.expect(want...)
	r.stop()
	// The same inode with other content and more of it: no file system has to be
	// asked to reuse one.
	more, text := numbered(1000, 1300)
	must(t, os.WriteFile(path, []byte(text), 0o644))
	r.start()
	r.expect(append(want, more...)...)
}

// op is one kind of rotation of the log at w.path.
type op func(w *rotor)

// rotor writes numbered lines to a log that it rotates now and then.
type rotor struct {
	t       *testing.T
	r       *reader
	rnd     *rand.Rand
	dir     string
	path    string
	f       *os.File
	n       int // lines written
	gen     int
	genFrom int // first line of this generation
	padding string
}

func (w *rotor) open() {
	var err error
	w.f, err = os.OpenFile(w.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	must(w.t, err)
}

// write appends some lines, in pieces that need not end where a line does.
func (w *rotor) write() {
	var b strings.Builder
	for range 1 + w.rnd.IntN(300) {
		fmt.Fprintf(&b, "%07d g%d %s\n", w.n, w.gen, w.padding[:w.rnd.IntN(len(w.padding))])
		w.n++
	}
	text := b.String()
	for len(text) > 0 {
		k := min(len(text), 1+w.rnd.IntN(8000))
		_, err := w.f.WriteString(text[:k])
		must(w.t, err)
		text = text[k:]
	}
}

func (w *rotor) next() { w.gen, w.genFrom = w.gen+1, w.n }

// caughtUp waits until n lines of this generation, or all, are delivered.
func (w *rotor) caughtUp(n int) { w.r.wait(min(w.n, w.genFrom+n)) }

func (w *rotor) rename() {
	must(w.t, w.f.Close())
	must(w.t, os.Rename(w.path, fmt.Sprintf("%s.%d", w.path, w.gen)))
	w.next()
	w.open()
}

// copyTruncate waits until the start of the file was seen: a file that comes and
// goes without a trace of its content is what the method loses.
func (w *rotor) copyTruncate() {
	w.caughtUp(100)
	copyTruncate(w.t, w.path, fmt.Sprintf("%s.%d", w.path, w.gen))
	w.next()
}

// recreate can only keep what was noticed before it is deleted; a reader that has
// begun keeps the file.
func (w *rotor) recreate() {
	w.caughtUp(1)
	must(w.t, w.f.Close())
	must(w.t, os.Remove(w.path))
	w.next()
	w.open()
}

// TestRandomRotationAtSpeed is repeated RAMPART_SOAK times with other seeds.
func TestRandomRotationAtSpeed(t *testing.T) {
	seeds := uint64(2)
	if n, err := strconv.ParseUint(os.Getenv("RAMPART_SOAK"), 10, 64); err == nil {
		seeds *= n
	}
	ops := map[string][]op{
		"rename":       {(*rotor).rename},
		"copytruncate": {(*rotor).copyTruncate},
		"recreate":     {(*rotor).recreate},
		"all":          {(*rotor).rename, (*rotor).copyTruncate, (*rotor).recreate},
	}
	for name, kinds := range ops {
		for _, glob := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/glob=%v", name, glob), func(t *testing.T) {
				for seed := range seeds {
					runRotor(t, kinds, glob, seed)
				}
			})
		}
	}
}

func runRotor(t *testing.T, kinds []op, glob bool, seed uint64) {
	dir, path := tempLog(t)
	o := Options{Patterns: []string{path}}
	if glob {
		o.Patterns[0] += "*"
	}
	r := newReader(t, o)
	r.blind = seed%2 == 1
	r.start()
	w := &rotor{t: t, r: r, rnd: rand.New(rand.NewPCG(seed, 7)), dir: dir, path: path, padding: strings.Repeat("p", 120)}
	w.open()
	w.write()
	w.caughtUp(1) // a file that was never seen at its path is not looked for
	for range 40 {
		for range 1 + w.rnd.IntN(5) {
			w.write()
		}
		kinds[w.rnd.IntN(len(kinds))](w)
		if w.rnd.IntN(8) == 0 { // a restart in the middle of it
			w.caughtUp(1 << 30)
			r.stop()
			w.write()
			r.start()
		}
	}
	w.f.Close()
	w.check()
	r.stop()
}

// check compares the lines delivered with those written: all, once, in order
// within each generation.
func (w *rotor) check() {
	w.t.Helper()
	eventually(w.t, "all lines arrive", func() bool { return w.r.sink.count() >= w.n })
	time.Sleep(2 * w.r.opts.Poll)
	seen := make([]int, w.n)
	last := map[string]int{}
	for _, l := range w.r.sink.raw() {
		var n int
		var gen string
		if _, err := fmt.Sscanf(l, "%07d %s", &n, &gen); err != nil || n >= w.n {
			w.t.Fatalf("half a line: %q", l)
		}
		if p, ok := last[gen]; ok && n <= p {
			w.t.Fatalf("line %d of %s came after %d", n, gen, p)
		}
		last[gen] = n
		seen[n]++
	}
	for n, c := range seen {
		if c != 1 {
			w.t.Fatalf("line %d of %d arrived %d times", n, w.n, c)
		}
	}
}

func TestSymlinkSwap(t *testing.T) {
	both(t, func(t *testing.T, blind bool) {
		dir := t.TempDir()
		link := filepath.Join(dir, "current.log")
		data := filepath.Join(dir, "data")
		must(t, os.Mkdir(data, 0o755))
		r := newReader(t, Options{Patterns: []string{link}})
		r.blind = blind
		r.start()
		var want []string
		for i := range 30 {
			target := filepath.Join(data, fmt.Sprintf("app-%d.log", i))
			first, text := numbered(i*1000, i*1000+200)
			appendTo(t, target, text)
			must(t, os.Symlink(target, link+".new"))
			must(t, os.Rename(link+".new", link))
			want = append(want, first...)
			r.wait(len(want) - 199) // the new target was noticed
			more, text := numbered(i*1000+200, i*1000+900)
			appendTo(t, target, text)
			want = append(want, more...)
			if i%10 == 9 {
				r.stop()
				appendTo(t, target, "while down\n")
				want = append(want, "while down")
				r.start()
			}
		}
		r.expect(want...)
	})
}

func TestSymlinkToFileThatIsRotated(t *testing.T) {
	both(t, func(t *testing.T, blind bool) {
		dir, path := tempLog(t)
		link := filepath.Join(t.TempDir(), "link.log")
		appendTo(t, path, "")
		must(t, os.Symlink(path, link))
		r := newReader(t, Options{Patterns: []string{link}})
		r.blind = blind
		r.start()
		var want []string
		for i := range 10 {
			lines, text := numbered(i*100, i*100+100)
			appendTo(t, path, text)
			want = append(want, lines...)
			if i%3 == 0 {
				r.wait(len(want))
				r.stop()
			}
			must(t, os.Rename(path, filepath.Join(dir, fmt.Sprintf("app.log.%d", i))))
			appendTo(t, path, "")
			if i%3 == 0 {
				r.start()
			}
		}
		r.expect(want...)
	})
}
