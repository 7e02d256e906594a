package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// addLocal adds the operator's own items.
func (c *Catalogue) addLocal(l LocalPaths) error {
	var errs []error
	for _, k := range [...]Kind{Parsers, Postoverflows} {
		dirs := l.Parsers
		if k == Postoverflows {
			dirs = l.Postoverflows
		}
		for _, dir := range dirs {
			errs = append(errs, c.addStages(k, dir))
		}
	}
	for _, p := range l.Scenarios {
		errs = append(errs, c.addFiles(Scenarios, p))
	}
	for _, p := range l.Contexts {
		errs = append(errs, c.addFiles(Contexts, p))
	}
	return errors.Join(errs...)
}

// addStages adds <stage>/<file> below dir.
func (c *Catalogue) addStages(k Kind, dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("reading %s: %w", k, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("reading %s: %s is no folder; %s are <stage>/<file>.yaml below one", k, dir, k)
	}
	files := os.DirFS(dir)
	found, err := fs.Glob(files, "*/*.y*ml")
	if err != nil {
		return fmt.Errorf("reading %s in %s: %w", k, dir, err)
	}
	for _, f := range found {
		if strings.HasPrefix(path.Base(f), ".") || !isYAML(f) {
			continue
		}
		i, err := localItem(k, dir, f)
		if err != nil {
			return err
		}
		i.Stage = path.Dir(f)
		c.add(i)
	}
	return nil
}

// addFiles adds a file, or the files of a folder.
func (c *Catalogue) addFiles(k Kind, p string) error {
	info, err := os.Stat(p)
	if err != nil {
		return fmt.Errorf("reading %s: %w", k, err)
	}
	dir, found := filepath.Dir(p), []string{filepath.Base(p)}
	if info.IsDir() {
		entries, err := os.ReadDir(p)
		if err != nil {
			return fmt.Errorf("reading %s: %w", k, err)
		}
		dir, found = p, nil
		for _, e := range entries {
			if !e.IsDir() && isYAML(e.Name()) && !strings.HasPrefix(e.Name(), ".") {
				found = append(found, e.Name())
			}
		}
	}
	for _, f := range found {
		i, err := localItem(k, dir, f)
		if err != nil {
			return err
		}
		c.add(i)
	}
	return nil
}

func localItem(k Kind, dir, file string) (*Item, error) {
	i := &Item{Kind: k, Path: filepath.Join(dir, file), Origin: Local, files: os.DirFS(dir), file: file}
	if err := i.describe(stem(file)); err != nil {
		return nil, err
	}
	return i, nil
}
