package decisions

import (
	"errors"
	"fmt"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// Decide returns what the first profile that decides something makes of an alert,
// and that profile's name (of one that matched without deciding, if no other
// does). An alert that has decisions already gets no more.
//
// CrowdSec compatible: filters of a profile are alternatives; only one profile
// contributes decisions; an end counts from the alert's last event. Unlike there,
// two true filters decide once, a missing duration is the scenario's blackhole or
// else 4h, a profile's own `value` and `simulated` hold, and what would be over by
// now is not made (nor made up for by another profile).
//
// A filter that fails at run time does as on_error says: apply takes it for true,
// without decisions; break ends here; otherwise it is false. Its error, like that
// of a duration_expr, whose place the duration then takes, is returned beside what
// was decided; continue and ignore keep it quiet.
func (p *Profiles) Decide(a *event.Alert, now time.Time) (ds []Decision, name string, err error) {
	if len(a.Decisions) > 0 {
		return nil, "", nil
	}
	vars := &expression.Vars{Alert: a}
	var errs []error
	for _, one := range p.list {
		m, ferr := one.match(vars)
		if ferr != nil {
			errs = append(errs, ferr)
		}
		if m == failed && one.onError == "break" {
			break
		}
		if m != matched && m != applied {
			continue
		}
		if name == "" {
			name = one.name
		}
		if m == matched && len(one.decisions) > 0 {
			ds, err = one.decide(vars, now)
			if err != nil {
				errs = append(errs, err)
			}
			return ds, one.name, errors.Join(errs...)
		}
		if one.stop {
			break
		}
	}
	return nil, name, errors.Join(errs...)
}

// outcome of a profile's filters.
type outcome uint8

const (
	unmatched outcome = iota
	matched           // one is true
	applied           // one failed, and on_error says that this matches
	failed            // one failed, none is true
)

// match evaluates the filters up to the first true one.
func (p *profile) match(vars *expression.Vars) (outcome, error) {
	result := unmatched
	var first error
	for _, f := range p.filters {
		ok, err := f.Bool(vars)
		switch {
		case err == nil && ok:
			return matched, first
		case err == nil:
			continue
		case p.onError == "apply":
			result = applied
		case result == unmatched:
			result = failed
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
