package decisions

// ProfileSummary is a profile as people wrote it.
type ProfileSummary struct {
	Name          string            `json:"name"`
	Filters       []string          `json:"filters"` // one that is true is enough
	Decisions     []ProfileDecision `json:"decisions"`
	DurationExpr  string            `json:"duration_expr,omitempty"`
	Notifications []string          `json:"notifications"`
	Stops         bool              `json:"stops"` // once it matched, the profiles after it are not tried
	OnError       string            `json:"on_error,omitempty"`
}

// ProfileDecision is a decision that a profile makes. What is empty is the alert's to
// say, and an empty Duration that of the scenario's blackhole, or 4h.
type ProfileDecision struct {
	Type      string `json:"type"`
	Scope     string `json:"scope,omitempty"`
	Value     string `json:"value,omitempty"`
	Origin    string `json:"origin"`
	Duration  string `json:"duration,omitempty"` // Go duration text
	Simulated bool   `json:"simulated"`
}

// List tells what the profiles are, in the order in which they apply. The lists in it
// are never nil.
func (p *Profiles) List() []ProfileSummary {
	out := make([]ProfileSummary, 0, len(p.list))
	for _, one := range p.list {
		s := ProfileSummary{Name: one.name, Filters: []string{}, Decisions: []ProfileDecision{}, Notifications: []string{},
			Stops: one.stop, OnError: one.onError}
		for _, f := range one.filters {
			s.Filters = append(s.Filters, f.Source())
		}
		for _, m := range one.decisions {
			d := ProfileDecision{Type: m.kind, Scope: m.scope, Value: m.value, Origin: m.origin, Simulated: m.simulated}
			if m.duration > 0 {
				d.Duration = m.duration.String()
			}
			s.Decisions = append(s.Decisions, d)
		}
		if one.durationExpr != nil {
			s.DurationExpr = one.durationExpr.Source()
		}
		s.Notifications = append(s.Notifications, one.notifications...)
		out = append(out, s)
	}
	return out
}
