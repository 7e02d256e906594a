package redistest_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

func TestServerKeepsWhatItSaved(t *testing.T) {
	for _, o := range []redistest.Options{{}, {RDB: true}, {AOF: true}} {
		s := redistest.Start(t, o)
		kept := o.RDB || o.AOF
		s.Do("SET", "a", "1")
		if o.AOF {
			s.Kill()
		}
		s.Restart(false)
		if got := s.Do("GET", "a"); (got == "1") != kept {
			t.Errorf("%+v: after a restart %v", o, got)
		}
		s.Do("SET", "a", "2")
		s.Restart(true)
		if got := s.Do("GET", "a"); got != nil {
			t.Errorf("%+v: after an empty restart %v", o, got)
		}
	}
}

func TestServerPause(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	s.Pause()
	done := make(chan error, 1)
	go func() {
		_, err := s.Try("PING")
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("a paused server answered: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	s.Resume()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestServerUsers(t *testing.T) {
	s := redistest.Start(t, redistest.Options{Password: "p", ACL: []string{"user app on >q ~app:* +get"}})
	if s.Do("PING") != "PONG" {
		t.Error("no answer")
	}
	if got := s.Do("ACL", "WHOAMI"); got != "default" {
		t.Errorf("user %v", got)
	}
	if _, err := s.TryAs("app", "q", "GET", "other"); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
		t.Errorf("another's key: %v", err)
	}
	if _, err := s.TryAs("app", "q", "GET", "app:x"); err != nil {
		t.Error(err)
	}
}

func TestServerTLS(t *testing.T) {
	s := redistest.Start(t, redistest.Options{TLS: true})
	if s.Do("PING") != "PONG" {
		t.Error("no answer")
	}
}

func TestServerFigures(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	before := s.CPU()
	s.Do("EVAL", "local n=0 for i=1,5e6 do n=n+i end return 1", "0")
	if used := s.CPU() - before; used < 5*time.Millisecond || used > time.Minute {
		t.Errorf("a long script took %v", used)
	}
}

// TestServerEndsWithTheTest looks for the process after the cleanup.
func TestServerEndsWithTheTest(t *testing.T) {
	pid := 0
	t.Run("inner", func(t *testing.T) { pid = redistest.Start(t, redistest.Options{}).PID() })
	if pid == 0 {
		t.Skip("skipped: redis-server is not installed")
	}
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); err == nil {
		t.Errorf("process %d is still there", pid)
	}
}
