package parsers

import (
	"reflect"
	"strings"

	"github.com/rampart-edge/rampart/event"
)

// writer puts a text into an event.
type writer func(ev *event.Event, value string)

// targetAt returns what writes to a target such as "evt.StrTime", "Parsed.program" or
// "Overflow.Alert.Source.Value", and the path of what it writes to; nil where there is
// no such text.
//
// CrowdSec compatible: elements are fields by their Go names, pointers are followed
// and a nil one ends the walk without effect; below a map the next element is the
// key, and what follows it is ignored.
func targetAt(target string) (path string, w writer) {
	path = strings.TrimPrefix(target, "evt.")
	switch path {
	case "StrTime":
		return path, func(ev *event.Event, v string) { ev.StrTime = v }
	case "StrTimeFormat":
		return path, func(ev *event.Event, v string) { ev.StrTimeFormat = v }
	case "MarshaledTime":
		return path, func(ev *event.Event, v string) { ev.MarshaledTime = v }
	}
	elements := strings.Split(path, ".")
	if len(elements) > 1 {
		key := elements[1]
		switch elements[0] {
		case "Parsed":
			return "Parsed." + key, func(ev *event.Event, v string) { ev.SetParsed(key, v) }
		case "Meta":
			return "Meta." + key, func(ev *event.Event, v string) { ev.SetMeta(key, v) }
		case "Enriched":
			return "Enriched." + key, func(ev *event.Event, v string) { ev.SetEnriched(key, v) }
		}
	}
	if len(elements) > 2 && elements[0] == "Line" && elements[1] == "Labels" {
		// Unlike CrowdSec, where the labels of a source are shared and one line's
		// label appears on all later ones.
		return "Line.Labels." + elements[2], func(ev *event.Event, v string) { ev.SetLabel(elements[2], v) }
	}
	if elements[0] == "From" { // ours
		return path, nil
	}
	return path, walked(elements)
}

// walked is the writer of any other path.
func walked(elements []string) writer {
	var fields []int
	at := reflect.TypeFor[event.Event]()
	for i, name := range elements {
		if at.Kind() == reflect.Pointer {
			at = at.Elem()
		}
		switch at.Kind() {
		case reflect.Struct:
			field, ok := fieldNamed(at, name)
			if !ok {
				return nil
			}
			fields, at = append(fields, field), at.Field(field).Type
		case reflect.Map:
			if elem := at.Elem().Kind(); i == 0 || at.Key().Kind() != reflect.String || elem != reflect.String && elem != reflect.Interface {
				return nil
			}
			return mapWriter(fields, name)
		default:
			return nil
		}
	}
	if at.Kind() != reflect.String {
		return nil
	}
	return func(ev *event.Event, v string) {
		if field, ok := reach(ev, fields); ok {
			field.SetString(v)
		}
	}
}

func mapWriter(fields []int, key string) writer {
	return func(ev *event.Event, v string) {
		m, ok := reach(ev, fields)
		if !ok {
			return
		}
		if m.IsNil() {
			m.Set(reflect.MakeMap(m.Type()))
		}
		m.SetMapIndex(reflect.ValueOf(key), reflect.ValueOf(v))
	}
}

// fieldNamed finds a field by the name that expressions have for it, else by its
// own.
func fieldNamed(t reflect.Type, name string) (int, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && (f.Tag.Get("expr") == name || f.Name == name) {
			return i, true
		}
	}
	return 0, false
}

// reach follows fields from ev; false behind a nil pointer.
func reach(ev *event.Event, fields []int) (reflect.Value, bool) {
	at := reflect.ValueOf(ev).Elem()
	for _, f := range fields {
		if at.Kind() == reflect.Pointer {
			if at.IsNil() {
				return at, false
			}
			at = at.Elem()
		}
		at = at.Field(f)
	}
	return at, true
}

// soleField returns the path of an expression that reads one text field of the
// event and does nothing else.
func soleField(source string) (string, bool) {
	path, ok := strings.CutPrefix(strings.TrimSpace(source), "evt.")
	if !ok {
		return "", false
	}
	switch path {
	case "StrTime", "Line.Raw", "Line.Src", "Line.Module":
		return path, true
	}
	for _, group := range []string{"Parsed.", "Meta.", "Enriched.", "Line.Labels."} {
		if key, ok := strings.CutPrefix(path, group); ok && key != "" && wordLength(key) == len(key) {
			return path, true
		}
	}
	return "", false
}
