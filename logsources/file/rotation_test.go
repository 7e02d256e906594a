package file

import (
	"fmt"
	"os"
	"path/filepath"
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

func downCases() []downCase { return append(renamedCases(), rewrittenCases()...) }

func renamedCases() []downCase {
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

func rewrittenCases() []downCase {
	return []downCase{
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
		{name: "written anew by an editor, in pieces", do: func(t *testing.T, path string, tx texts) {
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.Rename(path, path+"~"))
			for i := 0; i < len(b); i += 700 {
				appendTo(t, path, string(b[i:min(len(b), i+700)]))
				time.Sleep(2 * time.Millisecond)
			}
			appendTo(t, path, tx(1))
		}, want: []int{1}},
		{name: "written anew in place", do: func(t *testing.T, path string, tx texts) {
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, append(b, tx(1)...), 0o644))
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

func TestSymlinkSwappedWhileDown(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "current.log")
	target := func(i int) string { return filepath.Join(dir, fmt.Sprintf("app-%d.txt", i)) }
	r := newReader(t, Options{Patterns: []string{link}})
	must(t, os.Symlink(target(1), link))
	want, text := numbered(0, 100)
	appendTo(t, target(1), "")
	r.start()
	appendTo(t, target(1), text)
	r.expect(want...)
	r.stop()
	more, text := numbered(100, 300)
	appendTo(t, target(1), text[:len(text)/2])
	appendTo(t, target(2), text[len(text)/2:])
	must(t, os.Symlink(target(2), link+".new"))
	must(t, os.Rename(link+".new", link))
	r.start()
	r.expect(append(want, more...)...)
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
