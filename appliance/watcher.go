package appliance

import (
	"context"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// watchEvery is how often the operator's files are looked at. Looking beats
// listening here: the files are few, and editors, mounts and links all count.
const watchEvery = time.Second

// watcher recompiles the settings in force when a scenario or profile file that
// they name changes. What does not compile is reported, and the last good state
// stays in force.
type watcher struct {
	owner *Appliance
	mu    sync.Mutex
	now   *Settings // whose files are watched
	seen  map[string]stamp
	state WatchStatus
}

type stamp struct {
	size int64
	mod  time.Time
	ino  string
}

// WatchStatus is what status shows of the watched files.
type WatchStatus struct {
	Files   int       `json:"files"`
	Swaps   int       `json:"swaps"`
	Problem string    `json:"problem,omitempty"`
	Since   time.Time `json:"problem_since,omitzero"`
}

func newWatcher(a *Appliance) *watcher { return &watcher{owner: a} }

// use watches the files of s instead.
func (w *watcher) use(s *Settings) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now == s {
		return
	}
	w.now, w.seen = s, stamps(s.config)
	w.state.Files, w.state.Problem, w.state.Since = len(w.seen), "", time.Time{}
}

// run looks at the files until ctx ends. A file that still changes is left until
// it rests.
func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var before map[string]stamp
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			before = w.look(before)
		}
	}
}

// look compares the files with what is in force, and with the look before.
func (w *watcher) look(before map[string]stamp) map[string]stamp {
	w.mu.Lock()
	s, seen := w.now, w.seen
	w.mu.Unlock()
	if s == nil {
		return nil
	}
	files := stamps(s.config)
	if maps.Equal(files, seen) || !maps.Equal(files, before) {
		return files
	}
	w.swap(s, files)
	return files
}

// swap compiles the configuration of old anew and puts it in old's place.
func (w *watcher) swap(old *Settings, files map[string]stamp) {
	fresh, err := Compile(old.config, old.log)
	w.mu.Lock()
	w.seen, w.state.Files = files, len(files)
	if err != nil {
		w.state.Problem, w.state.Since = err.Error(), time.Now()
		w.mu.Unlock()
		old.log.Error("changed files were not taken; the last good state stays in force", zap.Error(err))
		return
	}
	w.state.Swaps++
	w.state.Problem, w.state.Since = "", time.Time{}
	w.mu.Unlock()
	if w.owner.replace(old, fresh) {
		old.log.Info("changed files are in force", zap.Int("files", len(files)),
			zap.Int("scenarios", len(fresh.rules.All())))
	}
}

func (w *watcher) status() WatchStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// stamps are size, time and identity of every file the configuration names.
func stamps(c Config) map[string]stamp {
	out := map[string]stamp{}
	for _, p := range c.Scenarios {
		files, err := yamlFiles(p)
		if err != nil {
			out[p] = stamp{ino: "missing"}
		}
		for _, f := range files {
			out[f] = stampOf(f)
		}
	}
	if c.Profiles != "" {
		out[c.Profiles] = stampOf(c.Profiles)
	}
	for _, dir := range c.Parsers {
		items, err := itemsBelow(os.DirFS(dir), dir+"/")
		if err != nil {
			out[dir] = stamp{ino: "missing"}
		}
		for _, it := range items {
			out[it.Path] = stampOf(it.Path)
		}
	}
	return out
}

func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{ino: "missing"}
	}
	return stamp{size: info.Size(), mod: info.ModTime(), ino: fmt.Sprint(info.Mode())}
}
