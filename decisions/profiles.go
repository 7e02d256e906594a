package decisions

import (
	"bytes"
	_ "embed"
	"slices"
	"time"

	"github.com/rampart-edge/rampart/expression"
)

const defaultDuration = 4 * time.Hour

//go:embed profiles.yaml
var defaultProfiles []byte

// DefaultProfiles returns the file of profiles for those who have none, with
// comments for operators.
func DefaultProfiles() []byte { return bytes.Clone(defaultProfiles) }

// Profiles turn alerts into decisions. Immutable and safe for concurrent use.
type Profiles struct{ list []*profile }

// profile is one compiled document.
type profile struct {
	name          string
	filters       []*expression.Program
	decisions     []measure
	durationExpr  *expression.Program
	notifications []string
	stop          bool   // on_success: break
	onError       string // see Judge
}

// Remote reports whether an expression asks another machine, which may take seconds.
func (p *Profiles) Remote() bool {
	for _, one := range p.list {
		for _, e := range append(one.filters[:len(one.filters):len(one.filters)], one.durationExpr) {
			if e != nil && e.Reads().Remote {
				return true
			}
		}
	}
	return false
}

// Notified are the names of all whom any profile has notified, sorted.
func (p *Profiles) Notified() []string {
	var names []string
	for _, one := range p.list {
		names = append(names, one.notifications...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// measure is one entry of decisions.
type measure struct {
	kind, scope, origin, value string
	duration                   time.Duration // 0: none given
	simulated                  bool
}

// compile makes the profile; it is usable only if there are no faults.
func (s *profileSpec) compile(env *expression.Env) (*profile, []error) {
	errs := s.check()
	p := &profile{name: s.Name.text, stop: s.OnSuccess.text == "break", onError: s.OnError.text}
	for _, f := range s.Filters {
		prog, err := env.Compile(f.text, expression.OnAlert, expression.Bool)
		if err != nil {
			errs = append(errs, at(f.line, "filter of profile %q: %w", p.name, err))
		}
		p.filters = append(p.filters, prog)
	}
	if s.DurationExpr.text != "" {
		prog, err := env.Compile(s.DurationExpr.text, expression.OnAlert, expression.Any)
		if err != nil {
			errs = append(errs, at(s.DurationExpr.line, "duration_expr of profile %q: %w", p.name, err))
		}
		p.durationExpr = prog
	}
	for _, n := range s.Notifications {
		p.notifications = append(p.notifications, n.text)
	}
	for _, d := range s.Decisions {
		m := measure{kind: d.Type.text, scope: d.Scope, origin: OriginLocal, value: d.Value, simulated: d.Simulated}
		if d.Origin != "" {
			// CrowdSec compatible.
			m.origin += "/" + d.Origin
		}
		m.duration, _ = ParseDuration(d.Duration.text) // checked; zero where there is none
		p.decisions = append(p.decisions, m)
	}
	return p, errs
}
