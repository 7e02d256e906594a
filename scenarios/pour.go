package scenarios

import (
	"math"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// pour is a drop on its way into a bucket, and what came of it. It is reused.
type pour struct {
	drop    *Drop
	slot    uint16
	key     [16]byte
	t       int64 // ns; whole microseconds for a live drop
	wall    uint32
	late    bool
	value   uint64 // hash of the distinct value
	compare bool

	sampled *event.Event // that body is about
	encoded bool         // the event half is in body
	body    []byte
	owner   *Scenario // whose sources are in who
	who     []byte
	sources []event.Source

	before     [][]byte // samples of the bucket that overflowed, oldest first
	first      int64
	count      uint32
	direct     bool
	detect     bool
	replayed   bool
	out        []*Overflow
	sourceless error // why sources is empty
}

// outcome is what a pour did.
type outcome uint8

const (
	poured outcome = iota
	discarded
	cancelled
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
	m.deliver(p.out)
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
	p.wall = uint32(max(m.now().Unix(), 0))
	return p
}

func (m *Memory) giveBack(p *pour) {
	clear(p.out)
	clear(p.sources)
	*p = pour{body: p.body[:0], who: p.who[:0], sources: p.sources[:0], out: p.out[:0]}
	m.pool.Put(p)
}

func (m *Memory) deliver(list []*Overflow) {
	if m.sink == nil {
		return
	}
	for _, o := range list {
		m.sink(o)
	}
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
	for range max(d.Count, 1) {
		sh := m.shard(&p.key)
		sh.mu.Lock()
		o := sh.step(p)
		sh.mu.Unlock()
		if o != overflowed {
			continue
		}
		if f := d.Scenario.overflowFilter; f != nil && !m.passes(p, sh) {
			continue
		}
		p.out = append(p.out, m.overflow(p))
	}
}

// prepare does all that needs no lock.
func (m *Memory) prepare(p *pour, d *Drop) bool {
	s := d.Scenario
	slot, ok := m.slot(s)
	if !ok {
		return false
	}
	key := m.key.Load()
	p.drop, p.slot = d, slot
	name := d.Key
	if d.Lane != "" {
		name += "\x00" + d.Lane
	}
	p.key = key.sum128(&s.id, name)
	p.t = instant(d.At)
	if !d.Replay {
		p.t = micro(p.t)
	}
	p.late = int64(p.wall)-p.t/1e9 > int64(lateBy/time.Second)
	p.compare = s.Distinct() && !d.Uncompared
	if p.compare {
		p.value = key.sum64(d.Distinct)
	}
	if d.Event != p.sampled {
		p.sampled, p.encoded, p.body, p.owner = d.Event, false, p.body[:0], nil
	}
	if !s.sparing {
		p.sample()
	}
	return true
}

// sample encodes the event and its sources, unless the drop before this one has
// done so already.
func (p *pour) sample() {
	d, s := p.drop, p.drop.Scenario
	if !p.encoded {
		p.body, p.encoded = appendEvent(p.body[:0], d.Event, d.At, maxBody), true
	}
	// The source of address scopes without an expression is the same for all.
	if p.owner == nil || p.owner != s && (p.owner.scopeValue != nil || s.scopeValue != nil || p.owner.Scope != s.Scope) {
		p.sources, p.sourceless = s.sourcesOf(d.Event, p.sources[:0])
		p.who = appendSources(p.who[:0], p.sources)
		p.owner = s
	}
}
