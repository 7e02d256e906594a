package expression

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
)

// shapes writes random expressions out of the parts that closures know, with now and
// then one that they leave to the machine.
type shapes struct {
	*rand.Rand
	writes bool // some may write to the event
	items  bool // inside a closure over texts
	lets   int
}

func (r *shapes) one(list ...string) string { return list[r.IntN(len(list))] }

func (r *shapes) value() string { return r.one("''", "'a'", "'Ab'", "'b'", "'AB'", "'K'") }

func (r *shapes) text() string {
	f := r.one("evt.Meta.k", "evt.Meta['l']", "evt.Parsed.k", "evt.Enriched.l", "evt.Line.Labels.k", "evt.Line.Raw",
		"evt.Line.Src", "evt.StrTime", "evt.Stage", "evt.MarshaledTime", "'A%62'", "evt.Meta.k")
	if r.items && r.IntN(2) == 0 {
		f = "#"
	}
	switch r.IntN(9) {
	case 0, 1, 2:
		return r.one("Lower", "Upper", "lower", "upper", "TrimSpace", "PathUnescape", "QueryUnescape", "Upper") + "(" + f + ")"
	case 3:
		return "(" + f + " + " + r.one("evt.Meta.l", "'b'") + ")"
	case 4:
		return r.one("Split("+f+", '%')[0]", "Split("+f+", 'b')[-1]", f+"[0:1]", f+"[:-1]", "JsonExtract("+f+", 'x')", "TrimPrefix("+f+", 'a')",
			"Sprintf('%s-%d', "+f+", 3)", "("+f+" != '' ? "+f+" : evt.Parsed.l)", "("+f+" ?? 'b')", "string(len("+f+"))",
			"LookupFile("+f+", 'map.json')", "evt.GetMeta('k')", "evt.GetType()", "Upper(Lower("+f+"))", "Lower(QueryUnescape("+f+"))",
			"{'a': 'b', 'b': 'c'}["+f+"]", r.alertText())
	}
	return f
}

func (r *shapes) alertText() string {
	return "evt.Overflow.Alert." + r.one("Scenario", "Kind", "Message", "Source.IP", "Source.Scope", "Source.Value", "Source.Range", "Source.Cn",
		"Source.AsNumber", "Source.AsName", "GetScenario()", "GetScope()", "GetValue()", "Source.GetValue()",
		"GetLabel('k')", "GetMeta(evt.Meta.k)")
}

func (r *shapes) loose() string {
	return r.one("evt.Unmarshaled.x", "evt.Unmarshaled.x.y", "evt.Unmarshaled?.x?.y", "evt.Unmarshaled.n", "evt.Unmarshaled.list", "evt.Unmarshaled.m.k",
		"evt.Unmarshaled['s']", "(evt.Unmarshaled.s ?? 'b')", "(true ? evt.Unmarshaled.n : nil)", "get(evt.Unmarshaled, 's')", "evt.Unmarshaled.list[0]",
		"find(evt.Unmarshaled.list, # == 'b')", "filter(evt.Unmarshaled.list, # != 'a')[0]", "map(evt.Unmarshaled.list, #)[1]")
}

func (r *shapes) term() string {
	x, y := r.text(), r.text()
	if r.writes && r.IntN(6) == 0 {
		return r.one("evt.SetMeta('k', "+x+")", "evt.SetParsed('l', "+r.value()+")", "UnmarshalJSON(evt.Line.Raw, evt.Unmarshaled, 'x') in ['', nil]",
			"(Upper(evt.Meta.k) contains 'A' ? evt.SetMeta('k', 'b') : false)")
	}
	switch r.IntN(6) {
	case 5:
		if r.IntN(2) == 0 {
			return r.ranges()
		}
		return r.one("evt.Overflow.Alert.Remediation", "evt.Overflow.Alert.Simulated == true", "evt.Overflow.Alert.Source != nil", r.alertText()+" in File('ranges.txt')")
	case 0:
		l := r.loose()
		return r.one(l+" == "+r.value(), l+" != nil", l+" in ['a', 'b']", l+" in [1, 'b', nil]", l+" contains 'a'", l+" matches '^a'", l+" == 2",
			"len("+l+") > 1", l+" > 1", "Lower("+l+") == 'a'", "any("+l+", {# == 'b'})", "all("+l+", {.k != nil})", l+" == true", "int("+l+") >= 1",
			"Split("+l+", 'b')[0] == 'a'", "count("+l+", # == 'a') > 1", "not ("+l+")", l+" startsWith evt.Meta.k", "(int("+l+") ?? 2) + 1 < 4", "-"+l+" < 0")
	case 1:
		return r.one("len("+x+") > 1", "int("+x+") == 1", "evt.Parsed.l not in ['', nil]", x+" == nil", x+" != nil", "'k' in evt.Meta", x+" matches evt.Meta.l",
			"IpInRange("+x+", 'a')", "Match("+r.value()+", "+x+")", x+" in File('list.txt')", "hasSuffix("+x+", 'b')", "RegexpInFile("+x+", 're.txt')",
			"LookupFile("+x+", 'map.json') != ''", "evt.Time.Hour() > 3", "evt.Appsec.HasInBandMatches", "len(evt.Meta) > 1", "KeyExists('x', evt.Unmarshaled)",
			"evt.Overflow.Alert.Remediation == true", "IsIPV4("+x+")", "duration('10m') > duration('1s')")
	}
	return r.one(x+" == "+r.value(), r.value()+" != "+x, x+" == "+y, x+" in ["+r.value()+", "+r.value()+"]",
		x+" not in ["+r.value()+"]", x+" contains "+r.value(), x+" startsWith "+y, x+" endsWith "+r.value(), x+" contains "+r.value(),
		x+" matches '^[aA]b?$'", x+" not matches '(?i)B'", x+" matches '(?i)k|ab'", "true", "not (false)", "reduce([1, 2], #acc + #, 0) == 4")
}

func (r *shapes) bool(depth int) string {
	if depth == 0 {
		return r.term()
	}
	a, b := r.bool(depth-1), r.bool(depth-1)
	switch r.IntN(9) {
	case 0:
		r.lets++
		name := fmt.Sprintf("v%d", r.lets)
		return "(let " + name + " = " + r.one(r.text(), r.loose(), r.term()) + "; " + r.one(name+" == 'a' || ", name+" != nil && ") + a + ")"
	case 1, 2:
		list := r.one("['a', 'b', '']", "File('list.txt')", "File('none.txt')", "Split(evt.Meta.k, '%')", "evt.Unmarshaled.list", "['Ab', 1]")
		outer := r.items
		r.items = true
		inner := r.one(r.text()+r.one(" contains #", " == #", " endsWith #", " != #", " contains Upper(#)"), r.bool(depth-1))
		r.items = outer
		return r.one("any", "any", "all", "none") + "(" + list + ", {" + inner + "}) && " + a
	case 3:
		return r.one("("+a+" ? "+b+" : false)", "("+a+" ? "+b+" : "+r.term()+")", "if "+a+" { "+b+" } else { false }")
	}
	return r.one(a+" && "+b, a+" and "+b, "("+a+" || "+b+")", "("+a+" or "+b+")", "!("+a+")", "not ("+a+")", a)
}

func randomAddress(r *rand.Rand) string {
	return []string{"", "a", "10.1.2.3", "10.1.2.255", "10.1.3.0", "192.0.2.7", "::ffff:192.0.2.7", "::1", "2001:db8::1", "2001:db8::1%eth0", "255.255.255.255",
		"0.0.0.0", "::", "10.1.2.3 "}[r.IntN(14)]
}

func randomEvent(r *rand.Rand) *event.Event {
	text := func() string {
		return []string{"", "a", "Ab", "aB ", "b", "A%62", "%zz", "1", "kıb", "Ka", "aÿ", `{"x":"a"}`, "b%41", "Ab+b"}[r.IntN(14)]
	}
	m := func() map[string]string {
		if r.IntN(8) == 0 {
			return nil
		}
		return map[string]string{"k": text(), "l": text(), "ip": randomAddress(r)}
	}
	values := []any{nil, "a", "Ab", 1, 2.0, true, false, map[string]any{"y": "a"}, map[string]string{"k": "a"}, []any{"a", "b"}, []any{}, []any{map[string]any{"k": "b"}}}
	trees := map[string]any{}
	for _, k := range []string{"x", "n", "s", "list", "m"} {
		trees[k] = values[r.IntN(len(values))]
	}
	if k := reflect.ValueOf(trees["list"]).Kind(); k == reflect.Map {
		trees["list"] = nil // the machine goes over a map as long as nobody asks for #
	}
	ev := &event.Event{Meta: m(), Parsed: m(), Enriched: m(), StrTime: text(), Stage: text(), MarshaledTime: text(), Unmarshaled: trees,
		Line: event.Line{Raw: text(), Src: text(), Labels: m()}}
	if r.IntN(3) > 0 {
		a := event.Alert{ScenarioLabels: map[string]any{"k": text(), "a": 1}, Meta: event.Meta{{Key: "a", Value: text()}}, Scenario: text(), Kind: text(), Message: text(), Remediation: r.IntN(2) == 0, Simulated: r.IntN(2) == 0}
		if r.IntN(4) > 0 {
			a.Source = &event.Source{Scope: text(), Value: text(), IP: randomAddress(r), Range: text(), AsName: text(), AsNumber: text(), Cn: text()}
		}
		ev.Overflow.APIAlerts = []event.Alert{a}
		ev.Overflow.Alert = &ev.Overflow.APIAlerts[0]
	}
	return ev.Clone() // so that clones equal it, nil maps and all
}

// filesEnv is an environment with data files.
func filesEnv(t testing.TB) *Env {
	env := New(Options{Data: fstest.MapFS{
		"list.txt": {Data: []byte("Ab\nb\nlonger line\n")}, "re.txt": {Data: []byte("^A\n\\bb\\b\n")},
		"ranges.txt": {Data: []byte("10.1.2.0/24\n10.1.2.128/25\n\tx\n 192.0.2.0/28\n192.0.2.7\n2001:db8::/32\n::ffff:10.1.3.0/120\n::ffff:0.0.0.0/90\n255.255.255.255/32\n")},
		"map.json":   {Data: []byte(`{"pattern":"b","tag":"b","type":"contains"}` + "\n" + `{"pattern":"a","tag":"T","type":"equals"}` + "\n")},
	}})
	for name, kind := range map[string]string{"list.txt": "string", "re.txt": "regexp", "map.json": "map", "ranges.txt": "string"} {
		if err := env.AddData(DataFile{DestFile: name, Type: kind}); err != nil {
			t.Fatal(err)
		}
	}
	return env
}

// left is what a run shows: its result, whether it failed, and the event behind it.
type left struct {
	out    any
	failed bool
	ev     *event.Event
}

// bothRuns runs a program by closures and by the machine.
func bothRuns(p *Program, ev *event.Event, memo *Memo) (closures, machine left) {
	a, b := ev.Clone(), ev.Clone()
	v := &Vars{Evt: a, Memo: memo}
	out, err := p.Any(v)
	closures = left{out, err != nil || v.run.fault != nil, a}
	out, err = p.machine(&Vars{Evt: b})
	return closures, left{out, err != nil, b}
}

// TestNativeEqualsMachine: closures and guards give what the machine gives, fail
// where it fails, and leave the same event.
func TestNativeEqualsMachine(t *testing.T) {
	env := filesEnv(t)
	r := &shapes{Rand: rand.New(rand.NewPCG(5, 6))}
	whole, guarded, runs, failed, odd := 0, 0, 0, 0, 0
	var memo Memo
	for range 14000 {
		r.writes = r.IntN(3) == 0
		source := r.bool(1 + r.IntN(3))
		p, err := env.Compile(source, OnEvent, Any)
		if err != nil {
			odd++ // combinations that the checker refuses
			continue
		}
		if p.native.whole() {
			whole++
		} else if p.native.guard != nil {
			guarded++
		}
		for i := range 6 {
			ev := randomEvent(r.Rand)
			with := &memo
			if memo.Reset(); i%2 == 0 {
				with = nil
			}
			got, want := bothRuns(p, ev, with)
			if !reflect.DeepEqual(want, got) {
				t.Fatalf("%s\nof %+v (memo: %v)\ngives %+v\nand by the machine %+v", source, ev, with != nil, got, want)
			}
			if p.native.truth != nil && !p.native.dynamic {
				// The machine must not be needed to find out that nothing fails.
				if _, err := perform(p, &Vars{Evt: ev.Clone(), Memo: with}, p.native.truth); (err != nil) != want.failed && !p.reads.Writes {
					t.Fatalf("%s\nof %+v\nclosures fail: %v, the machine: %v", source, ev, err, want.failed)
				}
			}
			if want.failed {
				failed++
			}
			runs++
		}
	}
	t.Logf("%d programs run whole, %d behind a guard, %d refused, %d runs, %d failed", whole, guarded, odd, runs, failed)
	if whole < 5000 || guarded < 100 || failed < 5000 {
		t.Error("too few to say anything")
	}
}

// TestClues: where one list of clues has none in the event, the program is false,
// without having failed or written.
func TestClues(t *testing.T) {
	env := filesEnv(t)
	r := &shapes{Rand: rand.New(rand.NewPCG(7, 8))}
	var memo Memo
	left := 0
	for range 6000 {
		r.writes = r.IntN(3) == 0
		source := r.bool(1 + r.IntN(3))
		p, err := env.Compile(source, OnEvent, Bool)
		if err != nil {
			continue
		}
		for range 8 {
			ev := randomEvent(r.Rand)
			before := ev.Clone()
			v := &Vars{Evt: ev, Memo: &memo}
			memo.Reset()
			for _, list := range p.Clues() {
				if slices.ContainsFunc(list, func(c Clue) bool {
					found, known := c.Found(v)
					return !known || found[c.Number()/64]>>(c.Number()%64)&1 != 0
				}) {
					continue
				}
				left++
				out, err := p.machine(&Vars{Evt: ev})
				before.Unmarshaled = ev.Unmarshaled
				if err != nil || out != false || !reflect.DeepEqual(before, ev) {
					t.Fatalf("%s\nmisses a clue in %+v\nbut gives %v (%v)\nand leaves %+v", source, before, out, err, ev)
				}
			}
		}
	}
	if t.Logf("%d runs were spared", left); left < 2000 {
		t.Error("too few to say anything")
	}
}

// TestRest: where all of Requires and Excludes hold, what is left to ask decides;
// elsewhere the program is false.
func TestRest(t *testing.T) {
	env := New(Options{})
	r := &shapes{Rand: rand.New(rand.NewPCG(9, 10))}
	shorter, held := 0, 0
	for range 6000 {
		source := r.bool(1 + r.IntN(3))
		p, err := env.Compile(source, OnEvent, Bool)
		if err != nil {
			continue
		}
		rest := p.Rest()
		if rest != p && len(p.requires)+len(p.excludes) > 0 {
			shorter++
		}
		for range 12 {
			v := &Vars{Evt: randomEvent(r.Rand)}
			holds := true
			for _, q := range p.Requires() {
				holds = holds && slices.Contains(q.Values, Value(v.Evt, q.Field))
			}
			for _, q := range p.Excludes() {
				holds = holds && !slices.Contains(q.Values, Value(v.Evt, q.Field))
			}
			want, err := p.Bool(v)
			if !holds {
				if want {
					t.Fatalf("%s\nis true of %+v, which it excludes", source, v.Evt)
				}
				continue
			}
			held++
			got, restErr := rest.Bool(v)
			if got != want || (err == nil) != (restErr == nil) {
				t.Fatalf("%s\nof %+v gives %v (%v), its rest %v (%v)", source, v.Evt, want, err, got, restErr)
			}
		}
	}
	if shorter < 100 || held < 5000 {
		t.Errorf("%d programs with a rest and %d runs say little", shorter, held)
	}
}

// TestBuiltinsAreNative: no filter of ours needs the machine.
func TestBuiltinsAreNative(t *testing.T) {
	env := New(Options{})
	files, err := filepath.Glob("../scenarios/builtin/*/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
			var doc struct {
				Name, Filter, Groupby, Distinct string
				CancelOn                        string `yaml:"cancel_on"`
			}
			if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			for _, source := range []string{doc.Filter, doc.Groupby, doc.Distinct, doc.CancelOn} {
				if source == "" {
					continue
				}
				p, err := env.Compile(source, OnEvent, Any)
				if err != nil {
					t.Fatalf("%s: %v", doc.Name, err)
				}
				if !p.native.whole() {
					t.Errorf("%s: the machine runs %s", doc.Name, source)
				}
			}
		}
	}
}

// TestNativeTexts is the same for programs that give text, such as groupby.
func TestNativeTexts(t *testing.T) {
	env := New(Options{})
	r := rand.New(rand.NewPCG(7, 8))
	for _, source := range []string{"evt.Meta.k", "evt.Meta.k + '/' + evt.Parsed.l", "Lower(evt.Parsed.k)", "'x'",
		"evt.Enriched.k + Upper(evt.Line.Raw)", "evt.StrTime", "QueryUnescape(evt.Meta.l)"} {
		p, err := env.Compile(source, OnEvent, String)
		if err != nil {
			t.Fatal(err)
		}
		if p.native.words == nil {
			t.Errorf("%s is left to the machine", source)
		}
		for range 100 {
			v := &Vars{Evt: randomEvent(r)}
			got, err := p.String(v)
			want, machineErr := p.machine(v)
			if err != nil || machineErr != nil || got != want {
				t.Fatalf("%s of %+v gives %q (%v), by the machine %q (%v)", source, v.Evt, got, err, want, machineErr)
			}
		}
	}
}

// TestNativeNeedsAnEvent: without an event it is the machine's error.
func TestNativeNeedsAnEvent(t *testing.T) {
	p, err := New(Options{}).Compile("evt.Meta.k == 'a'", OnEvent, Bool)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Bool(&Vars{}); err == nil || !strings.Contains(err.Error(), "running") {
		t.Error(fmt.Sprint("error: ", err))
	}
}
