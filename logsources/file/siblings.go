package file

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxSiblings bounds how many rotated files of one path are looked into: the newest.
const maxSiblings = 10000

// rotatedName reports whether name is what rotation would call an older file of
// base: base.1, base-20260102, base.old (logrotate, newsyslog), and for base
// app.log also app.1.log and app-2026-01-02T03-04-05.000.log (logrotate's
// "extension", lumberjack). Compressed files are not meant.
func rotatedName(base, name string) bool {
	if rest, ok := strings.CutPrefix(name, base); ok && rotationMark(rest) {
		return true
	}
	ext := filepath.Ext(base)
	stem := strings.TrimSuffix(base, ext)
	if ext == "" || stem == "" {
		return false
	}
	rest, ok := strings.CutPrefix(name, stem)
	if !ok {
		return false
	}
	rest, ok = strings.CutSuffix(rest, ext)
	return ok && rotationMark(rest)
}

// rotationMark reports whether s is what rotation adds to a name: a separator
// and then a number, a date or a word for "former".
func rotationMark(s string) bool {
	if len(s) < 2 || !strings.ContainsRune(".-_", rune(s[0])) {
		return false
	}
	switch s = s[1:]; s {
	case "old", "bak", "prev", "0":
		return true
	}
	if s[0] < '0' || s[0] > '9' {
		return false
	}
	return strings.Trim(s, "0123456789-_.:TZ") == ""
}

// compressed reports whether path has the name of an archive, which can be no
// file that someone appends lines to.
func compressed(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma", ".z", ".zip", ".7z":
		return true
	}
	return false
}

// candidate is a file that may be an older generation of a path.
type candidate struct {
	path string
	info info
}

// siblings lists the rotated files of the given paths, oldest change first. What
// cannot be read is left out.
func siblings(paths ...string) []candidate {
	var list []candidate
	for i, path := range paths {
		if path == "" || slices.Contains(paths[:i], path) {
			continue
		}
		dir, base := filepath.Split(path)
		entries, _ := os.ReadDir(filepath.Clean(dir))
		for _, e := range entries {
			if !rotatedName(base, e.Name()) || compressed(e.Name()) {
				continue
			}
			s := candidate{path: filepath.Join(dir, e.Name())}
			var err error
			if s.info, err = look(s.path); err == nil && s.info.mode.IsRegular() {
				list = append(list, s)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return a.info.mtime.Compare(b.info.mtime) })
	if len(list) > maxSiblings {
		list = list[len(list)-maxSiblings:]
	}
	return list
}
