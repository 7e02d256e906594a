package decisions

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// allowEdit is a change of the allowlists in the making: it is seen as a whole, and
// after the disk has it.
type allowEdit struct {
	t        *Allow
	now      time.Time
	next     map[allowKey]*AllowEntry // nil: it goes
	heads    map[string]*allowHead    // nil: it goes
	resolved map[allowKey][]netip.Prefix
	count    int // entries that there will be
	tell     []Op
}

// Add adds an entry or replaces the one of the same list and item; Kind is not
// heeded. With a Book it is on disk when Add returns, and decisions that it covers are
// suppressed; see Allow for those that it merely overlaps. A host name or URL has no
// effect before Resolve.
func (t *Allow) Add(e AllowEntry) error {
	return t.change(func(x *allowEdit) error {
		key, err := e.normalise()
		if err != nil {
			return fmt.Errorf("adding to the allowlist: %w", err)
		}
		if err := x.writable(key.list); err != nil {
			return fmt.Errorf("adding %s: %w", key, err)
		}
		e.Kind, e.ListAbout = KindManual, ""
		if e.Created.IsZero() {
			e.Created = x.now.UTC()
		}
		if e.over(x.now) {
			return fmt.Errorf("adding %s to the allowlist: it would have ended at %s", key, e.Until.Format(time.RFC3339))
		}
		return x.put(key, &e, true)
	})
}

// Remove removes an operator's entry of the default list; decisions that only it
// suppressed come back into force.
func (t *Allow) Remove(p netip.Prefix) error {
	if !p.IsValid() {
		return errors.New("removing from the allowlist: expected a range such as 192.0.2.0/24")
	}
	return t.removeEntry(AllowEntry{Prefix: p})
}

// RemoveItem is Remove for an item of any list, as it is written.
func (t *Allow) RemoveItem(list, item string) error {
	return t.removeEntry(AllowEntry{List: list, Item: item})
}

func (t *Allow) removeEntry(e AllowEntry) error {
	return t.change(func(x *allowEdit) error {
		key, err := e.normalise()
		if err != nil {
			return fmt.Errorf("removing from the allowlist: %w", err)
		}
		if err := x.writable(key.list); err != nil {
			return fmt.Errorf("removing %s: %w", key, err)
		}
		if _, ok := t.entries[key]; !ok {
			for kind, list := range t.builtin {
				if key.list == "" && slices.Contains(list, e.Prefix) {
					return fmt.Errorf("removing %s from the allowlist: %w (%s)", key, ErrBuiltin, kind)
				}
			}
			return fmt.Errorf("removing %s from the allowlist: %w", key, ErrNotAllowed)
		}
		x.remove(key, true)
		return nil
	})
}

// change makes a change, and after it tells.
func (t *Allow) change(fn func(x *allowEdit) error) error {
	t.mu.Lock()
	changed, err := t.edit(fn)
	keep := t.keep
	t.mu.Unlock()
	if changed && keep != nil {
		keep.sweepAllowed()
	}
	return err
}

// edit makes a change if fn and the disk have nothing against it. The caller holds
// mu.
func (t *Allow) edit(fn func(x *allowEdit) error) (changed bool, err error) {
	x := t.newEdit()
	if err := fn(x); err != nil {
		return false, err
	}
	if t.keep != nil {
		disk, err := x.disk()
		if err == nil && len(disk)+len(x.tell) > 0 {
			err = t.keep.keepAllow(disk, x.tell)
		}
		if err != nil {
			return false, fmt.Errorf("keeping the allowlist: %w", err)
		}
	}
	return x.apply(), nil
}

func (t *Allow) newEdit() *allowEdit {
	return &allowEdit{t: t, now: t.now(), count: len(t.entries), next: map[allowKey]*AllowEntry{}, heads: map[string]*allowHead{}, resolved: map[allowKey][]netip.Prefix{}}
}

// head is that of a list as it will be, nil if there is none. It may be changed.
func (x *allowEdit) head(list string) *allowHead {
	if h, ok := x.heads[list]; ok {
		return h
	}
	if h := x.t.heads[list]; h != nil {
		own := *h
		x.heads[list] = &own
	}
	return x.heads[list]
}

// create makes a list.
func (x *allowEdit) create(list string, h allowHead) (*allowHead, error) {
	if len(x.t.heads) >= maxAllowLists {
		return nil, fmt.Errorf("allowlist %s: there are %d, no more fit", list, len(x.t.heads))
	}
	if h.Created.IsZero() {
		h.Created = wholeMillis(x.now)
	}
	x.heads[list] = &h
	return &h, nil
}

// writable reports why operators may not change a list.
func (x *allowEdit) writable(list string) error {
	switch h := x.t.heads[list]; {
	case h == nil:
		return fmt.Errorf("allowlist %.80q: %w; make it first", list, ErrNoAllowList)
	case h.Managed:
		return fmt.Errorf("allowlist %.80q: %w", list, ErrManaged)
	}
	return nil
}

// touch says that the entries of a list changed.
func (x *allowEdit) touch(list string) {
	if h := x.head(list); h != nil {
		h.Updated = wholeMillis(x.now)
	}
}

// entry is what there will be of a key.
func (x *allowEdit) entry(k allowKey) *AllowEntry {
	if e, ok := x.next[k]; ok {
		return e
	}
	if e, ok := x.t.entries[k]; ok {
		return &e
	}
	return nil
}

// put adds an entry that is in normal form; tell: the fleet is to hear of it, if it
// hears of the list at all.
func (x *allowEdit) put(k allowKey, e *AllowEntry, tell bool) error {
	h := x.head(k.list)
	if x.entry(k) == nil {
		if x.count >= maxAllowEntries {
			return fmt.Errorf("allowlist entry %s: there are %d, no more fit", k, x.count)
		}
		x.count++
		h.count++
	}
	x.next[k] = e
	x.touch(k.list)
	if tell && !h.Managed {
		told := *e
		told.ListAbout = h.Description
		x.tell = append(x.tell, Op{Kind: OpAllow, Allow: &told, At: x.now.UTC()})
	}
	return nil
}

// remove takes out an entry that is there; a list that came with it goes with it.
func (x *allowEdit) remove(k allowKey, tell bool) {
	e, h := x.entry(k), x.head(k.list)
	x.next[k] = nil
	x.count--
	x.touch(k.list)
	if h == nil {
		return
	}
	if tell && !h.Managed {
		x.tell = append(x.tell, unallow(e, x.now))
	}
	if h.count--; h.count == 0 && h.Foreign {
		x.heads[k.list] = nil
	}
}

// unallow is the op that says that an entry went.
func unallow(e *AllowEntry, now time.Time) Op {
	return Op{Kind: OpUnallow, Prefix: e.Prefix, List: e.List, Item: e.Item, At: now.UTC()}
}

// disk is what the database is to hear.
func (x *allowEdit) disk() ([]op, error) {
	var out []op
	for k, e := range x.next {
		o := op{bucket: allowBucket, key: k.text()}
		switch h := x.head(k.list); {
		case e == nil:
			out = append(out, op{bucket: resolvedBucket, key: k.text()})
		case h.Managed: // kept as a whole
			continue
		default:
			value, err := json.Marshal(e)
			if err != nil {
				return nil, err
			}
			o.value = value
		}
		out = append(out, o)
	}
	for k, ps := range x.resolved {
		value, err := json.Marshal(ps)
		if err != nil {
			return nil, err
		}
		out = append(out, op{bucket: resolvedBucket, key: k.text(), value: value})
	}
	for name, h := range x.heads {
		o := op{bucket: allowListBucket, key: headKey(name)}
		if h != nil {
			kept := *h
			if h.Managed {
				kept.Items = x.items(name)
			}
			value, err := json.Marshal(&kept)
			if err != nil {
				return nil, err
			}
			o.value = value
		}
		out = append(out, o)
	}
	return out, nil
}

// items are those that a list will have.
func (x *allowEdit) items(list string) (out []AllowEntry) {
	for k, e := range x.t.entries {
		if _, changed := x.next[k]; k.list == list && !changed {
			out = append(out, e)
		}
	}
	for k, e := range x.next {
		if k.list == list && e != nil {
			out = append(out, *e)
		}
	}
	return out
}

// apply brings the change into force; it reports whether there is one. The caller
// holds mu.
func (x *allowEdit) apply() bool {
	t := x.t
	for name, h := range x.heads {
		if h == nil {
			delete(t.heads, name)
		} else {
			t.heads[name] = h
		}
	}
	for k, e := range x.next {
		t.unindex(k)
		if e == nil {
			delete(t.entries, k)
			t.forget(k)
			continue
		}
		t.entries[k] = *e
		t.index(k)
	}
	for k, ps := range x.resolved {
		t.unindex(k)
		t.forget(k)
		t.resolved[k] = ps
		t.found += len(ps)
		t.index(k)
	}
	if len(x.next)+len(x.resolved) > 0 {
		t.rebuild()
	}
	return len(x.next)+len(x.resolved)+len(x.heads) > 0
}

// prefixes are those that an entry stands for now.
func (t *Allow) prefixes(k allowKey) []netip.Prefix {
	if e, ok := t.entries[k]; ok && e.Prefix.IsValid() {
		return []netip.Prefix{e.Prefix}
	}
	return t.resolved[k]
}

func (t *Allow) index(k allowKey) {
	for _, p := range t.prefixes(k) {
		t.by[p] = append(t.by[p], k)
	}
}

func (t *Allow) unindex(k allowKey) {
	for _, p := range t.prefixes(k) {
		rest := slices.DeleteFunc(t.by[p], func(o allowKey) bool { return o == k })
		if len(rest) == 0 {
			delete(t.by, p)
		} else {
			t.by[p] = rest
		}
	}
}

// forget lets what an item was resolved to go.
func (t *Allow) forget(k allowKey) {
	t.found -= len(t.resolved[k])
	delete(t.resolved, k)
}

// expire drops entries that are over and tells whether there were any. What the disk
// does not let go stays, without effect, until the next call.
func (t *Allow) expire(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed, _ := t.edit(func(x *allowEdit) error {
		for k, e := range t.entries {
			if e.over(now) {
				x.remove(k, false)
			}
		}
		return nil
	})
	return changed
}
