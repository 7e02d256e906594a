package engine

import (
	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/scenarios"
)

// Event returns an empty event for a live request. It goes back with Done.
func (e *Engine) Event() *event.Event { return e.pool.Get() }

// Done takes back an event that nobody uses any more.
func (e *Engine) Done(ev *event.Event) { e.pool.Put(ev) }

// Enrich runs the enrichment stage on a live request. It returns false for an
// event that a parser whitelisted: nothing is poured then.
func (e *Engine) Enrich(ev *event.Event) bool {
	if out := e.Pipeline.ParseFrom(EnrichStage, ev, e.Native); out.Err != nil {
		e.Logger.Debug("enriching a request", zap.Error(out.Err))
	}
	if ev.Whitelisted {
		e.Counters.Whitelisted.Add(1)
		return false
	}
	return true
}

// Inline pours a live request into the request-phase scenarios and returns what
// overflowed at once: the request itself may be refused for it.
func (e *Engine) Inline(b Inliner, ev *event.Event) []*scenarios.Overflow {
	room := e.room()
	defer e.tidy(room)
	*room = e.Rules.Drops(ev, scenarios.Request, ev.From.At, *room)
	e.Counters.Poured.Add(int64(len(*room)))
	return b.Inline(*room)
}

// Settled reports whether a finished request is of no interest to the scenarios that
// need the response, and counts it if so: it need not be handed to Respond.
func (e *Engine) Settled(ev *event.Event) bool {
	if e.Observe.Pour != nil || e.Rules.Concerns(ev, scenarios.Response) {
		return false
	}
	e.Counters.Requests.Add(1)
	return true
}

// Respond pours a finished request into the scenarios that need the response, or
// into all of them where whole is true.
func (e *Engine) Respond(ev *event.Event, whole bool) {
	e.Counters.Requests.Add(1)
	phase := scenarios.Response
	if whole {
		phase = scenarios.Whole
	}
	e.pour(ev, phase, ev.From.At)
}
