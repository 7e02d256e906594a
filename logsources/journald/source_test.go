//go:build unix

package journald

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/logsources"
)

type memory struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (m *memory) Load(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.values[key]
	return b, ok
}

func (m *memory) Save(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = bytes.Clone(value)
	return nil
}

// bench is a source on the stand-in for journalctl.
type bench struct {
	t        *testing.T
	journal  string
	calls    string
	spec     logsources.Spec
	marks    *memory
	counters logsources.Counters

	mu     sync.Mutex
	lines  []event.Line
	fail   error    // what the next Accept returns
	cursor []string // saved when each batch arrived

	cancel context.CancelFunc
	done   chan error
}

func newBench(t *testing.T, match ...string) *bench {
	dir := t.TempDir()
	b := &bench{t: t, journal: filepath.Join(dir, "journal"), calls: filepath.Join(dir, "calls"), marks: &memory{values: map[string][]byte{}}}
	must(t, os.WriteFile(b.journal, nil, 0o600))
	program, err := filepath.Abs("testdata/journalctl")
	must(t, err)
	b.spec, err = Spec(Options{Match: match, Command: []string{"env", "JOURNAL=" + b.journal, "CALLS=" + b.calls, "sh", program}})
	must(t, err)
	t.Cleanup(b.stop)
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) Accept(_ context.Context, lines []event.Line) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fail; err != nil {
		b.fail = nil
		return err
	}
	b.lines = append(b.lines, lines...)
	b.cursor = append(b.cursor, b.saved())
	return nil
}

func (b *bench) failOnce(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = err
}

// saved is the cursor in the positions.
func (b *bench) saved() string {
	b.marks.mu.Lock()
	defer b.marks.mu.Unlock()
	var p position
	for _, v := range b.marks.values {
		json.Unmarshal(v, &p)
	}
	return p.Cursor
}

func (b *bench) start() {
	src, err := b.spec.New(logsources.Environment{Positions: b.marks, Counters: &b.counters})
	must(b.t, err)
	calls := b.called()
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel, b.done = cancel, make(chan error, 1)
	go func() { b.done <- src.Run(ctx, b) }()
	eventually(b.t, "journalctl is started", func() bool { return b.called() > calls || len(b.done) > 0 })
}

func (b *bench) called() int { return len(b.arguments()) }

func (b *bench) arguments() []string {
	text, _ := os.ReadFile(b.calls)
	return strings.Split(string(text), "\n")[:bytes.Count(text, []byte("\n"))]
}

func (b *bench) stop() {
	if b.cancel != nil {
		b.cancel()
		if err := <-b.done; err == nil {
			b.t.Error("Run returned without an error")
		}
		b.cancel = nil
	}
}

func (b *bench) write(entries ...string) {
	f, err := os.OpenFile(b.journal, os.O_APPEND|os.O_WRONLY, 0)
	must(b.t, err)
	defer f.Close()
	for _, e := range entries {
		_, err := f.WriteString(e + "\n")
		must(b.t, err)
	}
}

func entryN(n int, message string) string {
	m, _ := json.Marshal(message)
	return fmt.Sprintf(`{"__CURSOR":"c%d","__REALTIME_TIMESTAMP":"%d","MESSAGE":%s,"SYSLOG_IDENTIFIER":"sshd","_PID":"77","_HOSTNAME":"web1"}`, n, 1767366245000000+n, m)
}

func (b *bench) raw() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []string
	for _, l := range b.lines {
		_, m, _ := strings.Cut(l.Raw, "]: ")
		list = append(list, m)
	}
	return list
}

func (b *bench) expect(want ...string) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("%d lines arrive", len(want)), func() bool { return len(b.raw()) >= len(want) })
	time.Sleep(50 * time.Millisecond)
	if d := cmp.Diff(want, b.raw()); d != "" {
		b.t.Fatal(d)
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func TestFollow(t *testing.T) {
	b := newBench(t, "_COMM=sshd", "+", "_COMM=sudo")
	b.write(entryN(1, "old"))
	b.start()
	b.stop()
	b.write(entryN(2, "x")) // unseen: the next start has no cursor but a time
	b.start()
	first := b.arguments()[0]
	for _, want := range []string{"--output=json", "--all", "--follow", "--lines=0", "_COMM=sshd + _COMM=sudo"} {
		if !strings.Contains(first, want) {
			t.Errorf("arguments %q lack %s", first, want)
		}
	}
	b.expect("old", "x") // the stand-in has no clock: it shows all
	if second := b.arguments()[1]; !strings.Contains(second, "--since=@") || strings.Contains(second, "--follow") {
		t.Errorf("second start, without a cursor, to catch up: %q", second)
	}
	eventually(t, "it follows", func() bool { return b.called() == 3 })
	if third := b.arguments()[2]; !strings.Contains(third, "--cursor=c2 --follow --no-tail") {
		t.Errorf("second start, following: %q", third)
	}
	l := b.lines[0]
	if want := "2026-01-02T15:04:05.000001+00:00 web1 sshd[77]: old"; l.Raw != want {
		t.Errorf("line %q, want %q", l.Raw, want)
	}
	if l.Src != "journald" || l.Module != "journald" || l.Labels["type"] != "syslog" || time.Since(l.Time) > time.Hour {
		t.Errorf("line %+v", l)
	}
}

func TestCursorSurvivesRestarts(t *testing.T) {
	b := newBench(t)
	var want []string
	n := 0
	b.start()
	for range 5 {
		for range 30 { // more than --follow shows by itself
			n++
			m := fmt.Sprintf("message %d", n)
			b.write(entryN(n, m))
			want = append(want, m)
		}
		if n > 60 {
			b.stop()
			n++
			b.write(entryN(n, "while down"))
			want = append(want, "while down")
			b.start()
		}
		b.expect(want...)
	}
	if c := b.saved(); c != fmt.Sprintf("c%d", n) {
		t.Errorf("cursor %s, want c%d", c, n)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, c := range b.cursor { // saved before the batch was handed over
		if c == "" || i == len(b.cursor)-1 && c != b.saved() {
			t.Errorf("batch %d of %d arrived with cursor %q saved", i, len(b.cursor), c)
		}
	}
	if got := b.counters.Lines.Load(); got != int64(n) {
		t.Errorf("%d lines counted, want %d", got, n)
	}
}

func TestRefusedBatchComesAgain(t *testing.T) {
	b := newBench(t)
	b.write(entryN(1, "a"))
	b.start()
	b.write(entryN(2, "b"))
	b.expect("b")
	b.failOnce(logsources.ErrRefused)
	b.write(entryN(3, "c"))
	if err := <-b.done; !errors.Is(err, logsources.ErrRefused) {
		t.Fatal(err)
	}
	b.start()
	b.expect("b", "c")
	b.failOnce(errors.New("who knows"))
	b.write(entryN(4, "perhaps taken"))
	<-b.done
	b.start()
	b.write(entryN(5, "e"))
	b.expect("b", "c", "e")
}

func TestBadOutput(t *testing.T) {
	b := newBench(t)
	b.start()
	b.write(entryN(1, "a"), "not json", `{"MESSAGE":"no cursor"}`, `{"__CURSOR":"c4","MESSAGE":{"an":"object"}}`, "",
		entryN(6, strings.Repeat("x", maxEntry+10)), entryN(7, strings.Repeat("y", maxLine+1)), entryN(8, ""), entryN(9, "z"))
	b.expect("a", "z")
	if got := b.counters.Binary.Load(); got != 3 {
		t.Errorf("%d entries were no entries, want 3", got)
	}
	if got := b.counters.TooLong.Load(); got != 2 {
		t.Errorf("%d entries too long, want 2", got)
	}
}

func TestRefusedCursorIsGivenUp(t *testing.T) {
	b := newBench(t)
	b.marks.Save(b.key(), []byte(`{"cursor":"nonsense"}`))
	b.start()
	err := <-b.done
	if err == nil || !strings.Contains(err.Error(), "Failed to seek to cursor") {
		t.Errorf("error %v", err)
	}
	b.start()
	b.write(entryN(1, "a"))
	b.expect("a")
	b.stop()
	b.marks.Save(b.key(), []byte(`{`))
	b.start()
	b.write(entryN(2, "b"))
	b.expect("a", "b")
}

func (b *bench) key() string {
	src, err := b.spec.New(logsources.Environment{})
	must(b.t, err)
	return src.(*source).set.positionKey()
}

func TestMissingProgram(t *testing.T) {
	spec, err := Spec(Options{Command: []string{"no-such-journalctl"}})
	must(t, err)
	src, err := spec.New(logsources.Environment{})
	must(t, err)
	if err := src.Run(context.Background(), nil); !errors.Is(err, ErrNoJournalctl) || !strings.Contains(err.Error(), "install") {
		t.Errorf("error %v", err)
	}
}

func TestSpecRefuses(t *testing.T) {
	for _, o := range []Options{
		{Match: []string{""}}, {Match: []string{"--output=cat"}}, {Match: []string{"-f"}}, {Match: []string{"a\x00b"}},
		{Command: []string{""}},
	} {
		if _, err := Spec(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	a, _ := Spec(Options{Match: []string{"A=1 B=2"}})
	b, _ := Spec(Options{Match: []string{"A=1", "B=2"}})
	if a.Key == b.Key {
		t.Error("different sources have one key")
	}
}

// TestChildDiesWithParent kills a process that follows the journal.
func TestChildDiesWithParent(t *testing.T) {
	if pidFile := os.Getenv("RAMPART_TEST_FOLLOW"); pidFile != "" {
		spec, err := Spec(Options{Command: []string{"sh", "-c", "echo $$ >" + pidFile + "; exec sleep 1000"}})
		must(t, err)
		src, err := spec.New(logsources.Environment{})
		must(t, err)
		src.Run(context.Background(), nil)
		return
	}
	exe, err := os.Executable()
	must(t, err)
	pidFile := filepath.Join(t.TempDir(), "pid")
	parent := exec.Command(exe, "-test.run=^TestChildDiesWithParent$")
	parent.Env = append(os.Environ(), "RAMPART_TEST_FOLLOW="+pidFile)
	must(t, parent.Start())
	var pid int
	eventually(t, "the child runs", func() bool {
		b, _ := os.ReadFile(pidFile)
		n, _ := fmt.Sscan(string(b), &pid)
		return n == 1
	})
	must(t, parent.Process.Kill())
	parent.Wait()
	eventually(t, "the child is gone", func() bool {
		if syscall.Kill(pid, 0) != nil {
			return true
		}
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // or nobody has waited for it yet
		return strings.Contains(string(stat), ") Z ")
	})
}
