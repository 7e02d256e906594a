package replay_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/replay"
)

// incumbent is the set of items with which CrowdSec's figures were taken.
func incumbent(tb testing.TB) replay.Choice {
	return replay.Choice{
		Hub:  testkit.Shared(tb, "hub"),
		Data: testkit.Shared(tb, "hub-data"),
		Collections: []string{"crowdsecurity/nginx", "crowdsecurity/base-http-scenarios", "crowdsecurity/http-cve",
			"crowdsecurity/sshd", "crowdsecurity/linux", "crowdsecurity/whitelist-good-actors"},
		Parsers: []string{"crowdsecurity/whitelists"},
	}
}

// placeless is the same without databases of places, which CrowdSec did not have
// when its figures were taken.
func placeless(tb testing.TB) replay.Choice {
	c := incumbent(tb)
	data := tb.TempDir()
	for _, part := range []string{"web", "whitelists"} {
		if err := os.Symlink(filepath.Join(c.Data, part), filepath.Join(data, part)); err != nil {
			tb.Fatal(err)
		}
	}
	c.Data = data
	return c
}

// logType is the label under which CrowdSec reads a kind of workload.
func logType(kind string) string { return map[string]string{"nginx": "nginx", "sshd": "syslog"}[kind] }

// alerts replays one log and returns its alerts.
func alerts(tb testing.TB, c replay.Choice, path, kind string) []event.Alert {
	tb.Helper()
	return replayLog(tb, c, replay.Input{Path: path, Type: logType(kind)})
}

// counts is how many alerts there are of a scenario about a source.
func counts(list []event.Alert) map[string]int {
	out := map[string]int{}
	for i := range list {
		out[list[i].Scenario+" "+list[i].GetValue()]++
	}
	return out
}

// TestIncumbentDetections: on the web server's log of the benchmark the Hub's items
// detect what they do in CrowdSec: the same scenarios, sources and numbers.
func TestIncumbentDetections(t *testing.T) {
	w := testkit.MakeWorkload(t, "nginx", 100_000)
	text, err := os.ReadFile(testkit.Shared(t, "bench", "reference", "nginx-seed42-first100k-of-1M.alerts"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			t.Fatalf("odd line %q", line)
		}
		if want[f[0]+" "+f[1]], err = strconv.Atoi(f[2]); err != nil {
			t.Fatal(err)
		}
	}
	got := alerts(t, incumbent(t), w.Log, "nginx")
	if d := cmp.Diff(want, counts(got)); d != "" {
		t.Errorf("CrowdSec (-) and Rampart (+) differ:\n%s", d)
	}
	noBenign(t, got, w)
}

// TestWorkloadsFindNoBenign: nobody is accused whom the generator did not make an
// attacker.
func TestWorkloadsFindNoBenign(t *testing.T) {
	w := testkit.MakeWorkload(t, "sshd", 100_000)
	list := alerts(t, incumbent(t), w.Log, "sshd")
	if len(list) < 1000 {
		t.Errorf("only %d alerts", len(list))
	}
	noBenign(t, list, w)
}

func noBenign(t *testing.T, list []event.Alert, w testkit.Workload) {
	t.Helper()
	for i := range list {
		for _, a := range accused(&list[i]) {
			if w.Truth[a] == "" {
				t.Errorf("%s was accused and is benign: %s", a, list[i].Message)
			}
		}
	}
}

// accused are the addresses that an alert is about.
func accused(a *event.Alert) []string {
	if _, err := netip.ParseAddr(a.GetValue()); err == nil {
		return []string{a.GetValue()}
	}
	var out []string
	for _, e := range a.Events {
		out = append(out, e.GetMeta("source_ip"))
	}
	return out
}

// TestFastAndSlowAlike: the plain way gives the same alerts to the last letter, as
// far as it gets in the time that CI has.
func TestFastAndSlowAlike(t *testing.T) {
	lines := 10_000
	if os.Getenv("RAMPART_SOAK") != "" {
		lines = 100_000
	}
	for _, kind := range []string{"nginx", "sshd"} {
		t.Run(kind, func(t *testing.T) {
			w := testkit.MakeWorkload(t, kind, lines)
			c := incumbent(t)
			fast := alerts(t, c, w.Log, kind)
			c.Plain = true
			slow := alerts(t, c, w.Log, kind)
			if len(fast) == 0 {
				t.Error("no alert")
			}
			if d := cmp.Diff(slow, fast, cmp.FilterPath(random, cmp.Ignore())); d != "" {
				t.Errorf("plain (-) and fast (+) differ:\n%s", d)
			}
		})
	}
}

// random are the fields that no two runs have in common.
func random(p cmp.Path) bool {
	f, ok := p.Last().(cmp.StructField)
	return ok && (f.Name() == "UUID" || f.Name() == "IncidentID")
}

// BenchmarkReplay is the processor time of the whole process from the start of
// reading to the end.
func BenchmarkReplay(b *testing.B) {
	for _, kind := range []string{"nginx", "sshd"} {
		for _, c := range []struct {
			items  string
			choice func(testing.TB) replay.Choice
		}{
			{"hub", placeless},
			{"places", incumbent},
			{"builtin", func(testing.TB) replay.Choice { return replay.Choice{} }},
		} {
			b.Run(fmt.Sprintf("%s/%s", c.items, kind), func(b *testing.B) {
				choice := c.choice(b)
				w := testkit.MakeWorkload(b, kind, 100_000)
				found := 0
				var spent time.Duration
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					s, err := replay.Open(choice, nil)
					if err != nil {
						b.Fatal(err)
					}
					found = 0
					b.StartTimer()
					before := testkit.Spent(b)
					if _, err := s.Run(context.Background(), []replay.Input{{Path: w.Log, Type: logType(kind)}},
						replay.Options{Alert: func(*event.Alert) { found++ }}); err != nil {
						b.Fatal(err)
					}
					spent += testkit.Spent(b) - before
				}
				b.ReportMetric(float64(w.Lines)*float64(b.N)/spent.Seconds(), "lines/cpu-s")
				b.ReportMetric(float64(found), "alerts")
			})
		}
	}
}
