package decisions_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// failing is a filter that fails when it runs.
const failing = `Alert.Events[7].GetMeta("x") == ""`

func TestExplain(t *testing.T) {
	p := load(t, "name: first\nfilters:\n  - Alert.GetScope() == \"AS\"\n  - '"+failing+"'\non_error: apply\nnotifications: [mail]\ndecisions: [{type: ban}]\n---\n"+
		"name: second\nfilters: ['false', 'true', 'false']\nduration_expr: Sprintf('%dh', GetDecisionsCount(Alert.GetValue()))\ndecisions: [{type: ban}]\n---\n"+
		"name: third\nfilters: ['true']\ndecisions: [{type: captcha}]\non_success: break\n---\nname: fourth\nfilters: ['true']\n", counts{week: 3})
	got := p.Explain(alert("Ip", "192.0.2.1", "http"), start)
	if len(got) != 4 {
		t.Fatalf("%+v", got)
	}
	first, second, third, fourth := got[0], got[1], got[2], got[3]
	if !first.Matched || !first.ByError || first.Decides || first.Filters[0].True || !first.Filters[1].Tried || first.Filters[1].Error == "" ||
		!strings.Contains(first.Why, "on_error") || len(first.Notifications) != 1 {
		t.Errorf("first: %+v", first)
	}
	want := []decisions.FilterVerdict{{Filter: "false", Tried: true}, {Filter: "true", Tried: true, True: true}, {Filter: "false"}}
	if d := cmp.Diff(want, second.Filters); d != "" {
		t.Error(d)
	}
	if !second.Decides || second.Duration != "3h0m0s" || len(second.Decisions) != 1 || second.Why != "" || second.Stops {
		t.Errorf("second: %+v", second)
	}
	if !third.Matched || third.Decides || !strings.Contains(third.Why, "second decided") || !third.Stops {
		t.Errorf("third: %+v", third)
	}
	if fourth.Reached || fourth.Matched || fourth.Filters[0].Tried {
		t.Errorf("fourth: %+v", fourth)
	}
}

// TestExplainIsJudge holds Explain to what is really done.
func TestExplainIsJudge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	for i := range 500 {
		var b strings.Builder
		for n := range 1 + r.IntN(4) {
			fmt.Fprintf(&b, "---\nname: p%d\nfilters:\n", n)
			for range 1 + r.IntN(3) {
				fmt.Fprintf(&b, "  - '%s'\n", pick("true", "false", failing))
			}
			fmt.Fprintf(&b, "on_error: %s\non_success: %s\n", pick("apply", "continue", "break", "ignore", "''"), pick("continue", "break", "''"))
			b.WriteString(pick("", "decisions: [{type: ban}]\n", "decisions: [{type: ban, duration: 1m}, {type: captcha}]\n"))
			b.WriteString(pick("", "", "duration_expr: \"'2h'\"\n", "duration_expr: \"'soon'\"\n"))
			b.WriteString(pick("", "notifications: [mail]\n"))
		}
		p := load(t, b.String(), counts{})
		a := alert("Ip", "192.0.2.1", "http")
		if r.IntN(5) == 0 {
			a.Decisions = []event.AlertDecision{{Type: "ban"}}
		}
		a.Stop = start.Add(-time.Duration(r.IntN(300)) * time.Second)
		j, _ := p.Judge(a, start)
		var told decisions.Judgement
		for _, v := range p.Explain(a, start) {
			if v.Matched {
				told.Matched = append(told.Matched, decisions.Match{Profile: v.Profile, Notifications: v.Notifications})
			}
			if v.Decides {
				told.Decider, told.Decisions = v.Profile, v.Decisions
			}
		}
		if d := cmp.Diff(j, told); d != "" {
			t.Fatalf("%d: %s\nof\n%s", i, d, b.String())
		}
	}
}

// TestProgressiveBans: each time longer, with the book that remembers.
func TestProgressiveBans(t *testing.T) {
	for _, tc := range []struct{ name, expr, value, want string }{
		{"all that was ever decided", "Sprintf('%dh', (GetDecisionsCount(Alert.GetValue()) + 1) * 4)", "192.0.2.1", "4h 8h 12h 16h"},
		{"of a day", "Sprintf('%dh', 1 + GetDecisionsSinceCount(Alert.GetValue(), '24h'))", "192.0.2.1", "1h 2h 2h 2h"},
		{"an IPv6 subscriber", "Sprintf('%dh', (GetDecisionsCount(Alert.GetValue()) + 1) * 4)", "2001:db8::7", "4h 8h 12h 16h"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := openDesk(t, decisions.BookOptions{})
			e := expression.New(expression.Options{Decisions: d.Book, Now: d.now})
			p, err := decisions.LoadProfiles("p.yaml", []byte("name: p\nfilters: ['true']\nduration_expr: "+tc.expr+"\ndecisions: [{type: ban}]"), e)
			must(t, err)
			var got []string
			for range 4 {
				a := alert("Ip", tc.value, "http")
				a.Source.IP, a.Stop, a.Width64 = tc.value, d.clock.Now(), true
				j, err := p.Judge(a, d.clock.Now())
				must(t, err)
				must(t, d.Append(a, j.Decisions))
				got = append(got, strings.TrimSuffix(j.Decisions[0].Until.Sub(d.clock.Now()).String(), "0m0s"))
				d.clock.Advance(20 * time.Hour)
				d.Expire(d.clock.Now())
			}
			if s := strings.Join(got, " "); s != tc.want {
				t.Errorf("%s, want %s", s, tc.want)
			}
		})
	}
}
