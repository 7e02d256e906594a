package scenarios

import "math"

// step is the life of a bucket, in CrowdSec's order: expiry, distinct, cancel_on,
// arithmetic, blackhole.
func (sh *shard) step(p *pour) outcome {
	s := p.drop.Scenario
	e := sh.find(&p.key)
	if s.Type == Trigger {
		return sh.pull(p, e)
	}
	if e != nil && e.flags&filled != 0 && e.clock(p.t) > later(e.touched, int64(s.life)) {
		sh.spill(e)
		sh.stats.Expired++
	}
	running := e != nil && e.flags&filled != 0
	if p.compare && running && sh.sets.has(e.set, p.value) {
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
	if p.compare {
		e.set = sh.sets.add(e.set, p.value)
		sh.trim(e)
	}
	sh.touch(e, p)
	if sh.take(e, &s.leak) {
		sh.keep(e, p)
		return poured
	}
	p.before = sh.ring.last(e.sample, s.keep-1)
	p.first, p.count = e.first, e.count
	p.direct, p.detect, p.replayed = e.flags&direct != 0, e.flags&detect != 0, e.flags&replay != 0
	sh.spill(e)
	return sh.judge(e, p)
}

func (sh *shard) start(e *entry, p *pour) {
	e.flags = used | filled | direct | detect | e.flags&watched
	if p.drop.Replay {
		e.flags |= replay
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
	if s.leak.fits(e.level, e.flags&replay != 0) >= int64(s.keep-1) {
		return
	}
	if sh.ring.size == 0 {
		return
	}
	if p.sample(); len(p.body) > 0 {
		e.sample = sh.ring.put(e.sample, p.body, p.who)
	}
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
// distinct and cancel_on are not asked.
func (sh *shard) pull(p *pour, e *entry) outcome {
	sh.stats.Poured++
	p.before = nil
	p.first, p.count = p.t, 1
	from := &p.drop.Event.From
	p.direct, p.detect, p.replayed = from.Direct, from.Detect, p.drop.Replay
	return sh.judge(e, p)
}

// judge lets an overflow pass or not, and with it begins the blackhole of its key.
// Where an overflow filter is to be asked first, the expression cannot run under
// the lock: pass begins the blackhole then.
func (sh *shard) judge(e *entry, p *pour) outcome {
	if p.drop.Scenario.overflowFilter == nil {
		return sh.pass(e, p)
	}
	sh.tidy(e, p)
	return overflowed
}

// pass is the blackhole. CrowdSec compatible: an overflow at the very end of one
// passes, and those within do not prolong it. What only detecting sites fed keeps
// nothing from passing that counts elsewhere: nobody could shield an attack with it.
func (sh *shard) pass(e *entry, p *pour) outcome {
	t := p.t
	if !p.replayed {
		t = micro(t)
	}
	if e != nil && e.hole > t && (p.detect || e.flags&watched == 0) {
		e.touched, e.wall = t, p.wall
		sh.stats.Blackholed++
		return blackholed
	}
	if hole := int64(p.drop.Scenario.Blackhole); hole > 0 {
		if e == nil {
			e = sh.add(&p.key, p.slot)
		}
		e.hole, e.touched, e.wall = later(t, hole), t, p.wall
		e.flags &^= replay | late | watched
		if p.replayed {
			e.flags |= replay
		}
		if p.detect {
			e.flags |= watched
		}
		if p.late {
			e.flags |= late
		}
	}
	sh.tidy(e, p)
	sh.stats.Overflowed++
	return overflowed
}

// tidy releases an entry that has become empty.
func (sh *shard) tidy(e *entry, p *pour) {
	if e != nil && e.flags&filled == 0 && e.hole <= p.t {
		sh.release(e)
	}
}
