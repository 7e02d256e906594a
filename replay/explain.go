package replay

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/hub"
	"github.com/rampart-edge/rampart/logsources/file"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

// What became of a line.
const (
	Unparsed    = "unparsed"    // some stage had no node that succeeded
	Whitelisted = "whitelisted" // a parser's whitelist hit: nothing is poured
	Undated     = "undated"     // no parser found out when it happened: nothing is poured
	Untaken     = "untaken"     // it is an event that no scenario is interested in
	Taken       = "taken"
)

// Explanation is what the engine made of one line.
type Explanation struct {
	Line    string `json:"line"`
	Source  string `json:"source,omitempty"` // the file
	Number  int    `json:"number"`           // of the line, from 1
	Outcome string `json:"outcome"`
	// Reason is the whitelist's, or what was wrong.
	Reason string `json:"reason,omitempty"`
	// Steps are the nodes that were tried, parents before their children.
	Steps     []Step     `json:"steps"`
	Time      time.Time  `json:"time,omitzero"` // when it counts
	Pours     []Pour     `json:"pours"`
	Overflows []Overflow `json:"overflows"`
}

// Step is one node.
type Step struct {
	Stage       string   `json:"stage"`
	Node        string   `json:"node"`
	Depth       int      `json:"depth"`
	OK          bool     `json:"ok"`
	Reason      string   `json:"reason,omitempty"` // why it is not ok: see package parsers
	Detail      string   `json:"detail,omitempty"`
	Whitelisted bool     `json:"whitelisted,omitempty"`
	Changes     []Change `json:"changes,omitempty"`
}

// Change is a field that a node gave another value.
type Change struct {
	Field string `json:"field"`
	Old   string `json:"old,omitempty"`
	New   string `json:"new"`
}

// What a pour into a bucket did.
const (
	Poured     = "poured"
	Duplicate  = "duplicate" // its distinct value is in the bucket already
	Cancelled  = "cancelled" // cancel_on emptied the bucket
	Overflowed = "overflowed"
	Blackholed = "blackholed" // it overflowed within the blackhole of an earlier overflow
	Filtered   = "filtered"   // its overflow filter discarded the overflow
	Refused    = "refused"    // there was no room for the bucket
)

// Pour is one scenario that took the event.
type Pour struct {
	Scenario string `json:"scenario"`
	Key      string `json:"key"` // the groupby result
	Distinct string `json:"distinct,omitempty"`
	Outcome  string `json:"outcome"`
	// Held is how many events the bucket holds after this one, Capacity how many it
	// can; an overflowed bucket is gone and holds none.
	Held     int       `json:"held"`
	Capacity int       `json:"capacity"`
	Count    int       `json:"count"` // events since the bucket was made
	Until    time.Time `json:"blackhole_until,omitzero"`
	Chained  bool      `json:"chained,omitempty"` // the event is an overflow of this line
}

// Overflow is one bucket that the line made overflow.
type Overflow struct {
	Scenario    string        `json:"scenario"`
	Sources     []string      `json:"sources"`
	Whitelisted bool          `json:"whitelisted,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	Steps       []Step        `json:"steps,omitempty"` // the postoverflows
	Alerts      []event.Alert `json:"alerts"`          // none of a whitelisted one
}

// Explainer explains lines, one after the other, with buckets that fill up.
type Explainer struct {
	*Session
	now   *Explanation
	steps []parsers.Step
}

// NewExplainer compiles what is chosen.
func NewExplainer(c Choice, log *zap.Logger) (*Explainer, error) {
	items, err := c.load()
	if err != nil {
		return nil, err
	}
	return newExplainer(items, log)
}

// ExplainCase compiles what a test of the Hub runs. Lines are taken as the test takes
// them.
func ExplainCase(c *hub.Catalogue, one *hub.Case) (*Explainer, error) {
	return newExplainer(&items{catalogue: c, content: one.Content, faithful: true}, nil)
}

func newExplainer(items *items, log *zap.Logger) (*Explainer, error) {
	x := &Explainer{}
	s, err := items.open(log, &engine.Observer{Step: func(st parsers.Step) { x.steps = append(x.steps, st) },
		Parsed: x.parsed, Overflow: x.overflow}, x.pour)
	if err != nil {
		return nil, err
	}
	x.Session = s
	s.alert = x.concluded
	return x, nil
}

// Run explains all lines of the inputs, one input after the other in the order of
// their lines, until each fails. An explanation is each's to keep.
func (x *Explainer) Run(ctx context.Context, inputs []Input, each func(*Explanation) error) error {
	for _, in := range inputs {
		n := 0
		err := file.Read(ctx, in.path(), in.labels(), 0, func(l event.Line) error {
			n++
			one := x.line(l, n)
			one.Source = in.Path
			return each(one)
		})
		if err != nil {
			return fmt.Errorf("explaining: %w", err)
		}
	}
	return nil
}

// Line explains one line.
func (x *Explainer) Line(text string, in Input) *Explanation {
	return x.line(event.Line{Raw: text, Src: in.Path, Labels: in.labels(), Module: "file", Time: time.Now()}, 1)
}

func (x *Explainer) line(l event.Line, number int) *Explanation {
	x.now = &Explanation{Line: l.Raw, Source: l.Src, Number: number, Steps: []Step{}, Pours: []Pour{}, Overflows: []Overflow{}}
	x.steps = nil
	ev, at, ok := x.engine.Read(l)
	switch {
	case ok:
		x.now.Time = at
		x.engine.Take(ev, at)
		x.engine.Done(ev)
		x.now.Outcome = Untaken
		if len(x.now.Pours) > 0 {
			x.now.Outcome = Taken
		}
	case x.now.Outcome == "":
		x.now.Outcome = Undated
	}
	return x.now
}

// parsed is told what the parsers made of the line.
func (x *Explainer) parsed(ev *event.Event, out parsers.Outcome) {
	x.now.Steps = x.take()
	switch {
	case !out.Parsed:
		x.now.Outcome = Unparsed
		if out.Err != nil {
			x.now.Reason = out.Err.Error()
		}
	case ev.Whitelisted:
		x.now.Outcome, x.now.Reason = Whitelisted, ev.WhitelistReason
	}
}

// take returns the steps so far, as a tree is written down.
func (x *Explainer) take() []Step {
	slices.SortFunc(x.steps, func(a, b parsers.Step) int { return cmp.Compare(a.Order, b.Order) })
	list := make([]Step, 0, len(x.steps))
	for _, s := range x.steps {
		one := Step{Stage: s.Stage, Node: s.Node, Depth: s.Depth, OK: s.OK, Reason: s.Reason, Detail: s.Detail, Whitelisted: s.Whitelisted}
		for _, c := range s.Changes {
			if c.Field == "Time" { // before a date was read there is none
				c.Old = ""
			}
			one.Changes = append(one.Changes, Change{c.Field, c.Old, c.New})
		}
		list = append(list, one)
	}
	x.steps = x.steps[:0]
	return list
}

// pour is told of each drop with what it changed.
func (x *Explainer) pour(d scenarios.Drop, outcome string, l scenarios.Level) {
	if x.now == nil { // an end of time, of no line
		return
	}
	p := Pour{Scenario: d.Scenario.Name, Key: d.Key, Distinct: d.Distinct, Outcome: outcome, Held: l.Held,
		Capacity: d.Scenario.Capacity, Count: l.Count, Until: l.Hole, Chained: d.Event.Type == event.OverflowType}
	x.now.Pours = append(x.now.Pours, p)
}

// overflow is told of an overflow after the postoverflows.
func (x *Explainer) overflow(ev *event.Event) {
	o := Overflow{Sources: ev.Overflow.GetSources(), Whitelisted: ev.Overflow.Whitelisted, Reason: ev.WhitelistReason,
		Steps: x.take(), Alerts: []event.Alert{}}
	if ev.Overflow.Alert != nil {
		o.Scenario = ev.Overflow.Alert.GetScenario()
	}
	x.now.Overflows = append(x.now.Overflows, o)
}

// concluded is told of an alert. Between an overflow and its alerts come those of
// scenarios that feed on it.
func (x *Explainer) concluded(a *event.Alert) {
	for i := len(x.now.Overflows) - 1; i >= 0; i-- {
		if o := &x.now.Overflows[i]; o.Scenario == a.GetScenario() {
			o.Alerts = append(o.Alerts, *a)
			return
		}
	}
}
