package hub

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Kind is what an item is; its text is the name of the folder in a Hub.
type Kind string

// The kinds.
const (
	Parsers       Kind = "parsers"
	Postoverflows Kind = "postoverflows"
	Scenarios     Kind = "scenarios"
	Contexts      Kind = "contexts"
	Collections   Kind = "collections"
)

// kinds returns all of them, those that collections list first.
func kinds() [5]Kind { return [...]Kind{Parsers, Postoverflows, Scenarios, Contexts, Collections} }

// staged reports whether items of the kind lie in stages.
func (k Kind) staged() bool { return k == Parsers || k == Postoverflows }

// singular is the kind as one says it of one item.
func (k Kind) singular() string { return strings.TrimSuffix(string(k), "s") }

// Origin is where an item came from. Names are looked up in this order.
type Origin string

// The origins.
const (
	Builtin Origin = "builtin" // ships with Rampart
	Local   Origin = "local"   // the operator's own
	Hub     Origin = "hub"
)

// maxContent is the largest item file read, in bytes.
const maxContent = 4 << 20

// Item is one file of the catalogue.
type Item struct {
	Kind        Kind
	Name        string // author/name
	Stage       string // of parsers and postoverflows: "s01-parse"
	Path        string // for people: where the file is
	Description string
	// Version is the newest one that the Hub's index knows; "" for all that no index
	// lists. Content tells that of the file as it is.
	Version string
	Origin  Origin
	// Members are what a collection lists, by kind, in its order.
	Members map[Kind][]string

	files   fs.FS  // where Read finds file; nil: nowhere
	file    string // below files
	digests map[string]string
	content string // of the index, for a file that is not there
}

// Read returns what the file says now. CrowdSec compatible: where only the index
// of a Hub is there, that has the content, in base64 or as it is.
func (i Item) Read() ([]byte, error) {
	data, err := readBounded(i.files, i.file)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || i.content == "" {
		if err != nil {
			err = fmt.Errorf("reading %s %s: %w", i.Kind.singular(), i.Name, err)
		}
		return data, err
	}
	if data, err := base64.StdEncoding.DecodeString(i.content); err == nil {
		return data, nil
	}
	return []byte(i.content), nil
}

func readBounded(files fs.FS, name string) ([]byte, error) {
	if files == nil {
		return nil, fs.ErrNotExist
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxContent+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxContent {
		return nil, fmt.Errorf("%s is larger than the %d MiB that an item may have", name, maxContent>>20)
	}
	return data, nil
}

// installed is the path of an item relative to where CrowdSec would install it.
// It orders parsers: stage first, then the file's own name, whoever wrote it.
func (i Item) installed() string { return i.Stage + "/" + path.Base(i.file) }

func isYAML(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// stem is the name of a file without its folder and ending.
func stem(name string) string {
	base := path.Base(name)
	return strings.TrimSuffix(base, path.Ext(base))
}
