package file

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/logsources"
)

// turn is how many chunks of one path are read before another path has its turn.
const turn = 16

// source is the running state; one goroutine owns it.
type source struct {
	set *settings
	env logsources.Environment

	lineages map[string]*lineage // by matched path
	byID     map[identity]*tail  // all open files
	owner    map[*tail]*lineage
	byPath   map[string]*lineage // by path and by where a link leads, for notifications
	indexes  []index             // one for each pattern
	ready    []*lineage          // may have something to read
	rotated  []*lineage          // have files that are no longer at their path
	first    bool                // no scan yet
	again    bool                // scan as soon as possible
	nextScan time.Time

	dirs     []string // to watch
	watched  *watcher
	troubles []error
	unsaved  error // why positions cannot be saved at present
	buf      []byte
}

func newSource(set *settings, env logsources.Environment) *source {
	return &source{
		set: set, env: env.WithDefaults(), first: true,
		lineages: map[string]*lineage{}, byID: map[identity]*tail{}, owner: map[*tail]*lineage{},
		byPath: map[string]*lineage{},
		buf:    make([]byte, lastSize+max(chunkBytes, set.maxLine+2)),
	}
}

// Run follows the files until ctx is done or the sink fails.
func (s *source) Run(ctx context.Context, sink logsources.Sink) error {
	defer s.close()
	s.loadIndexes()
	s.watched = newWatcher(s.set.blind, s.env.Logger)
	tick := time.NewTicker(s.set.poll)
	defer tick.Stop()
	s.scan()
	for {
		if err := s.pump(ctx, sink); err != nil {
			return err
		}
		idle := len(s.ready) == 0 && !s.again
		if !s.wait(ctx, tick.C, idle) {
			return ctx.Err()
		}
		if s.again {
			s.scan()
		}
	}
}

// wait takes in what happened; if idle, it waits for something to happen first.
// It returns false when ctx is done.
func (s *source) wait(ctx context.Context, tick <-chan time.Time, idle bool) bool {
	for n := 0; n < 4096; n++ { // then read first, even if notifications pour in
		if idle {
			select {
			case <-ctx.Done():
				return false
			case <-tick:
				s.poll()
			case e, ok := <-s.watched.events():
				s.notice(e, ok)
			case err, ok := <-s.watched.errors():
				s.lost(err, ok)
			}
			idle = false
			continue
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			s.poll()
		case e, ok := <-s.watched.events():
			s.notice(e, ok)
		case err, ok := <-s.watched.errors():
			s.lost(err, ok)
		default:
			return true
		}
	}
	return true
}

// poll is the look without a notification.
func (s *source) poll() {
	if !s.env.Now().Before(s.nextScan) {
		s.again = true
	}
	for path, l := range s.lineages {
		t := l.current()
		if t != nil {
			if in, err := look(path); err != nil || in.id != t.id {
				s.again = true
			} else if in.size != t.off {
				s.queue(l)
			}
		}
	}
	for _, l := range s.rotated {
		s.queue(l)
	}
}

// notice takes in one notification.
func (s *source) notice(e fsnotify.Event, ok bool) {
	if !ok {
		s.watched.stop()
		return
	}
	l := s.byPath[e.Name]
	switch {
	case e.Op&(fsnotify.Create|fsnotify.Rename|fsnotify.Remove|fsnotify.Chmod) != 0:
		if l != nil || s.concerns(e.Name) {
			s.again = true
		}
	case l != nil:
		s.queue(l)
	default: // perhaps a rotated file
		for _, l := range s.rotated {
			s.queue(l)
		}
	}
}

func (s *source) concerns(name string) bool {
	for i := range s.set.patterns {
		if s.set.patterns[i].touches(name) {
			return true
		}
	}
	return false
}

// lost handles a notification that something was not notified.
func (s *source) lost(err error, ok bool) {
	if !ok {
		s.watched.stop()
		return
	}
	s.env.Logger.Debug("notifications were lost, polling instead", zap.Error(err))
	s.again = true
	s.poll()
}

func (s *source) queue(l *lineage) {
	if !l.queued {
		l.queued = true
		s.ready = append(s.ready, l)
	}
}

// hurry gives l its turn first.
func (s *source) hurry(l *lineage) {
	if i := slices.Index(s.ready, l); i > 0 {
		copy(s.ready[1:i+1], s.ready[:i])
		s.ready[0] = l
	}
}

// pump gives every path that may have something to read one turn.
func (s *source) pump(ctx context.Context, sink logsources.Sink) error {
	list := s.ready
	s.ready = nil
	for i, l := range list {
		l.queued = false
		if err := s.drain(ctx, sink, l); err != nil {
			return err
		}
		list[i] = nil
	}
	return nil
}

// drain reads the files of l in order, a newer one only when the older ones have
// nothing more, and queues l again if that took too long.
func (s *source) drain(ctx context.Context, sink logsources.Sink, l *lineage) error {
	budget := turn
	for i := 0; i < len(l.tails); {
		t := l.tails[i]
		data, err := t.read(s.buf)
		switch {
		case err == io.EOF:
			t.eof = true
			i++
			continue
		case err == errTruncated:
			s.truncated(l, t)
			return nil // l is queued again: there may be older files now
		case err != nil:
			s.broken(l, t, err)
			s.report()
			return nil
		}
		t.eof = false
		more := false
		if t.off > 0 || !s.rewritten(l, t) {
			if more, err = s.deliver(ctx, sink, l, t, data); err != nil {
				return err
			}
		}
		if !more {
			t.eof = true
			i++
			continue
		}
		t.quiet = s.env.Now()
		if budget--; budget == 0 {
			s.queue(l)
			return nil
		}
	}
	if l.behind {
		l.behind, s.again = false, true
	}
	return nil
}

// deliver hands the complete lines of data to the sink, a chunk's worth. It
// returns false if there was none.
func (s *source) deliver(ctx context.Context, sink logsources.Sink, l *lineage, t *tail, data []byte) (bool, error) {
	now := s.env.Now()
	full := len(data) == len(s.buf)-len(t.last)
	c := t.split(data, full, s.set.maxLine, event.Line{Src: l.path, Time: now, Labels: s.set.labels, Module: "file"})
	if c.used == 0 {
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	before := t.mark()
	silent := t.skip && c.skip // nothing that a restart would not find out again
	t.advance(data, &c)
	if !silent {
		s.save(l)
	}
	if len(c.lines) > 0 {
		if err := sink.Accept(ctx, c.lines); errors.Is(err, logsources.ErrRefused) {
			t.reset(before)
			s.save(l)
			return false, err
		} else if err != nil {
			return false, err
		}
		s.env.Counters.LastLine.Store(now.UnixNano())
	}
	n := s.env.Counters
	n.Lines.Add(int64(len(c.lines)))
	n.Bytes.Add(int64(c.used))
	n.Binary.Add(c.binary)
	n.TooLong.Add(c.tooLong)
	return true, nil
}

// lineage returns that of path and creates it from its record, if there is one.
func (s *source) lineage(path string) *lineage {
	l := s.lineages[path]
	if l != nil {
		return l
	}
	l = &lineage{path: path}
	s.lineages[path] = l
	if b, ok := s.env.Positions.Load(s.pathKey(path)); ok {
		r, err := decodeRecord(b)
		if err != nil {
			s.env.Logger.Warn("position is damaged, reading on from the end", pathField(path), zap.Error(err))
			return l
		}
		l.saved, l.retired, l.known = r.Files, r.Retired, true
	}
	return l
}

func (s *source) loadIndexes() {
	s.indexes = make([]index, len(s.set.patterns))
	for i := range s.indexes {
		x := &s.indexes[i]
		b, ok := s.env.Positions.Load(s.patternKey(i))
		x.fresh = !ok || json.Unmarshal(b, x) != nil
		if x.Paths == nil {
			x.Paths = map[string]int64{}
		}
	}
}

func (s *source) pathKey(path string) string { return "file:" + s.set.labels["type"] + ":" + path }

func (s *source) patternKey(i int) string {
	return "files:" + s.set.labels["type"] + ":" + s.set.patterns[i].text
}

func (s *source) save(l *lineage) {
	s.noteSave(s.env.Positions.Save(s.pathKey(l.path), l.encode()))
}

// noteSave takes the outcome of a save and tells when that changes.
func (s *source) noteSave(err error) {
	changed := (err == nil) != (s.unsaved == nil)
	s.unsaved = err
	if changed {
		s.report()
	}
}

// refreshPaths tells the watcher and the notifications what there is now.
func (s *source) refreshPaths() {
	clear(s.byPath)
	clear(s.rotated)
	s.rotated = s.rotated[:0]
	for path, l := range s.lineages {
		if len(l.tails) > 0 && l.tails[0].gone {
			s.rotated = append(s.rotated, l)
		}
		s.byPath[path] = l
		if l.linkAt != "" {
			s.byPath[l.linkAt] = l
			s.dirs = append(s.dirs, dirOf(l.linkAt))
		}
	}
	s.watched.watch(s.dirs)
}

func (s *source) close() {
	for _, l := range s.lineages {
		for _, t := range l.tails {
			t.f.Close()
		}
	}
	s.env.Counters.Files.Store(0)
	s.watched.stop()
}

func pathField(path string) zap.Field { return zap.String("path", path) }
