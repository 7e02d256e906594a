package decisions

import (
	"encoding/json"
	"fmt"
	"net/netip"
)

// allowChange is what the fleet says of one prefix; entry nil: it is not allowed.
type allowChange struct {
	prefix netip.Prefix
	entry  *AllowEntry
	own    int64
}

// adopt makes changes that come from the fleet, in their order, except those that do
// not hold; it reports whether anything differs then. write brings them to disk: if it
// cannot, they are in force all the same.
func (t *Allow) adopt(changes []allowChange, holds func(netip.Prefix, int64) bool, write func([]op) error, r *refusals) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var writes []op
	next := map[netip.Prefix]*AllowEntry{}
	count := len(t.entries)
	for _, c := range changes {
		p := plainPrefix(c.prefix)
		if !holds(p, c.own) {
			continue
		}
		have, had := t.entries[p]
		if n, seen := next[p]; seen {
			if had = n != nil; had {
				have = *n
			}
		}
		e, value, err := t.foreignEntry(c.entry, p)
		switch {
		case err != nil:
			r.add(err)
		case e == nil && had:
			count--
			next[p] = nil
			writes = append(writes, op{bucket: allowBucket, key: p.String()})
		case e == nil || had && have.same(e):
		case !had && count >= maxAllowEntries:
			r.add(fmt.Errorf("allowlist entry %s: there are %d, no more fit", p, count))
		default:
			if !had {
				count++
			}
			next[p] = e
			writes = append(writes, op{bucket: allowBucket, key: p.String(), value: value})
		}
	}
	if len(writes) == 0 {
		return false
	}
	if err := write(writes); err != nil {
		r.add(fmt.Errorf("keeping the fleet's allowlist: %w", err))
	}
	for p, e := range next {
		if e == nil {
			delete(t.entries, p)
		} else {
			t.entries[p] = *e
		}
	}
	t.rebuild()
	return true
}

// foreignEntry is an entry from the fleet as it is kept; nil if there is none, or it
// is over.
func (t *Allow) foreignEntry(e *AllowEntry, p netip.Prefix) (*AllowEntry, []byte, error) {
	if e == nil {
		return nil, nil, nil
	}
	out := AllowEntry{
		Prefix: p, Kind: KindManual, Comment: tidyText(e.Comment, maxText), Author: tidyText(e.Author, maxText),
		Created: e.Created.UTC(), Until: e.Until,
	}
	if !out.Until.IsZero() && !out.Until.After(t.now()) {
		return nil, nil, nil
	}
	value, err := json.Marshal(&out)
	if err != nil {
		return nil, nil, fmt.Errorf("allowlist entry %s: %w", p, err)
	}
	return &out, value, nil
}

// same reports whether two entries of one prefix say the same.
func (e *AllowEntry) same(o *AllowEntry) bool {
	return e.Comment == o.Comment && e.Author == o.Author && e.Created.Equal(o.Created) && e.Until.Equal(o.Until)
}
