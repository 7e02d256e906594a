package cache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// naive is what a cache must keep: a list of entries, searched and sorted.
type naive struct {
	size    int
	entries []*naiveEntry
	clock   int
	less    func(a, b *naiveEntry) int // the first goes first
}

type naiveEntry struct {
	key, value  string
	last, count int
	expires     time.Time
}

func (n *naive) find(key string) *naiveEntry {
	for _, e := range n.entries {
		if e.key == key {
			return e
		}
	}
	return nil
}

func (n *naive) get(key string, now time.Time) (string, bool) {
	e := n.find(key)
	if e == nil {
		return "", false
	}
	if !now.Before(e.expires) {
		n.entries = slices.DeleteFunc(n.entries, func(x *naiveEntry) bool { return x == e })
		return "", false
	}
	n.clock++
	e.last, e.count = n.clock, e.count+1
	return e.value, true
}

func (n *naive) put(key, value string, expires time.Time) {
	n.clock++
	e := n.find(key)
	if e == nil {
		if len(n.entries) == n.size {
			slices.SortFunc(n.entries, n.less)
			n.entries = n.entries[1:]
		}
		e = &naiveEntry{key: key}
		n.entries = append(n.entries, e)
	}
	e.value, e.expires, e.last, e.count = value, expires, n.clock, e.count+1
}

func TestCachesAgainstNaive(t *testing.T) {
	for name, less := range map[string]func(a, b *naiveEntry) int{
		"LRU":   func(a, b *naiveEntry) int { return a.last - b.last },
		"other": func(a, b *naiveEntry) int { return a.last - b.last },
		"LFU": func(a, b *naiveEntry) int {
			if a.count != b.count {
				return a.count - b.count
			}
			return a.last - b.last
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			now := time.Unix(0, 0)
			c := New[string](4, 10*time.Second, name, func() time.Time { return now })
			n := &naive{size: 4, less: less}
			for i := range 20000 {
				key := string(rune('a' + r.IntN(8)))
				if r.IntN(2) == 0 {
					value := fmt.Sprint(i)
					c.Put(key, value)
					n.put(key, value, now.Add(10*time.Second))
				} else {
					got, ok := c.Get(key)
					want, wantOK := n.get(key, now)
					if got != want || ok != wantOK {
						t.Fatalf("step %d, %s: got %q %v, want %q %v", i, key, got, ok, want, wantOK)
					}
				}
				now = now.Add(time.Duration(r.IntN(1000)) * time.Millisecond)
			}
		})
	}
}

func TestARC(t *testing.T) {
	now := time.Unix(0, 0)
	c := New[string](4, time.Minute, "ARC", func() time.Time { return now })
	r := rand.New(rand.NewPCG(7, 8))
	values := map[string]string{}
	for i := range 20000 {
		key := string(rune('a' + r.IntN(12)))
		if r.IntN(2) == 0 {
			values[key] = fmt.Sprint(i)
			c.Put(key, values[key])
			if got, ok := c.Get(key); !ok || got != values[key] {
				t.Fatalf("step %d: what was just written is %q, %v", i, got, ok)
			}
		} else if got, ok := c.Get(key); ok && got != values[key] {
			t.Fatalf("step %d: %s is %q, want %q", i, key, got, values[key])
		}
		a := c.order.(*arc)
		if c.Len() > 4 || a.recent.len()+a.frequent.len() != c.Len() || a.recentGhosts.len() > 4 || a.frequentGhosts.len() > 4 {
			t.Fatalf("step %d: %d entries, %d+%d known, %d+%d ghosts", i, c.Len(), a.recent.len(), a.frequent.len(), a.recentGhosts.len(), a.frequentGhosts.len())
		}
		now = now.Add(time.Duration(r.IntN(5)) * time.Second)
	}
	// What is used twice survives a scan, which is what it is for.
	c = New[string](4, 0, "ARC", func() time.Time { return now })
	c.Put("hot", "1")
	c.Get("hot")
	for i := range 100 {
		c.Put(fmt.Sprint("scan", i), "x")
	}
	if _, ok := c.Get("hot"); !ok {
		t.Error("a scan pushed out what is used often")
	}
}
