package bucketstest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/scenarios"
)

// Open makes empty buckets for one case, whose clock is now: that of the drops, not
// that of the wall. Every overflow goes to sink; flush returns when all pours and
// sweeps so far have had their effect, however long that takes. now and sink may be
// called from any goroutine.
type Open func(t *testing.T, now func() time.Time, sink func(*scenarios.Overflow)) (b Buckets, flush func())

// Buckets are scenarios.Buckets with what their owner calls: Sweep once a second,
// Flush at the end of a replay.
type Buckets interface {
	scenarios.Buckets
	Sweep(now time.Time)
	Flush()
}

// Run runs the suite. Configurations and Concurrent come on top, and Mixed where it
// can be.
func Run(t *testing.T, open Open) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) { c.run(t, open) })
	}
	t.Run("count", func(t *testing.T) { count(t, open) })
	t.Run("flags", func(t *testing.T) { flags(t, open) })
	t.Run("order of overflows", func(t *testing.T) { order(t, open) })
	t.Run("deadlines", func(t *testing.T) { deadlines(t, open) })
	t.Run("equal stamps", func(t *testing.T) { equal(t, open) })
	t.Run("random", func(t *testing.T) { random(t, open) })
}

// Scenario compiles one document; missing texts are filled in.
func Scenario(t testing.TB, yaml string) *scenarios.Scenario {
	t.Helper()
	return compiled(t, yaml, false)
}

// compiled makes the scenario of a document, if plain one that runs the plain way.
func compiled(t testing.TB, yaml string, plain bool) *scenarios.Scenario {
	t.Helper()
	list, err := scenarios.Load(scenarios.Item{Path: "case.yaml", Own: true, Data: []byte(yaml)}, expression.New(expression.Options{Plain: plain}))
	// A warning comes with a scenario.
	if len(list) != 1 {
		t.Fatalf("loading the case's scenario: %v", err)
	}
	return list[0]
}

// Start is the instant at which cases begin.
var Start = time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC)

// step is one event of a case: seconds after Start, and the distinct value, which
// is Meta.x as well.
type step struct {
	at       float64
	distinct string
	cancel   bool
}

func at(seconds ...float64) []step {
	var out []step
	for _, s := range seconds {
		out = append(out, step{at: s})
	}
	return out
}

func every(n int, d float64) []step {
	var out []step
	for i := range n {
		out = append(out, step{at: float64(i) * d})
	}
	return out
}

func values(list ...string) []step {
	var out []step
	for i, v := range list {
		out = append(out, step{at: float64(i) / 10, distinct: v})
	}
	return out
}

// found is an overflow that a case expects: the number of the overflowing event
// (from 0), the count, and the numbers of the samples.
type found struct {
	last, count int
	samples     []int
}

type oneCase struct {
	name   string
	yaml   string
	steps  []step
	want   []found
	replay []found // where it differs from want; nil: it does not
}

func (c *oneCase) run(t *testing.T, open Open) {
	for _, replay := range []bool{false, true} {
		t.Run(map[bool]string{false: "live", true: "replay"}[replay], func(t *testing.T) {
			want := c.want
			if replay && c.replay != nil {
				want = c.replay
			}
			s := Scenario(t, c.yaml)
			got := Play(t, open, drops(s, c.steps, replay), replay)
			model := NewModel(t, c.yaml)
			model.Pour(drops(s, c.steps, replay))
			if replay {
				model.Sweep(time.Time{})
			}
			if d := cmp.Diff(model.Seen, got); d != "" {
				t.Errorf("differs from the model (-model +got):\n%s", d)
			}
			list := []found{}
			for _, o := range got {
				f := found{count: o.Count}
				for _, id := range o.Samples {
					n := 0
					fmt.Sscan(id, &n)
					f.samples = append(f.samples, n)
					f.last = n
				}
				list = append(list, f)
			}
			if d := cmp.Diff(want, list, cmp.AllowUnexported(found{}), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("overflows (-want +got):\n%s", d)
			}
		})
	}
}

func drops(s *scenarios.Scenario, steps []step, replay bool) []scenarios.Drop {
	var out []scenarios.Drop
	for i, st := range steps {
		out = append(out, Drop(s, "192.0.2.1", i, Start.Add(time.Duration(st.at*1e9)), replay))
		out[i].Distinct, out[i].Cancel = st.distinct, st.cancel
		out[i].Event.Meta["x"] = st.distinct
	}
	return out
}

// Drop makes the drop of event number id.
func Drop(s *scenarios.Scenario, ip string, id int, at time.Time, replay bool) scenarios.Drop {
	ev := &event.Event{
		Time: at, MarshaledTime: at.Format(time.RFC3339Nano),
		Meta: map[string]string{"source_ip": ip, "id": fmt.Sprint(id), "log_type": "case"},
	}
	return scenarios.Drop{Scenario: s, Key: ip, At: at, Replay: replay, Count: 1, Event: ev}
}

// Play pours the drops in batches of changing length and returns the overflows. The
// clock stands at the instant of the drop; at the end of a replay it flushes.
func Play(t *testing.T, open Open, list []scenarios.Drop, end bool) []Seen {
	t.Helper()
	return play(t, open, list, end, false)
}

// playSteps is Play with a flush after each batch, so that whatever a batch can leave
// behind is kept and read again.
func playSteps(t *testing.T, open Open, list []scenarios.Drop) []Seen {
	t.Helper()
	return play(t, open, list, false, true)
}

func play(t *testing.T, open Open, list []scenarios.Drop, end, steps bool) []Seen {
	t.Helper()
	on := newStage(t)
	b, flush := open(t, on.now, on.sink)
	for n := 1; len(list) > 0; n = n%5 + 1 {
		n := min(n, len(list))
		on.set(list[0].At)
		b.Pour(list[:n])
		list = list[n:]
		if steps {
			flush()
		}
	}
	flush()
	if end {
		b.Flush()
		flush()
	}
	return on.list()
}

func upTo(from, to int) []int {
	var out []int
	for i := from; i <= to; i++ {
		out = append(out, i)
	}
	return out
}
