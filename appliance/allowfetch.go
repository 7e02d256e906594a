package appliance

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"net/url"

	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/decisions"
)

// maxAllowBody bounds a list behind a URL, in bytes, unpacked.
const maxAllowBody = 8 << 20

// fetchAllowed asks for a list. A nil list is one that is as it was when seen.
func fetchAllowed(f *community.Fetcher) func(ctx context.Context, address string, seen community.Validators) ([]netip.Prefix, community.Validators, error) {
	return func(ctx context.Context, address string, seen community.Validators) ([]netip.Prefix, community.Validators, error) {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		d, err := f.Get(ctx, address, seen)
		if err != nil {
			return nil, seen, fmt.Errorf("fetching %s: %w", hostOf(address), err)
		}
		defer d.Close()
		if d.Same {
			return nil, seen, nil
		}
		body := &io.LimitedReader{R: d, N: maxAllowBody + 1}
		ps, err := decisions.ReadAllowed(body)
		switch {
		case body.N <= 0:
			return nil, seen, fmt.Errorf("fetching %s: it has more than %d bytes", hostOf(address), maxAllowBody)
		case err != nil:
			return nil, seen, fmt.Errorf("fetching %s: %w", hostOf(address), err)
		case ps == nil:
			ps = []netip.Prefix{}
		}
		return ps, d.Validators, nil
	}
}

func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Host
	}
	return "a URL"
}
