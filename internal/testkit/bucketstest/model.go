// Package bucketstest holds what every implementation of scenarios.Buckets must
// pass: a suite of named cases and a comparison with a naive model on random
// traces. It is for tests only.
//
//	Run(t, open) ─► cases and traces ─► Buckets and Model ─► the same overflows
//
// Concurrency: Run makes its own Buckets for each case; Model is for one goroutine.
package bucketstest

import (
	"time"

	"github.com/rampart-edge/rampart/scenarios"
)

// Seen is what a case compares of an overflow.
type Seen struct {
	Scenario, Key  string
	First, At      time.Time
	Count          int
	Samples        []string // Meta "id" of each
	Direct, Detect bool
}

// See takes from an overflow what cases compare.
func See(o *scenarios.Overflow) Seen {
	s := Seen{
		Scenario: o.Scenario.Name, Key: o.Key, First: o.First.UTC(), At: o.At.UTC(), Count: o.Count,
		Direct: o.Direct, Detect: o.Detect,
	}
	for i := range o.Samples {
		s.Samples = append(s.Samples, o.Samples[i].Meta.Get("id"))
	}
	return s
}

// Model is a bucket engine without any thought of speed or memory: it keeps every
// event of a bucket and works out each pour from the description in plain words.
type Model struct {
	Seen    []Seen
	buckets map[string]*modelBucket
	holes   map[string]time.Time
	watched map[string]bool // holes that an overflow of detecting sites alone began
}

type modelBucket struct {
	replay   bool
	events   []Seen // one for each event, with Samples of one
	distinct map[string]bool
	last     time.Time // replay: of the last event that fitted
	tokens   float64   // replay
	empty    time.Time // live: when everything will have leaked out
	clock    time.Time // live: the latest instant so far
}

// NewModel returns an empty model.
func NewModel() *Model {
	return &Model{buckets: map[string]*modelBucket{}, holes: map[string]time.Time{}, watched: map[string]bool{}}
}

// Pour pours the batch.
func (m *Model) Pour(batch []scenarios.Drop) {
	for _, d := range batch {
		for range max(1, d.Count) {
			m.pour(d)
		}
	}
}

func (m *Model) pour(d scenarios.Drop) {
	s := d.Scenario
	key := s.Fingerprint + "\x00" + d.Key
	this := Seen{
		Scenario: s.Name, Key: d.Key, At: d.At.UTC(), Direct: d.Event.From.Direct, Detect: d.Event.From.Detect,
		Samples: []string{d.Event.Meta["id"]},
	}
	b := m.buckets[key]
	if s.Type == scenarios.Trigger {
		b = &modelBucket{replay: d.Replay, events: []Seen{this}}
		m.overflow(s, key, b)
		return
	}
	exact := this.At
	if !d.Replay || b != nil && !b.replay {
		this.At = exact.Truncate(time.Microsecond)
	}
	if b != nil && this.At.After(b.events[len(b.events)-1].At.Add(s.Life())) {
		b = nil
		delete(m.buckets, key)
		if d.Replay {
			this.At = exact
		}
	}
	if s.Distinct() && !d.Uncompared && b != nil && b.distinct[d.Distinct] {
		return
	}
	if d.Cancel {
		delete(m.buckets, key)
		return
	}
	if b == nil {
		b = &modelBucket{
			replay: d.Replay, distinct: map[string]bool{}, tokens: float64(s.Capacity),
			last: this.At, clock: this.At, empty: this.At,
		}
		m.buckets[key] = b
	}
	if s.Distinct() && !d.Uncompared {
		b.distinct[d.Distinct] = true
	}
	b.events = append(b.events, this)
	if b.fits(s, this.At) {
		return
	}
	delete(m.buckets, key)
	m.overflow(s, key, b)
}

// fits is two descriptions of a leaky bucket. In replay: float tokens, refilled by
// the time since the last event that fitted. Live: each event takes one leakspeed
// to leak out, one after the other, and there is room while fewer than capacity
// of them are inside.
func (b *modelBucket) fits(s *scenarios.Scenario, t time.Time) bool {
	if b.replay {
		elapsed := time.Duration(0)
		if t.After(b.last) {
			elapsed = t.Sub(b.last)
		}
		rate := 1 / s.LeakSpeed.Seconds()
		gained := elapsed.Seconds() * rate
		tokens := b.tokens + gained
		if tokens > float64(s.Capacity) {
			tokens = float64(s.Capacity)
		}
		tokens -= 1
		if tokens < 0 {
			wait := -tokens / rate
			if time.Duration(1e9*wait) > 0 {
				return false
			}
		}
		b.tokens, b.last = tokens, t
		return true
	}
	if t.After(b.clock) {
		b.clock = t
	}
	each := s.LeakSpeed.Truncate(time.Microsecond)
	if b.empty.Before(b.clock) {
		b.empty = b.clock
	}
	if b.empty.Sub(b.clock) > time.Duration(s.Capacity-1)*each {
		return false
	}
	b.empty = b.empty.Add(each)
	return true
}

func (m *Model) overflow(s *scenarios.Scenario, key string, b *modelBucket) {
	out := b.events[len(b.events)-1]
	if !b.replay {
		out.At = out.At.Truncate(time.Microsecond) // of a trigger; buckets did already
		b.events[0].At = b.events[0].At.Truncate(time.Microsecond)
	}
	watched := true
	for _, e := range b.events {
		watched = watched && e.Detect
	}
	if m.holes[key].After(out.At) && (watched || !m.watched[key]) {
		return
	}
	if s.Blackhole > 0 {
		m.holes[key], m.watched[key] = out.At.Add(s.Blackhole), watched
	}
	out.First = b.events[0].At
	out.Count = len(b.events)
	out.Samples = nil
	for i, e := range b.events {
		if i >= len(b.events)-s.Keep() {
			out.Samples = append(out.Samples, e.Samples...)
		}
		out.Direct = out.Direct && e.Direct
		out.Detect = out.Detect && e.Detect
	}
	m.Seen = append(m.Seen, out)
}
