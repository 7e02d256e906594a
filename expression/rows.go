package expression

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// rows are the lines of a map file: each has a pattern, how it matches, and the
// tag it stands for.
type rows struct {
	all      []map[string]string
	equals   map[string]string // pattern → tag
	contains *trie
	patterns []taggedPattern
}

type taggedPattern struct {
	re  *regexp.Regexp
	tag string
}

// add takes one line: a flat JSON object of strings with pattern, tag and type.
func (r *rows) add(line string) error {
	var row map[string]string
	if err := json.Unmarshal([]byte(line), &row); err != nil {
		return fmt.Errorf("the line is not a flat JSON object of strings: %w", err)
	}
	pattern, tag := row["pattern"], row["tag"]
	if pattern == "" || tag == "" {
		return fmt.Errorf("pattern and tag are needed, and not empty")
	}
	switch row["type"] {
	case "equals":
		if r.equals == nil {
			r.equals = map[string]string{}
		}
		r.equals[pattern] = tag
	case "contains":
		if r.contains == nil {
			r.contains = &trie{}
		}
		r.contains.add(pattern, tag)
	case "regex":
		re, err := regexp.Compile(pattern)
		if err != nil {
			return fmt.Errorf("compiling the pattern: %w", err)
		}
		r.patterns = append(r.patterns, taggedPattern{re, tag})
	default:
		return fmt.Errorf("unknown type %q: use equals, contains or regex", row["type"])
	}
	r.all = append(r.all, row)
	return nil
}

// lookup returns the tag of the first that matches: of equals (the last of one
// pattern counts), of contains the one that matches furthest left, the earlier in
// the file where two start there, then of regex in the order of the file.
func (r *rows) lookup(text string) string {
	if tag, ok := r.equals[text]; ok {
		return tag
	}
	if r.contains != nil {
		if tag, ok := r.contains.leftmost(text); ok {
			return tag
		}
	}
	for _, p := range r.patterns {
		if p.re.MatchString(text) {
			return p.tag
		}
	}
	return ""
}

// trie finds which of many patterns occurs in a text. The texts are paths and
// the like, short enough to try each position.
type trie struct {
	nodes []trieNode // the first is the root
	tags  []string   // by order of adding
}

type trieNode struct {
	next map[byte]int
	rank int // 1 + order of the pattern that ends here, 0: none
}

func (t *trie) add(pattern, tag string) {
	if len(t.nodes) == 0 {
		t.nodes = []trieNode{{}}
	}
	at := 0
	for i := range len(pattern) {
		next, ok := t.nodes[at].next[pattern[i]]
		if !ok {
			next = len(t.nodes)
			t.nodes = append(t.nodes, trieNode{})
			if t.nodes[at].next == nil {
				t.nodes[at].next = map[byte]int{}
			}
			t.nodes[at].next[pattern[i]] = next
		}
		at = next
	}
	t.tags = append(t.tags, tag)
	if t.nodes[at].rank == 0 {
		t.nodes[at].rank = len(t.tags)
	}
}

// leftmost returns the tag of the match that starts first.
func (t *trie) leftmost(text string) (string, bool) {
	for start := range len(text) {
		at, best := 0, 0
		for _, c := range []byte(text[start:]) {
			next, ok := t.nodes[at].next[c]
			if !ok {
				break
			}
			at = next
			if rank := t.nodes[at].rank; rank > 0 && (best == 0 || rank < best) {
				best = rank
			}
		}
		if best > 0 {
			return t.tags[best-1], true
		}
	}
	return "", false
}
