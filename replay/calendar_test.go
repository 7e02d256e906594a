package replay_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/replay"
)

// slow is one scenario that makes four events of any distance in time an alert, and
// one that wants them within 40 seconds.
const slow = `
type: conditional
name: test/year
description: four within a year
filter: evt.Meta.s == 'year'
groupby: evt.Meta.source_ip
condition: len(queue.Queue) >= 4
capacity: -1
leakspeed: 9000h
---
type: leaky
name: test/leaky3
description: three, one in ten seconds, alive for 40
filter: evt.Meta.s == 'leaky3'
groupby: evt.Meta.source_ip
capacity: 3
leakspeed: 10s
---
type: leaky
name: test/leaky5
description: five, one in ten seconds
filter: evt.Meta.s == 'leaky5'
groupby: evt.Meta.source_ip
capacity: 5
leakspeed: 10s
`

// yearly is a choice of these scenarios.
func yearly(t *testing.T, plain bool) replay.Choice {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scenarios.yaml")
	if err := os.WriteFile(path, []byte(slow), 0o600); err != nil {
		t.Fatal(err)
	}
	return replay.Choice{Collections: []string{replay.None}, Parsers: []string{"testdata/traces/parsers"}, Scenarios: []string{path}, Plain: plain}
}

// TestYearless: stamps without a year count in the year of the replay, and nothing
// is corrected: over New Year the clock goes back, and a leap day that the year does
// not have is March 1.
func TestYearless(t *testing.T) {
	year := time.Now().UTC().Year()
	at := func(month time.Month, day, hour, minute, second int) time.Time {
		return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	}
	cases := []struct {
		name, scenario string
		stamps         []string
		want           string // of the alert; "": none
		first, last    time.Time
	}{
		{"as written", "leaky3", []string{"Jun  1 10:00:00", "Jun 01 10:00:01", "Jun 1 10:00:02", "Jun  1 10:00:03"},
			"4 over 3s", at(6, 1, 10, 0, 0), at(6, 1, 10, 0, 3)},
		{"what lies ahead stays there", "leaky3", []string{"Dec 31 23:59:56", "Dec 31 23:59:57", "Dec 31 23:59:58", "Dec 31 23:59:59"},
			"4 over 3s", at(12, 31, 23, 59, 56), at(12, 31, 23, 59, 59)},
		{"over New Year the clock goes back and nothing leaks", "leaky3", []string{"Dec 31 23:58:50", "Dec 31 23:58:51", "Jan  1 00:10:00", "Jan  1 00:10:01"},
			"4 over " + at(1, 1, 0, 10, 1).Sub(at(12, 31, 23, 58, 50)).String(), at(12, 31, 23, 58, 50), at(1, 1, 0, 10, 1)},
		{"backwards no bucket expires", "year", []string{"Dec 31 23:59:59", "Jan  1 00:00:00", "Jan  1 00:00:01", "Jan  1 00:00:02"},
			"4 over " + at(1, 1, 0, 0, 2).Sub(at(12, 31, 23, 59, 59)).String(), at(12, 31, 23, 59, 59), at(1, 1, 0, 0, 2)},
		{"a leap day in any year", "year", []string{"Feb 28 23:59:59", "Feb 29 00:00:00", "Feb 29 12:00:00", "Mar  1 00:00:00"},
			"4 over " + at(3, 1, 0, 0, 0).Sub(at(2, 28, 23, 59, 59)).String(), at(2, 28, 23, 59, 59), at(3, 1, 0, 0, 0)},
		{"no thirtieth of February", "year", []string{"Feb 30 00:00:00", "Feb 30 00:00:00", "Feb 30 00:00:00", "Feb 30 00:00:00"}, "", time.Time{}, time.Time{}},
		{"years and none", "leaky3", []string{fmt.Sprintf("%d-06-01T10:00:00Z", year), "Jun  1 10:00:01", fmt.Sprintf("01/Jun/%d:12:00:02 +0200", year), "Jun  1 10:00:03"},
			"4 over 3s", at(6, 1, 10, 0, 0), at(6, 1, 10, 0, 3)},
		{"last year's are not this year's", "leaky3", []string{fmt.Sprintf("%d-06-01T10:00:00Z", year-1), "Jun  1 10:00:01", "Jun  1 10:00:02", "Jun  1 10:00:03"}, "", time.Time{}, time.Time{}},
	}
	for _, c := range cases {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/plain=%v", c.name, plain), func(t *testing.T) {
				var script strings.Builder
				for _, s := range c.stamps {
					fmt.Fprintf(&script, "@%s@ s=%s\n", s, c.scenario)
				}
				want := []string{}
				if c.want != "" {
					want = append(want, fmt.Sprintf("%s Ip 192.0.2.1: %s, %s – %s, samples 0-3",
						c.scenario, c.want, c.first.Format(time.RFC3339), c.last.Format(time.RFC3339)))
				}
				if d := gocmp.Diff(want, traced(t, yearly(t, plain), spell(t, script.String()))); d != "" {
					t.Errorf("alerts (-want +got):\n%s", d)
				}
			})
		}
	}
}

// TestLeapDay: a leap day is one in a leap year, and the day after otherwise.
func TestLeapDay(t *testing.T) {
	year := time.Now().UTC().Year()
	want := time.Date(year, 2, 29, 10, 0, 0, 0, time.UTC).Format(time.RFC3339)
	got := traced(t, yearly(t, false), spell(t, "@Feb 29 10:00:00@ x4 s=leaky3"))
	if d := gocmp.Diff([]string{"leaky3 Ip 192.0.2.1: 4 over 0s, " + want + " – " + want + ", samples 0-3"}, got); d != "" {
		t.Errorf("alerts (-want +got):\n%s", d)
	}
}

// TestEqualStamps: of ten thousand lines of one instant each sixth overflows a
// bucket of five, and the next begins a new one.
func TestEqualStamps(t *testing.T) {
	const lines, capacity = 10_000, 5
	for _, plain := range []bool{false, true} {
		got := traced(t, yearly(t, plain), spell(t, fmt.Sprintf("T+0 x%d s=leaky5", lines)))
		var want []string
		for n := 0; n+capacity < lines; n += capacity + 1 {
			want = append(want, fmt.Sprintf("leaky5 Ip 192.0.2.1: %d over 0s, 10:00:00 – 10:00:00, samples %d-%d", capacity+1, n, n+capacity))
		}
		if d := gocmp.Diff(want, got); d != "" || len(want) != 1666 {
			t.Errorf("plain=%v: %d alerts, want %d:\n%s", plain, len(got), len(want), d)
		}
	}
}

// TestLogsInterleave: an attack that is spread over three logs, in three spellings
// of time, is one attack, in whatever order the logs are named.
func TestLogsInterleave(t *testing.T) {
	dir := t.TempDir()
	var inputs []replay.Input
	for i, layout := range []string{time.RFC3339Nano, "02/Jan/2006:15:04:05 -0700", "2006-01-02 15:04:05"} {
		var b strings.Builder
		for n := i; n < 60; n += 3 {
			at := epoch.Add(time.Duration(n) * time.Second)
			if i == 1 {
				at = at.In(time.FixedZone("", -7*3600))
			}
			fmt.Fprintf(&b, "%s|s=leaky5 ip=192.0.2.1 k= u= r= n=%d\n", at.Format(layout), n)
		}
		path := filepath.Join(dir, fmt.Sprintf("%d.log", i))
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, replay.Input{Path: path, Type: "trace"})
	}
	one := traced(t, yearly(t, false), spell(t, "T+0 x60 every=1 s=leaky5"))
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		s, err := replay.Open(yearly(t, false), nil)
		if err != nil {
			t.Fatal(err)
		}
		var list []replay.Input
		for _, i := range order {
			list = append(list, inputs[i])
		}
		got := []string{}
		if _, err := s.Run(t.Context(), list, replay.Options{Alert: func(a *event.Alert) { got = append(got, tracedAlert(t, a)) }}); err != nil {
			t.Fatal(err)
		}
		if len(one) < 8 || len(got) != len(one) {
			t.Fatalf("order %v: %d alerts, and %d of one log", order, len(got), len(one))
		}
		for i := range got {
			// Ends may be told in another zone.
			g, w := got[i], one[i]
			if g[:strings.Index(g, ",")] != w[:strings.Index(w, ",")] || g[strings.LastIndex(g, ","):] != w[strings.LastIndex(w, ","):] {
				t.Errorf("order %v: %s, and of one log %s", order, g, w)
			}
		}
	}
}
