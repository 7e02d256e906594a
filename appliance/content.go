package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

// collectionPrefix is the author part of the built-in collections' names.
const collectionPrefix = "rampart/"

// none is the collection that holds nothing.
const none = "none"

// maxContent is the largest YAML file read, in bytes.
const maxContent = 4 << 20

// CollectionNames returns the names of the built-in collections, sorted.
func CollectionNames() []string {
	entries, err := fs.ReadDir(scenarios.Builtin(), ".")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, collectionPrefix+e.Name())
		}
	}
	slices.Sort(names)
	return names
}

// builtinScenarios returns the items of the named collections.
func builtinScenarios(names []string) ([]scenarios.Item, error) {
	var items []scenarios.Item
	var errs []error
	content := scenarios.Builtin()
	for _, name := range names {
		dir, ok := strings.CutPrefix(name, collectionPrefix)
		files, err := fs.Glob(content, path.Join(dir, "*.yaml"))
		if !ok || err != nil || len(files) == 0 {
			errs = append(errs, fmt.Errorf("collection %q is unknown; known are %s", name,
				strings.Join(CollectionNames(), ", ")))
			continue
		}
		for _, f := range files {
			data, err := fs.ReadFile(content, f)
			if err != nil {
				return nil, fmt.Errorf("reading built-in scenario %s: %w", f, err)
			}
			items = append(items, scenarios.Item{Path: "builtin:" + f, Data: data})
		}
	}
	return items, errors.Join(errs...)
}

// ownScenarios reads the operator's scenario files; a directory stands for the
// YAML files in it.
func ownScenarios(paths []string) ([]scenarios.Item, error) {
	var items []scenarios.Item
	var errs []error
	for _, p := range paths {
		files, err := yamlFiles(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading scenarios: %w", err))
		}
		for _, f := range files {
			data, err := readContent(f)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			items = append(items, scenarios.Item{Path: f, Data: data, Own: true})
		}
	}
	return items, errors.Join(errs...)
}

func yamlFiles(p string) ([]string, error) {
	info, err := os.Stat(p)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{p}, nil
	}
	entries, err := os.ReadDir(p)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if !e.IsDir() && (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(p, e.Name()))
		}
	}
	return files, nil
}

func readContent(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	if info.Size() > maxContent {
		return nil, fmt.Errorf("reading %s: %d bytes are more than the %d allowed", file, info.Size(), maxContent)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return data, nil
}

// parserItems returns the built-in parsers and the operator's, which are laid
// out as <stage>/<file>.yaml below each directory.
func parserItems(dirs []string) ([]parsers.Item, error) {
	items, err := itemsBelow(parsers.Builtin(), "builtin:")
	if err != nil {
		return nil, fmt.Errorf("reading built-in parsers: %w", err)
	}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("reading parsers: %w", err)
		} else if !info.IsDir() {
			return nil, fmt.Errorf("reading parsers: %s is no directory; parsers are <stage>/<file>.yaml below one", dir)
		}
		own, err := itemsBelow(os.DirFS(dir), dir+string(filepath.Separator))
		if err != nil {
			return nil, fmt.Errorf("reading parsers in %s: %w", dir, err)
		}
		items = append(items, own...)
	}
	return items, nil
}

// parserFiles are the parsers below a directory.
func parserFiles(content fs.FS) ([]string, error) {
	files, err := fs.Glob(content, "*/*.yaml")
	if err != nil {
		return nil, err
	}
	short, err := fs.Glob(content, "*/*.yml")
	return append(files, short...), err
}

func itemsBelow(content fs.FS, prefix string) ([]parsers.Item, error) {
	files, err := parserFiles(content)
	if err != nil {
		return nil, err
	}
	items := make([]parsers.Item, 0, len(files))
	for _, f := range files {
		data, err := fs.ReadFile(content, f)
		if err != nil {
			return nil, err
		}
		items = append(items, parsers.Item{Path: prefix + f, Stage: path.Dir(f), Data: data})
	}
	return items, nil
}

// loadScenarios compiles items; it returns all good ones and every error.
func loadScenarios(items []scenarios.Item, env *expression.Env) ([]*scenarios.Scenario, error) {
	var list []*scenarios.Scenario
	var errs []error
	for _, it := range items {
		good, err := scenarios.Load(it, env)
		list = append(list, good...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return list, errors.Join(errs...)
}
