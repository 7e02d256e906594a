package decisions

import (
	"errors"
	"fmt"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// Judgement is what profiles make of an alert.
type Judgement struct {
	// Decisions are those of the first profile that matched and has any.
	Decisions []Decision
	// Matched are the profiles that matched, in the order in which they apply.
	Matched []Match
	// Decider is the profile whose decisions these are, "" if no profile had any.
	Decider string
}

// Match is a profile that an alert matched.
type Match struct {
	Profile       string
	Notifications []string // names of those to notify; shared, not to be changed
}

// Judge tells what is to be decided about an alert and who is to be notified of
// it. An alert that has decisions already gets no more; those who are to know of it
// are told all the same.
//
// CrowdSec compatible: filters of a profile are alternatives; only the first
// matching profile that has decisions contributes them, and those after it, up to
// an on_success of break, notify; an end counts from the alert's last event.
// Unlike there, two true filters decide once, a missing duration is the scenario's
// blackhole or else 4h, a profile's own `value` and `simulated` hold, and what would
// be over by now is not made (nor made up for by another profile).
//
// A filter that fails at run time takes nothing from another one that is true.
// Where none is, on_error says what holds: apply takes the profile for matched,
// without decisions; with everything else it has not matched, and the next one is
// tried. CrowdSec compatible: break, too, goes on. The error is returned beside
// what was decided, like that of a duration_expr, whose place the duration then
// takes; continue and ignore keep it quiet.
func (p *Profiles) Judge(a *event.Alert, now time.Time) (Judgement, error) {
	vars := &expression.Vars{Alert: a}
	given := len(a.Decisions) > 0
	var j Judgement
	var errs []error
	for _, one := range p.list {
		m, err := one.match(vars)
		if err != nil {
			errs = append(errs, err)
		}
		if m == unmatched {
			continue
		}
		j.Matched = append(j.Matched, Match{Profile: one.name, Notifications: one.notifications})
		if m == matched && len(one.decisions) > 0 && !given && j.Decider == "" {
			j.Decider = one.name
			if j.Decisions, err = one.decide(vars, now); err != nil {
				errs = append(errs, err)
			}
		}
		if one.stop {
			break
		}
	}
	return j, errors.Join(errs...)
}

// outcome of a profile's filters.
type outcome uint8

const (
	unmatched outcome = iota
	matched           // one is true
	applied           // one failed, and on_error says that this matches
)

// match evaluates the filters up to the first true one.
func (p *profile) match(vars *expression.Vars) (outcome, error) {
	result := unmatched
	var first error
	for _, f := range p.filters {
		ok, err := f.Bool(vars)
		if err == nil {
			if ok {
				return matched, first
			}
			continue
		}
		if p.onError == "apply" {
			result = applied
		}
		if first == nil && p.onError != "continue" && p.onError != "ignore" {
			first = fmt.Errorf("filter of profile %q: %w", p.name, err)
		}
	}
	return result, first
}

// decide makes the profile's decisions, an error beside them if duration_expr
// failed.
func (p *profile) decide(vars *expression.Vars, now time.Time) ([]Decision, error) {
	a := vars.Alert
	var given time.Duration
	var err error
	if p.durationExpr != nil {
		if given, err = p.evalDuration(vars); err != nil {
			err = fmt.Errorf("duration_expr of profile %q: %w", p.name, err)
		}
	}
	fallback := defaultDuration
	if a.Blackhole > 0 {
		fallback = a.Blackhole
	}
	from := alertEnd(a, now)
	var out []Decision
	for _, m := range p.decisions {
		d := m.duration
		if given > 0 {
			d = given
		}
		if d == 0 {
			d = fallback
		}
		until := from.Add(d)
		if !until.After(now) {
			continue
		}
		out = append(out, m.decision(a, now, until))
	}
	return out, err
}

func (m *measure) decision(a *event.Alert, now, until time.Time) Decision {
	d := Decision{
		IncidentID: a.IncidentID, Scope: m.scope, Value: m.value, Type: m.kind, Origin: m.origin, Scenario: a.Scenario,
		Host: a.Site, Created: now, Until: until, Direct: a.Direct, Simulated: m.simulated || a.Simulated,
	}
	if d.Scope == "" {
		d.Scope = a.GetScope()
	}
	if d.Value == "" {
		d.Value = a.GetValue()
	}
	// What cannot be normalised is left as it is: the journal refuses it and says
	// why.
	if n := d; Normalise(&n, a.Width64) == nil {
		d = n
	}
	return d
}

// evalDuration runs duration_expr; its result may be of any type that prints as a
// duration.
func (p *profile) evalDuration(vars *expression.Vars) (time.Duration, error) {
	v, err := p.durationExpr.Any(vars)
	if err != nil {
		return 0, err
	}
	return positiveDuration(fmt.Sprint(v))
}

// alertEnd is the instant that durations count from.
func alertEnd(a *event.Alert, now time.Time) time.Time {
	if !a.Stop.IsZero() {
		return a.Stop
	}
	if t, err := time.Parse(time.RFC3339Nano, a.StopAt); err == nil {
		return t
	}
	return now
}
