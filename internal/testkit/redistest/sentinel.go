package redistest

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// MasterName is the name under which the Sentinels of StartSentinel watch.
const MasterName = "fleet"

const (
	sentinels = 3
	// failWithin is generous: an election may take several rounds.
	failWithin = 60 * time.Second
)

// Sentinel is a primary and a replica that three Sentinels watch.
type Sentinel struct {
	tb        testing.TB
	servers   []*Server // the primary of the start first
	sentinels []*Server
}

// StartSentinel starts them and waits until the Sentinels know each other and the
// replica. A server that is silent for a second counts as down.
func StartSentinel(tb testing.TB) *Sentinel {
	tb.Helper()
	s := &Sentinel{tb: tb}
	primary := Start(tb, Options{Args: []string{"--repl-diskless-sync-delay", "0"}})
	replica := Start(tb, Options{Args: []string{"--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1 " + primary.port}})
	s.servers = []*Server{primary, replica}
	s.wait("replica has not caught up", func() bool {
		v, err := replica.Try("INFO", "replication")
		return err == nil && strings.Contains(fmt.Sprint(v), "master_link_status:up")
	})
	for range sentinels {
		s.sentinels = append(s.sentinels, startWatcher(tb, primary.port))
	}
	for _, w := range s.sentinels {
		s.wait("a Sentinel does not know the others", func() bool {
			v, err := w.Try("SENTINEL", "MASTER", MasterName)
			if err != nil {
				return false
			}
			facts := fields(v)
			return facts["num-slaves"] == "1" && facts["num-other-sentinels"] == fmt.Sprint(sentinels-1)
		})
	}
	return s
}

// startWatcher starts one Sentinel.
func startWatcher(tb testing.TB, primary string) *Server {
	tb.Helper()
	w := prepare(tb, Options{})
	conf := filepath.Join(w.dir, "sentinel.conf")
	write(tb, conf, fmt.Sprintf(`port %s
bind 127.0.0.1
protected-mode no
dir %s
logfile %s
sentinel monitor %s 127.0.0.1 %s 2
sentinel down-after-milliseconds %[4]s 1000
sentinel failover-timeout %[4]s 5000
sentinel parallel-syncs %[4]s 1
`, w.port, w.dir, filepath.Join(w.dir, "redis.log"), MasterName, primary))
	w.exec(conf, "--sentinel")
	w.ready()
	return w
}

// fields reads a list of names and values.
func fields(v any) map[string]string {
	list, _ := v.([]any)
	out := map[string]string{}
	for pair := range slices.Chunk(list, 2) {
		if len(pair) == 2 {
			out[fmt.Sprint(pair[0])] = fmt.Sprint(pair[1])
		}
	}
	return out
}

// Addrs are host:port of the Sentinels.
func (s *Sentinel) Addrs() []string { return addrs(s.sentinels) }

func addrs(servers []*Server) (out []string) {
	for _, srv := range servers {
		out = append(out, srv.Addr())
	}
	return out
}

// Primary is the server that a majority of the Sentinels name.
func (s *Sentinel) Primary() *Server {
	votes := map[string]int{}
	for _, w := range s.sentinels {
		v, err := w.Try("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
		if list, _ := v.([]any); err == nil && len(list) == 2 {
			votes[net.JoinHostPort(fmt.Sprint(list[0]), fmt.Sprint(list[1]))]++
		}
	}
	for _, srv := range s.servers {
		if votes[srv.addr] > sentinels/2 {
			return srv
		}
	}
	return nil
}

// Replica is the other one.
func (s *Sentinel) Replica() *Server {
	if s.Primary() == s.servers[0] {
		return s.servers[1]
	}
	return s.servers[0]
}

// Failover has the Sentinels make the replica the primary, and waits until it is and
// the former follows it.
func (s *Sentinel) Failover() {
	s.tb.Helper()
	old := s.Primary()
	s.wait("no Sentinel begins a fail-over", func() bool {
		_, err := s.sentinels[0].Try("SENTINEL", "FAILOVER", MasterName)
		return err == nil
	})
	s.promoted(old)
	s.wait("the former primary does not follow", func() bool {
		v, err := old.Try("ROLE")
		list, _ := v.([]any)
		return err == nil && len(list) > 3 && list[0] == "slave" && list[3] == "connected"
	})
}

// KillPrimary kills the primary, waits until the replica has its place, and returns
// the one killed. Restart makes it a replica.
func (s *Sentinel) KillPrimary() *Server {
	s.tb.Helper()
	old := s.Primary()
	old.Kill()
	s.promoted(old)
	return old
}

// promoted waits until another than old is the primary, in its own eyes too.
func (s *Sentinel) promoted(old *Server) {
	s.tb.Helper()
	s.wait("no other primary", func() bool {
		p := s.Primary()
		if p == nil || p == old {
			return false
		}
		v, err := p.Try("ROLE")
		list, _ := v.([]any)
		return err == nil && len(list) > 0 && list[0] == "master"
	})
}

func (s *Sentinel) wait(what string, ok func() bool) {
	s.tb.Helper()
	await(s.tb, what, ok)
}

// await ends the test with what, unless ok comes to hold.
func await(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(failWithin); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("waited %v in vain: %s", failWithin, what)
		}
	}
}
