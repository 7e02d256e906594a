package scenarios_test

import (
	"testing"
	"time"

	"github.com/rampart-edge/rampart/scenarios"
)

// TestClear: what a node counted by itself gives way; what only it can count, and
// what keeps alerts quiet, stays.
func TestClear(t *testing.T) {
	var got []*scenarios.Overflow
	m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: func(o *scenarios.Overflow) { got = append(got, o) }})
	shared, own := leaky(t, "shared", "capacity: 2\nleakspeed: 1h\nblackhole: 1h\n"), leaky(t, "own", "capacity: 2\nleakspeed: 1h\n")
	at := start
	pour := func(s *scenarios.Scenario, key, lane string, replay bool) int {
		at = at.Add(time.Second)
		before := len(got)
		m.Pour([]scenarios.Drop{{Scenario: s, Key: key, At: at, Lane: lane, Replay: replay, Event: request("200")}})
		return len(got) - before
	}
	for range 3 {
		pour(shared, "dark", "", false) // a blackhole is all that is left
	}
	pour(shared, "dark", "", false)
	for range 2 {
		pour(shared, "a", "", false)
		pour(shared, "b", "lane", false)
		pour(shared, "c", "", true)
		pour(own, "d", "", false)
	}
	if n := m.Clear(func(s *scenarios.Scenario) bool { return s == own }); n != 2 || len(got) != 1 {
		t.Errorf("%d buckets ended with %d overflows, want 2 and the one before", n, len(got))
	}
	for _, c := range []struct {
		s         *scenarios.Scenario
		key, lane string
		replay    bool
		want      int
	}{{shared, "a", "", false, 0}, {shared, "b", "lane", false, 1}, {shared, "c", "", true, 1}, {own, "d", "", false, 1}} {
		if n := pour(c.s, c.key, c.lane, c.replay); n != c.want {
			t.Errorf("the third pour into %s: %d overflows, want %d", c.key, n, c.want)
		}
	}
	before := m.Stats().Blackholed
	for range 3 {
		pour(shared, "dark", "", false)
	}
	if n := m.Stats().Blackholed; n != before+1 {
		t.Error("the blackhole is gone")
	}
	if n := m.Clear(func(*scenarios.Scenario) bool { return false }); n != 1 { // a
		t.Errorf("%d buckets ended", n)
	}
}

// TestRemoteDrop makes pours drops again: a Memory gives for these what it gives for
// those that were poured.
func TestRemoteDrop(t *testing.T) {
	r := scenarios.NewRemote(scenarios.RemoteOptions{Secret: make([]byte, 16)})
	s := leaky(t, "a", "capacity: 2\nleakspeed: 1h\ndistinct: evt.Meta.http_status\n")
	var drops, again []scenarios.Drop
	for i, status := range []string{"200", "404", "200", "403"} {
		ev := request(status)
		ev.From.Site, ev.From.Incident, ev.From.Direct = "shop", "abc", true
		ev.Enriched = map[string]string{"IsoCode": "DE", "ASNumber": "64500", "Latitude": "52.5", "Longitude": "13.4"}
		drops = append(drops, scenarios.Drop{Scenario: s, Key: "203.0.113.77", At: start.Add(time.Duration(i) * time.Second), Count: 1, Distinct: status, Event: ev})
	}
	r.Each(drops, func(p *scenarios.Pour) { again = append(again, r.Drop(p)) })
	play := func(list []scenarios.Drop) *scenarios.Overflow {
		m := scenarios.NewMemory(scenarios.MemoryOptions{})
		out := m.Inline(list)
		if len(out) != 1 {
			t.Fatalf("%d overflows", len(out))
		}
		return out[0]
	}
	a, b := play(drops), play(again)
	if a.Count != b.Count || !a.At.Equal(b.At) || !a.First.Equal(b.First) || a.Site != b.Site || a.Incident != b.Incident || a.Direct != b.Direct {
		t.Errorf("got %+v, want %+v", b, a)
	}
	for i := range a.Samples {
		x, y := a.Samples[i], b.Samples[i]
		if x.Source != y.Source || x.Timestamp != y.Timestamp || x.Meta.Get("http_status") != y.Meta.Get("http_status") || !y.OK {
			t.Errorf("sample %d: got %+v, want %+v", i, y, x)
		}
	}
}
