package scenarios_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/scenarios"
)

const common = "a secret that all nodes know"

func newRemote(secret string) *scenarios.Remote {
	return scenarios.NewRemote(scenarios.RemoteOptions{Secret: []byte(secret)})
}

// copied returns the Pours of a batch, with copies of their slices.
func copied(r *scenarios.Remote, batch ...scenarios.Drop) (out []scenarios.Pour) {
	r.Each(batch, func(p *scenarios.Pour) {
		c := *p
		c.Source, c.Sample, c.Record = slices.Clone(p.Source), slices.Clone(p.Sample), slices.Clone(p.Record)
		out = append(out, c)
	})
	return out
}

// TestRemoteEach says what a keeper is told of a drop.
func TestRemoteEach(t *testing.T) {
	list := compileAll(t, "type: leaky\nname: a\nfilter: '1 == 1'\ngroupby: evt.Meta.source_ip\ncapacity: 5\nleakspeed: 10s\ndistinct: evt.Meta.id\n",
		"type: trigger\nname: b\nfilter: '1 == 1'\ndistinct: evt.Meta.id\ncancel_on: '1 == 1'\n",
		"type: conditional\nname: c\nfilter: '1 == 1'\ncapacity: -1\nleakspeed: 10s\ncondition: len(queue.Queue) > 3\n")
	batch := make([]scenarios.Drop, 3)
	for i, s := range list {
		batch[i] = bucketstest.Drop(s, "192.0.2.1", 1, start.Add(1999*time.Nanosecond), false)
		batch[i].Event, batch[i].Distinct, batch[i].Cancel = batch[0].Event, "v", i == 1
	}
	batch[2].Count = 7
	batch[0].Event.From = event.Provenance{Direct: true, Site: "example.com", Incident: "INC", Depth: 2, Width64: true}
	a, b := copied(newRemote(common), batch...), copied(newRemote(common), batch...)
	// The order of Meta in a sample is not fixed.
	same := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Sample" }, cmp.Comparer(func(a, b []byte) bool { return len(a) == len(b) }))
	if d := cmp.Diff(a, b, same, cmp.Comparer(func(a, b *scenarios.Scenario) bool { return a == b })); d != "" {
		t.Errorf("two nodes see the same differently:\n%s", d)
	}
	p := a[0]
	if p.Key == a[2].Key || p.Group != "192.0.2.1" || p.At != start.UnixMicro()+1 || p.Count != 1 || a[2].Count != 7 || !p.Direct || p.Detect ||
		p.Site != "example.com" || p.Incident != "INC" || p.Depth != 2 || !p.Width64 || !p.Compare || p.Distinct == 0 || p.Record != nil || len(p.Sample) < 40 {
		t.Errorf("got %+v", p)
	}
	if a[1].Compare || a[1].Cancel {
		t.Errorf("a trigger asks neither: %+v", a[1])
	}
	if len(a[2].Record) == 0 || a[2].Whole {
		t.Errorf("a condition: %+v", a[2])
	}
	if d := cmp.Diff(a[0].Sample, a[2].Sample); d != "" {
		t.Errorf("samples of one event differ:\n%s", d)
	}
	for _, other := range []*scenarios.Remote{newRemote("another secret of enough bytes"), newRemote("short"), newRemote("")} {
		if q := copied(other, batch...)[0]; q.Key == p.Key || q.Distinct == p.Distinct {
			t.Error("the names do not depend on the secret")
		}
	}
	if copied(newRemote("short"), batch...)[0].Key == copied(newRemote("short"), batch...)[0].Key {
		t.Error("a short secret was used")
	}
}

// TestRemoteWhole: what no record can say goes to a Memory.
func TestRemoteWhole(t *testing.T) {
	conditional := "type: conditional\nname: a\nfilter: '1 == 1'\ncapacity: -1\nleakspeed: 10s\ncondition: "
	for condition, shareable := range map[string]bool{
		"len(queue.Queue) > 3": true, "evt.Meta.x == 'a'": true, "any(queue.Queue, {.Parsed.p == 'a' && .Time.Hour() > 3})": true,
		"leaky.Total_count > 3": false, "any(queue.Queue, {.Unmarshaled.u == 'a'})": false, "evt.Unmarshaled.u == 'a'": false,
	} {
		s := compileAll(t, conditional+"\""+condition+"\"\n")[0]
		if s.Shareable() != shareable {
			t.Errorf("%s: shareable %v, want %v", condition, s.Shareable(), shareable)
		}
		d := bucketstest.Drop(s, "192.0.2.1", 1, start, false)
		if got := copied(newRemote(common), d)[0].Whole; got == shareable {
			t.Errorf("%s: whole %v", condition, got)
		}
		d.Event.Type = event.OverflowType
		if p := copied(newRemote(common), d)[0]; !p.Whole || p.Record != nil {
			t.Errorf("%s: an overflow: %+v", condition, p)
		}
	}
	d := bucketstest.Drop(leaky(t, "a", "capacity: 2\nleakspeed: 1s\n"), "192.0.2.1", 1, start, false)
	d.Event.Type = event.OverflowType
	if copied(newRemote(common), d)[0].Whole {
		t.Error("an overflow in a leaky bucket needs nothing but its sources")
	}
}

// TestRemoteConclude builds alerts from what is left of a bucket.
func TestRemoteConclude(t *testing.T) {
	s := leaky(t, "a", "capacity: 3\nleakspeed: 10s\n")
	d := bucketstest.Drop(s, "192.0.2.1", 1, start, false)
	d.Event.Enriched = map[string]string{"ASNNumber": "64500", "ASNOrg": strings.Repeat("long name ", 30), "IsoCode": "DE"}
	r := newRemote(common)
	p := copied(r, d)[0]
	if n := len(p.Source); n == 0 || n > 96 {
		t.Fatalf("source of %d bytes", n)
	}
	foreign := d
	foreign.Scenario = compileAll(t, "type: leaky\nname: a\nfilter: '1 == 1'\ncapacity: 3\nleakspeed: 10s\nscope: {type: user, expression: evt.Meta.id}\n")[0]
	other := copied(r, foreign)[0]
	base := scenarios.Spill{ID: "x", Scenario: s, Group: "192.0.2.1", First: start.UnixMicro(), Last: start.UnixMicro() + 5, At: start.UnixMicro() + 5, Count: 4, Source: p.Source}
	alert := func(sp scenarios.Spill) (*event.Alert, error) {
		ev, err := r.Conclude(&sp).Event()
		if err != nil {
			return nil, err
		}
		return ev.Overflow.Alert, nil
	}
	full, spare, damaged, scope := base, base, base, base
	full.Samples = [][]byte{p.Sample, p.Sample}
	damaged.Samples = [][]byte{p.Sample[:len(p.Sample)/2], nil, {1, 2, 3}}
	scope.Samples = [][]byte{other.Sample} // a source that no event of s can have
	var uuids []string
	for name, sp := range map[string]scenarios.Spill{"samples": full, "no samples": spare, "damaged samples": damaged, "foreign samples": scope} {
		a, err := alert(sp)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if a.Source.Value != "192.0.2.1" || a.Source.Scope != "Ip" || a.Source.IP != "192.0.2.1" || a.Source.Cn != "DE" || a.EventsCount != 4 {
			t.Errorf("%s: %+v of %+v", name, a.Source, a)
		}
		if long := a.Source.AsName != ""; long != (name == "samples") {
			t.Errorf("%s: name %q", name, a.Source.AsName)
		}
		uuids = append(uuids, a.UUID)
	}
	if uuids = slices.Compact(uuids); len(uuids) != 1 || len(uuids[0]) != 36 || uuids[0][14] != '5' {
		t.Errorf("one overflow has alerts %v", uuids)
	}
	base.ID = "y"
	if a, _ := alert(base); a.UUID == uuids[0] {
		t.Error("two overflows have the same alert")
	}
	base.Source, base.Sourceless = nil, errors.New("why")
	if _, err := alert(base); !errors.Is(err, scenarios.ErrNoSource) || !errors.Is(err, base.Sourceless) {
		t.Errorf("no source at all: %v", err)
	}
}

// TestRemoteAllocations: preparing drops allocates nothing.
func TestRemoteAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	list := compileAll(t, "type: leaky\nname: a\nfilter: '1 == 1'\ncapacity: 5\nleakspeed: 10s\ndistinct: evt.Meta.id\n",
		"type: conditional\nname: c\nfilter: '1 == 1'\ncapacity: -1\nleakspeed: 10s\ncondition: \"any(queue.Queue, {.Meta.log_type == 'x'})\"\n")
	batch := []scenarios.Drop{
		{Scenario: list[0], Key: "203.0.113.77", At: start, Distinct: "a", Event: request("200")}, {Scenario: list[1], Key: "203.0.113.77", At: start},
	}
	batch[1].Event = batch[0].Event
	r, bytes := newRemote(common), 0
	each := func() { r.Each(batch, func(p *scenarios.Pour) { bytes += len(p.Sample) + len(p.Record) }) }
	if n := testing.AllocsPerRun(1000, each); n > 0.5 {
		t.Errorf("%v allocations for two pours, want 0", n)
	}
}

// BenchmarkEach prepares one event for four buckets.
func BenchmarkEach(b *testing.B) {
	var batch []scenarios.Drop
	ev := request("200")
	for _, name := range []string{"a", "b", "c", "d"} {
		batch = append(batch, scenarios.Drop{Scenario: leaky(b, name, "capacity: 40\nleakspeed: 500ms\n"), Key: "203.0.113.77", At: start, Event: ev})
	}
	r, bytes := newRemote(common), 0
	b.ReportAllocs()
	for b.Loop() {
		r.Each(batch, func(p *scenarios.Pour) { bytes += len(p.Sample) })
	}
}

// TestRemoteFailures counts conditions and filters that fail, and forgets those of
// scenarios that are gone.
func TestRemoteFailures(t *testing.T) {
	s := compileAll(t, "type: conditional\nname: c\nfilter: '1 == 1'\ncapacity: -1\nleakspeed: 10s\ncondition: queue.Queue[5].Meta.x == 'a'\noverflow_filter: queue.Queue[7].Meta.x == 'a'\n")[0]
	r := newRemote(common)
	p := copied(r, bucketstest.Drop(s, "192.0.2.1", 1, start, false))[0]
	for range 3 {
		if full, _ := r.Judge(s, p.Group, p.At, p.At, 1, 0, [][]byte{p.Record}); full {
			t.Error("what fails overflows nothing")
		}
	}
	if !r.Passes(r.Conclude(&scenarios.Spill{ID: "x", Scenario: s, Count: 1})) {
		t.Error("a filter that fails lets pass")
	}
	if f := r.Failures(); len(f) != 1 || f[0].Scenario != s || f[0].Count != 4 || f[0].Last == nil {
		t.Errorf("failures %+v", f)
	}
	r.Use(scenarios.NewRules([]*scenarios.Scenario{s}))
	if len(r.Failures()) != 1 {
		t.Error("failures of what is still there are gone")
	}
	if r.Use(scenarios.NewRules(nil)); len(r.Failures()) != 0 {
		t.Error("failures of what is gone stay")
	}
}

// FuzzRemote reads what other nodes sent: any bytes make an alert that can be written,
// or none.
func FuzzRemote(f *testing.F) {
	list := compileAll(f, "type: leaky\nname: a\nfilter: '1 == 1'\ncapacity: 5\nleakspeed: 10s\n",
		"type: leaky\nname: b\nfilter: '1 == 1'\ncapacity: 5\nleakspeed: 10s\nscope: {type: user, expression: evt.Meta.id}\n",
		"type: conditional\nname: c\nfilter: '1 == 1'\ncapacity: -1\nleakspeed: 10s\ncondition: \"any(queue.Queue, {.Meta.x == 'x' || .Parsed.p startsWith 'q'}) || evt.Time.Hour() > 20 || sum(map(queue.Queue, {len(.Meta.x)})) > 5\"\n",
		"type: bayesian\nname: d\nfilter: '1 == 1'\ncapacity: -1\nleakspeed: 10s\nbayesian_prior: 0.5\nbayesian_threshold: 0.9\nbayesian_conditions: [{condition: \"any(queue.Queue, {.Meta.x == 'x'})\", prob_given_evil: 0.9, prob_given_benign: 0.1, guillotine: true}]\n")
	r := newRemote(common)
	for _, s := range list {
		d := bucketstest.Drop(s, "192.0.2.1", 1, start, false)
		d.Event.Enriched = map[string]string{"Latitude": "1.5", "Longitude": "2", "ASNNumber": "1", "ASNOrg": "x", "IsoCode": "DE"}
		p := copied(r, d)[0]
		f.Add(p.Sample, p.Source, p.Record, start.UnixMicro(), 3, uint64(0))
	}
	f.Add([]byte{}, []byte{255, 255}, []byte{0}, int64(-1)<<63, -1, ^uint64(0))
	f.Fuzz(func(t *testing.T, sample, source, record []byte, at int64, n int, tripped uint64) {
		for _, s := range list {
			full, now := r.Judge(s, "k", at, at, n, tripped, [][]byte{record, record, sample, record})
			if full && !s.Judged() || now&tripped != tripped {
				t.Errorf("%s: overflows %v, tripped %b after %b", s.Name, full, now, tripped)
			}
			o := r.Conclude(&scenarios.Spill{ID: "x", Scenario: s, First: at, Last: at, At: -at, Count: n, Depth: n, Samples: [][]byte{sample, source, record}, Source: source})
			r.Passes(o)
			ev, err := o.Event()
			if err != nil {
				continue
			}
			for _, a := range ev.Overflow.APIAlerts {
				if _, err := json.Marshal(a); err != nil {
					t.Errorf("%s: %v", s.Name, err)
				}
				if a.Source.Scope != s.Scope || a.EventsCount < 1 || o.Depth < 0 {
					t.Errorf("%s: alert %+v", s.Name, a)
				}
			}
		}
	})
}
