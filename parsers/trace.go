package parsers

import (
	"strings"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
)

// Why a node was false.
const (
	ReasonFilter   = "filter"   // its filter did not let the event in
	ReasonGrok     = "grok"     // its grok failed, and no child made up for it
	ReasonChildren = "children" // its children decide, and they failed
	ReasonError    = "error"    // the event was given up in it or below it
)

// Step is one node as Trace saw it, after it ran.
type Step struct {
	Stage string // that the event was in when the node began
	Node  string // its name; a child without one is called child-<parent>
	Depth int    // 0 for a document of its own
	Index int    // its place among its siblings, from 0
	// Order counts nodes as they begin, from 0. Steps come in the order in which
	// nodes end, children before their parent; sorted by Order they form the tree.
	Order  int
	OK     bool
	Reason string // of a node that is not OK, one of the constants above
	Detail string // more about Reason, where there is more to say; for people
	// Whitelisted: the node's own lists hit.
	Whitelisted bool
	// Changes are what the node itself did to the event, without its children, in
	// the order of Field. A failed node may have some: what it wrote stays.
	Changes []Change
}

// Trace is Parse with a call after each node of each depth that was tried.
func (p *Pipeline) Trace(ev *event.Event, watch func(Step)) Outcome {
	p.enter(ev)
	return p.walk(ev, &walk{trace: watch, lenient: p.options.Postoverflow})
}

// tracer follows one event through the nodes: all of them for watch, those that
// have debug set for the log. It is slow, and nil for all other events.
type tracer struct {
	watch func(Step)
	log   *zap.Logger
	began int
	open  []*tracedNode // from the document to the child at hand
}

// tracedNode is a node that has begun and not ended.
type tracedNode struct {
	step   Step
	before *event.Event // when the node itself last began to work
}

// tracer returns nil where nobody wants to know.
func (p *Pipeline) tracer(w *walk) *tracer {
	if w.trace == nil && !p.debugs {
		return nil
	}
	return &tracer{watch: w.trace, log: p.log}
}

// process is node.process under observation. Index is n's place among its
// siblings.
func (t *tracer) process(n *node, r *run, index int) (bool, error) {
	if t.watch == nil && !n.debug {
		return n.evaluate(r)
	}
	if len(t.open) > 0 {
		t.top().collect(r.ev)
	}
	t.open = append(t.open, &tracedNode{
		step:   Step{Stage: r.ev.Stage, Node: n.name, Depth: len(t.open), Index: index, Order: t.began},
		before: snapshot(r.ev),
	})
	t.began++
	ok, err := n.evaluate(r)
	d := t.top()
	d.collect(r.ev)
	t.open = t.open[:len(t.open)-1]
	if len(t.open) > 0 {
		t.top().before = snapshot(r.ev)
	}
	d.step.OK = ok
	if err != nil {
		d.step.Reason, d.step.Detail = ReasonError, err.Error()
	}
	if t.watch != nil {
		t.watch(d.step)
	}
	if n.debug {
		t.report(&d.step)
	}
	return ok, err
}

func (t *tracer) top() *tracedNode { return t.open[len(t.open)-1] }

// collect adds what happened to the event since the node last began to work.
func (d *tracedNode) collect(ev *event.Event) {
	d.step.Changes = mergeChanges(d.step.Changes, changesBetween(d.before, ev))
}

// because notes why the node at hand is false. It does nothing on a nil tracer,
// and for nodes that are not observed.
func (t *tracer) because(n *node, reason, detail string) {
	if t == nil || t.watch == nil && !n.debug || len(t.open) == 0 {
		return
	}
	t.top().step.Reason, t.top().step.Detail = reason, detail
}

// hit notes that the lists of the node at hand hold the event.
func (t *tracer) hit(n *node) {
	if t != nil && (t.watch != nil || n.debug) && len(t.open) > 0 {
		t.top().step.Whitelisted = true
	}
}

// report writes a step of a node with debug set. At Info: who sets it wants to see
// it, whatever the level of everything else.
func (t *tracer) report(s *Step) {
	changes := make([]string, len(s.Changes))
	for i, c := range s.Changes {
		changes[i] = c.String()
	}
	t.log.Info("parser node", zap.String("stage", s.Stage), zap.String("node", s.Node), zap.Int("depth", s.Depth),
		zap.Bool("ok", s.OK), zap.String("reason", s.Reason), zap.String("detail", s.Detail),
		zap.Bool("whitelisted", s.Whitelisted), zap.String("changes", strings.Join(changes, ", ")))
}
