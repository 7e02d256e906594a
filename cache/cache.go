// Package cache holds values under text keys, so many of them and for so long: LRU,
// LFU or ARC decide what goes. It is for answers that are dear to make (a regular
// expression over a line, a name from the DNS). It computes nothing itself and
// starts nothing.
//
//	key ─► entry, alive? ─► value
//
// Concurrency: a Cache is safe for concurrent use; the values are shared.
package cache

import (
	"sync"
	"time"
)

// Cache is a bounded map whose entries live for a while after they were written.
type Cache[V any] struct {
	now func() time.Time
	ttl time.Duration // 0: for ever

	mu      sync.Mutex
	entries map[string]cached[V]
	order   eviction
}

type cached[V any] struct {
	value   V
	expires time.Time // zero: never
}

// eviction chooses what goes. It knows the same keys as its cache.
type eviction interface {
	// touch notes that a key was read or written again.
	touch(key string)
	// add notes a new key and returns the one that must go for it, if any.
	add(key string) (victim string, full bool)
	// remove forgets a key that expired.
	remove(key string)
}

// New returns an empty cache of size entries that live for ttl, 0 meaning for ever.
// The strategy is LRU, LFU or ARC; anything else is LRU.
func New[V any](size int, ttl time.Duration, strategy string, now func() time.Time) *Cache[V] {
	size = max(size, 1)
	c := &Cache[V]{now: now, ttl: ttl, entries: map[string]cached[V]{}}
	switch strategy {
	case "LFU":
		c.order = newLFU(size)
	case "ARC":
		c.order = newARC(size)
	default:
		c.order = newLRU(size)
	}
	return c
}

// Get returns the value under key if it is still alive. Reading does not extend
// its life.
func (c *Cache[V]) Get(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok {
		return e.value, false
	}
	if !e.expires.IsZero() && !c.now().Before(e.expires) {
		delete(c.entries, key)
		c.order.remove(key)
		var none V
		return none, false
	}
	c.order.touch(key)
	return e.value, true
}

// Put writes a value that lives for the time of the cache.
func (c *Cache[V]) Put(key string, value V) { c.PutFor(key, value, 0) }

// PutFor writes a value that lives for ttl, 0 meaning the cache's own.
func (c *Cache[V]) PutFor(key string, value V, ttl time.Duration) {
	if ttl <= 0 {
		ttl = c.ttl
	}
	e := cached[V]{value: value}
	if ttl > 0 {
		e.expires = c.now().Add(ttl)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; ok {
		c.order.touch(key)
	} else if victim, full := c.order.add(key); full {
		delete(c.entries, victim)
	}
	c.entries[key] = e
}

// Len returns how many entries there are, dead ones that nobody asked for included.
func (c *Cache[V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}
