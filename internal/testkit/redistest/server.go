package redistest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startWithin = 30 * time.Second
	// logTail is how much of a server's log a failed test shows.
	logTail = 4 << 10
)

// Options are those of a Server.
type Options struct {
	// Args are more arguments for redis-server, such as "--maxmemory", "10mb".
	Args []string
	// RDB and AOF switch on persistence; without, a restart is an empty one.
	RDB, AOF bool
	// Password is that of the default user.
	Password string
	// TLS has the server speak nothing but TLS, with a certificate of the test's own
	// authority for 127.0.0.1; see Server.Trust.
	TLS bool
	// ACL are lines as in users.acl, such as "user app on >secret ~app:* +@read".
	ACL []string
}

// Server is one process of redis-server.
type Server struct {
	tb   testing.TB
	o    Options
	bin  string
	dir  string
	addr string
	port string
	cert *authority

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has been waited for
}

// Start starts a standalone server and waits until it answers. It skips the test
// where redis-server is absent.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := prepare(tb, o)
	s.launch()
	return s
}

// prepare chooses port and directory, and has the test end what is started later.
func prepare(tb testing.TB, o Options) *Server {
	tb.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Skip("skipped: redis-server is not installed")
	}
	s := &Server{tb: tb, o: o, bin: bin, dir: tb.TempDir()}
	s.port = freePort(tb)
	s.addr = net.JoinHostPort("127.0.0.1", s.port)
	if o.TLS {
		s.cert = newAuthority(tb, s.dir)
	}
	if len(o.ACL) > 0 {
		lines := o.ACL
		if !strings.Contains(strings.Join(lines, "\n"), "user default ") {
			lines = append([]string{"user default off"}, lines...)
		}
		if o.Password != "" {
			lines = append([]string{"user default on >" + o.Password + " ~* &* +@all"}, o.ACL...)
		}
		write(tb, filepath.Join(s.dir, "users.acl"), strings.Join(lines, "\n")+"\n")
	}
	tb.Cleanup(s.end)
	return s
}

// freePort finds one that nobody listens on. With 10,000 added there is room for the
// bus of a Redis Cluster too.
func freePort(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		if port == 6379 || port > 55000 {
			continue
		}
		bus, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+10000)))
		if err != nil {
			continue
		}
		_ = bus.Close()
		return strconv.Itoa(port)
	}
	tb.Fatal("no free port")
	return ""
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func (s *Server) args() []string {
	args := []string{"--bind", "127.0.0.1", "--dir", s.dir, "--daemonize", "no", "--protected-mode", "no",
		"--logfile", filepath.Join(s.dir, "redis.log")}
	if s.o.TLS {
		args = append(args, "--port", "0", "--tls-port", s.port, "--tls-auth-clients", "no",
			"--tls-cert-file", s.cert.certFile, "--tls-key-file", s.cert.keyFile, "--tls-ca-cert-file", s.cert.caFile)
	} else {
		args = append(args, "--port", s.port)
	}
	if s.o.RDB {
		args = append(args, "--save", "3600", "1")
	} else {
		args = append(args, "--save", "")
	}
	if s.o.AOF {
		args = append(args, "--appendonly", "yes", "--appendfsync", "always")
	}
	if len(s.o.ACL) > 0 {
		args = append(args, "--aclfile", filepath.Join(s.dir, "users.acl"))
	} else if s.o.Password != "" {
		args = append(args, "--requirepass", s.o.Password)
	}
	return append(args, s.o.Args...)
}

// launch starts the process and waits until it answers.
func (s *Server) launch() {
	s.tb.Helper()
	s.exec(s.args()...)
	s.ready()
}

func (s *Server) exec(args ...string) {
	s.tb.Helper()
	cmd := exec.Command(s.bin, args...)
	cmd.Dir = s.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = endsWithParent()
	done, started := make(chan struct{}), make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread() // to the kernel this thread is the parent, so it must stay
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended shows in its log
		}
	}()
	if err := <-started; err != nil {
		s.tb.Fatalf("starting redis-server: %v", err)
	}
	s.mu.Lock()
	s.cmd, s.done = cmd, done
	s.mu.Unlock()
}

// ready waits for an answer, be it that a password is needed.
func (s *Server) ready() {
	s.tb.Helper()
	var last error
	for deadline := time.Now().Add(startWithin); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		_, last = s.Try("PING")
		if last == nil || strings.HasPrefix(last.Error(), "NOAUTH") || strings.HasPrefix(last.Error(), "NOPERM") {
			return
		}
		select {
		case <-s.done:
			s.tb.Fatalf("redis-server ended at once: %v\n%s", last, s.logs())
		default:
		}
	}
	s.tb.Fatalf("redis-server does not answer: %v\n%s", last, s.logs())
}

// Addr is host:port.
func (s *Server) Addr() string { return s.addr }

// PID is that of the process that runs now, or ran last.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.Process.Pid
}

// Trust is a TLS configuration that accepts the server's certificate.
func (s *Server) Trust() *tls.Config {
	if s.cert == nil {
		return nil
	}
	return s.cert.trust()
}

// Try sends one command over a connection of its own, as the default user, and
// returns the answer: a string, an int64, nil or a []any.
func (s *Server) Try(args ...string) (any, error) {
	return s.TryAs("", s.o.Password, args...)
}

// TryAs is Try as another user.
func (s *Server) TryAs(user, password string, args ...string) (any, error) {
	c, err := dial(s.addr, s.Trust(), user, password)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.do(args...)
}

// Do is Try that ends the test at an error.
func (s *Server) Do(args ...string) any {
	s.tb.Helper()
	v, err := s.Try(args...)
	if err != nil {
		s.tb.Fatalf("redis %s: %v", strings.Join(args[:min(len(args), 3)], " "), err)
	}
	return v
}

// Pause stops the process (SIGSTOP): connections are accepted, nothing is answered.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused one go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Kill ends it at once (SIGKILL) and waits until it is gone.
func (s *Server) Kill() {
	s.signal(syscall.SIGKILL)
	<-s.done
}

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	s.mu.Lock()
	p := s.cmd.Process
	s.mu.Unlock()
	if err := p.Signal(sig); err != nil && err != os.ErrProcessDone {
		s.tb.Errorf("sending %v to redis-server: %v", sig, err)
	}
}

// Restart starts it again on its port, after a clean end if it still runs. empty
// throws away what it had saved; without persistence there is nothing to throw away.
func (s *Server) Restart(empty bool) {
	s.tb.Helper()
	s.stop()
	if empty {
		for _, pattern := range []string{"*.rdb", "appendonlydir"} {
			found, _ := filepath.Glob(filepath.Join(s.dir, pattern))
			for _, f := range found {
				if err := os.RemoveAll(f); err != nil {
					s.tb.Fatal(err)
				}
			}
		}
	}
	s.launch()
}

// stop ends the process if it runs, with time to save.
func (s *Server) stop() {
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGCONT) // it may be gone already
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill()
		<-done
	}
}

// end is for the test's end; a failed test shows the end of the log.
func (s *Server) end() {
	if s.tb.Failed() {
		s.tb.Logf("log of redis-server at %s:\n%s", s.addr, s.logs())
	}
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill() // it may be gone already
		<-done
	}
}

func (s *Server) logs() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "redis.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-logTail):])
}

// CPU is the processor time that the process has used so far, all its threads
// together.
func (s *Server) CPU() time.Duration {
	s.tb.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.PID()))
	if err != nil || len(tasks) == 0 {
		s.tb.Fatalf("no processor times of process %d", s.PID())
	}
	sum := time.Duration(0)
	for _, t := range tasks {
		text, err := os.ReadFile(t)
		if err != nil {
			continue // a thread that has ended since
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			s.tb.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}
