package scenarios

import (
	"math"
	"time"
)

// Level is the state of one bucket, for people who look into it.
type Level struct {
	// Held is how many events a leaky bucket holds at its last one, a part of an event
	// counting as one; of other types it is Count.
	Held  int
	Count int // events poured since the bucket was made; 0: there is none
	First time.Time
	// Hole is until when overflows of the key are discarded; zero: they are not.
	Hole time.Time
}

// Level returns the state of the bucket that d is poured into.
func (m *Memory) Level(d Drop) Level {
	p := m.borrow()
	defer m.giveBack(p)
	if d.Event == nil {
		d.Event = noEvent
	}
	if !m.prepare(p, &d) {
		return Level{}
	}
	sh := m.shard(&p.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.find(&p.key)
	if e == nil {
		return Level{}
	}
	var l Level
	if e.hole > p.t {
		l.Hole = time.Unix(0, e.hole)
	}
	if e.flags&filled == 0 {
		return l
	}
	s := d.Scenario
	l.Count, l.Held, l.First = int(e.count), int(e.count), time.Unix(0, e.first)
	if s.Type == Leaky {
		l.Held = s.leak.held(e.level, e.flags&replay != 0)
	}
	return l
}

// held returns how many events, or begun ones, a bucket holds at this level.
func (l *leak) held(level uint64, replay bool) int {
	if replay {
		return int(math.Ceil(l.burst - math.Float64frombits(level)))
	}
	return int((l.full - int64(level) + l.each - 1) / l.each)
}
