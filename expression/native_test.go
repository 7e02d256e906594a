package expression

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
)

// shape writes a random expression out of the parts that closures know, with now
// and then one that they leave to the machine.
func shape(r *rand.Rand, depth int) string {
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	text := func() string {
		f := one("evt.Meta.k", "evt.Meta['l']", "evt.Parsed.k", "evt.Enriched.l", "evt.Line.Labels.k", "evt.Line.Raw",
			"evt.Line.Src", "evt.StrTime", "evt.Stage", "evt.MarshaledTime", "'A%62'")
		switch r.IntN(5) {
		case 0:
			return one("Lower", "Upper", "lower", "upper", "TrimSpace", "PathUnescape", "QueryUnescape") + "(" + f + ")"
		case 1:
			return "(" + f + " + " + one("evt.Meta.l", "'b'") + ")"
		}
		return f
	}
	value := func() string { return one("''", "'a'", "'Ab'", "'b'") }
	if depth == 0 {
		return one(text()+" == "+value(), value()+" != "+text(), text()+" == "+text(), text()+" in ["+value()+", "+value()+"]",
			text()+" not in ["+value()+"]", text()+" contains "+value(), text()+" startsWith "+text(), text()+" endsWith "+value(),
			text()+" matches '^[aA]b?$'", text()+" not matches '(?i)B'", "true", "not (false)",
			"len(evt.Meta) > 1", "evt.GetMeta('k') == 'a'", "int(evt.Meta.k) == 1", "evt.Unmarshaled.x.y == 'a'",
			"reduce([1, 2], #acc + #, 0) == 4")
	}
	a, b := shape(r, depth-1), shape(r, depth-1)
	switch r.IntN(8) {
	case 0:
		name := fmt.Sprintf("v%d", r.IntN(1e9))
		return "(let " + name + " = " + text() + "; " + name + " == 'a' || " + name + " contains 'b' && " + a + ")"
	case 1:
		return "any(['a', 'b', ''], {" + text() + one(" contains #", " == #", " endsWith #", " != #") + "}) && " + a
	}
	return one(a+" && "+b, a+" and "+b, "("+a+" || "+b+")", "("+a+" or "+b+")", "!("+a+")", "not ("+a+")", a)
}

func randomEvent(r *rand.Rand) *event.Event {
	text := func() string { return []string{"", "a", "Ab", "aB ", "b", "A%62", "%zz"}[r.IntN(7)] }
	m := func() map[string]string {
		if r.IntN(8) == 0 {
			return nil
		}
		return map[string]string{"k": text(), "l": text()}
	}
	return &event.Event{Meta: m(), Parsed: m(), Enriched: m(), StrTime: text(), Stage: text(), MarshaledTime: text(),
		Line: event.Line{Raw: text(), Src: text(), Labels: m()}}
}

// TestNativeEqualsMachine: closures and guards give what the machine gives, and
// fail where it fails.
func TestNativeEqualsMachine(t *testing.T) {
	env := New(Options{})
	r := rand.New(rand.NewPCG(5, 6))
	whole, guarded, runs := 0, 0, 0
	for range 8000 {
		source := shape(r, 1+r.IntN(3))
		p, err := env.Compile(source, OnEvent, Any)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if p.native.truth != nil {
			whole++
		} else if p.native.guard != nil {
			guarded++
		}
		for range 6 {
			v := &Vars{Evt: randomEvent(r)}
			got, err := p.Bool(v)
			out, machineErr := p.machine(v)
			want, _ := out.(bool)
			if got != want || (err == nil) != (machineErr == nil) {
				t.Fatalf("%s\nof %+v\ngives %v (%v), by the machine %v (%v)", source, v.Evt, got, err, out, machineErr)
			}
			runs++
		}
	}
	t.Logf("%d programs run whole, %d behind a guard, %d runs", whole, guarded, runs)
	if whole < 2000 || guarded < 200 {
		t.Error("too few to say anything")
	}
}

// TestRest: where all of Requires and Excludes hold, what is left to ask decides;
// elsewhere the program is false.
func TestRest(t *testing.T) {
	env := New(Options{})
	r := rand.New(rand.NewPCG(9, 10))
	shorter, held := 0, 0
	for range 4000 {
		source := shape(r, 1+r.IntN(3))
		p, err := env.Compile(source, OnEvent, Bool)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		rest := p.Rest()
		if rest != p && len(p.requires)+len(p.excludes) > 0 {
			shorter++
		}
		for range 12 {
			v := &Vars{Evt: randomEvent(r)}
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
				if p.native.truth == nil && p.native.words == nil {
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
