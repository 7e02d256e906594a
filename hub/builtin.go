package hub

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

// builtinAuthor is the author part of the names of what ships with Rampart.
const builtinAuthor = "rampart/"

// addBuiltin adds what ships with Rampart: the parsers, the scenarios, and a
// collection for each folder of scenarios, which has all parsers as well.
func (c *Catalogue) addBuiltin() error {
	names, err := c.addEmbedded(Parsers, parsers.Builtin())
	if err != nil {
		return err
	}
	var all []string
	for _, dir := range slices.Sorted(maps.Keys(names)) {
		all = append(all, names[dir]...)
	}
	if names, err = c.addEmbedded(Scenarios, scenarios.Builtin()); err != nil {
		return err
	}
	for dir, list := range names {
		c.add(&Item{Kind: Collections, Name: builtinAuthor + dir, Path: "builtin:" + dir, Origin: Builtin,
			Members: map[Kind][]string{Parsers: slices.Clone(all), Scenarios: list}})
	}
	return nil
}

// addEmbedded adds the files of content and returns their names by folder.
func (c *Catalogue) addEmbedded(k Kind, content fs.FS) (map[string][]string, error) {
	files, err := fs.Glob(content, "*/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("reading built-in %s: %w", k, err)
	}
	names := map[string][]string{}
	for _, f := range files {
		i := &Item{Kind: k, Path: "builtin:" + f, Origin: Builtin, files: content, file: f}
		if k.staged() {
			i.Stage = path.Dir(f)
		}
		if err := i.describe(builtinAuthor + stem(f)); err != nil {
			return nil, err
		}
		c.add(i)
		names[path.Dir(f)] = append(names[path.Dir(f)], i.Name)
	}
	return names, nil
}

// builtins returns the names of the built-in items of a kind, sorted.
func (c *Catalogue) builtins(k Kind) []string {
	var names []string
	for name, i := range c.items[k] {
		if i.Origin == Builtin {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
