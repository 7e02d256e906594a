package hub

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/rampart-edge/rampart/expression"
)

// Data is the folder with the data files of items. It is laid out by the URL paths
// of its files, or flat as CrowdSec's, or otherwise: files are found by name.
type Data struct {
	dir   string
	files fs.FS // nil: none

	once  sync.Once
	names map[string]string // file name → first path
}

func newData(dir string) *Data {
	d := &Data{dir: dir}
	if dir != "" {
		d.files = os.DirFS(dir)
	}
	return d
}

// check finds out early that the folder is not there.
func (d *Data) check() error {
	if d.dir == "" {
		return nil
	}
	if info, err := os.Stat(d.dir); err != nil {
		return fmt.Errorf("opening data: %w", err)
	} else if !info.IsDir() {
		return fmt.Errorf("opening data: %s is no folder", d.dir)
	}
	return nil
}

// Open implements fs.FS.
func (d *Data) Open(name string) (fs.File, error) {
	if d.files == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return d.files.Open(name)
}

// Find returns where below the folder the file of an entry is: at the path of its
// URL, at its dest_file, or where a file has the name that either ends in. An
// entry without a file gives its dest_file, so that reading it says what is
// missing.
func (d *Data) Find(f expression.DataFile) string {
	remote := ""
	if u, err := url.Parse(f.SourceURL); err == nil {
		remote = strings.TrimPrefix(path.Clean("/"+u.Path), "/")
	}
	for _, p := range [...]string{remote, f.DestFile} {
		if d.has(p) {
			return p
		}
	}
	d.once.Do(d.list)
	for _, p := range [...]string{remote, f.DestFile} {
		if found, ok := d.names[path.Base(p)]; ok && p != "" {
			return found
		}
	}
	return f.DestFile
}

// Has reports whether the file of an entry is there.
func (d *Data) Has(f expression.DataFile) bool { return d.has(d.Find(f)) }

func (d *Data) has(name string) bool {
	if d.files == nil || name == "" || !fs.ValidPath(name) {
		return false
	}
	info, err := fs.Stat(d.files, name)
	return err == nil && info.Mode().IsRegular()
}

// list notes where each file name is; the path with the fewest folders wins, then
// the first.
func (d *Data) list() {
	d.names = map[string]string{}
	if d.files == nil {
		return
	}
	var all []string
	_ = fs.WalkDir(d.files, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			if e != nil && e.IsDir() {
				return fs.SkipDir // of what cannot be read nothing is found
			}
			return nil
		}
		if e.Type().IsRegular() || e.Type()&fs.ModeSymlink != 0 {
			all = append(all, p)
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b string) int { return strings.Count(a, "/") - strings.Count(b, "/") })
	for _, p := range all {
		if _, dup := d.names[path.Base(p)]; !dup {
			d.names[path.Base(p)] = p
		}
	}
}
