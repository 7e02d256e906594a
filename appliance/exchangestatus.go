package appliance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/notify"
)

// NotificationStatus is how those do that are notified of alerts.
type NotificationStatus struct {
	Receivers []notify.Stats `json:"receivers"`
	// Faults are receivers that were left out, and why; Unknown are names in profiles
	// that no receiver has.
	Faults  []string `json:"faults"`
	Unknown []string `json:"unknown"`
	// Untold are alerts that found no place on their way to receivers and Central API.
	Untold int64 `json:"untold"`
}

// AggregateStatus is how banning ranges goes.
type AggregateStatus struct {
	On      bool  `json:"on"`
	Members int64 `json:"members"`  // bans that are looked at
	Ranges  int64 `json:"ranges"`   // banned now
	Made    int64 `json:"made"`     // banned or prolonged since the start
	Spared  int64 `json:"spared"`   // looks at a range that an allowed address spared
	Deleted int64 `json:"deleted"`  // that somebody ended early
	LeftOut int64 `json:"left_out"` // bans that there was no place to look at
	Failed  int64 `json:"failed"`   // that could not be recorded
}

func (st *state) notifications(s *Settings) NotificationStatus {
	out := NotificationStatus{Receivers: orEmpty(st.exchange.notifier.Stats()), Faults: []string{}, Unknown: []string{},
		Untold: st.exchange.announcer.dropped.Load()}
	for _, p := range s.receivers.Problems() {
		out.Faults = append(out.Faults, p.Error())
	}
	known := s.receivers.Names()
	for _, name := range s.profiles.Notified() {
		if !slices.Contains(known, name) {
			out.Unknown = append(out.Unknown, name)
		}
	}
	return out
}

func (st *state) aggregated(s *Settings) AggregateStatus {
	g := st.exchange.aggregator.Stats()
	return AggregateStatus{On: s.aggregate != nil, Members: g.Members, Ranges: g.Ranges, Made: g.Made, Spared: g.Spared,
		Deleted: g.Deleted, LeftOut: g.LeftOut, Failed: g.Failed}
}

// exchangeProblems are what an operator should look at of what is exchanged with
// others, in words.
func (l *live) exchangeProblems(s *Status) []string {
	var out []string
	if p := l.state.exchange.problem.Load(); p != nil {
		out = append(out, "lists and signals go on as they were configured before: "+*p)
	}
	out = append(out, s.Notifications.problems()...)
	if l.settings.config.Community != nil {
		out = append(out, communityProblems(&s.Community, l.settings.config.Community.URL)...)
	}
	for _, f := range s.Lists {
		if f.Problem == "" {
			continue
		}
		text := fmt.Sprintf("list %s cannot be fetched (%s)", f.Name, f.Problem)
		switch {
		case f.Entries > 0:
			text += fmt.Sprintf("; what was fetched at %s is in force until %s", clock(f.Fetched), clock(f.Until))
		default:
			text += "; none of it is in force"
		}
		out = append(out, text)
	}
	if n := s.Aggregate.Failed; n > 0 {
		out = append(out, fmt.Sprintf("%d ranges with many banned addresses could not be banned; the log has why", n))
	}
	return out
}

func clock(t time.Time) string { return t.Local().Format(time.DateTime) }

func (s NotificationStatus) problems() []string {
	out := slices.Clone(s.Faults)
	if len(s.Unknown) > 0 {
		out = append(out, fmt.Sprintf("profiles notify %s, and no receiver is named so; notifications says where receivers are",
			strings.Join(s.Unknown, ", ")))
	}
	for _, r := range s.Receivers {
		if r.LastError != "" && r.LastErrorAt.After(r.LastSent) {
			out = append(out, fmt.Sprintf("notifications to %s fail since %s at the latest: %s", r.Name, clock(r.LastErrorAt), r.LastError))
		}
		if r.Dropped > 0 {
			out = append(out, fmt.Sprintf("%d alerts found the queue of receiver %s full and were not sent", r.Dropped, r.Name))
		}
	}
	if s.Untold > 0 {
		out = append(out, fmt.Sprintf("%d alerts found no place on their way to receivers of notifications and the Central API", s.Untold))
	}
	return out
}

// communityProblems are those of the Central API. url is where the configuration
// would register, "" if it does not say.
func communityProblems(s *community.Status, url string) []string {
	var out []string
	switch {
	case s.Off != "":
		out = append(out, "the Central API is not used: "+s.Off)
	case s.Enabled && !s.Reachable && !s.Since.IsZero():
		out = append(out, fmt.Sprintf("the Central API cannot be used since %s: %s. What it gave stays in force until its end; %d signals wait",
			clock(s.Since), s.LastError, s.Queue))
	}
	if url != "" && s.URL != "" && strings.TrimSuffix(url, "/") != strings.TrimSuffix(s.URL, "/") {
		out = append(out, fmt.Sprintf("the credentials of the Central API are for %s, and the configuration names %s: register again", s.URL, url))
	}
	if s.Dropped > 0 {
		out = append(out, fmt.Sprintf("%d signals for the Central API found no place and were dropped", s.Dropped))
	}
	for _, list := range [...][]community.ListStatus{s.Lists, s.Allowlists} {
		for _, one := range list {
			if one.Problem != "" {
				out = append(out, fmt.Sprintf("list %s of the Central API could not be taken: %s", one.Name, one.Problem))
			}
		}
	}
	return out
}
