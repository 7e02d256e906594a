package capitest

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"
)

const (
	blocklistPath = "/bl/"
	allowlistPath = "/al/"
)

// files are the contents of lists, by path. Who asks for them needs no token, and is
// not to show one.
type files struct {
	all    map[string]file
	noTags bool // no ETag: only the date tells
}

type file struct {
	text     string
	modified time.Time
	tag      string
}

func (f *files) init() { f.all = map[string]file{} }

// put makes a file; one with the same text keeps its date.
func (f *files) put(path, text string, now time.Time) {
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(text)))
	if old, ok := f.all[path]; ok && old.tag == tag {
		return
	}
	f.all[path] = file{text, now.UTC().Truncate(time.Second), tag}
}

// PutFile makes a file that a feed can fetch, at the returned URL.
func (s *Server) PutFile(name, text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files.put(blocklistPath+name, text, s.now())
	return s.URL + "bl/" + name
}

// OmitTags leaves out ETags, or not.
func (s *Server) OmitTags(omit bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files.noTags = omit
}

// serve answers a request for a file. A tag counts before a date.
func (f *files) serve(a *answer, r *http.Request) {
	one, ok := f.all[r.URL.EscapedPath()]
	switch {
	case r.Header.Get("Authorization") != "":
		a.fail(http.StatusBadRequest, "the token of the API is none of the file server's business")
		return
	case !ok:
		a.fail(http.StatusNotFound, "no such file")
		return
	}
	if !f.noTags {
		a.header.Set("ETag", one.tag)
	}
	a.header.Set("Last-Modified", one.modified.Format(http.TimeFormat))
	a.header.Set("Content-Type", "text/plain")
	tag, since := r.Header.Get("If-None-Match"), r.Header.Get("If-Modified-Since")
	at, err := http.ParseTime(since)
	if !f.noTags && tag != "" && tag == one.tag || (f.noTags || tag == "") && err == nil && !one.modified.After(at) {
		a.status = http.StatusNotModified
		return
	}
	a.status = http.StatusOK
	a.body.WriteString(one.text)
}
