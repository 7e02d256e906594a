package parsers

import (
	"slices"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// node is a compiled node with its children. Immutable.
type node struct {
	name, stage string
	debug       bool // its steps are logged; so are those of its children
	promotes    bool // onsuccess: next_stage
	filter      *expression.Program
	front       []gate              // comparisons that filter implies, and that the index of the stage answers
	gates       []gate              // the others of them
	rest        *expression.Program // filter, for events that pass all gates
	unsettles   bool                // it may change what the index has been asked for

	whitelist *whitelist // nil: the node has none

	grok        *grok
	applyOn     string              // "Line.Raw" or a key of Parsed; "": grokInput gives the text
	grokInput   *expression.Program // nil where applyOn is set
	grokStatics []static

	stashes  []stash
	children []*node
	scan     *scan // of the children, nil where they are asked one by one
	statics  []static
}

// run is one event on its way through a pipeline.
type run struct {
	p     *Pipeline
	ev    *event.Event
	vars  expression.Vars
	trace *tracer // nil: nobody watches
	room  []int   // for the offsets of a grok
	from  sender
	sets  []uint64 // a stack of sets of nodes
	last  dated
}

// process is evaluate, watched where somebody does. Index is n's place among its
// siblings.
func (n *node) process(r *run, index int) (bool, error) {
	if r.trace != nil {
		return r.trace.process(n, r, index)
	}
	return n.evaluate(r)
}

// evaluate runs n and reports whether it succeeded. An error ends the parse.
func (n *node) evaluate(r *run) (bool, error) {
	for i := range n.front {
		if !n.front[i].open(r.ev) {
			r.trace.because(n, ReasonFilter, "")
			return false, nil
		}
	}
	return n.proceed(r)
}

// proceed is evaluate for events that pass the gates at the front.
//
// CrowdSec compatible, step by step: filter, whitelist, grok with its statics,
// stash, children (even after a failed grok), statics, promotion. What a node
// wrote before it failed stays.
func (n *node) proceed(r *run) (bool, error) {
	if !n.admits(r) {
		return false, nil
	}
	hit := n.whitelist != nil && n.whitelists(r)
	state, grokOK := true, false
	if n.grok != nil {
		grokOK = n.runGrok(r)
		state = grokOK
		if grokOK {
			if err := applyAll(r, n.grokStatics); err != nil {
				return false, err
			}
		}
	}
	if grokOK || n.grok == nil {
		for i := range n.stashes {
			n.stashes[i].store(r)
		}
	}
	state, err := n.processChildren(r, state, grokOK)
	if err != nil || !state {
		return false, err
	}
	if hit || n.whitelist == nil {
		if err := applyAll(r, n.statics); err != nil {
			return false, err
		}
	}
	if n.promotes {
		r.ev.Stage = r.p.after(r.ev.Stage)
	}
	return true, nil
}

// admits evaluates the filter; one that fails at run time does not match.
func (n *node) admits(r *run) bool {
	if n.filter == nil {
		return true
	}
	for i := range n.gates {
		if !n.gates[i].open(r.ev) {
			r.trace.because(n, ReasonFilter, "")
			return false
		}
	}
	ok, err := n.rest.Bool(&r.vars)
	if err != nil {
		r.debug("filter failed", n.name, err)
		r.trace.because(n, ReasonFilter, err.Error())
		return false
	}
	if !ok {
		r.trace.because(n, ReasonFilter, "")
	}
	return ok
}

// processChildren returns what n's state is after its children. CrowdSec
// compatible: with next_stage the first success ends the loop; without it the
// last child decides, unless the parent's own grok matched.
func (n *node) processChildren(r *run, state, grokOK bool) (bool, error) {
	for i, c := range n.children {
		if i == patience && n.scan != nil && r.trace == nil {
			return n.scanChildren(r, state, grokOK)
		}
		ok, err := c.process(r, i)
		if err != nil {
			return false, err
		}
		if ok {
			state = true
			if n.promotes {
				break
			}
		} else if !grokOK {
			state = false
		}
	}
	if !state && len(n.children) > 0 {
		r.trace.because(n, ReasonChildren, "")
	}
	return state, nil
}

// scanChildren goes on with processChildren, without the children of which the scan
// knows that they fail. It is asked again when a child has changed the text.
func (n *node) scanChildren(r *run, state, grokOK bool) (bool, error) {
	base := len(r.sets)
	for range n.scan.words {
		r.sets = append(r.sets, 0)
	}
	text, there := r.textAt(n.scan.applyOn)
	n.scan.candidates(text, r.sets[base:])
	promoted, last := false, -1
	for i := next(r.sets[base:], patience); i >= 0; i = next(r.sets[base:], i+1) {
		ok, err := n.children[i].evaluate(r)
		if err != nil {
			return false, err
		}
		last = i
		if state = ok || state && grokOK; ok && n.promotes {
			promoted = true
			break
		}
		if now, is := r.textAt(n.scan.applyOn); now != text || is != there {
			text, there = now, is
			n.scan.candidates(text, r.sets[base:])
		}
	}
	r.sets = r.sets[:base]
	if !promoted && !grokOK && last != len(n.children)-1 {
		state = false // the last child decides, and was not even tried
	}
	return state, nil
}

// textAt returns what a grok's apply_on names; false where the event has none.
func (r *run) textAt(applyOn string) (string, bool) {
	if applyOn == "Line.Raw" {
		return r.ev.Line.Raw, true
	}
	text, ok := r.ev.Parsed[applyOn]
	return text, ok
}

func (n *node) runGrok(r *run) bool {
	text, ok := n.grokText(r)
	if !ok {
		r.trace.because(n, ReasonGrok, "there is no text to match")
		return false
	}
	if !n.grok.match(text, r.ev, &r.room) {
		r.trace.because(n, ReasonGrok, "")
		return false
	}
	return true
}

// grokText returns the text to match, false where there is none. CrowdSec
// compatible: an expression that gives neither text nor number gives no text, which
// is matched like any other.
func (n *node) grokText(r *run) (string, bool) {
	if n.applyOn != "" {
		return r.textAt(n.applyOn)
	}
	text, ok, other, err := n.grokInput.Text(&r.vars)
	if err != nil {
		r.debug("grok expression failed", n.name, err)
		return "", false
	}
	if !ok {
		text, _ = textOf(other)
	}
	return text, true
}

// debug logs what content gets wrong about single events: any client could fill
// the log with it at a higher level.
func (r *run) debug(what, node string, err error) {
	if e := r.p.log.Check(zap.DebugLevel, what); e != nil {
		e.Write(zap.String("node", node), zap.Error(err))
	}
}

// debugging reports whether n or a child of it has debug set.
func (n *node) debugging() bool {
	return n.debug || slices.ContainsFunc(n.children, (*node).debugging)
}
