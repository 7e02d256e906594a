package scenarios_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/scenarios"
)

func count(t testing.TB, name, rest string) *scenarios.Scenario {
	t.Helper()
	return compileAll(t, "type: counter\nname: "+name+"\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: -1\n"+rest)[0]
}

// clocked is a Memory whose clock a test sets.
type clocked struct {
	*scenarios.Memory
	now  time.Time
	seen []string // key, count and end of each overflow, in seconds after start
}

func newClocked(o scenarios.MemoryOptions) *clocked {
	c := &clocked{now: start}
	o.Now = func() time.Time { return c.now }
	o.Overflow = func(o *scenarios.Overflow) {
		c.seen = append(c.seen, fmt.Sprint(o.Key, " ", o.Count, " ", o.At.Sub(start).Seconds()))
	}
	c.Memory = scenarios.NewMemory(o)
	return c
}

func (c *clocked) at(s float64) time.Time { return start.Add(time.Duration(s * 1e9)) }

func (c *clocked) sweep(s float64) {
	c.now = c.at(s)
	c.Sweep(c.now)
}

func (c *clocked) expect(t *testing.T, what string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, c.seen); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
	c.seen = nil
}

// TestTimerSweep: one sweep finds all that is over, in order, and nothing else.
func TestTimerSweep(t *testing.T) {
	s := count(t, "a", "duration: 10s\n")
	c := newClocked(scenarios.MemoryOptions{})
	for i := range 300 {
		c.now = c.at(float64(i) / 100)
		c.Pour([]scenarios.Drop{{Scenario: s, Key: fmt.Sprint("k", i), At: c.now, Event: &event.Event{}}})
	}
	c.sweep(9.9)
	c.expect(t, "before any is over")
	c.sweep(10.02)
	c.expect(t, "three are over", "k0 1 10", "k1 1 10.01", "k2 1 10.02")
	c.sweep(60)
	if len(c.seen) != 297 || c.seen[0] != "k3 1 10.03" || c.seen[296] != "k299 1 12.99" {
		t.Errorf("%d, from %q", len(c.seen), c.seen[:1])
	}
	if st := c.Stats(); st.Timed != 300 || st.Overflowed != 300 || st.Buckets != 0 || st.Bytes != 0 && st.Bytes != st.SampleBytes {
		t.Errorf("stats %+v", st)
	}
}

// TestTimerClocks: buckets on a log's clock wait for what the log may still say.
func TestTimerClocks(t *testing.T) {
	s := count(t, "a", "duration: 10s\n")
	c := newClocked(scenarios.MemoryOptions{})
	pour := func(key string, at float64, replay bool) {
		c.Pour([]scenarios.Drop{{Scenario: s, Key: key, At: c.at(at), Replay: replay, Event: &event.Event{}}})
	}
	pour("live", 0, false)
	pour("late", -3600, false)
	pour("replay", -7200, true)
	c.sweep(11)
	c.expect(t, "only the live one", "live 1 10")
	c.sweep(500)
	pour("late", -3595, false)
	c.sweep(650)
	c.expect(t, "ten minutes after its last event", "replay 1 -7190")
	c.sweep(1102)
	c.expect(t, "ten minutes after that", "late 2 -3590")
	// A late bucket that a live event reaches is over by that event's clock.
	pour("turned", -3600, false)
	pour("turned", 1102, false)
	c.expect(t, "the live event comes after its end", "turned 1 -3590")
	c.sweep(1112)
	c.expect(t, "and begins one that is live", "turned 1 1112")
}

// TestTimerAlert: the alert at the end of a duration has what the events had, even
// where the samples were lost meanwhile.
func TestTimerAlert(t *testing.T) {
	doc := "type: counter\nname: us/count\ndescription: d\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: -1\nduration: 90s\nlabels: {remediation: true}\n"
	for _, bytes := range []int64{1 << 20, -1} {
		list, errs := load(t, scenarios.Item{Path: "a.yaml", Version: "1.2", Data: []byte(doc)})
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		var out []*scenarios.Overflow
		now := start
		m := scenarios.NewMemory(scenarios.MemoryOptions{SampleBytes: bytes, Now: func() time.Time { return now }, Overflow: func(o *scenarios.Overflow) { out = append(out, o) }})
		r := scenarios.NewRules(list)
		for i := range 3 {
			now = start.Add(time.Duration(i) * 7 * time.Second)
			ev := from("3.3.3.3", i*7, "http_path", fmt.Sprint("/", i))
			ev.From = event.Provenance{Direct: true, Site: "example.com", Incident: "INC", At: now}
			m.Pour(r.Drops(ev, scenarios.Whole, now, nil))
		}
		m.Sweep(start.Add(90 * time.Second))
		if len(out) != 1 {
			t.Fatalf("%d overflows", len(out))
		}
		ev, err := out[0].Event()
		if err != nil {
			t.Fatal(err)
		}
		a := ev.Overflow.Alert
		kept := map[bool]int32{true: 3, false: 1}[bytes > 0]
		if a.EventsCount != 3 || a.Kept != kept || a.Source.Value != "3.3.3.3" || !a.Remediation || a.Capacity != -1 || a.Leakspeed != "0s" ||
			a.Message != "Ip 3.3.3.3 performed 'us/count' (3 events over 1m30s) at 2024-03-01 10:00:14 +0000 UTC" ||
			a.StopAt != "2024-03-01T10:01:30Z" || a.StartAt != "2024-03-01T10:00:00Z" || a.Site != "example.com" || !a.Direct || a.IncidentID != "" ||
			a.Events[len(a.Events)-1].GetMeta("http_path") != "/2" || len(ev.Overflow.Mapkey) != 40 {
			t.Errorf("samples %d: %+v", bytes, a)
		}
	}
}

// TestTimerFlush ends a replay in the order of the deadlines, in the zone of the
// last event.
func TestTimerFlush(t *testing.T) {
	s := count(t, "a", "duration: 10s\nblackhole: 1m\n")
	var stops []string
	m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) { stops = append(stops, o.Key+" "+o.At.Format(time.RFC3339)) }})
	for i, at := range []int{5, 3, 8, 3, 4, 16} {
		d := scenarios.Drop{Scenario: s, Key: string("cabdce"[i]), At: start.Add(time.Duration(at) * time.Second).In(time.FixedZone("", 3600*i)), Replay: true, Event: &event.Event{}}
		m.Pour([]scenarios.Drop{d})
	}
	m.Flush()
	m.Flush()
	if d := cmp.Diff("a 2024-03-01T11:00:13Z|d 2024-03-01T13:00:13+03:00|c 2024-03-01T14:00:15+04:00|b 2024-03-01T12:00:18+02:00|e 2024-03-01T15:00:26+05:00",
		strings.Replace(strings.Join(stops, "|"), "+01:00", "Z", 1)); d != "" {
		t.Error(d)
	}
}

// TestTimerLife: deadlines survive a restart and a reload, and go with their bucket.
func TestTimerLife(t *testing.T) {
	s, other := count(t, "a", "duration: 10s\n"), count(t, "b", "duration: 10s\n")
	rules := scenarios.NewRules([]*scenarios.Scenario{s, other})
	c := newClocked(scenarios.MemoryOptions{})
	c.Use(rules)
	for i, key := range []string{"x", "y", "x"} {
		c.now = c.at(float64(i))
		c.Pour([]scenarios.Drop{bucketstest.Drop(s, key, i, c.now, false), bucketstest.Drop(other, key, i, c.now, false)})
	}
	var b bytes.Buffer
	if err := c.Snapshot(&b); err != nil {
		t.Fatal(err)
	}
	next := newClocked(scenarios.MemoryOptions{Shards: 2})
	if kept, dropped, err := next.Restore(&b, rules); kept != 4 || dropped != 0 || err != nil {
		t.Fatalf("kept %d, dropped %d, %v", kept, dropped, err)
	}
	// b goes; a has other labels now, which its alerts are to have.
	again := compileAll(t, "type: counter\nname: a\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: -1\nduration: 10s\nlabels: {new: true}\n")[0]
	if again.Fingerprint != s.Fingerprint {
		t.Fatal("labels change the fingerprint")
	}
	next.Use(scenarios.NewRules([]*scenarios.Scenario{again}))
	next.sweep(10)
	next.expect(t, "after a restart", "x 2 10")
	next.sweep(11)
	next.expect(t, "the other one", "y 1 11")
	if st := next.Stats(); st.Replaced != 2 || st.Buckets != 0 {
		t.Errorf("stats %+v", st)
	}
}
