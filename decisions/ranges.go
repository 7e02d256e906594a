package decisions

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// chain is the entries of one range or IPv6 address, by compareEntries. Nearly
// always there is one, which then costs no allocation of its own.
type chain struct {
	first entry
	rest  []entry
}

func (c *chain) entries(dst []entry) []entry {
	return append(append(dst, c.first), c.rest...)
}

// ranges maps ranges and IPv6 addresses to entries; immutable like table4.
type ranges struct {
	table *bart.Table[chain]
	reach *reach
	stale int // IPv4 ranges that went since reach was made
	count int
}

// cloneRatio: a persistent insert copies a path of the trie (tens of
// microseconds), cloning all of it costs about a hundredth of that per prefix.
const cloneRatio = 100

// maxStale is how many ranges may leave bits in reach before it is made anew,
// beside a quarter of those that are there.
const maxStale = 1000

// rangeEdit is an edit of one prefix.
type rangeEdit struct {
	prefix netip.Prefix
	edit
}

// with returns the ranges after edits. Of several edits of one id at one prefix
// the last one counts.
func (r *ranges) with(edits []rangeEdit) *ranges {
	groups := make(map[netip.Prefix][]edit, len(edits))
	order := make([]netip.Prefix, 0, len(edits))
	for _, ed := range edits {
		if _, seen := groups[ed.prefix]; !seen {
			order = append(order, ed.prefix)
		}
		groups[ed.prefix] = append(groups[ed.prefix], ed.edit)
	}
	next := *r
	whole := len(order) > 16 && len(order) > r.table.Size()/cloneRatio
	if whole {
		next.table = r.table.Clone()
	}
	g := grown{reach: *r.reach}
	for _, p := range order {
		next.apply(p, latest(groups[p]), whole)
		if !p.Addr().Is4() {
			continue
		}
		if _, there := next.table.Get(p); there {
			g.add(p)
		} else {
			next.stale++
		}
	}
	next.reach = &g.reach
	if next.stale > maxStale+next.table.Size4()/4 {
		next.reach, next.stale = makeReach(next.table), 0
	}
	return &next
}

// apply edits one prefix, in place if the table is this value's own.
func (r *ranges) apply(p netip.Prefix, edits []edit, own bool) {
	var list []entry
	old, had := r.table.Get(p)
	if had {
		list = old.entries(nil)
	}
	r.count -= len(list)
	for _, ed := range edits {
		list = slices.DeleteFunc(list, func(e entry) bool { return e.id() == ed.e.id() })
		if !ed.gone {
			list = append(list, ed.e)
		}
	}
	r.count += len(list)
	switch {
	case len(list) == 0 && !had:
	case len(list) == 0 && own:
		r.table.Delete(p)
	case len(list) == 0:
		r.table = r.table.DeletePersist(p)
	default:
		slices.SortFunc(list, compareEntries)
		c := chain{first: list[0]}
		if len(list) > 1 {
			c.rest = slices.Clip(list[1:])
		}
		if own {
			r.table.Insert(p, c)
		} else {
			r.table = r.table.InsertPersist(p, c)
		}
	}
}
