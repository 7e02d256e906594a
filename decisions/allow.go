package decisions

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"
)

// Kinds of allow entries. All but KindManual and KindManaged are the node's own and
// cannot be removed by an operator's command.
const (
	KindManual         = "manual"
	KindManaged        = "managed" // of a list that is managed elsewhere
	KindLoopback       = "loopback"
	KindUnspecified    = "unspecified"
	KindLinkLocal      = "link-local"
	KindHost           = "host"
	KindTrustedProxies = "trusted_proxies"
	KindConfig         = "config"
)

// maxAllowEntries bounds the entries of all lists together.
const maxAllowEntries = 100_000

var (
	// ErrBuiltin is in the chain when an entry of the node's own is to be removed.
	ErrBuiltin = errors.New("entry is built in")
	// ErrNotAllowed is in the chain when an entry to remove is not there.
	ErrNotAllowed = errors.New("no such allowlist entry")
	// ErrNoAllowList is in the chain when there is no allowlist of a name.
	ErrNoAllowList = errors.New("no such allowlist")
	// ErrAllowListExists is in the chain when there is one already.
	ErrAllowListExists = errors.New("there is an allowlist of that name")
	// ErrManaged is in the chain when an allowlist that is managed elsewhere is to be
	// changed here.
	ErrManaged = errors.New("the allowlist is managed elsewhere and cannot be changed here")
)

// Allow is what may not be decided against: lists that operators made (AllowList),
// the default one first of all, those that are managed elsewhere, and what is built in
// (loopback, this host, …). An address is allowed while any of them has it.
//
// A decision is suppressed where all it is against is covered by one allowed range. An
// allowed address inside a larger range that was decided against is let through, by
// lookups and the firewall, and the decision holds for the rest. CrowdSec differs: an
// entry ends decisions that merely overlap it, for good, so that a /8 is given up for
// one address in it.
//
// Contains, Covers and Overlaps take no lock.
type Allow struct {
	now   func() time.Time
	table atomic.Pointer[allowTable]

	mu       sync.Mutex // of writers
	builtin  map[string][]netip.Prefix
	heads    map[string]*allowHead // by name; "" is the default list's
	entries  map[allowKey]AllowEntry
	resolved map[allowKey][]netip.Prefix // of items that are names or URLs
	found    int                         // prefixes in resolved
	by       map[netip.Prefix][]allowKey // whose prefixes they are, resolved ones too
	keep     allowKeeper                 // nil until a Book took charge
}

// allowTable is immutable. The value of a prefix is its end in Unix milliseconds,
// 0 for never.
type allowTable struct {
	*bart.Table[int64]
	first4, first6 [256]bool // of what is allowed; most addresses have another
}

// allowKeeper is told of every change: keepAllow before it is made, with what the disk
// and what the fleet is to hear, sweepAllowed after it and without the lock.
type allowKeeper interface {
	keepAllow(disk []op, tell []Op) error
	sweepAllowed()
}

// NewAllow returns a table with what is allowed on every host: loopback,
// unspecified and link-local addresses.
func NewAllow(now func() time.Time) *Allow {
	t := &Allow{
		now:      now,
		heads:    map[string]*allowHead{"": {Created: wholeMillis(now())}},
		entries:  map[allowKey]AllowEntry{},
		resolved: map[allowKey][]netip.Prefix{},
		by:       map[netip.Prefix][]allowKey{},
		builtin: map[string][]netip.Prefix{
			KindLoopback:    {netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			KindUnspecified: {netip.MustParsePrefix("0.0.0.0/32"), netip.MustParsePrefix("::/128")},
			KindLinkLocal:   {netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10")},
		},
	}
	t.rebuild()
	return t
}

// Contains reports whether a is allowed now.
func (t *Allow) Contains(a netip.Addr) bool { return t.contains(plain(a)) }

// contains is Contains for a plain address.
func (t *Allow) contains(a netip.Addr) bool {
	table := t.table.Load()
	if a.Is4() {
		if !table.first4[a.As4()[0]] {
			return false
		}
	} else if !table.first6[a.As16()[0]] {
		return false
	}
	until, ok := table.Lookup(a)
	return ok && t.live(until)
}

// Covers reports whether all of p is inside one allowed range.
func (t *Allow) Covers(p netip.Prefix) bool {
	if !p.IsValid() {
		return false
	}
	until, ok := t.table.Load().LookupPrefix(plainPrefix(p))
	return ok && t.live(until)
}

// Overlaps reports whether any address of p is allowed now.
func (t *Allow) Overlaps(p netip.Prefix) bool {
	if !p.IsValid() {
		return false
	}
	p = plainPrefix(p)
	table := t.table.Load()
	if !table.OverlapsPrefix(p) {
		return false
	}
	if t.Covers(p) {
		return true
	}
	for _, until := range table.Subnets(p) {
		if t.live(until) {
			return true
		}
	}
	return false
}

func (t *Allow) live(until int64) bool { return until == 0 || t.now().UnixMilli() < until }

// Ranges returns what is allowed now as prefixes of which none is inside another, in
// their order.
func (t *Allow) Ranges() []netip.Prefix {
	var out []netip.Prefix
	for p, until := range t.table.Load().AllSorted() { // a range comes before what is in it
		if n := len(out); t.live(until) && (n == 0 || !out[n-1].Contains(p.Addr())) {
			out = append(out, p)
		}
	}
	return out
}

// SetBuiltin replaces the node's own entries of one kind; call it before
// OpenBook, so that nothing loaded from disk is in force for a moment against one
// of them. Invalid prefixes are left out.
func (t *Allow) SetBuiltin(kind string, prefixes []netip.Prefix) {
	t.mu.Lock()
	list := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p.IsValid() {
			list = append(list, plainPrefix(p))
		}
	}
	changed := !slices.Equal(t.builtin[kind], list)
	if changed {
		t.builtin[kind] = list
		t.rebuild()
	}
	keep := t.keep
	t.mu.Unlock()
	if changed && keep != nil {
		keep.sweepAllowed()
	}
}

// rebuild publishes the table. The value of a prefix is the latest end among it
// and those around it, so that one longest match answers. The caller holds mu.
func (t *Allow) rebuild() {
	ends := make(map[netip.Prefix]int64, len(t.by))
	order := make([]netip.Prefix, 0, len(t.by))
	for p, keys := range t.by {
		end := int64(-1)
		for _, k := range keys {
			until := t.entries[k].Until
			if until.IsZero() {
				end = 0
				break
			}
			end = max(end, until.UnixMilli())
		}
		ends[p] = end
		order = append(order, p)
	}
	for _, list := range t.builtin {
		for _, p := range list {
			if _, had := ends[p]; !had {
				order = append(order, p)
			}
			ends[p] = 0
		}
	}
	slices.SortFunc(order, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
	table := &allowTable{Table: &bart.Table[int64]{}}
	for _, p := range order {
		table.mark(p)
		end := ends[p]
		if around, ok := table.LookupPrefix(p); ok && end != 0 {
			if around == 0 || around > end {
				end = around
			}
		}
		table.Insert(p, end)
	}
	t.table.Store(table)
}

// mark sets the first bytes that p has addresses for.
func (t *allowTable) mark(p netip.Prefix) {
	first, marks := p.Addr().AsSlice()[0], &t.first6
	if p.Addr().Is4() {
		marks = &t.first4
	}
	for n := range 1 << max(0, 8-p.Bits()) {
		marks[int(first)+n] = true
	}
}
