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
	At    time.Time // of the overflow, which is that of the last event
	Count int       // events poured since the bucket was made
	// Samples are the newest events, oldest first; the last one overflowed.
	Samples []Sample
	// Direct and Detect are true only if they were for every event.
	Direct, Detect bool
	Width64        bool // of the overflowing event, as are Site and Incident
	Replay         bool
	Site           string
	Incident       string
	Depth          int // how many overflows led to the overflowing event

	sourceless error // why the overflowing event has no source
}

// overflow makes the Overflow of a pour that overflowed, without a lock.
func (m *Memory) overflow(p *pour) *Overflow {
	p.sample()
	d := p.drop
	zone := time.UTC
	t := p.t
	if p.replayed {
		zone = d.At.Location()
	} else {
		t = micro(t)
	}
	at := time.Unix(0, t).In(zone)
	from := &d.Event.From
	o := &Overflow{
		Scenario: d.Scenario, Key: d.Key, First: time.Unix(0, p.first).In(zone), Last: at, At: at,
		Count: int(p.count), Direct: p.direct, Detect: p.detect, Replay: p.replayed,
		Width64: from.Width64, Site: from.Site, Incident: from.Incident, Depth: from.Depth, sourceless: p.sourceless,
	}
	o.ID = fmt.Sprintf("%s:%d:%d:%d", d.Scenario.MapKey(d.Key), p.first, t, m.serial.Add(1))
	for _, body := range p.before {
		if s, ok := decodeSample(body); ok {
			o.Samples = append(o.Samples, s)
		}
	}
	if len(p.body) > 0 {
		if s, ok := decodeSample(append(append([]byte(nil), p.body...), p.who...)); ok {
			o.Samples = append(o.Samples, s)
		}
	}
	return o
}

// LeakyVars is what overflow filters see as leaky, by CrowdSec's names.
type LeakyVars struct {
	Mapkey    string
	First     time.Time `expr:"First_ts"`
	Last      time.Time `expr:"Last_ts"`
	Overflow  time.Time `expr:"Ovflw_ts"`
	Count     int       `expr:"Total_count"`
	Capacity  int
	Leakspeed time.Duration
}

// passes asks the overflow filter and, if it agrees, the blackhole. CrowdSec
// compatible: a filter that fails lets the overflow pass, and one that is turned
// down begins no blackhole. Events in the queue have Meta, Time and MarshaledTime.
func (m *Memory) passes(p *pour, sh *shard) bool {
	o := m.overflow(p)
	s := p.drop.Scenario
	queue := &event.Queue{L: s.keep - 1}
	for i := range o.Samples {
		queue.Queue = append(queue.Queue, o.Samples[i].event())
	}
	signal := &event.RuntimeAlert{Mapkey: s.MapKey(o.Key)}
	if ev, err := o.Event(); err == nil {
		signal = &ev.Overflow
	}
	leaky := &LeakyVars{
		Mapkey: signal.Mapkey, First: o.First, Last: o.Last, Overflow: o.At,
		Count: o.Count, Capacity: s.Capacity, Leakspeed: s.LeakSpeed,
	}
	vars := &expression.Vars{Evt: p.drop.Event, Queue: queue, Signal: signal, Leaky: leaky}
	if ok, err := s.overflowFilter.Bool(vars); err == nil && !ok {
		m.other.filtered.Add(1)
		return false
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.pass(sh.find(&p.key), p) == overflowed
}

// event returns the sample as the event it was, as far as it was kept.
func (s *Sample) event() *event.Event {
	ev := &event.Event{Time: s.Time, MarshaledTime: s.Timestamp, Meta: make(map[string]string, len(s.Meta))}
	for _, it := range s.Meta {
		ev.Meta[it.Key] = it.Value
	}
	return ev
}
