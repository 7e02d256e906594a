package decisions

import (
	"fmt"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// ProfileVerdict is what one profile does about an alert.
type ProfileVerdict struct {
	Profile string `json:"profile"`
	// Reached: no profile before it stopped. One that was not is not tried either.
	Reached bool            `json:"reached"`
	Filters []FilterVerdict `json:"filters"`
	Matched bool            `json:"matched"`
	// ByError: it matches without decisions, since a filter failed and on_error is
	// apply.
	ByError bool `json:"by_error,omitempty"`
	// Decides: its decisions are those of the alert. Why says why not, of a profile that
	// matched.
	Decides      bool       `json:"decides"`
	Why          string     `json:"why,omitempty"`
	DurationExpr string     `json:"duration_expr,omitempty"`
	Duration     string     `json:"duration,omitempty"` // that it gave
	Error        string     `json:"error,omitempty"`    // of duration_expr; the duration then holds
	Decisions    []Decision `json:"decisions,omitempty"`
	// Notifications are who is told.
	Notifications []string `json:"notifications,omitempty"`
	// Stops: the profiles after it are not tried.
	Stops bool `json:"stops"`
}

// FilterVerdict is what a filter says of an alert. Tried is false for one after a
// true one: that is enough.
type FilterVerdict struct {
	Filter string `json:"filter"`
	Tried  bool   `json:"tried"`
	True   bool   `json:"true"`
	Error  string `json:"error,omitempty"`
}

// Explain tells profile by profile and filter by filter what Judge would make of an
// alert. It changes nothing; counts that expressions ask for are those of now.
func (p *Profiles) Explain(a *event.Alert, now time.Time) []ProfileVerdict {
	vars := &expression.Vars{Alert: a}
	out := make([]ProfileVerdict, 0, len(p.list))
	reached, decider := true, ""
	for _, one := range p.list {
		v := one.explain(vars, reached)
		if v.Matched {
			v.Notifications = one.notifications
			v.Why = one.silence(&v, a, decider)
			if v.Decides = v.Why == ""; v.Decides {
				decider = one.name
				one.explainDecisions(&v, vars, now)
			}
			v.Stops = one.stop
			reached = !one.stop
		}
		out = append(out, v)
	}
	return out
}

// explain tries the filters as match does.
func (p *profile) explain(vars *expression.Vars, reached bool) ProfileVerdict {
	v := ProfileVerdict{Profile: p.name, Reached: reached, Filters: make([]FilterVerdict, len(p.filters))}
	for i, f := range p.filters {
		v.Filters[i].Filter = f.Source()
		if !reached || v.Matched && !v.ByError {
			continue
		}
		v.Filters[i].Tried = true
		ok, err := f.Bool(vars)
		switch {
		case err != nil:
			v.Filters[i].Error = err.Error()
			if p.onError == "apply" {
				v.Matched, v.ByError = true, true
			}
		case ok:
			v.Filters[i].True = true
			v.Matched, v.ByError = true, false
		}
	}
	return v
}

// silence says why a profile that matched decides nothing, "" if it decides.
func (p *profile) silence(v *ProfileVerdict, a *event.Alert, decider string) string {
	switch {
	case v.ByError:
		return "a filter failed, and on_error lets the profile match without decisions"
	case len(p.decisions) == 0:
		return "it has no decisions"
	case len(a.Decisions) > 0:
		return "the alert came with decisions"
	case decider != "":
		return fmt.Sprintf("profile %s decided already", decider)
	}
	return ""
}

func (p *profile) explainDecisions(v *ProfileVerdict, vars *expression.Vars, now time.Time) {
	if p.durationExpr != nil {
		v.DurationExpr = p.durationExpr.Source()
		d, err := p.evalDuration(vars)
		if err == nil {
			v.Duration = d.String()
		}
	}
	var err error
	if v.Decisions, err = p.decide(vars, now); err != nil {
		v.Error = err.Error()
	}
	if len(v.Decisions) == 0 {
		v.Why = "what it decides would be over by now"
	}
}
