package redistest_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

func TestSentinel(t *testing.T) {
	s := redistest.StartSentinel(t)
	if len(s.Addrs()) != 3 {
		t.Fatalf("Sentinels at %v", s.Addrs())
	}
	old := s.Primary()
	old.Do("SET", "a", "1")
	s.Failover()
	now := s.Primary()
	if now == old || s.Replica() != old {
		t.Fatal("the primary is the same after a fail-over")
	}
	if got := now.Do("GET", "a"); got != "1" {
		t.Errorf("the new primary has %v", got)
	}
	if _, err := old.Try("SET", "a", "2"); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
		t.Errorf("writing to a replica: %v", err)
	}
	now.Do("SET", "b", "1")
	if killed := s.KillPrimary(); killed != now || s.Primary() != old {
		t.Error("killing the primary did not make the other one it")
	}
}

func TestCluster(t *testing.T) {
	c := redistest.StartCluster(t)
	slot := c.Slot("{x}")
	from := c.Owner(slot)
	to := (from + 1) % 3
	for i := range 250 {
		c.Servers()[from].Do("SET", "{x}"+strconv.Itoa(i), fmt.Sprint(i))
	}
	c.BeginMove(slot, to)
	if _, err := c.Servers()[from].Try("GET", "{x}new"); err == nil || !strings.HasPrefix(err.Error(), "ASK ") {
		t.Errorf("while the slot moves: %v", err)
	}
	c.EndMove(slot, to)
	if got := c.Owner(slot); got != to {
		t.Fatalf("primary %d has the slot, want %d", got, to)
	}
	for i := range 250 {
		if got := c.Servers()[to].Do("GET", "{x}"+strconv.Itoa(i)); got != fmt.Sprint(i) {
			t.Fatalf("key %d: %v", i, got)
		}
	}
	if _, err := c.Servers()[from].Try("GET", "{x}1"); err == nil || !strings.HasPrefix(err.Error(), "MOVED ") {
		t.Errorf("after the move: %v", err)
	}
	c.Wait()
}
