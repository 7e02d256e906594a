package needle_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/needle"
)

func TestFilter(t *testing.T) {
	for _, c := range []struct{ expr, yes, no string }{
		{`^Failed (?:a|b) for`, "Failed a for", "xFailed a for"},
		{`x (?:foo|bar)+ y`, "x foobar y", "x baz y"},
		{`port (\d+) ssh2$`, "port 1 ssh2", "port 1 ssh2 "},
		{`(?i)failed`, "FAILED", "fail"},
		{`(?i)ab(c|dſ)`, "aBDs", "ab"},
		{`x(?i:kk)|y`, "xKK", "xk"},
		{`a*b?`, "", ""},
		{`(?:abc){2,}d`, "abcabcd", "ab d"},
		{`(?:abc)?d.*long literal`, "d long literal", "abc d"},
		{`^$`, "", ""},
		{`/(\.(env|git/(config|head))|(db|dump|backup)\.sql|id_rsa)$`, "/x/.git/head", "/static/app.js"},
		{`^/\.(env|hg|git/[a-z]+)$`, "/.git/head", "/.well-known"},
		{`�x`, "\xffx", ""},
	} {
		p := needle.NewFilter(c.expr)
		if !regexp.MustCompile(c.expr).MatchString(c.yes) || !p.Possible(c.yes) {
			t.Errorf("%s turns %q away: %+v", c.expr, c.yes, p)
		}
		if c.no != "" && p.Possible(c.no) {
			t.Errorf("%s lets %q pass: %+v", c.expr, c.no, p)
		}
	}
}

// FuzzFilter: nothing that a regexp matches is turned away.
func FuzzFilter(f *testing.F) {
	for _, s := range [][2]string{
		{`^(a|b)c+$`, "acc"}, {`(?i)ab|cd`, "AB"}, {`x(?:foo|bar|baz|qux|quux){2}y*`, "xfoobaz"}, {`(?s)^a.b$|\xff`, "a\nb"},
		{`(?m)^ab$`, "x\nab"}, {`[ab]c|(de|fg)?h`, "h"}, {`(?i)ks+k`, "KſK"}, {`\bunion\s+select\b`, "union select"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, expr, text string) {
		re, err := regexp.Compile(expr)
		if len(expr) > 200 || len(text) > 500 || err != nil || !re.MatchString(text) {
			return
		}
		if p := needle.NewFilter(expr); !p.Possible(text) {
			t.Fatalf("%s turns %q away: %+v", expr, text, p)
		}
		required := needle.Required(expr)
		if len(required) > 0 && !slices.ContainsFunc(required, func(n needle.Needle) bool { return holds(n, text) }) {
			t.Fatalf("%s matches %q, which has none of %+v", expr, text, required)
		}
	})
}

// TestSet compares sets with looking for one text after the other.
func TestSet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		b := make([]byte, r.IntN(n))
		for i := range b {
			b[i] = "abc\xff"[r.IntN(4)]
		}
		return string(b)
	}
	hits, misses := 0, 0
	for range 20_000 {
		list := make([]string, r.IntN(12))
		for i := range list {
			list[i] = text(8)
			if list[i] == "" && r.IntN(8) != 0 {
				list[i] = "abab"
			}
		}
		s := needle.NewSet(list)
		for range 4 {
			in := text(20)
			want := slices.ContainsFunc(list, func(n string) bool { return strings.Contains(in, n) })
			if s.In(in) != want {
				t.Fatalf("%q in %q: %v", list, in, !want)
			}
			if want {
				hits++
			} else {
				misses++
			}
		}
	}
	if hits < 1000 || misses < 1000 {
		t.Errorf("%d hits and %d misses say little", hits, misses)
	}
}

// BenchmarkSet looks for fifty names in a browser's user agent, which has none.
func BenchmarkSet(b *testing.B) {
	var list []string
	for _, a := range []string{"sql", "nik", "mass", "dir", "worm"} {
		for _, z := range []string{"map", "bust", "scan", "ster", "fuzz", "probe", "bot", "crawl", "kit", "hunt"} {
			list = append(list, a+z)
		}
	}
	s := needle.NewSet(list)
	agent := "mozilla/5.0 (x11; linux x86_64; rv:128.0) gecko/20100101 firefox/128.0"
	b.ReportAllocs()
	for b.Loop() {
		if s.In(agent) {
			b.Fatal("found")
		}
	}
}
