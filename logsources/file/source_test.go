package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/logsources"
)

// both runs a test with notifications and with polling alone.
func both(t *testing.T, test func(t *testing.T, blind bool)) {
	for _, blind := range []bool{false, true} {
		t.Run(map[bool]string{false: "notified", true: "polled"}[blind], func(t *testing.T) { test(t, blind) })
	}
}

func TestStart(t *testing.T) {
	both(t, func(t *testing.T, blind bool) {
		dir, path := tempLog(t)
		appendTo(t, path, "old\nhalf of a ")
		r := newReader(t, Options{Patterns: []string{filepath.Join(dir, "*.log")}})
		r.blind = blind
		r.start()
		appendTo(t, path, "line\nnew\r\n\n\r\n")
		r.expect("half of a line", "new")
		appendTo(t, filepath.Join(dir, "later.log"), "first\nsecond\nthird without end")
		r.expect("half of a line", "new", "first", "second")
		r.stop()
		appendTo(t, path, "while down\n")
		appendTo(t, filepath.Join(dir, "also.log"), "appeared while down\n")
		r.start()
		r.wait(6)
		got := strings.Join(r.sink.raw()[4:], "|")
		if got != "while down|appeared while down" && got != "appeared while down|while down" {
			t.Errorf("after restart: %s", got)
		}
		l := r.sink.lines[0]
		if l.Src != path || l.Module != "file" || l.Labels["type"] != "test" || l.Time.IsZero() {
			t.Errorf("line %+v", l)
		}
	})
}

func TestFromStart(t *testing.T) {
	_, path := tempLog(t)
	appendTo(t, path, "one\ntwo\n")
	r := newReader(t, Options{Patterns: []string{path}, FromStart: true})
	r.start()
	r.expect("one", "two")
	r.stop()
	r.start()
	r.expect("one", "two")
}

func TestDirectoriesAppearLater(t *testing.T) {
	both(t, func(t *testing.T, blind bool) {
		dir := t.TempDir()
		r := newReader(t, Options{Patterns: []string{filepath.Join(dir, "a", "*", "c.log")}})
		r.blind = blind
		r.start()
		if !strings.Contains(r.said(), "no file matches") {
			t.Errorf("trouble is %q", r.said())
		}
		must(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
		appendTo(t, filepath.Join(dir, "a", "b", "c.log"), "hello\n")
		r.expect("hello")
		if r.said() != "" {
			t.Errorf("trouble is %q", r.said())
		}
	})
}

func TestExcludedAndCompressed(t *testing.T) {
	dir, path := tempLog(t)
	for _, name := range []string{"app.log", "app.log.1.gz", "skip.log"} {
		appendTo(t, filepath.Join(dir, name), name+"\n")
	}
	must(t, os.Mkdir(filepath.Join(dir, "dir.log"), 0o755))
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	must(t, err)
	defer l.Close()
	r := newReader(t, Options{Patterns: []string{filepath.Join(dir, "*"), path}, Exclude: []string{`skip\.`}, FromStart: true})
	r.start()
	r.expect("app.log")
	if !strings.Contains(r.said(), "not a regular file") {
		t.Errorf("trouble is %q", r.said())
	}
}

func TestLongLines(t *testing.T) {
	both(t, func(t *testing.T, blind bool) {
		_, path := tempLog(t)
		appendTo(t, path, "")
		r := newReader(t, Options{Patterns: []string{path}})
		r.blind = blind
		r.start()
		exact := strings.Repeat("x", DefaultMaxLine)
		appendTo(t, path, "a\n"+strings.Repeat("y", 1<<20)+"\nb\n"+exact+"\n"+exact+"\r\n"+exact+"z\nc\n")
		r.expect("a", "b", exact, exact, "c")
		if n := r.counters.TooLong.Load(); n != 2 {
			t.Errorf("%d lines too long, want 2", n)
		}
		// One that grows slowly, over a restart in its middle.
		for range 10 {
			appendTo(t, path, strings.Repeat("q", 20_000))
			time.Sleep(time.Millisecond)
		}
		eventually(t, "the long line is being skipped", func() bool {
			b, _ := r.marks.Load("file:test:" + path)
			return bytes.Contains(b, []byte(`"skip":true`))
		})
		r.stop()
		appendTo(t, path, "rest\nd\n")
		r.start()
		r.expect("a", "b", exact, exact, "c", "d")
		if n := r.counters.TooLong.Load(); n != 3 {
			t.Errorf("%d lines too long, want 3", n)
		}
	})
}

func TestStartInsideLongLine(t *testing.T) {
	_, path := tempLog(t)
	appendTo(t, path, strings.Repeat("x", 200_000))
	r := newReader(t, Options{Patterns: []string{path}})
	r.start()
	appendTo(t, path, "end of it\nnext\n")
	r.expect("next")
}

func TestBinaryJunk(t *testing.T) {
	_, path := tempLog(t)
	r := newReader(t, Options{Patterns: []string{path}})
	r.start()
	want := []string{"\x00\x01\x02zeros", "caf\xe9 in latin 1", "bad \xff\x07 bell", "colour \x1b[1m", "ok ü"}
	appendTo(t, path, strings.Join(want, "\n")+"\n")
	r.expect(want...)
	if n := r.counters.Binary.Load(); n != 2 {
		t.Errorf("%d binary lines, want 2", n)
	}
}

func TestRefusedLinesAreDeliveredLater(t *testing.T) {
	_, path := tempLog(t)
	lines, text := numbered(0, 2000)
	r := newReader(t, Options{Patterns: []string{path}})
	n := 0
	r.sink.take = func(ctx context.Context, _ int) error {
		if n++; n%2 == 1 {
			return fmt.Errorf("no room: %w", logsources.ErrRefused)
		}
		return nil
	}
	r.start()
	appendTo(t, path, text)
	for r.sink.count() < len(lines) {
		if err := <-r.done; !errors.Is(err, logsources.ErrRefused) {
			t.Fatalf("Run returned %v", err)
		}
		r.start()
		eventually(t, "progress or end", func() bool { return len(r.done) > 0 || r.sink.count() == len(lines) })
	}
	r.expect(lines...)
}

func TestOtherErrorsAreAtMostOnce(t *testing.T) {
	_, path := tempLog(t)
	r := newReader(t, Options{Patterns: []string{path}})
	fail := true
	r.sink.take = func(context.Context, int) error {
		if fail {
			fail = false
			return errors.New("who knows how many were taken")
		}
		return nil
	}
	r.start()
	appendTo(t, path, "perhaps taken\n")
	<-r.done
	r.start()
	appendTo(t, path, "later\n")
	r.expect("later")
}

func TestPositionIsSavedBeforeDelivery(t *testing.T) {
	_, path := tempLog(t)
	lines, text := numbered(0, 3000)
	r := newReader(t, Options{Patterns: []string{path}})
	total := 0
	r.sink.take = func(_ context.Context, n int) error {
		total += n * (len(lines[0]) + 1)
		b, _ := r.marks.Load("file:test:" + path)
		rec, err := decodeRecord(b)
		if err != nil || rec.Files[0].Off != int64(total) {
			t.Errorf("position %+v, want %d", rec.Files, total)
		}
		if n > chunkLines {
			t.Errorf("%d lines at once", n)
		}
		return nil
	}
	r.start()
	appendTo(t, path, text)
	r.expect(lines...)
}

func TestUnsavedPositionsDoNotBlind(t *testing.T) {
	_, path := tempLog(t)
	r := newReader(t, Options{Patterns: []string{path}})
	r.marks.fail = errors.New("no space left on device")
	r.start()
	appendTo(t, path, "still seen\n")
	r.expect("still seen")
	if !strings.Contains(r.said(), "no space left") {
		t.Errorf("trouble is %q", r.said())
	}
	r.marks.mu.Lock()
	r.marks.fail = nil
	r.marks.mu.Unlock()
	appendTo(t, path, "again\n")
	eventually(t, "trouble is over", func() bool { return r.said() == "" })
}

func TestDamagedPosition(t *testing.T) {
	_, path := tempLog(t)
	appendTo(t, path, "old\n")
	r := newReader(t, Options{Patterns: []string{path}})
	for _, junk := range []string{"{", `{"files":[{"off":-5,"head":{"n":-1},"last":{"n":-7}}]}`, `{"files":[{"off":99999999999,"head":{"n":9999},"last":{"n":9999}}]}`} {
		r.marks.Save("file:test:"+path, []byte(junk))
		r.start()
		r.stop()
	}
}

func TestManyFiles(t *testing.T) {
	dir := t.TempDir()
	const files = 3000
	for i := range files {
		appendTo(t, filepath.Join(dir, fmt.Sprintf("%04d.log", i)), "old\n")
	}
	r := newReader(t, Options{Patterns: []string{filepath.Join(dir, "*.log")}, Poll: 100 * time.Millisecond})
	before := runtime.NumGoroutine()
	r.start()
	if n := runtime.NumGoroutine() - before; n > 4 {
		t.Errorf("%d goroutines for %d files", n, files)
	}
	if n := r.counters.Files.Load(); n != files {
		t.Errorf("%d files are open, want %d (%s)", n, files, r.said())
	}
	for i := range files {
		appendTo(t, filepath.Join(dir, fmt.Sprintf("%04d.log", i)), fmt.Sprintf("%04d\n", i))
	}
	r.wait(files)
	seen := map[string]bool{}
	for _, l := range r.sink.raw() {
		seen[l] = true
	}
	if len(seen) != files {
		t.Errorf("%d different lines, want %d", len(seen), files)
	}
}

func TestOneFileUnderTwoNames(t *testing.T) {
	dir, path := tempLog(t)
	appendTo(t, path, "old\n")
	must(t, os.Symlink(path, filepath.Join(dir, "alias.log")))
	r := newReader(t, Options{Patterns: []string{filepath.Join(dir, "*.log")}})
	r.start()
	appendTo(t, path, "once\n")
	r.expect("once")
	must(t, os.Remove(filepath.Join(dir, "alias.log")))
	must(t, os.Rename(path, filepath.Join(dir, "renamed.log")))
	appendTo(t, filepath.Join(dir, "renamed.log"), "still once\n")
	r.expect("once", "still once")
}

func TestForgetsVanishedFiles(t *testing.T) {
	dir := t.TempDir()
	r := newReader(t, Options{Patterns: []string{filepath.Join(dir, "*.log")}})
	set, err := compile(r.opts)
	must(t, err)
	set.linger, set.forget = 0, 0
	now := time.Now()
	s := newSource(set, logsources.Environment{Positions: r.marks, Now: func() time.Time { return now }})
	s.loadIndexes()
	defer s.close()
	appendTo(t, filepath.Join(dir, "a.log"), "x\n")
	s.watched = newWatcher(true, s.env.Logger)
	s.scan()
	must(t, s.pump(context.Background(), r.sink))
	if n := r.marks.size(); n != 2 {
		t.Fatalf("%d keys, want one for the file and one for the pattern", n)
	}
	must(t, os.Remove(filepath.Join(dir, "a.log")))
	for range 4 {
		now = now.Add(2 * time.Second)
		s.scan()
		must(t, s.pump(context.Background(), r.sink))
	}
	if n := r.marks.size(); n != 1 || len(s.lineages) != 0 || len(s.byID) != 0 {
		t.Errorf("%d keys, %d paths, %d files; want only the pattern's key", n, len(s.lineages), len(s.byID))
	}
}
