package command

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/replay"
)

const failedLogin = "2026-03-01T11:00:00Z h sshd[1]: Failed password for root\x1b[2J from 192.0.2.1 port 4000 ssh2"

// TestExplainColours: with colours it says the same as without, and what a log holds
// does not reach the terminal's controls.
func TestExplainColours(t *testing.T) {
	x, err := replay.NewExplainer(replay.Choice{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	one := x.Line(failedLogin, replay.Input{Type: "syslog"})
	told := func(colours bool) string {
		var out bytes.Buffer
		cmd := &cobra.Command{}
		cmd.SetOut(&out)
		tell := &telling{c: &call{cmd: cmd, format: human}, paint: paint{colours}}
		if err := tell.show(one); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	plain, coloured := told(false), told(true)
	if strings.Contains(plain, "\x1b") {
		t.Errorf("control characters get through: %q", plain)
	}
	ours := regexp.MustCompile("\x1b\\[[0-9]+m")
	if coloured == plain || ours.ReplaceAllString(coloured, "") != plain {
		t.Errorf("with colours it says something else:\n%s\n%s", coloured, plain)
	}
}

// TestExplainJSON: one object a line, whose steps form the tree and whose pours have
// the level of each bucket.
func TestExplainJSON(t *testing.T) {
	out, err := run(t, &exchange{}, "explain", "--type", "syslog", failedLogin, "--collection", "rampart/sshd", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var x replay.Explanation
	if err := json.Unmarshal([]byte(out), &x); err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	if x.Outcome != replay.Taken || x.Line != failedLogin || !x.Time.Equal(time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", x)
	}
	depths, changed := map[int]bool{}, map[string]string{}
	for _, s := range x.Steps {
		depths[s.Depth] = true
		for _, c := range s.Changes {
			changed[c.Field] = c.New
		}
	}
	if !depths[0] || !depths[1] || changed["Meta.source_ip"] != "192.0.2.1" || changed["Meta.log_type"] != "ssh_failed-auth" {
		t.Errorf("steps %v, changes %v", depths, changed)
	}
	found := false
	for _, p := range x.Pours {
		found = found || p.Scenario == "rampart/ssh-bruteforce" && p.Held == 1 && p.Capacity == 5 && p.Key == "192.0.2.1" && p.Outcome == replay.Poured
	}
	if !found {
		t.Errorf("pours %+v", x.Pours)
	}
}

// TestGauge: what the bar shows.
func TestGauge(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        string
	}{
		{0, 0, ""},
		{0, 100, "[..............................]   0% "},
		{50, 100, "[###############...............]  50% 1m left, "},
		{200, 100, "[##############################] 100% "},
	} {
		if got := gauge(c.done, c.total, time.Minute); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.done, c.total, got, c.want)
		}
	}
}

// TestTypes: which type each file has, by where the flags stand.
func TestTypes(t *testing.T) {
	for args, want := range map[string]string{
		"a b --type x":                  "a:x b:x",
		"--type x a b --type y c":       "a:x b:x c:y",
		"a --type x b --type y c d":     "a:x b:x c:y d:y",
		"x=a y=b":                       "a:x b:y",
		"--type z a x=b ./dir/x=c":      "a:z b:x ./dir/x=c:z",
		"--type=x a -t y b -t z c -t z": "error",
		"a":                             "error",
	} {
		f := &typeFlag{}
		var got []string
		root := &cobra.Command{Use: "r", SilenceErrors: true, SilenceUsage: true}
		sub := &cobra.Command{Use: "s", RunE: func(_ *cobra.Command, args []string) error {
			list, err := f.inputs(args, nil)
			for _, in := range list {
				got = append(got, in.Path+":"+in.Type)
			}
			return err
		}}
		f.set = sub.Flags()
		sub.Flags().VarP(f, "type", "t", "")
		at := &cobra.Command{}
		Graft(at, sub) // as a command that somebody else made
		root.AddCommand(at)
		root.SetArgs(append([]string{"s"}, strings.Fields(args)...))
		text := strings.Join(got, " ")
		if err := root.Execute(); err != nil {
			text = "error"
		} else {
			text = strings.Join(got, " ")
		}
		if text != want {
			t.Errorf("%s: %s, want %s", args, text, want)
		}
	}
}

// TestSummaryIsBounded: what a summary holds does not grow with the alerts.
func TestSummaryIsBounded(t *testing.T) {
	s := newSummary()
	a := alertOf("s", "192.0.2.1")
	for range 3 * listedAlerts {
		s.add(a)
	}
	if s.total != 3*listedAlerts || len(s.shown) != listedAlerts || s.shown[0].Events != nil || s.sources["192.0.2.1"].alerts != 3*listedAlerts {
		t.Errorf("%d alerts, %d shown", s.total, len(s.shown))
	}
}

func alertOf(scenario, source string) *event.Alert {
	return &event.Alert{Scenario: scenario, Source: &event.Source{Scope: "Ip", Value: source}, EventsCount: 3,
		Events: []event.AlertEvent{{}}, Stop: now}
}
