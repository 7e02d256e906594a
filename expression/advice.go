package expression

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/builtin"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/spelling"
)

// variables are the names that an expression sees.
func variables(on On) []string {
	switch on {
	case OnQueue:
		return []string{"evt", "queue", "leaky"}
	case OnOverflow:
		return []string{"evt", "queue", "signal", "leaky"}
	case OnAlert:
		return []string{"Alert"}
	case OnContext:
		return []string{"evt", "match", "req"}
	case OnResults:
		return []string{"results"}
	}
	return []string{"evt"}
}

// advice says what to do about the complaint of the library.
func (e *Env) advice(on On, reason string) string {
	if name, ok := strings.CutPrefix(reason, "unknown name "); ok {
		return e.adviseName(on, name)
	}
	if _, rest, ok := strings.Cut(reason, "type "); ok {
		for _, what := range []string{" has no field ", " has no method "} {
			if t, name, ok := strings.Cut(rest, what); ok {
				return adviseMember(t, name)
			}
		}
	}
	if _, rest, ok := strings.Cut(reason, " to call "); ok {
		return e.adviseCall(strings.TrimSpace(rest))
	}
	for _, c := range []struct{ part, advice string }{
		{"unexpected token EOF", "it ends too early: a bracket or an operand is missing"},
		{`unexpected token Operator("=")`, "write == to compare"},
		{"unexpected token Operator(\"=", "write == to compare"},
		{"literal not terminated", "close the quote"},
		{"unexpected token", "look for a missing operator or bracket before it"},
		{"mismatched types bool", "it is true or false already: compare it with true or false, or with nothing"},
		{"and bool)", "compare it with text or a number, not with true or false"},
		{"mismatched type", "the values of Meta, Parsed, Enriched and Labels are text: quote the constant, or convert with int(...)"},
		{"error parsing regexp", "patterns are Go regular expressions (RE2): no look-around, no back-references"},
		{"maximum allowed nodes", "put long lists into a data file"},
		{"cannot redeclare", "choose another name"},
	} {
		if strings.Contains(reason, c.part) {
			return c.advice
		}
	}
	return "see the expression chapter of the documentation"
}

func (e *Env) adviseName(on On, name string) string {
	names := variables(on)
	for n := range e.functions {
		names = append(names, n)
	}
	names = append(names, builtin.Names...)
	if list := spelling.Near(name, slices.Values(names)); len(list) > 0 {
		return "did you mean " + strings.Join(list, ", ") + "?"
	}
	return "variables here are " + strings.Join(variables(on), ", ")
}

func adviseMember(typ, name string) string {
	for _, t := range []reflect.Type{
		reflect.TypeFor[event.Event](), reflect.TypeFor[event.Line](), reflect.TypeFor[event.RuntimeAlert](),
		reflect.TypeFor[event.Alert](), reflect.TypeFor[event.AlertEvent](), reflect.TypeFor[event.Source](),
		reflect.TypeFor[event.Queue](), reflect.TypeFor[event.Appsec](), reflect.TypeFor[time.Time](),
	} {
		if t.String() != strings.TrimPrefix(typ, "*") {
			continue
		}
		names := members(t)
		if list := spelling.Near(name, slices.Values(names)); len(list) > 0 {
			return "did you mean " + strings.Join(list, ", ") + "?"
		}
		return "it has " + strings.Join(names, ", ")
	}
	return "that value has no parts of this name"
}

func members(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() {
			if tag := f.Tag.Get("expr"); tag == "-" {
				continue
			} else if tag != "" {
				names = append(names, tag)
				continue
			}
			names = append(names, f.Name)
		}
	}
	p := reflect.PointerTo(t)
	for i := range p.NumMethod() {
		names = append(names, p.Method(i).Name)
	}
	return names
}

func (e *Env) adviseCall(name string) string {
	f, ok := e.functions[name]
	if !ok || len(f.Types) == 0 {
		return "check the number and types of its arguments"
	}
	return fmt.Sprintf("it is %s%s", name, strings.TrimPrefix(f.Types[0].String(), "func"))
}
