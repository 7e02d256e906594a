package decisions

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"
)

// Kinds of allow entries. All but KindManual are the node's own and cannot be
// removed by an operator's command.
const (
	KindManual         = "manual"
	KindLoopback       = "loopback"
	KindUnspecified    = "unspecified"
	KindLinkLocal      = "link-local"
	KindHost           = "host"
	KindTrustedProxies = "trusted_proxies"
	KindConfig         = "config"
)

const maxAllowEntries = 100_000

var (
	// ErrBuiltin is in the chain when an entry of the node's own is to be removed.
	ErrBuiltin = errors.New("entry is built in")
	// ErrNotAllowed is in the chain when an entry to remove is not there.
	ErrNotAllowed = errors.New("no such allowlist entry")
)

// AllowEntry is one range that nothing may be done to.
type AllowEntry struct {
	Prefix  netip.Prefix `json:"prefix"`
	Comment string       `json:"comment,omitempty"`
	Author  string       `json:"author,omitempty"`
	Kind    string       `json:"kind"`
	Created time.Time    `json:"created,omitzero"`
	Until   time.Time    `json:"until,omitzero"` // zero: for ever
}

// Allow is the allowlist: what operators added, and what can never be decided
// against (loopback, this host, …). Contains takes no lock.
type Allow struct {
	now   func() time.Time
	table atomic.Pointer[allowTable]

	mu      sync.Mutex // of writers
	builtin map[string][]netip.Prefix
	entries map[netip.Prefix]AllowEntry
	keep    allowKeeper // nil until a Book took charge
}

// allowTable is immutable. The value of a prefix is its end in Unix milliseconds,
// 0 for never.
type allowTable struct {
	*bart.Table[int64]
	first4, first6 [256]bool // of what is allowed; most addresses have another
}

// allowKeeper is told of every change: save and forget before it is made, swept
// after it and without the lock.
type allowKeeper interface {
	saveAllow(e AllowEntry) error
	forgetAllow(p netip.Prefix, over bool) error
	sweepAllowed()
}

// NewAllow returns a table with what is allowed on every host: loopback,
// unspecified and link-local addresses.
func NewAllow(now func() time.Time) *Allow {
	t := &Allow{
		now:     now,
		entries: map[netip.Prefix]AllowEntry{},
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

// Add adds an entry or replaces the one of the same prefix. With a Book it is on
// disk when Add returns, and decisions that it covers are suppressed.
func (t *Allow) Add(e AllowEntry) error {
	if !e.Prefix.IsValid() {
		return errors.New("adding to the allowlist: expected a range such as 192.0.2.0/24")
	}
	now := t.now()
	e.Prefix, e.Kind = plainPrefix(e.Prefix), KindManual
	if e.Created.IsZero() {
		e.Created = now.UTC()
	}
	if !e.Until.IsZero() && !e.Until.After(now) {
		return fmt.Errorf("adding %s to the allowlist: it would have ended at %s", e.Prefix, e.Until.Format(time.RFC3339))
	}
	return t.change(func() error {
		if _, had := t.entries[e.Prefix]; !had && len(t.entries) >= maxAllowEntries {
			return fmt.Errorf("adding %s to the allowlist: it has %d entries, no more fit", e.Prefix, len(t.entries))
		}
		if t.keep != nil {
			if err := t.keep.saveAllow(e); err != nil {
				return fmt.Errorf("adding %s to the allowlist: %w", e.Prefix, err)
			}
		}
		t.entries[e.Prefix] = e
		return nil
	})
}

// Remove removes an operator's entry; decisions that only it suppressed come back
// into force.
func (t *Allow) Remove(p netip.Prefix) error {
	if !p.IsValid() {
		return errors.New("removing from the allowlist: expected a range such as 192.0.2.0/24")
	}
	p = plainPrefix(p)
	return t.change(func() error {
		if _, ok := t.entries[p]; !ok {
			for kind, list := range t.builtin {
				if slices.Contains(list, p) {
					return fmt.Errorf("removing %s from the allowlist: %w (%s)", p, ErrBuiltin, kind)
				}
			}
			return fmt.Errorf("removing %s from the allowlist: %w", p, ErrNotAllowed)
		}
		if t.keep != nil {
			if err := t.keep.forgetAllow(p, false); err != nil {
				return fmt.Errorf("removing %s from the allowlist: %w", p, err)
			}
		}
		delete(t.entries, p)
		return nil
	})
}

// change runs fn under the lock, and after its success publishes and tells.
func (t *Allow) change(fn func() error) error {
	t.mu.Lock()
	err := fn()
	if err == nil {
		t.rebuild()
	}
	keep := t.keep
	t.mu.Unlock()
	if err == nil && keep != nil {
		keep.sweepAllowed()
	}
	return err
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

// manual returns the operators' entries in the order of their prefixes.
func (t *Allow) manual() []AllowEntry {
	return slices.DeleteFunc(t.List(), func(e AllowEntry) bool { return e.Kind != KindManual })
}

// List returns all entries in the order of their prefixes.
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
		return cmp.Or(a.Prefix.Compare(b.Prefix), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}

// expire drops entries that are over and tells whether there were any. One that
// the disk does not let go stays, without effect, until the next call.
func (t *Allow) expire(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := false
	for p, e := range t.entries {
		if e.Until.IsZero() || e.Until.After(now) {
			continue
		}
		if t.keep != nil && t.keep.forgetAllow(p, true) != nil {
			continue
		}
		delete(t.entries, p)
		changed = true
	}
	if changed {
		t.rebuild()
	}
	return changed
}

// attach puts a Book in charge of keeping entries, which it loaded from disk.
func (t *Allow) attach(k allowKeeper, loaded []AllowEntry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keep = k
	for _, e := range loaded {
		t.entries[e.Prefix] = e
	}
	t.rebuild()
}

// detach leaves the entries in force, with nobody to keep changes.
func (t *Allow) detach(k allowKeeper) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keep == k {
		t.keep = nil
	}
}

// rebuild publishes the table. The value of a prefix is the latest end among it
// and those around it, so that one longest match answers.
func (t *Allow) rebuild() {
	ends := map[netip.Prefix]int64{}
	for _, list := range t.builtin {
		for _, p := range list {
			ends[p] = 0
		}
	}
	for p, e := range t.entries {
		if _, own := ends[p]; own || e.Until.IsZero() {
			ends[p] = 0
		} else {
			ends[p] = e.Until.UnixMilli()
		}
	}
	order := slices.SortedFunc(maps.Keys(ends), func(a, b netip.Prefix) int {
		return cmp.Compare(a.Bits(), b.Bits())
	})
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
