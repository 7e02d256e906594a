package cluster

import (
	"sync"
	"time"

	"github.com/rampart-edge/rampart/scenarios"
)

const (
	// mostCalled is how many parcels go in one call: more would hold up others in
	// Redis for longer than it saves.
	mostCalled = 256
	// mergeWithin is how far apart, in µs of the node's clock, equal pours may be to
	// count as one with the later's instant.
	mergeWithin = 10_000
	// mostWaiting is how many bytes a group's queue has at most.
	mostWaiting = 32 << 20
)

// group is a queue and the goroutine that empties it into Redis, with one call under
// way at a time, so that the pours of a bucket stay in order.
type group struct {
	b    *Buckets
	name [8]byte
	seq  int64 // of the last call
	most int
	wake chan struct{}
	pour *script

	mu    sync.Mutex
	queue *chunk
	spare *chunk
	busy  bool // a chunk is under way

	merger merger
	mail   mail
	away   map[int]time.Time // shards that are left alone until then
	flight sync.Mutex        // held while calls are under way, until their answers are dealt with
}

func newGroup(b *Buckets, most int) *group {
	return &group{
		b: b, name: instance(), most: max(most, 1), wake: make(chan struct{}, 1), pour: b.c.script("pour", recordLua+pourLua),
		queue: &chunk{}, spare: &chunk{}, merger: merger{index: map[[16]byte]int{}}, mail: newMail(), away: map[int]time.Time{},
	}
}

// put queues a pour, or drops it.
func (g *group) put(p *scenarios.Pour) {
	g.mu.Lock()
	before := len(g.queue.parcels)
	if before >= g.most || len(g.queue.bytes)+len(p.Sample)+len(p.Record) > mostWaiting {
		g.mu.Unlock()
		g.b.counts.dropped.Add(1)
		return
	}
	g.queue.add(p)
	after := len(g.queue.parcels)
	g.mu.Unlock()
	if before == 0 || before < g.b.o.Batch && after >= g.b.o.Batch {
		g.nudge()
	}
}

func (g *group) nudge() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// waiting is how many parcels are queued.
func (g *group) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.queue.parcels)
}

func (g *group) idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.queue.parcels) == 0 && !g.busy
}

// run empties the queue until the end of Buckets.
func (g *group) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-g.b.ctx.Done():
			return
		case <-g.wake:
		}
		for g.linger(timer) {
			c := g.take()
			g.flush(c)
			g.release(c)
		}
	}
}

// linger waits until enough pours have come together or the first has waited long
// enough; false: there are none.
func (g *group) linger(timer *time.Timer) bool {
	if n := g.waiting(); n == 0 || n >= g.b.o.Batch {
		return n > 0
	}
	timer.Reset(g.b.o.FlushEvery)
	for {
		select {
		case <-timer.C:
			return true
		case <-g.wake:
			if g.waiting() >= g.b.o.Batch {
				return true
			}
		case <-g.b.ctx.Done():
			return false
		}
	}
}

// take takes out what is queued.
func (g *group) take() *chunk {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.queue
	g.queue, g.spare, g.busy = g.spare, nil, true
	return c
}

// release gives back a chunk all of whose pours have had their effect.
func (g *group) release(c *chunk) {
	c.reset()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spare, g.busy = c, false
}

// flush gives each pour to whom it belongs. Buckets of one scenario always go the
// same way, so that the order within a bucket is kept.
func (g *group) flush(c *chunk) {
	plain, judged := g.merger.merge(c, g.b.o.absolute)
	if !g.b.c.Up() {
		for i := range c.parcels {
			g.b.untake(c, &c.parcels[i])
		}
		return
	}
	g.b.counts.merged.Add(g.merger.merged)
	g.send(c, plain)
	g.b.judged(g, c, judged)
}

// next is the sequence number of a call.
func (g *group) next() int64 {
	g.seq++
	return g.seq
}

// merger finds pours that can go as one with a count.
type merger struct {
	index         map[[16]byte]int // of a bucket in order
	last          []int32          // head of the last parcel of each bucket
	plain, judged []int32
	merged        int64 // so many parcels went into others
}

// stepwise reports whether buckets of s are poured into event by event: those with
// conditions or a duration. pour.lua does the others.
func stepwise(s *scenarios.Scenario) bool { return s.Judged() || s.Timed() }

// merge chains the parcels of a chunk. It returns the first head of each bucket, in
// order of their appearance, stepwise ones apart.
func (m *merger) merge(c *chunk, absolute bool) (plain, judged []int32) {
	clear(m.index)
	m.last, m.plain, m.judged, m.merged = m.last[:0], m.plain[:0], m.judged[:0], 0
	for i := range c.parcels {
		p, n := &c.parcels[i], int32(i)
		at, known := m.index[p.key]
		if !known {
			m.index[p.key] = len(m.last)
			m.last = append(m.last, n)
			if stepwise(p.scenario) {
				m.judged = append(m.judged, n)
			} else {
				m.plain = append(m.plain, n)
			}
			continue
		}
		head := &c.parcels[m.last[at]]
		if !head.takes(p, absolute) {
			head.follower = n
			m.last[at] = n
			continue
		}
		c.parcels[head.tail].next = n
		head.tail, head.total, head.at = n, head.total+p.total, max(head.at, p.at)
		m.merged++
	}
	return m.plain, m.judged
}

// takes reports whether p, which comes next in the bucket of head, can be poured with
// it as if both were the same.
func (head *parcel) takes(p *parcel, absolute bool) bool {
	within := int64(mergeWithin)
	if absolute {
		within = 0
	}
	return head.flags == p.flags && head.distinct == p.distinct && head.total+p.total <= mostPours &&
		max(p.at-head.at, head.at-p.at) <= within && !stepwise(p.scenario)
}
