package expression_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

var noon = time.Date(2024, 4, 10, 12, 0, 0, 0, time.UTC)

// evaluate compiles source as On's variables allow and runs it on v.
func evaluate(t testing.TB, env *expression.Env, source string, v *expression.Vars) (any, error) {
	t.Helper()
	on := expression.OnEvent
	switch {
	case v.Alert != nil:
		on = expression.OnAlert
	case v.Queue != nil:
		on = expression.OnQueue
	case v.Signal != nil:
		on = expression.OnOverflow
	}
	p, err := env.Compile(source, on, expression.Any)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return p.Any(v)
}

// failure is what a case wants that must fail at run time: part of the error.
type failure string

func check(t *testing.T, env *expression.Env, v func() *expression.Vars, cases [][2]any) {
	t.Helper()
	for _, c := range cases {
		source := c[0].(string)
		got, err := evaluate(t, env, source, v())
		if want, ok := c[1].(failure); ok {
			if err == nil || !strings.Contains(err.Error(), string(want)) {
				t.Errorf("%s: got %v, error %v; want an error with %q", source, got, err, string(want))
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if d := cmp.Diff(c[1], got); d != "" {
			t.Errorf("%s (-want +got):\n%s", source, d)
		}
	}
}

func onRequest() *expression.Vars { return &expression.Vars{Evt: request()} }

func TestTextFunctions(t *testing.T) {
	check(t, expression.New(expression.Options{}), onRequest, [][2]any{
		{`Lower('ÄB')`, "äb"},
		{`Upper('äb')`, "ÄB"},
		{`Upper(evt.Meta.http_verb + 'x')`, "GETX"},
		{`Lower(evt.Unmarshaled.nothing)`, failure("Lower: argument 1 is nothing (nil)")},
		{`TrimSpace(" a \n")`, "a"},
		{`Trim('xaxx', 'x')`, "a"},
		{`TrimLeft('xxax', 'x')`, "ax"},
		{`TrimRight('xaxx', 'x')`, "xa"},
		{`TrimPrefix('/a', '/')`, "a"},
		{`TrimSuffix('a.php', '.php')`, "a"},
		{`Index('chicken', 'ken')`, 4},
		{`Index('chicken', 'dmr')`, -1},
		{`IndexAny('golang', 'gy')`, 0},
		{`Replace('oink oink oink', 'k', 'ky', 2)`, "oinky oinky oink"},
		{`ReplaceAll('aaa', 'a', 'b')`, "bbb"},
		{`Split('a,b', ',')`, []string{"a", "b"}},
		{`SplitAfter('a,b', ',')`, []string{"a,", "b"}},
		{`SplitN('a,b,c', ',', 2)`, []string{"a", "b,c"}},
		{`SplitAfterN('a,b,c', ',', 2)`, []string{"a,", "b,c"}},
		{`Fields('  a b ')`, []string{"a", "b"}},
		{`Join(Split('a,b', ','), '-')`, "a-b"},
		{`Sprintf('%s-%d', 'a', 3)`, "a-3"},
		{`Sprintf('%+v', evt.Meta.http_verb)`, "GET"},
		{`Match('/a*/b?', '/a/x/bc')`, true},
		{`Match('/a*/b?', '/a/x/b')`, false},
		{`Match('', '')`, true},
		{`Match('', 'a')`, false},
		{`Match('*', '')`, true},
		{`Match('a', 'A')`, false},
		{`Match('a*', 'ba')`, false},
		{`Match('**a*b', 'xaxaxb')`, true},
		{`Match('??', 'é')`, true}, // bytes
		{`Match('[a]', 'a')`, false},
	})
}

func TestEscapeFunctions(t *testing.T) {
	check(t, expression.New(expression.Options{}), onRequest, [][2]any{
		{`QueryUnescape('a+b%20c')`, "a b c"},
		{`QueryUnescape('100%')`, "100%"},
		{`PathUnescape('a+b%2Fc')`, "a+b/c"},
		{`PathUnescape('%zz')`, "%zz"},
		{`QueryEscape('a b/c')`, "a+b%2Fc"},
		{`PathEscape('a b/c')`, "a%20b%2Fc"},
		{`ParseUri('/x?a=1&a=2&b=')`, map[string][]string{"a": {"1", "2"}, "b": {""}}},
		{`ParseUri('/x?a;b')`, map[string][]string{}},
		{`ParseUri('http://[')`, map[string][]string{}},
		{`ParseUri('')`, map[string][]string{}},
		{`ParseQuery('a=1;b=2&c=%zz&d+e=f%20g&&h')`, map[string][]string{"a": {"1;b=2"}, "c": {"%zz"}, "d e": {"f g"}, "h": {""}}},
		{`ExtractQueryParam('/x?id=1&id=2', 'id')`, []string{"1", "2"}},
		{`ExtractQueryParam('/x?id=1?b', 'id')`, []string{"1?b"}},
		{`ExtractQueryParam('/x?id=1', 'no')`, []string{}},
		{`ExtractQueryParam('id=1', 'id')`, []string{}},
		{`B64Decode('aGk=')`, "hi"},
		{`B64Decode('aGk')`, failure("B64Decode: decoding 3 characters")},
	})
}

func TestAddressFunctions(t *testing.T) {
	check(t, expression.New(expression.Options{}), onRequest, [][2]any{
		{`IsIP('192.0.2.1')`, true},
		{`IsIP('192.0.2.256')`, false},
		{`IsIP('fe80::1%eth0')`, false},
		{`IsIPV4('::ffff:192.0.2.1')`, true},
		{`IsIPV6('::ffff:192.0.2.1')`, false},
		{`IsIPV6('2001:db8::1')`, true},
		{`IsIPV6('x')`, false},
		{`IpInRange('192.0.2.1', '192.0.2.99/24')`, true},
		{`IpInRange('192.0.3.1', '192.0.2.0/24')`, false},
		{`IpInRange('::ffff:192.0.2.1', '192.0.2.0/24')`, true},
		{`IpInRange('192.0.2.1', '::ffff:192.0.2.0/120')`, true},
		{`IpInRange('2001:db8::1', '2001:db8::/32')`, true},
		{`IpInRange('x', '192.0.2.0/24')`, false},
		{`IpInRange('192.0.2.1', '192.0.2.0')`, false},
		{`IpToRange('2001:db8::1', '/64')`, "2001:db8::/64"},
		{`IpToRange('192.0.2.77', '24')`, "192.0.2.0/24"},
		{`IpToRange('192.0.2.77', '33')`, ""},
		{`IpToRange('192.0.2.77', 'x')`, ""},
		{`IpToRange('x', '24')`, ""},
		{`LibInjectionIsSQLI("1' OR '1'='1")`, true},
		{`LibInjectionIsSQLI('hello world')`, false},
		{`LibInjectionIsXSS('<script>alert(1)</script>')`, true},
		{`LibInjectionIsXSS('hello')`, false},
	})
}

func TestValueFunctions(t *testing.T) {
	env := expression.New(expression.Options{Now: func() time.Time { return noon }})
	check(t, env, func() *expression.Vars {
		ev := request()
		ev.Unmarshaled = map[string]any{"m": map[string]any{"a": 1}, "l": []any{"a", "b"}}
		return &expression.Vars{Evt: ev}
	}, [][2]any{
		{`Get(Split('a b', ' '), 1)`, "b"},
		{`Get(evt.Unmarshaled.l, 1)`, "b"},
		{`Join(evt.Unmarshaled.l, '-')`, "a-b"},
		{`Join(evt.Unmarshaled.m, '-')`, failure("a list of text is needed")},
		{`Get(Split('a b', ' '), 2)`, ""},
		{`Get(Split('a b', ' '), -1)`, failure("Get: the index -1 is negative")},
		{`Flatten([1, [2, [3]]], 'a')`, []any{1, 2, 3, "a"}},
		{`Distinct(['b', 'a', 'b'])`, []any{"b", "a"}},
		{`Distinct(Split('b a b', ' '))`, []any{"b", "a"}},
		{`Distinct('a')`, nil},
		{`FlattenDistinct([1, [1, [2]]], 2)`, []any{1, 2}},
		{`FlattenDistinct([nil, nil, evt.Unmarshaled.m, evt.Unmarshaled.m])`, []any{nil, map[string]any{"a": 1}, map[string]any{"a": 1}}},
		{`Atof('1.5')`, 1.5},
		{`Atof('x')`, 0.0},
		{`FloatApproxEqual(1.0000001, 1)`, true},
		{`FloatApproxEqual(1.1, 1)`, false},
		{`ToString('a')`, "a"},
		{`ToString(1)`, ""},
		{`KeyExists('a', evt.Unmarshaled.m)`, true},
		{`KeyExists('b', evt.Unmarshaled.m)`, false},
		{`KeyExists('b', evt.Unmarshaled.none)`, failure("KeyExists: argument 2 is nothing (nil)")},
		{`LogInfo('seen %s', evt.Meta.source_ip)`, true},
		{`len(Hostname()) > 0`, true},
		{`Distance('0', '0', '10', '10')`, 0.0},
		{`Distance('1', '1', 'x', '1')`, failure("Distance: argument 3 is not a number")},
		{`int(Distance('48.8566', '2.3522', '51.5074', '-0.1278'))`, 343},
		{`TimeNow()`, "2024-04-10T12:00:00Z"},
		{`now()`, noon},
		{`now().Hour() == 12 && now(timezone('Europe/Paris')).Hour() == 14`, true},
		{`ParseUnix('1712750400.99')`, time.Unix(1712750400, 0).Format(time.RFC3339)},
		{`ParseUnix('0')`, ""},
		{`ParseUnix('x')`, ""},
	})
}

func TestIntervals(t *testing.T) {
	env := expression.New(expression.Options{})
	queue := &event.Queue{L: 10}
	for _, s := range []int{40, 0, 10, 12} { // sorted: gaps of 10, 2, 28
		queue.Queue = append(queue.Queue, &event.Event{Time: noon.Add(time.Duration(s) * time.Second)})
	}
	check(t, env, func() *expression.Vars { return &expression.Vars{Evt: request(), Queue: queue} }, [][2]any{
		{`MedianInterval(map(queue.Queue, #.Time))`, 10 * time.Second},
		{`MedianInterval(map(queue.Queue[-3:], {#.Time}))`, 6 * time.Second}, // 0, 10, 12
		{`MedianInterval(map(queue.Queue[0:1], #.Time))`, failure("at least two times are needed, there are 1")},
		{`MedianInterval(['a', 'b'])`, failure("element 1 is text, a time is needed")},
		{`AverageInterval(map(queue.Queue, #.Time))`, 40 * time.Second / 3},
		{`MedianInterval(map(queue.Queue, #.Time)) < duration('11s')`, true},
		{`queue.Queue[0].Time == queue.Queue[-4].Time`, true}, // not sorted in place
	})
}

func TestJSONFunctions(t *testing.T) {
	const doc = `{"a":{"b":[{"c":"x\ty"},2]},"n":1.50,"t":true,"z":null,"o":{"k":"v"},"a.b":"dot","log":"line\nnext","*":"star","l":[[1,2],[3]]}`
	env := expression.New(expression.Options{})
	check(t, env, func() *expression.Vars {
		return &expression.Vars{Evt: &event.Event{Line: event.Line{Raw: doc}}}
	}, [][2]any{
		{`JsonExtract(evt.Line.Raw, 'a.b[0].c')`, `x\ty`},
		{`JsonExtract(evt.Line.Raw, 'a.b[1]')`, "2"},
		{`JsonExtract(evt.Line.Raw, 'a.b.[1]')`, ""}, // the bracket makes a dot of its own
		{`JsonExtract(evt.Line.Raw, 'l[1][0]')`, "3"},
		{`JsonExtract('[{"a":1}]', '[0].a')`, "1"},
		{`JsonExtract(evt.Line.Raw, 'n')`, "1.50"},
		{`JsonExtract(evt.Line.Raw, 't')`, "true"},
		{`JsonExtract(evt.Line.Raw, 'z')`, "null"},
		{`JsonExtract(evt.Line.Raw, 'o')`, `{"k":"v"}`},
		{`JsonExtract(evt.Line.Raw, '*')`, "star"},
		{`JsonExtract(evt.Line.Raw, '#')`, ""},
		{`JsonExtract(evt.Line.Raw, 'a.b[7]')`, ""},
		{`JsonExtract(evt.Line.Raw, 'a.b[x]')`, ""},
		{`JsonExtract(evt.Line.Raw, 'a.b[-1]')`, ""},
		{`JsonExtract(evt.Line.Raw, 'a[0]')`, ""},
		{`JsonExtract(evt.Line.Raw, '')`, ""},
		{`JsonExtract('not json', 'a')`, ""},
		{`JsonExtract('', 'a')`, ""},
		{`JsonExtract('{"a":"x", broken', 'a')`, "x"},
		{`JsonExtract('{"a":"x', 'a')`, ""},
		{`JsonExtractUnescape(evt.Line.Raw, 'log')`, "line\nnext"},
		{`JsonExtractUnescape(evt.Line.Raw, 'a.b')`, "dot"},
		{`JsonExtractUnescape(evt.Line.Raw, 'o', 'k')`, ""}, // the first key alone
		{`JsonExtractUnescape(evt.Line.Raw, 'n')`, ""},
		{`JsonExtractLib(evt.Line.Raw, 'n')`, failure("JsonExtractLib: it cannot be called")},
		{`JsonExtractSlice(evt.Line.Raw, 'l[0]')`, []any{1.0, 2.0}},
		{`JsonExtractSlice(evt.Line.Raw, 'o') == nil`, true},
		{`JsonExtractObject(evt.Line.Raw, 'o')`, map[string]any{"k": "v"}},
		{`JsonExtractObject(evt.Line.Raw, 'none') == nil`, true},
		{`ToJsonString({'a': 1})`, `{"a":1}`},
		{`ToJsonString(evt.Meta)`, `null`},
		{`UnmarshalJSON(evt.Line.Raw, evt.Unmarshaled, 'k') in ['', nil] && evt.Unmarshaled.k.n == 1.5`, true},
		{`UnmarshalJSON('[1]', evt.Unmarshaled, 'k') == nil && evt.Unmarshaled.k[0] == 1`, true},
		{`UnmarshalJSON('{', evt.Unmarshaled, 'k') in ['', nil]`, failure("UnmarshalJSON: decoding JSON")},
		{`UnmarshalJSON('{}', evt.Unmarshaled.nothing, 'k')`, failure("argument 2 is nothing (nil)")},
	})
}

func TestKeyValueFunctions(t *testing.T) {
	env := expression.New(expression.Options{})
	for _, c := range []struct {
		name, function, text string
		want                 map[string]string
		failure              string
	}{
		{"plain", "ParseKV", `a=1 b="two words" c=`, map[string]string{"a": "1", "b": "two words", "c": ""}, ""},
		{"escapes stay", "ParseKV", `a="x\"y\\z"`, map[string]string{"a": `x\"y\\z`}, ""},
		{"second equals sign", "ParseKV", `a=b=c d==e`, map[string]string{"a": "b", "d": ""}, ""},
		{"words between", "ParseKV", `hello a=1, world b:2`, map[string]string{"a": "1,"}, ""},
		{"no space after quote", "ParseKV", `a="1"b=2`, map[string]string{"a": "1", "b": "2"}, ""},
		{"open quote", "ParseKV", `a="1 2`, map[string]string{"a": `"1`}, ""},
		{"last counts", "ParseKV", `a=1 a=2`, map[string]string{"a": "2"}, ""},
		{"none", "ParseKV", `hello`, nil, "no key=value pair"},
		{"empty", "ParseKV", ``, nil, "no key=value pair"},
		{"only a sign", "ParseKV", `=x`, nil, "no key=value pair"},
		{"lax", "ParseKVLax", `msg=one two three user="a \"b\"" 9x=1 z=`, map[string]string{"msg": "one two three", "user": `a "b"`, "z": ""}, ""},
		{"lax keeps odd keys", "ParseKVLax", `msg=one 9x=1 z=2`, map[string]string{"msg": "one 9x=1", "z": "2"}, ""},
		{"lax key in quotes", "ParseKVLax", `a="x b=1" c=2`, map[string]string{"a": "x b=1", "c": "2"}, ""},
		{"lax open quote", "ParseKVLax", `a="x b=1`, map[string]string{"a": `"x`, "b": "1"}, ""},
		{"lax none", "ParseKVLax", `1=2`, nil, "no key=value pair"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev := &event.Event{Line: event.Line{Raw: c.text}}
			got, err := evaluate(t, env, c.function+`(evt.Line.Raw, evt.Unmarshaled, 'k') in ['', nil]`, &expression.Vars{Evt: ev})
			if c.failure != "" {
				if err == nil || !strings.Contains(err.Error(), c.failure) {
					t.Fatalf("got %v, error %v", got, err)
				}
				if _, ok := ev.Unmarshaled["k"]; ok {
					t.Error("a failure left something behind")
				}
				return
			}
			if err != nil || got != true {
				t.Fatalf("got %v, error %v", got, err)
			}
			if d := cmp.Diff(any(c.want), ev.Unmarshaled["k"]); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestKeyValueMerges(t *testing.T) {
	env := expression.New(expression.Options{})
	ev := &event.Event{}
	run := func(source string) error {
		_, err := evaluate(t, env, source, &expression.Vars{Evt: ev})
		return err
	}
	if err := run(`ParseKV('a=1 b=1', evt.Unmarshaled, 'k')`); err != nil {
		t.Fatal(err)
	}
	if err := run(`ParseKVLax('b=2 c=x y', evt.Unmarshaled, 'k')`); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"k": map[string]string{"a": "1", "b": "2", "c": "x y"}}, ev.Unmarshaled); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	ev.Unmarshaled["j"] = 1
	if err := run(`ParseKV('a=1', evt.Unmarshaled, 'j')`); err == nil || !strings.Contains(err.Error(), `"j" already holds a number`) {
		t.Error(err)
	}
}

func TestMarkupFunctions(t *testing.T) {
	const doc = `<Event><System><EventID>4625</EventID><Provider Name="Sec"/></System>` +
		`<EventData><Data Name="User">bob</Data><Data Name="IP">192.0.2.1</Data></EventData></Event>`
	now := noon
	env := expression.New(expression.Options{Now: func() time.Time { return now }})
	check(t, env, func() *expression.Vars {
		return &expression.Vars{Evt: &event.Event{Line: event.Line{Raw: doc}}}
	}, [][2]any{
		{`XMLGetNodeValue(evt.Line.Raw, "/Event/System[1]/EventID")`, "4625"},
		{`XMLGetNodeValue(evt.Line.Raw, "/Event/EventData[1]/Data[@Name='IP']")`, "192.0.2.1"},
		{`XMLGetNodeValue(evt.Line.Raw, "/Event/EventData[1]/Data")`, "bob"},
		{`XMLGetNodeValue(evt.Line.Raw, "/Event/Nothing")`, ""},
		{`XMLGetNodeValue(evt.Line.Raw, "/Event[")`, ""},
		{`XMLGetNodeValue("<a", "/a")`, ""},
		{`XMLGetNodeValue("", "/a")`, ""},
		{`XMLGetAttributeValue(evt.Line.Raw, "/Event/System[1]/Provider", "Name")`, "Sec"},
		{`XMLGetAttributeValue(evt.Line.Raw, "/Event/System[1]/Provider", "No")`, ""},
		{`XMLGetAttributeValue(evt.Line.Raw, "/No", "Name")`, ""},
	})
}
