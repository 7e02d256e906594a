package decisions

import (
	"maps"
	"net/netip"
	"slices"
	"sort"
	"time"
)

// turn is a state of a list that subscribers are to hear of, and the steps to it.
type turn struct {
	name  string
	list  *Blocklist // nil: it is not in force any more
	steps []listStep
}

// turns compares what is told of lists with those that are to be in force. The caller
// holds listing, and may take its time.
func (b *Book) turns(lists []*Blocklist) (out []turn) {
	next := map[string]*Blocklist{}
	for _, l := range lists {
		if !l.Simulated {
			next[l.Name] = l
		}
	}
	g := &b.lists
	g.mu.RLock()
	told := map[string]*Blocklist{}
	for name, t := range g.told {
		told[name] = t.list
	}
	allowed := g.allowed // replaced as a whole
	g.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(told)) {
		if told[name] != next[name] {
			out = append(out, turn{name, next[name], steps(told[name], next[name], allowed)})
		}
		delete(next, name)
	}
	for _, name := range slices.Sorted(maps.Keys(next)) {
		out = append(out, turn{name, next[name], steps(nil, next[name], nil)})
	}
	return out
}

// steps are what makes of one state of a list another; nil: it is not in force.
func steps(old, next *Blocklist, allowed []netip.Prefix) (out []listStep) {
	if old != nil && (next == nil || !old.alike(&next.ListHead)) {
		if removed := old.pick(old.outside(allowed, old.indexes())); removed.Len() > 0 {
			out = append(out, listStep{head: old.ListHead, removed: removed})
		}
		old = nil
	}
	switch {
	case next == nil:
	case old == nil:
		out = append(out, listStep{head: next.ListHead, whole: true})
	default:
		gone, fresh := compareLists(old, next)
		s := listStep{head: next.ListHead}
		s.removed, s.added = old.some(old.outside(allowed, gone)), next.some(next.outside(allowed, fresh))
		if s.added != nil || s.removed != nil {
			out = append(out, s)
		}
	}
	return out
}

// some is pick, nil for no entries.
func (l *Blocklist) some(indexes []int) *Blocklist {
	if len(indexes) == 0 {
		return nil
	}
	return l.pick(indexes)
}

// indexes are those of all entries.
func (l *Blocklist) indexes() []int {
	out := make([]int, l.Len())
	for i := range out {
		out[i] = i
	}
	return out
}

// outside keeps of these indexes those of entries that allowed does not cover.
func (l *Blocklist) outside(allowed []netip.Prefix, indexes []int) []int {
	if len(allowed) == 0 {
		return indexes
	}
	return slices.DeleteFunc(indexes, func(i int) bool { return covers(allowed, l.At(i)) })
}

// covers reports whether p is inside one of ranges, which are sorted and none inside
// another.
func covers(ranges []netip.Prefix, p netip.Prefix) bool {
	i := sort.Search(len(ranges), func(i int) bool { return p.Addr().Less(ranges[i].Addr()) }) - 1
	return i >= 0 && ranges[i].Bits() <= p.Bits() && ranges[i].Contains(p.Addr())
}

// useTurns makes the turns what is told, and tells again what is left of the values of
// entries that went. The caller holds write.
func (b *Book) useTurns(turns []turn) {
	j := newJob(0)
	now := b.o.Now()
	g := &b.lists
	g.mu.Lock()
	for i := range turns {
		t := &turns[i]
		if t.list != nil && g.told[t.name] == nil {
			g.told[t.name] = &toldList{}
		}
		told := g.told[t.name]
		if told.list != nil && (t.list == nil || !t.list.alike(&told.list.ListHead)) {
			j.ops = append(j.ops, told.drop(func(toldPart) bool { return true })...)
			told.shown.Store(false)
		}
		g.serial++
		if j.ops = append(j.ops, told.move(t.list, g.serial)...); t.list == nil {
			delete(g.told, t.name)
		}
		for _, s := range t.steps {
			j.ops = append(j.ops, g.tell(s, now.UnixMilli())...)
		}
	}
	for i := range turns {
		for _, s := range turns[i].steps {
			j.ops = append(j.ops, g.tellOthers(s, now)...)
		}
	}
	g.mu.Unlock()
	b.mu.Lock()
	for i := range turns {
		for _, s := range turns[i].steps {
			b.tellUnlisted(s.removed, now, j)
		}
	}
	b.mu.Unlock()
	b.finish(j)
}

// tell notes a step, and what has to be told again later because of it. The caller holds
// mu.
func (g *listlog) tell(s listStep, now int64) (writes []op) {
	writes = g.note(s, now)
	if t := g.told[s.head.Name]; t != nil && (s.whole || s.added != nil) {
		writes = append(writes, t.add(s.added, g.serial)...)
	}
	return writes
}

// tellOthers tells again the entries of other lists that s removed from its own. The
// caller holds mu.
func (g *listlog) tellOthers(s listStep, now time.Time) (writes []op) {
	if s.removed == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(g.told)) {
		l := g.told[name].list
		if name == s.head.Name || l.ended(now) {
			continue
		}
		if both := l.some(l.shared(s.removed)); both != nil {
			writes = append(writes, g.tell(listStep{head: l.ListHead, added: both}, now.UnixMilli())...)
		}
	}
	return writes
}

// shared are the indexes of the entries that o has as well, in order.
func (l *Blocklist) shared(o *Blocklist) (out []int) {
	if l.Len() < o.Len() {
		for i := range l.Len() {
			if _, ok := o.Index(l.At(i)); ok {
				out = append(out, i)
			}
		}
		return out
	}
	for p := range o.All() {
		if i, ok := l.Index(p); ok {
			out = append(out, i)
		}
	}
	return out
}

// tellUnlisted tells again the decisions against entries that a list no longer has. The
// caller holds write and mu.
func (b *Book) tellUnlisted(removed *Blocklist, now time.Time, j *job) {
	tell := func(r *record) {
		if r.target && r.enforceable() && !r.ended(now) {
			b.log.note(r)
			j.again = append(j.again, r)
		}
	}
	switch {
	case removed == nil:
	case removed.Len() > len(b.index.byID):
		for r := range b.index.all() {
			if _, ok := removed.Index(r.prefix()); ok {
				tell(r)
			}
		}
	default:
		for p := range removed.All() {
			for r := range b.index.against(keyOf(p)) {
				tell(r)
			}
		}
	}
}

// tellListed tells again the entries of lists that are the values of decisions which
// ended in this job. The caller holds mu.
func (b *Book) tellListed(now time.Time, j *job) {
	g := &b.lists
	g.mu.Lock()
	defer g.mu.Unlock()
	j.ops = append(j.ops, g.forget(now.UnixMilli())...)
	if len(j.ended) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(g.told)) {
		l := g.told[name].list
		if l.ended(now) {
			continue
		}
		var indexes []int
		for _, r := range j.ended {
			if r.simulated || !r.target {
				continue
			}
			if i, ok := l.Index(r.prefix()); ok && !covers(g.allowed, l.At(i)) {
				indexes = append(indexes, i)
			}
		}
		slices.Sort(indexes)
		if both := l.some(slices.Compact(indexes)); both != nil {
			j.ops = append(j.ops, g.tell(listStep{head: l.ListHead, added: both}, now.UnixMilli())...)
		}
	}
}

// tellDue tells again what was told of lists with an end that has come, where the list
// goes on. The caller holds write.
func (b *Book) tellDue(now time.Time) {
	g := &b.lists
	g.mu.Lock()
	var writes []op
	for _, name := range slices.Sorted(maps.Keys(g.told)) {
		t := g.told[name]
		if !t.due(now) {
			continue
		}
		whole, indexes, gone := t.come(now.Add(-echoAfter).UnixMilli())
		writes = append(writes, gone...)
		s := listStep{head: t.list.ListHead, whole: whole}
		if !whole {
			s.added = t.list.some(t.list.outside(g.allowed, indexes))
		}
		if s.whole || s.added != nil {
			writes = append(writes, g.tell(s, now.UnixMilli())...)
		}
	}
	g.mu.Unlock()
	if len(writes) > 0 {
		b.disk.add(writes...)
		b.watch.wake()
	}
}

// due reports whether tellDue has something to do.
func (t *toldList) due(now time.Time) bool {
	return len(t.parts) > 0 && t.parts[0].end <= now.Add(-echoAfter).UnixMilli() && !t.list.ended(now)
}
