package scenarios

import (
	"fmt"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// Overflow is a bucket that overflowed.
type Overflow struct {
	Scenario *Scenario
	// ID tells this overflow from all others: it is the same when the overflow is
	// handed on a second time, by another node for example.
	ID    string
	Key   string    // the groupby result
	First time.Time // of the first event; UTC unless Replay
	Last  time.Time // of the last event
	At    time.Time // of the overflow: that of the last event, or the end of the duration
	Count int       // events poured since the bucket was made
	// Samples are the newest events, oldest first.
	Samples []Sample
	// Direct and Detect are true only if they were for every event.
	Direct, Detect bool
	Width64        bool // of the last event, as is Site
	Replay         bool
	Site           string
	Incident       string // of the overflowing event; "" at the end of a duration
	Depth          int    // how many overflows led to the last event

	sourceless error          // why the overflowing event has no source
	spare      []event.Source // who it was where no sample tells
	contexts   *Contexts
	mapkey     string // of the bucket
}

// burst is a bucket that overflowed, taken out of its shard.
type burst struct {
	scenario *Scenario
	hash     [16]byte
	slot     uint16
	key      string

	first, last, at          int64
	count                    uint32
	wall                     uint32
	direct, detect, replayed bool
	late, width              bool
	zone                     *time.Location
	site, incident           string
	depth                    int
	samples                  []sample // oldest first
	sourceless               error
}

// overflow concludes what the event of p overflowed.
func (m *Memory) overflow(p *pour) {
	p.sample()
	b := &p.burst
	if len(p.body) > 0 {
		p.last = append(append(p.last[:0], p.body...), p.who...)
		b.samples = append(b.samples, sample{body: p.last}) // conclude copies it
	}
	b.sourceless = p.sourceless
	if o := m.conclude(b); o != nil {
		p.out = append(p.out, o)
	}
}

// conclude makes the Overflow, without a lock; nil when the overflow filter or the
// blackhole behind it keeps it quiet.
func (m *Memory) conclude(b *burst) *Overflow {
	o := b.overflow(m.said.Load())
	o.ID = fmt.Sprintf("%s:%d:%d:%d", o.mapkey, b.first, b.at, m.serial.Add(1))
	o.Samples = make([]Sample, 0, len(b.samples))
	var room [512]byte
	for _, kept := range b.samples {
		if s, ok := decodeSample(m.body(kept, room[:])); ok {
			o.Samples = append(o.Samples, s)
		}
	}
	if b.scenario.overflowFilter != nil && !m.passes(o, b) {
		return nil
	}
	return o
}

// overflow is b without ID and samples.
func (b *burst) overflow(c *Contexts) *Overflow {
	zone := time.UTC
	if b.replayed {
		zone = b.zone
	} else {
		b.last, b.at = micro(b.last), micro(b.at)
	}
	return &Overflow{
		Scenario: b.scenario, Key: b.key, First: time.Unix(0, b.first).In(zone), Last: time.Unix(0, b.last).In(zone),
		At: time.Unix(0, b.at).In(zone), Count: int(b.count), Direct: b.direct, Detect: b.detect, Replay: b.replayed,
		Width64: b.width, Site: b.site, Incident: b.incident, Depth: b.depth, sourceless: b.sourceless, contexts: c,
		mapkey: b.scenario.MapKey(b.key),
	}
}

// LeakyVars is what conditions and overflow filters see as leaky, by CrowdSec's
// names.
type LeakyVars struct {
	Mapkey    string
	First     time.Time `expr:"First_ts"`
	Last      time.Time `expr:"Last_ts"`
	Overflow  time.Time `expr:"Ovflw_ts"`
	Count     int       `expr:"Total_count"`
	Capacity  int
	Leakspeed time.Duration
}

// leakyVars is a bucket as its conditions see it; instants in ns.
func (s *Scenario) leakyVars(group string, first, last int64, count int) *LeakyVars {
	return &LeakyVars{
		Mapkey: s.MapKey(group), First: time.Unix(0, first).UTC(), Last: time.Unix(0, last).UTC(),
		Count: count, Capacity: s.Capacity, Leakspeed: s.LeakSpeed,
	}
}

// passes asks the overflow filter and, if it agrees, the blackhole. CrowdSec
// compatible: one that is turned down begins no blackhole.
func (m *Memory) passes(o *Overflow, b *burst) bool {
	ok, err := o.passes()
	if err != nil {
		m.fault(m.table.Load(), b.slot, 1, err)
	}
	if !ok {
		m.other.filtered.Add(1)
		return false
	}
	sh := m.shard(&b.hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.pass(sh.find(&b.hash), b) == overflowed
}

// passes asks the overflow filter, which there must be. CrowdSec compatible: one that
// fails lets the overflow pass. Events in the queue have Meta, Time and
// MarshaledTime.
func (o *Overflow) passes() (bool, error) {
	s := o.Scenario
	queue := &event.Queue{L: s.limit}
	for i := range o.Samples {
		queue.Queue = append(queue.Queue, o.Samples[i].event())
	}
	signal := &event.RuntimeAlert{Mapkey: o.mapkey}
	if ev, err := o.Event(); err == nil {
		signal = &ev.Overflow
	}
	leaky := &LeakyVars{
		Mapkey: signal.Mapkey, First: o.First, Last: o.Last, Overflow: o.At,
		Count: o.Count, Capacity: s.Capacity, Leakspeed: s.LeakSpeed,
	}
	ok, err := s.overflowFilter.Bool(&expression.Vars{Queue: queue, Signal: signal, Leaky: leaky})
	return ok || err != nil, err
}

// fault counts conditions or an overflow filter that failed, the last one with err.
func (m *Memory) fault(t *table, slot uint16, n int, err error) {
	m.other.failed.Add(int64(n))
	if int(slot) < len(t.faults) {
		t.faults[slot].note(n, err)
	}
}

// event returns the sample as the event it was, as far as it was kept.
func (s *Sample) event() *event.Event {
	ev := &event.Event{Time: s.Time, MarshaledTime: s.Timestamp, Meta: make(map[string]string, len(s.Meta))}
	for _, it := range s.Meta {
		ev.Meta[it.Key] = it.Value
	}
	return ev
}
