package expression

import (
	"fmt"
	"reflect"

	"github.com/expr-lang/expr/builtin"
	"go.uber.org/zap"
)

// args are the arguments of one call. The machine reuses the slice: functions
// keep none of it.
type args []any

// function is an entry of the table. The checker has compared calls with types;
// what it could not know (values out of Unmarshaled, say) the function checks.
type function struct {
	name   string
	types  any // pointer to a func of the type
	nature nature
	call   func(a args) (any, error)
}

// nature says what the answer of a function hangs on.
type nature uint8

const (
	local  nature = iota // more than its arguments: a file, a clock, a map it writes to
	pure                 // its arguments alone: it may be evaluated at compile time
	remote               // another machine: it may take seconds, and has no place where a visitor waits
)

// addFunctions fills the tables of functions.
func (e *Env) addFunctions() {
	e.functions, e.pure, e.remote = map[string]*builtin.Function{}, map[string]bool{}, map[string]bool{}
	for _, list := range [][]function{
		textFunctions(), splitFunctions(), escapeFunctions(), listFunctions(), decoderFunctions(),
		e.addressFunctions(), e.numberFunctions(), e.timeFunctions(), e.jsonFunctions(), e.valueFunctions(),
		e.markupFunctions(), e.fileFunctions(), e.stashFunctions(), e.decisionFunctions(),
		e.placeFunctions(), e.botFunctions(), e.remoteFunctions(),
	} {
		for _, f := range list {
			e.functions[f.name] = f.compiled()
			e.pure[f.name] = f.nature == pure
			e.remote[f.name] = f.nature == remote
		}
	}
}

func (f function) compiled() *builtin.Function {
	b := &builtin.Function{Name: f.name, Func: func(params ...any) (any, error) {
		out, err := f.call(params)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		return out, nil
	}}
	if f.types != nil {
		b.Types = []reflect.Type{reflect.TypeOf(f.types).Elem()}
	}
	return b
}

// text returns the argument at i as text.
func (a args) text(i int) (string, error) {
	if i >= len(a) {
		return "", fmt.Errorf("argument %d is missing", i+1)
	}
	s, ok := a[i].(string)
	if !ok {
		return "", fmt.Errorf("argument %d is %s, text is needed", i+1, typeName(a[i]))
	}
	return s, nil
}

// texts returns the first n arguments as text.
func (a args) texts(n int) ([4]string, error) {
	var out [4]string
	for i := range n {
		s, err := a.text(i)
		if err != nil {
			return out, err
		}
		out[i] = s
	}
	return out, nil
}

// number returns the argument at i as an int.
func (a args) number(i int) (int, error) {
	if i < len(a) {
		if n, ok := a[i].(int); ok {
			return n, nil
		}
	}
	return 0, fmt.Errorf("argument %d must be a whole number", i+1)
}

// list returns the argument at i as a list of text.
func (a args) list(i int) ([]string, error) {
	switch l := a[i].(type) {
	case []string:
		return l, nil
	case []any:
		out := make([]string, len(l))
		for j, v := range l {
			s, ok := v.(string)
			if !ok {
				return nil, fmt.Errorf("element %d of argument %d is %s, text is needed", j+1, i+1, typeName(v))
			}
			out[j] = s
		}
		return out, nil
	}
	return nil, fmt.Errorf("argument %d is %s, a list of text is needed", i+1, typeName(a[i]))
}

// The shapes that many functions have.

func textToText(name string, f func(string) string) function {
	return function{name, new(func(string) string), pure, func(a args) (any, error) {
		s, err := a.text(0)
		if err != nil {
			return nil, err
		}
		return f(s), nil
	}}
}

func textsToText(name string, f func(a, b string) string) function {
	return function{name, new(func(string, string) string), pure, func(a args) (any, error) {
		s, err := a.texts(2)
		if err != nil {
			return nil, err
		}
		return f(s[0], s[1]), nil
	}}
}

func textToBool(name string, f func(string) bool) function {
	return function{name, new(func(string) bool), pure, func(a args) (any, error) {
		s, err := a.text(0)
		if err != nil {
			return nil, err
		}
		return f(s), nil
	}}
}

func textsToBool(name string, f func(a, b string) bool) function {
	return function{name, new(func(string, string) bool), pure, func(a args) (any, error) {
		s, err := a.texts(2)
		if err != nil {
			return nil, err
		}
		return f(s[0], s[1]), nil
	}}
}

func textsToInt(name string, f func(a, b string) int) function {
	return function{name, new(func(string, string) int), pure, func(a args) (any, error) {
		s, err := a.texts(2)
		if err != nil {
			return nil, err
		}
		return f(s[0], s[1]), nil
	}}
}

func textsToList(name string, f func(a, b string) []string) function {
	return function{name, new(func(string, string) []string), pure, func(a args) (any, error) {
		s, err := a.texts(2)
		if err != nil {
			return nil, err
		}
		return f(s[0], s[1]), nil
	}}
}

// debug tells an operator who looks for it why a function answered with nothing.
// CrowdSec logs such input as an error; on live traffic it is what attackers send.
func (e *Env) debug(name string, fields ...zap.Field) {
	if c := e.log.Check(zap.DebugLevel, "expression function got bad input"); c != nil {
		c.Write(append(fields, zap.String("function", name))...)
	}
}
