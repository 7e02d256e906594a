package decisions

import (
	"cmp"
	"net/netip"
	"slices"
)

// maxReasons is how many reasons are given at most.
const maxReasons = 100

// AllowReason is an item of an allowlist that has to do with what was asked about.
type AllowReason struct {
	List    string // of what is built in, its kind
	Item    string // as it is written
	Comment string
	// Builtin: it is in no list, this node itself never decides against it.
	Builtin bool
}

// Reasons returns the items that p is inside of, equal to, or contains, by list, a
// hundred at most; expired ones do not count. CrowdSec compatible: a range is
// allowlisted because of one address in it.
func (t *Allow) Reasons(p netip.Prefix) []AllowReason {
	if !t.Overlaps(p) {
		return nil
	}
	p = plainPrefix(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []AllowReason
	for kind, list := range t.builtin {
		for _, q := range list {
			if q.Overlaps(p) {
				e := AllowEntry{Prefix: q}
				out = append(out, AllowReason{List: kind, Item: e.Text(), Comment: "built in", Builtin: true})
			}
		}
	}
	now, table, seen := t.now(), t.table.Load(), map[allowKey]bool{}
	take := func(q netip.Prefix) {
		for _, k := range t.by[q] {
			e := t.entries[k]
			if !seen[k] && !e.over(now) && len(seen) < maxReasons {
				seen[k] = true
				out = append(out, AllowReason{List: e.ListName(), Item: e.Text(), Comment: e.Comment})
			}
		}
	}
	for q := range table.Supernets(p) {
		take(q)
	}
	for q := range table.Subnets(p) {
		if len(seen) >= maxReasons {
			break
		}
		take(q)
	}
	slices.SortFunc(out, func(x, y AllowReason) int { return compareTexts(x.List, y.List, x.Item, y.Item) })
	return out[:min(len(out), maxReasons)]
}

// compareTexts orders pairs: a before b, and c before d where those are equal.
func compareTexts(a, b, c, d string) int { return cmp.Or(cmp.Compare(a, b), cmp.Compare(c, d)) }

// Entry returns an entry that allows an address now; false if none does. The widest of
// those built in comes before the others.
func (t *Allow) Entry(a netip.Addr) (AllowEntry, bool) {
	if a = plain(a); !t.contains(a) {
		return AllowEntry{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var own AllowEntry
	for kind, list := range t.builtin {
		for _, q := range list {
			wider := !own.Prefix.IsValid() || cmp.Or(q.Bits()-own.Prefix.Bits(), cmp.Compare(kind, own.Kind)) < 0
			if q.Contains(a) && wider {
				own = AllowEntry{Prefix: q, Kind: kind}
			}
		}
	}
	if own.Prefix.IsValid() {
		return own, true
	}
	now := t.now()
	for q := range t.table.Load().Supernets(netip.PrefixFrom(a, a.BitLen())) {
		for _, k := range t.by[q] {
			if e := t.entries[k]; !e.over(now) {
				return e, true
			}
		}
	}
	return AllowEntry{}, false
}
