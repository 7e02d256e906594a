package decisions

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"
)

const (
	// maxResolved bounds the prefixes of all names and URLs together.
	maxResolved = 1 << 18
	// maxShare is how much of all addresses one item may cover: four networks of the
	// widest size.
	maxShare = 4
)

// ErrSuspicious is in the chain when what a name or a URL stands for cannot be meant.
var ErrSuspicious = errors.New("not taken over")

// Resolve says what a host name or a URL of a list stands for. It is kept, also
// across restarts, until the next call or until the entry goes. Nothing at all, or
// more than four /8 (IPv4) or four /16 (IPv6), is an error, and what was there stays.
func (t *Allow) Resolve(list, item string, ps []netip.Prefix) error {
	return t.change(func(x *allowEdit) error {
		e := AllowEntry{List: list, Item: item}
		key, err := e.normalise()
		if err != nil {
			return fmt.Errorf("resolving an item of the allowlist: %w", err)
		}
		have, ok := t.entries[key]
		if !ok || have.Prefix.IsValid() {
			return fmt.Errorf("resolving %s: %w", key, ErrNotAllowed)
		}
		next, err := distinct(ps)
		if err != nil {
			return fmt.Errorf("resolving %s: %w", key, err)
		}
		switch before := t.resolved[key]; {
		case slices.Equal(before, next):
			return nil
		case t.found-len(before)+len(next) > maxResolved:
			return fmt.Errorf("resolving %s: %w: names and URLs have %d ranges in all, %d fit", key, ErrSuspicious,
				t.found-len(before)+len(next), maxResolved)
		}
		x.resolved[key] = next
		return nil
	})
}

// distinct returns the prefixes in their order, without those inside others.
func distinct(ps []netip.Prefix) ([]netip.Prefix, error) {
	all := make([]netip.Prefix, 0, len(ps))
	for _, p := range ps {
		if !p.IsValid() {
			continue
		}
		p = plainPrefix(p)
		if err := checkWidth(p); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSuspicious, err)
		}
		all = append(all, p)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	out := all[:0]
	share := 0.0 // of the widest there may be
	for _, p := range all {
		if n := len(out); n > 0 && out[n-1].Contains(p.Addr()) {
			continue
		}
		out = append(out, p)
		least := minBits4
		if p.Addr().Is6() {
			least = minBits6
		}
		share += 1 / float64(uint64(1)<<min(p.Bits()-least, 62))
	}
	switch {
	case len(out) == 0:
		return nil, fmt.Errorf("%w: there is no address in it", ErrSuspicious)
	case share > maxShare:
		return nil, fmt.Errorf("%w: it covers more than %d networks of the widest that are possible", ErrSuspicious, maxShare)
	}
	return slices.Clip(out), nil
}

// AllowSource is an item of an allowlist that has to be looked up.
type AllowSource struct {
	List     string `json:"list"`
	Item     string `json:"item"`
	Prefixes int    `json:"prefixes"` // that it stands for now
}

// Sources returns the host names and URLs of all lists, ordered.
func (t *Allow) Sources() []AllowSource {
	var out []AllowSource
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, e := range t.entries {
		if e.Item != "" {
			out = append(out, AllowSource{List: e.ListName(), Item: e.Item, Prefixes: len(t.resolved[k])})
		}
	}
	slices.SortFunc(out, func(a, b AllowSource) int { return compareTexts(a.List, b.List, a.Item, b.Item) })
	return out
}

// ReadAllowed reads what the URL of an allowlist gave: an address or a range on each
// line, comments behind # or ;. One that is too wide, or mostly lines that are neither,
// is an error: such a thing is not a list, and nobody is to be allowed by mistake. How
// much is read is for the caller to bound.
func ReadAllowed(r io.Reader) ([]netip.Prefix, error) {
	head := ListHead{Name: "allowed", Type: TypeBan, Created: time.Unix(0, 0), Until: time.Unix(1, 0)}
	l, report, err := ReadBlocklist(head, r)
	if err != nil {
		return nil, err
	}
	if err := report.Doubt(l); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSuspicious, err)
	}
	return slices.Collect(l.All()), nil
}
