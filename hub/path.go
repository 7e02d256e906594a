package hub

import (
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

// step is one element of a path: a key, a number, a field, or a call of a method
// with at most one text.
type step struct {
	kind stepKind
	text string // key, field or method
	at   int    // number; may be negative: from the end
	arg  string // of a method
	args int
}

type stepKind uint8

const (
	byText stepKind = iota
	byNumber
	byField
	byCall
)

// dataPath is a path such as results["s00-raw"]["a/b"][0].Evt.Parsed["x"], with
// what stands around it in assertions: basename(…), len(…) and a tail […:].
type dataPath struct {
	steps    []step
	basename bool
	length   bool
	from     int // of a tail such as [4:]; 0: none
}

// parsePath reads a path at the beginning of text; false where it begins with
// anything else. It knows no operators: whatever it does not know is left to the
// interpreter.
func parsePath(text string) (p *dataPath, rest string, ok bool) {
	p = &dataPath{}
	if after, ok := strings.CutPrefix(text, "len("); ok {
		p.length, text = true, after
	} else if after, ok := strings.CutPrefix(text, "basename("); ok {
		p.basename, text = true, after
	}
	if text, ok = strings.CutPrefix(text, "results"); !ok {
		return nil, "", false
	}
	for text != "" && (text[0] == '[' || text[0] == '.') {
		if n, after, ok := parseTail(text); ok {
			p.from, text = n, after
			break
		}
		var s step
		if s, text, ok = parseStep(text); !ok {
			return nil, "", false
		}
		p.steps = append(p.steps, s)
	}
	if p.length || p.basename {
		if text, ok = strings.CutPrefix(text, ")"); !ok {
			return nil, "", false
		}
	}
	return p, text, true
}

// parseTail reads "[4:]".
func parseTail(text string) (n int, rest string, ok bool) {
	end := strings.IndexByte(text, ']')
	if end < 3 || text[0] != '[' || text[end-1] != ':' {
		return 0, "", false
	}
	n, err := strconv.Atoi(text[1 : end-1])
	if err != nil || n < 1 || !digit(text[1]) {
		return 0, "", false
	}
	return n, text[end+1:], true
}

func parseStep(text string) (s step, rest string, ok bool) {
	switch {
	case strings.HasPrefix(text, `["`):
		key, rest, ok := parseText(text[1:])
		if !ok || !strings.HasPrefix(rest, "]") {
			return s, "", false
		}
		return step{kind: byText, text: key}, rest[1:], true
	case strings.HasPrefix(text, "["):
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return s, "", false
		}
		n, err := strconv.Atoi(text[1:end])
		if err != nil || text[1] == '+' {
			return s, "", false
		}
		return step{kind: byNumber, at: n}, text[end+1:], true
	case strings.HasPrefix(text, "."):
		n := 1
		for n < len(text) && wordByte(text[n]) {
			n++
		}
		name, rest := text[1:n], text[n:]
		if name == "" || digit(name[0]) {
			return s, "", false
		}
		if rest, ok := strings.CutPrefix(rest, "()"); ok {
			return step{kind: byCall, text: name}, rest, true
		}
		if !strings.HasPrefix(rest, "(") {
			return step{kind: byField, text: name}, rest, true
		}
		arg, rest, ok := parseText(rest[1:])
		if !ok || !strings.HasPrefix(rest, ")") {
			return s, "", false
		}
		return step{kind: byCall, text: name, arg: arg, args: 1}, rest[1:], true
	}
	return s, "", false
}

func wordByte(b byte) bool {
	return b == '_' || digit(b) || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// parseText reads a text in double quotes at the beginning of text. Of the escapes
// it knows those of a quote and of a backslash; anything else is left to the
// interpreter.
func parseText(text string) (value, rest string, ok bool) {
	if text == "" || text[0] != '"' {
		return "", "", false
	}
	end := 1
	escaped := false
	for {
		if end >= len(text) {
			return "", "", false
		}
		switch c := text[end]; {
		case c == '"':
			value = text[1:end]
			if escaped {
				value = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(value)
			}
			return value, text[end+1:], true
		case c == '\\':
			if end+1 >= len(text) || text[end+1] != '\\' && text[end+1] != '"' {
				return "", "", false
			}
			escaped = true
			end += 2
		case c < ' ':
			return "", "", false
		default:
			end++
		}
	}
}

// value follows the path from results. False: the interpreter must say what it
// gives, or why it fails.
func (p *dataPath) value(results any) (any, bool) {
	at := reflect.ValueOf(results)
	for i := range p.steps {
		for at.Kind() == reflect.Interface || at.Kind() == reflect.Pointer && p.steps[i].kind != byCall {
			at = at.Elem()
		}
		var ok bool
		if at, ok = p.steps[i].take(at); !ok {
			return nil, false
		}
	}
	if p.length {
		for at.Kind() == reflect.Interface {
			at = at.Elem()
		}
		switch at.Kind() {
		case reflect.Slice, reflect.Map, reflect.String:
			return at.Len(), true
		}
		return nil, false
	}
	v := at.Interface()
	if p.from == 0 && !p.basename {
		return v, true
	}
	text, ok := v.(string)
	if !ok {
		return nil, false
	}
	text = text[min(p.from, len(text)):]
	if p.basename {
		text = filepath.Base(text)
	}
	return text, true
}

func (s *step) take(at reflect.Value) (reflect.Value, bool) {
	switch s.kind {
	case byText, byField:
		if at.Kind() == reflect.Map && at.Type().Key().Kind() == reflect.String {
			if v := at.MapIndex(reflect.ValueOf(s.text).Convert(at.Type().Key())); v.IsValid() {
				return v, true
			}
			return reflect.Zero(at.Type().Elem()), true
		}
		if at.Kind() == reflect.Struct && s.kind == byField {
			f, ok := at.Type().FieldByName(s.text)
			if ok && f.IsExported() && f.Tag.Get("expr") == "" {
				return at.FieldByIndex(f.Index), true
			}
		}
	case byNumber:
		if at.Kind() != reflect.Slice {
			break
		}
		n := s.at
		if n < 0 {
			n += at.Len()
		}
		if n >= 0 && n < at.Len() {
			return at.Index(n), true
		}
	case byCall:
		if !at.IsValid() || at.Kind() == reflect.Pointer && at.IsNil() {
			break
		}
		m := at.MethodByName(s.text)
		if !m.IsValid() || m.Type().NumIn() != s.args || m.Type().NumOut() != 1 || m.Type().IsVariadic() {
			break
		}
		if s.args == 0 {
			return m.Call(nil)[0], true
		}
		if m.Type().In(0).Kind() == reflect.String {
			return m.Call([]reflect.Value{reflect.ValueOf(s.arg)})[0], true
		}
	}
	return reflect.Value{}, false
}
