package bucketstest

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/scenarios"
)

// Seen is what a case compares of an overflow.
type Seen struct {
	Scenario, Key  string
	First, At      time.Time
	Stamp          string // At in the zone of the overflow
	Count          int
	Samples        []string // Meta "id" of each
	Direct, Detect bool
}

// See takes from an overflow what cases compare.
func See(o *scenarios.Overflow) Seen {
	s := Seen{
		Scenario: o.Scenario.Name, Key: o.Key, First: o.First.UTC(), At: o.At.UTC(), Count: o.Count,
		Stamp: o.At.Format(time.RFC3339Nano), Direct: o.Direct, Detect: o.Detect,
	}
	for i := range o.Samples {
		s.Samples = append(s.Samples, o.Samples[i].Meta.Get("id"))
	}
	return s
}

// Model is a bucket engine without any thought of speed or memory: a bucket is the
// list of its events as they came, and each pour is worked out from what the format
// says of the YAML, read anew.
type Model struct {
	Seen    []Seen
	rules   map[string]*modelRule // by fingerprint
	buckets map[string]*modelBucket
	holes   map[string]time.Time
	watched map[string]bool // holes that an overflow of detecting sites alone began
}

// modelRule is a document as it is written, and its programs.
type modelRule struct {
	scenarios.Spec
	leak, life, duration time.Duration
	condition, filter    *expression.Program
	beliefs              []*expression.Program
}

type modelBucket struct {
	rule     *modelRule
	key      string
	drop     scenarios.Drop // the last one
	replay   bool
	events   []modelEvent
	distinct map[string]bool
	fallen   map[int]bool // guillotines
	last     time.Time    // replay: of the last event that fitted
	tokens   float64      // replay
	empty    time.Time    // live: when everything will have leaked out
	clock    time.Time    // live: the latest instant so far
}

type modelEvent struct {
	at time.Time
	ev *event.Event
}

// NewModel returns an empty model for the scenarios of documents.
func NewModel(t testing.TB, documents ...string) *Model {
	t.Helper()
	m := &Model{rules: map[string]*modelRule{}, buckets: map[string]*modelBucket{}, holes: map[string]time.Time{}, watched: map[string]bool{}}
	env := expression.New(expression.Options{Plain: true})
	for _, doc := range documents {
		r := &modelRule{}
		if err := yaml.Unmarshal([]byte(doc), &r.Spec); err != nil {
			t.Fatal(err)
		}
		program := func(src string, on expression.On) *expression.Program {
			if src == "" {
				return nil
			}
			p, err := env.Compile(src, on, expression.Bool)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		span := func(text string) time.Duration {
			d, _ := time.ParseDuration(text)
			return d
		}
		r.leak, r.duration = span(r.LeakSpeed), span(r.Duration)
		switch r.Type {
		case "leaky":
			if r.life = r.duration; r.life == 0 {
				r.life = time.Duration(r.Capacity+1) * r.leak
			}
		case "counter":
			r.life = r.duration
		default:
			r.life = r.leak
		}
		r.condition, r.filter = program(r.Condition, expression.OnQueue), program(r.OverflowFilter, expression.OnOverflow)
		for _, b := range r.BayesianConditions {
			r.beliefs = append(r.beliefs, program(b.Condition, expression.OnQueue))
		}
		m.rules[Scenario(t, doc).Fingerprint] = r
	}
	return m
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
	r := m.rules[d.Scenario.Fingerprint]
	key := d.Scenario.Fingerprint + "\x00" + d.Key
	this := modelEvent{d.At, d.Event.Clone()}
	if r.Type == "trigger" {
		m.overflow(key, &modelBucket{rule: r, drop: d, replay: d.Replay, events: []modelEvent{this}}, d.At)
		return
	}
	b := m.buckets[key]
	if b != nil && r.duration > 0 && !b.moment(d).Before(b.deadline()) {
		m.end(key, b)
		b = nil
	} else if b != nil && r.duration == 0 && b.moment(d).After(b.newest().Add(r.life)) {
		delete(m.buckets, key)
		b = nil
	}
	values := r.Distinct != "" && !d.Uncompared
	if values && b != nil && b.distinct[d.Distinct] {
		return
	}
	if d.Cancel {
		delete(m.buckets, key)
		return
	}
	if b == nil {
		b = &modelBucket{rule: r, key: d.Key, replay: d.Replay, distinct: map[string]bool{}, fallen: map[int]bool{}, tokens: float64(r.Capacity)}
		b.last = b.moment(d)
		b.clock, b.empty = b.last, b.last
		m.buckets[key] = b
	}
	if values {
		b.distinct[d.Distinct] = true
	}
	this.at = b.moment(d)
	b.events, b.drop = append(b.events, this), d
	if r.Type == "leaky" && !b.fits(this.at) || b.condition() || b.bayes() {
		delete(m.buckets, key)
		m.overflow(key, b, this.at)
	}
}

// moment is when d counts, as finely as it and the bucket do.
func (b *modelBucket) moment(d scenarios.Drop) time.Time {
	if b.replay && d.Replay {
		return d.At
	}
	return d.At.Truncate(time.Microsecond)
}

func (b *modelBucket) newest() time.Time   { return b.events[len(b.events)-1].at }
func (b *modelBucket) deadline() time.Time { return b.events[0].at.Add(b.rule.life) }

// kept are the events that the bucket still has: one more than it holds.
func (b *modelBucket) kept() []modelEvent {
	most := b.rule.Capacity
	if c := b.rule.CacheSize; c > 0 && (most == -1 || c <= most) {
		most = c
	}
	if most < 0 || len(b.events) <= most {
		return b.events
	}
	return b.events[len(b.events)-most-1:]
}

// Sweep ends what has a duration that is over at now, in order; a zero now ends all.
func (m *Model) Sweep(now time.Time) {
	type due struct {
		key string
		*modelBucket
	}
	var list []due
	for key, b := range m.buckets {
		if b.rule.duration > 0 && (now.IsZero() || !b.replay && !b.deadline().After(now)) {
			list = append(list, due{key, b})
		}
	}
	slices.SortFunc(list, func(a, b due) int {
		return cmp.Or(a.deadline().Compare(b.deadline()), a.events[0].at.Compare(b.events[0].at), strings.Compare(a.modelBucket.key, b.modelBucket.key))
	})
	for _, d := range list {
		m.end(d.key, d.modelBucket)
	}
}

// end is the overflow of a bucket whose duration is over.
func (m *Model) end(key string, b *modelBucket) {
	delete(m.buckets, key)
	m.overflow(key, b, b.deadline())
}

func (m *Model) overflow(key string, b *modelBucket, at time.Time) {
	if !b.replay {
		at = at.Truncate(time.Microsecond).UTC() // of a trigger; buckets did already
		b.events[0].at = b.events[0].at.Truncate(time.Microsecond)
	}
	out := Seen{
		Scenario: b.drop.Scenario.Name, Key: b.drop.Key, First: b.events[0].at.UTC(), At: at.UTC(), Count: len(b.events),
		Stamp: at.In(zoneOf(b.drop.At, b.replay)).Format(time.RFC3339Nano), Direct: true, Detect: true,
	}
	for _, e := range b.events {
		out.Direct = out.Direct && e.ev.From.Direct
		out.Detect = out.Detect && e.ev.From.Detect
	}
	for _, e := range b.kept() {
		out.Samples = append(out.Samples, e.ev.Meta["id"])
	}
	if !b.passes() || m.holes[key].After(at) && (out.Detect || !m.watched[key]) {
		return
	}
	if hole, _ := time.ParseDuration(b.rule.Blackhole); hole > 0 {
		m.holes[key], m.watched[key] = at.Add(hole), out.Detect
	}
	m.Seen = append(m.Seen, out)
}

func zoneOf(t time.Time, replay bool) *time.Location {
	if !replay {
		return time.UTC
	}
	_, offset := t.Zone()
	return time.FixedZone("", offset)
}
