package file

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

const (
	maxGone    = 32 // rotated files of one path that are open at a time
	maxQuiet   = 8  // of those, read to their end and kept in case their writer goes on
	maxRetired = 16 // positions of finished files that are remembered for a path
)

// lineage is the succession of files that were at one path.
type lineage struct {
	path    string
	tails   []*tail    // oldest first; the last one may be the current file
	saved   []position // from before the start, not found again yet
	retired []position
	trouble error
	queued  bool   // in source.ready
	behind  bool   // older files have to be read before newer ones can be opened
	known   bool   // there was a record, or a file was followed: the path is not new
	atEnd   bool   // there at the first use of its pattern, but could not be looked at
	linkAt  string // where the path, a symbolic link, leads
}

// current returns the tail of the file that is at the path, or nil.
func (l *lineage) current() *tail {
	if n := len(l.tails); n > 0 && !l.tails[n-1].gone {
		return l.tails[n-1]
	}
	return nil
}

// encode returns what a restart needs to know.
func (l *lineage) encode() []byte {
	r := record{Files: make([]position, 0, len(l.saved)+len(l.tails)), Retired: l.retired}
	r.Files = append(r.Files, l.saved...)
	for _, t := range l.tails {
		r.Files = append(r.Files, t.position())
	}
	b, _ := json.Marshal(&r) // numbers and valid strings cannot fail
	return b
}

// retire remembers the position of a file that is done with, so that a copy of it
// is not taken for a new file.
func (l *lineage) retire(p position) {
	if p.Off == 0 {
		return
	}
	l.retired = append(l.retired, p)
	if n := len(l.retired); n > maxRetired {
		l.retired = slices.Delete(l.retired, 0, n-maxRetired)
	}
}

// insertBefore puts older in front of t, or at the end if t is not there.
func (l *lineage) insertBefore(t *tail, older ...*tail) {
	i := slices.Index(l.tails, t)
	if i < 0 {
		i = len(l.tails)
	}
	l.tails = slices.Insert(l.tails, i, older...)
}

// copied reports whether t, to be called name in dir (which ends in a slash), has
// the content of a file that this lineage has read or is reading and that rotation
// could give such a name; done, whether it has read that to its end.
func (l *lineage) copied(t *tail, size int64, dir, name string) (copied, done bool) {
	for _, o := range l.tails {
		if o.id == t.id || o.off == 0 || !sibling(dir, name, o.from, o.real) {
			continue
		}
		if p := o.position(); p.matches(t.f, size) || copying(o, t, size) {
			return true, false
		}
	}
	for _, p := range l.saved {
		if p.Off > 0 && sibling(dir, name, l.path, p.From, p.Real) && p.matches(t.f, size) {
			return true, false
		}
	}
	for _, p := range l.retired {
		if sibling(dir, name, l.path, p.From, p.Real) && p.matches(t.f, size) {
			return true, true
		}
	}
	return false, false
}

// sibling reports whether rotation of one of paths could make the file name in dir.
func sibling(dir, name string, paths ...string) bool {
	for _, path := range paths {
		if base, ok := strings.CutPrefix(path, dir); ok && rotatedName(base, name) {
			return true
		}
	}
	return false
}

// copying reports whether t, which has size bytes, is a copy of o that is being
// made: it ends as o goes on at that place.
func copying(o, t *tail, size int64) bool {
	if size >= o.off {
		return false
	}
	n := min(size, int64(lastSize))
	var a, b, c, d [lastSize]byte
	o.f.ReadAt(a[:n], size-n)
	t.f.ReadAt(b[:n], size-n)
	o.f.ReadAt(c[:n], 0)
	t.f.ReadAt(d[:n], 0)
	return a == b && c == d
}

// room is how many more rotated files may be opened.
func (l *lineage) room() int { return max(0, maxGone-len(l.tails)) }

// expired returns the rotated files that were read to their end and that nobody
// has written to for a while, or that are too many.
func (l *lineage) expired(now time.Time, linger time.Duration) []*tail {
	var list []*tail
	for i, t := range l.tails {
		if t.gone && t.eof && (now.Sub(t.quiet) >= linger || i < len(l.tails)-maxQuiet) {
			list = append(list, t)
		}
	}
	return list
}
