package parsers

import (
	"embed"
	"fmt"
	"strings"
)

// patternFiles are our own definitions of the general grok names.
//
//go:embed patterns/*
var patternFiles embed.FS

// table is a set of named patterns. The first definition of a name stays.
type table map[string]string

func (t table) lookup(name string) (string, bool) {
	body, ok := t[name]
	return body, ok
}

// scoped looks a name up in its file first, then globally.
type scoped struct {
	file, global table
}

func (s scoped) lookup(name string) (string, bool) {
	if body, ok := s.file[name]; ok {
		return body, true
	}
	return s.global.lookup(name)
}

// library returns a fresh table of the embedded definitions.
func library() (table, error) {
	t := table{}
	files, err := patternFiles.ReadDir("patterns")
	if err != nil {
		return nil, fmt.Errorf("reading the grok library: %w", err)
	}
	for _, f := range files {
		text, err := patternFiles.ReadFile("patterns/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the grok library: %w", err)
		}
		for n, line := range strings.Split(string(text), "\n") {
			if line == "" || line[0] == '#' {
				continue
			}
			name, body, ok := strings.Cut(line, " ")
			if !ok || wordLength(name) != len(name) {
				return nil, fmt.Errorf("reading the grok library: %s:%d: a definition is NAME, blank, regexp", f.Name(), n+1)
			}
			if _, dup := t[name]; dup {
				return nil, fmt.Errorf("reading the grok library: %s:%d: %s is defined twice", f.Name(), n+1, name)
			}
			t[name] = strings.TrimSpace(body)
		}
	}
	return t, nil
}
