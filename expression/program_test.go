package expression_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

func TestCompileErrors(t *testing.T) {
	env := expression.New(expression.Options{})
	for _, c := range []struct {
		source string
		on     expression.On
		kind   expression.Kind
		want   string
	}{
		{"evnt.Meta.x == 'a'", expression.OnEvent, expression.Bool, "column 1: unknown name evnt in `evnt.Meta.x == 'a'`: did you mean evt?"},
		{"evt.Met.x == 'a'", expression.OnEvent, expression.Bool, "column 5: type event.Event has no field Met in `evt.Met.x == 'a'`: did you mean Meta?"},
		{"Lowr(evt.Meta.x) == 'a'", expression.OnEvent, expression.Bool, "did you mean Lower, lower?"},
		{"evt.Meta.x = 'a'", expression.OnEvent, expression.Bool, "column 12: unexpected token Operator(\"=\") in `evt.Meta.x = 'a'`: write == to compare"},
		{"evt.Meta.x == 404", expression.OnEvent, expression.Bool, "quote the constant"},
		{"Alert.Remediation == 1", expression.OnAlert, expression.Bool, "true or false already"},
		{"evt.Meta.x == true", expression.OnEvent, expression.Bool, "not with true or false"},
		{"evt.Meta.x", expression.OnEvent, expression.Bool, "it gives string, but true or false is needed here"},
		{"evt.Meta.x == 'a'", expression.OnEvent, expression.String, "it gives bool, but text is needed here"},
		{"Lower(1)", expression.OnEvent, expression.Any, "it is Lower(string) string"},
		{"Lower(evt.Nope)", expression.OnEvent, expression.Any, "column 11: type event.Event has no field Nope"},
		{"evt.Time.Huor() == 1", expression.OnEvent, expression.Bool, "did you mean Hour?"},
		{"evt.Meta.x matches '(?=a)'", expression.OnEvent, expression.Bool, "no look-around"},
		{"evt.Meta.x == 'a", expression.OnEvent, expression.Bool, "close the quote"},
		{"evt.Meta.x == 'a' &&", expression.OnEvent, expression.Bool, "it ends too early"},
		{"evt.Meta.x == 'a' &&\n\tevt.Mta.y == 'b'", expression.OnEvent, expression.Bool, "line 2 column 6: type event.Event has no field Mta"},
		{"CrowdsecCTI(1)", expression.OnEvent, expression.Any, "it is CrowdsecCTI(string) (*expression.SmokeItem, error)"},
		{"evt.Meta.a + x", expression.OnContext, expression.Any, "variables here are evt, match, req"},
		{"queue.L > 1", expression.OnEvent, expression.Bool, "unknown name queue in `queue.L > 1`: variables here are evt"},
		{"signal.Mapkey == ''", expression.OnQueue, expression.Bool, "variables here are evt, queue, leaky"},
		{"evt.Meta.x == ''", expression.OnAlert, expression.Bool, "variables here are Alert"},
		{"let evt = 1; evt == 1", expression.OnEvent, expression.Bool, "choose another name"},
		{" \n", expression.OnEvent, expression.Bool, "the expression is empty"},
		{strings.Repeat("1+", 70000) + "1", expression.OnEvent, expression.Any, "bytes in"},
		{strings.Repeat("1+", 30000) + "1", expression.OnEvent, expression.Any, "data file"},
	} {
		_, err := env.Compile(c.source, c.on, c.kind)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60s:\n got %v\nwant %s", c.source, err, c.want)
		}
		var e *expression.Error
		if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 {
			t.Errorf("%.60s: %#v", c.source, err)
		}
	}
}

func TestVariables(t *testing.T) {
	env := expression.New(expression.Options{})
	ev := request()
	source := &event.Source{Scope: "Ip", Value: "192.0.2.7"}
	signal := &event.RuntimeAlert{Mapkey: "m", BucketID: "b", Sources: map[string]*event.Source{"192.0.2.7": source}}
	alert := &event.Alert{Scenario: "s", Source: source, Remediation: true, EventsCount: 7}
	v := &expression.Vars{Evt: ev, Queue: &event.Queue{L: 3, Queue: []*event.Event{ev}}, Leaky: map[string]any{"Total_count": 4}, Signal: signal, Alert: alert}
	for _, c := range []struct {
		on     expression.On
		source string
	}{
		{expression.OnEvent, "evt.GetType() == 'log' && evt.Meta.service == 'http' && evt.GetMeta('http_verb') == 'GET' && evt.Line.Labels.type == 'caddy'"},
		{expression.OnEvent, "evt.Meta.missing == '' && !evt.Whitelisted && evt.Overflow.Alert == nil"},
		{expression.OnQueue, "queue.L == 3 && len(queue.Queue) == 1 && queue.Queue[-1].Meta.http_path == '/missing.php' && leaky.Total_count == 4"},
		{expression.OnQueue, "filter(queue.Queue, #.Meta.service == 'http')[-1].Meta.http_verb == 'GET'"}, // not with the optimiser
		{expression.OnOverflow, "signal.Mapkey == 'm' && signal.BucketId == 'b' && signal.GetSources() == ['192.0.2.7'] && evt.Meta.service == 'http' && queue.L == 3 && leaky.Total_count == 4"},
		{expression.OnAlert, "Alert.Remediation == true && Alert.GetScope() == 'Ip' && Alert.GetScenario() == 's' && Alert.GetEventsCount() > 5"},
	} {
		p, err := env.Compile(c.source, c.on, expression.Bool)
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		if p.Source() != c.source {
			t.Errorf("Source is %q", p.Source())
		}
		if ok, err := p.Bool(v); err != nil || !ok {
			t.Errorf("%s: %v, %v", c.source, ok, err)
		}
	}
}

func TestRunErrors(t *testing.T) {
	env := expression.New(expression.Options{})
	for _, c := range []struct{ source, want string }{
		{"evt.Unmarshaled.k", "it gave nothing (nil), not true or false"},
		{"evt.Unmarshaled.k.l == 1", "cannot fetch l"},
		{"evt.Overflow.Alert.Scenario == ''", "cannot get Scenario from Alert"},
		{"evt.Unmarshaled.k && evt.Meta.x == ''", "column 19: interface conversion"},
		{"Lower(evt.Unmarshaled.k) == ''", "column 1: Lower: argument 1 is nothing (nil), text is needed"},
	} {
		p, err := env.Compile(c.source, expression.OnEvent, expression.Bool)
		if err != nil {
			t.Fatal(err)
		}
		ok, err := p.Bool(onRequest())
		var re *expression.RunError
		if ok || !errors.As(err, &re) || !strings.HasPrefix(err.Error(), "running `"+c.source) ||
			!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, %v", c.source, ok, err)
		}
	}
	p, err := env.Compile("evt.Unmarshaled.k", expression.OnEvent, expression.String)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.String(onRequest()); err == nil || !strings.Contains(err.Error(), "it gave nothing (nil), not text") {
		t.Error(err)
	}
	if _, err := p.Any(&expression.Vars{}); err == nil {
		t.Error("an event that is not there was read")
	}
}

func TestRequires(t *testing.T) {
	env := expression.New(expression.Options{})
	type list = []expression.Requirement
	for _, c := range []struct {
		source             string
		requires, excludes list
	}{
		{"evt.Meta.k == 'v'", list{{"Meta.k", []string{"v"}}}, nil},
		{"'v' == evt.Meta['k']", list{{"Meta.k", []string{"v"}}}, nil},
		{"evt.Parsed.program in ['b', 'a', 'b'] and evt.Line.Labels.type == 'x'", list{{"Parsed.program", []string{"a", "b"}}, {"Line.Labels.type", []string{"x"}}}, nil},
		{"evt.Enriched['a.b'] == Lower('ABC')", list{{"Enriched.a.b", []string{"abc"}}}, nil},
		{"evt?.Meta?.k == 'v'", nil, nil}, // it fails where there is no Meta
		{"evt.Meta.k == 'a' || evt.Meta.k == 'b' || evt.Meta.k in ['c']", list{{"Meta.k", []string{"a", "b", "c"}}}, nil},
		{"(evt.Meta.k == 'a' && evt.Meta.l == 'x') or (evt.Meta.l == 'y' && evt.Meta.k == 'b')", list{{"Meta.k", []string{"a", "b"}}, {"Meta.l", []string{"x", "y"}}}, nil},
		{"evt.Meta.k == 'a' || evt.Meta.l == 'b'", nil, nil},
		{"evt.Meta.k == 'a' || true", nil, nil},
		{"not (evt.Meta.k == 'a')", nil, list{{"Meta.k", []string{"a"}}}},
		{"evt.StrTime != '' && evt.Meta.k not in ['a', 'b']", nil, list{{"StrTime", []string{""}}, {"Meta.k", []string{"a", "b"}}}},
		{"evt.Meta.k not in ['a', 'b'] || evt.Meta.k != 'b'", nil, list{{"Meta.k", []string{"b"}}}},
		{"not (evt.Meta.k != 'a')", list{{"Meta.k", []string{"a"}}}, nil},
		{"evt.GetType() == 'overflow' && evt.Line.Module == 'file'", list{{"Type", []string{"overflow"}}, {"Line.Module", []string{"file"}}}, nil},
		{"let k = evt.Meta.k; k == 'a' && evt.Parsed.l == 'b'", list{{"Meta.k", []string{"a"}}, {"Parsed.l", []string{"b"}}}, nil},
		{"evt.Meta.k == 'a' && evt.SetMeta('l', 'b') && evt.Meta.l == 'b'", list{{"Meta.k", []string{"a"}}}, nil},
		{"evt.SetMeta('l', 'b'); evt.Meta.l == 'b'", nil, nil},
		{"UnmarshalJSON(evt.Line.Raw, evt.Unmarshaled, 'k') in ['', nil] && evt.Meta.k == 'a'", nil, nil}, // it may fail
		{"evt.Meta.k == 'a' && UnmarshalJSON(evt.Line.Raw, evt.Unmarshaled, 'k') in ['', nil]", list{{"Meta.k", []string{"a"}}}, nil},
		{"if evt.Meta.k == 'a' { evt.Meta.l == 'b' } else { false }", list{{"Meta.k", []string{"a"}}, {"Meta.l", []string{"b"}}}, nil},
		{"evt.GetMeta('k') == 'a'", nil, nil}, // not so of an overflow
		{"evt.Meta.k in ['a', evt.Meta.l]", nil, nil},
		{"any(['a'], {evt.Meta.k == #})", nil, nil},
		{"evt.Unmarshaled.k == 'a'", nil, nil},
	} {
		p, err := env.Compile(c.source, expression.OnEvent, expression.Bool)
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		if d := cmp.Diff(c.requires, p.Requires()); d != "" {
			t.Errorf("%s requires (-want +got):\n%s", c.source, d)
		}
		if d := cmp.Diff(c.excludes, p.Excludes()); d != "" {
			t.Errorf("%s excludes (-want +got):\n%s", c.source, d)
		}
	}
}

func TestReads(t *testing.T) {
	env := expression.New(expression.Options{})
	for _, c := range []struct{ source, want string }{
		{"evt.Meta.k == 'a' && evt.Parsed['x y'] != '' && evt.Line.Raw contains 'z'", "Line.Raw Meta.k Parsed.x y"},
		{"evt.GetMeta('k') == evt.Line.Labels.type", "Line.Labels.type Meta.k"},
		{"any(evt.ParseIPSources(), {true})", "Meta.source_ip"},
		{"evt.GetType() == 'log'", "Type"},
		{"evt.Unmarshaled.a.b == 1", "Unmarshaled"},
		{"evt.Time.Hour() > 3 && evt.Overflow.Alert.Remediation", "Overflow Time"},
		{"'k' in evt.Meta", "Meta.k"},
		{"evt.Meta[evt.Parsed.k] == ''", "Meta Parsed.k opaque"},
		{"evt.GetMeta(evt.Parsed.k) == ''", "Parsed.k opaque"},
		{"len(evt.Meta) > 3", "Meta opaque"},
		{"ToJsonString(evt) == ''", "opaque"},
		{"let m = evt.Meta; let k = m.k; k == 'a'", "Meta.k"},
		{"any(queue.Queue, {#.Meta.http_status == '404'})", "Meta.http_status"},
		{"count(queue.Queue, .Meta.k == 'a') > queue.L", "Meta.k"},
		{"let f = filter(queue.Queue, #.Meta.k == 'a'); f[-1].Parsed.l == ''", "Meta.k Parsed.l"},
		{"MedianInterval(map(queue.Queue[-4:], {#.Time})) < duration('1s')", "Time"},
		{"len(queue.Queue) > 2", ""},
		{"get(evt.Meta, 'k') == 'a'", "Meta.k"},
		{"$env['evt'].Meta.k == 'a'", "opaque writes"},
		{"leaky.Total_count == 3", "opaque"},
		{"evt.SetMeta('k', evt.Parsed.l)", "Parsed.l writes"},
		{"UnmarshalJSON(evt.Line.Raw, evt.Unmarshaled, 'k') == nil", "Line.Raw Unmarshaled writes"},
		{"SetInStash('a', evt.Meta.k, 'v', nil) == nil", "Meta.k writes"},
		{"GetFromStash('a', evt.Meta.k) == ''", "Meta.k"},
	} {
		p, err := env.Compile(c.source, expression.OnQueue, expression.Bool)
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		got := p.Reads().Paths
		if p.Reads().Opaque {
			got = append(got[:len(got):len(got)], "opaque")
		}
		if p.Reads().Writes {
			got = append(got[:len(got):len(got)], "writes")
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s reads %q, want %q", c.source, got, c.want)
		}
	}
}

// TestConcurrent is for the race detector: one program, one Env, many goroutines.
func TestConcurrent(t *testing.T) {
	env := expression.New(expression.Options{Data: fstest.MapFS{
		"w.txt": {Data: []byte("a\nb\n")}, "re.txt": {Data: []byte("^a\n")}, "more.txt": {Data: []byte("x\n")},
	}})
	if err := errors.Join(
		env.AddData(expression.DataFile{DestFile: "w.txt", Type: "string"}),
		env.AddData(expression.DataFile{DestFile: "re.txt", Type: "regexp", Strategy: "ARC", Size: 4, TTL: time.Second}),
	); err != nil {
		t.Fatal(err)
	}
	env.Stash("s", 10, time.Minute, "LFU")
	p, err := env.Compile("any(File('w.txt'), {# == evt.Meta.k}) && RegexpInFile(evt.Meta.k, 're.txt') && Upper(evt.Meta.k) in ['A'] && "+
		"SetInStash('s', evt.Meta.k, 'v', nil) == nil && GetFromStash('s', 'a') == 'v' && XMLGetNodeValue('<a>x</a>', '/a') == 'x' && File('none.txt') == []",
		expression.OnEvent, expression.Bool)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for g := range 8 {
		wait.Go(func() {
			key := string("ab"[g%2])
			v := &expression.Vars{Evt: &event.Event{Meta: map[string]string{"k": key}}}
			for i := range 300 {
				if ok, err := p.Bool(v); err != nil || ok != (key == "a") {
					t.Errorf("%s: %v, %v", key, ok, err)
					return
				}
				if i%100 == 0 {
					_ = env.AddData(expression.DataFile{DestFile: "more.txt", Type: "string"})
					env.Stash(fmt.Sprint("t", g), 1, time.Minute, "")
					if _, err := env.Compile("evt.Meta.k == 'a'", expression.OnEvent, expression.Bool); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wait.Wait()
}

// TestAllocations pins the hot path: one small allocation for each map field that
// is read, which the language's machine boxes.
func TestAllocations(t *testing.T) {
	env := expression.New(expression.Options{})
	p, err := env.Compile("evt.Meta.service == 'http' && evt.Meta.http_status in ['404', '403', '400'] && evt.Parsed.static_ressource == 'false'",
		expression.OnEvent, expression.Bool)
	if err != nil {
		t.Fatal(err)
	}
	v := onRequest()
	if n := testing.AllocsPerRun(200, func() {
		if ok, err := p.Bool(v); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}); n > 3 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}
