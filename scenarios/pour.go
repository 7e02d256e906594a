package scenarios

import (
	"math"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// pour is a drop on its way into a bucket of a Memory, and what came of it. It is
// reused.
type pour struct {
	table   *table
	slot    uint16
	key     [16]byte
	t       int64  // ns; whole microseconds for a live drop
	read    uint32 // our own clock, in seconds; 0: not looked at yet
	wall    uint32 // the same as far as this drop is concerned
	late    bool
	value   uint64 // hash of the distinct value
	compare bool
	extract

	home  place  // where body and who are kept already
	last  []byte // both, of the event that overflowed a bucket
	prev  uint64 // the bucket's newest sample before this one
	burst burst  // what overflowed
	chain chain  // its samples
	out   []*Overflow

	// The bucket as its conditions see it, with this event.
	count   uint32
	first   int64
	tripped uint64
}

// outcome is what a pour did.
type outcome uint8

const (
	poured outcome = iota
	discarded
	cancelled
	asked // poured, and the conditions have to be asked
	overflowed
	blackholed
)

// lateBy is how much older than its reading an event must be to count as late.
const lateBy = 10 * time.Second

// The instants that are told apart: times before or after count as these, so that
// differences fit in 64 bits. They are read-only.
var (
	earliest = time.Unix(0, 0)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// instant returns t in nanoseconds since 1970.
func instant(t time.Time) int64 {
	if t.Before(earliest) {
		return earliest.UnixNano()
	}
	if t.After(latest) {
		return latest.UnixNano()
	}
	return t.UnixNano()
}

// later adds without overflow.
func later(t, d int64) int64 {
	if t > math.MaxInt64-d {
		return math.MaxInt64
	}
	return t + d
}

// Pour pours the batch in order. Overflows go to the sink before it returns.
func (m *Memory) Pour(batch []Drop) {
	if len(batch) == 0 {
		return
	}
	p := m.borrow()
	for i := range batch {
		m.fill(p, &batch[i])
	}
	if m.sink != nil {
		for _, o := range p.out {
			m.sink(o)
		}
	}
	m.giveBack(p)
}

// Inline pours the batch in order and returns the overflows instead of sending
// them to the sink.
func (m *Memory) Inline(batch []Drop) []*Overflow {
	if len(batch) == 0 {
		return nil
	}
	p := m.borrow()
	for i := range batch {
		m.fill(p, &batch[i])
	}
	out := append([]*Overflow(nil), p.out...)
	m.giveBack(p)
	return out
}

func (m *Memory) borrow() *pour {
	p, ok := m.pool.Get().(*pour)
	if !ok {
		p = &pour{}
	}
	p.read = 0
	p.table, p.said = m.table.Load(), m.said.Load()
	return p
}

// giveBack forgets what p refers to.
func (m *Memory) giveBack(p *pour) {
	if len(p.out) > 0 {
		clear(p.out)
		p.out = p.out[:0]
	}
	p.forget()
	p.table, p.burst = nil, burst{}
	if clear(p.chain.list); cap(p.chain.bodies) > maxBody {
		p.chain.bodies = nil // what a long one took is given back
	}
	m.pool.Put(p)
}

// noEvent stands in for a drop without one; it is read-only.
var noEvent = &event.Event{}

// fill pours one drop as often as it says.
func (m *Memory) fill(p *pour, d *Drop) {
	if d.Event == nil {
		d.Event = noEvent
	}
	if !m.prepare(p, d) {
		m.other.refused.Add(1)
		return
	}
	s := d.Scenario
	for range max(d.Count, 1) {
		sh := m.shard(&p.key)
		if s.Timed() {
			m.expire(p, sh)
		}
		var o outcome
		if s.judge == nil {
			o = sh.locked(p)
		} else {
			o = m.ask(p, sh)
		}
		if o == overflowed {
			m.overflow(p)
		}
	}
	p.whole = nil
}

// locked is step under the lock, which goes also where a fault comes to light: all
// others of the shard would wait for ever.
func (sh *shard) locked(p *pour) outcome {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.step(p)
}

// expire overflows a bucket whose duration was over before the event came.
func (m *Memory) expire(p *pour, sh *shard) {
	sh.mu.Lock()
	b := sh.expire(p)
	sh.mu.Unlock()
	if b == nil {
		return
	}
	if o := m.conclude(b); o != nil {
		p.out = append(p.out, o)
	}
}

// ask pours into a bucket with conditions; see shard.turn.
func (m *Memory) ask(p *pour, sh *shard) outcome {
	sh.turn.Lock()
	defer sh.turn.Unlock()
	o := sh.locked(p)
	if o != asked {
		return o
	}
	s := p.drop.Scenario
	if s.judge.leaky {
		p.vars.Leaky = s.leakyVars(p.drop.Key, p.first, p.t, int(p.count))
	}
	v := s.judge.ask(&p.extract, p.tripped)
	if v.failed > 0 {
		m.fault(p.table, p.slot, v.failed, v.err)
	}
	if !v.overflows && v.tripped == p.tripped {
		return poured
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	// It may have made way for another meanwhile.
	e := sh.find(&p.key)
	if e == nil || e.flags&filled == 0 || e.count != p.count {
		return poured
	}
	if v.overflows {
		return sh.burst(e, p, p.prev)
	}
	sh.sides.of(e).tripped = v.tripped
	return poured
}

// prepare does all that needs no lock.
func (m *Memory) prepare(p *pour, d *Drop) bool {
	s := d.Scenario
	slot, ok := p.table.index[s.id]
	if !ok {
		if slot, ok = m.slot(s); !ok {
			return false
		}
		p.table = m.table.Load()
	}
	key := m.key.Load()
	p.slot = slot
	p.key = key.sum128(&s.id, d.group())
	p.t = instant(d.At)
	if !d.Replay {
		p.t = micro(p.t)
	}
	p.wall = m.wall(p, d)
	p.late = int64(p.wall)-p.t/1e9 > int64(lateBy/time.Second)
	p.compare = s.Distinct() && !d.Uncompared
	if p.compare {
		p.value = key.sum64(d.Distinct)
	}
	if p.about(d) {
		p.home = place{}
	}
	if d.Cancel { // nothing is kept of it
		return true
	}
	if !s.sparing || p.said.runs() {
		p.sample()
	}
	if s.judge != nil {
		p.look()
	}
	return true
}

// wall is our own clock in seconds. A live request brings it along.
func (m *Memory) wall(p *pour, d *Drop) uint32 {
	if d.Event.From.Inline && !d.Replay {
		return uint32(p.t / 1e9)
	}
	if p.read == 0 {
		p.read = uint32(max(m.now().Unix(), 1))
	}
	return p.read
}

// sample is that of the extract; what is encoded anew has no home yet.
func (p *pour) sample() {
	if p.extract.sample() {
		p.home = place{}
	}
}

// newBurst makes the burst of the event of p.
func (p *pour) newBurst() *burst {
	d := p.drop
	from := &d.Event.From
	p.burst = burst{
		scenario: d.Scenario, hash: p.key, slot: p.slot, key: d.Key, last: p.t, at: p.t, late: p.late, wall: p.wall,
		zone: d.At.Location(), site: from.Site, width: from.Width64, incident: from.Incident, depth: from.Depth,
	}
	return &p.burst
}
