package hub

import (
	"path/filepath"
	"slices"
)

// Files returns the paths of all files that the content came from, sorted: those of
// items and collections, the data files that they declare, and the index. A
// change of one of them may change what the selection amounts to; so may a file
// that is not there yet.
func (c *Content) Files() []string {
	list := slices.Clone(c.sources)
	for _, f := range c.files {
		if c.data.dir != "" {
			list = append(list, filepath.Join(c.data.dir, filepath.FromSlash(c.data.Find(f.file))))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Where returns the path of the file that an item of the content came from, by the
// path that the item has for its loader.
func (c *Content) Where(path string) string {
	if i, ok := c.paths[path]; ok {
		return i.Path
	}
	return path
}
