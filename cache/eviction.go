package cache

import (
	"container/heap"
	"container/list"
)

// recency is a list of keys, the latest in front.
type recency struct {
	list *list.List
	at   map[string]*list.Element
}

func newRecency() recency { return recency{list.New(), map[string]*list.Element{}} }

func (r recency) has(key string) bool { return r.at[key] != nil }
func (r recency) len() int            { return len(r.at) }

// front puts key first, whether it was there or not.
func (r recency) front(key string) {
	if el := r.at[key]; el != nil {
		r.list.MoveToFront(el)
		return
	}
	r.at[key] = r.list.PushFront(key)
}

func (r recency) remove(key string) {
	if el := r.at[key]; el != nil {
		r.list.Remove(el)
		delete(r.at, key)
	}
}

// oldest removes and returns the last key.
func (r recency) oldest() string {
	el := r.list.Back()
	if el == nil {
		return ""
	}
	key := r.list.Remove(el).(string)
	delete(r.at, key)
	return key
}

// lru evicts what was not used for longest.
type lru struct {
	size int
	keys recency
}

func newLRU(size int) *lru { return &lru{size, newRecency()} }

func (l *lru) touch(key string)  { l.keys.front(key) }
func (l *lru) remove(key string) { l.keys.remove(key) }

func (l *lru) add(key string) (victim string, full bool) {
	if l.keys.len() >= l.size {
		victim, full = l.keys.oldest(), true
	}
	l.keys.front(key)
	return victim, full
}

// lfu evicts what was used least often, of these what was not used for longest.
type lfu struct {
	size  int
	clock int
	heap  uses
	at    map[string]*use
}

type use struct {
	key         string
	count, last int
	index       int // in the heap
}

type uses []*use

func newLFU(size int) *lfu { return &lfu{size: size, at: map[string]*use{}} }

func (l *lfu) touch(key string) {
	if u := l.at[key]; u != nil {
		l.clock++
		u.count, u.last = u.count+1, l.clock
		heap.Fix(&l.heap, u.index)
	}
}

func (l *lfu) add(key string) (victim string, full bool) {
	if len(l.heap) >= l.size {
		u := heap.Pop(&l.heap).(*use)
		delete(l.at, u.key)
		victim, full = u.key, true
	}
	l.clock++
	u := &use{key: key, count: 1, last: l.clock}
	l.at[key] = u
	heap.Push(&l.heap, u)
	return victim, full
}

func (l *lfu) remove(key string) {
	if u := l.at[key]; u != nil {
		heap.Remove(&l.heap, u.index)
		delete(l.at, key)
	}
}

func (u uses) Len() int { return len(u) }

func (u uses) Less(i, j int) bool {
	if u[i].count != u[j].count {
		return u[i].count < u[j].count
	}
	return u[i].last < u[j].last
}

func (u uses) Swap(i, j int) {
	u[i], u[j] = u[j], u[i]
	u[i].index, u[j].index = i, j
}

// Push and Pop are for package heap.
func (u *uses) Push(x any) {
	e := x.(*use)
	e.index = len(*u)
	*u = append(*u, e)
}

func (u *uses) Pop() any {
	last := len(*u) - 1
	e := (*u)[last]
	(*u)[last] = nil
	*u = (*u)[:last]
	return e
}

// arc is the adaptive replacement cache of Megiddo and Modha: recent holds keys
// seen once, frequent those seen again; the ghosts remember what left either of
// them, and a hit there moves the border between the two.
type arc struct {
	size, border                                   int
	recent, frequent, recentGhosts, frequentGhosts recency
}

func newARC(size int) *arc {
	return &arc{size: size, recent: newRecency(), frequent: newRecency(), recentGhosts: newRecency(), frequentGhosts: newRecency()}
}

func (a *arc) touch(key string) {
	a.recent.remove(key)
	a.frequent.front(key)
}

func (a *arc) remove(key string) {
	a.recent.remove(key)
	a.frequent.remove(key)
}

func (a *arc) add(key string) (victim string, full bool) {
	into := a.recent
	fromFrequent := false
	switch {
	case a.recentGhosts.has(key):
		a.border = min(a.size, a.border+max(a.frequentGhosts.len()/a.recentGhosts.len(), 1))
		a.recentGhosts.remove(key)
		into = a.frequent
	case a.frequentGhosts.has(key):
		a.border = max(0, a.border-max(a.recentGhosts.len()/a.frequentGhosts.len(), 1))
		a.frequentGhosts.remove(key)
		into, fromFrequent = a.frequent, true
	}
	if a.recent.len()+a.frequent.len() >= a.size {
		victim, full = a.evict(fromFrequent), true
	}
	into.front(key)
	for a.recentGhosts.len() > a.size {
		a.recentGhosts.oldest()
	}
	for a.frequentGhosts.len() > a.size {
		a.frequentGhosts.oldest()
	}
	return victim, full
}

// evict moves one key to its ghosts. A key that comes back from the frequent
// ghosts takes the place of a recent one already at the border.
func (a *arc) evict(fromFrequent bool) string {
	n := a.recent.len()
	if n > 0 && (a.frequent.len() == 0 || n > a.border || fromFrequent && n == a.border) {
		key := a.recent.oldest()
		a.recentGhosts.front(key)
		return key
	}
	key := a.frequent.oldest()
	a.frequentGhosts.front(key)
	return key
}
