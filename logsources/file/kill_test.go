//go:build unix

package file

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/logsources"
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if args := os.Getenv("RAMPART_TEST_TAIL"); args != "" {
		tailForever(strings.Split(args, "\n"))
		return
	}
	os.Exit(m.Run())
}

// onDisk is a Positions that survives a kill: each key a file, replaced at once.
type onDisk struct{ dir string }

func (d onDisk) path(key string) string { return filepath.Join(d.dir, hex.EncodeToString([]byte(key))) }

func (d onDisk) Load(key string) ([]byte, bool) {
	b, err := os.ReadFile(d.path(key))
	return b, err == nil
}

func (d onDisk) Save(key string, value []byte) error {
	if err := os.WriteFile(d.path(key)+".new", value, 0o600); err != nil {
		return err
	}
	return os.Rename(d.path(key)+".new", d.path(key))
}

// restarted separates in a toFile's file what one process wrote from what the next
// one did.
const restarted = "\n-- restarted\n"

// toFile is a Sink that writes a batch with one system call. A kill can still cut it
// short, since the kernel looks for signals between two pages: what comes before a
// restarted mark may end within a line.
type toFile struct{ f *os.File }

func openToFile(path string) (toFile, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return toFile{}, err
	}
	if info, err := f.Stat(); err != nil || info.Size() == 0 {
		return toFile{f}, err
	}
	_, err = f.WriteString(restarted)
	return toFile{f}, err
}

func (s toFile) Accept(_ context.Context, lines []event.Line) error {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.Raw + "\n")
	}
	_, err := s.f.WriteString(b.String())
	return err
}

// tailForever is the child: a pattern, a directory for positions, a file for
// what is delivered.
func tailForever(args []string) {
	spec, err := Spec(Options{Patterns: args[:1], Labels: map[string]string{"type": "test"}, Poll: 10 * time.Millisecond})
	if err == nil {
		var out toFile
		if out, err = openToFile(args[2]); err == nil {
			var src logsources.Source
			if src, err = spec.New(logsources.Environment{Positions: onDisk{args[1]}, Report: say}); err == nil {
				err = src.Run(context.Background(), out)
			}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func startChild(t *testing.T, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "RAMPART_TEST_TAIL="+strings.Join(args, "\n"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("child said %q: %v", line, err)
	}
	return cmd
}

func TestKilledAtRandomPoints(t *testing.T) {
	dir, path := tempLog(t)
	marks, out := filepath.Join(dir, "marks"), filepath.Join(dir, "delivered")
	must(t, os.Mkdir(marks, 0o700))
	rnd := rand.New(rand.NewPCG(1, 2))
	written, kills := 0, 15
	var begins []int // the first line of each file
	write := func(n int) {
		_, text := numbered(written, written+n)
		appendTo(t, path, text)
		written += n
	}
	for i := range kills {
		child := startChild(t, path, marks, out)
		if i == 0 { // a file that was never seen at its path is not looked for
			write(1)
			eventually(t, "the file is noticed", func() bool { b, _ := os.ReadFile(out); return len(b) > 0 })
		}
		for end := time.Now().Add(time.Duration(rnd.IntN(60)) * time.Millisecond); time.Now().Before(end); {
			write(1 + rnd.IntN(2000))
			if rnd.IntN(3) == 0 {
				must(t, os.Rename(path, fmt.Sprintf("%s.%d", path, len(begins))))
				begins = append(begins, written)
				write(1)
			}
		}
		must(t, child.Process.Signal(syscall.SIGKILL))
		child.Wait()
		write(rnd.IntN(300))
	}
	child := startChild(t, path, marks, out)
	write(1)
	last := fmt.Sprintf("line %06d", written-1)
	eventually(t, "the last line arrives", func() bool {
		b, _ := os.ReadFile(out)
		return strings.Contains(string(b), last)
	})
	must(t, child.Process.Kill())
	child.Wait()
	checkKilled(t, out, written, kills, begins)
}

// checkKilled wants no line twice and at most one chunk lost by each kill. Files of
// which nothing arrived do not count as long as they are few: the writer rotates
// every few milliseconds, and on a busy machine one can come and go between two
// looks, which the package's comment names among what is lost.
func checkKilled(t *testing.T, out string, written, kills int, begins []int) {
	b, err := os.ReadFile(out)
	must(t, err)
	seen := make([]int, written)
	for _, life := range strings.Split(string(b), restarted) {
		lines := strings.Split(life, "\n")
		for _, l := range lines[:len(lines)-1] { // after the last newline: nothing, or what the kill cut
			var n int
			if _, err := fmt.Sscanf(l, "line %d of", &n); err != nil || n >= written {
				t.Fatalf("half a line: %q", l)
			}
			if seen[n]++; seen[n] > 1 {
				t.Fatalf("line %d was delivered twice", n)
			}
		}
	}
	lost, unseen := 0, 0
	for i, first := range begins {
		end := written
		if i+1 < len(begins) {
			end = begins[i+1]
		}
		arrived := 0
		for _, times := range seen[first:end] {
			arrived += times
		}
		if arrived == 0 && end-first > chunkLines {
			unseen++
			continue
		}
		lost += end - first - arrived
	}
	for _, times := range seen[:begins[0]] {
		lost += 1 - times
	}
	if lost > kills*chunkLines || unseen > len(begins)/20 {
		t.Errorf("%d lines of %d are lost by %d kills, %d of %d files never seen", lost, written, kills, unseen, len(begins))
	}
	t.Logf("%d lines, %d kills, %d lines lost, %d of %d files never seen", written, kills, lost, unseen, len(begins))
}

// unprivileged starts the child as somebody who may do nothing special. The
// returned function waits for it to say that path may not be read.
func unprivileged(t *testing.T, dir, path string) (refused func(), out string) {
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	marks, out := filepath.Join(dir, "marks"), filepath.Join(dir, "out")
	must(t, os.Mkdir(marks, 0o777))
	must(t, os.Chmod(marks, 0o777))
	must(t, os.WriteFile(out, nil, 0o666))
	must(t, os.Chmod(out, 0o666))
	exe, err := os.Executable()
	must(t, err)
	copied := filepath.Join(dir, "test.exe") // the original may be where nobody else may go
	b, err := os.ReadFile(exe)
	must(t, err)
	must(t, os.WriteFile(copied, b, 0o755))

	cmd := exec.Command(copied)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "RAMPART_TEST_TAIL="+strings.Join([]string{path, marks, out}, "\n"))
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	said, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewReader(said)
	return func() {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("the child never said that it may not read: %v", err)
			}
			if strings.Contains(line, "permission denied") && strings.Contains(line, "group") && strings.Contains(line, path) {
				break
			}
		}
		go func() { // or the child waits for us
			for {
				if _, err := lines.ReadString('\n'); err != nil {
					return
				}
			}
		}()
	}, out
}

func delivered(t *testing.T, out, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q arrives", want), func() bool {
		b, _ := os.ReadFile(out)
		return string(b) == want
	})
}

func TestUnreadableFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secret.log")
	appendTo(t, path, "old\nhalf ")
	must(t, os.Chmod(path, 0o240)) // nobody is in its group, or it is our own
	refused, out := unprivileged(t, dir, path)
	refused()
	must(t, os.Chmod(path, 0o640))
	appendTo(t, path, "line\nnew\n")
	must(t, os.Chmod(path, 0o644))
	delivered(t, out, "half line\nnew\n")
}

func TestUnsearchableDirectory(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to write where the child may not search")
	}
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed")
	must(t, os.Mkdir(closed, 0o700))
	path := filepath.Join(closed, "secret.log")
	appendTo(t, path, "old\n")
	refused, out := unprivileged(t, dir, path)
	refused()
	must(t, os.Chmod(closed, 0o755))
	eventually(t, "the file is followed", func() bool {
		appendTo(t, path, "new\n")
		b, _ := os.ReadFile(out)
		return len(b) > 0
	})
	b, err := os.ReadFile(out)
	must(t, err)
	if strings.Contains(string(b), "old") {
		t.Errorf("lines from before the start arrived: %q", b)
	}
}

func say(trouble error) {
	if trouble != nil && !strings.Contains(trouble.Error(), "no file matches") {
		fmt.Println(trouble)
		return
	}
	fmt.Println("ready")
}
