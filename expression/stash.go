package expression

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rampart-edge/rampart/cache"
)

const stashSize = 100

// stash is a cache and what it was made with.
type stash struct {
	*cache.Cache[string]
	size     int
	ttl      time.Duration
	strategy string
}

// like reports whether what is in one would be in the other.
func (s *stash) like(o *stash) bool {
	return s.size == o.size && s.ttl == o.ttl && s.strategy == o.strategy
}

// Stash makes a stash of that name: size entries (0: 100), each for ttl after it
// was written, evicted by strategy (LRU, LFU, ARC; anything else is LRU).
// CrowdSec compatible: a second stash of the name is a second cache; writes go to
// all of them, reads to the first.
func (e *Env) Stash(name string, size int, ttl time.Duration, strategy string) {
	if size <= 0 {
		size = stashSize
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.registry.Load()
	stashes := maps.Clone(old.stashes)
	if stashes == nil {
		stashes = map[string][]*stash{}
	}
	list := stashes[name]
	stashes[name] = append(list[:len(list):len(list)], &stash{cache.New[string](size, ttl, strategy, e.now), size, ttl, strategy})
	e.registry.Store(&registry{files: old.files, missing: old.missing, stashes: stashes})
}

// Inherit makes the stashes of before those of e, as far as both have them by the same
// name, size, lifetime and strategy: what is in them outlives a change of items. Both
// may go on using them.
func (e *Env) Inherit(before *Env) {
	theirs := before.registry.Load().stashes
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.registry.Load()
	stashes := make(map[string][]*stash, len(old.stashes))
	for name, list := range old.stashes {
		list = slices.Clone(list)
		for i := range list {
			if i < len(theirs[name]) && list[i].like(theirs[name][i]) {
				list[i] = theirs[name][i]
			}
		}
		stashes[name] = list
	}
	e.registry.Store(&registry{files: old.files, missing: old.missing, stashes: stashes})
}

// StashPut writes key to the stash, and does nothing where there is none of that
// name.
func (e *Env) StashPut(name, key, value string) {
	e.stashPut(name, key, value, 0)
}

func (e *Env) stashPut(name, key, value string, ttl time.Duration) {
	list := e.registry.Load().stashes[name]
	if len(list) == 0 {
		e.warnOnce("stash does not exist and keeps nothing", name)
	}
	for _, c := range list {
		c.PutFor(key, value, ttl)
	}
}

func (e *Env) stashGet(name, key string) string {
	list := e.registry.Load().stashes[name]
	if len(list) == 0 {
		e.warnOnce("stash does not exist and is empty", name)
		return ""
	}
	value, _ := list[0].Get(key)
	return value
}

func (e *Env) stashFunctions() []function {
	return []function{
		{"GetFromStash", new(func(string, string) string), local, func(a args) (any, error) {
			s, err := a.texts(2)
			if err != nil {
				return nil, err
			}
			return e.stashGet(s[0], s[1]), nil
		}},
		{"SetInStash", new(func(string, string, string, any) error), local, func(a args) (any, error) {
			s, err := a.texts(3)
			if err != nil {
				return nil, err
			}
			// CrowdSec compatible: nil is the stash's own time. A duration is ours; the
			// original wants a pointer, which no expression can make.
			var ttl time.Duration
			switch d := a[3].(type) {
			case nil:
			case time.Duration:
				ttl = d
			default:
				return nil, fmt.Errorf("argument 4 is %s, nil or a duration is needed", typeName(d))
			}
			e.stashPut(s[0], s[1], s[2], ttl)
			return nil, nil
		}},
	}
}
