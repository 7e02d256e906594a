package appliance

import (
	"context"
	"errors"
	"slices"
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
	mu    sync.Mutex // never held while anything else is done
	now   *Settings  // whose files are watched
	seen  stamps     // of what was compiled last, with success or without
	state WatchStatus
}

// WatchStatus is what status shows of the watched files.
type WatchStatus struct {
	Files   int       `json:"files"`
	Swaps   int       `json:"swaps"` // changes that are in force
	Problem string    `json:"problem,omitempty"`
	Since   time.Time `json:"problem_since,omitzero"`
}

func newWatcher(a *Appliance) *watcher { return &watcher{owner: a} }

// use watches the files of s instead. What changed since s was compiled is found
// at the next look.
func (w *watcher) use(s *Settings) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now == s {
		return
	}
	w.now, w.seen = s, s.stamps
	w.state.Files, w.state.Problem, w.state.Since = len(w.seen), "", time.Time{}
}

// run looks at the files until ctx ends. A file that still changes is left until
// it rests.
func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var before stamps
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
func (w *watcher) look(before stamps) stamps {
	w.mu.Lock()
	s, seen := w.now, w.seen
	w.mu.Unlock()
	if s == nil {
		return nil
	}
	files := stampsOf(s.config, s.files)
	if files.equal(seen) || !files.equal(before) {
		return files
	}
	w.swap(s)
	return files
}

// swap compiles the configuration of old anew and puts it in old's place.
func (w *watcher) swap(old *Settings) {
	files := stampsOf(old.config, old.files)
	fresh, err := Compile(old.config, old.log)
	if err == nil {
		err = fresh.worse(old)
	}
	if err != nil {
		if w.failed(old, files, err) {
			old.log.Error("changed files were not taken; the last good state stays in force", zap.Error(err))
		}
		return
	}
	if !w.owner.replace(old, fresh) {
		w.leave(old, files)
		return
	}
	w.mu.Lock()
	w.state.Swaps++
	w.mu.Unlock()
	old.log.Info("changed files are in force", zap.Int("files", len(files)),
		zap.Int("scenarios", len(fresh.rules.All())))
}

// worse reports items of the Hub that stopped working: a node that runs keeps the
// last good ones, while one that starts does without them.
func (s *Settings) worse(than *Settings) error {
	var errs []error
	for _, fault := range s.faults {
		if !slices.Contains(than.faults, fault) {
			errs = append(errs, errors.New(fault))
		}
	}
	return errors.Join(errs...)
}

// leave does without a change of settings that were withdrawn.
func (w *watcher) leave(old *Settings, files stamps) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now == old {
		w.seen = files
	}
}

// failed notes why files do not compile, unless other settings are watched by now.
func (w *watcher) failed(old *Settings, files stamps, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now != old {
		return false
	}
	w.seen, w.state.Files = files, len(files)
	w.state.Problem, w.state.Since = err.Error(), time.Now()
	return true
}

func (w *watcher) status() WatchStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}
