package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// outageLoad is the load in requests a second, if the machine can do as much.
const outageLoad = 2000

// phase is how long each part of a test under load lasts.
func phase() time.Duration {
	if os.Getenv("RAMPART_SOAK") != "" {
		return 10 * time.Second
	}
	return 2 * time.Second
}

// TestFleetRedisKilled kills Redis under load. No request fails; each node catches
// who attacks it; when Redis is back, empty or with what it had, all nodes know what
// was decided meanwhile, and count together again.
func TestFleetRedisKilled(t *testing.T) {
	r := redistest.Start(t, redistest.Options{AOF: true})
	r.Do("CONFIG", "SET", "appendfsync", "no") // a busy disk would halt it; what was written outlives the process
	f := startFleet(t, 3, at(r.Addr()), "")
	for round, empty := range []bool{true, false} {
		f.outage(r, round, empty)
	}
}

func (f *fleet) outage(r *redistest.Server, round int, empty bool) {
	t := f.t
	t.Helper()
	lifted, kept, meanwhile := fmt.Sprintf("198.51.100.%d", 10*round+1), fmt.Sprintf("198.51.100.%d", 10*round+2), fmt.Sprintf("198.51.100.%d", 10*round+3)
	f.nodes[0].do("decisions", "add", lifted)
	f.nodes[1].do("decisions", "add", kept)
	f.refused(lifted)
	f.refused(kept)

	l := f.startLoad(outageLoad)
	time.Sleep(time.Second) // connections, caches
	begin := time.Now()
	time.Sleep(phase())
	killed := time.Now()
	r.Kill()
	for _, n := range f.nodes {
		until(t, "a node notices", func() bool { return n.storage().Redis.State == cluster.StateDegraded })
	}
	time.Sleep(phase())
	quiet := time.Now() // until here the load was alone
	f.checkDegraded(round + 1)
	for i, n := range f.nodes {
		own := fmt.Sprintf("203.0.113.%d", 10*round+i)
		for p := range probesToFill {
			n.send(own, "GET", fmt.Sprintf("/missing/%d", p))
		}
		n.refusedAt(own)
		if s := f.nodes[(i+1)%3].send(own, "GET", "/").status; s != 200 {
			t.Errorf("a node that cannot know of the attack answers %d", s)
		}
	}
	f.nodes[1].do("decisions", "add", meanwhile)
	f.nodes[2].do("unban", lifted)
	ended := time.Now()
	r.Restart(empty)
	for i := range f.nodes {
		from := fmt.Sprintf("203.0.113.%d", 10*round+i)
		f.refused(from)
		f.oneAlert(from)
	}
	f.refused(meanwhile)
	f.refused(kept)
	for _, n := range f.nodes {
		until(t, "what was lifted is lifted everywhere", func() bool { return n.send(lifted, "GET", "/").status == 200 })
	}
	t.Logf("everything was everywhere %s after the restart of Redis", time.Since(ended).Round(time.Millisecond))
	f.ready(f.nodes...)
	back := time.Now()
	time.Sleep(phase())
	f.together(round)
	after := time.Now()

	l.check(t)
	before := l.between(t, "before", begin, killed)
	during := l.between(t, "without Redis", killed, quiet)
	l.between(t, "and with attacks", quiet, ended)
	l.between(t, "coming back", ended, back)
	l.between(t, "back", back, after)
	t.Logf("p99 without Redis is %.2f times that of before", float64(during)/float64(before))
	if during > max(time.Second, 2*before) {
		t.Errorf("p99 was %s before and %s without Redis", before, during)
	}
}

// together checks that the nodes count as one again. What is counted while a node has
// no Redis does not show that: on a busy machine Redis may be late at any time.
func (f *fleet) together(round int) {
	f.t.Helper()
	for try := range 5 {
		f.ready(f.nodes...)
		away := f.away()
		joint := fmt.Sprintf("203.0.113.%d", 100+10*round+try)
		f.attack(joint, probesToFill, round)
		f.settled()
		if f.away() != away {
			f.t.Logf("a node was without Redis during attack %d", try)
			continue
		}
		f.refused(joint)
		f.oneAlert(joint)
		return
	}
	f.t.Error("at each attack a node was without Redis")
}

// away is the time that nodes have been without Redis, in seconds.
func (f *fleet) away() (sum float64) {
	f.t.Helper()
	for _, n := range f.nodes {
		s := n.storage()
		if sum += s.Away; s.Redis.State != cluster.StateUp {
			sum++
		}
	}
	return sum
}

// checkDegraded: every node says once in its log that Redis is away, and at any time
// in its status and metrics.
func (f *fleet) checkDegraded(times int) {
	f.t.Helper()
	for i, n := range f.nodes {
		if out := n.do("status"); !strings.Contains(out, "degraded") || !strings.Contains(out, "Redis is out of use since") {
			f.t.Errorf("status of node %d:\n%s", i, out)
		}
		metrics, err := n.try("GET", "/metrics", nil)
		if err != nil || !strings.Contains(string(metrics), `rampart_storage_up{node="default"} 0`) {
			f.t.Errorf("metrics of node %d: %v\n%s", i, err, grepLines(string(metrics), "rampart_storage"))
		}
		if got := strings.Count(n.read("rampart.log"), "redis is out of use"); got != times {
			f.t.Errorf("the log of node %d says %d times that Redis is away, want %d", i, got, times)
		}
	}
}

func grepLines(text, part string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestFleetFailover has Sentinel change the primary under load, once in order and
// once since it died.
func TestFleetFailover(t *testing.T) {
	r := redistest.StartSentinel(t)
	storage := fmt.Sprintf("sentinel %s %s", redistest.MasterName, strings.Join(r.Addrs(), " "))
	f := startFleet(t, 3, func(int) string { return storage }, "")
	f.nodes[0].do("decisions", "add", "198.51.100.1")
	f.refused("198.51.100.1")
	l := f.startLoad(outageLoad / 4)
	for round, change := range []func(){r.Failover, func() { r.KillPrimary().Restart(false) }} {
		changed := make(chan struct{})
		begin := time.Now()
		go func() {
			defer close(changed)
			change()
		}()
		time.Sleep(500 * time.Millisecond)
		during := fmt.Sprintf("198.51.100.%d", 10+round)
		f.nodes[round].do("decisions", "add", during)
		<-changed
		f.refused(during)
		f.refused("198.51.100.1")
		f.ready(f.nodes...)
		t.Logf("change %d: all nodes are well %s after its beginning", round, time.Since(begin).Round(time.Millisecond))
		f.together(round)
	}
	l.check(t)
	l.between(t, "all the time", l.begun, time.Now())
	for i, n := range f.nodes {
		t.Logf("node %d was without Redis for %.1f s", i, n.storage().Away)
	}
}

// TestFleetResharding moves slots of a Redis Cluster under load, that of the journal
// and those of many buckets. Attacks go on meanwhile, each is alerted once.
func TestFleetResharding(t *testing.T) {
	r := redistest.StartCluster(t)
	f := startFleet(t, 3, func(int) string { return "cluster " + strings.Join(r.Addrs(), " ") }, "")
	l := f.startLoad(outageLoad / 4)
	moved := make(chan int)
	stop := make(chan struct{})
	go func() {
		n := 0
		defer func() { moved <- n }()
		for _, name := range shardTags() {
			select {
			case <-stop:
				return
			default:
			}
			slot := r.Slot(name)
			to := (r.Owner(slot) + 1) % 3
			r.BeginMove(slot, to)
			time.Sleep(20 * time.Millisecond)
			r.EndMove(slot, to)
			n++
		}
	}()
	attacks, alone := 15, 0
	if os.Getenv("RAMPART_SOAK") != "" {
		attacks = 60
	}
	var took []time.Duration
	for i := range attacks {
		from := fmt.Sprintf("203.0.113.%d", i)
		away := f.away()
		f.attack(from, probesToFill, i)
		f.settled()
		if f.away() != away {
			alone++
			continue
		}
		attacked := time.Now()
		took = append(took, f.refused(from).Sub(attacked))
		f.oneAlert(from)
	}
	close(stop)
	t.Logf("%d slots were moved during %d attacks; during %d of these a node was without Redis", <-moved, attacks, alone)
	if len(took) > 0 {
		tellTimes(t, "from when all is counted to the last refusal", took)
	}
	if alone > attacks/2 {
		t.Error("moving slots is taken for an outage")
	}
	f.nodes[0].do("decisions", "add", "198.51.100.1")
	f.refused("198.51.100.1")
	l.check(t)
	l.between(t, "all the time", l.begun, time.Now())
	for i, n := range f.nodes {
		s := n.storage()
		t.Logf("node %d was without Redis for %.1f s", i, s.Away)
		if s.Buckets.Dropped+s.Buckets.Failed > 0 {
			t.Errorf("node %d dropped %d pours, %d failed", i, s.Buckets.Dropped, s.Buckets.Failed)
		}
	}
}

// shardTags are keys in the slots of the journal and of all buckets, the journal's
// again and again.
func shardTags() (out []string) {
	for s := range 256 {
		if s%16 == 0 {
			out = append(out, "rampart:{j}")
		}
		out = append(out, fmt.Sprintf("rampart:1:{s%d}", s))
	}
	return out
}
