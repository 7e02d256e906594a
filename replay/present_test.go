package replay

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
)

var begin = time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC)

// TestPresentFuture: neither a line from the future nor one from the past moves the
// present on.
func TestPresentFuture(t *testing.T) {
	var got []time.Time
	p := present{settle: func(at time.Time) { got = append(got, at) }}
	for i := range 3 * settleEvery {
		at := begin.Add(time.Duration(i) * time.Second)
		if i%settleEvery == 7 {
			at = at.AddDate(75, 0, 0)
		}
		p.took(at)
	}
	want := []time.Time{begin, begin.Add(settleEvery * time.Second), begin.Add(2 * settleEvery * time.Second)}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// visitors writes a few hours of a web server's log: every visitor comes for a while and
// never again, some of them look for what is not there, and some lines are up to a
// minute late. One line is from the future.
func visitors(t *testing.T, lines int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, rng := bufio.NewWriter(f), rand.New(rand.NewPCG(3, 3))
	for i := range lines {
		at := begin.Add(time.Duration(i) * 3 * time.Hour / time.Duration(lines))
		if i%50 == 0 {
			at = at.Add(-time.Duration(rng.IntN(60)) * time.Second)
		}
		if i == lines/3 {
			at = at.AddDate(50, 0, 0)
		}
		n := i/50*2 + rng.IntN(40)
		status := 200
		if n%3 == 0 {
			status = 404
		}
		fmt.Fprintf(w, "45.%d.%d.%d - - [%s] \"GET /page/%d HTTP/1.1\" %d 512 \"-\" \"Mozilla/5.0\"\n", n>>16, n>>8&255, n&255,
			at.Format("02/Jan/2006:15:04:05 -0700"), rng.IntN(1000), status)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPresent replays with and without the look at what is over: the alerts are the
// same, the buckets are few.
func TestPresent(t *testing.T) {
	in := []Input{{Path: visitors(t, 120_000), Type: "nginx"}}
	play := func(settle bool) (alerts []string, entries int64) {
		s, err := Open(Choice{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.faithful = !settle
		if _, err := s.Run(context.Background(), in, Options{Alert: func(a *event.Alert) {
			alerts = append(alerts, fmt.Sprint(a.Scenario, a.Source.Value, a.StartAt, a.StopAt, a.EventsCount, a.Message, a.Events))
		}}); err != nil {
			t.Fatal(err)
		}
		st := s.buckets.Stats()
		slices.Sort(alerts)
		return alerts, st.Buckets + st.Blackholes
	}
	want, all := play(false)
	got, few := play(true)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-without +with):\n%s", d)
	}
	t.Logf("%d alerts; %d entries left instead of %d", len(got), few, all)
	if len(got) < 100 || few*3 > all {
		t.Error("the log tests too little")
	}
}
