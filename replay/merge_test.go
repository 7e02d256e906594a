package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// clock reads lines that are a number of seconds and a text; "-" has no time.
type clock struct {
	taken []string
	out   int // events that were read and not given back
	most  int
}

func (c *clock) Read(l event.Line) (*event.Event, time.Time, bool) {
	seconds, _, _ := strings.Cut(l.Raw, " ")
	n, err := strconv.Atoi(seconds)
	if err != nil {
		return nil, time.Time{}, false
	}
	c.out++
	c.most = max(c.most, c.out)
	return &event.Event{Line: l}, time.Unix(int64(n), 0), true
}

func (c *clock) Take(ev *event.Event, at time.Time) {
	c.taken = append(c.taken, fmt.Sprintf("%d:%s:%s", at.Unix(), ev.Line.Labels["type"], ev.Line.Raw))
}

func (c *clock) Done(ev *event.Event) {
	if ev != nil {
		c.out--
	}
}

// logs writes files and returns them as inputs, each with its name as the type.
func logs(t *testing.T, files ...string) []Input {
	t.Helper()
	dir := t.TempDir()
	var list []Input
	for i, text := range files {
		p := filepath.Join(dir, fmt.Sprintf("%c.log", 'a'+i))
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		list = append(list, Input{Path: p, Type: string(rune('a' + i))})
	}
	return list
}

func TestMergeOrder(t *testing.T) {
	for name, tt := range map[string]struct {
		files []string
		want  string
	}{
		"side by side":          {[]string{"1 x\n3 y\n5 z\n", "2 p\n4 q\n"}, "1:a 2:b 3:a 4:b 5:a"},
		"the older one second":  {[]string{"5 x\n6 y\n", "1 p\n2 q\n"}, "1:b 2:b 5:a 6:a"},
		"equal: the first goes": {[]string{"1 x\n1 y\n2 z\n", "1 p\n2 q\n"}, "1:a 1:a 1:b 2:a 2:b"},
		"late lines keep their place": {[]string{"1 x\n9 y\n2 z\n3 z\n", "4 p\n10 q\n"},
			"1:a 4:b 9:a 2:a 3:a 10:b"},
		"undated lines are left out": {[]string{"- x\n1 y\n- z\n", "- p\n", ""}, "1:a"},
		"nothing":                    {[]string{"", ""}, ""},
	} {
		c := &clock{}
		m := merge{reader: c}
		if err := m.run(context.Background(), logs(t, tt.files...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, s := range c.taken {
			got = append(got, strings.Join(strings.SplitN(s, ":", 3)[:2], ":"))
		}
		if strings.Join(got, " ") != tt.want || c.out != 0 {
			t.Errorf("%s: %v (%d left), want %s", name, got, c.out, tt.want)
		}
	}
}

// TestMergeRandom: many logs, some compressed, some with late lines: every line is
// taken once, each log in its own order, at most one event of each is held, and of
// logs in order the whole is in order.
func TestMergeRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		late := round%2 == 1
		var texts []string
		lines := 0
		for range 1 + r.IntN(12) {
			var b strings.Builder
			at := r.IntN(100)
			for range r.IntN(3000) {
				at += r.IntN(3)
				shown := at
				if late && r.IntN(10) == 0 {
					shown = max(at-r.IntN(50), 0)
				}
				fmt.Fprintf(&b, "%d %s\n", shown, strings.Repeat("x", r.IntN(80)))
				lines++
			}
			texts = append(texts, b.String())
		}
		inputs := logs(t, texts...)
		for i, in := range inputs {
			if r.IntN(3) == 0 {
				compress(t, in.Path)
			}
			inputs[i].Labels = map[string]string{"n": strconv.Itoa(i)}
		}
		c := &clock{}
		var seen int
		m := merge{reader: c, seen: func(lines int, _ int64) { seen += lines }}
		if err := m.run(context.Background(), inputs); err != nil {
			t.Fatal(err)
		}
		if len(c.taken) != lines || seen != lines || c.out != 0 || c.most > len(inputs) {
			t.Fatalf("round %d: took %d of %d lines, %d seen, %d events left, %d at once of %d logs", round, len(c.taken), lines, seen, c.out, c.most, len(inputs))
		}
		got := map[string]*strings.Builder{}
		last := 0
		for _, s := range c.taken {
			parts := strings.SplitN(s, ":", 3)
			if got[parts[1]] == nil {
				got[parts[1]] = &strings.Builder{}
			}
			got[parts[1]].WriteString(parts[2] + "\n")
			at, _ := strconv.Atoi(parts[0])
			if !late && at < last {
				t.Fatalf("round %d: %d after %d", round, at, last)
			}
			last = at
		}
		for i, text := range texts {
			if b := got[string(rune('a'+i))]; b != nil && b.String() != text || b == nil && text != "" {
				t.Fatalf("round %d: log %d has another order", round, i)
			}
		}
	}
}

func compress(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close(), os.WriteFile(path, b.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestMergeTrouble(t *testing.T) {
	inputs := logs(t, "1 x\n", "2 y\n"+strings.Repeat("z", 70_000)+"\n3 y\n")
	c := &clock{}
	m := merge{reader: c}
	if err := m.run(context.Background(), inputs); err != nil || m.tooLong != 1 || len(c.taken) != 3 {
		t.Errorf("a line too long: %v, %d skipped, took %v", err, m.tooLong, c.taken)
	}
	m = merge{reader: c}
	inputs = append(inputs, Input{Path: "none.log", Type: "a"})
	if err := m.run(context.Background(), inputs); err == nil || !strings.Contains(err.Error(), "none.log") || c.out != 0 {
		t.Errorf("a missing file: %v, %d events left", err, c.out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m = merge{reader: c}
	if err := m.run(ctx, logs(t, "1 x\n")); !errors.Is(err, context.Canceled) || c.out != 0 {
		t.Errorf("cancelled: %v, %d events left", err, c.out)
	}
	if err := os.WriteFile(inputs[0].Path, []byte("\x1f\x8bnot gzip"), 0o644); err != nil {
		t.Fatal(err)
	}
	m = merge{reader: c}
	if err := m.run(context.Background(), inputs[:2]); err == nil || !strings.Contains(err.Error(), "a.log") || c.out != 0 {
		t.Errorf("damaged gzip: %v, %d events left", err, c.out)
	}
}

// TestMergeMemory: what is held does not grow with the length of the logs.
func TestMergeMemory(t *testing.T) {
	line := " " + strings.Repeat("x", 100) + "\n"
	var b strings.Builder
	for i := range 200_000 {
		b.WriteString(strconv.Itoa(i) + line)
	}
	inputs := logs(t, b.String(), b.String())
	b.Reset()
	peak := uint64(0)
	n := 0
	c := &counting{each: func() {
		if n++; n%100_000 == 0 {
			var s runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&s)
			peak = max(peak, s.HeapAlloc)
		}
	}}
	m := merge{reader: c}
	if err := m.run(context.Background(), inputs); err != nil || n != 400_000 {
		t.Fatal(err, n)
	}
	if peak > 8<<20 {
		t.Errorf("%d MiB are held while 44 MiB of logs pass", peak>>20)
	}
}

// counting takes events and keeps nothing.
type counting struct {
	clock
	each func()
}

func (c *counting) Take(*event.Event, time.Time) { c.each() }

func TestSize(t *testing.T) {
	inputs := logs(t, strings.Repeat("some text\n", 1000), "x\n")
	if n := Size(inputs); n != 10_002 {
		t.Errorf("plain: %d", n)
	}
	compress(t, inputs[0].Path)
	if n := Size(inputs); n != 10_002 {
		t.Errorf("compressed: %d", n)
	}
	if n := Size(append(slices.Clone(inputs), Input{Path: "-"})); n != 0 {
		t.Errorf("with the standard input: %d", n)
	}
	if n := Size([]Input{{Path: "none.log"}}); n != 0 {
		t.Errorf("missing: %d", n)
	}
}
