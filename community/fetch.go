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

// validators are what a server said of the content that we have, for asking whether it
// has changed.
type validators struct {
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"` // HTTP date
	Hash     string `json:"hash,omitempty"`     // SHA-256 of the content, hex
}

// download is content on its way. Read it to its end before asking for its hash, and
// close it.
type download struct {
	io.Reader
	validators
	same bool // unchanged, says the server; there is nothing to read
	sum  hash.Hash
	body *bounded
	ends []func() error
}

// Close ends it.
func (d *download) Close() {
	for _, end := range d.ends {
		_ = end()
	}
}

// finish reads what is left and returns the validators with the hash.
func (d *download) finish() (validators, error) {
	if _, err := io.Copy(io.Discard, d.Reader); err != nil {
		return validators{}, err
	}
	// What is behind the packed content is part of the file, too.
	if _, err := io.Copy(d.sum, d.body); err != nil {
		return validators{}, err
	}
	v := d.validators
	v.Hash = hex.EncodeToString(d.sum.Sum(nil))
	return v, nil
}

// read makes the reader of a file's content.
func (d *download) read(r io.Reader) error {
	d.sum = sha256.New()
	d.body = newBounded(r, maxDownload)
	plain, err := gunzipped(io.TeeReader(d.body, d.sum))
	if err != nil {
		return err
	}
	d.Reader = newBounded(plain, maxUnpacked)
	return nil
}

// fetch begins a download, conditional unless v is empty. The errors do not name the
// address, which may have a key in it.
func (s *shelf) fetch(ctx context.Context, address string, v validators) (*download, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	switch u.Scheme {
	case "http", "https":
		return s.fetchHTTP(ctx, u, v)
	case "file":
		return openFile(u, v)
	}
	return nil, fmt.Errorf("scheme %q: expected http, https or file", u.Scheme)
}

func (s *shelf) fetchHTTP(ctx context.Context, u *url.URL, v validators) (*download, error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	d := &download{ends: []func() error{func() error { cancel(); return nil }}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		d.Close()
		return nil, errors.New("not a URL")
	}
	req.Header.Set("User-Agent", s.o.userAgent())
	req.Header.Set("Accept-Encoding", "gzip")
	if v.ETag != "" {
		req.Header.Set("If-None-Match", v.ETag)
	}
	if v.Modified != "" {
		req.Header.Set("If-Modified-Since", v.Modified)
	}
	res, err := s.http.Do(req)
	if err != nil {
		d.Close()
		return nil, withoutURL(err)
	}
	d.ends = append(d.ends, res.Body.Close)
	switch {
	case res.StatusCode == http.StatusNotModified && (v.ETag != "" || v.Modified != ""):
		d.same, d.validators = true, v
		return d, nil
	case res.StatusCode != http.StatusOK:
		d.Close()
		return nil, &StatusError{Method: http.MethodGet, Path: "list", Status: res.StatusCode, RetryAfter: retryAfter(res.Header.Get("Retry-After"), s.o.Now())}
	}
	d.validators = said(res.Header, s.o.Now())
	text, err := content(res)
	if err == nil {
		err = d.read(text)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// said is what an answer says of its content. Without a date of change, that of the
// answer will do: by the server's clock, since it will compare it with its own.
// CrowdSec compatible: that one it always sends.
func said(h http.Header, now time.Time) validators {
	v := validators{ETag: h.Get("ETag"), Modified: h.Get("Last-Modified")}
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

// openFile is fetch for file URLs: unchanged is what has the same time and size.
func openFile(u *url.URL, v validators) (*download, error) {
	if u.Host != "" && u.Host != "localhost" || u.Path == "" {
		return nil, errors.New("expected a file URL such as file:///etc/rampart/list.txt")
	}
	f, err := os.Open(u.Path)
	if err != nil {
		return nil, err
	}
	d := &download{ends: []func() error{f.Close}}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err == nil {
		d.Modified = info.ModTime().UTC().Format(time.RFC3339Nano)
		d.ETag = fmt.Sprint(info.Size())
		if v.Hash != "" && v.Modified == d.Modified && v.ETag == d.ETag {
			d.same, d.validators = true, v
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
