package parsers

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// twin is one set of items compiled both ways: with every fast path, and without
// any.
type twin struct {
	fast, plain *Pipeline
}

func newTwin(t testing.TB, items []Item, o expression.Options, po Options) twin {
	t.Helper()
	compile := func(plain bool) *Pipeline {
		o.Plain = plain
		p, err := Load(items, expression.New(o), po)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	return twin{fast: compile(false), plain: compile(true)}
}

// same parses an event both ways and returns what differs.
func (w twin) same(ev *event.Event) string {
	a, b := ev.Clone(), ev.Clone()
	fast, plain := w.fast.Parse(a), w.plain.Parse(b)
	if fast.Parsed != plain.Parsed || fmt.Sprint(fast.Err) != fmt.Sprint(plain.Err) {
		return fmt.Sprintf("%q: outcome %+v, plain %+v", ev.Line.Raw, fast, plain)
	}
	for _, ev := range []*event.Event{a, b} {
		if len(ev.Unmarshaled) == 0 {
			ev.Unmarshaled = nil // a map without keys says what none says
		}
	}
	if reflect.DeepEqual(a, b) {
		return ""
	}
	return fmt.Sprintf("%q: (-plain +fast)\n%s", ev.Line.Raw, cmp.Diff(b, a, stamps()))
}

// mutate returns a line with a few bytes cut, doubled, exchanged or replaced.
func mutate(r *rand.Rand, line string) string {
	b := []byte(line)
	for range 1 + r.IntN(3) {
		if len(b) == 0 {
			break
		}
		i := r.IntN(len(b))
		j := min(len(b), i+1+r.IntN(8))
		switch r.IntN(5) {
		case 0:
			b = append(b[:i:i], b[j:]...)
		case 1:
			b = append(b[:j:j], b[i:]...)
		case 2:
			b[i], b[len(b)-1-i] = b[len(b)-1-i], b[i]
		case 3:
			b[i] = " \"[]:<>0aZ/?%\xff\x00-."[r.IntN(17)]
		case 4:
			b = b[:i]
		}
	}
	return string(b)
}

// fileLines returns up to n lines of a file that are not empty.
func fileLines(t testing.TB, path string, n int) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 1<<20)
	for len(out) < n && scan.Scan() {
		if scan.Text() != "" {
			out = append(out, scan.Text())
		}
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// genlogs makes n lines of the benchmark's workload.
func genlogs(t testing.TB, kind string, n int) []string {
	t.Helper()
	dir, out := testkit.Shared(t, "bench", "genlogs"), t.TempDir()
	cmd := exec.Command("go", "run", ".", "-kind", kind, "-n", fmt.Sprint(n), "-seed", "42",
		"-out", filepath.Join(out, "log"), "-truth", filepath.Join(out, "truth"))
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("the generator in %s does not run: %v: %s", dir, err, text)
	}
	return fileLines(t, filepath.Join(out, "log"), n)
}

// TestOracleHub runs the log of every Hub test, and lines made of it, through the
// parsers of that test, fast and plain: all events are deeply equal.
func TestOracleHub(t *testing.T) {
	hub := testkit.Shared(t, "hub")
	entries, err := os.ReadDir(filepath.Join(hub, ".tests"))
	if err != nil {
		t.Fatal(err)
	}
	index, r := hubIndex(t, hub), rand.New(rand.NewPCG(1, 2))
	perTest := 100
	if testing.Short() || raced {
		perTest = 3
	}
	lines := 0
	for _, e := range entries {
		dir := filepath.Join(hub, ".tests", e.Name())
		var config hubTest
		data, err := os.ReadFile(filepath.Join(dir, "config.yaml"))
		if err == nil {
			err = yaml.Unmarshal(data, &config)
		}
		if err != nil {
			t.Fatal(err)
		}
		items, err := hubItems(hub, dir, &config, index)
		if err != nil {
			t.Fatal(err)
		}
		w := newTwin(t, items, expression.Options{Now: clock, Data: os.DirFS(filepath.Join(hub, "..", "hub-data"))}, Options{Now: clock})
		for _, raw := range fileLines(t, filepath.Join(dir, config.LogFile), perTest) {
			for _, text := range []string{raw, mutate(r, raw)} {
				ev := line(config.LogType, text)
				for k, v := range config.Labels {
					ev.SetLabel(k, v)
				}
				if diff := w.same(ev); diff != "" {
					t.Fatalf("%s: %s", e.Name(), diff)
				}
				lines++
			}
		}
	}
	t.Logf("%d lines", lines)
}

// everything is all parsers of the Hub that this build can load, together.
func everything(t testing.TB) []Item {
	t.Helper()
	var items []Item
	for _, item := range hubParsers(t) {
		if !strings.Contains(string(item.Data), "evt.Appsec.") {
			items = append(items, item)
		}
	}
	return items
}

// TestOracleEverything shows the first lines of every Hub test to all parsers at
// once, and what the benchmark's generator writes.
func TestOracleEverything(t *testing.T) {
	hub := testkit.Shared(t, "hub")
	w := newTwin(t, everything(t), expression.Options{Now: clock, Data: os.DirFS(filepath.Join(hub, "..", "hub-data"))}, Options{Now: clock})
	r := rand.New(rand.NewPCG(3, 4))
	check := func(label, text string) {
		t.Helper()
		if diff := w.same(line(label, text)); diff != "" {
			t.Fatal(diff)
		}
	}
	lines := hubLines(t)
	if testing.Short() || raced {
		lines = lines[:20]
	}
	for _, text := range lines {
		for _, label := range []string{"syslog", "nginx", "zzz"} {
			check(label, text)
			check(label, mutate(r, text))
		}
	}
	for _, c := range []struct{ kind, label string }{{"nginx", "nginx"}, {"sshd", "syslog"}} {
		for _, text := range genlogs(t, c.kind, 500) {
			check(c.label, text)
			check(c.label, mutate(r, text))
		}
	}
}

// FuzzOracle holds a few pipelines together on any line.
func FuzzOracle(f *testing.F) {
	twins := []twin{
		newTwin(f, builtinItems(f), expression.Options{Now: clock}, Options{Now: clock, Location: time.FixedZone("", 3600)}),
	}
	if testkit.HasShared(f, "hub") {
		hub := []Item{hubItem(f, "s00-raw", "syslog-logs"), hubItem(f, "s01-parse", "nginx-logs"), hubItem(f, "s01-parse", "sshd-logs"),
			hubItem(f, "s02-enrich", "http-logs"), hubItem(f, "s02-enrich", "dateparse-enrich"), hubItem(f, "s02-enrich", "whitelists")}
		twins = append(twins, newTwin(f, hub, expression.Options{Now: clock}, Options{Now: clock}))
	}
	for _, s := range []string{sshdLine, otherLine, combinedLine, caddyLine} {
		for _, label := range []string{"syslog", "nginx", "caddy"} {
			f.Add(label, s)
		}
	}
	f.Fuzz(func(t *testing.T, label, text string) {
		if len(text) > 2000 {
			return
		}
		for _, w := range twins {
			if diff := w.same(line(label, text)); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// stamps lets cmp look into the one part of an event that has private fields.
func stamps() cmp.Option { return cmp.AllowUnexported(event.Stamp{}) }
