package hub

import (
	"errors"
	"fmt"
)

// Problem is what is wrong with one item, or with a name that no item has.
type Problem struct {
	Kind Kind
	Name string // of the item, as it was asked for
	Path string // of its file; "" for an unknown name
	Line int    // 0 where none is known
	// Warn: the item works all the same.
	Warn bool
	Err  error
}

// Error names the item, its file and the line.
func (p *Problem) Error() string {
	if p.Kind == "" {
		return p.Err.Error()
	}
	where := p.Path
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, p.Line)
	}
	if where != "" {
		where += ": "
	}
	return fmt.Sprintf("%s%s %s: %v", where, p.Kind.singular(), p.Name, p.Err)
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Problems takes apart the error of Select or Compile. What is no Problem becomes
// one without an item.
func Problems(err error) []*Problem {
	if err == nil {
		return nil
	}
	if p, ok := err.(*Problem); ok { //nolint:errorlint // a wrapped one is part of another error
		return []*Problem{p}
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var list []*Problem
		for _, e := range many.Unwrap() {
			list = append(list, Problems(e)...)
		}
		return list
	}
	return []*Problem{{Err: err}}
}

// join is errors.Join for problems.
func join(list []*Problem) error {
	errs := make([]error, len(list))
	for i, p := range list {
		errs[i] = p
	}
	return errors.Join(errs...)
}
