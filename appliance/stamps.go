package appliance

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

// stamps tell the states of files apart, by path; a missing one has a nil.
type stamps map[string]fs.FileInfo

// stampsOf looks at every file that the configuration names.
func stampsOf(c Config) stamps {
	out := stamps{}
	for _, p := range c.Scenarios {
		files, err := yamlFiles(p)
		if err != nil {
			out[p] = nil
		}
		for _, f := range files {
			out.add(f)
		}
	}
	if c.Profiles != "" {
		out.add(c.Profiles)
	}
	for _, dir := range c.Parsers {
		files, err := parserFiles(os.DirFS(dir))
		if err != nil || len(files) == 0 {
			out[dir] = nil
		}
		for _, f := range files {
			out.add(filepath.Join(dir, f))
		}
	}
	return out
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
