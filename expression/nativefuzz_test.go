package expression

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// FuzzClosures: whatever the expression, closures give what the machine gives, and
// fail where it fails.
func FuzzClosures(f *testing.F) {
	r := &shapes{Rand: rand.New(rand.NewPCG(1, 2)), writes: true}
	for i := range 200 {
		f.Add(r.bool(1+i%3), uint64(i))
	}
	for _, s := range []string{
		"{'a': 1, 'b': evt.Unmarshaled.n}['a'] + 1.5", "[1, 'a', evt.Meta][2].k", "evt.Unmarshaled.list[0:1]", "filter(evt.Unmarshaled.list, .k == 'b')[0].k",
		"map(1..3, # * 2)[1] == 4", "count(['a', 'b'], # in evt.Meta) >= 2", "evt.Time.Weekday().String() + evt.Meta.k", "let f = evt.SetMeta; f('k', 'z')",
		"-evt.Unmarshaled.n ** 2", "evt.Meta.k | lower() | trim()", "any(evt.Unmarshaled.list, any(File('list.txt'), # == 'b'))", "evt?.Unmarshaled?.x?.y?.z ?? 'q'",
		"find(['a'], # == 'b')?.x", "evt.Unmarshaled.s[0] == 'a'", "(evt.Unmarshaled.s)[1:]", "toJSON(evt.Meta)", "evt.Overflow.GetSources()", "evt.GetMeta", "$env.evt.Meta.k",
	} {
		f.Add(s, uint64(7))
	}
	env := filesEnv(f)
	var memo Memo
	f.Fuzz(func(t *testing.T, source string, seed uint64) {
		if len(source) > 300 || strings.Contains(source, "..") && strings.ContainsAny(source, "56789") {
			return // ranges of millions take the machine long
		}
		p, err := env.Compile(source, OnEvent, Any)
		if err != nil || strings.Contains(source, "now") || strings.Contains(source, "Now") {
			return
		}
		memo.Reset()
		ev := randomEvent(rand.New(rand.NewPCG(seed, seed)))
		got, want := bothRuns(p, ev, &memo)
		for _, l := range []*left{&got, &want} {
			if k := reflect.ValueOf(l.out).Kind(); k == reflect.Func || strings.Contains(source, "keys") || strings.Contains(source, "values") || strings.Contains(source, "toPairs") {
				l.out = nil // what does not compare, or has no order
			}
		}
		show := func(l left) string { return fmt.Sprintf("%v %v %v", l.out, l.failed, l.ev) } // in which NaN is itself
		if !reflect.DeepEqual(want, got) && show(want) != show(got) {
			t.Fatalf("%s\nof %+v\ngives %+v\nand by the machine %+v", source, ev, got, want)
		}
	})
}
