package cluster

import (
	"cmp"
	_ "embed"
	"encoding/hex"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rampart-edge/rampart/scenarios"
)

//go:embed hole.lua
var holeScript string

//go:embed claim.lua
var claimScript string

//go:embed settle.lua
var settleScript string

const (
	// mostSpills is how many overflows wait here to be concluded; further ones stay in
	// Redis until somebody claims them.
	mostSpills = 4096
	// together is how many are concluded in one go: their samples are asked for at once.
	together = 64
	// claimAfter is how old a record gets before another node takes it over.
	claimAfter = 5 * time.Second
	// sinkPatience is for how many times that a record is kept for a sink that does not
	// say that it is done: it may have dropped the overflow. Then whoever claims it
	// concludes it, and the alert's UUID tells if that was done.
	sinkPatience = 6
)

// spilled is an overflow that this node concludes.
type spilled struct {
	id         string // in the outbox, raw bytes
	record     record
	scenario   *scenarios.Scenario // nil: look it up
	sample     []byte              // of the overflowing event, where this node saw it
	sourceless error               // why that has no source
	since      time.Time           // when the record was last known to be ours
	handed     time.Time           // to the sink, which has not said that it is done; zero: not yet
}

// outbox concludes the overflows that are this node's, in their order, and deletes
// their records when the alert is recorded.
type outbox struct {
	b         *Buckets
	after     time.Duration // see claimAfter
	wake      chan struct{}
	claim     *script
	done      *script
	samples   *collector
	compare   *script
	deadlines *deadlines

	mu      sync.Mutex
	queue   []*spilled
	open    map[string]*spilled // queued, under way or handed to the sink
	settled []*spilled          // whose record is to be deleted
	busy    bool
	shard   int // where claims look next

	counts struct{ claimed, late, damaged, unknown, contended atomic.Int64 }
}

func newOutbox(b *Buckets) *outbox {
	return &outbox{
		b: b, after: b.o.claimAfter, wake: make(chan struct{}, 1), open: map[string]*spilled{},
		claim: b.c.script("claim", claimScript), done: b.c.script("settle", settleScript), samples: newCollector(b),
		compare: b.c.script("compare", recordLua+bucketLua+compareLua), deadlines: newDeadlines(b),
	}
}

// placed is an overflow and the parcel that led to it.
type placed struct {
	parcel int32
	*spilled
}

// putAll takes overflows in the order of their pours.
func (x *outbox) putAll(list []placed) {
	slices.SortStableFunc(list, func(a, b placed) int { return cmp.Compare(a.parcel, b.parcel) })
	for _, it := range list {
		x.put(it.spilled)
	}
}

// put takes an overflow whose record this node owns. It does not wait.
func (x *outbox) put(it *spilled) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.open[it.id] != nil {
		return
	}
	if len(x.queue) >= mostSpills || len(x.open) >= 4*mostSpills {
		x.b.counts.left.Add(1)
		return
	}
	x.queue = append(x.queue, it)
	x.open[it.id] = it
	x.nudge()
}

func (x *outbox) nudge() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// idle reports whether nothing is on its way.
func (x *outbox) idle() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	// What is only to be deleted is not waited for while that cannot be.
	return len(x.queue) == 0 && len(x.open) == 0 && (len(x.settled) == 0 || !x.b.c.Up()) && !x.busy && x.deadlines.idle()
}

// run concludes and deletes until the end of Buckets.
func (x *outbox) run() {
	for {
		select {
		case <-x.b.ctx.Done():
			return
		case <-x.wake:
		}
		for list := x.take(); len(list) > 0; list = x.take() {
			x.conclude(list)
		}
		x.settle()
		x.rest()
	}
}

// take takes out what is concluded next.
func (x *outbox) take() []*spilled {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := min(len(x.queue), together)
	list := slices.Clone(x.queue[:n])
	x.queue = slices.Delete(x.queue, 0, n)
	x.busy = true
	return list
}

func (x *outbox) rest() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.busy = false
}

// conclude makes overflows of the records and hands them on.
func (x *outbox) conclude(list []*spilled) {
	if x.b.o.between != nil {
		x.b.o.between()
	}
	list = slices.DeleteFunc(list, func(it *spilled) bool {
		if it.scenario == nil {
			it.scenario = x.b.scenario(it.record.scenario)
		}
		if it.scenario == nil {
			x.counts.unknown.Add(1)
			x.leave(it)
			return true
		}
		return false
	})
	for i, samples := range x.samples.collect(list) {
		it := list[i]
		if time.Since(it.since) >= x.after/2 && !x.mine(it) {
			x.counts.late.Add(1)
			x.leave(it)
			continue
		}
		x.hand(it, samples)
	}
}

// leave gives up an overflow; its record stays for whoever claims it.
func (x *outbox) leave(it *spilled) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.open[it.id] == it {
		delete(x.open, it.id)
	}
}

// finish has the record deleted.
func (x *outbox) finish(it *spilled) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.open[it.id] != it {
		return // said twice
	}
	delete(x.open, it.id)
	x.settled = append(x.settled, it)
	x.nudge()
}

// hand makes the Overflow and gives it to the sink, unless its filter or the
// blackhole behind that keeps it quiet.
func (x *outbox) hand(it *spilled, samples [][]byte) {
	r := &it.record
	o := x.b.remote.Conclude(&scenarios.Spill{
		ID: hex.EncodeToString([]byte(it.id)), Scenario: it.scenario, Group: r.group,
		First: r.first, Last: r.last, At: r.at, Count: int(r.count),
		Direct: r.flags&flagDirect != 0, Detect: r.flags&flagDetect != 0, Width64: r.flags&flagWidth64 != 0,
		Site: r.site, Incident: r.incident, Depth: int(r.depth),
		Samples: samples, Source: r.source, Sourceless: it.sourceless,
	})
	if r.flags&flagPassed == 0 && !x.passes(it, o) {
		return
	}
	x.mu.Lock()
	it.handed = time.Now()
	x.mu.Unlock()
	x.b.counts.overflowed.Add(1)
	x.b.o.Overflow(o, func(recorded bool) {
		if recorded {
			x.finish(it)
		} else {
			x.leave(it)
		}
	})
}

// passes asks the overflow filter and, if it agrees, the blackhole behind it.
func (x *outbox) passes(it *spilled, o *scenarios.Overflow) bool {
	if !x.b.remote.Passes(o) {
		x.b.counts.filtered.Add(1)
		x.finish(it)
		return false
	}
	r, b := &it.record, x.b
	letter, detect := "b:", "0"
	if it.scenario.Judged() || it.scenario.Timed() {
		letter = "h:" // bucket.lua leaves the blackholes of such scenarios to us
	}
	if r.flags&flagDetect != 0 {
		detect = "1"
	}
	shard := shardOf(&r.key)
	v, err := b.hole.Run(b.ctx, []string{b.keyOf(shard, letter) + string(r.key[:]), b.keyOf(shard, "o")},
		it.id, r.at, it.scenario.Blackhole.Microseconds(), detect, b.slack())
	switch n, _ := v.(int64); {
	case err != nil:
		x.b.counts.left.Add(1)
	case n == 1:
		return true
	case n == 0:
		b.counts.blackholed.Add(1)
	}
	x.leave(it)
	return false
}

// mine makes sure that the record is still this node's, and renews its stamp. Who
// comes late must not conclude what another has taken over.
func (x *outbox) mine(it *spilled) bool {
	return x.tell([]*spilled{it}, "renew")[0].value == int64(1)
}

// tell runs settle.lua for each.
func (x *outbox) tell(list []*spilled, what string) []reply {
	calls := make([]call, len(list))
	for i, it := range list {
		calls[i] = call{[]string{x.b.keyOf(shardOf(&it.record.key), "o")}, []any{it.id, x.b.owner[:], what}}
	}
	return x.done.RunAll(x.b.ctx, calls)
}

// settle deletes the records of what is done with. While Redis cannot be used they
// wait.
func (x *outbox) settle() {
	x.mu.Lock()
	list := x.settled
	x.settled = nil
	x.mu.Unlock()
	if len(list) == 0 {
		return
	}
	again := list[:0]
	for i, r := range x.tell(list, "delete") {
		if r.err != nil && uncertain(r.err) {
			again = append(again, list[i])
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.settled = append(again, x.settled...)
	x.settled = x.settled[max(0, len(x.settled)-mostSpills):]
}

// side are further goroutines of Buckets: they end with b.ctx.
func (b *Buckets) side() []func() {
	x := b.outbox
	return []func(){x.watch, x.deadlines.run, x.samples.listen, x.samples.reply}
}

// stats adds what the outbox and what belongs to it have counted.
func (x *outbox) stats(s *BucketStats) {
	n, k := &x.counts, &x.samples.counts
	s.Contended, s.Claimed, s.Late, s.Unknown = n.contended.Load(), n.claimed.Load(), n.late.Load(), n.unknown.Load()
	s.Damaged = n.damaged.Load() + k.damaged.Load()
	s.Collected, s.CollectTimeouts, s.Answered = k.collected.Load(), k.timeouts.Load(), k.answered.Load()
}
