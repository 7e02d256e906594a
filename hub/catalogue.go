package hub

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// LocalPaths are the operator's own items. Parsers and Postoverflows are folders
// with <stage>/<file>; Scenarios and Contexts are files, or folders of files.
type LocalPaths struct {
	Parsers       []string
	Postoverflows []string
	Scenarios     []string
	Contexts      []string
}

// Options say where items are. All may be left out.
type Options struct {
	Hub   string     // folder of a Hub, with or without .index.json
	Data  string     // folder with the data files of items
	Local LocalPaths // the operator's own
}

// Catalogue is all items that there are, by kind and name.
type Catalogue struct {
	hub    string // absolute; "" none
	data   *Data
	items  map[Kind]map[string]*Item
	byFile map[string]*Item // items of the Hub by their path in it
	local  []*Item
}

// Open reads what there is. A folder that cannot be read at all is an error; what
// is wrong with single items shows when they are selected.
func Open(o Options) (*Catalogue, error) {
	c := &Catalogue{items: map[Kind]map[string]*Item{}, byFile: map[string]*Item{}, data: newData(o.Data)}
	for _, k := range kinds() {
		c.items[k] = map[string]*Item{}
	}
	errs := []error{c.data.check(), c.addBuiltin(), c.addLocal(o.Local)}
	if o.Hub != "" {
		dir, err := filepath.Abs(o.Hub)
		if err != nil {
			return nil, fmt.Errorf("opening hub: %w", err)
		}
		if info, err := os.Stat(dir); err != nil {
			errs = append(errs, fmt.Errorf("opening hub: %w", err))
		} else if !info.IsDir() {
			errs = append(errs, fmt.Errorf("opening hub: %s is no folder", o.Hub))
		} else {
			c.hub = dir
			errs = append(errs, c.addHub(os.DirFS(dir)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// add puts an item in, unless one of its name is there already.
func (c *Catalogue) add(i *Item) {
	if i.Origin == Hub {
		c.byFile[i.file] = i
	}
	if i.Origin == Local {
		c.local = append(c.local, i)
	}
	if _, taken := c.items[i.Kind][i.Name]; !taken {
		c.items[i.Kind][i.Name] = i
	}
}

// Items returns the items of a kind, sorted by name.
func (c *Catalogue) Items(k Kind) []Item {
	list := make([]Item, 0, len(c.items[k]))
	for _, i := range c.items[k] {
		list = append(list, *i)
	}
	slices.SortFunc(list, func(a, b Item) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Find returns the item of a name.
func (c *Catalogue) Find(k Kind, name string) (Item, bool) {
	i, ok := c.items[k][name]
	if !ok {
		return Item{}, false
	}
	return *i, true
}

// Hub returns the absolute path of the Hub's folder, "" where there is none.
func (c *Catalogue) Hub() string { return c.hub }

// Data returns the data files of the items.
func (c *Catalogue) Data() *Data { return c.data }
