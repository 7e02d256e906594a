package community

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

const (
	// maxDownload and maxUnpacked bound a list as it comes and as it is read.
	maxDownload = 64 << 20
	maxUnpacked = 256 << 20
)

// Validators are what a server said of the content that somebody has, for asking
// whether it has changed. The zero value is of nothing.
type Validators struct {
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"` // HTTP date
	Hash     string `json:"hash,omitempty"`     // SHA-256 of the content, hex; "": not computed
}

// Download is content on its way, unpacked: read it, at most 64 MiB as they came and
// 256 MiB unpacked, and close it. Validators are of it, without a hash.
type Download struct {
	io.Reader
	Validators
	Same bool // unchanged, says the server; there is nothing to read
	sum  hash.Hash
	body *bounded
	ends []func() error
}

// Close ends it.
func (d *Download) Close() {
	for _, end := range d.ends {
		_ = end()
	}
}

// finish reads what is left and returns the validators with the hash.
func (d *Download) finish() (Validators, error) {
	if _, err := io.Copy(io.Discard, d.Reader); err != nil {
		return Validators{}, err
	}
	// What is behind the packed content is part of the file, too.
	if _, err := io.Copy(d.sum, d.body); err != nil {
		return Validators{}, err
	}
	v := d.Validators
	v.Hash = hex.EncodeToString(d.sum.Sum(nil))
	return v, nil
}

// read makes the reader of a file's content.
func (d *Download) read(r io.Reader) error {
	d.sum = sha256.New()
	d.body = newBounded(r, maxDownload)
	plain, err := gunzipped(io.TeeReader(d.body, d.sum))
	if err != nil {
		return err
	}
	d.Reader = newBounded(plain, maxUnpacked)
	return nil
}

// Fetcher fetches lists from servers that others run. Addresses may have a key in them:
// no error names one, and no server is told from where it was redirected to. It is safe
// for concurrent use.
type Fetcher struct {
	http  *http.Client
	agent string
	now   func() time.Time
}

// NewFetcher returns one that says it is agent.
func NewFetcher(agent string, now func() time.Time) *Fetcher {
	return newFetcher(newTransport(), agent, now)
}

func newFetcher(t http.RoundTripper, agent string, now func() time.Time) *Fetcher {
	return &Fetcher{http: &http.Client{Transport: t, CheckRedirect: saferRedirect}, agent: agent, now: now}
}

// Get begins a download by http or https, conditional unless v is empty. Any answer but
// the content, or that it is unchanged where that was asked, is a *StatusError. ctx and
// ten minutes bound the whole of it.
func (f *Fetcher) Get(ctx context.Context, address string, v Validators) (*Download, error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	d := &Download{ends: []func() error{func() error { cancel(); return nil }}}
	if err := f.get(ctx, address, v, d); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (f *Fetcher) get(ctx context.Context, address string, v Validators, d *Download) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errors.New("not a URL")
	}
	req.Header.Set("User-Agent", f.agent)
	req.Header.Set("Accept-Encoding", "gzip")
	if v.ETag != "" {
		req.Header.Set("If-None-Match", v.ETag)
	}
	if v.Modified != "" {
		req.Header.Set("If-Modified-Since", v.Modified)
	}
	res, err := f.http.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	d.ends = append(d.ends, res.Body.Close)
	switch {
	case res.StatusCode == http.StatusNotModified && (v.ETag != "" || v.Modified != ""):
		d.Same, d.Validators = true, v
		return nil
	case res.StatusCode != http.StatusOK:
		return &StatusError{Method: http.MethodGet, Path: "list", Status: res.StatusCode, RetryAfter: retryAfter(res.Header.Get("Retry-After"), f.now())}
	}
	d.Validators = said(res.Header, f.now())
	text, err := content(res)
	if err != nil {
		return err
	}
	return d.read(text)
}

// said is what an answer says of its content. Without a date of change, that of the
// answer will do: by the server's clock, since it will compare it with its own.
// CrowdSec compatible: that one it always sends.
func said(h http.Header, now time.Time) Validators {
	v := Validators{ETag: h.Get("ETag"), Modified: h.Get("Last-Modified")}
	if _, err := http.ParseTime(v.Modified); err != nil {
		v.Modified = h.Get("Date")
	}
	if _, err := http.ParseTime(v.Modified); err != nil {
		v.Modified = now.UTC().Format(http.TimeFormat)
	}
	const most = 1024
	if len(v.ETag) > most {
		v.ETag = ""
	}
	return v
}

// fetch begins a download of any scheme, conditional unless v is empty.
func (s *shelf) fetch(ctx context.Context, address string, v Validators) (*Download, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	switch u.Scheme {
	case "http", "https":
		return s.fetcher.Get(ctx, address, v)
	case "file":
		return openFile(u, v)
	}
	return nil, fmt.Errorf("scheme %q: expected http, https or file", u.Scheme)
}

// openFile is Get for file URLs: unchanged is what has the same time and size.
func openFile(u *url.URL, v Validators) (*Download, error) {
	if u.Host != "" && u.Host != "localhost" || u.Path == "" {
		return nil, errors.New("expected a file URL such as file:///etc/rampart/list.txt")
	}
	f, err := os.Open(u.Path)
	if err != nil {
		return nil, err
	}
	d := &Download{ends: []func() error{f.Close}}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err == nil {
		d.Modified = info.ModTime().UTC().Format(time.RFC3339Nano)
		d.ETag = fmt.Sprint(info.Size())
		if v.Hash != "" && v.Modified == d.Modified && v.ETag == d.ETag {
			d.Same, d.Validators = true, v
			return d, nil
		}
		err = d.read(f)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}
