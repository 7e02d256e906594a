package parsers

import (
	"fmt"
	"strconv"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// static writes one value into the event. Immutable.
type static struct {
	what   string              // for errors: "meta source_ip"
	value  string              // a literal, where read and source are nil
	read   field               // of an expression that reads just one field
	source *expression.Program // any other expression; also set beside read
	method method              // hands the value on, instead of write
	empty  bool                // the method wants to run without a value too
	path   string              // of what is written, such as "Meta.source_ip"; "Enriched": something below it
	write  writer
}

// statics compiles a list. CrowdSec compatible: those of a grok are not checked as
// those of a node are, so that enriched may stand alone there.
func (l *loader) statics(specs []staticSpec, ofGrok bool) ([]static, error) {
	var out []static
	for i := range specs {
		s, err := l.static(&specs[i], ofGrok)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (l *loader) static(spec *staticSpec, ofGrok bool) (static, error) {
	s := static{value: spec.Value.text}
	name := spec.destination()
	if spec.Value.text == "" && spec.Expression.text == "" {
		return s, atf(name, "static %s has neither value nor expression", name.text)
	}
	// CrowdSec compatible: a literal wins over an expression.
	if spec.Value.text == "" {
		p, err := l.compile(spec.Expression, expression.Any, "static")
		if err != nil {
			return s, err
		}
		s.source = p
		if path, ok := soleField(spec.Expression.text); ok && !l.plain {
			s.read = fieldAt(path)
		}
	}
	// CrowdSec compatible: method, parsed, meta, enriched, target, in this order.
	key := name.text
	switch {
	case spec.Method.text != "":
		s.what, s.path = "method "+key, "Enriched"
		s.method, s.empty = l.method(key), key == "ParseDate"
		if s.method == nil {
			l.options.Logger.Warn("enricher method is not known and does nothing",
				zap.String("item", l.path), zap.Int("line", name.line), zap.String("method", key))
			s.method = func(*run, string) {}
		}
	case spec.Parsed.text != "":
		s.what, s.path = "parsed "+key, "Parsed."+key
		s.write = func(ev *event.Event, v string) { ev.SetParsed(key, v) }
	case spec.Meta.text != "":
		s.what, s.path = "meta "+key, "Meta."+key
		s.write = func(ev *event.Event, v string) { ev.SetMeta(key, v) }
	case spec.Target.text == "" && (spec.Enriched.text == "" || !ofGrok):
		return s, atf(name, "a static needs meta, parsed, target or method")
	case spec.Enriched.text != "":
		s.what, s.path = "enriched "+key, "Enriched."+key
		s.write = func(ev *event.Event, v string) { ev.SetEnriched(key, v) }
	default:
		s.what = "target " + key
		s.path, s.write = targetAt(key)
		if s.write == nil {
			l.options.Logger.Warn("static target is no text field of the event and is never written",
				zap.String("item", l.path), zap.Int("line", name.line), zap.String("target", key))
			s.write = func(*event.Event, string) {}
		}
	}
	return s, nil
}

func (s *staticSpec) destination() scalar {
	for _, d := range []scalar{s.Method, s.Parsed, s.Meta, s.Enriched, s.Target} {
		if d.text != "" {
			return d
		}
	}
	return scalar{text: "without destination", line: s.Value.line + s.Expression.line}
}

// applyAll runs statics in order; an error ends the parse.
func applyAll(r *run, list []static) error {
	for i := range list {
		if err := list[i].apply(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *static) apply(r *run) error {
	value := s.value
	switch {
	case s.read != nil:
		value = s.read(r.ev)
	case s.source != nil:
		text, ok, other, err := s.source.Text(&r.vars)
		if err != nil {
			r.debug("static failed", s.what, err)
			return nil
		}
		if !ok {
			kind := isOdd
			if text, kind = textOf(other); kind == isOdd {
				// CrowdSec compatible: the event is lost.
				return fmt.Errorf("static %s: the expression gave %T, neither text nor number: %s", s.what, other, s.source.Source())
			} else if kind == isNothing {
				return nil
			}
		}
		value = text
	}
	if value == "" && !s.empty {
		return nil
	}
	if s.method != nil {
		s.method(r, value)
		return nil
	}
	s.write(r.ev, value)
	return nil
}

// textKind says what became of the result of an expression.
type textKind uint8

const (
	isText    textKind = iota
	isNothing          // nil, a map or a list: there is nothing to write
	isOdd              // another type
)

// textOf turns the result of an expression into text. CrowdSec compatible: floats
// have six decimals.
func textOf(v any) (string, textKind) {
	switch v := v.(type) {
	case string:
		return v, isText
	case int:
		return strconv.Itoa(v), isText
	case float64:
		return strconv.FormatFloat(v, 'f', 6, 64), isText
	case float32:
		return strconv.FormatFloat(float64(v), 'f', 6, 64), isText
	case nil, map[string]any, []any:
		return "", isNothing
	}
	return "", isOdd
}
