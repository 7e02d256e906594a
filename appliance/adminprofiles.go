package appliance

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/scenarios"
)

func listProfiles(l *live, r *http.Request) (any, error) {
	return l.settings.profiles.List(), nil
}

// ProfileTestRequest asks what profiles make of an alert: one that is kept, by its ID, or
// Alert as JSON.
type ProfileTestRequest struct {
	ID    int64           `json:"id,omitempty"`
	Alert json.RawMessage `json:"alert,omitempty"`
	// Profiles is the text of a file of profiles. Default: those in force. Path is what
	// errors call it.
	Profiles string `json:"profiles,omitempty"`
	Path     string `json:"path,omitempty"`
}

// ProfileTest is what profiles make of an alert. The clock stands at the alert's last
// event; counts that expressions ask for are those of now.
type ProfileTest struct {
	AlertID       int64                      `json:"alert_id"`
	Scenario      string                     `json:"scenario"`
	Source        string                     `json:"source"`
	Simulated     bool                       `json:"simulated"`
	Profiles      []decisions.ProfileVerdict `json:"profiles"`
	Decisions     []decisions.Decision       `json:"decisions"`
	Notifications []string                   `json:"notifications"`
	// Unknown are notifications that no receiver here is named as.
	Unknown []string `json:"unknown"`
}

func testProfiles(l *live, r *http.Request) (any, error) {
	var q ProfileTestRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	a, err := l.subject(&q)
	if err != nil {
		return nil, err
	}
	profiles := l.settings.profiles
	if q.Profiles != "" {
		if profiles, err = decisions.LoadProfiles(cmp.Or(q.Path, "profiles"), []byte(q.Profiles), l.settings.ruleset.Env); err != nil {
			return nil, badRequest(err)
		}
	}
	describe(a, l.settings.rules)
	if l.state.simulated(l.settings)(a) {
		a.Simulated = true
	}
	t := testOf(profiles, a)
	known := l.settings.receivers.Names()
	for _, name := range t.Notifications {
		if !slices.Contains(known, name) {
			t.Unknown = append(t.Unknown, name)
		}
	}
	return t, nil
}

// subject is the alert that a test is about.
func (l *live) subject(q *ProfileTestRequest) (*event.Alert, error) {
	switch {
	case (q.ID == 0) == (len(q.Alert) == 0):
		return nil, badRequest(errors.New("give the id of an alert or an alert, one of them"))
	case q.ID == 0:
		a, err := ReadAlert(q.Alert)
		if err != nil {
			return nil, badRequest(err)
		}
		return a, nil
	}
	a, ok := l.state.book.Alert(q.ID)
	if !ok {
		return nil, noAlert(q.ID)
	}
	forget(&a)
	return &a, nil
}

// ReadAlert reads an alert as `alerts inspect -o json` and CrowdSec's cscli print it. What
// profiles decided about it before is left out, so that it can be decided anew; decisions
// that it came with stay.
func ReadAlert(data []byte) (*event.Alert, error) {
	var a event.Alert
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("reading the alert: %w", err)
	}
	if a.Scenario == "" || a.Source == nil {
		return nil, errors.New("reading the alert: it has no scenario or no source; take one from `alerts inspect ID -o json`")
	}
	forget(&a)
	return &a, nil
}

func forget(a *event.Alert) {
	a.Decisions = slices.DeleteFunc(slices.Clone(a.Decisions), func(d event.AlertDecision) bool {
		origin, _, _ := strings.Cut(d.Origin, "/")
		return origin == decisions.OriginLocal
	})
	a.Stop, _ = time.Parse(time.RFC3339Nano, a.StopAt)
}

// describe gives an alert what is not kept with it of its scenario.
func describe(a *event.Alert, rules *scenarios.Rules) {
	for _, s := range rules.All() {
		if s.Name == a.Scenario {
			a.ScenarioLabels, a.Blackhole = s.Labels, s.Blackhole
			return
		}
	}
}

func testOf(p *decisions.Profiles, a *event.Alert) ProfileTest {
	now := a.Stop
	if now.IsZero() {
		now = time.Now()
	}
	t := ProfileTest{AlertID: a.ID, Scenario: a.Scenario, Source: a.Source.String(), Simulated: a.Simulated, Profiles: p.Explain(a, now),
		Decisions: []decisions.Decision{}, Notifications: []string{}, Unknown: []string{}}
	for _, v := range t.Profiles {
		t.Decisions = append(t.Decisions, v.Decisions...)
		for _, name := range v.Notifications {
			if !slices.Contains(t.Notifications, name) {
				t.Notifications = append(t.Notifications, name)
			}
		}
	}
	return t
}

// ExplainProfiles tells without a node what the profiles in a file make of an alert. There
// are no decisions that expressions could count, and no Hub.
func ExplainProfiles(file string, a *event.Alert) (ProfileTest, error) {
	env := expression.New(expression.Options{Logger: zap.NewNop(), Now: time.Now})
	p, err := decisions.ReadProfiles(file, env)
	if err != nil {
		return ProfileTest{}, err
	}
	return testOf(p, a), nil
}
