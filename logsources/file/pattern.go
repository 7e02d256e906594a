package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxWatched bounds how many directories one source watches; the rest is polled.
const maxWatched = 4096

// pattern is an absolute glob pattern, split at its slashes.
type pattern struct {
	text  string
	root  string
	parts []string
}

// newPattern compiles text, made absolute by the working directory.
func newPattern(text string) (pattern, error) {
	if text == "" {
		return pattern{}, errors.New("a file pattern is empty: give a path such as /var/log/auth.log")
	}
	abs, err := filepath.Abs(text)
	if err != nil {
		return pattern{}, fmt.Errorf("making %s absolute: %w", text, err)
	}
	if _, err := filepath.Match(abs, ""); err != nil {
		return pattern{}, fmt.Errorf("reading file pattern %s: %w (an unclosed bracket?)", text, err)
	}
	root := filepath.VolumeName(abs) + string(filepath.Separator)
	rest := strings.TrimPrefix(abs, root)
	return pattern{text: abs, root: root, parts: strings.Split(rest, string(filepath.Separator))}, nil
}

func meta(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// walk is what one expansion of patterns found.
type walk struct {
	paths []string // of whatever matches, not looked at yet
	dirs  []string // to watch: where a new match would show first
	errs  []error  // directories that may not be read
}

// expand adds what p matches now.
func (w *walk) expand(p *pattern) { w.descend(p.root, p.parts) }

func (w *walk) descend(dir string, parts []string) {
	name, last := parts[0], len(parts) == 1
	if !meta(name) {
		path := filepath.Join(dir, name)
		_, err := os.Stat(path)
		switch {
		case last:
			w.watch(dir)
			if err == nil || errors.Is(err, fs.ErrPermission) {
				w.paths = append(w.paths, path)
			}
		case err == nil:
			w.descend(path, parts[1:])
		default:
			w.fail(err)
			w.watch(dir)
		}
		return
	}
	w.watch(dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		w.fail(err)
	}
	for _, e := range entries {
		if ok, _ := filepath.Match(name, e.Name()); !ok {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if last {
			w.paths = append(w.paths, path)
		} else if e.IsDir() || e.Type()&fs.ModeSymlink != 0 && isDir(path) {
			w.descend(path, parts[1:])
		}
	}
}

func (w *walk) watch(dir string) {
	if len(w.dirs) < maxWatched {
		w.dirs = append(w.dirs, dir)
	}
}

// fail keeps err unless it only says that something is not there yet.
func (w *walk) fail(err error) {
	if !errors.Is(err, fs.ErrNotExist) && len(w.errs) < maxTroubles {
		w.errs = append(w.errs, fmt.Errorf("searching for log files: %w: make the directory readable and searchable for the user that runs rampart", err))
	}
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// touches reports whether something that happens to the file or directory at
// path may change what p matches.
func (p *pattern) touches(path string) bool {
	rest, ok := strings.CutPrefix(path, p.root)
	if !ok {
		return false
	}
	parts := strings.Split(rest, string(filepath.Separator))
	if len(parts) > len(p.parts) {
		return false
	}
	for i, part := range parts {
		if ok, _ := filepath.Match(p.parts[i], part); !ok {
			return false
		}
	}
	return true
}
