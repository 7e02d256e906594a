package appliance

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
)

func compiled(t testing.TB, c Config) *Settings {
	t.Helper()
	s, err := Compile(c, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// use is Use for what must succeed.
func use(t testing.TB, a *Appliance, s *Settings) (release func()) {
	t.Helper()
	release, err := a.Use(s)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// TestWhatCannotChange: a running node stays where it is and says what waits for
// the next start.
func TestWhatCannotChange(t *testing.T) {
	dir := t.TempDir()
	a := open(t, Config{DataDir: dir})
	if _, err := a.Use(compiled(t, Config{DataDir: t.TempDir(), Contact: "x"})); err == nil || !strings.Contains(err.Error(), "data_dir") ||
		!strings.Contains(err.Error(), dir) {
		t.Errorf("another directory: %v", err)
	}
	if _, err := a.Use(compiled(t, Config{DataDir: dir, Node: "b"})); err == nil {
		t.Error("another node's name is taken")
	}
	if a.Contact() != "" || len(a.gens) != 1 {
		t.Error("what was refused is in force")
	}
	release := use(t, a, compiled(t, Config{DataDir: dir, Limits: LimitConfig{Queue: 7}}))
	if got := a.live.Load().status().Problems; len(got) != 1 || got[0] != limitsNote {
		t.Errorf("problems %q", got)
	}
	if got := cap(a.live.Load().state.queue.visits); got != 16384 {
		t.Errorf("the queue has room for %d", got)
	}
	release()
	if got := a.live.Load().status().Problems; len(got) != 0 {
		t.Errorf("problems %q", got)
	}
}

// TestOneDirectory: two nodes cannot share one, and the second says so; once the
// first is closed it can.
func TestOneDirectory(t *testing.T) {
	dir := t.TempDir()
	first, second := New(Options{}), New(Options{})
	s := compiled(t, Config{DataDir: dir})
	use(t, first, s)
	if _, err := second.Use(compiled(t, Config{DataDir: dir})); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("the second one: %v", err)
	}
	if second.live.Load() != nil {
		t.Error("the second one is in force")
	}
	for range 2 {
		if err := first.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	use(t, second, compiled(t, Config{DataDir: dir}))
	if err := second.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	release := use(t, first, s) // a closed one can be opened again
	if v := visit(first, from("192.0.2.7"), "/", 200); v.live == nil {
		t.Error("a request passed unexamined")
	}
	release()
	if err := first.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestUnusableDirectory: each is an error that names the place, and nothing runs.
func TestUnusableDirectory(t *testing.T) {
	f := folder{t, t.TempDir()}
	file := f.write("file", "x")
	f.write("junk/default/rampart.db", strings.Repeat("junk", 10_000))
	for name, dir := range map[string]string{"none": "", "a file": file, "not ours": f.dir + "/junk"} {
		a := New(Options{})
		if _, err := a.Use(compiled(t, Config{DataDir: dir})); err == nil || dir != "" && !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
		if err := a.Close(context.Background()); err != nil || a.state != nil || a.live.Load() != nil {
			t.Errorf("%s: something runs; closing: %v", name, err)
		}
	}
}

// TestDamagedState: damaged buckets or positions cost no more than themselves, and
// status or log say so.
func TestDamagedState(t *testing.T) {
	dir := t.TempDir()
	c := Config{DataDir: dir}
	a := New(Options{})
	use(t, a, compiled(t, c))
	scan(t, a, "192.0.2.7")
	if err := a.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	snapshot := filepath.Join(dir, "default", snapshotFile)
	data, err := os.ReadFile(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	f := folder{t, filepath.Join(dir, "default")}
	f.write(snapshotFile, string(data[:len(data)-3]))
	f.write("positions.json", "{junk")
	a = open(t, c)
	st := a.live.Load().status()
	if !strings.Contains(st.LastStop.Note, "could not be read") || len(st.Problems) != 1 || st.Decisions["captcha"] != 1 {
		t.Errorf("last stop %+v, problems %q, decisions %v", st.LastStop, st.Problems, st.Decisions)
	}
	if v := visit(a, from("192.0.2.7"), "/", 200); v.Action != Respond {
		t.Errorf("the decision was lost: %s", v.Action)
	}
	if _, err := os.Stat(snapshot); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the damaged snapshot stays: %v", err)
	}
}

// TestOldGenerationFinishes: a request that began under settings that are gone
// still counts, once, and under what rules then.
func TestOldGenerationFinishes(t *testing.T) {
	f := folder{t, t.TempDir()}
	own := f.write("own.yaml", strings.Replace(ownScenario, "== '/x'", "== '/x' && evt.Meta.http_status == '404'", 1))
	c := Config{DataDir: f.dir, Collections: []string{"none"}, Scenarios: []string{own}}
	a := New(Options{})
	release := use(t, a, compiled(t, c))
	var visits []*Visit
	for range 6 {
		r, in := request("/x"), from("192.0.2.7")
		visits = append(visits, a.Begin(r, in))
	}
	c.Contact = "next"
	next := use(t, a, compiled(t, c))
	release()
	for _, v := range visits {
		v.End(404, 0, http.Header{})
		v.End(404, 0, http.Header{}) // counts for nothing
	}
	until(t, "the requests are concluded", func() bool { return a.counters.engine.Alerts.Load() == 1 })
	if got := a.Decide(netip.MustParseAddr("192.0.2.7")).Action; got != decisions.Ban {
		t.Errorf("decided: %s", got)
	}
	if got := a.counters.engine.Requests.Load(); got != 6 {
		t.Errorf("%d requests counted, want 6", got)
	}
	late := a.Begin(request("/x"), from("192.0.2.8"))
	next()
	if err := a.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	late.End(404, 0, http.Header{})
	if got := a.counters.dropped.Load(); got != 1 {
		t.Errorf("after Close %d requests are counted as dropped, want 1", got)
	}
	if v := a.Begin(request("/x"), from("192.0.2.7")); v.Action != Pass {
		t.Errorf("a closed node: %s", v.Action)
	}
}

// TestLastSettingsStay: after the last withdrawal requests are examined as before,
// until Close.
func TestLastSettingsStay(t *testing.T) {
	a := New(Options{})
	s := compiled(t, Config{DataDir: t.TempDir()})
	one, two := use(t, a, s), use(t, a, s)
	two()
	one()
	one()
	scan(t, a, "192.0.2.7")
	if err := a.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	one()
}

// TestSettingsOfTwoGenerations: a change of files reaches every generation that
// was compiled from them.
func TestSettingsOfTwoGenerations(t *testing.T) {
	a := New(Options{})
	c := Config{DataDir: t.TempDir()}
	old := compiled(t, c)
	defer use(t, a, old)()
	second := use(t, a, old)
	c.Contact = "new"
	fresh := compiled(t, c)
	if !a.replace(old, fresh) || a.replace(old, fresh) {
		t.Error("replaced not exactly once")
	}
	if a.Contact() != "new" {
		t.Error("the new settings do not rule")
	}
	second()
	if a.Contact() != "new" {
		t.Error("the generation below has the old settings")
	}
	if err := a.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if a.replace(fresh, old) {
		t.Error("something was replaced in a closed node")
	}
}

// TestCloseDoesNotWaitForItself: the watcher may be about to replace settings when
// the node is closed, which waits for the watcher.
func TestCloseDoesNotWaitForItself(t *testing.T) {
	a := New(Options{})
	c := Config{DataDir: t.TempDir()}
	s := compiled(t, c)
	use(t, a, s)
	st := a.live.Load().state
	closing, replaced := make(chan struct{}), make(chan bool)
	st.done.Add(1)
	go func() { // in the place of the watcher
		defer st.done.Done()
		<-closing
		for a.replace(s, s) { // until Close took the settings away
		}
		replaced <- a.replace(s, compiled(t, c))
	}()
	done := make(chan error)
	go func() { done <- a.Close(context.Background()) }()
	close(closing)
	select {
	case ok := <-replaced:
		if ok {
			t.Error("settings of a node that is closing were replaced")
		}
	case <-time.After(time.Minute):
		t.Fatal("Close and the watcher wait for each other")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestImpossibleChallenge(t *testing.T) {
	for name, c := range map[string]CaptchaConfig{"ttl": {TTL: Duration(time.Second)}, "grace": {Grace: Duration(time.Second)},
		"min_solve": {MinSolve: Duration(time.Hour)}, "digits": {Digits: 9}} {
		if _, err := Compile(Config{Captcha: c}, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]Config{"queue": {Limits: LimitConfig{Queue: 1 << 30}}, "workers": {Limits: LimitConfig{Workers: 1 << 20}},
		"hits": {Firewall: FirewallConfig{Hits: -1}}, "no directory": {Parsers: []string{"/nonexistent"}}} {
		if _, err := Compile(c, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
