package expression

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/rampart-edge/rampart/event"
)

// Vars are the variables of one run at a time. Those that the program's On does
// not name are ignored; those that it names and that are nil fail where they are
// used. Runs after each other may share one.
type Vars struct {
	Evt    *event.Event        // evt
	Queue  *event.Queue        // queue
	Leaky  any                 // leaky
	Signal *event.RuntimeAlert // signal
	Alert  *event.Alert        // Alert
	Match  map[string]any      // match
	Req    *http.Request       // req
	// Results is results.
	Results any
	// Memo is shared by programs that look at the same unchanged event; nil: none.
	Memo *Memo

	run run
	ip  seenAddress
}

// Program is a compiled expression. It is immutable and safe for concurrent use.
type Program struct {
	env      *Env
	source   string
	on       On
	code     *vm.Program
	native   native
	requires []Requirement
	excludes []Requirement
	reads    Reads
}

// The structs that expressions see as their variables, one for each On: expr
// addresses fields by their index, so programs run on the very type they were
// compiled for.
type (
	eventVars struct {
		Evt *event.Event `expr:"evt"`
	}
	queueVars struct {
		Evt   *event.Event `expr:"evt"`
		Queue *event.Queue `expr:"queue"`
		Leaky any          `expr:"leaky"`
	}
	overflowVars struct {
		Evt    *event.Event        `expr:"evt"`
		Queue  *event.Queue        `expr:"queue"`
		Signal *event.RuntimeAlert `expr:"signal"`
		Leaky  any                 `expr:"leaky"`
	}
	alertVars struct {
		Alert *event.Alert `expr:"Alert"`
	}
)

// frame is the memory of one run, recycled by Env: the machine with its stack,
// and the variables.
type frame struct {
	machine  vm.VM
	event    eventVars
	queue    queueVars
	overflow overflowVars
	alert    alertVars
}

// bind fills the variables of on and returns a pointer to them.
func (f *frame) bind(on On, v *Vars) any {
	switch on {
	case OnQueue:
		f.queue = queueVars{v.Evt, v.Queue, v.Leaky}
		return &f.queue
	case OnOverflow:
		f.overflow = overflowVars{v.Evt, v.Queue, v.Signal, v.Leaky}
		return &f.overflow
	case OnAlert:
		f.alert = alertVars{v.Alert}
		return &f.alert
	case OnContext:
		return contextOf(v)
	case OnResults:
		return &resultsVars{v.Results}
	default:
		f.event = eventVars{v.Evt}
		return &f.event
	}
}

// forget drops what the run referred to, so that a pooled frame does not keep
// events alive; only the list that a closure went over last stays until the next
// closure.
func (f *frame) forget() {
	f.event, f.queue, f.overflow, f.alert = eventVars{}, queueVars{}, overflowVars{}, alertVars{}
	clear(f.machine.Stack[:cap(f.machine.Stack)])
	clear(f.machine.Variables)
}

// Source returns the text that was compiled.
func (p *Program) Source() string { return p.source }

// Plain reports whether the program runs the plain way; see Options.
func (p *Program) Plain() bool { return p.env.plain }

// SameEnv reports whether both were compiled by the same Env.
func (p *Program) SameEnv(other *Program) bool { return p.env == other.env }

// Any runs the program and returns what it gives. v is never nil. The error is a
// *RunError.
func (p *Program) Any(v *Vars) (any, error) {
	if p.ready(v) {
		if out, err := p.closures(v); err != errUnknown { //nolint:errorlint // it is never wrapped
			return out, err
		}
	}
	return p.machine(v)
}

// ready reports whether closures find what they are about; without it the machine
// says what is missing.
func (p *Program) ready(v *Vars) bool {
	if p.on == OnAlert {
		return v.Alert != nil
	}
	return v.Evt != nil
}

// closures runs what is native of p; errUnknown is for the machine to tell.
func (p *Program) closures(v *Vars) (any, error) {
	switch n := &p.native; {
	case n.value != nil:
		return perform(p, v, n.value)
	case n.words != nil:
		return box(perform(p, v, n.words))
	case n.truth != nil && !n.dynamic:
		return box(perform(p, v, n.truth))
	}
	return nil, errUnknown
}

func box[T any](x T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return x, nil
}

// machine runs the program on the virtual machine.
func (p *Program) machine(v *Vars) (any, error) {
	if p.reads.Writes && v.Evt != nil && v.Evt.Unmarshaled == nil {
		// Decoders write into the map that the expression hands them.
		v.Evt.Unmarshaled = make(map[string]any, 1)
	}
	f := p.env.frames.Get().(*frame)
	out, err := f.machine.Run(p.code, f.bind(p.on, v))
	f.forget()
	p.env.frames.Put(f)
	if p.reads.Writes {
		v.Memo.forget()
	}
	if err != nil {
		return nil, &RunError{Source: p.source, Err: err}
	}
	return out, nil
}

// Bool runs the program and returns true or false. Anything else that it gives
// is an error.
func (p *Program) Bool(v *Vars) (bool, error) {
	if p.ready(v) {
		if p.native.truth != nil {
			if holds, err := perform(p, v, p.native.truth); err != errUnknown { //nolint:errorlint // it is never wrapped
				return holds, err
			}
		} else if p.native.guard != nil && !p.native.guard(v) {
			return false, nil
		}
	}
	run := p.Any
	if p.native.truth != nil {
		run = p.machine // the closures could not tell
	}
	out, err := run(v)
	if err != nil {
		return false, err
	}
	b, ok := out.(bool)
	if !ok {
		return false, &RunError{Source: p.source, Err: fmt.Errorf("it gave %s, not true or false", typeName(out))}
	}
	return b, nil
}

// Rest returns a program for callers that run it only on events of which all of
// Requires and Excludes hold: it gives the same, and does not test them again.
func (p *Program) Rest() *Program {
	if p.native.rest == nil {
		return p
	}
	rest := *p
	rest.native.truth = p.native.rest
	return &rest
}

// Clues returns what must be found in the event for the program to be true: of each
// list at least one, at the time the program starts. Where one list has none, the
// program gives false, and has neither failed nor written. The most telling list
// comes first; what is a requirement as well is left out.
func (p *Program) Clues() [][]Clue {
	var out [][]Clue
	clauses := slices.Clone(p.native.clauses)
	slices.SortStableFunc(clauses, func(a, b clause) int { return cmp.Compare(b.telling(), a.telling()) })
	for _, c := range clauses {
		if len(c) == 1 && c[0].equality || c.telling() < 0 {
			continue
		}
		list := make([]Clue, len(c))
		for i, one := range c {
			list[i] = Clue{one}
		}
		out = append(out, list)
	}
	return out
}

// String runs the program and returns the text it gives. Anything else that it
// gives is an error.
func (p *Program) String(v *Vars) (string, error) {
	text, ok, other, err := p.Text(v)
	if err == nil && !ok {
		err = &RunError{Source: p.source, Err: fmt.Errorf("it gave %s, not text", typeName(other))}
	}
	return text, err
}

// Text runs the program for a caller that wants a text. Where it gives one, ok is
// true; else other is what it gave, which may be nil.
func (p *Program) Text(v *Vars) (text string, ok bool, other any, err error) {
	if p.ready(v) && p.native.words != nil {
		text, err = perform(p, v, p.native.words)
		if err != errUnknown { //nolint:errorlint // it is never wrapped
			return text, err == nil, nil, err
		}
	}
	out, err := p.Any(v)
	if err != nil {
		return "", false, nil, err
	}
	if text, ok = out.(string); ok {
		return text, true, nil, nil
	}
	return "", false, out, nil
}

// RunError is a failed run. Its text is made only when asked for: on live
// traffic a failing filter is an everyday thing.
type RunError struct {
	Source string
	Err    error
}

func (e *RunError) Error() string {
	var fe *file.Error
	if !errors.As(e.Err, &fe) {
		return fmt.Sprintf("running %s: %v", excerpt(e.Source, 0), e.Err)
	}
	return fmt.Sprintf("running %s: %s: %s", excerpt(e.Source, offset(e.Source, fe.Line, fe.Column)),
		position(e.Source, fe.Line, fe.Column+1), oneLine(fe.Message))
}

// Unwrap returns the cause.
func (e *RunError) Unwrap() error { return e.Err }
