package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// TestFleetOwnerDies kills the node that a bucket overflowed at: while it waits for
// the evidence of another one, with the overflow recorded in Redis alone; and at
// random instants. In the end each attack has one alert, on all nodes the same.
// More rounds with RAMPART_SOAK set.
func TestFleetOwnerDies(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Options{})
	f := startFleet(t, 3, at(r.Addr()), "")
	rounds := 2
	if os.Getenv("RAMPART_SOAK") != "" {
		rounds = 20
	}
	taken, inWindow := int64(0), 0
	// On a busy machine an owner may have concluded before it can be killed.
	for round := 0; round < rounds || inWindow == 0 && round < rounds+6; round++ {
		owner := f.nodes[round%3]
		others := []*node{f.nodes[(round+1)%3], f.nodes[(round+2)%3]}
		var clients []string
		for i := range 20 {
			clients = append(clients, fmt.Sprintf("203.0.%d.%d", round, i))
		}
		for _, c := range clients {
			f.attack(c, probesToFill-1, 0)
		}
		f.settled()
		before := others[0].storage().Buckets.Claimed + others[1].storage().Buckets.Claimed
		if round%2 == 0 {
			// One that has evidence does not answer, so that the owner waits for it.
			_ = others[0].cmd.Process.Signal(syscall.SIGSTOP)
			f.last(owner, clients, 0)
			until(t, "the overflows are recorded", func() bool { return recorded(r) > 0 })
			owner.kill()
			if n := recorded(r); n > 0 {
				inWindow++
				t.Logf("round %d: %d overflows were recorded and not concluded when their owner was killed", round, n)
			}
			_ = others[0].cmd.Process.Signal(syscall.SIGCONT)
		} else {
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				f.last(owner, clients, time.Millisecond)
			}()
			time.Sleep(rand.N(25 * time.Millisecond))
			owner.kill()
			<-sent
			t.Logf("round %d: %d records were left", round, recorded(r))
		}
		until(t, "nothing is left over", func() bool { return recorded(r) == 0 })
		for _, n := range others {
			until(t, "what was decided is known", func() bool {
				j := n.storage().Journal
				return j.Waiting == 0 && j.Cursor == lastChange(r)
			})
		}
		f.checkAfterDeath(others, clients)
		taken += others[0].storage().Buckets.Claimed + others[1].storage().Buckets.Claimed - before
		owner.start()
		f.ready(owner)
		for _, c := range clients {
			f.oneAlert(c)
		}
	}
	t.Logf("%d overflows were taken over", taken)
	if inWindow == 0 || taken == 0 {
		t.Error("no owner died between the overflow and its alert: the test shows nothing")
	}
}

// last sends each client's last request to the node, which may die meanwhile.
func (f *fleet) last(owner *node, clients []string, apart time.Duration) {
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() { _, _ = owner.request(c, "/missing/last") })
		time.Sleep(apart)
	}
	all.Wait()
}

// recorded counts the overflows in Redis's outboxes.
func recorded(r *redistest.Server) (n int64) {
	keys, _ := r.Do("KEYS", "rampart:1:{s*}:o").([]any)
	for _, k := range keys {
		m, _ := r.Do("HLEN", fmt.Sprint(k)).(int64)
		n += m
	}
	return n
}

// lastChange is the newest entry of the fleet's log.
func lastChange(r *redistest.Server) string {
	list, _ := r.Do("XREVRANGE", "rampart:{j}:log", "+", "-", "COUNT", "1").([]any)
	if len(list) == 0 {
		return ""
	}
	entry, _ := list[0].([]any)
	return fmt.Sprint(entry[0])
}

// checkAfterDeath: who has no alert lost the last request with the owner, and the
// next one fills the bucket.
func (f *fleet) checkAfterDeath(survivors []*node, clients []string) {
	f.t.Helper()
	lost := 0
	for i, c := range clients {
		n := survivors[i%2]
		if len(n.alerts("value="+c)) == 0 {
			lost++
			if s := n.send(c, "GET", "/missing/again").status; s != 404 {
				f.t.Errorf("%s is refused with %d, and there is no alert", c, s)
			}
		}
	}
	f.t.Logf("%d of %d last requests went with the owner, before they were counted", lost, len(clients))
	for _, c := range clients {
		uuids := map[string]bool{}
		for i, n := range survivors {
			until(f.t, "survivor "+strconv.Itoa(i)+" has the alert about "+c, func() bool { return len(n.alerts("value="+c)) > 0 })
			list := n.alerts("value=" + c)
			if len(list) != 1 {
				f.t.Errorf("survivor %d has %d alerts about %s", i, len(list), c)
			}
			uuids[list[0].UUID] = true
			n.refusedAt(c)
		}
		if len(uuids) != 1 {
			f.t.Errorf("%s: %d different alerts", c, len(uuids))
		}
	}
}
