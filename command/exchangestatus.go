package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/notify"
)

// exchangeRows are the figures of what is exchanged with others, for programs.
func exchangeRows(s *appliance.Status, add func(key string, v any)) {
	if s.API.Served {
		add("api_requests", s.API.Requests)
		add("api_refused", s.API.Refused)
		add("api_bouncers", s.API.Bouncers)
		add("api_machines", s.API.Machines)
	}
	if s.Community.Enabled {
		add("community_reachable", s.Community.Reachable)
		add("community_entries", s.Community.Community)
		add("community_sent", s.Community.Sent)
		add("community_waiting", s.Community.Queue)
	}
}

// writeExchange tells of the Local API, the Central API, lists from URLs, receivers of
// notifications and ranges; what is off is left out.
func (c *call) writeExchange(s *appliance.Status, line func(name, format string, args ...any)) {
	if a := &s.API; a.Served {
		where := strings.Join(a.Addresses, ", ")
		if where == "" {
			where = "at sites only"
		}
		line("api", "%s; %s, %s; %d requests, %d refused", where, count(a.Bouncers, "bouncer"), count(a.Machines, "machine"), a.Requests, a.Refused)
	}
	if s.Community.Enabled {
		line("community", "%s", c.communityLine(&s.Community))
	}
	for i := range s.Lists {
		line("list", "%s", c.feedLine(&s.Lists[i]))
	}
	for i := range s.Notifications.Receivers {
		line("notify", "%s", receiverLine(&s.Notifications.Receivers[i]))
	}
	if g := &s.Aggregate; g.On {
		line("ranges", "%d banned now, of %s; %d spared for an allowed address", g.Ranges, count(g.Members, "ban"), g.Spared)
	}
}

func (c *call) communityLine(s *community.Status) string {
	text := s.URL + " "
	switch {
	case s.Reachable:
		text += "answers"
	case s.Since.IsZero():
		text += "not asked yet"
	default:
		text += "does not answer since " + c.when(s.Since)
	}
	if s.Pull {
		text += fmt.Sprintf("; %d addresses and %s, the last pull %s", s.Community, count(len(s.Lists), "list"), c.ago(s.LastPull))
		if !s.Leads {
			text += " (another node pulls)"
		}
	}
	if !s.Sharing {
		return text + "; nothing is shared"
	}
	return text + fmt.Sprintf("; %s shared, %d waiting", count(s.Sent, "signal"), s.Queue)
}

func (c *call) feedLine(s *community.FeedStatus) string {
	if s.Fetched.IsZero() && s.Entries == 0 {
		text := s.Name + ": not fetched yet"
		if s.Problem != "" {
			text += ": " + s.Problem
		}
		return text
	}
	text := fmt.Sprintf("%s: %d entries, fetched %s", s.Name, s.Entries, c.ago(s.Fetched))
	if s.Problem != "" {
		text += "; stays as it was: " + s.Problem
	}
	return text
}

// ago is how long an instant is past, or that it never was.
func (c *call) ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return span(max(0, c.o.Now().Sub(t))) + " ago"
}

// receiverLine says what became of the messages for a receiver.
func receiverLine(s *notify.Stats) string {
	text := fmt.Sprintf("%s (%s): %d sent", s.Name, s.Type, s.Sent)
	for _, n := range []struct {
		count uint64
		what  string
	}{{uint64(s.Waiting), "waiting"}, {s.Digested, "digested"}, {s.Failed, "failed"}, {s.Dropped, "dropped"}} {
		if n.count > 0 {
			text += fmt.Sprintf(", %d %s", n.count, n.what)
		}
	}
	return text
}
