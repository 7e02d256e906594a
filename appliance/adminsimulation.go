package appliance

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/decisions"
)

// maxSelectors bounds the selectors of one request.
const maxSelectors = 256

// Where a rule of a simulation comes from.
const (
	fromDefault  = "default"
	fromFile     = "file"
	fromConfig   = "configuration"
	fromOperator = "operator"
)

// SimulationStatus is what only simulates, and who said so.
type SimulationStatus struct {
	All   bool             `json:"all"` // scenarios simulate that no rule is about
	Rules []SimulationRule `json:"rules"`
	// Unknown are scenarios and lists of rules that nothing here has.
	// An agent may still report such a scenario.
	Unknown []string `json:"unknown"`
}

// SimulationRule says of one selector whether it simulates.
type SimulationRule struct {
	Selector string    `json:"selector"` // scenario, list:NAME, host:NAME, or * for all scenarios
	On       bool      `json:"on"`
	From     string    `json:"from"` // default, file, configuration, or operator
	By       string    `json:"by,omitempty"`
	At       time.Time `json:"at,omitzero"`
	// Overruled: an operator chose otherwise, for this selector or all scenarios.
	Overruled bool `json:"overruled"`
}

func listSimulation(l *live, r *http.Request) (any, error) {
	return l.simulation(), nil
}

// simulation lists files and configuration before what operators chose.
func (l *live) simulation() SimulationStatus {
	chosen := l.state.simulation.Choices()
	is := func(selector string) bool {
		return slices.ContainsFunc(chosen, func(c decisions.SimulationChoice) bool { return c.Selector == selector })
	}
	base, config := l.settings.simulation, l.settings.config.Simulation
	general := SimulationRule{Selector: decisions.SelectAll, On: base.On, From: fromDefault, Overruled: is(decisions.SelectAll)}
	switch {
	case config.On:
		general.From = fromConfig
	case config.File != "":
		general.From = fromFile
	}
	out := SimulationStatus{Rules: []SimulationRule{general}, Unknown: []string{}}
	ofFile := len(base.Exclusions) - len(config.Except)
	for i, text := range base.Exclusions {
		rule := SimulationRule{Selector: text, On: !base.On || special(text), From: fromFile,
			Overruled: is(text) || !special(text) && is(decisions.SelectAll)}
		if i >= ofFile {
			rule.From = fromConfig
		}
		out.Rules = append(out.Rules, rule)
	}
	for _, c := range chosen {
		out.Rules = append(out.Rules, SimulationRule{Selector: c.Selector, On: c.On, From: fromOperator, By: c.By, At: c.At})
	}
	for _, rule := range out.Rules {
		if rule.Selector == decisions.SelectAll && !rule.Overruled {
			out.All = rule.On
		}
		if !l.hasSelector(rule.Selector) && !slices.Contains(out.Unknown, rule.Selector) {
			out.Unknown = append(out.Unknown, rule.Selector)
		}
	}
	return out
}

// special reports whether a selector is about something else than scenarios.
func special(selector string) bool {
	return strings.HasPrefix(selector, "list:") || strings.HasPrefix(selector, "host:")
}

// hasSelector reports whether there is what a selector is about. Any site may be one.
func (l *live) hasSelector(selector string) bool {
	if name, ok := strings.CutPrefix(selector, "list:"); ok {
		return slices.ContainsFunc(l.state.book.Lists(), func(b *decisions.Blocklist) bool { return b.Name == name }) ||
			slices.ContainsFunc(l.settings.feeds, func(f community.Feed) bool { return f.Name == name })
	}
	if selector == decisions.SelectAll || special(selector) || slices.Contains(l.state.roster().Scenarios, selector) {
		return true
	}
	_, alerted := l.state.book.AlertTally()[selector]
	return alerted
}

// SimulationRequest chooses for selectors.
type SimulationRequest struct {
	Selectors []string `json:"selectors"` // * is all scenarios
	On        bool     `json:"on"`
}

// chooseSimulation is in force, and on disk, when it is answered.
func chooseSimulation(l *live, r *http.Request) (any, error) {
	var q SimulationRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	if len(q.Selectors) == 0 || len(q.Selectors) > maxSelectors {
		return nil, badRequest(fmt.Errorf("there are %d selectors; give 1 to %d: names of scenarios, list:NAME, host:NAME, or * for all scenarios",
			len(q.Selectors), maxSelectors))
	}
	for _, text := range q.Selectors {
		if _, err := decisions.ParseSelector(text); err != nil {
			return nil, badRequest(err)
		}
	}
	for _, text := range q.Selectors {
		if err := l.state.simulation.Set(text, q.On, "operator"); err != nil {
			return nil, err
		}
	}
	return l.simulateAnew(), nil
}

// resetSimulation takes choices of operators back: of one selector, or all.
func resetSimulation(l *live, r *http.Request) (any, error) {
	selectors := r.URL.Query()["selector"]
	if len(selectors) == 0 {
		for _, c := range l.state.simulation.Choices() {
			selectors = append(selectors, c.Selector)
		}
	}
	var errs []error
	for _, text := range selectors {
		if _, err := decisions.ParseSelector(text); err != nil {
			return nil, badRequest(err)
		}
		errs = append(errs, l.state.simulation.Clear(text))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return l.simulateAnew(), nil
}

func (l *live) simulateAnew() SimulationStatus {
	l.state.simulateLists(l.settings)
	return l.simulation()
}
