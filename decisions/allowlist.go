package decisions

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	maxAllowLists = 256
	// maxAllowErrors is how many bad items of a list an error names.
	maxAllowErrors = 10
)

// AllowList is a named list of what is allowed.
type AllowList struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated,omitzero"` // the last change of an entry; zero: none yet
	// Managed: by the Central API. It is replaced as a whole, no operator changes it
	// here, and it is this node's own: the fleet does not hear of it.
	Managed bool `json:"managed,omitempty"`
	// Items have their List and Item filled in, addresses and ranges too, and are in
	// the order of their prefixes, names and URLs behind them.
	Items []AllowEntry `json:"items"`
}

// allowHead is what is kept of a list beside its entries.
type allowHead struct {
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated,omitzero"`
	Managed     bool      `json:"managed,omitempty"`
	// Foreign: it came with an entry of another node, and goes with the last one.
	Foreign bool `json:"foreign,omitempty"`
	// Items are those of a managed list as the database has them.
	Items []AllowEntry `json:"items,omitempty"`

	count int
}

// Lists returns all allowlists by name, the default one among them. What is built in
// is in none.
func (t *Allow) Lists() []AllowList {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := make(map[string]int, len(t.heads))
	out := make([]AllowList, 0, len(t.heads))
	for _, name := range slices.Sorted(maps.Keys(t.heads)) {
		h := t.heads[name]
		at[name] = len(out)
		out = append(out, AllowList{Name: cmp.Or(name, DefaultAllowList), Description: h.Description, Created: h.Created,
			Updated: h.Updated, Managed: h.Managed, Items: make([]AllowEntry, 0, h.count)})
	}
	for _, e := range t.entries {
		l := &out[at[e.List]]
		e.List, e.Item = l.Name, e.Text()
		l.Items = append(l.Items, e)
	}
	for i := range out {
		slices.SortFunc(out[i].Items, compareItems)
	}
	slices.SortFunc(out, func(x, y AllowList) int { return cmp.Compare(x.Name, y.Name) })
	return out
}

// compareItems orders prefixes, and names and URLs behind them.
func compareItems(x, y AllowEntry) int {
	switch v, w := x.Prefix.IsValid(), y.Prefix.IsValid(); {
	case v && w:
		return x.Prefix.Compare(y.Prefix)
	case v:
		return -1
	case w:
		return 1
	}
	return cmp.Compare(x.Item, y.Item)
}

// CreateList makes an empty list.
func (t *Allow) CreateList(name, description string) error {
	return t.change(func(x *allowEdit) error {
		name, err := allowName(name)
		switch {
		case err != nil:
			return fmt.Errorf("making an allowlist: %w", err)
		case x.t.heads[name] != nil:
			return fmt.Errorf("making allowlist %s: %w", cmp.Or(name, DefaultAllowList), ErrAllowListExists)
		}
		_, err = x.create(name, allowHead{Description: tidyText(description, maxText)})
		return err
	})
}

// DeleteList removes a list with its entries; decisions that only they suppressed
// come back into force. The default list stays. A managed one goes too: who acts for
// an operator looks at Managed before.
func (t *Allow) DeleteList(name string) error {
	return t.change(func(x *allowEdit) error {
		key, err := allowName(name)
		switch {
		case err != nil:
			return fmt.Errorf("deleting an allowlist: %w", err)
		case key == "":
			return errors.New("deleting the default allowlist: it is always there; remove its entries instead")
		case x.t.heads[key] == nil:
			return fmt.Errorf("deleting allowlist %.80q: %w", name, ErrNoAllowList)
		}
		for k := range x.t.entries {
			if k.list == key {
				x.remove(k, true)
			}
		}
		x.heads[key] = nil
		return nil
	})
}

// ReplaceList makes a list what l is, as one step, and makes it where it is not
// there. Items that make no sense are left out and named in the error, the first ten
// of them; the others are in force all the same. So it is if the error is of that kind
// only: Lists tells. Items that are over are left out.
//
// A managed list takes the place of a managed one only, and so do operators' lists.
func (t *Allow) ReplaceList(l AllowList) error {
	var bad refusals
	err := t.change(func(x *allowEdit) error {
		if err := x.replace(&l, &bad); err != nil {
			return fmt.Errorf("replacing allowlist %.80q: %w", l.Name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(bad.errs[:min(len(bad.errs), maxAllowErrors)]...)
}

func (x *allowEdit) replace(l *AllowList, bad *refusals) error {
	name, err := allowName(l.Name)
	if err != nil {
		return err
	}
	h := x.head(name)
	switch {
	case name == "" && l.Managed:
		return errors.New("the default allowlist is the operators'")
	case h != nil && h.Managed && !l.Managed:
		return ErrManaged
	case h != nil && !h.Managed && l.Managed:
		return fmt.Errorf("%w, of the operators; rename or delete theirs", ErrAllowListExists)
	case h == nil:
		if h, err = x.create(name, allowHead{Managed: l.Managed, Created: l.Created}); err != nil {
			return err
		}
	}
	h.Description, h.Foreign = tidyText(l.Description, maxText), false
	want := map[allowKey]*AllowEntry{}
	for i := range l.Items {
		e := l.Items[i]
		e.List, e.Kind, e.ListAbout = name, h.kind(), ""
		key, err := e.normalise()
		switch {
		case err != nil:
			bad.add(err)
			continue
		case e.over(x.now):
			continue
		}
		if e.Created.IsZero() {
			e.Created = x.now.UTC()
		}
		want[key] = &e
	}
	for k := range x.t.entries {
		if k.list == name && want[k] == nil {
			x.remove(k, true)
		}
	}
	for k, e := range want {
		if have, ok := x.t.entries[k]; ok && have.same(e) {
			continue
		}
		if err := x.put(k, e, true); err != nil {
			return err
		}
	}
	x.touch(name)
	return nil
}

// kind is that of the list's entries.
func (h *allowHead) kind() string {
	if h.Managed {
		return KindManaged
	}
	return KindManual
}

// Len returns how many entries there are.
func (t *Allow) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.entries)
	for _, list := range t.builtin {
		n += len(list)
	}
	return n
}

// List returns the entries of all lists and those built in: names and URLs first,
// then in the order of their prefixes.
func (t *Allow) List() []AllowEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.Collect(maps.Values(t.entries))
	for kind, list := range t.builtin {
		for _, p := range list {
			out = append(out, AllowEntry{Prefix: p, Kind: kind})
		}
	}
	slices.SortFunc(out, func(a, b AllowEntry) int {
		return cmp.Or(a.Prefix.Compare(b.Prefix), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.List, b.List), cmp.Compare(a.Item, b.Item))
	})
	return out
}

// manual returns the operators' entries as the fleet has them.
func (t *Allow) manual() []AllowEntry {
	out := slices.DeleteFunc(t.List(), func(e AllowEntry) bool { return e.Kind != KindManual })
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range out {
		if h := t.heads[out[i].List]; h != nil {
			out[i].ListAbout = h.Description
		}
	}
	return out
}
