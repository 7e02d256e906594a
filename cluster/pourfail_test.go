package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// nine overflows at the tenth event and hardly leaks.
const nine = "type: leaky\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: 9\nleakspeed: 1h\n"

// hooked opens a client whose calls a hook sees.
func hooked(t testing.TB, n int, config Config, hook redis.Hook) *Client {
	t.Helper()
	c, err := Open(Options{Config: config, Node: nodeID(n), Logger: zap.NewNop(), Hook: hook})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	within(t, "a number", func() bool { return c.Number() >= 0 })
	return c
}

// aroundPipelines is a hook that sees pipelines.
type aroundPipelines func(cmds []redis.Cmder, run func() error) error

func (aroundPipelines) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (aroundPipelines) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h aroundPipelines) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return h(cmds, func() error { return next(ctx, cmds) })
	}
}

// runs reports whether the commands are calls of s.
func runs(cmds []redis.Cmder, s *script) bool {
	return s != nil && len(cmds) > 0 && len(cmds[0].Args()) > 1 && cmds[0].Args()[1] == s.hash
}

// losing opens a client that loses two in n of the calls of a script, once it is told
// which: one before it reaches Redis, and the answer to the other.
func losing(t testing.TB, config Config, n int) (c *Client, lose func(*script)) {
	rng := rand.New(rand.NewPCG(9, 10))
	var of atomic.Pointer[script]
	var mu sync.Mutex
	last := false
	c = hooked(t, 1, config, aroundPipelines(func(cmds []redis.Cmder, run func() error) error {
		if !runs(cmds, of.Load()) {
			return run()
		}
		mu.Lock()
		kind := rng.IntN(n)
		last = kind < 2 && !last // two in a row would make Redis count as away
		lost := last
		mu.Unlock()
		if !lost {
			return run()
		}
		if kind == 1 {
			_ = run()
		}
		for _, cmd := range cmds {
			cmd.SetErr(errSlow{})
		}
		return errSlow{}
	}))
	return c, of.Store
}

// checkTenths checks that the overflows are exact: every tenth pour of each key.
func checkTenths(t *testing.T, got []bucketstest.Seen, ids map[string]bool, each map[string]int) {
	t.Helper()
	found := map[string]int{}
	for _, o := range got {
		if found[o.Key]++; o.Count != 10 {
			t.Errorf("an overflow of %s counts %d events", o.Key, o.Count)
		}
	}
	total := 0
	for key, pours := range each {
		if total += pours / 10; found[key] != pours/10 {
			t.Errorf("%s: %d overflows of %d pours", key, found[key], pours)
		}
	}
	if len(ids) != total || len(got) != total {
		t.Errorf("%d overflows with %d ids, want %d", len(got), len(ids), total)
	}
}

// TestPourRetried loses calls before they reach Redis and answers of calls that ran.
// Nothing is counted twice and nothing is lost.
func TestPourRetried(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c, lose := losing(t, at(s.Addr()), 4)
	var got seen
	ids := map[string]bool{}
	b, _ := openBuckets(t, c, BucketOptions{FlushEvery: 100 * time.Microsecond}, func(o *scenarios.Overflow) {
		got.sink(o)
		ids[o.ID] = true
	})
	lose(b.groups[0].pour)
	sc := bucketstest.Scenario(t, nine)
	each := map[string]int{}
	var writers sync.WaitGroup
	for w := range 4 {
		for k := range 3 {
			each[fmt.Sprint("192.0.2.", k)] += 1000 + w
		}
		writers.Go(func() {
			for i := range 1000 + w {
				for k := range 3 {
					b.Pour([]scenarios.Drop{bucketstest.Drop(sc, fmt.Sprint("192.0.2.", k), i, time.Now(), false)})
				}
				time.Sleep(200 * time.Microsecond) // or a few calls would do for all
			}
		})
	}
	writers.Wait()
	drain(t, b)
	st := b.Stats()
	if st.Untaken+st.Dropped+st.Failed > 0 || st.Retried < 20 {
		t.Fatalf("the test shows too little: %+v", st)
	}
	checkTenths(t, got, ids, each)
	t.Logf("%d calls, %d made again", st.Calls, st.Retried)
}

// TestPourLateCall has a call arrive that was given up and made again meanwhile.
func TestPourLateCall(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	var got seen
	b, _ := openBuckets(t, c, BucketOptions{absolute: true}, got.sink)
	g := b.groups[0]
	sc := bucketstest.Scenario(t, nine)
	old := &chunk{}
	b.remote.Each([]scenarios.Drop{bucketstest.Drop(sc, "192.0.2.1", 0, bucketstest.Start, false)}, old.add)
	plain, _ := g.merger.merge(old, true)
	m := newMail()
	m.sort(old, plain, false)
	call := m.round(g, old)[0]
	call.stamp(time.Now(), true)
	run := func() any {
		v, err := g.pour.Run(t.Context(), call.keys, call.args...)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if first, again := run(), run(); first != again || first == "" {
		t.Errorf("a call that comes again is answered %q, before %q", again, first)
	}
	b.Pour([]scenarios.Drop{bucketstest.Drop(sc, "192.0.2.2", 0, bucketstest.Start, false)})
	drain(t, b)
	if late := run(); late != "" {
		t.Errorf("a call that comes late is answered %q", late)
	}
	b.Pour([]scenarios.Drop{func() scenarios.Drop {
		d := bucketstest.Drop(sc, "192.0.2.1", 1, bucketstest.Start, false)
		d.Count = 9
		return d
	}()})
	drain(t, b)
	if len(got) != 1 || got[0].Count != 10 {
		t.Errorf("after one pour sent three times and nine more: %+v", got)
	}
}

// TestPourNoScript: Redis may forget scripts at any time.
func TestPourNoScript(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	var got seen
	b, _ := openBuckets(t, c, BucketOptions{absolute: true}, got.sink)
	sc := bucketstest.Scenario(t, nine)
	for i := range 40 {
		s.Do("SCRIPT", "FLUSH")
		b.Pour([]scenarios.Drop{bucketstest.Drop(sc, "192.0.2.1", i, bucketstest.Start, false)})
		drain(t, b)
	}
	if len(got) != 4 || b.Stats().Failed > 0 {
		t.Errorf("%d overflows; %+v", len(got), b.Stats())
	}
}

// TestPourBroken puts into Redis what no node writes there.
func TestPourBroken(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	yaml := "type: leaky\nfilter: '1 == 1'\ncapacity: 3\nleakspeed: 10s\ndistinct: evt.Meta.x\nblackhole: 1m\n"
	sc := bucketstest.Scenario(t, yaml)
	rng := rand.New(rand.NewPCG(11, 12))
	random := func(first byte, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		if n > 0 {
			b[0] = first
		}
		return string(b)
	}
	var got seen
	b, _ := openBuckets(t, c, BucketOptions{absolute: true, FlushEvery: 100 * time.Microsecond}, got.sink)
	key := keyFor(b.remote, sc, "192.0.2.1")
	part := func(letter string) string { return b.keyOf(shardOf(&key), letter+":") + string(key[:]) }
	box := b.keyOf(shardOf(&key), "o")
	do := func(args ...string) func() { return func() { s.Do(args...) } }
	broken := map[string]func(){
		"a list":            do("RPUSH", part("b"), "x"),
		"values":            do("SET", part("d"), "x"),
		"outbox":            do("SET", box, "x"),
		"the last answer":   do("RPUSH", c.key(bucketVersion, "{n}", "n:")+string(b.groups[0].name[:]), "x"),
		"an empty state":    do("SET", part("b"), ""),
		"not a number":      do("SET", part("b"), "\x40"+strings.Repeat("\xff", 41)),
		"infinite":          do("SET", part("b"), "\x43"+strings.Repeat("\x00\x00\x00\x00\x00\x00\xf0\x7f", 4)+"\x01\x00\x00\x00\x01\x00\x00\x00"),
		"no event":          do("SET", part("b"), "\x43"+strings.Repeat("\x00", 40)),
		"a blackhole, half": do("SET", part("b"), "\x10\x00"),
	}
	for i := range 400 {
		n := []int{1, 8, 9, 10, 40, 41, 42, 48, 49, 50, 60, 305, 306, 1000}[rng.IntN(14)]
		broken[fmt.Sprint("random ", i)] = do("SET", part("b"), random(byte(rng.IntN(256)), n))
	}
	for name, make := range broken {
		s.Do("FLUSHALL")
		got = nil
		make()
		for i := range 4 {
			d := bucketstest.Drop(sc, "192.0.2.1", i, bucketstest.Start, false)
			d.Distinct = fmt.Sprint(i)
			b.Pour([]scenarios.Drop{d})
			if i == 1 {
				drain(t, b)
			}
		}
		drain(t, b)
		if len(got) != 1 || got[0].Count != 4 {
			t.Fatalf("%s: %d overflows, %+v", name, len(got), b.Stats())
		}
	}
	if st := b.Stats(); st.Failed > 0 || st.Broken < int64(len(broken))-10 {
		t.Errorf("%+v", st)
	}
}

// TestPourDistinctFull: a bucket remembers ten thousand values.
func TestPourDistinctFull(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	var got seen
	b, _ := openBuckets(t, c, BucketOptions{absolute: true}, got.sink)
	sc := bucketstest.Scenario(t, "type: leaky\nfilter: '1 == 1'\ncapacity: 10100\nleakspeed: 1h\ndistinct: evt.Meta.x\n")
	pour := func(n int) {
		for i := range n {
			d := bucketstest.Drop(sc, "192.0.2.1", i, bucketstest.Start, false)
			d.Distinct = fmt.Sprint(i)
			b.Pour([]scenarios.Drop{d})
		}
		drain(t, b)
	}
	pour(10_000)
	pour(10_000) // all known
	if st := b.Stats(); st.Poured != 10_000 || st.Discarded != 10_000 {
		t.Fatalf("%+v", st)
	}
	pour(10_101)
	for _, key := range s.Do("KEYS", "*:d:*").([]any) {
		if n := s.Do("SCARD", key.(string)); n.(int64) > 10_000 {
			t.Errorf("a bucket remembers %d values", n)
		}
	}
	if st := b.Stats(); st.Poured+st.Discarded != 30_101 || st.Broken > 0 {
		t.Errorf("%+v", st)
	}
}

// TestPourOutage: what waits when Redis goes is poured here, what comes then too, and
// it gives way when Redis is back.
func TestPourOutage(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	var y tally
	b, _ := openBuckets(t, c, BucketOptions{FlushEvery: 300 * time.Millisecond, Batch: 1000}, y.sink)
	sc := bucketstest.Scenario(t, nine)
	drop := func() []scenarios.Drop {
		return []scenarios.Drop{bucketstest.Drop(sc, "192.0.2.1", 0, time.Now(), false)}
	}
	for range 7 { // Redis has these
		b.Pour(drop())
	}
	drain(t, b)
	for range 5 { // these wait, or are under way
		b.Pour(drop())
	}
	s.Kill()
	within(t, "redis is given up", func() bool { return !c.Up() })
	within(t, "what waited is here", func() bool { return b.Stats().Untaken == 5 })
	for range 4 {
		if out := b.Inline(drop()); len(out) > 0 {
			t.Errorf("an overflow at fewer than ten: %+v", bucketstest.See(out[0]))
		}
	}
	out := b.Inline(drop())
	if len(out) != 1 || out[0].Count != 10 || len(out[0].Samples) != 10 || !out[0].Samples[0].OK {
		t.Fatalf("the tenth event of the outage: %+v", out)
	}
	for range 6 {
		b.Pour(drop())
	}
	s.Restart(true)
	within(t, "redis is back", c.Up)
	within(t, "its buckets count", func() bool { return b.Stats().Cleared == 1 })
	for range 9 {
		b.Pour(drop())
	}
	drain(t, b)
	if n := y.count(); n != 0 {
		t.Errorf("%d overflows at nine pours after the return", n)
	}
	b.Pour(drop())
	drain(t, b)
	if n := y.count(); n != 1 {
		t.Errorf("%d overflows at ten pours after the return", n)
	}
}

// TestPourNeverWaits fails where a call is made by the goroutine that pours.
func TestPourNeverWaits(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	p := redistest.NewProxy(t, s.Addr())
	var calls atomic.Int64
	check := func() {
		calls.Add(1)
		stack := string(debug.Stack())
		for _, f := range []string{".(*Buckets).Pour(", ".(*Buckets).Inline(", ".(*Remote).Each("} {
			if strings.Contains(stack, f) {
				t.Errorf("a call of Redis within %s\n%s", f, stack)
			}
		}
	}
	c := hooked(t, 1, at(p.Addr()), everyCall(check))
	b, _ := openBuckets(t, c, BucketOptions{queue: 512}, func(*scenarios.Overflow) {})
	list := []scenarios.Drop{}
	for _, yaml := range []string{
		nine, "type: trigger\nfilter: '1 == 1'\n", "type: trigger\nfilter: '1 == 1'\nblackhole: 1s\n",
		nine + "distinct: evt.Meta.x\n", nine + "overflow_filter: 'true'\nblackhole: 1s\n",
		"type: counter\nfilter: '1 == 1'\ncapacity: -1\nduration: 1s\n",
		"type: conditional\nfilter: '1 == 1'\ncapacity: -1\nleakspeed: 1s\ncondition: len(queue.Queue) >= 3\n",
	} {
		list = append(list, bucketstest.Drop(bucketstest.Scenario(t, yaml), "192.0.2.1", 0, time.Now(), false))
	}
	pour := func(n int) (slowest time.Duration) {
		for range n {
			begin := time.Now()
			b.Pour(slices.Clone(list))
			b.Inline(slices.Clone(list))
			b.Sweep(begin)
			slowest = max(slowest, time.Since(begin))
		}
		return slowest
	}
	pour(300)
	p.Stall() // nothing is answered, the queue fills up
	slow := pour(300)
	within(t, "redis is given up", func() bool { pour(1); return !c.Up() })
	pour(300)
	p.Heal()
	within(t, "redis is back", c.Up)
	pour(300)
	drain(t, b)
	if calls.Load() == 0 {
		t.Error("the hook saw no call")
	}
	t.Logf("slowest pour while nothing was answered: %v, dropped %d", slow, b.Stats().Dropped)
}

// everyCall is a hook that runs before every call.
type everyCall func()

func (h everyCall) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		h()
		return next(ctx, network, addr)
	}
}

func (h everyCall) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h()
		return next(ctx, cmd)
	}
}

func (h everyCall) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h()
		return next(ctx, cmds)
	}
}
