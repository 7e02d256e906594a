package hub

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

// successStage is a stage in the results of parsers that holds nothing. CrowdSec
// compatible: its dump has it, and assertions count stages.
const successStage = "success"

// NodeResult is what a top-level node did with one line that reached it.
type NodeResult struct {
	Idx     int `yaml:"Idx"` // from 1: as how manyth of its stage the node was first seen
	Evt     *event.Event
	Success bool
}

// ParserResults are what assertions of parsers see as results: by stage and name of
// the node, one for each line that reached it, in the order of the lines.
type ParserResults map[string]map[string][]NodeResult

// OverflowResults are what assertions of scenarios see as results: the overflows as
// events, after the postoverflows, sorted.
type OverflowResults []*event.Event

// PourResults are the events that each scenario took, by its name, and under "OK"
// all that reached the scenarios.
type PourResults map[string][]*event.Event

// Results are all that a run of a log left.
type Results struct {
	Parsers   ParserResults
	Overflows OverflowResults
	Pours     PourResults

	last string // stage of the node that ran last
	ok   bool   // a node of it succeeded
}

func newResults() *Results {
	return &Results{Parsers: ParserResults{successStage: {"": nil}}, Pours: PourResults{}}
}

// node notes the event as a node left it.
func (r *Results) node(stage, node string, ev *event.Event, ok bool) {
	if stage != r.last {
		r.last, r.ok = stage, false
	}
	r.ok = r.ok || ok
	r.enter(stage)
	nodes := r.Parsers[stage]
	seen := nodes[node]
	index := len(nodes) + 1
	if len(seen) > 0 {
		index = seen[0].Idx
	}
	nodes[node] = append(seen, NodeResult{Idx: index, Evt: snapshot(ev), Success: ok})
}

// enter notes that an event came to a stage.
func (r *Results) enter(stage string) {
	if r.Parsers[stage] == nil {
		r.Parsers[stage] = map[string][]NodeResult{}
	}
}

// passed notes the stages that an event came to without a node of them that ran.
// CrowdSec compatible: an event comes to the stage after one in which a node
// succeeded, be it that nobody promoted it and it ends there.
func (r *Results) passed(stages []string, out parsers.Outcome) {
	for i, stage := range stages {
		if i > 0 && stage > r.last && !out.Parsed {
			if r.ok && out.Err == nil && stages[i-1] == r.last {
				r.enter(stage)
			}
			break
		}
		r.enter(stage)
	}
	r.last, r.ok = "", false
}

// pour notes who takes an event.
func (r *Results) pour(ev *event.Event, drops []scenarios.Drop) {
	kept := snapshot(ev)
	r.Pours["OK"] = append(r.Pours["OK"], kept)
	for i := range drops {
		name := drops[i].Scenario.Name
		r.Pours[name] = append(r.Pours[name], kept)
	}
}

// overflow notes an overflow.
func (r *Results) overflow(ev *event.Event) { r.Overflows = append(r.Overflows, snapshot(ev)) }

// sort puts the overflows in the order in which assertions count them. CrowdSec
// compatible: descending by scenario and sources, and with the very algorithm of
// its language's library, which leaves equal ones in no order of its own once there
// are more than twelve.
func (o OverflowResults) sort() {
	keys := make([]string, len(o))
	for i, ev := range o {
		keys[i] = ev.Overflow.Alert.GetScenario() + strings.Join(ev.Overflow.GetSources(), "@")
	}
	sort.Sort(sort.Reverse(&byKey{o, keys}))
}

type byKey struct {
	events OverflowResults
	keys   []string
}

func (b *byKey) Len() int           { return len(b.keys) }
func (b *byKey) Less(i, j int) bool { return b.keys[i] < b.keys[j] }
func (b *byKey) Swap(i, j int) {
	b.keys[i], b.keys[j] = b.keys[j], b.keys[i]
	b.events[i], b.events[j] = b.events[j], b.events[i]
}

// snapshot copies an event as it would come back out of CrowdSec's dump.
func snapshot(ev *event.Event) *event.Event {
	c := ev.Clone()
	c.From, c.Stamp = event.Provenance{}, event.Stamp{}
	if len(ev.Unmarshaled) > 0 {
		c.Unmarshaled, _ = reread(ev.Unmarshaled).(map[string]any)
	}
	c.Time = ev.Time.Round(0)
	// An event that was used before has maps where a new one has none.
	for _, m := range [...]*map[string]string{&c.Parsed, &c.Enriched, &c.Meta} {
		if len(*m) == 0 {
			*m = nil
		}
	}
	if len(c.Unmarshaled) == 0 {
		c.Unmarshaled = nil
	}
	if ev.Overflow.Alert == nil {
		return c
	}
	// Alert is the first of APIAlerts, and an alert shares its source with Sources.
	cells := map[*event.Source]*event.Source{}
	for key, s := range ev.Overflow.Sources {
		cells[s] = c.Overflow.Sources[key]
	}
	c.Overflow.APIAlerts = slices.Clone(ev.Overflow.APIAlerts)
	for i := range c.Overflow.APIAlerts {
		a := &c.Overflow.APIAlerts[i]
		a.Events, a.Meta = slices.Clone(a.Events), slices.Clone(a.Meta)
		a.Labels, a.Decisions, a.ScenarioLabels = slices.Clone(a.Labels), slices.Clone(a.Decisions), maps.Clone(a.ScenarioLabels)
		if cell, ok := cells[a.Source]; ok {
			a.Source = cell
		}
	}
	c.Overflow.Alert = &c.Overflow.APIAlerts[0]
	return c
}

// wholeBelow is from where CrowdSec's dump writes whole numbers with an exponent, so
// that they come back as they were.
const wholeBelow = 1e6

// reread copies a decoded tree as writing it to YAML and reading it again leaves
// it: maps have text for keys, whole numbers are integers.
func reread(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = reread(e)
		}
		return out
	case map[string]string:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = e
		}
		return out
	case map[any]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[fmt.Sprint(k)] = reread(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = reread(e)
		}
		return out
	case []string:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = e
		}
		return out
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < wholeBelow {
			return int(v)
		}
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case time.Time:
		return v.Round(0)
	}
	return v
}
