package hub

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// indexFile lists the items of a Hub.
const indexFile = ".index.json"

// maxIndex bounds the index; the Hub's has 4 MiB.
const maxIndex = 64 << 20

// indexEntry is what the index says of one item.
type indexEntry struct {
	Path        string `json:"path"`
	Stage       string `json:"stage"`
	Version     string `json:"version"`
	Description string `json:"description"`
	Content     string `json:"content"`
	Versions    map[string]struct {
		Digest string `json:"digest"`
	} `json:"versions"`
	Parsers       []string `json:"parsers"`
	Postoverflows []string `json:"postoverflows"`
	Scenarios     []string `json:"scenarios"`
	Contexts      []string `json:"contexts"`
	Collections   []string `json:"collections"`
}

// addHub adds the items of a Hub: those of its index, or where it has none, those
// in its folders.
func (c *Catalogue) addHub(files fs.FS) error {
	data, err := fs.ReadFile(files, indexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return c.walkHub(files)
	}
	if err != nil {
		return fmt.Errorf("opening hub: %w", err)
	}
	if len(data) > maxIndex {
		return fmt.Errorf("opening hub: %s is larger than %d MiB", indexFile, maxIndex>>20)
	}
	// Kinds that we do not know may have any form.
	var index map[string]json.RawMessage
	if err := json.Unmarshal(data, &index); err != nil {
		return fmt.Errorf("opening hub: reading %s: %w", indexFile, err)
	}
	for _, k := range kinds() {
		if len(index[string(k)]) == 0 {
			continue
		}
		var entries map[string]*indexEntry
		if err := json.Unmarshal(index[string(k)], &entries); err != nil {
			return fmt.Errorf("opening hub: reading %s of %s: %w", k, indexFile, err)
		}
		for name, e := range entries {
			if e != nil {
				c.add(e.item(k, name, files, c.hub))
			}
		}
	}
	return nil
}

func (e *indexEntry) item(k Kind, name string, files fs.FS, root string) *Item {
	i := &Item{Kind: k, Name: name, Path: path.Join(root, e.Path), Description: e.Description, Version: e.Version,
		Origin: Hub, files: files, file: path.Clean(e.Path), content: e.Content}
	if k.staged() {
		if i.Stage = e.Stage; i.Stage == "" {
			i.Stage = stageOf(e.Path)
		}
	}
	if k == Collections {
		i.Members = map[Kind][]string{Parsers: e.Parsers, Postoverflows: e.Postoverflows, Scenarios: e.Scenarios,
			Contexts: e.Contexts, Collections: e.Collections}
	}
	i.digests = make(map[string]string, len(e.Versions))
	// CrowdSec compatible: of versions with the same text the highest counts.
	for _, version := range slices.SortedFunc(maps.Keys(e.Versions), compareVersions) {
		i.digests[strings.ToLower(e.Versions[version].Digest)] = version
	}
	return i
}

// compareVersions compares numbers with dots between them; 0.10 comes after 0.9.
func compareVersions(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)) // no number begins with a zero
	})
}

// stageOf takes the stage out of a path such as parsers/s01-parse/author/x.yaml,
// which may begin anywhere.
func stageOf(file string) string {
	parts := strings.Split(path.Clean(file), "/")
	if len(parts) < 3 {
		return ""
	}
	return parts[len(parts)-3]
}

// walkHub adds the items in the folders of a Hub without an index. They have no
// versions.
func (c *Catalogue) walkHub(files fs.FS) error {
	there := false
	for _, k := range kinds() {
		if _, err := fs.Stat(files, string(k)); err == nil {
			there = true
		}
		pattern := string(k) + "/*/*.y*ml"
		if k.staged() {
			pattern = string(k) + "/*/*/*.y*ml"
		}
		names, err := fs.Glob(files, pattern)
		if err != nil {
			return fmt.Errorf("opening hub: %w", err)
		}
		for _, f := range names {
			if !isYAML(f) {
				continue
			}
			i := &Item{Kind: k, Path: path.Join(c.hub, f), Origin: Hub, files: files, file: f}
			if k.staged() {
				i.Stage = stageOf(f)
			}
			// What cannot be read has the name of its file, and shows when it is selected.
			if err := i.describe(path.Base(path.Dir(f)) + "/" + stem(f)); err == nil {
				c.add(i)
			}
		}
	}
	if !there {
		return fmt.Errorf("opening hub: %s has neither %s nor a folder parsers, scenarios or the like; name the folder of the Hub itself", c.hub, indexFile)
	}
	return nil
}

// describe fills in what the file says about itself. An item without a name gets
// the given one.
func (i *Item) describe(name string) error {
	i.Name = name
	data, err := i.Read()
	if err != nil {
		return err
	}
	var head struct {
		Name          string   `yaml:"name"`
		Description   string   `yaml:"description"`
		Parsers       []string `yaml:"parsers"`
		Postoverflows []string `yaml:"postoverflows"`
		Scenarios     []string `yaml:"scenarios"`
		Contexts      []string `yaml:"contexts"`
		Collections   []string `yaml:"collections"`
	}
	if yaml.NewDecoder(bytes.NewReader(data)).Decode(&head) != nil {
		return nil // loading it will say what is wrong
	}
	if head.Name != "" {
		i.Name = head.Name
	}
	i.Description = head.Description
	if i.Kind == Collections {
		i.Members = map[Kind][]string{Parsers: head.Parsers, Postoverflows: head.Postoverflows,
			Scenarios: head.Scenarios, Contexts: head.Contexts, Collections: head.Collections}
	}
	return nil
}
