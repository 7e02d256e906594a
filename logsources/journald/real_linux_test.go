package journald

import (
	"context"
	"errors"
	"fmt"
	"net"
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

// TestRealJournal runs a journald and journalctl of this system in a mount
// namespace of their own.
func TestRealJournal(t *testing.T) {
	daemon := ""
	for _, p := range []string{"/usr/lib/systemd/systemd-journald", "/lib/systemd/systemd-journald"} {
		if _, err := os.Stat(p); err == nil {
			daemon = p
		}
	}
	_, err := exec.LookPath("journalctl")
	if os.Getuid() != 0 || daemon == "" || err != nil {
		t.Skip("needs root, systemd-journald and journalctl")
	}
	if os.Getenv("RAMPART_TEST_JOURNAL") == "" {
		exe, err := os.Executable()
		must(t, err)
		cmd := exec.Command(exe, "-test.run=^TestRealJournal$", "-test.v")
		cmd.Env = append(os.Environ(), "RAMPART_TEST_JOURNAL=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		if err != nil && strings.Contains(err.Error(), "operation not permitted") {
			t.Skip("may not make a mount namespace")
		}
		t.Logf("%s", out)
		must(t, err)
		return
	}
	must(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	must(t, syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""))
	must(t, syscall.Mount("tmpfs", "/var/log", "tmpfs", 0, ""))
	must(t, os.MkdirAll("/run/systemd/journal", 0o755))
	j := &realJournal{t: t, daemon: daemon, dir: "/run", marks: &memory{values: map[string][]byte{}}}
	j.followThroughReboots()
}

type realJournal struct {
	t      *testing.T
	daemon string
	dir    string
	boots  int
	cmd    *exec.Cmd
	marks  *memory

	mu     sync.Mutex
	lines  []string
	probes int

	cancel context.CancelFunc
	done   chan error
}

// boot starts journald in what it takes for another boot of the machine.
func (j *realJournal) boot() {
	if j.cmd != nil {
		must(j.t, j.cmd.Process.Signal(syscall.SIGTERM))
		j.cmd.Wait()
	}
	j.boots++
	id := filepath.Join(j.dir, fmt.Sprint("boot", j.boots))
	must(j.t, os.WriteFile(id, []byte(fmt.Sprintf("%08d-0000-4000-8000-000000000000\n", j.boots)), 0o644))
	must(j.t, syscall.Mount(id, "/proc/sys/kernel/random/boot_id", "", syscall.MS_BIND, ""))
	os.Remove("/run/systemd/journal/socket")
	j.cmd = exec.Command(j.daemon)
	j.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(j.t, j.cmd.Start())
	eventually(j.t, "journald listens", func() bool {
		return j.send("MESSAGE=probe\n") == nil
	})
}

func (j *realJournal) send(fields string) error {
	c, err := net.Dial("unixgram", "/run/systemd/journal/socket")
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte(fields))
	return err
}

func (j *realJournal) log(messages ...string) {
	for _, m := range messages {
		// A length in eight bytes instead of "=" is for values with newlines.
		n := len(m)
		must(j.t, j.send("SYSLOG_IDENTIFIER=sshd\nSYSLOG_PID=7\nMESSAGE\n"+string([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0, 0, 0, 0, 0})+m+"\n"))
	}
}

func (j *realJournal) Accept(_ context.Context, lines []event.Line) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range lines {
		_, m, _ := strings.Cut(l.Raw, " sshd[7]: ")
		if m == "probe" {
			j.probes++
			continue
		}
		j.lines = append(j.lines, m)
	}
	return nil
}

func (j *realJournal) raw() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}

func (j *realJournal) start() {
	spec, err := Spec(Options{Match: []string{"SYSLOG_IDENTIFIER=sshd"}})
	must(j.t, err)
	src, err := spec.New(logsources.Environment{Positions: j.marks})
	must(j.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	j.cancel, j.done = cancel, make(chan error, 1)
	go func() { j.done <- src.Run(ctx, j) }()
}

func (j *realJournal) stop() {
	j.cancel()
	if err := <-j.done; !errors.Is(err, context.Canceled) {
		j.t.Errorf("Run returned %v", err)
	}
}

func (j *realJournal) expect(want []string) {
	j.t.Helper()
	eventually(j.t, fmt.Sprintf("%d lines arrive", len(want)), func() bool { return len(j.raw()) >= len(want) })
	time.Sleep(100 * time.Millisecond)
	if d := cmp.Diff(want, j.raw()); d != "" {
		j.t.Fatal(d)
	}
}

func (j *realJournal) followThroughReboots() {
	j.boot()
	defer func() { j.cmd.Process.Kill(); j.cmd.Wait() }()
	j.log("before we came")
	j.start()
	var want []string
	// The first start shows only what comes after it; when that is, is not seen.
	eventually(j.t, "an entry arrives", func() bool {
		j.log("probe")
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.probes > 0
	})
	j.log("two\nlines", "bytes \xff\x01", strings.Repeat("long ", 2000))
	want = append(want, "two lines", "bytes \xff", strings.TrimSpace(strings.Repeat("long ", 2000)))
	j.expect(want)
	for i := range 3 {
		j.stop()
		for n := range 30 {
			j.log(fmt.Sprint("down ", i, " ", n))
			want = append(want, fmt.Sprint("down ", i, " ", n))
		}
		if i > 0 {
			j.boot()
			j.log(fmt.Sprint("booted ", i))
			want = append(want, fmt.Sprint("booted ", i))
		}
		j.start()
		j.expect(want)
		if i == 2 {
			break
		}
		j.log("live")
		want = append(want, "live")
		j.expect(want)
	}
	// Nothing new before and after a reboot: the first entry is not skipped.
	j.stop()
	j.boot()
	j.start()
	time.Sleep(200 * time.Millisecond)
	j.log("after an idle reboot")
	j.expect(append(want, "after an idle reboot"))
	j.stop()
}
