package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// aRequest is a live request as the engine hands it on: 12 fields of Meta.
func aRequest() *event.Event {
	now := time.Now().UTC().Truncate(time.Microsecond)
	ev := &event.Event{
		Time: now, MarshaledTime: now.Format(time.RFC3339Nano),
		Meta: map[string]string{
			"source_ip": "203.0.113.77", "http_path": "/products/garden/chairs?sort=price&page=2", "http_status": "404", "http_verb": "GET",
			"http_user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
			"target_fqdn":     "shop.example.com", "log_type": "http_access-log", "service": "http", "http_args_len": "17",
			"datasource_type": "http", "datasource_path": "rampart",
		},
	}
	ev.Meta["timestamp"] = ev.MarshaledTime
	ev.From.Inline = true
	return ev
}

const forty = "type: leaky\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: 40\nleakspeed: 500ms\n"

// someKeys are addresses.
func someKeys(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
	}
	return out
}

// unsent are buckets that think they are connected and send nothing: what Pour costs
// its caller, and no more.
func unsent(b testing.TB) *Buckets {
	c := &Client{}
	c.health.up.Store(true)
	o := BucketOptions{Remote: scenarios.NewRemote(scenarios.RemoteOptions{Secret: secret[:]})}
	o.fill()
	out := &Buckets{c: c, o: o, remote: o.Remote}
	out.visit = out.enqueue
	out.groups = []*group{newGroup(out, 1<<20)}
	return out
}

// BenchmarkPourEnqueue is what a pour costs the request that makes it: into the
// memory of the node, and into the queue for Redis.
func BenchmarkPourEnqueue(b *testing.B) {
	s := bucketstest.Scenario(b, forty)
	keys := someKeys(1 << 10)
	run := func(b *testing.B, pour func([]scenarios.Drop), each func()) {
		batch := []scenarios.Drop{{Scenario: s, Event: aRequest(), Count: 1}}
		events := []*event.Event{aRequest(), aRequest()} // an event is encoded once: no two pours have the same
		i := 0
		begin := time.Now()
		one := func() {
			i++
			batch[0].Key, batch[0].Event = keys[i&(1<<10-1)], events[i&1]
			batch[0].At = begin.Add(time.Duration(i) * (time.Second / (1 << 10)))
			if pour(batch); i&63 == 0 {
				each()
			}
		}
		for range 400_000 { // until the samples have taken all their memory
			one()
		}
		b.ReportAllocs()
		defer testkit.CPU(b)()
		for b.Loop() {
			one()
		}
	}
	b.Run("memory", func(b *testing.B) {
		m := scenarios.NewMemory(scenarios.MemoryOptions{})
		run(b, m.Pour, func() {})
	})
	b.Run("redis", func(b *testing.B) {
		u := unsent(b)
		run(b, u.Pour, func() { u.groups[0].release(u.groups[0].take()) })
	})
}

// redisBench is a server, and the node that pours into it.
type redisBench struct {
	server *redistest.Server
	client *Client
	*node
	batch []scenarios.Drop
	begin time.Time
}

func newRedisBench(b *testing.B, samples bool) *redisBench {
	s := redistest.Start(b, redistest.Options{})
	c := up(b, 1, at(s.Addr()))
	within(b, "a number", func() bool { return c.Number() >= 0 })
	o := BucketOptions{SampleBytes: -1}
	if samples {
		o.SampleBytes = 64 << 20
	}
	n, _ := openBuckets(b, c, o, func(*scenarios.Overflow) {})
	return &redisBench{
		server: s, client: c, node: n, begin: time.Now(),
		batch: []scenarios.Drop{{Scenario: bucketstest.Scenario(b, forty+"blackhole: 1m\n"), Event: aRequest(), Count: 1}},
	}
}

// pour pours one event, and waits while the queue is long: the benchmark is of Redis.
func (r *redisBench) pour(i int, key string) {
	r.batch[0].Key, r.batch[0].At = key, time.Now()
	r.Pour(r.batch)
	for i&255 == 0 && r.groups[0].waiting() > 4096 {
		time.Sleep(50 * time.Microsecond)
	}
}

// measure reports what fn, which makes b.N pours, costs Redis.
func (r *redisBench) measure(b *testing.B, fn func()) {
	b.ReportAllocs()
	before, begin := r.server.CPU(), time.Now()
	b.ResetTimer()
	fn()
	b.StopTimer()
	spent := r.server.CPU() - before
	b.ReportMetric(float64(b.N)/spent.Seconds(), "pours/redis-cpu-s")
	b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "pours/s")
}

// BenchmarkRedis is how many pours a processor second of Redis is good for.
func BenchmarkRedis(b *testing.B) {
	all := someKeys(1 << 20)
	for _, samples := range []bool{false, true} {
		with := map[bool]string{false: "packed/", true: "samples/"}[samples]
		// Every pour into another of 100,000 live buckets, and every pour the first of
		// its bucket.
		for name, live := range map[string]int{"distinct": 100_000, "fresh": 0} {
			b.Run(with+name, func(b *testing.B) {
				r := newRedisBench(b, samples)
				for i := range live {
					r.pour(i, all[i])
				}
				drain(b, r.node)
				r.measure(b, func() {
					for i := range b.N {
						if live > 0 {
							i %= live
						}
						r.pour(i, all[i&(1<<20-1)])
					}
					drain(b, r.node)
				})
				r.report(b)
			})
		}
		b.Run(with+"zipf", func(b *testing.B) {
			r := newRedisBench(b, samples)
			zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, 4999)
			r.measure(b, func() {
				for i := range b.N {
					r.pour(i, all[zipf.Uint64()])
				}
				drain(b, r.node)
			})
			r.report(b)
		})
	}
	b.Run("unbatched", func(b *testing.B) { // one EVALSHA for each pour, 64 of them under way
		r := newRedisBench(b, false)
		r.measure(b, func() { r.each(b, 64, func(one *single, i int) { one.pour(r, all[i&(1<<20-1)]) }) })
	})
	b.Run("incr", func(b *testing.B) { // pipelines of 100
		r := newRedisBench(b, false)
		r.measure(b, func() {
			for i := 0; i < b.N; i += 100 {
				pipe := r.client.rdb().Pipeline()
				for j := range min(100, b.N-i) {
					pipe.Incr(context.Background(), "i:"+all[(i+j)&(1<<20-1)])
				}
				if _, err := pipe.Exec(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// report says how the pours went.
func (r *redisBench) report(b *testing.B) {
	s := r.Stats()
	if s.Dropped+s.Failed+s.Untaken > 0 {
		b.Errorf("pours went elsewhere: %+v", s)
	}
	pours := float64(s.Poured)
	b.ReportMetric(pours/float64(s.Calls), "pours/call")
	b.ReportMetric(pours/(pours-float64(s.Merged)), "pours/parcel")
}

// single pours without a queue: a call for each pour.
type single struct {
	g *group
	c *chunk
}

func (o *single) pour(r *redisBench, key string) {
	batch := []scenarios.Drop{r.batch[0]}
	batch[0].Key, batch[0].At = key, time.Now()
	r.remote.Each(batch, o.c.add)
	plain, _ := o.g.merger.merge(o.c, false)
	o.g.send(o.c, plain)
	o.c.reset()
}

// each runs fn b.N times in so many goroutines.
func (r *redisBench) each(b *testing.B, n int, fn func(*single, int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range n {
		one := &single{newGroup(r.Buckets, 1), &chunk{}}
		all.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				fn(one, int(i))
			}
		})
	}
	all.Wait()
}

// BenchmarkRedisBytes is what a live bucket takes in Redis.
func BenchmarkRedisBytes(b *testing.B) {
	all := someKeys(1 << 20)
	r := newRedisBench(b, false)
	used := func() float64 {
		text, _ := r.server.Do("INFO", "memory").(string)
		var n float64
		_, rest, _ := strings.Cut(text, "used_memory:")
		fmt.Sscan(rest, &n)
		return n
	}
	before := used()
	for i, key := range all { // once, whatever b.N
		r.pour(i, key)
	}
	drain(b, r.node)
	b.ReportMetric((used()-before)/float64(len(all)), "B/bucket")
	r.report(b)
}
