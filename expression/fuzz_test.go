package expression_test

import (
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// FuzzCompile: whatever the text, Compile gives a program or a one-line *Error,
// and the program runs without a panic.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		"evt.Meta.service == 'http' && evt.Meta.http_status in ['404', '403']",
		"any(File('x'), {Upper(evt.Parsed.args) contains Upper(#)})",
		"let a = evt.Line.Raw; a matches '^x' ? 'b' : Sprintf('%v', a)",
		"filter(queue.Queue, #.Meta.a == 'b')[-1].Time.Hour() > 3",
		"UnmarshalJSON(evt.Line.Raw, evt.Unmarshaled, 'k') in ['', nil]",
		"if evt.Meta.a == 'b' { 1 } else { 2 }", "reduce([1, 2], #acc + #, 0)", "((((((((", "$env[\"evt\"]?.x ?? nil", "a.b[1:2]..3",
	} {
		f.Add(s, "a=1 {\"a\":\"b\"}")
	}
	env := expression.New(expression.Options{})
	f.Fuzz(func(t *testing.T, source, line string) {
		p, err := env.Compile(source, expression.OnQueue, expression.Any)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: the error has lines: %q", source, err)
			}
			return
		}
		ev := &event.Event{Line: event.Line{Raw: line}, Meta: map[string]string{"a": line}}
		if len(source) < 200 { // long programs may count to a million
			_, _ = p.Any(&expression.Vars{Evt: ev, Queue: &event.Queue{Queue: []*event.Event{ev}}})
		}
		p.Requires()
		p.Reads()
	})
}

// FuzzText: functions that take lines of strangers.
func FuzzText(f *testing.F) {
	f.Add(`a=1 b="x \" y" c= d`, "a.b[0]", "a")
	f.Add(`{"a":{"b":["x\u0041",1.5]}}`, "a.b[0]", "a*b?")
	f.Add(`<a b="c"><d>e</d></a>`, "/a/d", "b")
	f.Add(`[[[[{"":"`, "[0][0]", "**?")
	env := expression.New(expression.Options{})
	var programs []*expression.Program
	for _, s := range []string{
		"UnmarshalJSON(evt.Line.Raw, evt.Unmarshaled, 'json') == nil",
		"ParseKV(evt.Line.Raw, evt.Unmarshaled, 'kv') == nil", "ParseKVLax(evt.Line.Raw, evt.Unmarshaled, 'lax') == nil",
		"JsonExtract(evt.Line.Raw, evt.Meta.path) != ''", "JsonExtractUnescape(evt.Line.Raw, evt.Meta.path) != ''",
		"JsonExtractSlice(evt.Line.Raw, evt.Meta.path) == nil", "JsonExtractObject(evt.Line.Raw, evt.Meta.path) == nil",
		"XMLGetNodeValue(evt.Line.Raw, '/a/d') != ''", "XMLGetAttributeValue(evt.Line.Raw, '/a', evt.Meta.other) != ''",
		"Match(evt.Meta.other, evt.Line.Raw)", "len(ParseUri(evt.Line.Raw)) > 0", "len(ParseQuery(evt.Line.Raw)) > 0",
		"LibInjectionIsSQLI(evt.Line.Raw) || LibInjectionIsXSS(evt.Line.Raw)", "IpInRange(evt.Line.Raw, evt.Meta.path)",
		"IpToRange(evt.Line.Raw, evt.Meta.other) == ''", "QueryUnescape(evt.Line.Raw) == PathUnescape(evt.Line.Raw)", "ParseUnix(evt.Line.Raw) == ''",
	} {
		p, err := env.Compile(s, expression.OnEvent, expression.Bool)
		if err != nil {
			f.Fatal(err)
		}
		programs = append(programs, p)
	}
	f.Fuzz(func(t *testing.T, line, path, other string) {
		ev := &event.Event{Line: event.Line{Raw: line}, Meta: map[string]string{"path": path, "other": other}}
		for _, p := range programs {
			if _, err := p.Bool(&expression.Vars{Evt: ev}); err != nil && strings.Contains(err.Error(), "runtime error") {
				t.Errorf("%s: %v", p.Source(), err)
			}
		}
		if kv, ok := ev.Unmarshaled["kv"].(map[string]string); ok {
			for k, v := range kv {
				if strings.ContainsAny(k, "= \t\n") || !strings.Contains(line, k+"=") || !strings.Contains(line, v) {
					t.Errorf("%q is not in %q: %q", k, line, v)
				}
			}
		}
	})
}
