package expression

import (
	"bytes"
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

// trie finds which of many patterns occurs in a text. The texts are paths and the
// like, short enough to try each position.
type trie struct {
	first [256]int32 // the node of each first byte, 0: none
	nodes []trieNode // the first is the root
	tags  []string   // by order of adding
}

type trieNode struct {
	bytes []byte // what may follow
	next  []int32
	rank  int // 1 + order of the pattern that ends here, 0: none
}

// after returns the node that follows at c, 0 where there is none.
func (n *trieNode) after(c byte) int32 {
	if i := bytes.IndexByte(n.bytes, c); i >= 0 {
		return n.next[i]
	}
	return 0
}

// add takes a pattern, which is not empty.
func (t *trie) add(pattern, tag string) {
	if len(t.nodes) == 0 {
		t.nodes = []trieNode{{}}
	}
	at := int32(0)
	for i := range len(pattern) {
		next := t.nodes[at].after(pattern[i])
		if next == 0 {
			next = int32(len(t.nodes))
			t.nodes = append(t.nodes, trieNode{})
			n := &t.nodes[at]
			n.bytes, n.next = append(n.bytes, pattern[i]), append(n.next, next)
		}
		at = next
	}
	t.first[pattern[0]] = t.nodes[0].after(pattern[0])
	t.tags = append(t.tags, tag)
	if t.nodes[at].rank == 0 {
		t.nodes[at].rank = len(t.tags)
	}
}

// leftmost returns the tag of the match that starts first.
func (t *trie) leftmost(text string) (string, bool) {
	for start := range len(text) {
		best := 0
		for at, i := t.first[text[start]], start+1; at != 0; i++ {
			n := &t.nodes[at]
			if n.rank > 0 && (best == 0 || n.rank < best) {
				best = n.rank
			}
			if i == len(text) {
				break
			}
			at = n.after(text[i])
		}
		if best > 0 {
			return t.tags[best-1], true
		}
	}
	return "", false
}
