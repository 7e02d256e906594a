package localapi

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// shelf is a Store that a test shares between registries, as a fleet does: what one
// writes the others hear of, later or never. It can fail.
type shelf struct {
	mu     sync.Mutex
	tables map[string]map[string][]byte
	ears   []func(table, key string, value []byte)
	err    error
	puts   int
}

type place struct {
	*shelf
	at int
}

func (s *shelf) place() place {
	s.ears = append(s.ears, nil)
	return place{s, len(s.ears) - 1}
}

func (p place) Each(table string, fn func(string, []byte) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, v := range p.tables[table] {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (p place) Put(table, key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return p.change(table, key, value)
}

func (p place) Delete(table, key string) error { return p.change(table, key, nil) }

func (p place) change(table, key string, value []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	p.puts++
	if p.tables[table] == nil {
		p.tables[table] = map[string][]byte{}
	}
	if p.tables[table][key] = value; value == nil {
		delete(p.tables[table], key)
	}
	for i, ear := range p.ears {
		if i != p.at && ear != nil {
			ear(table, key, slices.Clone(value))
		}
	}
	return nil
}

func (p place) Watch(fn func(table, key string, value []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ears[p.at] = fn
}

func TestRegistryOfAFleet(t *testing.T) {
	s := &shelf{tables: map[string]map[string][]byte{}}
	clock := testkit.NewClock(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
	open := func() *Registry {
		r, err := OpenRegistry(s.place(), clock.Now, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		return r
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	a, b := open(), open()
	k, err := a.AddBouncer("fw", "")
	must(err)
	must(a.AddMachine("m", "pw", false))
	clock.Advance(time.Second)
	addr := netip.MustParseAddr("10.0.0.1")
	if _, err := b.openKey(hashKey(k), addr, agent{"fw", "v1"}, false); err != nil {
		t.Fatal("a key made on one node does not open on the other:", err)
	}
	a.Pulled("fw", "fw", Cursor{Epoch: "a", Journal: 1, At: clock.Now()})
	clock.Advance(time.Second)
	b.Pulled("fw", "fw", Cursor{Epoch: "b", Journal: 2, At: clock.Now()})
	b.Pulled("fw", "other", Cursor{Epoch: "b", Journal: 3, At: clock.Now()})
	must(b.writeDirty())
	must(a.writeDirty()) // older, and later: it must not take the newer cursor away
	for name, r := range map[string]*Registry{"a": a, "b": b} {
		row := r.Bouncers()[0]
		if row.Cursors["fw"].Epoch != "b" || row.Cursors["other"].Journal != 3 || row.Type != "fw" || row.IP != "10.0.0.1" {
			t.Errorf("node %s: %+v", name, row)
		}
	}
	b.pushed("m")
	must(a.DeleteMachine("m"))
	must(a.DeleteBouncer("fw"))
	must(b.writeDirty()) // figures that come late bring no row back
	c := open()
	for name, r := range map[string]*Registry{"a": a, "b": b, "c": c} {
		if n := len(r.Bouncers()) + len(r.Machines()); n != 0 {
			t.Errorf("node %s: %d rows came back", name, n)
		}
		if _, err := r.openKey(hashKey(k), addr, agent{}, false); err == nil {
			t.Errorf("node %s: the key of a deleted row opens", name)
		}
	}
	clock.Advance(time.Second)
	if _, err := a.AddBouncer("fw", ""); err != nil { // a new row has no cursors of the old one
		t.Fatal(err)
	}
	d := open()
	if row := d.Bouncers()[0]; len(row.Cursors) != 0 {
		t.Errorf("%+v", row)
	}
}

// TestChangesWhileOpening: what another node changes while the tables are read is not
// lost, and not undone by what was read before.
func TestChangesWhileOpening(t *testing.T) {
	s := &shelf{tables: map[string]map[string][]byte{}}
	for _, name := range []string{"gone", "kept"} {
		b := bouncerRow{Bouncer{Name: name, KeyHash: hashKey(name), Auth: AuthKey}}
		if err := s.place().Put(tableBouncers, name, b.encode()); err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenRegistry(&meddled{place: s.place()}, time.Now, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if bs := r.Bouncers(); len(bs) != 1 || bs[0].Name != "kept" {
		t.Errorf("%+v", bs)
	}
}

// meddled tells of a deletion before the row that was deleted is read.
type meddled struct {
	place
	tell func(table, key string, value []byte)
}

func (m *meddled) Watch(fn func(table, key string, value []byte)) { m.tell = fn }

func (m *meddled) Each(table string, fn func(string, []byte) error) error {
	if m.tell != nil && table == tableBouncers {
		m.tell(table, "gone", nil)
	}
	return m.place.Each(table, fn)
}

// FuzzTake: whatever others write into the tables of a fleet, the registry lives and
// can write down what it took.
func FuzzTake(f *testing.F) {
	f.Add(uint8(0), "fw", []byte(`{"key_hash":"x","auth":"api-key","base":"b","created":"2026-11-24T12:00:00Z"}`))
	f.Add(uint8(1), "fw", []byte(`{"row":"2026-11-24T12:00:00Z","cursors":{"a":{"at":"2026-11-24T12:00:00Z"}}}`))
	f.Add(uint8(2), "m", []byte(`{"auth":"password","validated":true}`))
	f.Add(uint8(4), "bouncer/fw", []byte(`{"element":{},"totals":[{"name":"a"},null]}`))
	d := fuzzDesk(f)
	if _, err := d.registry.AddBouncer("fw", "k"); err != nil {
		f.Fatal(err)
	}
	tables := []string{tableBouncers, tablePulls, tableMachines, tablePushes, tableUsage, "other"}
	f.Fuzz(func(t *testing.T, table uint8, key string, value []byte) {
		d := d.on(t)
		d.registry.take(tables[int(table)%len(tables)], key, value)
		d.registry.soil(tablePulls, map[string][]byte{key: nil})
		d.registry.soil(tablePushes, map[string][]byte{key: nil})
		d.registry.soil(tableUsage, map[string][]byte{key: nil})
		_, _, _ = d.registry.Bouncers(), d.registry.Machines(), d.registry.Usage()
		_, _ = d.registry.openKey(hashKey("k"), netip.MustParseAddr("10.0.0.1"), agent{"a", "b"}, false)
		d.must(d.registry.writeDirty())
	})
}
