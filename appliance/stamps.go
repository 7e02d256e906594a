package appliance

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// stamps tell the states of files apart, by path; a missing one has a nil.
type stamps map[string]fs.FileInfo

// stampsOf looks at every file that the configuration names or has in a folder
// that it names, and at further files.
func stampsOf(c Config, further []string) stamps {
	out := stamps{}
	for _, p := range slices.Concat(c.Scenarios, c.Contexts) {
		out.folder(p, ".")
	}
	for _, dir := range slices.Concat(c.Parsers, c.Postoverflows) {
		out.folder(dir, "*")
	}
	for _, p := range [...]string{c.Profiles, c.Simulation.File} {
		if p != "" {
			out.add(p)
			out.add(p + ".local")
		}
	}
	if c.Notifications != "" {
		out.folder(c.Notifications, ".")
	}
	for _, p := range append([]string{c.GeoIP.City, c.GeoIP.ASN, c.credentials()}, further...) {
		if p != "" {
			out.add(p)
		}
	}
	return out
}

// folder adds the YAML files of a folder's subfolders, or those in itself. One
// without any, and what is no folder, stands for itself.
func (s stamps) folder(p, subfolders string) {
	found := false
	for _, ending := range []string{"*.yaml", "*.yml"} {
		files, err := fs.Glob(os.DirFS(p), pathOf(subfolders, ending))
		if err != nil {
			continue
		}
		for _, f := range files {
			if !strings.HasPrefix(filepath.Base(f), ".") {
				found = true
				s.add(filepath.Join(p, f))
			}
		}
	}
	if found {
		return
	}
	if info, err := os.Stat(p); err != nil || !info.IsDir() {
		s.add(p)
	} else {
		s[p] = nil // its own time changes with files that are none of ours
	}
}

func pathOf(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}

func (s stamps) add(file string) {
	info, err := os.Stat(file)
	if err != nil {
		info = nil
	}
	s[file] = info
}

// equal reports whether nothing was changed, replaced, added or taken away.
func (s stamps) equal(o stamps) bool { return maps.EqualFunc(s, o, sameStamp) }

func sameStamp(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode() && os.SameFile(a, b)
}
