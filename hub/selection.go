package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/spelling"
)

// Selection says which items to load, by name (crowdsecurity/sshd-logs) or by
// path of a YAML file, relative to the Hub or to where the program runs.
// Collections bring their members, and those of the collections in them.
type Selection struct {
	Collections   []string
	Parsers       []string
	Postoverflows []string
	Scenarios     []string
	Contexts      []string
	// Local adds everything that Options.Local named.
	Local bool
	// Builtin adds the built-in parsers, which built-in collections bring by
	// themselves. Those whose work a selected parser of the Hub does are left out.
	Builtin bool
}

// names returns what is asked for of a kind.
func (s *Selection) names(k Kind) []string {
	switch k {
	case Parsers:
		return s.Parsers
	case Postoverflows:
		return s.Postoverflows
	case Scenarios:
		return s.Scenarios
	case Contexts:
		return s.Contexts
	}
	return s.Collections
}

// Select reads the items that s asks for, in the order in which they take effect.
// Content has all that could be read; the error joins a *Problem for each item
// that could not, unknown names among them.
func (c *Catalogue) Select(s Selection) (*Content, error) {
	p := picking{c: c, seen: map[string]bool{}}
	for _, k := range kinds() {
		for _, name := range s.names(k) {
			if name != "" { // CrowdSec compatible: an empty name in a list is none
				p.pick(k, name, nil)
			}
		}
	}
	if s.Builtin {
		for _, name := range c.builtins(Parsers) {
			p.pick(Parsers, name, nil)
		}
	}
	if s.Local {
		for _, i := range c.local {
			p.take(i)
		}
	}
	p.items = replaceBuiltins(p.items)
	content, problems := newContent(c, p.items)
	content.sources = p.sources()
	return content, join(append(p.problems, problems...))
}

// picking is one Select under way.
type picking struct {
	c        *Catalogue
	seen     map[string]bool // kind and path
	items    []*Item
	problems []*Problem
	// collections are the files of those picked.
	collections []string
}

// pick takes the item of a name; in is the collection that lists it, nil for none.
func (p *picking) pick(k Kind, name string, in *Item) {
	i, err := p.c.resolve(k, name)
	if err != nil {
		pr := &Problem{Kind: k, Name: name, Err: err}
		if in != nil {
			pr.Path, pr.Err = in.Path, fmt.Errorf("collection %s lists it: %w", in.Name, err)
		}
		p.problems = append(p.problems, pr)
		return
	}
	p.take(i)
}

func (p *picking) take(i *Item) {
	key := string(i.Kind) + "\x00" + i.Path
	if p.seen[key] {
		return // also ends collections that list each other
	}
	p.seen[key] = true
	if i.Kind != Collections {
		p.items = append(p.items, i)
		return
	}
	if i.Origin != Builtin {
		p.collections = append(p.collections, i.Path)
	}
	for _, k := range kinds() {
		for _, name := range i.Members[k] {
			p.pick(k, name, i)
		}
	}
}

// sources returns the paths of what was picked, and of the index it was found in.
func (p *picking) sources() []string {
	var list []string
	if p.c.hub != "" {
		list = append(list, filepath.Join(p.c.hub, indexFile))
	}
	for _, i := range p.items {
		if i.Origin != Builtin {
			list = append(list, i.Path)
		}
	}
	return append(list, p.collections...)
}

// resolve finds an item by name or path.
func (c *Catalogue) resolve(k Kind, name string) (*Item, error) {
	if i, ok := c.items[k][name]; ok {
		return i, nil
	}
	if isYAML(name) {
		dirs := []string{""}
		if c.hub != "" && !filepath.IsAbs(name) {
			dirs = []string{c.hub, ""}
		}
		i, err := c.fromFile(k, name, dirs)
		if !errors.Is(err, fs.ErrNotExist) {
			return i, err
		}
		return nil, fmt.Errorf("there is no file %s", name)
	}
	return nil, errors.New("there is none of this name" + guess(name, maps.Keys(c.items[k])))
}

// fromFile finds the item at a path relative to one of dirs. One that the Hub has
// there is the Hub's item; any other is the operator's own.
func (c *Catalogue) fromFile(k Kind, name string, dirs []string) (*Item, error) {
	for _, dir := range dirs {
		full, err := filepath.Abs(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(full); err != nil || info.IsDir() {
			continue
		}
		if rel, ok := strings.CutPrefix(full, c.hub+string(filepath.Separator)); ok && c.hub != "" {
			if i, known := c.byFile[filepath.ToSlash(rel)]; known && i.Kind == k {
				return i, nil
			}
		}
		i, err := localItem(k, filepath.Dir(full), filepath.Base(full))
		if err != nil {
			return nil, err
		}
		if k.staged() {
			i.Stage = localStage(filepath.ToSlash(full))
		}
		return i, nil
	}
	return nil, fs.ErrNotExist
}

// localStage is the stage of a file in <stage>/<file> or <stage>/<author>/<file>.
func localStage(full string) string {
	parent := path.Base(path.Dir(full))
	if stageName(parent) {
		return parent
	}
	return stageOf(full)
}

// stageName reports whether a folder is named as stages are: s, two digits, a dash.
func stageName(s string) bool {
	return len(s) > 4 && s[0] == 's' && digit(s[1]) && digit(s[2]) && s[3] == '-'
}

func digit(b byte) bool { return b >= '0' && b <= '9' }

// guess asks whether someone meant another name; it is empty where none is near.
func guess(name string, have iter.Seq[string]) string {
	if near := nearest(name, have); len(near) > 0 {
		return "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return ""
}

// nearest returns at most three names that someone may have meant: those of other
// authors, else those that are written alike.
func nearest(name string, known iter.Seq[string]) []string {
	var same []string
	for have := range known {
		if path.Base(have) == path.Base(name) {
			same = append(same, have)
		}
	}
	if len(same) == 0 {
		return spelling.Near(name, known)
	}
	slices.Sort(same)
	return same[:min(len(same), 3)]
}
