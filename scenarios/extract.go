package scenarios

import (
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// extract is what is taken off the event of a drop, wherever its bucket is kept: the
// sample, and what conditions want to know. It is reused, and what drops of one
// event in a row have in common is made once.
type extract struct {
	drop *Drop
	said *Contexts

	sampled    *event.Event // that body is about
	encoded    bool         // the event half is in body
	body       []byte
	owner      *Scenario // whose sources are in who
	who        []byte
	sources    []event.Source
	sourceless error // why sources is empty

	// For conditions: what of the event is kept for those of later events, and what
	// those of this one look at.
	holds  uint16
	record []byte
	whole  *event.Event
	vars   expression.Vars
	window window
}

// about turns to d; true: its event is another than that of the drop before.
func (x *extract) about(d *Drop) bool {
	x.drop = d
	if d.Event == x.sampled {
		return false
	}
	x.sampled, x.encoded, x.owner = d.Event, false, nil
	return true
}

// forget drops what x refers to.
func (x *extract) forget() {
	x.drop, x.said, x.sampled, x.owner, x.sourceless = nil, nil, nil, nil, nil
	x.whole, x.vars.Evt = nil, nil
	clear(x.sources)
}

// sample encodes the event and its sources, unless the drop before this one has
// done so already; true: something was encoded.
func (x *extract) sample() (fresh bool) {
	d, s := x.drop, x.drop.Scenario
	if !x.encoded {
		x.body, x.encoded = appendEvent(x.body[:0], d.Event, d.At, x.said, maxBody), true
	}
	// The source of address scopes without an expression is the same for all.
	if x.owner == nil || x.owner != s && (x.owner.scopeValue != nil || s.scopeValue != nil || x.owner.Scope != s.Scope) {
		x.sources, x.sourceless = s.sourcesOf(d.Event, x.sources[:0])
		x.who = appendSources(x.who[:0], x.sources)
		x.owner, fresh = s, true
	}
	return fresh
}

// look notes what the conditions will want to know of the event, if they look at
// earlier ones.
func (x *extract) look() {
	j, ev := x.drop.Scenario.judge, x.drop.Event
	x.vars.Evt = ev
	x.holds, x.whole, x.record = 0, nil, x.record[:0]
	if !j.queued {
		return
	}
	x.predict(j)
	if j.needs(ev) {
		x.whole = ev.Clone()
		return
	}
	x.record = appendFields(x.record, ev, j.fields)
}

// predict asks the predicates that the conditions of j share.
func (x *extract) predict(j *judge) {
	for i, ask := range j.asks {
		ok, err := ask.Bool(&x.vars)
		switch {
		case err != nil:
			x.holds |= broken
		case ok:
			x.holds |= 1 << i
		}
	}
}

// noted is the event as a record of a queue.
func (x *extract) noted() record {
	at := x.drop.Event.Time
	if at.IsZero() {
		at = x.drop.At
	}
	_, offset := at.Zone()
	return record{time: instant(at), zone: int16(offset / 60), holds: x.holds}
}

// ask runs one condition: the quick way where that can tell, else as a whole.
func (x *extract) ask(c *expression.Condition, base int) (bool, error) {
	if base >= 0 && x.window.queue.bad == 0 {
		x.window.base = base
		if holds, known := c.Quick(&x.window, &x.vars); known {
			return holds, nil
		}
	}
	x.vars.Queue = x.window.all()
	return c.Bool(&x.vars)
}

// close ends what conditions see of the bucket.
func (x *extract) close() {
	x.window.close()
	x.vars.Queue, x.vars.Leaky = nil, nil
}
