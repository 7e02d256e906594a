package parsers

import (
	"maps"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
)

// Pipeline runs events through stages of nodes. It is immutable and safe for
// concurrent use.
type Pipeline struct {
	options Options
	log     *zap.Logger
	stages  []string // sorted; those that have nodes
	nodes   [][]*node
	indexes []*index // of each stage, nil where it has none
	debugs  bool     // some node has debug set
	plain   bool     // no fast paths
	runs    *sync.Pool
}

// Outcome is what became of an event.
type Outcome struct {
	// Parsed: every stage had a node that succeeded.
	Parsed bool
	// Err is why the event was given up in the middle, nil where it was not.
	Err error
}

func newPipeline(stages map[string][]*node, o Options, plain bool) *Pipeline {
	p := &Pipeline{options: o, log: o.Logger, plain: plain, runs: &sync.Pool{New: func() any { return new(run) }}}
	for _, s := range slices.Sorted(maps.Keys(stages)) {
		if len(stages[s]) > 0 {
			p.stages = append(p.stages, s)
			p.nodes = append(p.nodes, stages[s])
			var x *index
			if !plain {
				x = newIndex(stages[s])
			}
			p.indexes = append(p.indexes, x)
			p.debugs = p.debugs || slices.ContainsFunc(stages[s], (*node).debugging)
		}
	}
	return p
}

// Stages returns the names of the stages, in order.
func (p *Pipeline) Stages() []string { return slices.Clone(p.stages) }

// Parse runs ev through all stages, from ev.Stage on where it is set. A
// whitelisted event has ev.Whitelisted; it is Parsed all the same.
func (p *Pipeline) Parse(ev *event.Event) Outcome { return p.Observe(ev, nil) }

// Observe is Parse with a call after each top-level node that was tried, with
// whether it succeeded and the event as it left it. watch must not keep ev.
func (p *Pipeline) Observe(ev *event.Event, watch func(stage, node string, ev *event.Event, ok bool)) Outcome {
	p.enter(ev)
	return p.walk(ev, &walk{watch: watch, lenient: p.options.Postoverflow})
}

// enter puts an event that is in no stage into the first.
func (p *Pipeline) enter(ev *event.Event) {
	if len(p.stages) > 0 && ev.Stage == "" {
		ev.Stage = p.stages[0]
	}
}

// ParseFrom runs ev through stage and those after it. Nodes that skip names are
// not run; skip may be nil. A stage in which no node succeeds is fine: live
// requests enter here with the fields that a parser would have given them.
func (p *Pipeline) ParseFrom(stage string, ev *event.Event, skip func(nodeName string) bool) Outcome {
	ev.Stage = stage
	return p.walk(ev, &walk{skip: skip, lenient: true})
}

// walk is how one event is run.
type walk struct {
	watch   func(stage, node string, ev *event.Event, ok bool)
	trace   func(Step)
	skip    func(string) bool
	lenient bool // a stage without a success hands on to the next
}

func (p *Pipeline) walk(ev *event.Event, w *walk) Outcome {
	ev.Process = false
	if ev.Time.IsZero() {
		ev.Time = p.options.Now().UTC()
	}
	r := p.runs.Get().(*run)
	r.p, r.ev, r.vars.Evt, r.trace = p, ev, ev, p.tracer(w)
	defer func() {
		r.ev, r.vars.Evt, r.trace, r.from, r.sets = nil, nil, nil, sender{}, r.sets[:0]
		p.runs.Put(r)
	}()
	for i, stage := range p.stages {
		if ev.Stage > stage {
			continue
		}
		if ev.Stage != stage {
			if !w.lenient {
				return Outcome{} // nobody promoted it
			}
			ev.Stage = stage
		}
		ok, err := p.stage(r, i, w)
		if err != nil {
			return Outcome{Err: err}
		}
		if !ok && !w.lenient {
			return Outcome{}
		}
	}
	ev.Process = true
	return Outcome{Parsed: true}
}

// stage runs the nodes of one stage until one succeeds that promotes, or the
// event has been promoted by a child.
func (p *Pipeline) stage(r *run, i int, w *walk) (matched bool, err error) {
	stage := p.stages[i]
	if x := p.indexes[i]; x != nil && w.watch == nil && r.trace == nil {
		return p.indexed(r, i, x, w)
	}
	for place, n := range p.nodes[i] {
		if w.skip != nil && w.skip(n.name) {
			continue
		}
		ok, err := n.process(r, place)
		if err != nil {
			return false, err
		}
		if w.watch != nil {
			w.watch(stage, n.name, r.ev, ok)
		}
		matched = matched || ok
		if ok && n.promotes || r.ev.Stage != stage {
			break
		}
	}
	return matched, nil
}

// indexed is stage for events that nobody watches: only nodes whose gates at the
// front are open are looked at. The index is asked again after a node that may have
// written to a field that it knows.
func (p *Pipeline) indexed(r *run, i int, x *index, w *walk) (matched bool, err error) {
	stage, base := p.stages[i], len(r.sets)
	for range x.words {
		r.sets = append(r.sets, 0)
	}
	x.candidates(r.ev, r.sets[base:])
	for k := next(r.sets[base:], 0); k >= 0; k = next(r.sets[base:], k+1) {
		n := p.nodes[i][k]
		if w.skip != nil && w.skip(n.name) {
			continue
		}
		ok, err := n.proceed(r)
		if err != nil {
			return false, err
		}
		matched = matched || ok
		if ok && n.promotes || r.ev.Stage != stage {
			break
		}
		if n.unsettles {
			x.candidates(r.ev, r.sets[base:])
		}
	}
	r.sets = r.sets[:base]
	return matched, nil
}

// after returns the stage after the given one; the last stays.
func (p *Pipeline) after(stage string) string {
	i, found := slices.BinarySearch(p.stages, stage)
	if found {
		i++
	}
	if i >= len(p.stages) {
		return stage
	}
	return p.stages[i]
}
