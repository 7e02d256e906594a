package file

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
)

func TestExpandIsGlob(t *testing.T) {
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(3, 4))
	word := func() string { return string([]byte{"ab"[rnd.IntN(2)], "xy"[rnd.IntN(2)]}) }
	for range 60 {
		p := filepath.Join(dir, word(), word())
		must(t, os.MkdirAll(p, 0o755))
		os.WriteFile(filepath.Join(p, word()), nil, 0o644)
	}
	must(t, os.Symlink(filepath.Join(dir, "ax"), filepath.Join(dir, "by~")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "bz")))
	for range 500 {
		parts := []string{dir}
		for range 1 + rnd.IntN(3) {
			parts = append(parts, []string{word(), "*", "a*", "?y", "[ab]x", "*~", "b[!y]", "zz"}[rnd.IntN(8)])
		}
		text := filepath.Join(parts...)
		p, err := newPattern(text)
		must(t, err)
		var w walk
		w.expand(&p)
		slices.Sort(w.paths)
		want, err := filepath.Glob(text)
		must(t, err)
		// What a dangling link would lead to is not there to be read.
		got := slices.DeleteFunc(w.paths, func(s string) bool { return filepath.Base(s) == "bz" })
		want = slices.DeleteFunc(want, func(s string) bool { return filepath.Base(s) == "bz" })
		if d := cmp.Diff(want, got, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); d != "" && len(want)+len(got) > 0 {
			t.Fatalf("%s:\n%s", text, d)
		}
		for _, path := range got {
			if !p.touches(path) || !p.touches(filepath.Dir(path)) {
				t.Errorf("%s is not touched by %s", text, path)
			}
			if !slices.Contains(w.dirs, filepath.Dir(path)) {
				t.Errorf("%s: %s is not watched: %v", text, filepath.Dir(path), w.dirs)
			}
		}
	}
}

func TestRotatedName(t *testing.T) {
	for _, c := range []struct {
		base, name string
		want       bool
	}{
		{"auth.log", "auth.log.1", true},
		{"auth.log", "auth.log.12", true},
		{"auth.log", "auth.log-20260102", true},
		{"auth.log", "auth.log-20260102-1767312000", true},
		{"auth.log", "auth.log.2026-01-02T03:04:05Z", true},
		{"auth.log", "auth.log.old", true},
		{"auth.log", "auth.log.0", true},
		{"app.log", "app.1.log", true},
		{"app.log", "app-2026-01-02T03-04-05.000.log", true},
		{"messages", "messages.1", true},
		{"auth.log", "auth.log", false},
		{"auth.log", "auth.log~", false},
		{"auth.log", "auth.log.1.gz", false},
		{"auth.log", "auth.log.json", false},
		{"auth.log", "auth.log.", false},
		{"auth.log", "auth2.log", false},
		{"access.log", "access.log1", false},
		{"app.log", "app-errors.log", false},
		{".log", "-1.log", false},
	} {
		if got := rotatedName(c.base, c.name); got != c.want {
			t.Errorf("rotatedName(%q, %q) = %v", c.base, c.name, got)
		}
	}
}

func TestSpecRefuses(t *testing.T) {
	labels := map[string]string{"type": "syslog"}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Labels: labels}, "needs a path"},
		{Options{Labels: labels, Patterns: []string{""}}, "empty"},
		{Options{Labels: labels, Patterns: []string{"/x/[a"}}, "bracket"},
		{Options{Labels: labels, Patterns: []string{"/x"}, Exclude: []string{"("}}, "exclude"},
		{Options{Patterns: []string{"/x"}}, "type"},
		{Options{Labels: labels, Patterns: []string{"/x"}, MaxLine: -1}, "negative"},
	} {
		if _, err := Spec(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q", c.o, err, c.want)
		}
	}
}

func TestSpecKey(t *testing.T) {
	base := Options{Patterns: []string{"/a", "/b"}, Labels: map[string]string{"type": "syslog", "x": "y"}}
	a, err := Spec(base)
	must(t, err)
	if b, _ := Spec(base); b.Key != a.Key || a.Name != "/a /b" || a.Type != "file" {
		t.Errorf("spec %+v and %+v", a, b)
	}
	for _, change := range []func(*Options){
		func(o *Options) { o.Patterns = []string{"/a /b"} },
		func(o *Options) { o.Labels = map[string]string{"type": "nginx"} },
		func(o *Options) { o.Exclude = []string{"z"} },
		func(o *Options) { o.FromStart = true },
		func(o *Options) { o.MaxLine = 10 },
	} {
		o := base
		change(&o)
		if b, err := Spec(o); err != nil || b.Key == a.Key {
			t.Errorf("%+v: key %s, error %v", o, b.Key, err)
		}
	}
}

// lines is what a reader has to make of text, written down as simply as possible.
func lines(text string, maxLine int, lastToo bool) (want []string, tooLong int) {
	list := strings.Split(text, "\n")
	if last := len(list) - 1; !lastToo || list[last] == "" {
		list = list[:last]
	}
	for _, l := range list {
		l = strings.TrimSuffix(l, "\r")
		if len(l) > maxLine {
			tooLong++
		} else if l != "" {
			want = append(want, l)
		}
	}
	return want, tooLong
}

// FuzzLines compares both ways to cut lines with the simple one.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\n\r\nlong long long\nc"), uint8(5), uint8(3))
	f.Add([]byte("\x00\x00\n\xff"), uint8(1), uint8(1))
	f.Add(bytes.Repeat([]byte("abcdefg\n"), 200), uint8(7), uint8(7))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte, most, step uint8) {
		maxLine := 1 + int(most)
		want, tooLong := lines(string(text), maxLine, false)
		got, skipped := cutAsTail(t, dir, text, maxLine, 1+int(step))
		if d := cmp.Diff(want, got); d != "" || skipped != int64(tooLong) {
			t.Fatalf("tail: %d too long, want %d; %s", skipped, tooLong, d)
		}
		if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
			return
		}
		want, tooLong = lines(string(text), maxLine, true)
		path := filepath.Join(dir, "f")
		must(t, os.WriteFile(path, text, 0o600))
		got = nil
		err := Read(context.Background(), path, nil, maxLine, func(l event.Line) error { got = append(got, l.Raw); return nil })
		if d := cmp.Diff(want, got); d != "" || errors.Is(err, ErrTooLong) != (tooLong > 0) {
			t.Fatalf("Read: %v, want %d too long; %s", err, tooLong, d)
		}
	})
}

// cutAsTail lets a tail read a file that grows by step bytes at a time.
func cutAsTail(t *testing.T, dir string, text []byte, maxLine, step int) (got []string, tooLong int64) {
	path := filepath.Join(dir, "grows")
	w, err := os.Create(path)
	must(t, err)
	defer w.Close()
	tl, _, err := openTail(path)
	must(t, err)
	defer tl.f.Close()
	buf := make([]byte, lastSize+max(64, maxLine+2)) // smaller than in production, to reach its end
	for len(text) > 0 {
		n := min(step*8, len(text))
		w.Write(text[:n])
		text = text[n:]
		for {
			data, err := tl.read(buf)
			if err != nil {
				if errors.Is(err, errTruncated) {
					t.Fatal(err)
				}
				break
			}
			c := tl.split(data, len(data) == len(buf)-len(tl.last), maxLine, event.Line{})
			if c.used == 0 {
				break
			}
			tl.advance(data, &c)
			for _, l := range c.lines {
				got = append(got, l.Raw)
			}
			tooLong += c.tooLong
		}
	}
	return got, tooLong
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	want, text := numbered(0, 5000)
	var z bytes.Buffer
	zw := gzip.NewWriter(&z)
	zw.Write([]byte(text[:1000]))
	zw.Close()
	zw = gzip.NewWriter(&z) // as appended by some rotators
	zw.Write([]byte(text[1000:]))
	zw.Close()
	labels := map[string]string{"type": "x"}
	for name, data := range map[string][]byte{"plain.log": []byte(text), "log.1.gz": z.Bytes(), "no-extension": z.Bytes()} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, data, 0o600))
		var got []string
		err := Read(context.Background(), path, labels, 0, func(l event.Line) error {
			got = append(got, l.Raw)
			if l.Src != path || l.Module != "file" || l.Labels["type"] != "x" || l.Time.IsZero() {
				t.Fatalf("line %+v", l)
			}
			return nil
		})
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
	path := filepath.Join(dir, "torn.gz")
	must(t, os.WriteFile(path, z.Bytes()[:z.Len()-20], 0o600))
	n := 0
	count := func(event.Line) error { n++; return nil }
	if err := Read(context.Background(), path, nil, 0, count); err == nil || !strings.Contains(err.Error(), path) || n == 0 {
		t.Errorf("torn archive: %v after %d lines", err, n)
	}
	if err := Read(context.Background(), filepath.Join(dir, "none"), nil, 0, count); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if err := Read(context.Background(), dir, nil, 0, count); err == nil {
		t.Error("a directory can be read")
	}
	stop := errors.New("enough")
	if err := Read(context.Background(), filepath.Join(dir, "plain.log"), nil, 0, func(event.Line) error { return stop }); err != stop {
		t.Errorf("the error of fn became %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Read(ctx, filepath.Join(dir, "plain.log"), nil, 0, count); !errors.Is(err, context.Canceled) {
		t.Errorf("done context: %v", err)
	}
}

func TestReadLongLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, []byte("a\n"+strings.Repeat("x", 1<<20)+"\nb"), 0o600))
	var got []string
	err := Read(context.Background(), path, nil, 0, func(l event.Line) error { got = append(got, l.Raw); return nil })
	if fmt.Sprint(got) != "[a b]" || !errors.Is(err, ErrTooLong) || !strings.Contains(err.Error(), "skipped 1") {
		t.Errorf("%v, %v", got, err)
	}
}
