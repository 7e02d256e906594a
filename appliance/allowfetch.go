package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	// maxAllowBody bounds a list behind a URL, in bytes, unpacked.
	maxAllowBody = 8 << 20
	maxRedirects = 5
)

// stamp tells one state of what is behind a URL from another.
type stamp struct{ etag, modified string }

// newAllowClient is who asks for lists of what is allowed.
func newAllowClient() *http.Client {
	return &http.Client{Timeout: fetchTimeout, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConns: 2, IdleConnTimeout: 10 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirections", maxRedirects)
		}
		if via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
			return errors.New("it leads from https to http")
		}
		r.Header.Del("Referer") // the address may have a key in it, which is nobody else's
		return nil
	}}
}

// fetchAllowed asks for a list. A nil list is one that is as it was when seen.
func fetchAllowed(c *http.Client, agent string) func(ctx context.Context, address string, seen stamp) ([]netip.Prefix, stamp, error) {
	return func(ctx context.Context, address string, seen stamp) ([]netip.Prefix, stamp, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, seen, fmt.Errorf("fetching an allowlist: %w", err)
		}
		r.Header.Set("User-Agent", agent)
		if seen.etag != "" {
			r.Header.Set("If-None-Match", seen.etag)
		}
		if seen.modified != "" {
			r.Header.Set("If-Modified-Since", seen.modified)
		}
		res, err := c.Do(r)
		if err != nil {
			return nil, seen, fmt.Errorf("fetching %s: %w", hostOf(address), unwrapURL(err))
		}
		defer res.Body.Close()
		switch {
		case res.StatusCode == http.StatusNotModified && seen != stamp{}:
			return nil, seen, nil
		case res.StatusCode != http.StatusOK:
			return nil, seen, fmt.Errorf("fetching %s: it answered %d", hostOf(address), res.StatusCode)
		}
		body := &io.LimitedReader{R: res.Body, N: maxAllowBody + 1}
		ps, err := decisions.ReadAllowed(body)
		switch {
		case body.N <= 0:
			return nil, seen, fmt.Errorf("fetching %s: it has more than %d bytes", hostOf(address), maxAllowBody)
		case err != nil:
			return nil, seen, fmt.Errorf("fetching %s: %w", hostOf(address), err)
		case ps == nil:
			ps = []netip.Prefix{}
		}
		return ps, stamp{etag: res.Header.Get("ETag"), modified: res.Header.Get("Last-Modified")}, nil
	}
}

// unwrapURL is the error without the whole address, which may have a key in it.
func unwrapURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Host
	}
	return "a URL"
}
