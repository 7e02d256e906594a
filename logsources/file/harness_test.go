package file

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/logsources"
)

// memory is a Positions in memory.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	fail   error // of every Save
}

func newMemory() *memory { return &memory{values: map[string][]byte{}} }

func (m *memory) Load(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.values[key]
	return bytes.Clone(b), ok
}

func (m *memory) Save(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.values[key] = bytes.Clone(value)
	return nil
}

func (m *memory) Forget(key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
	return nil
}

func (m *memory) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.values)
}

// collector is a Sink that keeps the lines; take, if set, may refuse them first.
type collector struct {
	mu    sync.Mutex
	lines []event.Line
	take  func(ctx context.Context, n int) error
}

func (c *collector) Accept(ctx context.Context, lines []event.Line) error {
	if c.take != nil {
		if err := c.take(ctx, len(lines)); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, lines...)
	return nil
}

func (c *collector) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.lines)
}

func (c *collector) raw() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]string, len(c.lines))
	for i, l := range c.lines {
		list[i] = l.Raw
	}
	return list
}

// reader runs sources one after the other with the same positions and sink.
type reader struct {
	t        *testing.T
	opts     Options
	blind    bool // poll only
	linger   time.Duration
	marks    *memory
	sink     *collector
	counters *logsources.Counters

	mu      sync.Mutex
	trouble string
	cancel  context.CancelFunc
	done    chan error
}

func newReader(t *testing.T, o Options) *reader {
	if o.Labels == nil {
		o.Labels = map[string]string{"type": "test"}
	}
	if o.Poll == 0 {
		o.Poll = 20 * time.Millisecond
	}
	r := &reader{t: t, opts: o, marks: newMemory(), sink: &collector{}, counters: &logsources.Counters{}}
	t.Cleanup(r.stop)
	return r
}

func (r *reader) start() {
	set, err := compile(r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	set.blind = r.blind
	if r.linger > 0 {
		set.linger = r.linger
	}
	scanned := make(chan struct{})
	var once sync.Once
	s := newSource(set, logsources.Environment{Positions: r.marks, Counters: r.counters, Report: func(err error) {
		r.mu.Lock()
		r.trouble = ""
		if err != nil {
			r.trouble = err.Error()
		}
		r.mu.Unlock()
		once.Do(func() { close(scanned) })
	}})
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan error, 1)
	go func() { r.done <- s.Run(ctx, r.sink) }()
	<-scanned
}

func (r *reader) stop() {
	if r.cancel != nil {
		r.cancel()
		<-r.done
		r.cancel = nil
		if n := r.counters.Files.Load(); n != 0 {
			r.t.Errorf("%d files are open after the end", n)
		}
	}
}

func (r *reader) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trouble
}

// wait until n lines have arrived.
func (r *reader) wait(n int) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%d lines arrive", n), func() bool { return r.sink.count() >= n })
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// expect compares what arrived, in order, with want and then makes sure that
// nothing more comes.
func (r *reader) expect(want ...string) {
	r.t.Helper()
	r.wait(len(want))
	time.Sleep(3 * r.opts.Poll)
	got := r.sink.raw()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			r.t.Fatalf("line %d differs:\n got %q\nwant %q", i, clip(got, i), clip(want, i))
		}
	}
}

func clip(list []string, i int) []string {
	return list[max(0, min(len(list), i-2)):min(len(list), i+3)]
}

// appendTo writes text to the end of the file at path, which may be new.
func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// numbered returns lines from a to b, each of about 60 bytes, and their text.
func numbered(a, b int) (lines []string, text string) {
	var buf bytes.Buffer
	for i := a; i < b; i++ {
		l := fmt.Sprintf("line %06d of a log that is read by a test, with padding", i)
		lines = append(lines, l)
		buf.WriteString(l + "\n")
	}
	return lines, buf.String()
}

func tempLog(t *testing.T) (dir, path string) {
	dir = t.TempDir()
	return dir, filepath.Join(dir, "app.log")
}
