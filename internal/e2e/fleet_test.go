package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// memberConfig is a node of a fleet behind a balancer on loopback: {storage} is the inside of
// its storage block, {more} stands for further options.
const memberConfig = `{
	admin {admin}
	grace_period 2s
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		storage redis {
			{storage}
		}
		captcha {
			min_solve 1us
		}
		{more}
	}
}
http://:{port} {
	bind 127.0.0.1
	rampart
	respond /missing* 404
	respond "hello" 200
}
`

// probing is the built-in scenario that the attacks meet: the thirteenth missing
// page is one too many.
const (
	probing      = "rampart/http-probing"
	probesToFill = 13
)

// fleet are nodes that share a Redis.
type fleet struct {
	t     *testing.T
	nodes []*node
	state string // of the node that was waited for last

	visitors int
}

// startFleet starts so many nodes and waits until they share all. A storage block may
// differ by node.
func startFleet(t *testing.T, count int, storage func(i int) string, more string) *fleet {
	t.Helper()
	f := newFleet(t, count, storage, more)
	f.start()
	return f
}

// newFleet prepares nodes and starts none.
func newFleet(t *testing.T, count int, storage func(i int) string, more string) *fleet {
	t.Helper()
	f := &fleet{t: t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the node that was waited for last: %s", f.state)
		}
	})
	for i := range count {
		n := newNode(t)
		n.write("Caddyfile", n.expand(strings.NewReplacer("{storage}", storage(i), "{more}", more).Replace(memberConfig)))
		f.nodes = append(f.nodes, n)
	}
	return f
}

// start starts all nodes and waits until they share all.
func (f *fleet) start() {
	f.t.Helper()
	for _, n := range f.nodes {
		n.launch()
	}
	for _, n := range f.nodes {
		until(f.t, "a node answers", func() bool {
			_, err := n.try("GET", "/config/", nil)
			return err == nil
		})
	}
	f.ready(f.nodes...)
}

// at is a storage block for all nodes.
func at(address string) func(int) string {
	return func(int) string { return "address " + address }
}

// storage is what a node says of what it shares.
func (n *node) storage() appliance.FleetStatus {
	n.t.Helper()
	s := n.status().Storage.Fleet
	if s == nil {
		n.t.Fatal("the node is in no fleet")
	}
	return *s
}

// ready waits until nodes share buckets, decisions and secret: only with the secret is
// anything poured in Redis.
func (f *fleet) ready(nodes ...*node) {
	f.t.Helper()
	for _, n := range nodes {
		until(f.t, "a node shares its state", func() bool {
			s := n.storage()
			f.state = fmt.Sprintf("%+v", s)
			if s.Buckets.Poured+s.Buckets.Discarded == 0 {
				_, _ = n.request(f.visitor(), "/missing/warm")
				return false
			}
			return s.Redis.State == cluster.StateUp && s.Journal.Joined && s.Number >= 0 && s.Buckets.Waiting == 0
		})
	}
}

// visitor is a client that nobody has met. It makes one request: what comes before a
// node shares its buckets counts on that node alone, and must not add up.
func (f *fleet) visitor() string {
	f.visitors++
	return fmt.Sprintf("100.127.%d.%d", f.visitors>>8, f.visitors&255)
}

// settled waits until all that was requested has been counted.
func (f *fleet) settled() {
	f.t.Helper()
	for _, n := range f.nodes {
		until(f.t, "all is counted", func() bool { return n.idle() && n.storage().Buckets.Waiting == 0 })
	}
	time.Sleep(50 * time.Millisecond) // the last batch is on its way
}

// attack requests so many missing pages for an address, one node after the other
// from first on, and returns the answers' statuses.
func (f *fleet) attack(from string, pages, first int) (statuses []int) {
	f.t.Helper()
	for i := range pages {
		n := f.nodes[(first+i)%len(f.nodes)]
		statuses = append(statuses, n.send(from, "GET", fmt.Sprintf("/missing/%d/%d", first, i)).status)
	}
	return statuses
}

// refusedAt polls a node until it refuses an address.
func (n *node) refusedAt(from string) time.Time {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if n.send(from, "GET", "/").status == 403 {
			return time.Now()
		}
	}
	n.t.Errorf("%s was not refused within %s", from, patience)
	return time.Time{}
}

// refused waits until all nodes refuse an address, and returns when the last one did.
func (f *fleet) refused(from string) (last time.Time) {
	f.t.Helper()
	seen := make([]time.Time, len(f.nodes))
	var polls sync.WaitGroup
	for i, n := range f.nodes {
		polls.Go(func() { seen[i] = n.refusedAt(from) })
	}
	polls.Wait()
	return slices.MaxFunc(seen, time.Time.Compare)
}

// oneAlert checks that all nodes have the same single alert about an address, and
// returns it.
func (f *fleet) oneAlert(from string) (a event.Alert) {
	f.t.Helper()
	for i, n := range f.nodes {
		var list []event.Alert
		until(f.t, "a node has the alert", func() bool {
			list = n.alerts("value=" + from + "&scenario=" + probing)
			return len(list) > 0
		})
		switch {
		case len(list) != 1:
			f.t.Errorf("node %d has %d alerts about %s", i, len(list), from)
		case i == 0:
			a = list[0]
		case list[0].ID != a.ID || list[0].UUID != a.UUID:
			f.t.Errorf("node %d has alert %d %s, the first one %d %s", i, list[0].ID, list[0].UUID, a.ID, a.UUID)
		}
	}
	return a
}

// TestFleetAttack: an attack that is spread evenly over three nodes is one on all of
// them: alerted once, with the evidence of all, and refused everywhere at once.
// 200 attacks with RAMPART_SOAK set, else 40.
func TestFleetAttack(t *testing.T) {
	r := redistest.Start(t, redistest.Options{})
	f := startFleet(t, 3, at(r.Addr()), "")
	const harmless = "198.51.100.1"
	f.attack(harmless, probesToFill-1, 0)

	attacks := 40
	if os.Getenv("RAMPART_SOAK") != "" {
		attacks = 200
	}
	var took []time.Duration
	for i := range attacks {
		from := fmt.Sprintf("203.0.113.%d", i)
		for j, status := range f.attack(from, probesToFill, i) { // at most five of thirteen at one node
			if status != 404 {
				t.Errorf("request %d of %s: %d", j+1, from, status)
			}
		}
		last := f.refused(from)
		a := f.oneAlert(from)
		stop, err := time.Parse(time.RFC3339Nano, a.StopAt)
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, last.Sub(stop))
		if a.EventsCount != probesToFill || len(a.Events) != probesToFill {
			t.Errorf("%s: alert of %d events with %d of them", from, a.EventsCount, len(a.Events))
		}
	}
	tellTimes(t, "from the overflow to the refusal by the last of three nodes", took)
	slices.Sort(took)
	if m := took[len(took)/2]; m > time.Second {
		t.Errorf("half of the attacks were refused everywhere only after %s", m)
	}
	for i, n := range f.nodes {
		if got := n.alerts("value=" + harmless); len(got) != 0 || n.send(harmless, "GET", "/").status != 200 {
			t.Errorf("node %d has something against who sent one request less: %+v", i, got)
		}
		var list []event.Alert
		if err := json.Unmarshal([]byte(n.do("alerts", "list", "-o", "json", "--limit", "1000")), &list); err != nil {
			t.Fatal(err)
		}
		if len(list) != attacks {
			t.Errorf("node %d lists %d alerts after %d attacks", i, len(list), attacks)
		}
	}
}

// tellTimes logs a histogram.
func tellTimes(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(took))
	at := func(share float64) time.Duration {
		return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)].Round(100 * time.Microsecond)
	}
	var b strings.Builder
	low := time.Duration(-1 << 62)
	for _, ms := range []int{5, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 1000, 1 << 30} {
		high, n := time.Duration(ms)*time.Millisecond, 0
		for _, d := range sorted {
			if d >= low && d < high {
				n++
			}
		}
		low = high
		if n == 0 {
			continue
		}
		if ms == 1<<30 {
			fmt.Fprintf(&b, "\n  %11s %d", "more", n)
			continue
		}
		fmt.Fprintf(&b, "\n  < %6d ms %4d %s", ms, n, strings.Repeat("#", (60*n+len(sorted)-1)/len(sorted)))
	}
	t.Logf("%s, %d times: p50 %s, p90 %s, p99 %s, most %s%s", what, len(sorted), at(.5), at(.9), at(.99), sorted[len(sorted)-1].Round(100*time.Microsecond), b.String())
}
