package file

import (
	"path/filepath"
	"slices"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// watcher is what is left of inotify where it works; the zero value never
// notifies. Directories are watched, not files: that shows new files as well and
// needs few watches.
type watcher struct {
	fs     *fsnotify.Watcher
	logger *zap.Logger
	dirs   map[string]bool // asked for
	failed bool            // said that some cannot be watched
}

// newWatcher returns a watcher. If the system has none to give, that is logged and
// polling has to do.
func newWatcher(blind bool, logger *zap.Logger) *watcher {
	w := &watcher{logger: logger, dirs: map[string]bool{}}
	if blind {
		return w
	}
	fs, err := fsnotify.NewBufferedWatcher(512)
	if err != nil {
		logger.Warn("files are polled only: no change notification (too many inotify instances? see fs.inotify.max_user_instances)", zap.Error(err))
		return w
	}
	w.fs = fs
	return w
}

// watch makes dirs the watched directories. Those already watched are asked for
// again, because a directory may have been replaced by another one.
func (w *watcher) watch(dirs []string) {
	if w.fs == nil {
		return
	}
	slices.Sort(dirs)
	dirs = slices.Compact(dirs)
	wanted := make(map[string]bool, len(dirs))
	for _, dir := range dirs[:min(len(dirs), maxWatched)] {
		wanted[dir] = true
		if err := w.fs.Add(dir); err != nil && !w.failed {
			w.failed = true
			w.logger.Warn("some directories are polled only", zap.String("dir", dir), zap.Error(err))
		}
	}
	for dir := range w.dirs {
		if !wanted[dir] {
			w.fs.Remove(dir)
		}
	}
	w.dirs = wanted
}

func (w *watcher) events() <-chan fsnotify.Event {
	if w.fs == nil {
		return nil
	}
	return w.fs.Events
}

func (w *watcher) errors() <-chan error {
	if w.fs == nil {
		return nil
	}
	return w.fs.Errors
}

// stop ends the notifications; further calls do nothing.
func (w *watcher) stop() {
	if w != nil && w.fs != nil {
		w.fs.Close()
		w.fs = nil
	}
}

func dirOf(path string) string { return filepath.Dir(path) }
