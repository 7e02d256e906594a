package file

import (
	"fmt"
	"path/filepath"
	"slices"
)

// recognise makes a file that is known by its identity the current one of l: one that
// was rotated to a name that matches as well, or that a saved position is about.
// Otherwise it returns the file, open, or nil if that is not possible now.
func (s *source) recognise(l *lineage, f found, saved map[identity][]position) (*tail, info) {
	l.trouble = f.err
	if f.err != nil {
		s.postpone(l, f)
		return nil, info{}
	}
	if t := s.byID[f.in.id]; t != nil {
		s.move(l, t)
		return nil, info{}
	}
	if len(s.byID) >= maxFiles {
		l.trouble = fmt.Errorf("more than %d files match: use narrower patterns or exclude some", maxFiles)
		return nil, info{}
	}
	t, in, err := openTail(f.path)
	if err != nil {
		l.trouble = advice(f.path, f.in, err)
		s.postpone(l, f)
		return nil, info{}
	}
	if s.byID[in.id] != nil { // replaced since the look: the next one will tell
		t.f.Close()
		s.again = true
		return nil, info{}
	}
	if s.claim(l, t, in, saved[in.id]) {
		return nil, info{}
	}
	return t, in
}

// place makes the file t at f.path, of which nothing was known, the current one
// of l and decides where reading starts.
func (s *source) place(l *lineage, f found, t *tail, in info) {
	first := !l.known && (!f.late || l.atEnd) // there before we were
	if !first {
		if copied, done := s.isCopy(t, in); copied && !done {
			t.f.Close()
			return
		} else if done {
			t.seekLine(in.size, s.set.maxLine)
			t.sameHead()
			t.remember(nil)
			s.adopt(l, t)
			return
		}
	}
	ok := true
	switch {
	case len(l.saved) > 0:
		ok = s.inherit(l, t, in)
	case len(l.tails) > 0:
		ok = s.succeed(l, t, in)
	case first && !s.set.start:
		t.seekLine(in.size, s.set.maxLine)
		t.sameHead()
		t.remember(nil)
	}
	if !ok {
		t.f.Close()
		l.behind = true
		return
	}
	s.adopt(l, t)
}

// adopt makes t known as a file of l: the current one, or one before that.
func (s *source) adopt(l *lineage, t *tail) {
	l.known = true
	if t.gone {
		l.insertBefore(l.current(), t)
	} else {
		l.tails = append(l.tails, t)
		l.linkAt = t.real
	}
	s.register(l, t)
	s.queue(l)
	s.save(l)
}

func (s *source) register(l *lineage, t *tail) {
	s.byID[t.id], s.owner[t] = t, l
	s.env.Counters.Files.Store(int64(len(s.byID)))
}

// postpone remembers where reading has to start once a file can be read that was
// there when its pattern was first used.
func (s *source) postpone(l *lineage, f found) {
	if l.known || f.late || s.set.start {
		return
	}
	if f.in.id == (identity{}) {
		l.atEnd = true
		return
	}
	l.known = true
	l.saved = append(l.saved, position{identity: f.in.id, Off: f.in.size})
	s.save(l)
}

// move makes t, which was rotated away from its path, the current file of l: the
// new name matches too.
func (s *source) move(l *lineage, t *tail) {
	from := s.owner[t]
	if !t.gone {
		return // one file under two names is read under the first
	}
	l.known = true
	i := slices.Index(from.tails, t)
	from.tails = slices.Delete(from.tails, i, i+1)
	t.gone, t.path, t.real = false, l.path, ""
	if real := resolve(l.path); real != l.path {
		t.real = real
	}
	s.adopt(l, t)
	s.hurry(l)
	if from != l {
		s.save(from)
	}
}

// claim continues in t where the furthest of the positions saved for this very
// file says.
func (s *source) claim(l *lineage, t *tail, in info, saved []position) bool {
	var best *position
	for i := range saved {
		if p := &saved[i]; p.matches(t.f, in.size) && (best == nil || p.Off > best.Off) {
			best = p
		}
	}
	if best == nil {
		return false
	}
	t.resume(best, s.set.maxLine)
	s.adopt(l, t)
	for _, o := range s.lineages {
		n := len(o.saved)
		o.saved = slices.DeleteFunc(o.saved, func(p position) bool { return p.identity == t.id })
		if len(o.saved) != n {
			s.save(o)
		}
	}
	return true
}

// succeed decides where to start in a file that replaced another one while it
// was followed. It returns false if there are so many files in between that some
// of them have to be read first.
func (s *source) succeed(l *lineage, t *tail, in info) bool {
	old := l.tails[len(l.tails)-1]
	if p := old.position(); p.certain() && p.matches(t.f, in.size) {
		// The same log in a new file: an editor, or a copy that was put back.
		t.resume(&p, s.set.maxLine)
		s.drop(l, old)
		s.env.Counters.Rotations.Add(1)
		return true
	}
	if !s.fill(l, old, t.id) {
		return false
	}
	s.env.Counters.Rotations.Add(1)
	return true
}

// fill opens the files that were at l's path after that of last and before the one
// that is there now. It returns false if there is no room for all of them.
func (s *source) fill(l *lineage, last *tail, now identity) bool {
	base, err := lookAt(last.f)
	if err != nil {
		return true
	}
	list, all := s.between(l, base, now)
	for _, t := range list {
		s.adopt(l, t)
	}
	return all
}

// inherit decides where to start in a file whose path was followed before, by this
// process or an earlier one, but which is not the file that was there. It returns
// false as succeed does.
func (s *source) inherit(l *lineage, t *tail, in info) bool {
	p := l.saved[len(l.saved)-1]
	switch same := p.Ino == t.id.Ino; {
	case (same || p.certain()) && p.matches(t.f, in.size):
		t.resume(&p, s.set.maxLine)
		l.saved = l.saved[:len(l.saved)-1]
		s.reclaim(l, t.id)
		return true // its position is in t alone now
	case p.identity == t.id:
		s.env.Counters.Truncations.Add(1)
		t.hole = true
	default:
		s.env.Counters.Rotations.Add(1)
	}
	return s.reclaim(l, t.id)
}

// reclaim finds the files of the positions saved for l among the siblings of its
// path, and the generations that came and went since. What is not found now,
// while another file (not) is at the path, will not come back. It returns false
// as succeed does.
func (s *source) reclaim(l *lineage, not identity) bool {
	saved := l.saved
	l.saved = nil
	var last *tail
	for i := range saved {
		p := &saved[i]
		switch o := s.remainder(l, p, not); {
		case o != nil:
			s.adopt(l, o)
			last = o
		case not == (identity{}):
			l.saved = append(l.saved, *p)
		default:
			l.retire(*p)
		}
	}
	return last == nil || s.fill(l, last, not)
}

// remainder opens the sibling of l's path that p belongs to, at p: the rotated
// file itself or a copy that was made before a truncation.
func (s *source) remainder(l *lineage, p *position, not identity) *tail {
	candidates := siblings(l.path, p.Real, p.From)
	if p.Real != "" {
		if in, err := look(p.Real); err == nil {
			candidates = append(candidates, candidate{p.Real, in})
		}
	}
	for _, c := range candidates {
		itself := c.info.id == p.identity
		if c.info.id == not || s.byID[c.info.id] != nil || c.info.size < p.Off || !itself && !p.certain() {
			continue
		}
		t, in, err := openTail(c.path)
		if err != nil {
			continue
		}
		if in.id == c.info.id && p.matches(t.f, in.size) {
			t.resume(p, s.set.maxLine)
			t.gone, t.quiet = true, s.env.Now()
			return t
		}
		t.f.Close()
	}
	return nil
}

// between opens the siblings of l's path that were written after base was: files
// that were at the path between two looks, oldest first. It returns false if
// there is no room for all of them.
func (s *source) between(l *lineage, base info, not identity) ([]*tail, bool) {
	var list []*tail
	for _, c := range siblings(l.path, l.linkAt) {
		switch {
		case c.info.id == not || s.byID[c.info.id] != nil || c.info.id == base.id,
			c.info.mtime.Before(base.mtime),
			c.info.id.Born != 0 && c.info.id.Born < base.id.Born,
			s.set.excluded(c.path):
			continue
		}
		t, in, err := openTail(c.path)
		if err != nil {
			continue
		}
		if copied, _ := s.isCopy(t, in); copied || in.id != c.info.id {
			t.f.Close()
			continue
		}
		if len(list) >= l.room() {
			t.f.Close()
			return list, false
		}
		t.gone, t.quiet = true, s.env.Now()
		s.env.Counters.Rotations.Add(1)
		list = append(list, t)
	}
	return list, true
}

// isCopy reports whether a file that appeared is a copy of one that is followed
// under another name, as copytruncate makes it with a pattern that matches the
// copy too; done, whether nothing more is to be had from it. If not done, it may
// yet turn out to hold what the original lost, and is looked at again.
func (s *source) isCopy(t *tail, in info) (copied, done bool) {
	dir, name := filepath.Split(t.path)
	for _, l := range s.lineages {
		if c, d := l.copied(t, in.size, dir, name); c {
			copied, done = true, done || d
		}
	}
	return copied, done
}

// truncated is called when t's file is not what was read. If its old content was
// copied before, the rest of that is read first.
func (s *source) truncated(l *lineage, t *tail) {
	s.env.Counters.Truncations.Add(1)
	old := t.position()
	if o := s.remainder(l, &old, t.id); o != nil {
		l.insertBefore(t, o)
		s.register(l, o)
		if base, err := lookAt(o.f); err == nil {
			list, _ := s.between(l, base, t.id)
			for _, m := range list {
				l.insertBefore(t, m)
				s.register(l, m)
			}
		}
	}
	l.retire(old)
	t.restart()
	s.queue(l)
	s.save(l)
}

// rewritten reports whether t, of which nothing was delivered yet, turns out to be
// filled with what l has delivered already: by an editor that writes the whole file
// anew. t then goes on behind that, or waits until it is all there.
func (s *source) rewritten(l *lineage, t *tail) bool {
	in, err := lookAt(t.f)
	if err != nil || t.head.N < headSize {
		return false
	}
	for _, o := range l.tails {
		if p := o.position(); o != t && p.Head == t.head && copying(o, t, in.size) {
			return true
		}
	}
	list := slices.Clone(l.retired)
	for _, o := range l.tails {
		if o != t {
			list = append(list, o.position())
		}
	}
	for i := range list {
		if p := &list[i]; p.certain() && p.Head == t.head && p.matches(t.f, in.size) {
			from, real := t.from, t.real
			t.resume(p, s.set.maxLine)
			t.from, t.real, t.hole = from, real, false
			s.queue(l)
			s.save(l)
			return true
		}
	}
	return false
}

// drop closes t and forgets it.
func (s *source) drop(l *lineage, t *tail) {
	if i := slices.Index(l.tails, t); i >= 0 {
		l.tails = slices.Delete(l.tails, i, i+1)
	}
	delete(s.byID, t.id)
	delete(s.owner, t)
	t.f.Close()
	s.env.Counters.Files.Store(int64(len(s.byID)))
}

// broken handles an error other than the expected ones while reading t: the file
// is closed and found again by its position at the next scan.
func (s *source) broken(l *lineage, t *tail, err error) {
	l.trouble = advice(t.path, info{}, err)
	p := t.position()
	s.drop(l, t)
	l.saved = append(l.saved, p)
	s.again = true
}
