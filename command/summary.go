package command

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rampart-edge/rampart/event"
)

const (
	// listedAlerts is how many alerts of a replay people are shown one by one.
	listedAlerts = 100
	// shownSources is how many sources the summary names.
	shownSources = 20
	// maxSources bounds what the summary remembers; alerts about further sources
	// only count for their scenario.
	maxSources = 100_000
)

// summary counts alerts by scenario and by source. What it holds does not grow
// with the number of alerts.
type summary struct {
	scenarios map[string]*tally
	sources   map[string]*tally
	others    int // alerts about sources that found no room
	total     int
	shown     []event.Alert // the first ones, without their events
}

// tally is what is known of one scenario or source.
type tally struct {
	name        string
	alerts      int
	events      int64
	first, last time.Time
	// with are the sources of a scenario, or the scenarios of a source.
	with map[string]bool
}

func newSummary() *summary {
	return &summary{scenarios: map[string]*tally{}, sources: map[string]*tally{}}
}

// add counts an alert.
func (s *summary) add(a *event.Alert) {
	s.total++
	if len(s.shown) < listedAlerts {
		short := *a
		short.Events, short.Meta = nil, nil
		s.shown = append(s.shown, short)
	}
	source := a.GetValue()
	count := func(m map[string]*tally, name, with string) bool {
		t := m[name]
		if t == nil {
			if len(m) >= maxSources {
				return false
			}
			t = &tally{name: name, first: a.Stop, with: map[string]bool{}}
			m[name] = t
		}
		t.alerts++
		t.events += int64(a.EventsCount)
		if a.Stop.Before(t.first) {
			t.first = a.Stop
		}
		if a.Stop.After(t.last) {
			t.last = a.Stop
		}
		if len(t.with) < maxSources {
			t.with[with] = true
		}
		return true
	}
	count(s.scenarios, a.Scenario, source)
	if !count(s.sources, source, a.Scenario) {
		s.others++
	}
}

// ranked are the tallies with the most alerts first.
func ranked(m map[string]*tally) []*tally {
	list := make([]*tally, 0, len(m))
	for _, t := range m {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *tally) int {
		return cmp.Or(cmp.Compare(b.alerts, a.alerts), cmp.Compare(a.name, b.name))
	})
	return list
}

// writeSummary tells people what the alerts amount to.
func (c *call) writeSummary(s *summary) error {
	w := c.out()
	if more := s.total - len(s.shown); more > 0 {
		fmt.Fprintf(w, "… %s; -o json and -o raw print every one\n", count(more, "more alert"))
	}
	if s.total < 2 {
		return nil
	}
	fmt.Fprintln(w)
	if err := c.tallyTable("scenario", "sources", ranked(s.scenarios)).write(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	list := ranked(s.sources)
	hidden := max(len(list)-shownSources, 0)
	if err := c.tallyTable("source", "scenarios", list[:len(list)-hidden]).write(w); err != nil {
		return err
	}
	if hidden > 0 {
		fmt.Fprintf(w, "… %s\n", count(hidden, "more source"))
	}
	if s.others > 0 {
		fmt.Fprintf(w, "… %s about sources beyond the first %d\n", count(s.others, "alert"), maxSources)
	}
	return nil
}

func (c *call) tallyTable(what, with string, list []*tally) table {
	t := table{head: []string{what, "alerts", with, "events", "first", "last"}}
	for _, y := range list {
		t.rows = append(t.rows, []string{y.name, strconv.Itoa(y.alerts), strconv.Itoa(len(y.with)),
			strconv.FormatInt(y.events, 10), y.first.Format(time.DateTime), y.last.Format(time.DateTime)})
	}
	return t
}
