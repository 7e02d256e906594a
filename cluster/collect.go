package cluster

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rampart-edge/rampart/scenarios"
)

const (
	// collectFor is how long the samples of other nodes are waited for.
	collectFor = 150 * time.Millisecond
	// tableAgain is how often the table of nodes is read out of turn.
	tableAgain = 200 * time.Millisecond
	// mostQuestions is how many wait to be answered; further ones go unanswered.
	mostQuestions = 256
)

// collector asks other nodes for the samples of buckets that overflowed here, and
// answers what they ask. Each node listens on a channel that has its id.
//
//	collect ─question─► channel of the other ─► its evidence ─answer─► own channel
type collector struct {
	b     *Buckets
	self  string // id of this node
	turn  chan struct{}
	asked chan question
	// reread is when the table of nodes was read for want of one; of collect alone.
	reread time.Time

	mu     sync.Mutex
	last   uint64
	open   map[uint64]*asking
	counts struct{ collected, timeouts, answered, ignored, damaged atomic.Int64 }
}

// asking is a question that has been sent.
type asking struct {
	asked map[string]bool // ids of nodes; false: it has answered
	left  int
	upTo  uint32
	kept  []scenarios.Kept
}

func newCollector(b *Buckets) *collector {
	return &collector{
		b: b, self: b.c.o.Node, turn: make(chan struct{}, 1), asked: make(chan question, mostQuestions),
		last: rand.Uint64(), open: map[uint64]*asking{}, // an answer to who had our id before is not for us
	}
}

func (k *collector) channel(node string) string { return k.b.c.key(bucketVersion, "ask", node) }

// collect returns the samples of each overflow, oldest first: the newest that an
// alert shows, as far as they are at hand. It asks for all at once, and only nodes
// that fed the bucket and are alive.
func (k *collector) collect(list []*spilled) [][][]byte {
	numbers := k.others(list)
	own, open := k.b.c.Number(), make([]uint64, len(list))
	pipe := k.b.c.rdb().Pipeline()
	for i, it := range list {
		var ids []string
		for n, id := range numbers {
			if n != own && it.record.nodes.has(n) {
				ids = append(ids, id)
			}
		}
		if len(ids) > 0 && it.scenario.Keep() > 1 && k.b.c.Up() {
			open[i] = k.ask(pipe, it, ids)
		}
	}
	if pipe.Len() > 0 {
		k.wait(pipe, open)
	}
	out := make([][][]byte, len(list))
	for i, it := range list {
		out[i] = k.merge(it, k.close(open[i]))
	}
	return out
}

// others are the nodes that can be asked, by their numbers. The table is some seconds
// old: who fed one of the buckets and is not in it may have come since.
func (k *collector) others(list []*spilled) map[int]string {
	numbers, unknown := k.numbers()
	own := k.b.c.Number()
	if !slices.ContainsFunc(list, func(it *spilled) bool { return it.record.nodes.beside(own, unknown) }) || !k.b.c.Up() {
		return numbers
	}
	if now := time.Now(); now.Sub(k.reread) > tableAgain {
		k.reread = now
		ctx, cancel := context.WithTimeout(context.WithValue(k.b.ctx, unwatched{}, true), k.b.o.collectFor)
		defer cancel()
		if _, err := k.b.c.readNodes(ctx); err == nil {
			numbers, _ = k.numbers()
		}
	}
	return numbers
}

// numbers are the others of the table that are alive, and which numbers nobody in it
// has.
func (k *collector) numbers() (alive map[int]string, unknown func(n int) bool) {
	alive = map[int]string{}
	known := map[int]bool{}
	for _, n := range k.b.c.Nodes() {
		known[n.Number] = true
		if !n.Degraded && n.Number >= 0 && n.ID != k.self {
			alive[n.Number] = n.ID
		}
	}
	return alive, func(n int) bool { return !known[n] }
}

// ask queues the question about an overflow to the nodes and returns its number.
func (k *collector) ask(pipe redis.Pipeliner, it *spilled, ids []string) uint64 {
	a := &asking{asked: map[string]bool{}, left: len(ids), upTo: it.record.count}
	for _, id := range ids {
		a.asked[id] = true
	}
	k.mu.Lock()
	k.last++
	k.open[k.last] = a
	q := question{number: k.last, asker: k.self, key: it.record.key, gen: it.record.gen, upTo: a.upTo, limit: it.scenario.Keep()}
	k.mu.Unlock()
	q.limit = min(q.limit, mostAsked)
	text := q.append(nil)
	for _, id := range ids {
		pipe.Publish(k.b.ctx, k.channel(id), text)
	}
	return q.number
}

// wait sends the questions and waits for the answers to all of them, not for long: that
// Redis does not take them in that time says nothing about it.
func (k *collector) wait(pipe redis.Pipeliner, open []uint64) {
	ctx, cancel := context.WithTimeout(context.WithValue(k.b.ctx, unwatched{}, true), k.b.o.collectFor)
	defer cancel()
	if _, err := pipe.Exec(ctx); err != nil {
		k.counts.timeouts.Add(1)
		return
	}
	for !k.complete(open) {
		select {
		case <-k.turn:
		case <-ctx.Done():
			k.counts.timeouts.Add(1)
			return
		}
	}
}

func (k *collector) complete(open []uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range open {
		if a := k.open[n]; a != nil && a.left > 0 {
			return false
		}
	}
	return true
}

// close ends the waiting for answers and returns what came.
func (k *collector) close(number uint64) []scenarios.Kept {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.open[number]
	delete(k.open, number)
	if a == nil {
		return nil
	}
	k.counts.collected.Add(int64(len(a.kept)))
	return a.kept
}

// merge puts the samples of others and those of this node in order.
func (k *collector) merge(it *spilled, kept []scenarios.Kept) [][]byte {
	r, most := &it.record, it.scenario.Keep()
	// What this node has itself counts before what it was told.
	all := k.b.evidence.Newest(r.key, r.gen, r.count, most)
	if it.sample != nil {
		all = append([]scenarios.Kept{{N: r.count, Sample: it.sample}}, all...)
	}
	all = append(all, kept...)
	slices.SortStableFunc(all, func(a, b scenarios.Kept) int { return cmp.Compare(a.N, b.N) })
	all = slices.CompactFunc(all, func(a, b scenarios.Kept) bool { return a.N == b.N })
	out := make([][]byte, 0, min(len(all), most))
	for _, one := range all[max(0, len(all)-most):] {
		out = append(out, one.Sample)
	}
	return out
}

// hear takes an answer. What was not asked for is ignored.
func (k *collector) hear(a answer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	q := k.open[a.number]
	if q == nil || !q.asked[a.from] {
		k.counts.ignored.Add(1)
		return
	}
	q.asked[a.from] = false
	q.left--
	for _, one := range a.kept {
		if one.N <= q.upTo {
			q.kept = append(q.kept, one)
		}
	}
	select {
	case k.turn <- struct{}{}:
	default:
	}
}

// listen takes what others send until the end of Buckets.
func (k *collector) listen() {
	k.b.c.subscribe(k.b.ctx, k.channel(k.self), func() error { return nil }, k.message)
}

// message sorts out what came.
func (k *collector) message(text string) {
	if q, err := decodeQuestion(text); err == nil {
		select {
		case k.asked <- q:
		default:
			k.counts.ignored.Add(1)
		}
		return
	}
	a, err := decodeAnswer(text)
	if err != nil {
		k.counts.damaged.Add(1)
		return
	}
	k.hear(a)
}

// reply answers questions until the end of Buckets.
func (k *collector) reply() {
	for {
		select {
		case <-k.b.ctx.Done():
			return
		case q := <-k.asked:
			// What Redis has answered before it passed the question on is evidence by now
			// when the call under way is through.
			k.b.settle()
			a := answer{number: q.number, from: k.self, kept: k.b.evidence.Newest(q.key, q.gen, q.upTo, q.limit)}
			k.counts.answered.Add(1)
			_ = k.b.c.rdb().Publish(k.b.ctx, k.channel(q.asker), a.append(nil)).Err() // the health knows, and the asker does not wait
		}
	}
}
