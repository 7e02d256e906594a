package cluster

import (
	_ "embed"
	"slices"
	"time"

	"github.com/rampart-edge/rampart/scenarios"
)

//go:embed bucket.lua
var bucketLua string

//go:embed compare.lua
var compareLua string

const (
	// compareFor and compareTimes are how long and how often a pour is tried when other
	// nodes pour into the same bucket before it: then it goes to the node's own memory.
	compareFor   = time.Second
	compareTimes = 5
	// mostText bounds what conditions look at, as a Memory does, with the heads of the
	// records.
	mostText   = 256<<10 + 32*mostQueued
	mostQueued = 1001
)

// trial is a bucket with conditions or a duration and the pours for it, which take
// their turns one by one.
type trial struct {
	scenario *scenarios.Scenario
	head     int32 // parcel in turn; -1: all are done
	left     int   // how many times it is still to be poured
	since    time.Time
	call     call
	id       string // in the outbox, if this call overflows the bucket
	told     *stepReply
	beaten   int // how often another node came first
	unheard  int // how often the script would not hear of the call
	verdict  []byte
	resend   bool      // the call may have run
	stuck    time.Time // since when it is made again and again, zero: it is not; and
	trouble  error     // the last reason
}

// stepper pours a chunk's buckets of that kind.
type stepper struct {
	g      *group
	c      *chunk
	script *script
	over   []placed
}

// judged pours the buckets that are poured into event by event; heads are the first
// parcels of each, followed by parcel.follower. Parcels of these are never merged.
func (b *Buckets) judged(g *group, c *chunk, heads []int32) {
	if b.c.clustered() && len(g.away) > 0 {
		heads = slices.DeleteFunc(heads, func(head int32) bool { return g.leave(c, head) })
	}
	if len(heads) == 0 {
		return
	}
	w := &stepper{g: g, c: c, script: b.outbox.compare}
	defer func() { b.outbox.putAll(w.over) }()
	trials := make([]*trial, 0, len(heads))
	for _, h := range heads {
		t := &trial{scenario: c.parcels[h].scenario}
		if t.scenario.Timed() {
			b.outbox.deadlines.note(t.scenario)
		}
		w.begin(t, h)
		trials = append(trials, t)
	}
	for wait := retryMin; len(trials) > 0; {
		if w.round(trials) {
			wait = retryMin
		} else if wait = min(2*wait, retryMax); !b.c.Up() || !b.pause(wait) {
			break
		}
		w.despair(trials)
		trials = slices.DeleteFunc(trials, func(t *trial) bool { return t.head < 0 })
	}
	for _, t := range trials {
		for t.head >= 0 {
			w.untake(t)
		}
	}
}

// despair leaves the shards alone that have not taken a call for long, so that the
// others need not wait behind them; see patience.
func (w *stepper) despair(trials []*trial) {
	for _, t := range trials {
		if t.head < 0 || t.stuck.IsZero() || time.Since(t.stuck) < patience {
			continue
		}
		shard := shardOf(&w.c.parcels[t.head].key)
		w.g.away[shard] = time.Now().Add(awayFor)
		w.g.b.complain("a part of redis does not take what is poured: this node counts by itself there", t.trouble)
		for _, other := range trials {
			for other.head >= 0 && shardOf(&w.c.parcels[other.head].key) == shard {
				w.untake(other)
			}
		}
	}
}

// begin makes parcel n the one in turn.
func (w *stepper) begin(t *trial, n int32) {
	t.head, t.told, t.verdict, t.since, t.beaten = n, nil, nil, time.Now(), 0
	if n >= 0 {
		t.left = int(w.c.parcels[n].count)
	}
}

// skip goes on to the next parcel.
func (w *stepper) skip(t *trial) { w.begin(t, w.c.parcels[t.head].follower) }

// untake gives what is left of the parcel to the node's own memory.
func (w *stepper) untake(t *trial) {
	p := &w.c.parcels[t.head]
	p.count = uint16(t.left)
	w.g.b.untake(w.c, p)
	w.skip(t)
}

// poured goes on after n pours of a parcel.
func (w *stepper) poured(t *trial, n int) {
	if t.left -= n; t.left <= 0 {
		w.skip(t)
		return
	}
	t.told, t.verdict, t.since, t.beaten = nil, nil, time.Now(), 0
}

// round makes a call for one bucket of each shard: the script knows the last call of
// each. It reports whether any was answered.
func (w *stepper) round(trials []*trial) (answered bool) {
	var turn []*trial
	var calls []call
	var taken [shards]bool
	for _, t := range trials {
		shard := shardOf(&w.c.parcels[t.head].key)
		if taken[shard] {
			continue
		}
		taken[shard] = true
		if !t.resend {
			w.fill(t)
		}
		turn = append(turn, t)
		calls = append(calls, t.call)
	}
	b := w.g.b
	b.counts.calls.Add(int64(len(calls)))
	w.g.flight.Lock()
	defer w.g.flight.Unlock()
	for i, r := range w.script.RunAll(b.ctx, calls) {
		t := turn[i]
		if t.resend = r.err != nil && uncertain(r.err); t.resend {
			b.counts.retried.Add(1)
			if t.trouble = r.err; t.stuck.IsZero() {
				t.stuck = time.Now()
			}
			continue
		}
		answered, t.stuck = true, time.Time{}
		w.answered(t, r)
	}
	return answered
}

// answered takes the answer to a call.
func (w *stepper) answered(t *trial, r reply) {
	b, p := w.g.b, &w.c.parcels[t.head]
	if r.value == "" && t.unheard < compareTimes {
		// The script takes it for one that comes late: what it knows of the last call is
		// not from us, and each call may be made anew, since none is under way.
		t.unheard++
		_ = b.c.rdb().Del(b.ctx, t.call.keys[5]).Err() // the next call tells
		return
	}
	s, err := stepReply{}, r.err
	if err == nil {
		s, err = decodeStep(r.value)
	}
	if err != nil {
		w.broken(t, err)
		return
	}
	times := t.times(p)
	switch s.status {
	case stepAsk:
		w.ask(t, &s)
	case stepPoured:
		b.counts.poured.Add(int64(times))
		w.keep(p, &s, times)
		w.poured(t, times)
	case stepDiscarded:
		b.counts.discarded.Add(int64(t.left))
		w.skip(t)
	case stepCancelled:
		b.counts.cancelled.Add(int64(t.left))
		w.skip(t)
	case stepBlackholed:
		b.counts.poured.Add(int64(times))
		b.counts.blackholed.Add(1)
		w.poured(t, times)
	case stepOverflowed:
		b.counts.poured.Add(int64(times))
		w.overflow(t, &s, w.c.of(p.sample))
		w.poured(t, times)
	case stepStruck: // the bucket before is over; the pour is still to come
		w.overflow(t, &s, nil)
		t.told, t.verdict = nil, nil
	}
}

// ask has the conditions judge the bucket with the event. A bucket that others keep
// changing is given up after a while.
func (w *stepper) ask(t *trial, s *stepReply) {
	b, p := w.g.b, &w.c.parcels[t.head]
	if t.told != nil {
		t.beaten++
	}
	if t.beaten >= compareTimes && time.Since(t.since) > compareFor {
		b.outbox.counts.contended.Add(1)
		w.untake(t)
		return
	}
	record := w.c.of(p.record)
	size, forget := len(record), 0
	for i := len(s.queue) - 1; i >= 0; i-- {
		if size += len(s.queue[i]); size > mostText {
			forget = i + 1
			break
		}
	}
	records := append(slices.Clone(s.queue), record)
	overflows, tripped := b.remote.Judge(t.scenario, w.c.info(p).group, s.first, s.at, int(s.count), s.tripped, records)
	t.told, t.verdict = s, appendVerdict(nil, overflows, tripped, forget)
}

// keep makes the event's sample evidence: a pour of many counts as many.
func (w *stepper) keep(p *parcel, s *stepReply, times int) {
	sample := w.c.of(p.sample)
	if len(sample) == 0 || w.g.b.o.SampleBytes < 0 {
		return
	}
	for n := min(times, p.scenario.Keep(), int(s.count)); n > 0; n-- {
		w.g.b.evidence.Put(p.key, s.gen, s.count-uint32(n)+1, sample)
	}
}

// overflow concludes what a call overflowed, unless it was within a blackhole.
func (w *stepper) overflow(t *trial, s *stepReply, sample []byte) {
	b := w.g.b
	if len(s.record) == 0 {
		b.counts.blackholed.Add(1)
		return
	}
	rec, err := decodeRecord(s.record)
	if err != nil {
		b.counts.failed.Add(1)
		b.complain("the record of an overflow cannot be read", err)
		return
	}
	it := &spilled{id: t.id, record: rec, scenario: t.scenario, since: time.Now()}
	if len(sample) > 0 {
		it.sample, it.sourceless = slices.Clone(sample), w.c.parcels[t.head].sourceless
	}
	w.over = append(w.over, placed{t.head, it})
}

// broken ends a pour that the script or its answer failed for. The bucket begins
// anew: what is in Redis is not what nodes put there.
func (w *stepper) broken(t *trial, err error) {
	b := w.g.b
	b.counts.failed.Add(int64(t.left))
	b.counts.broken.Add(1)
	b.complain("a bucket with conditions or a duration is of no use and begins anew", err)
	keys := t.call.keys
	_ = b.c.rdb().Del(b.ctx, keys[0], keys[1], keys[2], keys[5]).Err() // the next pour tries again
	w.skip(t)
}
