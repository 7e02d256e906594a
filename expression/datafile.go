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
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/cache"
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
	Type      string        `yaml:"type,omitempty"` // "", string, regexp, regex, map, bots
	Cache     *bool         `yaml:"cache,omitempty"`
	Strategy  string        `yaml:"strategy,omitempty"` // LRU, LFU, ARC
	Size      int           `yaml:"size,omitempty"`
	TTL       time.Duration `yaml:"ttl,omitempty"`
}

// dataFile is a file as the functions use it. It is immutable but for the cache.
type dataFile struct {
	kind     string                     // string, regexp, map, bots
	lines    any                        // []string, boxed once: functions return it without allocating
	set      func() map[string]struct{} // of lines, made when it is asked for
	patterns []*regexp.Regexp
	results  *cache.Cache[bool] // of patterns; nil: no cache
	rows     *rows
	bots     []*bot
}

// AddData loads a data file. An entry without a type is a file for something
// else and is not read. CrowdSec compatible: the first entry for a file counts,
// later ones do nothing.
//
// The error of a file that is not there wraps ErrNoDataFile; functions then answer
// as if it were empty. Many items name the same file, so only the first call says
// it; a later one loads the file if it has come. Where single lines are bad, the error joins one for
// each, and the others are in force.
func (e *Env) AddData(d DataFile) error {
	kind := d.Type
	switch kind {
	case "":
		return nil
	case "regex":
		kind = "regexp"
	case "string", "regexp", "map", "bots":
	default:
		return fmt.Errorf("loading data file %s: unknown type %q: use string, regexp, map or bots", d.DestFile, d.Type)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.registry.Load()
	if old.files[d.DestFile] != nil {
		return nil
	}
	data, err := e.readData(d)
	if errors.Is(err, ErrNoDataFile) {
		return e.noteMissing(d.DestFile, err)
	}
	if err != nil {
		return err
	}
	f, err := newDataFile(kind, d.DestFile, data)
	if d.Type == "regexp" && (d.Cache == nil || *d.Cache) && (d.Strategy != "" || d.Size != 0 || d.TTL != 0) {
		size := d.Size
		if size <= 0 {
			size = regexpCacheSize
		}
		f.results = cache.New[bool](size, d.TTL, d.Strategy, e.now)
	}
	files := maps.Clone(old.files)
	if files == nil {
		files = map[string]*dataFile{}
	}
	files[d.DestFile] = f
	e.registry.Store(&registry{files: files, missing: old.missing, stashes: old.stashes})
	return err
}

// noteMissing returns err the first time, then nothing. The caller has locked e.
func (e *Env) noteMissing(name string, err error) error {
	old := e.registry.Load()
	if old.missing[name] {
		return nil
	}
	missing := maps.Clone(old.missing)
	if missing == nil {
		missing = map[string]bool{}
	}
	missing[name] = true
	e.registry.Store(&registry{files: old.files, missing: missing, stashes: old.stashes})
	return err
}

func (e *Env) readData(d DataFile) ([]byte, error) {
	name := d.DestFile
	if e.find != nil && name != "" {
		if name = e.find(d); name == "" {
			return nil, fmt.Errorf("loading data file %s: %w: install the item's data", d.DestFile, ErrNoDataFile)
		}
	}
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
		case "bots":
			var b *bot
			if b, err = newBot(line); err == nil {
				f.bots = append(f.bots, b)
			}
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w", name, number, err))
		}
	}
	f.lines = lines
	f.set = sync.OnceValue(func() map[string]struct{} {
		set := make(map[string]struct{}, len(lines))
		for _, line := range lines {
			set[line] = struct{}{}
		}
		return set
	})
	return f, errors.Join(append(faults, scanner.Err())...)
}

// file returns a loaded file of a kind, nil where there is none.
func (e *Env) file(name, kind string) *dataFile {
	r := e.registry.Load()
	f := r.files[name]
	if f == nil && r.missing[name] {
		return nil // AddData has said so
	}
	if f == nil || f.kind != kind {
		e.warnOnce("data file is not loaded and counts as empty", name, zap.String("type", kind))
		return nil
	}
	return f
}

// fileRows returns the rows of a loaded map file, and nil for any other.
func (e *Env) fileRows(name string) *rows {
	if f := e.file(name, "map"); f != nil {
		return f.rows
	}
	return nil
}

func (e *Env) fileFunctions() []function {
	return []function{
		{"File", new(func(string) []string), local, func(a args) (any, error) {
			name, err := a.text(0)
			if err != nil {
				return nil, err
			}
			if f := e.file(name, "string"); f != nil {
				return f.lines, nil
			}
			return []string{}, nil
		}},
		{"RegexpInFile", new(func(string, string) bool), local, func(a args) (any, error) {
			s, err := a.texts(2)
			if err != nil {
				return nil, err
			}
			f := e.file(s[1], "regexp")
			return f != nil && f.matches(s[0]), nil
		}},
		{"LookupFile", new(func(string, string) string), local, func(a args) (any, error) {
			s, err := a.texts(2)
			if err != nil {
				return nil, err
			}
			if r := e.fileRows(s[1]); r != nil {
				return r.lookup(s[0]), nil
			}
			return "", nil
		}},
		{"FileMap", new(func(string) []map[string]string), local, func(a args) (any, error) {
			name, err := a.text(0)
			if err != nil {
				return nil, err
			}
			if r := e.fileRows(name); r != nil {
				return r.all, nil
			}
			return []map[string]string{}, nil
		}},
	}
}

// matches reports whether any pattern of the file matches.
func (f *dataFile) matches(text string) bool {
	if f.results != nil {
		if found, ok := f.results.Get(text); ok {
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
		f.results.Put(strings.Clone(text), found)
	}
	return found
}
