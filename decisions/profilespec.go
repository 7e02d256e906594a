package decisions

import (
	"fmt"
	"slices"
	"time"
)

// profileSpec is a profile as its YAML document has it. CrowdSec compatible: names
// and meaning of the keys, and that unknown ones are errors.
type profileSpec struct {
	Name          located        `yaml:"name"`
	Debug         bool           `yaml:"debug"` // without effect
	Filters       []located      `yaml:"filters"`
	Decisions     []decisionSpec `yaml:"decisions"`
	DurationExpr  located        `yaml:"duration_expr"`
	OnSuccess     located        `yaml:"on_success"`
	OnFailure     located        `yaml:"on_failure"` // checked, without effect, as upstream
	OnError       located        `yaml:"on_error"`
	Notifications []located      `yaml:"notifications"`
}

// decisionSpec is one entry of `decisions`. The identity and end of a decision are
// the journal's business: those keys are accepted, for files that have them, and
// have no effect.
type decisionSpec struct {
	Type      located `yaml:"type"`
	Duration  located `yaml:"duration"`
	Scope     string  `yaml:"scope"`
	Origin    string  `yaml:"origin"`
	Value     string  `yaml:"value"`
	Simulated bool    `yaml:"simulated"`
	ID        int64   `yaml:"id"`
	UUID      string  `yaml:"uuid"`
	Until     string  `yaml:"until"`
	Scenario  string  `yaml:"scenario"`
}

// The words that the keys take; read-only.
var (
	successWords = []string{"", "continue", "break"}
	failureWords = []string{"", "continue", "break", "apply"}
	errorWords   = []string{"", "break", "continue", "apply", "ignore"}
)

// line is where the profile is, by the first of its keys that can tell.
func (s *profileSpec) line() int {
	lines := []int{s.Name.line, s.OnSuccess.line, s.OnError.line, s.DurationExpr.line}
	for i := range s.Filters {
		lines = append(lines, s.Filters[i].line)
	}
	for i := range s.Decisions {
		lines = append(lines, s.Decisions[i].Type.line, s.Decisions[i].Duration.line)
	}
	lines = slices.DeleteFunc(lines, func(n int) bool { return n == 0 })
	if len(lines) == 0 {
		return 1
	}
	return slices.Min(lines)
}

// check finds what can be wrong without compiling anything.
func (s *profileSpec) check() []error {
	var errs []error
	line := s.line()
	if s.Name.text == "" {
		errs = append(errs, at(line, "profile without a name"))
	}
	if len(s.Filters) == 0 {
		errs = append(errs, at(line, "profile %q has no filters, it could never match; write `true` for every alert", s.Name.text))
	}
	for i := range s.Decisions {
		if err := s.Decisions[i].check(line); err != nil {
			errs = append(errs, err)
		}
	}
	for _, w := range []struct {
		key   string
		value located
		words []string
	}{
		{"on_success", s.OnSuccess, successWords}, {"on_failure", s.OnFailure, failureWords}, {"on_error", s.OnError, errorWords},
	} {
		if !slices.Contains(w.words, w.value.text) {
			errs = append(errs, at(w.value.line, "%s %q: expected one of %q", w.key, w.value.text, w.words[1:]))
		}
	}
	for _, n := range s.Notifications {
		if err := checkText("name of a notification", n.text, maxScope); err != nil {
			errs = append(errs, at(n.line, "notifications of profile %q: %w", s.Name.text, err))
		}
	}
	return errs
}

func (d *decisionSpec) check(profile int) error {
	line := max(d.Type.line, d.Duration.line, profile)
	if d.Type.text == "" {
		return at(line, "decision without a type; expected ban, captcha, throttle or one of your own")
	}
	probe := Decision{Type: d.Type.text, Scope: "probe", Value: "probe"}
	if err := Normalise(&probe, false); err != nil {
		return at(line, "decision: %w", err)
	}
	if d.Duration.text == "" {
		return nil
	}
	if _, err := positiveDuration(d.Duration.text); err != nil {
		return at(line, "decision %s: %w", d.Type.text, err)
	}
	return nil
}

func positiveDuration(s string) (time.Duration, error) {
	d, err := ParseDuration(s)
	if err == nil && d <= 0 {
		return 0, fmt.Errorf("duration %q: expected one above zero", s)
	}
	return d, err
}
