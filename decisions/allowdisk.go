package decisions

import (
	"encoding/json"
	"errors"
	"net/netip"
)

const (
	allowBucket     = "allow"          // operators' entries
	allowListBucket = "allow_lists"    // heads of lists, and managed lists as a whole
	resolvedBucket  = "allow_resolved" // what names and URLs stand for
)

var errAllowRecord = errors.New("record of the allowlist does not fit its key")

// headKey is the key of a list's head.
func headKey(list string) string {
	if list == "" {
		return DefaultAllowList
	}
	return list
}

// allowRecords are the allowlists as the database has them.
type allowRecords struct {
	heads    map[string]*allowHead
	entries  map[allowKey]AllowEntry
	resolved map[allowKey][]netip.Prefix
}

// loadAllow reads the allowlists and puts the Book in charge of them.
func (b *Book) loadAllow() error {
	r := allowRecords{map[string]*allowHead{}, map[allowKey]AllowEntry{}, map[allowKey][]netip.Prefix{}}
	for _, kind := range []struct {
		bucket, name string
		take         func(key string, value []byte) error
	}{
		{allowListBucket, "allowlist", r.takeHead},
		{allowBucket, "allowlist entry", r.takeEntry},
		{resolvedBucket, "what an allowlist entry stands for", r.takeResolved},
	} {
		err := b.o.DB.Each(kind.bucket, "", func(key string, value []byte) error {
			if err := kind.take(key, value); err != nil {
				b.damagedRecord(kind.name, key, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	b.o.Allow.attach(b, r)
	return nil
}

// takeHead reads a list.
func (r *allowRecords) takeHead(key string, value []byte) error {
	var h allowHead
	if err := json.Unmarshal(value, &h); err != nil {
		return err
	}
	name, err := allowName(key)
	if err != nil {
		return err
	}
	if headKey(name) != key || h.Managed && name == "" || len(h.Items) > maxAllowEntries || len(r.heads) >= maxAllowLists {
		return errAllowRecord
	}
	h.Description = tidyText(h.Description, maxText)
	for _, e := range h.Items {
		e.List = name
		if k, err := e.normalise(); err == nil && h.Managed {
			e.Kind = KindManaged
			r.entries[k] = e
		}
	}
	h.Items = nil
	r.heads[name] = &h
	return nil
}

// takeEntry reads an operator's entry; a list that nothing is known of is made.
func (r *allowRecords) takeEntry(key string, value []byte) error {
	var e AllowEntry
	if err := json.Unmarshal(value, &e); err != nil {
		return err
	}
	k, err := e.normalise()
	if err != nil {
		return err
	}
	h := r.heads[k.list]
	if k.text() != key || h != nil && h.Managed || len(r.entries) >= maxAllowEntries {
		return errAllowRecord
	}
	if h == nil && k.list != "" {
		r.heads[k.list] = &allowHead{Created: e.Created}
	}
	e.Kind, e.ListAbout = KindManual, ""
	r.entries[k] = e
	return nil
}

// takeResolved reads what an entry stands for.
func (r *allowRecords) takeResolved(key string, value []byte) error {
	var ps []netip.Prefix
	if err := json.Unmarshal(value, &ps); err != nil {
		return err
	}
	next, err := distinct(ps)
	if err != nil {
		return err
	}
	for k, e := range r.entries {
		if e.Item != "" && k.text() == key {
			r.resolved[k] = next
			return nil
		}
	}
	return errAllowRecord
}

// attach puts a Book in charge of keeping the lists, which it loaded from disk.
func (t *Allow) attach(k allowKeeper, r allowRecords) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keep = k
	x := t.newEdit()
	x.heads, x.resolved = r.heads, r.resolved
	for key, e := range r.entries {
		x.next[key] = &e
	}
	x.apply()
	for _, h := range t.heads {
		h.count = 0
	}
	for key := range t.entries {
		t.heads[key.list].count++
	}
}

// detach leaves the lists in force, with nobody to keep changes.
func (t *Allow) detach(k allowKeeper) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keep == k {
		t.keep = nil
	}
}
