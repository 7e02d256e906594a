package expression

import (
	"errors"
	"fmt"

	"github.com/rampart-edge/rampart/event"
)

// run is the state of closures while a program runs.
type run struct {
	fault error // the first failure; closures that see one do nothing more
	item  item
	lets  []let
	args  []any
	short bool // an optional chain met nothing
}

// item is what # stands for; which field holds it is known when the closure is made.
type item struct {
	text  string
	any   any
	index int
}

type let struct {
	text string
	any  any
}

// keep returns the place of a let variable.
func (r *run) keep(slot int) *let {
	for len(r.lets) <= slot {
		r.lets = append(r.lets, let{})
	}
	return &r.lets[slot]
}

func (r *run) fail(err error) {
	if r.fault == nil {
		r.fault = err
	}
}

var (
	errNotBool = errors.New("it gave something other than true or false")
	errNotText = errors.New("it gave something other than text")
	// errNoElement is that of filter(…)[0].
	errNoElement = errors.New("index out of range: nothing passes the filter")
)

// end empties r, so that the next run does not see what this one left, and nothing
// of the event stays.
func (r *run) end() {
	clear(r.lets)
	clear(r.args[:cap(r.args)])
	*r = run{lets: r.lets[:0], args: r.args[:0]}
}

// guarded runs a closure that may fail. The language's own operators fail by panic.
func guarded[T any](p *Program, v *Vars, f func(*Vars) T) (out T, err error) {
	defer func() {
		r := recover()
		if r != nil {
			v.run.fail(fmt.Errorf("%v", r))
			if e, ok := r.(error); ok {
				v.run.fault = e
			}
		}
		if v.run.fault != nil {
			var none T
			out, err = none, p.failure(v)
		}
		v.run.end()
	}()
	if p.reads.Writes && v.Evt.Unmarshaled == nil {
		// Decoders write into the map that the expression hands them.
		v.Evt.Unmarshaled = make(map[string]any, 1)
	}
	return f(v), nil
}

// errUnknown is returned by closures that leave it to the machine to run the program.
var errUnknown = errors.New("unknown")

// failure is the error of a run that failed. Where that left no traces the machine
// runs the program again: it can say in which place it fails.
func (p *Program) failure(v *Vars) error {
	if !p.reads.Writes && !p.native.once {
		return errUnknown
	}
	return &RunError{Source: p.source, Err: v.run.fault}
}

// perform runs a closure of the program.
func perform[T any](p *Program, v *Vars, f func(*Vars) T) (T, error) {
	if p.native.risky {
		return guarded(p, v, f)
	}
	return f(v), nil
}

// setters are the methods that expressions write to the event with.
func setter(name string) func(ev *event.Event, key, text string) bool {
	switch name {
	case "SetMeta":
		return (*event.Event).SetMeta
	case "SetParsed":
		return (*event.Event).SetParsed
	}
	return nil
}
