package hub

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

// Content is a selection of items, read and in order. Items may be added before
// it is compiled.
type Content struct {
	Parsers       []parsers.Item
	Postoverflows []parsers.Item
	Scenarios     []scenarios.Item
	Contexts      []scenarios.ContextItem
	// Items are those that were read, with the version of the file as it is: "?" where
	// its Hub knows no such version of it.
	Items []Item

	data  *Data
	paths map[string]Item // by the path that the loaders of items know
	files []declared
	// sources are the files of items and collections, and the index.
	sources []string
}

// declared is a data file of an item.
type declared struct {
	item Item
	file expression.DataFile
}

// newContent reads items. CrowdSec compatible: parsers run by stage, then by file
// name. Its scenarios have no order; ours go by name, since order tells whose
// bucket it is when two scenarios are called the same.
func newContent(c *Catalogue, items []*Item) (*Content, []*Problem) {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b *Item) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Path, b.Path))
	})
	content := &Content{data: c.data, paths: map[string]Item{}}
	var problems []*Problem
	for _, i := range items {
		data, err := i.Read()
		if err != nil {
			problems = append(problems, &Problem{Kind: i.Kind, Name: i.Name, Path: i.Path, Err: err})
			continue
		}
		content.put(*i, data)
	}
	byOrder := func(a, b parsers.Item) int {
		return cmp.Or(strings.Compare(a.Stage, b.Stage), strings.Compare(a.Path, b.Path))
	}
	slices.SortStableFunc(content.Parsers, byOrder)
	slices.SortStableFunc(content.Postoverflows, byOrder)
	return content, problems
}

// put adds one item with what its file says.
func (c *Content) put(i Item, data []byte) {
	i.Version = i.versionOf(data)
	c.Items = append(c.Items, i)
	for _, f := range dataFiles(data) {
		c.files = append(c.files, declared{i, f})
	}
	switch i.Kind {
	case Parsers, Postoverflows:
		// Stage and file name first: they order the nodes. Items that agree in both, the
		// built-in one comes last.
		p := i.installed() + " (" + i.Path + ")"
		c.paths[p] = i
		item := parsers.Item{Path: p, Stage: i.Stage, Data: data}
		if i.Kind == Parsers {
			c.Parsers = append(c.Parsers, item)
		} else {
			c.Postoverflows = append(c.Postoverflows, item)
		}
	case Scenarios:
		c.paths[i.Path] = i
		c.Scenarios = append(c.Scenarios, scenarios.Item{Path: i.Path, Data: data, Own: i.Origin == Local, Version: i.Version})
	case Contexts:
		c.paths[i.Path] = i
		c.Contexts = append(c.Contexts, scenarios.ContextItem{Path: i.Path, Data: data})
	case Collections:
	}
}

// versionOf is the version whose digest data has. CrowdSec compatible: "?" for a
// changed file of a Hub, which works like any other.
func (i *Item) versionOf(data []byte) string {
	if len(i.digests) == 0 {
		return ""
	}
	sum := sha256.Sum256(data)
	if v, ok := i.digests[hex.EncodeToString(sum[:])]; ok {
		return v
	}
	return "?"
}

// dataFiles returns what the documents of an item declare under data.
func dataFiles(data []byte) []expression.DataFile {
	if !bytes.Contains(data, []byte("dest_file")) {
		return nil
	}
	var list []expression.DataFile
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc struct {
			Data []expression.DataFile `yaml:"data"`
		}
		if err := dec.Decode(&doc); err != nil {
			return list // the end, or a fault that loading the item reports
		}
		for _, f := range doc.Data {
			if f.DestFile != "" {
				list = append(list, f)
			}
		}
	}
}
