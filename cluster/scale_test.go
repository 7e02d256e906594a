package cluster

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// What follows is the model of docs/scale.md, and what it is compared with: nodes
// whose windows the test closes by hand, so that a window has exactly as many pours
// as the model says, however busy the machine is.

// window is what one node pours before it flushes.
const window = 256

// traffic is where pours go: keys with a share each, or all in turn.
type traffic struct {
	name   string
	keys   []string
	shares []float64 // nil: all in turn
	shard  []int     // of each key
}

// shares of Zipf's law, as rand.NewZipf(r, s, 1, n-1) draws.
func zipfShares(s float64, n int) []float64 {
	out, sum := make([]float64, n), 0.0
	for i := range out {
		out[i] = math.Pow(1+float64(i), -s)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// traffics are the two that the model is checked with.
func traffics(sc *scenarios.Scenario) []*traffic {
	remote := scenarios.NewRemote(scenarios.RemoteOptions{Secret: secret[:]})
	list := []*traffic{
		{name: "distinct", keys: someKeys(100_000)},
		{name: "zipf", keys: someKeys(5000), shares: zipfShares(1.1, 5000)},
	}
	for _, tr := range list {
		tr.shard = make([]int, len(tr.keys))
		for i, key := range tr.keys {
			key := keyFor(remote, sc, key)
			tr.shard[i] = shardOf(&key)
		}
	}
	return list
}

// draw returns the keys of node's window number w.
func (tr *traffic) draw(node, w int) []string {
	out := make([]string, window)
	zipf := rand.NewZipf(rand.New(rand.NewPCG(uint64(node), uint64(w))), 1.1, 1, uint64(len(tr.keys)-1))
	for i := range out {
		if tr.shares == nil {
			out[i] = tr.keys[((node*97+w)*window+i)%len(tr.keys)]
		} else {
			out[i] = tr.keys[zipf.Uint64()]
		}
	}
	return out
}

// work is what one window makes Redis do.
type work struct{ trips, calls, buckets float64 }

func (a work) times(n float64) work { return work{a.trips * n, a.calls * n, a.buckets * n} }

// hit is how many of several places at least one of n pours meets: each pour goes to
// place i with share[i].
func hit(n float64, shares []float64) (sum float64) {
	for _, p := range shares {
		sum += 1 - math.Pow(1-p, n)
	}
	return sum
}

// predict is the model: in one window there are as many buckets as keys that are met,
// and one call, or in a Redis Cluster one for each shard that is met. A round trip
// serves all calls of a group to one server.
func (tr *traffic) predict(servers int) work {
	out := work{trips: 1, calls: 1, buckets: window}
	share := func(i int) float64 {
		if tr.shares == nil {
			return 1 / float64(len(tr.keys))
		}
		return tr.shares[i]
	}
	if tr.shares != nil {
		out.buckets = hit(window, tr.shares)
	}
	if servers == 1 {
		out.calls = math.Ceil(out.buckets / mostCalled)
		return out
	}
	byShard, byTrip := make([]float64, shards), make([]float64, clusterGroups*servers)
	for i, shard := range tr.shard {
		byShard[shard] += share(i)
		server := slotOf(fmt.Sprint("s", shard)) * servers / 16384
		byTrip[groupOf(shard, clusterGroups)*servers+server] += share(i)
	}
	out.calls, out.trips = hit(window, byShard), hit(window, byTrip)
	return out
}

// costs are µs of Redis' processor.
type costs struct {
	trip, call, bucket float64
	idle               float64 // of all servers for one idle node in a second
}

func (c costs) of(w work) float64 { return w.trips*c.trip + w.calls*c.call + w.buckets*c.bucket }

// byHand is a fleet whose nodes flush when the test says so.
type byHand struct {
	*crew
	sc      *scenarios.Scenario
	servers []*redistest.Server
	event   *event.Event
}

func newByHand(t testing.TB, k int, config Config, servers ...*redistest.Server) *byHand {
	w := newCrew(t, k, config, func(_ int, o *BucketOptions) {
		o.FlushEvery, o.Batch, o.SampleBytes = time.Hour, 1<<20, -1
	})
	return &byHand{w, w.use(forty + "name: forty\nblackhole: 1m\n")[0], servers, aRequest()}
}

// cpu is the time that the servers have used, in µs.
func (h *byHand) cpu() (micros float64) {
	for _, s := range h.servers {
		micros += float64(s.CPU().Microseconds())
	}
	return micros
}

// close pours one window into node n and sends it. apart makes a call for each shard
// even where that need not be.
func (h *byHand) close(n int, keys []string, apart bool) {
	b, now := h.nodes[n], time.Now()
	batch := make([]scenarios.Drop, len(keys))
	for i, key := range keys {
		batch[i] = scenarios.Drop{Scenario: h.sc, Event: h.event, Key: key, At: now, Count: 1}
	}
	b.Pour(batch)
	var all sync.WaitGroup
	for _, g := range b.groups {
		all.Go(func() {
			c := g.take()
			defer g.release(c)
			if !apart {
				g.flush(c)
				return
			}
			plain, _ := g.merger.merge(c, false)
			g.mail.sort(c, plain, true)
			for round := g.mail.round(g, c); len(round) > 0; round = g.mail.round(g, c) {
				g.deliver(c, round)
			}
		})
	}
	all.Wait()
}

// run has every node close so many windows of tr, all nodes at once, and returns what
// Redis was made to do, in all, and its µs.
func (h *byHand) run(t testing.TB, tr *traffic, windows int) (done work, micros float64, took time.Duration) {
	t.Helper()
	before, begin := h.cpu(), time.Now()
	calls, poured, merged := h.counts(t)
	var all sync.WaitGroup
	for n := range h.nodes {
		all.Go(func() {
			for w := range windows {
				h.close(n, tr.draw(n, w), false)
			}
		})
	}
	all.Wait()
	took, micros = time.Since(begin), h.cpu()-before
	h.drain()
	c, p, m := h.counts(t)
	if pours := int64(len(h.nodes) * windows * window); p-poured != pours {
		t.Fatalf("%d pours counted, want %d", p-poured, pours)
	}
	return work{calls: float64(c - calls), buckets: float64(p - poured - (m - merged))}, micros, took
}

func (h *byHand) counts(t testing.TB) (calls, poured, merged int64) {
	for _, n := range h.nodes {
		s := n.Stats()
		if s.Dropped+s.Failed+s.Untaken > 0 {
			t.Fatalf("pours went elsewhere: %+v", s)
		}
		calls, poured, merged = calls+s.Calls, poured+s.Poured, merged+s.Merged
	}
	return calls, poured, merged
}

// near fails if what was measured is further from what was predicted than the bound.
func near(t *testing.T, what string, measured, predicted, bound float64) {
	t.Helper()
	off := measured/predicted - 1
	t.Logf("%-34s measured %10.0f, predicted %10.0f, %+.1f %%", what, measured, predicted, off*100)
	if math.Abs(off) > bound {
		t.Errorf("%s: measured %.0f, predicted %.0f: %+.0f %%", what, measured, predicted, off*100)
	}
}

// TestScaleCounts: what the model says of calls and of pours that go as one, for
// nodes on one Redis and on three primaries. The counts do not depend on the machine.
func TestScaleCounts(t *testing.T) {
	for _, servers := range []int{1, 3} {
		config, list := someRedis(t, servers)
		for _, k := range []int{1, 2} {
			t.Run(fmt.Sprint(k, " nodes, ", servers, " servers"), func(t *testing.T) {
				h := newByHand(t, k, config, list...)
				for _, tr := range traffics(h.sc) {
					const windows = 40
					done, _, _ := h.run(t, tr, windows)
					want := tr.predict(servers).times(float64(k * windows))
					near(t, tr.name+" calls", done.calls, want.calls, 0.03)
					near(t, tr.name+" buckets", done.buckets, want.buckets, 0.03)
				}
			})
		}
	}
}

// someRedis is a standalone server, or a Redis Cluster.
func someRedis(t testing.TB, servers int) (Config, []*redistest.Server) {
	if servers == 1 {
		s := redistest.Start(t, redistest.Options{})
		return at(s.Addr()), []*redistest.Server{s}
	}
	cl := redistest.StartCluster(t)
	return Config{Cluster: cl.Addrs()}, cl.Servers()
}

// idle is what the servers have to do, in µs a second, while nobody pours.
func (h *byHand) idle() float64 {
	before, begin := h.cpu(), time.Now()
	time.Sleep(4 * time.Second) // in which each node asks for the outboxes of all shards
	return (h.cpu() - before) / time.Since(begin).Seconds()
}

// calibrate measures the costs with one node: windows of one bucket, of many buckets
// of one shard, which is one call, and of as many in a call for each shard.
func calibrate(t testing.TB, h *byHand, tr *traffic, servers int) (c costs) {
	var by [shards][]string
	for i, key := range tr.keys {
		by[tr.shard[i]] = append(by[tr.shard[i]], key)
	}
	measure := func(windows int, keys func(w int) []string, apart bool) (micros, calls float64) {
		before := h.cpu()
		asked, _, _ := h.counts(t)
		for w := range windows {
			h.close(0, keys(w), apart)
		}
		micros = (h.cpu() - before) / float64(windows)
		after, _, _ := h.counts(t)
		return micros, float64(after-asked) / float64(windows)
	}
	shard := func(w int) []string { return by[w%shards][:window] }
	wide := func(w int) []string { return tr.keys[w%(len(tr.keys)/window)*window:][:window] }
	measure(len(tr.keys)/window, wide, true) // the buckets and the scripts are there then
	measure(shards, shard, false)
	c.idle = h.idle()
	one, _ := measure(4000, func(w int) []string { return by[w%shards][w/shards:][:1] }, false)
	full, _ := measure(512, shard, false)
	many, calls := measure(512, wide, true)
	trips := 1.0
	if servers > 1 {
		trips = tr.predict(servers).trips
	}
	c.bucket = (full - one) / (window - 1)
	c.call = (many - window*c.bucket - trips*(one-c.bucket)) / (calls - trips)
	c.trip = one - c.call - c.bucket
	return c
}

// TestScale compares the time of Redis with what the model makes of the costs of one
// node: for more nodes, and for merged pours, on one server and in a Redis Cluster,
// where a call has its own price. One node alone gives the costs.
func TestScale(t *testing.T) {
	if os.Getenv("RAMPART_SOAK") == "" {
		t.Skip("RAMPART_SOAK=1 compares times")
	}
	const bound, windows = 0.25, 300
	for _, servers := range []int{1, 3} {
		config, list := someRedis(t, servers)
		for _, k := range []int{1, 2, 4, 8} {
			t.Run(fmt.Sprint(k, " nodes, ", servers, " servers"), func(t *testing.T) {
				h := newByHand(t, k, config, list...)
				trs := traffics(h.sc)
				cost := calibrate(t, h, trs[0], servers) // each time, since a shared machine drifts
				t.Logf("µs of redis: %.1f a round trip, %.2f a call, %.2f a bucket; %.0f in a second without pours",
					cost.trip, cost.call, cost.bucket, cost.idle)
				for _, tr := range trs {
					h.run(t, tr, windows) // the buckets are there then
					done, micros, took := h.run(t, tr, windows)
					want := tr.predict(servers).times(float64(k * windows))
					near(t, tr.name+" calls", done.calls, want.calls, 0.03)
					near(t, tr.name+" buckets", done.buckets, want.buckets, 0.03)
					near(t, tr.name+" µs of redis", micros, cost.of(want)+cost.idle*took.Seconds(), bound)
				}
			})
		}
	}
}

// wire is how many bytes a server has received and sent.
func wire(s *redistest.Server) (in, out float64) {
	text, _ := s.Do("INFO", "stats").(string)
	for name, to := range map[string]*float64{"total_net_input_bytes:": &in, "total_net_output_bytes:": &out} {
		_, rest, _ := strings.Cut(text, name)
		fmt.Sscan(rest, to)
	}
	return in, out
}

// BenchmarkScale measures the constants of docs/scale.md.
func BenchmarkScale(b *testing.B) {
	config, list := someRedis(b, 1)
	h := newByHand(b, 1, config, list...)
	tr := traffics(h.sc)[0]
	var c costs
	for b.Loop() {
		c = calibrate(b, h, tr, 1)
	}
	b.ReportMetric(c.trip, "redis-µs/trip")
	b.ReportMetric(c.call, "redis-µs/call")
	b.ReportMetric(c.bucket, "redis-µs/bucket")
	b.ReportMetric(c.idle, "redis-µs/idle-node-s")
	clustered, servers := someRedis(b, 3)
	c = calibrate(b, newByHand(b, 1, clustered, servers...), tr, 3)
	b.ReportMetric(c.trip, "cluster-µs/trip")
	b.ReportMetric(c.call, "cluster-µs/call")
	b.ReportMetric(c.bucket, "cluster-µs/bucket")
	const windows = 400
	in, out := wire(list[0])
	before := testkit.Spent(b)
	h.run(b, tr, windows)
	in2, out2 := wire(list[0])
	b.ReportMetric(float64(testkit.Spent(b)-before)/windows/window, "node-ns/bucket")
	b.ReportMetric((in2-in)/windows/window, "bytes-in/bucket")
	b.ReportMetric((out2-out)/windows/window, "bytes-out/bucket")
}
