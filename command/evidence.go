package command

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rampart-edge/rampart/event"
)

// shownEvents is how many lines of events are shown at each end of many.
const shownEvents = 5

// writeAlert tells one alert: the sentence, what was decided, then the events that
// filled the bucket.
func (c *call) writeAlert(a *event.Alert) {
	w := c.out()
	if a.EventsCount > 0 {
		fmt.Fprintf(w, "alert %d: %s by %s: %s from %s to %s\n", a.ID, printable(a.Scenario), printable(a.GetValue()),
			count(a.EventsCount, "event"), c.stamp(a.StartAt), c.stamp(a.StopAt))
	} else { // no bucket speaks for itself
		fmt.Fprintf(w, "alert %d: %s about %s at %s\n  message   %s\n", a.ID, printable(a.Scenario), printable(a.GetValue()),
			c.stamp(a.StopAt), printable(a.Message))
	}
	if a.Simulated {
		fmt.Fprintln(w, "  simulated nothing is refused for it")
	}
	if a.Site != "" {
		fmt.Fprintf(w, "  site      %s\n", printable(a.Site))
	}
	if a.IncidentID != "" {
		fmt.Fprintf(w, "  incident  %s\n", a.IncidentID)
	}
	for i, d := range a.Decisions {
		if i == shownDecisions {
			fmt.Fprintf(w, "  and %d more\n", len(a.Decisions)-i)
			break
		}
		note := ""
		if d.Suppressed {
			note = ", suppressed by the allowlist"
		}
		fmt.Fprintf(w, "  decision  %d: %s %s for %s%s\n", d.ID, d.Type, printable(d.Value), lasting(d.Duration), note)
	}
	c.writeEvents(a)
}

// eventLine is one line of events: what happened, and how often in a row.
type eventLine struct {
	from, to, text string
	times          int
}

// writeEvents shows the events kept, equal neighbours as one line, and of many
// lines both ends.
func (c *call) writeEvents(a *event.Alert) {
	if len(a.Events) == 0 {
		return
	}
	w := c.out()
	kept := ""
	if int32(len(a.Events)) < a.EventsCount {
		kept = fmt.Sprintf(", %d of them kept", len(a.Events))
	}
	fmt.Fprintf(w, "  events    %d%s\n", a.EventsCount, kept)
	lines := c.eventLines(a)
	head, tail := lines, []eventLine(nil)
	if len(lines) > 2*shownEvents+1 {
		head, tail = lines[:shownEvents], lines[len(lines)-shownEvents:]
	}
	c.writeLines(head)
	if tail == nil {
		return
	}
	hidden := 0
	for _, l := range lines[shownEvents : len(lines)-shownEvents] {
		hidden += l.times
	}
	fmt.Fprintf(w, "    … %d more\n", hidden)
	c.writeLines(tail)
}

func (c *call) writeLines(lines []eventLine) {
	for _, l := range lines {
		times := ""
		if l.times > 1 {
			times = fmt.Sprintf("  ×%d", l.times)
			if l.to != l.from {
				times += ", the last at " + l.to
			}
		}
		fmt.Fprintf(c.out(), "    %s  %s%s\n", l.from, printable(l.text), times)
	}
}

func (c *call) eventLines(a *event.Alert) []eventLine {
	var lines []eventLine
	for _, e := range a.Events {
		at, text := c.stamp(e.Timestamp), describe(e.Meta, a)
		if n := len(lines) - 1; n >= 0 && lines[n].text == text {
			lines[n].times++
			lines[n].to = at
			continue
		}
		lines = append(lines, eventLine{at, at, text, 1})
	}
	return lines
}

// describe is an event in one line: the request, or the kind of event and what else
// is known of it. What the alert says already is left out.
func describe(m event.Meta, a *event.Alert) string {
	var parts []string
	if path := m.Get("http_path"); path != "" {
		parts = append(parts, strings.TrimSpace(m.Get("http_verb")+" "+m.Get("target_fqdn")+path))
		if status := m.Get("http_status"); status != "" {
			parts = append(parts, "→ "+status)
		}
		if agent := m.Get("http_user_agent"); agent != "" {
			parts = append(parts, strconv.QuoteToGraphic(agent))
		}
	} else {
		parts = append(parts, m.Get("log_type"))
	}
	for _, it := range m {
		switch it.Key {
		case "timestamp", "datasource_path", "datasource_type", "machine", "service", "log_type",
			"http_path", "http_verb", "http_status", "http_user_agent", "http_args_len", "target_fqdn":
			continue
		case "source_ip":
			if a.Source != nil && (it.Value == a.Source.IP || it.Value == a.Source.Value) {
				continue
			}
		}
		parts = append(parts, it.Key+"="+quoted(it.Value))
	}
	return strings.Join(parts, " ")
}

// quoted is a value that cannot be taken for two, or for something else.
func quoted(s string) string {
	if q := strconv.QuoteToGraphic(s); len(q) != len(s)+2 || s == "" || strings.ContainsAny(s, " =") {
		return q
	}
	return s
}
