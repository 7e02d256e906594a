package expression

import (
	"fmt"
	"testing"
	"testing/fstest"
	"time"
)

// CrowdSec compatible: results are kept only for a file whose type is written
// regexp and that says how, unless it says not to.
func TestWhenResultsAreKept(t *testing.T) {
	on, off := true, false
	for _, c := range []struct {
		file DataFile
		kept bool
		size int // how many of 200 different lines are kept
	}{
		{DataFile{Type: "regexp"}, false, 0},
		{DataFile{Type: "regexp", Cache: &on}, false, 0},
		{DataFile{Type: "regexp", Strategy: "LRU"}, true, 50},
		{DataFile{Type: "regexp", Strategy: "LFU", Size: 7}, true, 7},
		{DataFile{Type: "regexp", Size: 7}, true, 7},
		{DataFile{Type: "regexp", TTL: time.Second, Cache: &on}, true, 50},
		{DataFile{Type: "regexp", Strategy: "LRU", Size: 7, TTL: time.Second, Cache: &off}, false, 0},
		{DataFile{Type: "regex", Strategy: "LRU", Size: 7, TTL: time.Second}, false, 0},
		{DataFile{Type: "string", Strategy: "LRU", Size: 7}, false, 0},
	} {
		c.file.DestFile = "f"
		e := New(Options{Data: fstest.MapFS{"f": {Data: []byte("7$\n")}}})
		if err := e.AddData(c.file); err != nil {
			t.Fatal(err)
		}
		f := e.registry.Load().files["f"]
		if (f.results != nil) != c.kept {
			t.Errorf("%+v: kept is %v", c.file, f.results != nil)
			continue
		}
		for i := range 200 {
			if got := f.matches(fmt.Sprint(i)); got != (i%10 == 7) && c.file.Type != "string" {
				t.Errorf("%+v: %d is %v", c.file, i, got)
			}
		}
		if f.results != nil && f.results.Len() != c.size {
			t.Errorf("%+v: %d are kept, want %d", c.file, f.results.Len(), c.size)
		}
	}
}

// FuzzTrie holds contains to the obvious way: at each place of the text every
// pattern in the order of the file.
func FuzzTrie(f *testing.F) {
	f.Add("ab\x00b\x00abc", "xabcab")
	f.Add("/a\x00/ab\x00b/", "b/abc")
	f.Fuzz(func(t *testing.T, list, text string) {
		var tree trie
		var patterns []string
		for i, p := range splitNonEmpty(list) {
			tree.add(p, fmt.Sprint(i))
			patterns = append(patterns, p)
		}
		if len(patterns) == 0 {
			return
		}
		want, found := "", false
		for at := 0; at < len(text) && !found; at++ {
			for i, p := range patterns {
				if len(text)-at >= len(p) && text[at:at+len(p)] == p {
					want, found = fmt.Sprint(i), true
					break
				}
			}
		}
		if got, ok := tree.leftmost(text); got != want || ok != found {
			t.Errorf("%q in %q: %q %v, want %q %v", patterns, text, got, ok, want, found)
		}
	})
}

func splitNonEmpty(list string) (out []string) {
	start := 0
	for i := 0; i <= len(list); i++ {
		if i == len(list) || list[i] == 0 {
			if i > start {
				out = append(out, list[start:i])
			}
			start = i + 1
		}
	}
	return out
}

func BenchmarkTrie(b *testing.B) {
	var tree trie
	for i := range 96 {
		tree.add(fmt.Sprintf("/technology-%d/", i), "t")
	}
	b.ReportAllocs()
	for b.Loop() {
		tree.leftmost("/products/cameras/12345/view.html?colour=black")
	}
}
