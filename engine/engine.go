// Package engine is the way from an event to a decision: parse, pour, overflow,
// postoverflow, profile. Live traffic, replay and tests run the same type.
//
//	Line ─► parsers ─► rules ─pour─► buckets ─overflow─► postoverflows ─► profiles ─► journal
//
// It reads no files, holds no buckets and keeps no decisions: those are given to
// it. An Engine is immutable and safe for concurrent use; a new configuration
// makes a new one around the same buckets and journal.
package engine

import (
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

// EnrichStage is where live requests enter the parsers.
const EnrichStage = "s02-enrich"

// Late is how old a tailed line may be when it is read before its own timestamp
// counts instead of the clock. CrowdSec always takes the clock, so that an hour
// of lines read at once looks like a burst.
const Late = 10 * time.Second

// apart is how old a tailed line must be when it is read for its log to have
// buckets of its own. What several logs gathered meanwhile is read one log after
// the other: a bucket that has seen the end of the first has nothing leak while it
// sees the beginning of the second. Up to this age it costs a few leaked events.
const apart = time.Minute

// maxRepeat bounds "message repeated N times": syslog may claim any number.
const maxRepeat = 100

// maxDepth bounds chains of scenarios that consume overflows.
const maxDepth = 3

// ErrKnown is what a Journal answers to an alert that it has already.
var ErrKnown = errors.New("the alert is recorded already")

// Journal takes what the engine concludes; decisions.Book is one.
type Journal interface {
	Append(a *event.Alert, ds []decisions.Decision) error
}

// Inliner takes the drops of a request that is on its way and returns what they
// overflowed, without waiting for anybody; scenarios.Memory is one. Buckets that are
// kept elsewhere overflow later, by way of their sink.
type Inliner interface {
	Inline(batch []scenarios.Drop) []*scenarios.Overflow
}

// Options are the parts of an engine. Pipeline, Rules, Buckets, Profiles, Now and
// Counters must be given.
type Options struct {
	Pipeline      *parsers.Pipeline
	Postoverflows *parsers.Pipeline // nil: none
	Rules         *scenarios.Rules
	Buckets       scenarios.Buckets
	Profiles      *decisions.Profiles
	Journal       Journal // nil: conclusions only reach Watch
	// Watch is told what was recorded, and which profiles matched; may be nil.
	Watch    func(*event.Alert, []decisions.Decision, []decisions.Match)
	Counters *Counters
	Logger   *zap.Logger
	Now      func() time.Time
	Machine  string // machine_id of alerts
	Replay   bool   // lines count at their own time
	// Faithful takes replayed lines as CrowdSec does, for the tests of the Hub: a line
	// without a date counts at the clock, addresses stay as they are written, and
	// a line that says how often it was repeated is one.
	Faithful bool
	Width64  bool // IPv6 sources of lines are keyed by their /64, as those of requests
	// Native names the parser nodes that live requests need not run, since their
	// fields were filled in without text.
	Native func(node string) bool
	// Simulated reports whether an alert is simulated, before postoverflows see it;
	// nil: none is.
	Simulated func(a *event.Alert) bool
	// Observe is told of what passes; nil: nobody is.
	Observe *Observer
}

// Observer is told of what passes through an engine, from the goroutine at work.
// Any of its functions may be nil; none may keep what it is given.
type Observer struct {
	// Node is called after each top-level node of parsers and postoverflows.
	Node func(stage, node string, ev *event.Event, ok bool)
	// Step is called after each node of any depth, and Node is not where it is given.
	// It is slow.
	Step func(parsers.Step)
	// Parsed is called after the parsers of a line.
	Parsed func(ev *event.Event, out parsers.Outcome)
	// Pour is called before an event that reached the scenarios is poured, with what
	// it pours: nothing where no scenario takes it.
	Pour func(ev *event.Event, drops []scenarios.Drop)
	// Overflow is called after the postoverflows, also for an overflow that they
	// whitelisted.
	Overflow func(ev *event.Event)
}

// run has p work on ev, watched as closely as is asked for.
func (o *Observer) run(p *parsers.Pipeline, ev *event.Event) parsers.Outcome {
	if o.Step != nil {
		return p.Trace(ev, o.Step)
	}
	return p.Observe(ev, o.Node)
}

// Engine is the compiled whole.
type Engine struct {
	Options
	pool  event.Pool
	rooms sync.Pool // *[]scenarios.Drop
}

// New makes an engine of its parts.
func New(o Options) *Engine {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Observe == nil {
		o.Observe = &Observer{}
	}
	return &Engine{Options: o}
}

func (e *Engine) pour(ev *event.Event, phase scenarios.Phase, at time.Time) {
	room := e.room()
	defer e.tidy(room)
	drops := e.Rules.Drops(ev, phase, at, *room)
	if e.Faithful && ev.MarshaledTime == "" && ev.Type == event.LogType {
		// CrowdSec compatible: without a date only triggers take it.
		drops = slices.DeleteFunc(drops, func(d scenarios.Drop) bool { return d.Scenario.Type != scenarios.Trigger })
	}
	*room = drops
	if e.Observe.Pour != nil {
		e.Observe.Pour(ev, drops)
	}
	if len(drops) == 0 {
		return
	}
	count, lane := 1, e.lane(ev, at)
	if !ev.From.Inline && ev.Type == event.LogType {
		// A log of another web server may name a client that came through a proxy;
		// other services wrote down the peer itself.
		ev.From.Direct = ev.Meta["service"] != "http"
		if !e.Faithful { // a request is one, whatever its fields say
			count = repeat(ev)
		}
	}
	for i := range drops {
		drops[i].Lane = lane
		drops[i].Replay = e.Replay && ev.Type == event.LogType
		drops[i].Count = count
	}
	e.Counters.Poured.Add(int64(len(drops)))
	e.Buckets.Pour(drops)
}

// room returns an empty list for drops, which goes back with tidy.
func (e *Engine) room() *[]scenarios.Drop {
	if r, ok := e.rooms.Get().(*[]scenarios.Drop); ok {
		return r
	}
	return new([]scenarios.Drop)
}

// tidy takes a list back without what its drops refer to.
func (e *Engine) tidy(room *[]scenarios.Drop) {
	clear(*room)
	*room = (*room)[:0]
	e.rooms.Put(room)
}
