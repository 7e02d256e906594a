package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"slices"
	"strconv"
)

const (
	maxFiles    = 10000 // open files of one source
	maxTroubles = 5     // named in the status; more are counted
)

// found is a regular file, or one that cannot be looked at, at a matched path.
type found struct {
	path string
	in   info
	err  error
	late bool // its pattern was in use before: the file appeared since
}

// index is what is kept for one pattern: that it was used, and the paths it has
// matched with the time (Unix seconds) since when they are missing, 0 if they
// are there.
type index struct {
	Paths map[string]int64 `json:"paths"`
	fresh bool             // the pattern is used for the first time
	dirty bool
}

// scan looks at everything the patterns match and follows what changed.
func (s *source) scan() {
	s.again = false
	begin := s.env.Now()
	list := s.find()
	present := make(map[string]*found, len(list))
	for i := range list {
		present[list[i].path] = &list[i]
		s.lineage(list[i].path)
	}
	if s.first {
		for i := range s.indexes {
			for path := range s.indexes[i].Paths {
				s.lineage(path)
			}
		}
	}
	s.release(present)
	s.retire()
	s.arrange(list)
	for path, l := range s.lineages {
		if s.first && len(l.saved) > 0 && present[path] == nil {
			s.reclaim(l, identity{})
		}
	}
	s.expire(present)
	s.saveIndexes(present)
	s.first = false
	s.refreshPaths()
	s.report()
	s.nextScan = begin.Add(max(s.set.poll, 20*s.env.Now().Sub(begin)))
}

// find expands the patterns and looks at what they match, oldest change first.
// It also sets the troubles of the patterns and the directories to watch.
func (s *source) find() []found {
	s.dirs, s.troubles = nil, nil
	late := map[string]bool{}
	var paths []string
	for i := range s.set.patterns {
		p := &s.set.patterns[i]
		var w walk
		w.expand(p)
		n := len(paths)
		for _, path := range w.paths {
			if compressed(path) || s.set.excluded(path) {
				continue
			}
			paths = append(paths, path)
			late[path] = late[path] || !s.indexes[i].fresh
			s.indexes[i].seen(path)
		}
		s.dirs = append(s.dirs, w.dirs...)
		s.troubles = append(s.troubles, w.errs...)
		if len(paths) == n && len(w.errs) == 0 {
			s.troubles = append(s.troubles, fmt.Errorf("no file matches %s yet: waiting for one (does this system log to the journal instead? then use a journald source)", p.text))
		}
	}
	slices.Sort(paths)
	var list []found
	for _, path := range slices.Compact(paths) {
		in, err := look(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			list = append(list, found{path: path, err: advice(path, in, err), late: late[path]})
		case in.mode.IsRegular():
			list = append(list, found{path: path, in: in, late: late[path]})
		case !in.mode.IsDir():
			s.troubles = append(s.troubles, fmt.Errorf("reading %s: not a regular file", path))
		}
	}
	slices.SortStableFunc(list, func(a, b found) int { return a.in.mtime.Compare(b.in.mtime) })
	return list
}

// seen notes that path is there.
func (x *index) seen(path string) {
	if since, ok := x.Paths[path]; !ok || since != 0 {
		x.Paths[path] = 0
		x.dirty = true
	}
}

// release marks the files that are no longer at their path.
func (s *source) release(present map[string]*found) {
	now := s.env.Now()
	for path, l := range s.lineages {
		t, f := l.current(), present[path]
		switch {
		case t == nil:
		case f == nil || f.err == nil && f.in.id != t.id:
			t.gone, t.quiet = true, now
			s.queue(l)
		case f.err == nil && f.in.size != t.off:
			s.queue(l)
		}
	}
}

// arrange gives every path in list its file. Files that are known by identity go
// first, so that none of them is taken for something new.
func (s *source) arrange(list []found) {
	type arrival struct {
		found
		t  *tail
		in info
	}
	saved := map[identity][]position{}
	for _, l := range s.lineages {
		for _, p := range l.saved {
			saved[p.identity] = append(saved[p.identity], p)
		}
	}
	var rest []arrival
	for _, f := range list {
		l := s.lineages[f.path]
		if l.current() != nil || l.behind {
			continue
		}
		if t, in := s.recognise(l, f, saved); t != nil {
			rest = append(rest, arrival{f, t, in})
		}
	}
	// Paths with a past next: what they miss may be at the path of another one.
	for _, past := range []bool{true, false} {
		for _, c := range rest {
			l := s.lineages[c.path]
			if past != (len(l.saved)+len(l.tails) > 0) || l.current() != nil {
				continue
			}
			if t := s.byID[c.in.id]; t != nil {
				c.t.f.Close()
				s.move(l, t)
				continue
			}
			s.place(l, c.found, c.t, c.in)
		}
	}
	for _, l := range s.lineages {
		if t := l.current(); t != nil && len(l.saved) > 0 {
			s.reclaim(l, t.id)
			s.save(l)
		}
	}
}

// retire closes rotated files that are done with.
func (s *source) retire() {
	now := s.env.Now()
	for _, l := range s.lineages {
		for _, t := range l.expired(now, s.set.linger) {
			l.retire(t.position())
			s.drop(l, t)
			s.save(l)
		}
	}
}

// expire forgets paths that are missing for long.
func (s *source) expire(present map[string]*found) {
	now := s.env.Now()
	for path, l := range s.lineages {
		if present[path] != nil || len(l.tails) > 0 {
			continue
		}
		gone, listed := true, false
		for i := range s.indexes {
			since, ok := s.indexes[i].Paths[path]
			listed = listed || ok
			gone = gone && (!ok || since != 0 && now.Unix()-since > int64(s.set.forget.Seconds()))
		}
		if gone && listed {
			s.forget(path)
		}
	}
}

func (s *source) forget(path string) {
	delete(s.lineages, path)
	for i := range s.indexes {
		if _, ok := s.indexes[i].Paths[path]; ok {
			delete(s.indexes[i].Paths, path)
			s.indexes[i].dirty = true
		}
	}
	if f, ok := s.env.Positions.(interface{ Forget(key string) error }); ok {
		s.noteSave(f.Forget(s.pathKey(path)))
	}
}

// saveIndexes notes what is missing since when and keeps the indexes that changed.
func (s *source) saveIndexes(present map[string]*found) {
	now := s.env.Now().Unix()
	for i := range s.indexes {
		x := &s.indexes[i]
		for path, since := range x.Paths {
			if since == 0 && present[path] == nil {
				x.Paths[path] = now
				x.dirty = true
			}
		}
		if x.dirty || x.fresh {
			b, _ := json.Marshal(x) // a map of strings to numbers cannot fail
			s.noteSave(s.env.Positions.Save(s.patternKey(i), b))
			x.fresh, x.dirty = false, false
		}
	}
}

// report tells the present troubles.
func (s *source) report() {
	list := slices.Clone(s.troubles)
	var paths []string
	for path, l := range s.lineages {
		if l.trouble != nil {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	for _, path := range paths {
		list = append(list, s.lineages[path].trouble)
	}
	if s.unsaved != nil {
		list = append(list, fmt.Errorf("saving positions: %w: after a restart, lines may be read twice", s.unsaved))
	}
	if n := len(list); n > maxTroubles {
		list = append(list[:maxTroubles:maxTroubles], fmt.Errorf("and %d more", n-maxTroubles))
	}
	s.env.Report(errors.Join(list...))
}

// advice says what to do about err, which reading path gave.
func advice(path string, in info, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	group := "adm"
	if in.mode&0o040 != 0 {
		group = strconv.Itoa(in.gid)
		if g, gerr := user.LookupGroupId(group); gerr == nil {
			group = g.Name
		}
		return fmt.Errorf("reading %s: %w: add the user that runs rampart to group %s (usermod -aG %s USER), which may read it, and restart", path, err, group, group)
	}
	return fmt.Errorf("reading %s: %w: give the user that runs rampart the right to read it (log files usually belong to group %s and are readable for it: chgrp %s, chmod g+r, usermod -aG %s USER)", path, err, group, group, group)
}
