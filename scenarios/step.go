package scenarios

import "math"

// step is the life of a bucket, in CrowdSec's order: expiry, distinct, cancel_on,
// arithmetic, and what is noted for the conditions, which are asked without the
// lock.
func (sh *shard) step(p *pour) outcome {
	s := p.drop.Scenario
	e := sh.find(&p.key)
	if s.Type == Trigger {
		return sh.pull(p, e)
	}
	if e != nil && e.flags&filled != 0 && !s.Timed() && e.clock(p.t) > later(e.touched, int64(s.life)) {
		sh.spill(e)
		sh.stats.Expired++
	}
	running := e != nil && e.flags&filled != 0
	if p.compare && running && sh.sides.known(e.side, p.value) {
		sh.stats.Discarded++
		return discarded
	}
	if p.drop.Cancel {
		sh.cancel(p, e)
		return cancelled
	}
	if e == nil {
		e = sh.add(&p.key, p.slot)
	}
	if !running {
		sh.start(e, p)
	}
	sh.touch(e, p)
	if p.compare {
		sh.remember(e, p)
	}
	if s.Type == Leaky && !sh.take(e, &s.leak) {
		return sh.burst(e, p, e.sample)
	}
	p.prev = e.sample
	sh.keep(e, p)
	if s.Timed() {
		sh.arm(e, p)
		sh.trim(e)
	}
	if s.judge != nil {
		sh.enqueue(e, p)
		return asked
	}
	return poured
}

func (sh *shard) start(e *entry, p *pour) {
	e.flags = used | filled | direct | detect | e.flags&watched
	if p.drop.Replay {
		e.flags |= replay
	}
	if p.drop.Lane != "" {
		e.flags |= laned
	}
	e.level = p.drop.Scenario.leak.empty(p.drop.Replay)
	e.last, e.first, e.touched = p.t, p.t, p.t
	if !p.drop.Replay {
		e.last = p.t / 1000
	}
	sh.filled++
}

// micro cuts an instant down to microseconds, in which live buckets count.
func micro(t int64) int64 { return t - t%1000 }

// clock returns t as finely as the bucket counts.
func (e *entry) clock(t int64) int64 {
	if e.flags&replay != 0 {
		return t
	}
	return micro(t)
}

// touch notes an event that counts, whether or not it fits.
func (sh *shard) touch(e *entry, p *pour) {
	sh.stats.Poured++
	if e.count < math.MaxUint32 {
		e.count++
	}
	e.touched = e.clock(p.t)
	e.wall = p.wall
	if p.late {
		e.flags |= late
	} else {
		e.flags &^= late
	}
	if !p.drop.Event.From.Direct {
		e.flags &^= direct
	}
	if !p.drop.Event.From.Detect {
		e.flags &^= detect
	}
}

// remember stores a distinct value, which is new to the bucket.
func (sh *shard) remember(e *entry, p *pour) {
	sh.sides.bytes += sh.sides.of(e).values.add(p.value)
	sh.trim(e)
}

// enqueue appends the event to those that the conditions look at, and opens them to
// p. What p sees stays as it is while turn is held, even if the bucket goes.
func (sh *shard) enqueue(e *entry, p *pour) {
	j := p.drop.Scenario.judge
	p.count, p.first, p.tripped = e.count, e.first, 0
	if e.side != 0 {
		p.tripped = sh.sides.at(e.side).tripped
	}
	if !j.queued {
		p.window.open(nil, j, p.drop.Scenario.limit)
		return
	}
	sd := sh.sides.of(e)
	before := int64(0)
	if sd.queue == nil {
		sd.queue = &queue{}
	} else {
		before = sd.queue.bytes()
	}
	q := sd.queue
	s := p.drop.Scenario
	n := q.add(p.noted(), p.record, p.whole, min(s.keep, mostKept+1))
	if s.limit < 0 || q.len() < s.keep {
		sh.stats.Forgotten += int64(n)
	}
	sh.sides.bytes += q.bytes() - before
	sh.trim(e)
	p.window.open(q, j, s.limit)
}

func (sh *shard) take(e *entry, l *leak) (ok bool) {
	if e.flags&replay != 0 {
		e.level, e.last, ok = l.takeReplay(e.level, e.last, e.touched)
	} else {
		e.level, e.last, ok = l.takeLive(e.level, e.last, e.touched/1000)
	}
	return ok
}

// keep stores the sample, unless so many more events fit before an overflow that
// this one could not be among the newest that an alert shows.
func (sh *shard) keep(e *entry, p *pour) {
	s := p.drop.Scenario
	if s.spares && s.leak.fits(e.level, e.flags&replay != 0) >= int64(s.keep-1) {
		return
	}
	if sh.ring.size == 0 {
		return
	}
	if p.sample(); len(p.body) > 0 {
		sh.store(e, p)
	}
}

// store puts the sample into the ring, or says where it is if a bucket before this
// one has it already.
func (sh *shard) store(e *entry, p *pour) {
	if p.home.at != 0 {
		e.sample = sh.ring.share(e.sample, p.home)
		return
	}
	e.sample = sh.ring.put(e.sample, p.body, p.who)
	p.home = place{sh.number, e.sample}
}

// cancel empties the bucket, if there is one, without an alert.
func (sh *shard) cancel(p *pour, e *entry) {
	sh.stats.Cancelled++
	if e == nil || e.flags&filled == 0 {
		return
	}
	sh.spill(e)
	if e.hole <= p.t {
		sh.release(e)
	}
}

// pull is the pour into a trigger. CrowdSec compatible: it overflows at once, and
// distinct, cancel_on and conditions are not asked.
func (sh *shard) pull(p *pour, e *entry) outcome {
	sh.stats.Poured++
	b := p.newBurst()
	b.first, b.count, b.replayed = p.t, 1, p.drop.Replay
	from := &p.drop.Event.From
	b.direct, b.detect = from.Direct, from.Detect
	return sh.judge(e, b)
}

// burst takes out a bucket that the event of p overflows; newest is its newest
// sample before that event's.
func (sh *shard) burst(e *entry, p *pour, newest uint64) outcome {
	b := p.newBurst()
	b.samples = p.chain.last(&sh.ring, newest, p.drop.Scenario.keep-1)
	b.first, b.count = e.first, e.count
	b.direct, b.detect, b.replayed = e.flags&direct != 0, e.flags&detect != 0, e.flags&replay != 0
	sh.spill(e)
	return sh.judge(e, b)
}

// judge lets an overflow pass or not, and with it begins the blackhole of its key.
// Where an overflow filter is to be asked first, the expression cannot run under
// the lock: pass begins the blackhole then.
func (sh *shard) judge(e *entry, b *burst) outcome {
	if b.scenario.overflowFilter == nil {
		return sh.pass(e, b)
	}
	sh.tidy(e, b)
	return overflowed
}

// pass is the blackhole. CrowdSec compatible: an overflow at the very end of one
// passes, and those within do not prolong it. What only detecting sites fed keeps
// nothing from passing that counts elsewhere: nobody could shield an attack with it.
func (sh *shard) pass(e *entry, b *burst) outcome {
	t := b.at
	if !b.replayed {
		t = micro(t)
	}
	if e != nil && e.hole > t && (b.detect || e.flags&watched == 0) {
		if e.flags&filled == 0 {
			e.touched, e.wall = t, b.wall
		}
		sh.stats.Blackholed++
		return blackholed
	}
	if hole := int64(b.scenario.Blackhole); hole > 0 {
		if e == nil {
			e = sh.add(&b.hash, b.slot)
		}
		e.begin(later(t, hole), t, b)
	}
	sh.tidy(e, b)
	sh.stats.Overflowed++
	return overflowed
}

// begin notes a blackhole until hole. A bucket that another pour has begun while
// the overflow filter was asked keeps its clock.
func (e *entry) begin(hole, t int64, b *burst) {
	e.hole = hole
	e.flags &^= watched
	if b.detect {
		e.flags |= watched
	}
	if e.flags&filled != 0 {
		return
	}
	e.touched, e.wall = t, b.wall
	e.flags &^= replay | late
	if b.replayed {
		e.flags |= replay
	}
	if b.late {
		e.flags |= late
	}
}

// tidy releases an entry that has become empty.
func (sh *shard) tidy(e *entry, b *burst) {
	if e != nil && e.flags&filled == 0 && e.hole <= b.at {
		sh.release(e)
	}
}
