package replay_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/replay"
)

var update = flag.Bool("update", false, "write the figures of real logs into docs/detections.md")

// detections is where the tables are, each between two comments with its name.
const detections = "../docs/detections.md"

// realLog is one of the shared logs.
type realLog struct{ name, kind string }

func realLogs() []realLog {
	return []realLog{{"openssh_2k.log", "syslog"}, {"auth.log", "syslog"}, {"linux_2k.log", "syslog"}, {"apache_access_10k.log", "apache2"}}
}

// servers are the Hub's items with which the shared logs are read.
func servers(tb testing.TB) replay.Choice {
	return replay.Choice{Hub: testkit.Shared(tb, "hub"), Data: testkit.Shared(tb, "hub-data"), Collections: []string{
		"crowdsecurity/sshd", "crowdsecurity/linux", "crowdsecurity/apache2", "crowdsecurity/base-http-scenarios", "crowdsecurity/http-cve"}}
}

// replayLog replays one log and returns its alerts.
func replayLog(tb testing.TB, c replay.Choice, in replay.Input) []event.Alert {
	tb.Helper()
	s, err := replay.Open(c, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range s.Problems {
		tb.Error(p)
	}
	var list []event.Alert
	if _, err := s.Run(tb.Context(), []replay.Input{in}, replay.Options{Alert: func(a *event.Alert) { list = append(list, *a) }}); err != nil {
		tb.Fatal(err)
	}
	return list
}

// span is all alerts of a scenario about a source.
type span struct {
	scenario, source string
	alerts, events   int
	first, last      time.Time
}

func spans(tb testing.TB, list []event.Alert) []span {
	tb.Helper()
	all := map[[2]string]*span{}
	for i := range list {
		a := &list[i]
		s := all[[2]string{a.Scenario, a.GetValue()}]
		if s == nil {
			s = &span{scenario: a.Scenario, source: a.GetValue(), first: stamp(tb, a.StartAt)}
			all[[2]string{a.Scenario, a.GetValue()}] = s
		}
		s.alerts++
		s.events += int(a.EventsCount)
		s.last = stamp(tb, a.StopAt)
	}
	var out []span
	for _, s := range all {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b span) int {
		return cmp.Or(a.first.Compare(b.first), strings.Compare(a.scenario, b.scenario), strings.Compare(a.source, b.source))
	})
	return out
}

func stamp(tb testing.TB, text string) time.Time {
	tb.Helper()
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// row is a line of a table up to the reason, which a person writes.
func (s span) row() string {
	const at = "Jan 02 15:04:05"
	return fmt.Sprintf("| %s | %s | %d | %d | %s – %s |", s.scenario, s.source, s.alerts, s.events, s.first.Format(at), s.last.Format(at))
}

// section returns the text between the comments of a name, and where it is.
func section(tb testing.TB, doc, name string) (text string, from, to int) {
	tb.Helper()
	open, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	from = strings.Index(doc, open)
	to = strings.Index(doc, end)
	if from < 0 || to < from {
		tb.Fatalf("%s has no table %q", detections, name)
	}
	from += len(open)
	return doc[from:to], from, to
}

// check compares a table with the rows that it should have. A row may have one more
// column, the reason; with -update the others are written.
func check(tb testing.TB, name, head string, want []string, reasoned bool) {
	tb.Helper()
	data, err := os.ReadFile(detections)
	if err != nil {
		tb.Fatal(err)
	}
	doc := string(data)
	text, from, to := section(tb, doc, name)
	why := map[string]string{} // by scenario and source
	var got []string
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, l := range lines[min(2, len(lines)):] {
		cells := strings.Split(l, "|")
		if !reasoned {
			got = append(got, l)
			continue
		}
		if len(cells) != 8 {
			tb.Fatalf("%s: %s: a row has six columns, and not %q", detections, name, l)
		}
		got = append(got, strings.Join(cells[:6], "|")+"|")
		why[cells[1]+cells[2]] = strings.TrimSpace(cells[6])
	}
	for _, l := range want {
		cells := strings.Split(l, "|")
		if reasoned && why[cells[1]+cells[2]] == "" {
			tb.Errorf("%s: %s: nobody has said why%s accuses%s", detections, name, cells[1], cells[2])
		}
	}
	if *update {
		var b strings.Builder
		b.WriteString(head)
		for _, l := range want {
			b.WriteString(l)
			if cells := strings.Split(l, "|"); reasoned {
				b.WriteString(" " + why[cells[1]+cells[2]] + " |")
			}
			b.WriteString("\n")
		}
		if err := os.WriteFile(detections, []byte(doc[:from]+b.String()+doc[to:]), 0o600); err != nil {
			tb.Fatal(err)
		}
		return
	}
	if d := gocmp.Diff(got, want); d != "" {
		tb.Errorf("%s: %s: the table (-) is not what a replay gives (+); go test ./replay -run TestRealLogs -update:\n%s", detections, name, d)
	}
}

// TestRealLogs: the tables of docs/detections.md are what a replay of real logs
// gives, and somebody has said of each row whether it is plausible.
func TestRealLogs(t *testing.T) {
	for _, log := range realLogs() {
		t.Run(log.name, func(t *testing.T) {
			var want []string
			for _, s := range spans(t, replayLog(t, servers(t), replay.Input{Path: testkit.Shared(t, "logs", log.name), Type: log.kind})) {
				want = append(want, s.row())
			}
			check(t, "hub "+log.name, "| scenario | source | alerts | events | first – last | why |\n|---|---|---|---|---|---|\n", want, true)
		})
	}
}

// TestRealLogsBuiltin is the same for the built-in items, in short.
func TestRealLogsBuiltin(t *testing.T) {
	var want []string
	for _, log := range realLogs() {
		sum := map[string][3]int{}
		for _, s := range spans(t, replayLog(t, replay.Choice{}, replay.Input{Path: testkit.Shared(t, "logs", log.name), Type: log.kind})) {
			n := sum[s.scenario]
			sum[s.scenario] = [3]int{n[0] + s.alerts, n[1] + 1, n[2] + s.events}
		}
		for _, name := range slices.Sorted(maps.Keys(sum)) {
			n := sum[name]
			want = append(want, fmt.Sprintf("| %s | %s | %d | %d | %d |", log.name, name, n[0], n[1], n[2]))
		}
	}
	check(t, "builtin", "| log | scenario | alerts | sources | events |\n|---|---|---|---|---|\n", want, false)
}

// TestRealLogsSlow: the plain way gives the same alerts to the last letter, as far
// as it gets in the time that CI has.
func TestRealLogsSlow(t *testing.T) {
	for _, log := range realLogs() {
		for name, c := range map[string]replay.Choice{"hub": servers(t), "builtin": {}} {
			t.Run(filepath.Join(log.name, name), func(t *testing.T) {
				in := replay.Input{Path: testkit.Shared(t, "logs", log.name), Type: log.kind}
				if os.Getenv("RAMPART_SOAK") == "" {
					in.Path = beginning(t, in.Path, 2000)
				}
				fast := replayLog(t, c, in)
				c.Plain = true
				if d := gocmp.Diff(replayLog(t, c, in), fast, gocmp.FilterPath(random, gocmp.Ignore())); d != "" {
					t.Errorf("plain (-) and fast (+) differ:\n%s", d)
				}
			})
		}
	}
}

// beginning writes the first lines of a file into another and returns its path.
func beginning(tb testing.TB, path string, lines int) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	parts := strings.SplitAfterN(string(data), "\n", lines+1)
	out := filepath.Join(tb.TempDir(), filepath.Base(path))
	if err := os.WriteFile(out, []byte(strings.Join(parts[:min(lines, len(parts))], "")), 0o600); err != nil {
		tb.Fatal(err)
	}
	return out
}
