package lint

import (
	"bytes"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Kind is what a file holds.
type Kind string

// The kinds.
const (
	Parser       Kind = "parser"
	Postoverflow Kind = "postoverflow"
	Scenario     Kind = "scenario"
	ProfileFile  Kind = "profile"
	Unknown      Kind = ""
)

// KindOf tells what a file holds by the keys of its first document and, a parser
// from a postoverflow, by its folders. The stage is that of its folder,
// <stage>/<file> or <stage>/<author>/<file>; "" for what has none.
func KindOf(file string, data []byte) (kind Kind, stage string) {
	var doc map[string]yaml.Node
	// What does not read is of no kind.
	_ = yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc)
	has := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { _, ok := doc[k]; return ok })
	}
	folders := strings.Split(filepath.ToSlash(filepath.Dir(file)), "/")
	slices.Reverse(folders)
	switch {
	case has("decisions", "on_success", "filters"):
		return ProfileFile, ""
	case has("type", "capacity", "leakspeed", "groupby", "blackhole", "distinct", "labels") || slices.Contains(folders, "scenarios"):
		return Scenario, ""
	case has("nodes", "grok", "statics", "onsuccess", "whitelist", "stash", "pattern_syntax", "filter"):
	default:
		return Unknown, ""
	}
	stage = "s01-parse"
	for _, f := range folders[:min(len(folders), 2)] {
		if len(f) > 4 && f[0] == 's' && f[3] == '-' && f[1] >= '0' && f[1] <= '9' && f[2] >= '0' && f[2] <= '9' {
			stage = path.Base(f)
			break
		}
	}
	if slices.Contains(folders, "postoverflows") {
		return Postoverflow, stage
	}
	return Parser, stage
}
