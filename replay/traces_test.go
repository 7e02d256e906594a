package replay_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/replay"
)

// epoch is T+0 of the traces.
var epoch = time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC)

// TestTraces replays the traces in testdata/traces, the fast and the plain way. An
// archive has items in the files scenarios.yaml, postoverflows/… and profiles.yaml,
// and then pairs of "lines: NAME" and "want: NAME". A line is one of
//
//	T+59.9 s=x k=a            at that second, fields in any order and number
//	T+0 x60 every=9 s=x       60 of them, one each nine seconds
//	@Mar  1 10:00:00 @ s=x    with the stamp as it is between the signs
//
// Fields are s, which the filters look at, ip, k, u and r, and each line gets its
// number within the case, from 0. What is wanted is what traced prints.
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/traces/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, cases := unpack(t, ar)
		for i := 0; i+1 < len(cases); i += 2 {
			lines, want := cases[i], cases[i+1]
			_, name, _ := strings.Cut(lines.Name, ": ")
			if want.Name != "want: "+name {
				t.Fatalf("%s: %q follows %q", file, want.Name, lines.Name)
			}
			for _, plain := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/plain=%v", strings.TrimSuffix(filepath.Base(file), ".txtar"), name, plain), func(t *testing.T) {
					c.Plain = plain
					got := traced(t, c, spell(t, string(lines.Data)))
					if d := gocmp.Diff(stripped(string(want.Data)), got); d != "" {
						t.Errorf("alerts (-want +got):\n%s", d)
					}
				})
			}
		}
	}
}

// unpack writes the items of an archive into files, and returns what runs them and
// the rest of the archive.
func unpack(t *testing.T, ar *txtar.Archive) (replay.Choice, []txtar.File) {
	t.Helper()
	dir := t.TempDir()
	c := replay.Choice{Collections: []string{replay.None}, Parsers: []string{filepath.Join("testdata", "traces", "parsers")}}
	var cases []txtar.File
	for _, f := range ar.Files {
		if strings.Contains(f.Name, ": ") {
			cases = append(cases, f)
			continue
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		switch top, _, _ := strings.Cut(f.Name, "/"); top {
		case "postoverflows":
			c.Postoverflows = []string{filepath.Join(dir, top)}
		case "scenarios.yaml":
			c.Scenarios = []string{path}
		case "contexts.yaml":
			c.Contexts = []string{path}
		case "profiles.yaml":
			c.Profiles = path
		default:
			t.Fatalf("unknown file %q", f.Name)
		}
	}
	return c, cases
}

// stripped are the lines of text that say something.
func stripped(text string) []string {
	out := []string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// spell writes the lines of a case out.
func spell(t *testing.T, script string) string {
	t.Helper()
	var b strings.Builder
	n := 0
	for _, line := range stripped(script) {
		stamp, rest, times, every := "", line, 1, 0.0
		after, stamped := strings.CutPrefix(line, "@")
		if stamped {
			stamp, rest, _ = strings.Cut(after, "@")
		}
		fields := map[string]string{"ip": "192.0.2.1"}
		var at float64
		for _, w := range strings.Fields(rest) {
			key, value, ok := strings.Cut(w, "=")
			var err error
			switch {
			case key == "every":
				every, err = strconv.ParseFloat(value, 64)
			case ok:
				fields[key] = value
			case w[0] == 'x':
				times, err = strconv.Atoi(w[1:])
			case w[0] == 'T':
				at, err = strconv.ParseFloat(w[1:], 64)
			default:
				err = fmt.Errorf("what is %q?", w)
			}
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		for i := range times {
			s := stamp
			if !stamped {
				// Rounded, since 0.1 s is no whole number of nanoseconds as a float.
				d := time.Duration((at + float64(i)*every) * 1e9).Round(100 * time.Nanosecond)
				s = epoch.Add(d).Format(time.RFC3339Nano)
			}
			fmt.Fprintf(&b, "%s|s=%s ip=%s k=%s u=%s r=%s n=%d\n", s, fields["s"], fields["ip"], fields["k"], fields["u"], fields["r"], n)
			n++
		}
	}
	return b.String()
}

// traced replays lines and lists the alerts:
//
//	SCENARIO SCOPE VALUE: COUNT over DURATION, START – STOP, samples N,N-N
//
// Days are left out where they are that of epoch, and "T" and "Z" with them.
func traced(t *testing.T, c replay.Choice, lines string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trace.log")
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, a := range replayLog(t, c, replay.Input{Path: path, Type: "trace"}) {
		out = append(out, tracedAlert(t, &a))
	}
	return out
}

func tracedAlert(t *testing.T, a *event.Alert) string {
	t.Helper()
	over := regexp.MustCompile(`\(\d+ events over (\S+)\)`).FindStringSubmatch(a.Message)
	if over == nil {
		t.Fatalf("odd message %q", a.Message)
	}
	text := fmt.Sprintf("%s %s %s: %d over %s, %s – %s, samples %s", strings.TrimPrefix(a.Scenario, "test/"), a.GetScope(), a.GetValue(),
		a.EventsCount, over[1], short(a.StartAt), short(a.StopAt), numbers(a))
	if len(a.Meta) > 0 {
		for _, m := range a.Meta {
			text += ", " + m.Key + " " + m.Value
		}
	}
	return text
}

func short(stamp string) string {
	if rest, ok := strings.CutPrefix(stamp, epoch.Format("2006-01-02T")); ok && strings.HasSuffix(rest, "Z") {
		return strings.TrimSuffix(rest, "Z")
	}
	return stamp
}

// numbers are those of the lines that an alert kept, neighbours as ranges; - is an
// event that was no line.
func numbers(a *event.Alert) string {
	var parts []string
	first, last := -2, -2
	flush := func() {
		switch {
		case first < 0:
		case first == last:
			parts = append(parts, strconv.Itoa(first))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", first, last))
		}
		first, last = -2, -2
	}
	for _, e := range a.Events {
		n, err := strconv.Atoi(e.GetMeta("n"))
		switch {
		case err != nil:
			flush()
			parts = append(parts, "-")
		case n == last+1 && first >= 0:
			last = n
		default:
			flush()
			first, last = n, n
		}
	}
	flush()
	return strings.Join(parts, ",")
}
