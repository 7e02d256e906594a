package notify

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// named is an alert of a scenario and a source.
func named(scenario, source string) *Alert {
	return &Alert{Scenario: scenario, Source: &Source{Scope: "Ip", Value: source}}
}

// told writes a message short: scenarios, or the digest's number.
func told(m *message) string {
	if m.digest != nil {
		return fmt.Sprintf("digest %d", m.digest.Total)
	}
	var names []string
	for _, a := range m.alerts {
		names = append(names, a.Scenario)
	}
	return strings.Join(names, "+")
}

// drain takes all that is due at an instant, and says when there may be more.
func drain(q *queue, r *rule, now time.Time) (out []string, until time.Time) {
	for {
		t := q.next(r, now)
		if t.message == nil {
			return out, t.until
		}
		out = append(out, told(t.message))
		q.done(r, t.message, now, true)
	}
}

// TestGrouping plays steps: "+2s" moves the clock, "a" adds an alert of scenario a
// ("a@2" from source 2), "?x,y" wants these messages now.
func TestGrouping(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name  string
		rule  rule
		steps string
	}{
		{"at once", rule{}, "a ?a b c ?b,c"},
		{"threshold", rule{threshold: 3}, "a b ? +1h ? c ?a+b+c d ?"},
		{"wait", rule{wait: 30 * s}, "a +20s b ? +9s ? +1s ?a,b +1h ?"},
		{"both, by number", rule{wait: 30 * s, threshold: 2}, "a ? b ?a+b"},
		{"both, by time", rule{wait: 30 * s, threshold: 2}, "a +29s ? +1s ?a b +29s ? +1s ?b"},
		{"by scenario", rule{wait: 30 * s, by: []string{"scenario"}}, "a b a +30s ?a+a,b"},
		{"each group has its time", rule{wait: 30 * s, by: []string{"scenario"}}, "a +10s b +20s ?a +10s ?b"},
		{"by scenario, by number", rule{threshold: 2, by: []string{"scenario"}}, "a b ? a ?a+a b ?b+b"},
		{"by source", rule{threshold: 2, by: []string{"source"}}, "a@1 b@2 ? c@1 ?a+c d@2 ?b+d"},
		{"by two things", rule{threshold: 2, by: []string{"source", "scenario"}}, "a@1 b@1 a@2 ? a@1 ?a+a"},
		{"rate", rule{rate: 2, per: 60 * s, digests: true}, "a b c d ?a,b e ? +59s ? +1s f ?digest 3,f"},
		{"rate and groups", rule{rate: 1, per: 60 * s, threshold: 2, digests: true}, "a b c ?a+b d ? e +60s ?digest 2"},
		{"a window slides", rule{rate: 2, per: 60 * s, digests: true}, "a ?a +50s b ?b +10s c ?c d ? +49s ? +1s ?digest 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			q := newQueue("x")
			for _, step := range strings.Fields(strings.ReplaceAll(c.steps, "digest ", "digest_")) {
				switch step[0] {
				case '+':
					d, err := time.ParseDuration(step[1:])
					if err != nil {
						t.Fatal(err)
					}
					now = now.Add(d)
				case '?':
					got, until := drain(q, &c.rule, now)
					want := strings.ReplaceAll(step[1:], "digest_", "digest ")
					if strings.Join(got, ",") != want {
						t.Fatalf("at %s: got %q, want %q", step, got, want)
					}
					if !until.IsZero() && !until.After(now) {
						t.Fatalf("at %s: to be called again at once", step)
					}
				default:
					name, source, _ := strings.Cut(step, "@")
					if !q.add(&c.rule, named(name, source), now).kept {
						t.Fatalf("%s was dropped", step)
					}
				}
			}
		})
	}
}

// TestGroupKeys: what two alerts must share to be in one group.
func TestGroupKeys(t *testing.T) {
	a := &Alert{Scenario: "s", MachineID: "m", Site: "w", Source: &Source{Scope: "Ip", Value: "192.0.2.1", Range: "192.0.2.0/24", AsNumber: "1", Cn: "FR"}}
	got := map[string]string{}
	for _, w := range groupWords {
		got[w] = (&rule{by: []string{w}}).key(a)
	}
	want := map[string]string{"scenario": "s", "machine": "m", "site": "w", "source": "Ip:192.0.2.1", "range": "192.0.2.0/24", "as": "1", "country": "FR"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	a.Source.Range = ""
	if got := (&rule{by: []string{"range"}}).key(a); got != "192.0.2.1" {
		t.Errorf("without a range: %q", got)
	}
}

// TestRate: whatever comes when, no span of the rate's length sees more messages than
// the rate, and each alert is in a message or in a digest.
func TestRate(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 5))
		r := rule{rate: 1 + rng.IntN(5), per: time.Minute, threshold: rng.IntN(4), wait: time.Duration(rng.IntN(30)) * time.Second, digests: true}
		q := newQueue("x")
		now := time.Unix(1_000_000, 0)
		var sent []time.Time
		added, told := 0, 0
		for range 2000 {
			if rng.IntN(10) > 0 {
				added++
				q.add(&r, named("a", "b"), now)
			}
			if rng.IntN(3) == 0 {
				now = now.Add(time.Duration(rng.IntN(5000)) * time.Millisecond)
			}
			turn := q.next(&r, now)
			m := turn.message
			if m == nil {
				continue
			}
			if n := len(sent) - r.rate; n >= 0 && now.Sub(sent[n]) < r.per {
				t.Fatalf("seed %d: %d messages within %s", seed, r.rate+1, now.Sub(sent[n]))
			}
			sent = append(sent, now)
			ok := rng.IntN(4) > 0
			if m.digest != nil && ok {
				told += m.digest.Total
			}
			if ok {
				told += len(m.alerts)
			}
			q.done(&r, m, now, ok)
		}
		waiting, untold := q.waiting()
		if added != told+waiting+untold {
			t.Errorf("seed %d: %d alerts, %d told, %d waiting, %d untold", seed, added, told, waiting, untold)
		}
	}
}

// TestQueueBounds: in number and in bytes; what is dropped is told of when the rest is out.
func TestQueueBounds(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	r := rule{threshold: 0, digests: true}
	q := newQueue("x")
	filled := 0
	for range maxWaiting + 500 {
		if q.add(&r, named("a", "b"), now).filled {
			filled++
		}
	}
	if n, untold := q.waiting(); n != maxWaiting || untold != 500 || filled != 1 {
		t.Errorf("%d waiting, %d untold, %d times filled", n, untold, filled)
	}
	out, _ := drain(q, &r, now)
	if len(out) != maxWaiting+1 || out[maxWaiting] != "digest 500" {
		t.Errorf("%d messages, the last %q", len(out), out[len(out)-1])
	}
	big := named("a", "b")
	big.Message = strings.Repeat("x", maxBytes/10)
	kept := 0
	for range 20 {
		if q.add(&r, big, now).kept {
			kept++
		}
	}
	if kept != 9 {
		t.Errorf("%d alerts of a tenth of the bytes were kept", kept)
	}
	drain(q, &r, now)
	if q.count != 0 || q.bytes != 0 {
		t.Errorf("%d alerts and %d bytes are left in an empty queue", q.count, q.bytes)
	}
}

// TestQueueFailures: what failed is told of later, not at once, and never lost count of.
func TestQueueFailures(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	r := rule{digests: true}
	q := newQueue("x")
	q.add(&r, named("a", "b"), now)
	m := q.next(&r, now).message
	q.done(&r, m, now, false)
	turn := q.next(&r, now)
	if turn.message != nil || !turn.until.Equal(now.Add(digestRest)) {
		t.Fatalf("after a failure: %+v", turn)
	}
	now = now.Add(digestRest)
	m = q.next(&r, now).message
	if m == nil || told(m) != "digest 1" || m.digest.Dropped != 1 {
		t.Fatalf("a minute later: %+v", m)
	}
	q.add(&r, named("a", "b"), now)
	q.done(&r, m, now, false)
	out, _ := drain(q, &r, now)
	if diff := cmp.Diff([]string{"a"}, out); diff != "" {
		t.Error(diff)
	}
	out, _ = drain(q, &r, now.Add(digestRest))
	if diff := cmp.Diff([]string{"digest 1"}, out); diff != "" {
		t.Error(diff)
	}
	silent := rule{}
	q.add(&silent, named("a", "b"), now)
	q.done(&silent, q.next(&silent, now).message, now, false)
	if n, untold := q.waiting(); n+untold != 0 {
		t.Errorf("a receiver that cannot be told: %d %d", n, untold)
	}
}

// TestQueueCloses: what waits is due at once, and nothing more is taken.
func TestQueueCloses(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	r := rule{wait: time.Hour, threshold: 10}
	q := newQueue("x")
	q.add(&r, named("a", "b"), now)
	q.add(&r, named("b", "b"), now)
	q.close()
	if q.add(&r, named("c", "b"), now).kept {
		t.Error("a closed queue takes an alert")
	}
	out, _ := drain(q, &r, now)
	if diff := cmp.Diff([]string{"a+b"}, out); diff != "" {
		t.Error(diff)
	}
	if turn := q.next(&r, now); !turn.end {
		t.Errorf("a closed, empty queue: %+v", turn)
	}
}
