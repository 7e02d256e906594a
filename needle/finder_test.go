package needle_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/needle"
)

// holds is what a needle means, by the functions of package strings.
func holds(n needle.Needle, text string) bool {
	switch n.Case {
	case needle.Upper:
		text = strings.ToUpper(text)
	case needle.Lower:
		text = strings.ToLower(text)
	case needle.Folded, needle.Loose:
		if n.Case == needle.Loose && strings.ContainsFunc(text, func(c rune) bool { return c > 127 }) {
			return true
		}
		pattern := "(?i)" + regexp.QuoteMeta(n.Text)
		switch n.Place {
		case needle.Start:
			pattern = "(?i)^" + regexp.QuoteMeta(n.Text)
		case needle.End:
			pattern += "$"
		case needle.Whole:
			pattern = "(?i)^" + regexp.QuoteMeta(n.Text) + "$"
		}
		return regexp.MustCompile(pattern).MatchString(text)
	}
	switch n.Place {
	case needle.Start:
		return strings.HasPrefix(text, n.Text)
	case needle.End:
		return strings.HasSuffix(text, n.Text)
	case needle.Whole:
		return text == n.Text
	}
	return strings.Contains(text, n.Text)
}

// compare holds a finder to what its needles mean.
func compare(t *testing.T, list []needle.Needle, groups int, text string) (hits int) {
	t.Helper()
	f := needle.NewFinder(list, groups)
	got := make([]uint64, (groups+63)/64)
	f.Find(text, got)
	want := make([]uint64, len(got))
	for _, n := range list {
		if holds(n, text) {
			want[n.Group/64] |= 1 << (n.Group % 64)
			hits++
		}
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%+v\nin %+q: groups %x, by strings %x", list, text, got, want)
		}
	}
	return hits
}

// odd letters change their length or leave ASCII with their case.
var odd = []string{"a", "b", "A", "k", "K", "s", "S", "i", "I", "/", ".", "%", "@", "`", "[", "{", "ß", "ẞ", "ı", "İ", "ſ", "\u212a",
	"é", "É", "ÿ", "ŉ", "ǆ", "\xff", "\xc3", "\u0130", "ﬁ", "\x00", "\u2028"}

func oddText(r *rand.Rand, most int) string {
	var b strings.Builder
	for range r.IntN(most + 1) {
		// Mostly ASCII, so that both ways through a text are gone.
		if r.IntN(3) == 0 {
			b.WriteString(odd[r.IntN(len(odd))])
		} else {
			b.WriteString(odd[r.IntN(9)])
		}
	}
	return b.String()
}

func TestFinderAgainstStrings(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	hits := 0
	for range 30_000 {
		text := oddText(r, 24)
		var list []needle.Needle
		groups := 1 + r.IntN(70)
		for range r.IntN(24) {
			n := needle.Needle{Text: oddText(r, 6), Case: needle.Case(r.IntN(5)), Place: needle.Place(r.IntN(4)), Group: r.IntN(groups)}
			if r.IntN(3) == 0 && len(text) > 0 {
				from := r.IntN(len(text))
				n.Text = text[from : from+r.IntN(len(text)-from+1)]
				if r.IntN(2) == 0 {
					n.Text = strings.ToUpper(n.Text)
				}
			}
			if n.Case >= needle.Folded {
				n.Text = strings.Map(func(c rune) rune {
					if c > 127 {
						return 'k'
					}
					return c
				}, n.Text)
			}
			list = append(list, n)
		}
		hits += compare(t, list, groups, text)
	}
	if hits < 30_000 {
		t.Errorf("%d hits say little", hits)
	}
}

func FuzzFinder(f *testing.F) {
	f.Add("/Admin/ſecret\u212a", "admin\n/ADMIN\nsecretk\n\xc3\n", uint64(0x1234))
	f.Add("a", "", uint64(0))
	f.Add("ß", "SS\nß\nẞ", uint64(0x55))
	f.Fuzz(func(t *testing.T, text, lines string, kinds uint64) {
		if len(text) > 300 || len(lines) > 300 {
			return
		}
		var list []needle.Needle
		for i, line := range strings.Split(lines, "\n") {
			n := needle.Needle{Text: line, Case: needle.Case(kinds >> (5 * i % 60) & 7 % 5), Place: needle.Place(kinds >> (5*i%60 + 3) & 3), Group: i}
			if n.Case >= needle.Folded && strings.ContainsFunc(line, func(c rune) bool { return c > 127 }) {
				n.Case = needle.Exact
			}
			list = append(list, n)
		}
		compare(t, list, len(list), text)
	})
}

// TestFinderDoesNotAllocate: on the texts that nearly all events have.
func TestFinderDoesNotAllocate(t *testing.T) {
	list := []needle.Needle{{Text: "ADMIN", Case: needle.Upper}, {Text: "x", Group: 1}, {Text: ".sql", Place: needle.End, Group: 2}, {Text: "café", Group: 3}}
	f := needle.NewFinder(list, 4)
	found := make([]uint64, 1)
	if n := testing.AllocsPerRun(100, func() { f.Find("/index.php?admin=1", found) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkFinder scans what a benign request has for the needles of real lists.
func BenchmarkFinder(b *testing.B) {
	agent := "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36"
	for _, n := range []int{35, 600, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			var list []needle.Needle
			for i := range n {
				text := make([]byte, 5+r.IntN(10))
				for j := range text {
					text[j] = "abcdefghijklmnopqrstuvwxyz/.-_%$"[r.IntN(32)]
				}
				list = append(list, needle.Needle{Text: string(text), Case: needle.Lower, Group: i % 60})
			}
			f := needle.NewFinder(list, 60)
			found := make([]uint64, 1)
			b.ReportMetric(float64(f.Size()), "B-table")
			b.ReportAllocs()
			for b.Loop() {
				f.Find(agent, found)
			}
		})
	}
}

func BenchmarkFinderAgents(b *testing.B) {
	data, err := os.ReadFile(testkit.Shared(b, "hub-data", "web", "bad_user_agents.txt"))
	if err != nil {
		b.Fatal(err)
	}
	var list []needle.Needle
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, needle.Needle{Text: line})
		}
	}
	f := needle.NewFinder(list, 1)
	found := make([]uint64, 1)
	b.ReportMetric(float64(f.Size()), "B-table")
	for b.Loop() {
		f.Find("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36", found)
	}
}
