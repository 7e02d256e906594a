package pattern_test

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rampart-edge/rampart/pattern"
)

// grokLike is a fixed list of expressions like those that grok patterns expand to.
var grokLike = [...]string{
	`^(?P<ip>(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]\d|\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]\d|\d)) - (\S+) \[([^\]]+)\] "(\b\w+\b) (.*?) HTTP/([+-]?(?:\d+(?:\.\d+)?|\.\d+))" (\d+) (-|\d+)(?: "([^"]*)" "([^"]*)")?`,
	`(?:((?:[[:xdigit:]]{1,4}:)+(?::[[:xdigit:]]{1,4})*|\d+\.\d+|\b[0-9A-Za-z][0-9A-Za-z-]*(?:\.[0-9A-Za-z][0-9A-Za-z-]*)*(?:\.|\b))(:\d+)? )?(\d+\.\d+|\w+) -`,
	`^((?:Jan(?:uary)?|Feb|Mar|May|June?|July?|Nov|Dec) +(?:3[01]|[12]\d|0?[1-9]) (?:2[0-3]|[01]?\d):[0-5]\d:(?:60|[0-5]?\d)) (?:<(\d+).(\d+)> )?(\S+) (?:([!-Z\\^-~]+)(?:\[(\d+)\])?:|) (.*)$`,
	`Failed (\w+) for (invalid user )?(.*) from (\S+) port (\d+)(?: (ssh2))?$`,
	`(?i)(?:alert|trace|debug|info(?:rmation(?:al)?)?|warn(?:ing)?|err(?:or)?|task|sink)\b: ?(.*?)\s*$`,
	`"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(\w+)=`,
	`(?s)<(.*)>.*<(.*?)>`,
	`(?m)^(\w*)=(.*?);?$`,
	`(?:/[A-Za-z0-9$.+!*'(){},~:;=@#%&_-]*)+(?:\?[\w=&%]*)?`,
	`(.*), client: (.*?), server: (.*)(?:, request: "([^"]*)")?`,
	`([^:]+): ([^ ]{2,8}) +((?:a|ab|abc)+?)(b*)c`,
}

// TestTable compares what is easy to get wrong with package regexp.
func TestTable(t *testing.T) {
	for _, c := range []struct {
		expr  string
		texts []string
	}{
		{``, []string{"", "a", "\xff"}},
		{`a|ab|abc`, []string{"abc"}},
		{`(?:a|ab)(?:c|bcd)(d*)`, []string{"abcd", "xabcd"}},
		{`(a)|b`, []string{"b", "a"}},
		{`(?:(a)|b)*`, []string{"ab", "ba", ""}},
		{`(?:(a)|(b)|(c))+?c`, []string{"abcc"}},
		{`(a+)(b+)?(a*)`, []string{"xaabaa"}},
		{`(a*?)(a*)`, []string{"aaa"}},
		{`a{2,3}?a`, []string{"aaaa", "aa"}},
		{`(?:ab){2,}`, []string{"ababab", "ab"}},
		{`x*`, []string{"axx", "é"}},
		{`(?i)k`, []string{"\u212a", "K", "k"}},
		{`(?i)ks+`, []string{"\u212aſS", "xkſ", "\xe2\x84"}},
		{`(?i)[k]+é`, []string{"kK\u212aÉ", "ké"}},
		{`(?i)straße`, []string{"STRASSE", "STRAßE", "straſſe", "ſtraẞe"}},
		{`.`, []string{"\xff", "\n", "é", "\xe2\x84", ""}},
		{`\x{FFFD}`, []string{"\xff", "\xe2\x84x", "�", "a"}},
		{`[^a]{2}`, []string{"\xe2\x84", "éé", "aé"}},
		{`[^\x{FFFD}]+`, []string{"a\xffb", "é�"}},
		{`\x{D800}`, []string{"�", "\xed\xa0\x80"}},
		{`[\x{D700}-\x{E000}]+`, []string{"\xed\xa0\x80", "\ue000\ud7ff"}},
		{`.*é`, []string{"éxéy", "\x83\xa9é\xc3"}},
		{`.+?\x80`, []string{"a\x80", "é"}},
		{`\bé`, []string{"é", "aé"}},
		{`\Bé`, []string{"é", "aé"}},
		{`\b\w+\b`, []string{" foo ", "é", "_"}},
		{`\w+\b.`, []string{"ab", "ab c"}},
		{`\B`, []string{"", "a", "é", "日"}},
		{`^$`, []string{"", "\n"}},
		{`(?m)^$`, []string{"a\n\nb", "\n", ""}},
		{`(?m)^b.*$`, []string{"a\nbc\nd"}},
		{`(?m)a$`, []string{"a\nb", "ba"}},
		{`a$`, []string{"a\n", "aa"}},
		{`\Aa|b\z`, []string{"ba", "cb", "ab"}},
		{`a^`, []string{"a"}},
		{`(?s).*`, []string{"a\nb"}},
		{`(?U)a+(b*)`, []string{"aabb"}},
		{`[^\n]*?x`, []string{"ab\ncx", "aax"}},
		{`(a)(?:b(c)?){2}`, []string{"abcb", "abbc"}},
		{`(?:a{0}|b)c`, []string{"c", "bc"}},
		{`[a-c]{0}d`, []string{"abd"}},
		{`\pL+\d`, []string{"éa1", "日本7", "\xff1"}},
		{`(\S+)-(\S+) `, []string{"a-b-c d-e ", "--- "}},
		{`(|a)b`, []string{"ab"}},
		{`[^\x00-\x{10FFFF}]|a`, []string{"a", "\xff"}},
		{`(?i:ask)!x|(?i:[ab])c:y`, []string{"ask!x", "a\u017fk!x", "as\u212a!x", "ac:y"}},
		{`(?:a+:x|[ab]+-y)`, []string{"aa:x", strings.Repeat("a", 63) + ":x", strings.Repeat("a", 64) + ":x", strings.Repeat("ab", 64) + "-y"}},
		{`(?:(\S+) )?(\S+)\[`, []string{"a[", "a b[", strings.Repeat("a", 63) + " b[", strings.Repeat("a", 64) + " b[", strings.Repeat("a", 63) + "["}},
		{`(?:a-[^c]* 1|[ab]-[^c]* 2)`, []string{"a-b 1", "a-" + strings.Repeat("b", 61) + " 2", "a-" + strings.Repeat("b", 62) + " 1"}},
		{`(?:^|^a|(?:^b|^c)+)x`, []string{"x", "ax", "bx", "dx", "cbx"}},
		{strings.Repeat(`(?:a|b)?`, 40) + "c", []string{strings.Repeat("ab", 20) + "c", strings.Repeat("ab", 30)}},
	} {
		p, re := compile(t, c.expr)
		if !p.Fast() {
			t.Errorf("%s is not fast", c.expr)
		}
		for _, text := range c.texts {
			same(t, p, re, text)
			same(t, p, re, "x"+text+" "+text)
		}
	}
}

// TestGroups shows results in the open, without package regexp.
func TestGroups(t *testing.T) {
	p, err := pattern.Compile(grokLike[3])
	if err != nil {
		t.Fatal(err)
	}
	line := "Failed password for invalid user a from b from 192.0.2.7 port 22 ssh2"
	at := p.Find("sshd: "+line, make([]int, 0, 64))
	var got []string
	for i := 2; i < len(at); i += 2 {
		got = append(got, ("sshd: " + line)[at[i]:at[i+1]])
	}
	if want := []string{"password", "invalid user ", "a from b", "192.0.2.7", "22", "ssh2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if at[0] != 6 || at[1] != 6+len(line) {
		t.Errorf("found at %d to %d", at[0], at[1])
	}
}

// TestErrors: the errors are those of package regexp.
func TestErrors(t *testing.T) {
	for _, expr := range []string{`(`, `a**`, `[b-a]`, `\8`, `a{1001}`, "\xff", `(?:(?:(?:a{100}){100}){100}){100}`} {
		compile(t, expr)
		if _, err := pattern.CompilePlain(expr); err == nil {
			t.Errorf("%s has no error", expr)
		}
	}
}

// TestFallBack: what nodes cannot do is done by package regexp, for a pattern as a
// whole or for one text.
func TestFallBack(t *testing.T) {
	for _, expr := range []string{`(a*)*`, `(?:a|b*)+c`, `(?:\b)*x`, `(?:ab?c|de?f|gh?i|jk?l){1000}`} {
		p, re := compile(t, expr)
		if p.Fast() {
			t.Errorf("%.40s is fast", expr)
		}
		same(t, p, re, "xaabc")
	}
	for _, expr := range []string{`(?:a|aa)+$`, `(?:(a)|ab?|b)*c`, `(?:a.*?|.a)+x`} {
		p, re := compile(t, expr)
		if !p.Fast() {
			t.Errorf("%s is not fast", expr)
		}
		for _, n := range []int{30, 2000} {
			same(t, p, re, strings.Repeat("a", n))
			same(t, p, re, strings.Repeat("a", n)+"b")
			same(t, p, re, strings.Repeat("ab", n)+"cx")
		}
	}
}

// TestBuffer: the caller's memory is used if there is enough of it, and whatever it
// held does not matter.
func TestBuffer(t *testing.T) {
	for _, make := range []func(string) (*pattern.Pattern, error){pattern.Compile, pattern.CompilePlain} {
		p, err := make(`(a)(b)?|c`)
		if err != nil {
			t.Fatal(err)
		}
		buf := []int{9, 9, 9, 9, 9, 9, 9, 9}
		at := p.Find("xa", buf)
		if want := []int{1, 2, 1, 2, -1, -1}; !slices.Equal(at, want) || &at[0] != &buf[0] {
			t.Errorf("got %v, want %v in the caller's memory", at, want)
		}
		if at := p.Find("xab", buf[:0:3]); !slices.Equal(at, []int{1, 3, 1, 2, 2, 3}) {
			t.Errorf("with little memory: %v", at)
		}
		if p.Find("x", buf) != nil {
			t.Error("found something in nothing")
		}
	}
}

// TestNoAllocation: neither a match nor a miss allocates.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	for _, expr := range grokLike {
		p, err := pattern.Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		at := make([]int, 2*(p.NumGroups()+1))
		for _, c := range cases {
			p.Match(c.line)
			if n := testing.AllocsPerRun(20, func() { p.Find(c.line, at); p.Match(c.line) }); n != 0 {
				t.Errorf("%s on %s: %v allocations", expr, c.line, n)
			}
		}
	}
}

// TestConcurrent: one pattern serves many goroutines.
func TestConcurrent(t *testing.T) {
	for _, expr := range append(grokLike[:], `(?:a|aa)+$`, `(a*)*`) {
		p, re := compile(t, expr)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				at := make([]int, 2*(p.NumGroups()+1))
				for _, c := range cases {
					text := c.line[i:] + strings.Repeat("a", 40) + "b"
					if got, want := p.Find(text, at), re.FindStringSubmatchIndex(text); !slices.Equal(got, want) {
						t.Errorf("%s in %q: %v, want %v", expr, text, got, want)
					}
				}
			})
		}
		wg.Wait()
	}
}

// FuzzGroks: expressions as they come out of grok patterns, any text.
func FuzzGroks(f *testing.F) {
	var ps [len(grokLike)]*pattern.Pattern
	var res [len(grokLike)]*regexp.Regexp
	for i, expr := range grokLike {
		ps[i], res[i] = compile(f, expr)
		for _, c := range cases {
			f.Add(uint8(i), c.line)
		}
	}
	f.Add(uint8(5), `'a\'b' "c\"`)
	f.Add(uint8(7), "a\n=b;\nc=d")
	f.Fuzz(func(t *testing.T, i uint8, text string) {
		if len(text) > 2000 {
			return
		}
		n := int(i) % len(grokLike)
		same(t, ps[n], res[n], text)
		same(t, ps[n], res[n], text+" "+text)
	})
}
