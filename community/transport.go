package community

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	maxRedirects = 5
	// An address that does not answer is given up soon; a large file may take its time.
	dialTimeout     = 10 * time.Second
	headTimeout     = 30 * time.Second
	downloadTimeout = 10 * time.Minute
)

// newTransport returns one that gives up on servers that do not answer. Bodies are
// unpacked by us, so that there are limits before and after.
func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		// Go sends a GET again by itself when a connection that it reuses ends early. For the
		// server that is one more pull, and the changes that it told in the first are lost.
		DisableKeepAlives: true,
	}
}

// saferRedirect lets lists move, but not from a secure place to an open one, nor to
// other protocols.
func saferRedirect(req *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL.Scheme
	switch to := req.URL.Scheme; {
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case to != "http" && to != "https", from == "https" && to == "http":
		return errors.New("redirect from " + from + " to " + to)
	}
	req.Header.Del("Referer") // the address may have a key in it, which is nobody else's
	return nil
}
