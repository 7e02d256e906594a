package hub

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
)

func sharedCatalogue(t testing.TB) *Catalogue {
	t.Helper()
	c, err := Open(Options{Hub: testkit.Shared(t, "hub"), Data: testkit.Shared(t, "hub-data")})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func clock() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

func newTestRunner(t testing.TB, c *Catalogue, o RunnerOptions) *Runner {
	t.Helper()
	o.Now = clock
	r, err := NewRunner(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestHub runs all tests of the Hub, the fast way and the plain way: each passes
// both ways, and both leave the same events.
func TestHub(t *testing.T) {
	c := sharedCatalogue(t)
	fast, plain := newTestRunner(t, c, RunnerOptions{}), newTestRunner(t, c, RunnerOptions{Plain: true})
	names, err := fast.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatal("the Hub has no tests")
	}
	var report Report
	var mu sync.Mutex
	var workers sync.WaitGroup
	queue := make(chan string)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for name := range queue {
				one, a := fast.RunOne(t.Context(), name)
				other, b := plain.RunOne(t.Context(), name)
				for way, r := range map[string]*Result{"fast": &one, "plain": &other} {
					for i, f := range r.Failures[:min(len(r.Failures), 5)] {
						t.Errorf("%s (%s): failure %d of %d: %s", name, way, i+1, len(r.Failures), f)
					}
					if len(r.Warnings) > 0 {
						t.Errorf("%s (%s): %s", name, way, r.Warnings[0])
					}
				}
				if diff := difference(a, b); diff != "" {
					t.Errorf("%s: the plain way leaves something else: %s", name, diff)
				}
				mu.Lock()
				report.add(one)
				mu.Unlock()
			}
		})
	}
	for _, name := range names {
		queue <- name
	}
	close(queue)
	workers.Wait()
	if report.Skipped > 0 || report.Passed+report.Failed != len(names) {
		t.Errorf("of %d tests %d passed, %d failed, %d were skipped", len(names), report.Passed, report.Failed, report.Skipped)
	}
	t.Logf("%d passed, %d failed: %d assertions over %d lines", report.Passed, report.Failed, report.Assertions, report.Lines)
}

// TestWholeHub: every item of the Hub loads, alone and together, without a word.
func TestWholeHub(t *testing.T) {
	c := sharedCatalogue(t)
	var s Selection
	for k, list := range map[Kind]*[]string{Parsers: &s.Parsers, Postoverflows: &s.Postoverflows, Scenarios: &s.Scenarios,
		Contexts: &s.Contexts, Collections: &s.Collections} {
		for _, i := range c.Items(k) {
			if i.Origin == Hub {
				*list = append(*list, i.Name)
			}
		}
	}
	if len(s.Parsers) != 164 || len(s.Postoverflows) != 12 || len(s.Scenarios) != 783 || len(s.Contexts) != 9 || len(s.Collections) != 164 {
		t.Errorf("%d parsers, %d postoverflows, %d scenarios, %d contexts, %d collections",
			len(s.Parsers), len(s.Postoverflows), len(s.Scenarios), len(s.Contexts), len(s.Collections))
	}
	content, err := c.Select(s)
	if err != nil {
		t.Error(err)
	}
	if n := len(s.Parsers) + len(s.Postoverflows) + len(s.Scenarios) + len(s.Contexts); len(content.Items) != n {
		t.Errorf("%d items of %d", len(content.Items), n)
	}
	for _, i := range content.Items {
		if i.Version == "" || i.Version == "?" {
			t.Errorf("%s %s has version %q", i.Kind, i.Name, i.Version)
		}
	}
	for _, isPlain := range []bool{false, true} {
		set, err := content.Compile(CompileOptions{Now: clock, Replay: true, Plain: isPlain})
		if err != nil {
			t.Errorf("plain %v: %v", isPlain, err)
		}
		if n := len(set.Rules.All()); n != 846 {
			t.Errorf("plain %v: %d scenarios of 846", isPlain, n)
		}
		if got := strings.Join(set.Pipeline.Stages(), " "); got != "s00-raw s01-parse s02-enrich" {
			t.Errorf("stages %s", got)
		}
		if set.Contexts == nil || set.Postoverflows == nil {
			t.Error("no contexts or no postoverflows")
		}
	}
}

// alteration is a change of an assertion that must make it false.
type alteration struct {
	what string
	at   *regexp.Regexp
	to   func(rng *rand.Rand, found string) string
}

func alterations() []alteration {
	other := func(rng *rand.Rand, n string) string {
		i, _ := strconv.Atoi(n)
		if i > 0 && rng.IntN(2) == 0 {
			return strconv.Itoa(i - 1 - rng.IntN(i))
		}
		return strconv.Itoa(i + 1 + rng.IntN(5))
	}
	return []alteration{
		{"value", regexp.MustCompile(`== "[^\\"]*"$`), func(rng *rand.Rand, s string) string {
			at := len(`== "`) + rng.IntN(len(s)-len(`== ""`)+1)
			return s[:at] + string(rune('a'+rng.IntN(26))) + s[at:]
		}},
		{"value", regexp.MustCompile(`== (true|false)$`), func(_ *rand.Rand, s string) string {
			if s == "== true" {
				return "== false"
			}
			return "== true"
		}},
		{"value", regexp.MustCompile(`^"[^"\\]+"`), func(_ *rand.Rand, s string) string { return s[:len(s)-1] + `x"` }},
		{"count", regexp.MustCompile(`\d+$`), other},
		{"index", regexp.MustCompile(`\[\d+\]`), func(rng *rand.Rand, s string) string {
			return "[" + other(rng, s[1:len(s)-1]) + "]"
		}},
	}
}

// TestAlteredAssertions: whoever changes a value, a count or an index in an
// assertion makes its test fail, there and nowhere else.
func TestAlteredAssertions(t *testing.T) {
	const wanted = 200
	c := sharedCatalogue(t)
	r := newTestRunner(t, c, RunnerOptions{})
	names, err := r.List()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 252))
	counts, equivalent := map[string]int{}, 0
	for done := 0; done < wanted; {
		name := names[rng.IntN(len(names))]
		tc, err := openTest(r.tests, name)
		if err != nil {
			t.Fatal(err)
		}
		results := r.replay(t.Context(), tc, &Result{})
		if results == nil {
			t.Fatalf("%s does not run", name)
		}
		file, of := parserFile, any(results.Parsers)
		if tc.config.IgnoreParsers || rng.IntN(3) == 0 && tc.testsScenarios() {
			file, of = scenarioFile, results.Overflows
		}
		data, err := os.ReadFile(filepath.Join(tc.dir, file))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		for range 3 { // of one run
			n := rng.IntN(len(lines))
			what, altered := alter(rng, lines[n])
			if what == "" {
				continue
			}
			a := parseAssertion(altered)
			if what == "index" && a.interpret(of, r.env) == nil {
				equivalent++ // the neighbour happens to be the same
				continue
			}
			wrong, total := r.assert(file, strings.Join(slices.Replace(slices.Clone(lines), n, n+1, altered), "\n"), of)
			if len(wrong) != 1 || wrong[0].Line != n+1 || wrong[0].Text != altered || wrong[0].Actual == "" && wrong[0].Err == "" {
				t.Errorf("%s %s: %s of line %d altered to %s: %d of %d fail: %v", name, file, what, n+1, altered, len(wrong), total, wrong)
			}
			counts[what]++
			done++
		}
	}
	t.Logf("altered: %v; indices at which the same stands, not counted: %d", counts, equivalent)
	for _, what := range []string{"value", "count", "index"} {
		if counts[what] < 10 {
			t.Errorf("only %d of kind %s", counts[what], what)
		}
	}
}

// alter changes a line in one of the ways that fit it; "" where none does.
func alter(rng *rand.Rand, line string) (what, altered string) {
	list := alterations()
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for _, a := range list {
		all := a.at.FindAllStringIndex(line, -1)
		if len(all) == 0 {
			continue
		}
		at := all[rng.IntN(len(all))]
		return a.what, line[:at[0]] + a.to(rng, line[at[0]:at[1]]) + line[at[1]:]
	}
	return "", ""
}

// TestAlteredTest: the same through the whole runner, from files on disk.
func TestAlteredTest(t *testing.T) {
	c := sharedCatalogue(t)
	dir := t.TempDir()
	for _, name := range []string{"ssh-bf", "sshd-logs"} {
		from := filepath.Join(c.Hub(), testsDir, name)
		if _, err := os.Stat(from); err != nil {
			t.Skipf("skipped: the Hub has no test %s", name)
		}
		for _, altered := range []bool{false, true} {
			to := filepath.Join(dir, name+strconv.FormatBool(altered))
			if err := os.CopyFS(to, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			if !altered {
				continue
			}
			for _, file := range []string{parserFile, scenarioFile} {
				data, err := os.ReadFile(filepath.Join(to, file))
				if err != nil || len(data) == 0 {
					continue
				}
				data = regexp.MustCompile(`(?m)^(len\(.*\) == )\d+`).ReplaceAll(data, []byte("${1}77"))
				if err := os.Chmod(filepath.Join(to, file), 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(to, file), data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	report, err := newTestRunner(t, c, RunnerOptions{Tests: dir}).Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range report.Results {
		if want := strings.HasSuffix(one.Name, "false"); one.Passed != want {
			t.Errorf("%s passed %v: %v", one.Name, one.Passed, one.Failures)
		}
	}
	if report.Passed != 2 || report.Failed != 2 {
		t.Errorf("%d passed, %d failed, want 2 and 2", report.Passed, report.Failed)
	}
}

// TestDirect: comparing the common shapes directly gives what the interpreter gives,
// for assertions as they are and altered.
func TestDirect(t *testing.T) {
	c := sharedCatalogue(t)
	r := newTestRunner(t, c, RunnerOptions{})
	names, err := r.List()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 7))
	direct, total := 0, 0
	for _, name := range names {
		tc, err := openTest(r.tests, name)
		if err != nil {
			t.Fatal(err)
		}
		results := r.replay(t.Context(), tc, &Result{})
		for file, of := range map[string]any{parserFile: results.Parsers, scenarioFile: results.Overflows} {
			data, _ := os.ReadFile(filepath.Join(tc.dir, file))
			for _, line := range strings.Split(string(data), "\n") {
				if total++; strings.TrimSpace(line) == "" || rng.IntN(16) > 0 {
					continue
				}
				if rng.IntN(2) == 0 {
					if what, altered := alter(rng, line); what != "" {
						line = altered
					}
				}
				if agrees(t, r.env, line, of) {
					direct++
				}
			}
		}
	}
	t.Logf("of %d lines %d were compared both ways", total, direct)
	if direct < 1000 {
		t.Errorf("only %d lines were compared directly", direct)
	}
}

// agrees checks a line both ways and reports whether it was evaluated directly.
func agrees(t testing.TB, env *expression.Env, line string, results any) bool {
	t.Helper()
	a := parseAssertion(line)
	holds, known, _ := a.direct(results)
	if !known {
		return false
	}
	f := a.interpret(results, env)
	if f != nil && f.Err != "" {
		t.Errorf("%s: directly %v, but the interpreter says %s", line, holds, f.Err)
	} else if (f == nil) != holds {
		t.Errorf("%s: directly %v, by the interpreter %v", line, holds, f == nil)
	}
	return true
}
