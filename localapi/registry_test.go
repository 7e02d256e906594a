package localapi

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/store"
)

func TestRegistryNames(t *testing.T) {
	d := newDesk(t)
	_, err := d.registry.AddBouncer("b", "k")
	d.must(err)
	d.must(d.registry.AddMachine("m", "pw", false))
	for name, c := range map[string]struct {
		do   func() error
		want error
	}{
		"bouncer again":          {func() error { _, err := d.registry.AddBouncer("b", ""); return err }, ErrExists},
		"the same key":           {func() error { _, err := d.registry.AddBouncer("b2", "k"); return err }, ErrExists},
		"bouncer without name":   {func() error { _, err := d.registry.AddBouncer("", ""); return err }, ErrName},
		"odd bouncer":            {func() error { _, err := d.registry.AddBouncer("a\x00b", ""); return err }, ErrName},
		"not text":               {func() error { _, err := d.registry.AddBouncer("\xff", ""); return err }, ErrName},
		"long bouncer":           {func() error { _, err := d.registry.AddBouncer(strings.Repeat("x", 257), ""); return err }, ErrName},
		"no bouncer":             {func() error { return d.registry.DeleteBouncer("x") }, ErrUnknown},
		"machine again":          {func() error { return d.registry.AddMachine("m", "pw", false) }, ErrExists},
		"machine without name":   {func() error { return d.registry.AddMachine("", "pw", false) }, ErrName},
		"machine, no password":   {func() error { return d.registry.AddMachine("m2", "", false) }, ErrPassword},
		"machine, long one":      {func() error { return d.registry.AddMachine("m2", strings.Repeat("x", 73), false) }, ErrPassword},
		"no machine":             {func() error { return d.registry.DeleteMachine("x") }, ErrUnknown},
		"no machine to validate": {func() error { return d.registry.ValidateMachine("x") }, ErrUnknown},
	} {
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if len(d.registry.Bouncers()) != 1 || len(d.registry.Machines()) != 1 {
		t.Error("something was made all the same")
	}
}

// TestRegistryRestart: everything is there again, after a clean end and, but for the
// figures of the last seconds, after none.
func TestRegistryRestart(t *testing.T) {
	d := newDesk(t)
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	_, r := d.seen()
	d.with(r)
	for i := range 20 {
		d.clock.Advance(time.Second)
		d.do("GET", "/t", "", key(k), userAgent(fmt.Sprintf("ua%02d/v1", i))).want(t, 200, "")
		d.registry.Pulled("fw", fmt.Sprintf("ua%02d", i), Cursor{Epoch: "e", Journal: int64(i), Lists: 7, At: d.clock.Now()})
	}
	d.must(d.registry.AddMachine("m", "pw", false))
	tok := d.login("m", "pw")
	d.registry.pushed("m")
	d.do("POST", "/v1/watchers", body("waits", "pw", "")).want(t, 201, "")
	bouncers, machines := d.registry.Bouncers(), d.registry.Machines()
	if n := len(bouncers[0].Cursors); n != maxCursors || bouncers[0].Cursors["ua04"].Journal != 4 {
		t.Errorf("%d cursors: %v", n, bouncers[0].Cursors)
	}
	d.restart()
	if diff := cmp.Diff(bouncers, d.registry.Bouncers()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(machines, d.registry.Machines()); diff != "" {
		t.Error(diff)
	}
	d.do("GET", "/v1/heartbeat", "", token(tok)).want(t, 200, "")

	again, err := OpenRegistry(NewStore(d.db), d.clock.Now, zap.NewNop()) // as after a crash: nobody closed the first
	d.must(err)
	defer func() { d.must(again.Close()) }()
	if diff := cmp.Diff(bouncers, again.Bouncers()); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedRows(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, table := range []string{tableBouncers, tableMachines, tablePulls, tablePushes, tableUsage} {
		for _, key := range []string{"junk", "bouncer/good", "good"} {
			if err := db.Put(table, key, []byte("{junk")); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := bouncerRow{Bouncer{Name: "good", KeyHash: hashKey("k"), Auth: AuthKey}}
	if err := db.Put(tableBouncers, "good", b.encode()); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRegistry(NewStore(db), time.Now, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Bouncers(); len(got) != 1 || got[0].Name != "good" {
		t.Errorf("%+v", got)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestPrune(t *testing.T) {
	d := newDesk(t)
	_, r := d.seen()
	d.with(r)
	idle, err := d.registry.AddBouncer("idle", "")
	d.must(err)
	shared, err := d.registry.AddBouncer("shared", "")
	d.must(err)
	d.must(d.registry.putBouncer(Bouncer{Name: "cert@10.0.0.1", Base: "cert", Auth: AuthTLS, Created: d.clock.Now()}))
	d.do("GET", "/t", "", key(idle), from("10.0.0.1:1")).want(t, 200, "")
	d.do("GET", "/t", "", key(shared), from("10.0.0.1:1")).want(t, 200, "")
	d.do("GET", "/t", "", key(shared), from("10.0.0.2:1")).want(t, 200, "")
	d.must(d.registry.AddMachine("m", "pw", false))
	d.must(d.registry.AddMachine("busy", "pw", false))
	d.must(d.registry.putMachine(Machine{Name: "cert@10.0.0.1", Auth: AuthTLS, Validated: true, Created: d.clock.Now()}, false))
	d.do("POST", "/v1/watchers", body("waits", "pw", "")).want(t, 201, "")
	d.clock.Advance(time.Hour)
	d.registry.expire() // off by default
	if n := len(d.registry.Bouncers()) + len(d.registry.Machines()); n != 8 {
		t.Fatalf("%d rows", n)
	}
	d.registry.Pulled("shared@10.0.0.2", "test", Cursor{})
	d.registry.pushed("busy")
	d.server.Use(Config{Idle: Idle{BouncerKey: 30 * time.Minute, MachinePassword: 30 * time.Minute, MachineCert: 2 * time.Hour, Unvalidated: time.Minute}})
	d.registry.expire()
	if got := d.bouncers(); got != "cert@10.0.0.1 shared shared@10.0.0.2" {
		t.Errorf("bouncers left: %s", got)
	}
	var machines []string
	for _, m := range d.registry.Machines() {
		machines = append(machines, m.Name)
	}
	if fmt.Sprint(machines) != "[busy cert@10.0.0.1]" {
		t.Errorf("machines left: %v", machines)
	}
	d.clock.Advance(time.Hour)
	if got := d.registry.PruneBouncers(d.clock.Now()); fmt.Sprint(got) != "[cert@10.0.0.1 shared shared@10.0.0.2]" {
		t.Errorf("pruned: %v", got)
	}
	if got := d.registry.PruneMachines(d.clock.Now(), true); len(got) != 0 {
		t.Errorf("pruned: %v", got)
	}
	if got := d.registry.PruneMachines(d.clock.Now(), false); len(got) != 2 {
		t.Errorf("pruned: %v", got)
	}
}

func TestStoreFails(t *testing.T) {
	s := &shelf{tables: map[string]map[string][]byte{}}
	clock := testkit.NewClock(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
	r, err := OpenRegistry(s.place(), clock.Now, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	k, err := r.AddBouncer("fw", "")
	if err != nil {
		t.Fatal(err)
	}
	s.err = errors.New("disk full")
	if _, err := r.AddBouncer("b", ""); !errors.Is(err, s.err) || len(r.Bouncers()) != 1 {
		t.Errorf("a row that is not on disk: %v", err)
	}
	if err := r.DeleteBouncer("fw"); !errors.Is(err, s.err) || len(r.Bouncers()) != 1 {
		t.Errorf("a deletion that is not on disk: %v", err)
	}
	if _, err := r.openKey(hashKey(k), netip.MustParseAddr("10.0.0.1"), agent{"a", "b"}, false); err != nil {
		t.Errorf("a bouncer is refused because figures cannot be written: %v", err)
	}
	r.Pulled("fw", "a", Cursor{Journal: 1})
	if err := r.writeDirty(); !errors.Is(err, s.err) {
		t.Errorf("writing: %v", err)
	}
	s.err = nil
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(s.tables[tablePulls]["fw"]), `"journal":1`) {
		t.Error("what could not be written was forgotten")
	}
}

// TestFiguresAreWrittenSeldom: calls cost no writes of their own.
func TestFiguresAreWrittenSeldom(t *testing.T) {
	s := &shelf{tables: map[string]map[string][]byte{}}
	r, err := OpenRegistry(s.place(), time.Now, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddBouncer("fw", "k"); err != nil {
		t.Fatal(err)
	}
	before := s.puts
	for i := range 10_000 {
		if _, err := r.openKey(hashKey("k"), netip.MustParseAddr("10.0.0.1"), agent{"a", fmt.Sprint(i)}, false); err != nil {
			t.Fatal(err)
		}
		r.Pulled("fw", "a", Cursor{Journal: int64(i + 1)})
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n := s.puts - before; n > 100 {
		t.Errorf("%d writes for 10,000 calls", n)
	}
}

func TestRegistryIsShared(t *testing.T) {
	d := newDesk(t)
	_, r := d.seen()
	d.with(route{r.method, r.pattern, r.who, 0, func(c *call) error { return c.empty(200) }})
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	d.must(d.registry.AddMachine("m", "pw", false))
	d.login("m", "pw")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 12 {
				name := fmt.Sprintf("b%d-%d", i, j)
				if _, err := d.registry.AddBouncer(name, ""); err != nil {
					t.Error(err)
				}
				addr := fmt.Sprintf("10.0.%d.%d:1", i, j)
				if a := d.do("GET", "/t", "", key(k), from(addr)); a.status != 200 {
					t.Errorf("%d %s", a.status, a.body)
				}
				d.registry.Pulled("fw", fmt.Sprint("ua", j), Cursor{At: d.clock.Now(), Journal: int64(j)})
				d.do("POST", "/v1/usage-metrics", firewallReport, key(k), from(addr)).want(t, 201, "")
				d.login("m", "pw", from(addr))
				_, _, _ = d.registry.Bouncers(), d.registry.Usage(), d.server.Stats()
				if j%10 == 0 {
					d.must(d.registry.writeDirty())
					d.server.Use(Config{})
				}
				if err := d.registry.DeleteBouncer(name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(d.registry.Bouncers()); n != 8*12 { // the first address is that of the row itself
		t.Errorf("%d rows", n)
	}
}

// TestManyAddressesAtOnce: a call whose row had to give way at once is served all the
// same, since bouncers take a 403 for final.
func TestManyAddressesAtOnce(t *testing.T) {
	s := &shelf{tables: map[string]map[string][]byte{}}
	r, err := OpenRegistry(s.place(), func() time.Time { return time.Time{} }, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddBouncer("fw", "k"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				if _, err := r.openKey(hashKey("k"), netip.AddrFrom4([4]byte{10, 0, byte(i), byte(j)}), agent{}, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(r.Bouncers()); n != maxFurther+1 {
		t.Errorf("%d rows", n)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
