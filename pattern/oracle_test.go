package pattern_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/pattern"
)

// same fails the test unless the pattern finds what package regexp finds.
func same(t *testing.T, p *pattern.Pattern, re *regexp.Regexp, text string) (found bool) {
	t.Helper()
	want := re.FindStringSubmatchIndex(text)
	got := p.Find(text, nil)
	if !slices.Equal(got, want) || (got == nil) != (want == nil) {
		t.Fatalf("%s\nin %q:\n got %v\nwant %v (fast %v)", p, text, got, want, p.Fast())
	}
	if p.Match(text) != (want != nil) {
		t.Fatalf("%s in %q: Match says %v", p, text, want == nil)
	}
	return want != nil
}

func compile(t testing.TB, expr string) (*pattern.Pattern, *regexp.Regexp) {
	t.Helper()
	p, err := pattern.Compile(expr)
	re, wantErr := regexp.Compile(expr)
	if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
		t.Fatalf("compiling %s: %v, package regexp says %v", expr, err, wantErr)
	}
	if err != nil {
		return nil, nil
	}
	if p.NumGroups() != re.NumSubexp() || p.String() != expr {
		t.Fatalf("%s: %d groups, want %d; String %s", expr, p.NumGroups(), re.NumSubexp(), p)
	}
	return p, re
}

// dice makes random expressions and texts over few letters, so that they meet.
type dice struct{ *rand.Rand }

func (d dice) of(list ...string) string { return list[d.IntN(len(list))] }

func (d dice) atom(depth int) string {
	if depth > 0 && d.IntN(3) == 0 {
		return d.of("(", "(", "(?:", "(?i:", "(?s:", "(?m:", "(?U:") + d.expr(depth-1) + ")"
	}
	switch d.IntN(12) {
	case 0:
		return d.of("^", "$", `\b`, `\B`, `\A`, `\z`, "(?m:^)", "(?m:$)")
	case 1:
		return d.of(".", "[^a]", "[ab]", `\w`, `\W`, `\s`, `\d`, `[^\n]`, `[a-ck]`, `[^"]`, `\pL`, `[é-ü]`, `[^é]`, `\x{FFFD}`, `[\x00-\x{D7FF}]`, `(?s:.)`)
	case 2:
		return d.of("ab", "abc", "é", "\u017f", "k", "K", "S", "(?i:s)", "(?i:k1)", "(?i:é)", "\u212a", " ", ":", `\.`, "", "(?i)as")
	}
	return d.of("a", "b", "c", "1", " ", "a", "b")
}

func (d dice) expr(depth int) string {
	var b strings.Builder
	for i := range 1 + d.IntN(5) {
		if i > 0 && d.IntN(6) == 0 {
			b.WriteByte('|')
		}
		b.WriteString(d.atom(depth))
		if d.IntN(3) == 0 {
			b.WriteString(d.of("*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "{0}") + d.of("", "", "?"))
		}
	}
	return b.String()
}

func (d dice) text() string {
	var b strings.Builder
	for range d.IntN(12) {
		b.WriteString(d.of("a", "b", "c", "ab", "abc", "1", "1.1", " ", ":", "\n", "é", "ü", "\u017f", "\u212a", "K", "k", "s", "S", "\xff", "\xe2\x84", "\xc3", "\x80", "�", "_", "日本", "aaaa", `"`))
	}
	return b.String()
}

// TestRandom holds random expressions to package regexp on random texts.
func TestRandom(t *testing.T) {
	rounds := 30_000
	if testing.Short() {
		rounds = 3_000
	}
	d := dice{rand.New(rand.NewPCG(7, 11))}
	fast, hits, tried := 0, 0, 0
	for range rounds {
		expr := d.expr(3)
		if _, err := regexp.Compile(expr); err != nil {
			continue
		}
		p, re := compile(t, expr)
		if p.Fast() {
			fast++
		}
		for range 12 {
			tried++
			if same(t, p, re, d.text()) {
				hits++
			}
		}
	}
	if fast < rounds/2 || hits < tried/5 || hits > tried*9/10 {
		t.Errorf("%d expressions, %d fast, %d texts, %d with a match: this says little", rounds, fast, tried, hits)
	}
}

// FuzzPattern: any expression, any text.
func FuzzPattern(f *testing.F) {
	d := dice{rand.New(rand.NewPCG(3, 5))}
	for range 60 {
		f.Add(d.expr(2), d.text())
	}
	f.Add(`(?i)(?:k|\x{17f})+\b`, "\u212aK\u017fs ")
	f.Add(`^(?:(\d{1,3})\.){3}(\d+)$`, "192.168.100.1")
	f.Add(`.*?(a+)(b|ab)*"([^"]*)"\s*$`, "x aabab\"q\" ")
	f.Fuzz(func(t *testing.T, expr, text string) {
		if len(expr) > 120 || len(text) > 300 {
			return
		}
		if p, re := compile(t, expr); p != nil {
			same(t, p, re, text)
			same(t, p, re, text+text)
		}
	})
}
