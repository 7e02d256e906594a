package appliance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// folder is a directory of files that a test changes.
type folder struct {
	t   *testing.T
	dir string
}

func (f folder) write(name, text string) string {
	f.t.Helper()
	p := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (f folder) remove(name string) {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.dir, name)); err != nil {
		f.t.Fatal(err)
	}
}

// looks has the watcher look until ok; the appliance's own may be quicker.
func looks(t *testing.T, a *Appliance, what string, ok func(WatchStatus) bool) {
	t.Helper()
	w := a.live.Load().state.watch
	var before stamps
	until(t, what, func() bool {
		before = w.look(before)
		return ok(w.status())
	})
}

func loaded(a *Appliance) int { return len(a.live.Load().settings.rules.All()) }

// TestWatcher: changes are taken, bad ones are not and said to be bad, and buckets
// of what stayed the same live on.
func TestWatcher(t *testing.T) {
	f := folder{t, t.TempDir()}
	f.write("s/own.yaml", ownScenario)
	profiles := f.write("profiles.yaml", "name: own\nfilters: ['true']\ndecisions: [{type: captcha, duration: 1h}]\n")
	a := open(t, Config{Collections: []string{"none"}, Scenarios: []string{f.dir + "/s"}, Profiles: profiles})
	for range 5 {
		visit(a, from("192.0.2.7"), "/x", 200)
	}
	swaps := 0
	swapped := func(s WatchStatus) bool { return s.Swaps > swaps && s.Problem == "" }
	took := func(what string) {
		t.Helper()
		looks(t, a, what, swapped)
		swaps = a.live.Load().state.watch.status().Swaps
	}

	f.write("s/other.yaml", strings.Replace(ownScenario, "'/x'", "'/y'", 1))
	took("a new file is taken")
	if n := loaded(a); n != 2 {
		t.Errorf("%d scenarios, want 2", n)
	}
	f.write("s/other.yaml", "type: leaky\nfilter: evt.Meta.x =\n")
	looks(t, a, "a bad file is told of", func(s WatchStatus) bool { return strings.Contains(s.Problem, "other.yaml:2") && !s.Since.IsZero() })
	if n := loaded(a); n != 2 {
		t.Errorf("%d scenarios while a file is bad, want the last good 2", n)
	}
	if p := a.live.Load().status().Problems; len(p) != 1 || !strings.Contains(p[0], "last good state") {
		t.Errorf("problems %q", p)
	}
	f.write("s/other.yaml", strings.Replace(ownScenario, "'/x'", "'/z'", 1))
	took("it is good again")
	f.write("s/.hidden.yaml", "junk")
	f.write("s/readme.txt", "junk")
	f.remove("s/other.yaml")
	took("a file is gone")
	if n := loaded(a); n != 1 {
		t.Errorf("%d scenarios, want 1", n)
	}
	f.write("profiles.yaml", "name: own\nfilters: ['true']\ndecisions: [{type: throttle, duration: 1h}]\n")
	took("profiles changed")
	if v := visit(a, from("192.0.2.7"), "/x", 200); v.Action != Throttle {
		t.Errorf("the sixth request: %s: its bucket, or the profile, was lost", v.Action)
	}
	f.remove("profiles.yaml")
	looks(t, a, "a file that is named and gone is told of", func(s WatchStatus) bool { return strings.Contains(s.Problem, "profiles.yaml") })
	if err := os.RemoveAll(f.dir + "/s"); err != nil {
		t.Fatal(err)
	}
	looks(t, a, "so is a directory", func(s WatchStatus) bool { return strings.Contains(s.Problem, f.dir+"/s") })
	if n := loaded(a); n != 1 {
		t.Errorf("%d scenarios without the directory, want the last good one", n)
	}
}

// TestChangedWhileCompiled: what changed between compiling and use is not missed,
// nor what changed while other settings ruled.
func TestChangedWhileCompiled(t *testing.T) {
	f := folder{t, t.TempDir()}
	own := f.write("own.yaml", ownScenario)
	c := Config{DataDir: f.dir + "/data", Collections: []string{"none"}, Scenarios: []string{own}}
	s, err := Compile(c, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	two := ownScenario + "---\n" + strings.Replace(ownScenario, "'/x'", "'/y'", 1)
	f.write("own.yaml", two)
	a := New(Options{Node: "test"})
	release, err := a.Use(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { release(); _ = a.Close(t.Context()) })
	looks(t, a, "the change is seen", func(WatchStatus) bool { return loaded(a) == 2 })

	other, err := Compile(Config{DataDir: c.DataDir, Collections: []string{"none"}}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	withdraw, err := a.Use(other)
	if err != nil {
		t.Fatal(err)
	}
	if n := loaded(a); n != 0 {
		t.Fatalf("%d scenarios, want none", n)
	}
	f.write("own.yaml", two+"---\n"+strings.Replace(ownScenario, "'/x'", "'/z'", 1))
	withdraw()
	looks(t, a, "the change is seen", func(WatchStatus) bool { return loaded(a) == 3 })
}

// TestStamps: what is another file is told apart even at equal size and time.
func TestStamps(t *testing.T) {
	f := folder{t, t.TempDir()}
	p := f.write("s/a.yaml", "one")
	c := Config{Scenarios: []string{f.dir + "/s"}, Profiles: f.dir + "/none.yaml", Parsers: []string{f.dir + "/p"}}
	was := stampsOf(c, nil)
	if !was.equal(stampsOf(c, nil)) || len(was) != 4 {
		t.Fatalf("%v", was)
	}
	info, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	other := f.write("b", "two")
	if err := os.Chtimes(other, time.Now(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, p); err != nil {
		t.Fatal(err)
	}
	if was.equal(stampsOf(c, nil)) {
		t.Error("a replaced file looks the same")
	}
	was = stampsOf(c, nil)
	for _, name := range []string{"none.yaml", "none.yaml.local", "p/s01-parse/own.yml", "s/c.yml"} {
		f.write(name, "x")
		now := stampsOf(c, nil)
		if was.equal(now) {
			t.Errorf("%s is not seen", name)
		}
		was = now
	}
}
