package expression

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// maxDataFile bounds a data file, in bytes.
	maxDataFile = 64 << 20
	// regexpCacheSize is the number of results kept where a cache gives no size.
	regexpCacheSize = 50
)

// ErrNoDataFile is wrapped by the error of AddData for a file that is not there.
var ErrNoDataFile = errors.New("data file does not exist")

// DataFile is an entry of the data list of a Hub item.
type DataFile struct {
	SourceURL string        `yaml:"source_url,omitempty"`
	DestFile  string        `yaml:"dest_file,omitempty"`
	Type      string        `yaml:"type,omitempty"` // "", string, regexp, regex, map
	Cache     *bool         `yaml:"cache,omitempty"`
	Strategy  string        `yaml:"strategy,omitempty"` // LRU, LFU, ARC
	Size      int           `yaml:"size,omitempty"`
	TTL       time.Duration `yaml:"ttl,omitempty"`
}

// dataFile is a file as the functions use it. It is immutable but for the cache.
type dataFile struct {
	kind     string // string, regexp, map
	lines    any    // []string, boxed once: functions return it without allocating
	patterns []*regexp.Regexp
	results  *cache[bool] // of patterns; nil: no cache
	rows     *rows
}

// AddData loads a data file. An entry without a type is a file for something
// else and is not read. CrowdSec compatible: the first entry for a file counts,
// later ones do nothing.
//
// The error of a file that is not there wraps ErrNoDataFile; functions then
// answer as if it were empty. Where single lines are bad, the error joins one for
// each, and the others are in force.
func (e *Env) AddData(d DataFile) error {
	kind := d.Type
	switch kind {
	case "":
		return nil
	case "regex":
		kind = "regexp"
	case "string", "regexp", "map":
	default:
		return fmt.Errorf("loading data file %s: unknown type %q: use string, regexp or map", d.DestFile, d.Type)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.registry.Load()
	if old.files[d.DestFile] != nil {
		return nil
	}
	data, err := e.readData(d.DestFile)
	if err != nil {
		return err
	}
	f, err := newDataFile(kind, d.DestFile, data)
	if d.Type == "regexp" && (d.Cache == nil || *d.Cache) && (d.Strategy != "" || d.Size != 0 || d.TTL != 0) {
		size := d.Size
		if size <= 0 {
			size = regexpCacheSize
		}
		f.results = newCache[bool](size, d.TTL, d.Strategy, e.now)
	}
	files := maps.Clone(old.files)
	if files == nil {
		files = map[string]*dataFile{}
	}
	files[d.DestFile] = f
	e.registry.Store(&registry{files: files, stashes: old.stashes})
	return err
}

func (e *Env) readData(name string) ([]byte, error) {
	if !fs.ValidPath(name) || name == "." {
		return nil, fmt.Errorf("loading data file %q: the name must be a path below the data folder", name)
	}
	if e.data == nil {
		return nil, fmt.Errorf("loading data file %s: %w: there is no data folder", name, ErrNoDataFile)
	}
	f, err := e.data.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("loading data file %s: %w: install the item's data", name, ErrNoDataFile)
	}
	if err != nil {
		return nil, fmt.Errorf("loading data file %s: %w", name, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxDataFile+1))
	if err != nil {
		return nil, fmt.Errorf("loading data file %s: %w", name, err)
	}
	if len(data) > maxDataFile {
		return nil, fmt.Errorf("loading data file %s: it is larger than %d MiB: split it, or use a list of decisions", name, maxDataFile>>20)
	}
	return data, nil
}

// newDataFile makes a file of its lines. CrowdSec compatible: lines that start
// with # and empty lines are left out, the others are not trimmed.
func newDataFile(kind, name string, data []byte) (*dataFile, error) {
	f := &dataFile{kind: kind, rows: &rows{}}
	lines := []string{}
	var faults []error
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, maxDataFile+1)
	for number := 1; scanner.Scan(); number++ {
		line := scanner.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var err error
		switch kind {
		case "string":
			lines = append(lines, line)
		case "regexp":
			var re *regexp.Regexp
			if re, err = regexp.Compile(line); err == nil {
				f.patterns = append(f.patterns, re)
			}
		case "map":
			err = f.rows.add(line)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w", name, number, err))
		}
	}
	f.lines = lines
	return f, errors.Join(append(faults, scanner.Err())...)
}

// file returns a loaded file of a kind, nil where there is none.
func (e *Env) file(name, kind string) *dataFile {
	f := e.registry.Load().files[name]
	if f == nil || f.kind != kind {
		e.warnOnce("data file is not loaded and counts as empty", name, zap.String("type", kind))
		return nil
	}
	return f
}

func (e *Env) fileFunctions() []function {
	return []function{
		{"File", new(func(string) []string), false, func(a args) (any, error) {
			name, err := a.text(0)
			if err != nil {
				return nil, err
			}
			if f := e.file(name, "string"); f != nil {
				return f.lines, nil
			}
			return []string{}, nil
		}},
		{"RegexpInFile", new(func(string, string) bool), false, func(a args) (any, error) {
			s, err := a.texts(2)
			if err != nil {
				return nil, err
			}
			f := e.file(s[1], "regexp")
			return f != nil && f.matches(s[0]), nil
		}},
		{"LookupFile", new(func(string, string) string), false, func(a args) (any, error) {
			s, err := a.texts(2)
			if err != nil {
				return nil, err
			}
			if f := e.file(s[1], "map"); f != nil {
				return f.rows.lookup(s[0]), nil
			}
			return "", nil
		}},
		{"FileMap", new(func(string) []map[string]string), false, func(a args) (any, error) {
			name, err := a.text(0)
			if err != nil {
				return nil, err
			}
			if f := e.file(name, "map"); f != nil {
				return f.rows.all, nil
			}
			return []map[string]string{}, nil
		}},
	}
}

// matches reports whether any pattern of the file matches.
func (f *dataFile) matches(text string) bool {
	if f.results != nil {
		if found, ok := f.results.get(text); ok {
			return found
		}
	}
	found := false
	for _, re := range f.patterns {
		if re.MatchString(text) {
			found = true
			break
		}
	}
	if f.results != nil {
		// A clone, so that the cache does not keep the whole line alive.
		f.results.put(strings.Clone(text), found)
	}
	return found
}
