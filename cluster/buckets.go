package cluster

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/scenarios"
)

// BucketOptions are those of Buckets; zero fields take their default.
type BucketOptions struct {
	// Local takes what is not shared, and everything while Redis cannot be used. Its
	// overflows go to its own sink. Required.
	Local *scenarios.Memory
	// Remote is the node's half of shared buckets. Required.
	Remote *scenarios.Remote
	// Overflow takes the overflows of shared buckets, from a goroutine of Buckets, one
	// at a time. done is called, from any goroutine: with true as soon as the alert is
	// recorded or there will be none, with false if nobody here will record it. Then,
	// and when this node has not answered for some seconds, another one takes the
	// overflow over. Required.
	Overflow func(o *scenarios.Overflow, done func(recorded bool))
	// FlushEvery is how long a pour waits for others at most, default 5 ms.
	FlushEvery time.Duration
	// Batch is how many pours are sent without waiting for more, default 64. Under
	// load up to 256 go in one call.
	Batch int
	// SampleBytes bounds the samples of shared buckets, default 64 MiB; negative: only
	// the overflowing event itself is kept.
	SampleBytes int64
	Logger      *zap.Logger // required
	Now         func() time.Time

	// Tests change these.
	absolute   bool          // takes instants as they are instead of the clock of Redis
	queue      int           // how many pours may wait; further ones are dropped and counted
	claimAfter time.Duration // how old a record gets before another node takes it over
	collectFor time.Duration // how long the samples of other nodes are waited for
	between    func()        // called between an overflow and its alert
}

func (o *BucketOptions) fill() {
	if o.FlushEvery <= 0 {
		o.FlushEvery = 5 * time.Millisecond
	}
	if o.Batch <= 0 {
		o.Batch = 64
	}
	if o.queue <= 0 {
		o.queue = mostQueue
	}
	if o.SampleBytes == 0 {
		o.SampleBytes = 64 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.claimAfter <= 0 {
		o.claimAfter = claimAfter
	}
	if o.collectFor <= 0 {
		o.collectFor = collectFor
	}
}

// bucketVersion is that of the states' format: nodes that write another do not share
// buckets with this one.
const bucketVersion = "1"

// mostQueue is how many pours may wait.
const mostQueue = 65_536

// clusterGroups is how many calls a node has under way in a Redis Cluster, each with
// its own part of the slots. It is fixed, unlike the number of servers, so that the
// pours of a bucket stay in order while slots move.
const clusterGroups = 4

// Buckets are leaky buckets that a fleet shares. It is a scenarios.Buckets whose
// pours wait in a bounded queue for goroutines that put them into Redis.
//
//	drops ─Remote─► group's queue ─merge─► pour.lua ─answer─► evidence, overflows
//	           └──► Local: what is not shared, and all while Redis is away
//
// It is safe for concurrent use, and neither Pour nor Inline waits for anything.
type Buckets struct {
	c          *Client
	o          BucketOptions
	log        *zap.Logger
	local      *scenarios.Memory
	remote     *scenarios.Remote
	evidence   *scenarios.Evidence
	known      atomic.Pointer[map[[16]byte]*scenarios.Scenario] // of the rules in force, by ID
	groups     []*group                                         // the last has what goes step by step: that takes longer
	outbox     *outbox
	counts     bucketCounts
	visit      func(*scenarios.Pour)
	parts      sync.Pool // *parts
	hole       *script
	owner      [8]byte        // the node's id
	prefixes   [shards]string // of the keys of a shard
	group      [shards]uint8  // number of its group
	gens       atomic.Uint32  // generations of buckets, see pour.lua
	complained atomic.Int64   // ns, when the log last heard of a failed call

	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	closed sync.Once
}

// NewBuckets starts buckets that are kept in c's Redis. Close ends them before c.
func NewBuckets(c *Client, o BucketOptions) *Buckets {
	o.fill()
	b := &Buckets{
		c: c, o: o, log: o.Logger, local: o.Local, remote: o.Remote,
		evidence: scenarios.NewEvidence(max(o.SampleBytes, 0)),
	}
	b.visit = b.enqueue
	b.hole = c.script("hole", holeScript)
	_, _ = hex.Decode(b.owner[:], []byte(c.o.Node)) // Open has checked it
	b.gens.Store(mathrand.Uint32())
	b.known.Store(&map[[16]byte]*scenarios.Scenario{})
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.outbox = newOutbox(b)
	n := 1
	if c.clustered() {
		n = clusterGroups
	}
	for range n + 1 {
		b.groups = append(b.groups, newGroup(b, o.queue/n))
	}
	for i := range shards {
		b.prefixes[i] = c.key(bucketVersion, shardTag(i), "")
		b.group[i] = uint8(groupOf(i, n))
	}
	for _, g := range b.groups {
		b.tasks.Go(g.run)
	}
	b.tasks.Go(b.outbox.run)
	b.tasks.Go(b.follow)
	for _, task := range b.side() {
		b.tasks.Go(task)
	}
	return b
}

// instance makes the name of a group for the time that the process lives: sequence
// numbers begin anew with it.
func instance() (name [8]byte) {
	_, _ = rand.Read(name[:]) // never fails
	return name
}

// shared reports whether the bucket of d is kept in Redis. What reads one log anew
// has a clock of its own; a trigger without a blackhole has no bucket; conditions on
// an overflow need the event itself.
func (b *Buckets) shared(d *scenarios.Drop) bool {
	s := d.Scenario
	switch {
	case d.Replay || d.Lane != "":
		return false
	case s.Type == scenarios.Trigger:
		return s.Blackhole > 0
	case s.Judged():
		return s.Shareable() && (d.Event == nil || d.Event.Type != event.OverflowType)
	}
	return true
}

// parts are a batch taken apart. It is reused.
type parts struct{ here, there []scenarios.Drop }

// Pour pours the batch in order. It does not wait.
func (b *Buckets) Pour(batch []scenarios.Drop) {
	if !b.c.Up() {
		b.local.Pour(batch)
		return
	}
	b.divide(batch, b.local.Pour)
}

// Inline pours the batch in order. It returns what this node alone could decide at
// once; overflows of shared buckets go to the sink.
func (b *Buckets) Inline(batch []scenarios.Drop) (out []*scenarios.Overflow) {
	if !b.c.Up() {
		return b.local.Inline(batch)
	}
	b.divide(batch, func(here []scenarios.Drop) { out = b.local.Inline(here) })
	return out
}

// divide queues what is shared and gives the rest to local.
func (b *Buckets) divide(batch []scenarios.Drop, local func([]scenarios.Drop)) {
	n := 0
	for i := range batch {
		if b.shared(&batch[i]) {
			n++
		}
	}
	switch n {
	case len(batch):
		b.remote.Each(batch, b.visit)
		return
	case 0:
		local(batch)
		return
	}
	p, ok := b.parts.Get().(*parts)
	if !ok {
		p = &parts{}
	}
	for i := range batch {
		if b.shared(&batch[i]) {
			p.there = append(p.there, batch[i])
		} else {
			p.here = append(p.here, batch[i])
		}
	}
	b.remote.Each(p.there, b.visit)
	local(p.here)
	clear(p.here)
	clear(p.there)
	p.here, p.there = p.here[:0], p.there[:0]
	b.parts.Put(p)
}

// enqueue is what Each shows pours to.
func (b *Buckets) enqueue(p *scenarios.Pour) {
	if p.Whole {
		b.counts.refused.Add(1)
		return
	}
	n := int(b.group[shardOf(&p.Key)])
	if stepwise(p.Scenario) {
		n = len(b.groups) - 1
	}
	b.groups[n].put(p)
}

// keyOf is a key of a shard, such as "b:" before the name of a bucket.
func (b *Buckets) keyOf(shard int, tail string) string { return b.prefixes[shard] + tail }

// Sweep ends what is over in the node's own memory, and has shared buckets looked at
// whose duration is over; the others end by themselves. Call it once a second.
func (b *Buckets) Sweep(now time.Time) {
	b.local.Sweep(now)
	b.outbox.deadlines.poke(now)
}

// Flush ends buckets with a duration at the end of a replay, which are in the node's
// own memory.
func (b *Buckets) Flush() { b.local.Flush() }

// Use makes r the rules in force.
func (b *Buckets) Use(r *scenarios.Rules) {
	known := map[[16]byte]*scenarios.Scenario{}
	for _, s := range r.All() {
		known[s.ID()] = s
	}
	b.known.Store(&known)
	b.local.Use(r)
	b.remote.Use(r)
}

// scenario returns the one with an ID, nil when the rules in force have none.
func (b *Buckets) scenario(id [16]byte) *scenarios.Scenario { return (*b.known.Load())[id] }

// UseContexts makes c what alerts say from now on; nil: nothing.
func (b *Buckets) UseContexts(c *scenarios.Contexts) {
	b.local.UseContexts(c)
	b.remote.UseContexts(c)
}

// follow drops what the node's own memory gathered as soon as Redis can be used
// again: from then on the shared buckets count.
func (b *Buckets) follow() {
	wake, stop := b.c.changed()
	defer stop()
	up := b.c.Up()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-wake:
		}
		if now := b.c.Up(); now != up {
			if up = now; up {
				b.counts.cleared.Add(b.local.Clear(b.keeps))
			}
		}
	}
}

// keeps reports whether buckets of s are in the node's own memory at all times.
func (b *Buckets) keeps(s *scenarios.Scenario) bool { return !s.Shareable() }

var errUndrained = errors.New("pours are still on their way to redis")

// Drain waits until all that was poured before has had its effect, the calls of
// Overflow included.
func (b *Buckets) Drain(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		idle := true
		for _, g := range b.groups {
			idle = g.idle() && idle
		}
		if idle && b.outbox.idle() {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(errUndrained, ctx.Err())
		case <-tick.C:
		}
	}
}

// Close ends the goroutines and awaits them. What still waits is not poured: Drain
// first.
func (b *Buckets) Close() error {
	b.closed.Do(func() {
		b.cancel()
		b.tasks.Wait()
	})
	return nil
}
