package captcha

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// requestKind is what a request is to its sender, since each understands another
// refusal.
type requestKind uint8

const (
	requestPage requestKind = iota
	requestHead
	requestAPI
	requestPart // image, style, script, font, media
	requestStream
	requestGRPC
	requestPreflight
	requestPrefetch
)

// classify tells page loads from the rest. Browsers say it in Sec-Fetch-Dest;
// for the others Accept decides.
func classify(r *http.Request) requestKind {
	h := r.Header
	switch {
	case prefetched(h):
		return requestPrefetch
	case strings.HasPrefix(h.Get("Content-Type"), "application/grpc"):
		return requestGRPC
	case r.Method == http.MethodOptions && h.Get("Origin") != "" && h.Get("Access-Control-Request-Method") != "":
		return requestPreflight
	case streams(r):
		return requestStream
	}
	switch r.Method {
	case http.MethodGet, http.MethodPost:
		if navigates(h) {
			return requestPage
		}
	case http.MethodHead:
		return requestHead
	}
	if partOfPage(r) {
		return requestPart
	}
	return requestAPI
}

func prefetched(h http.Header) bool {
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Moz", "X-Purpose"} {
		if v := strings.ToLower(h.Get(name)); strings.Contains(v, "prefetch") || strings.Contains(v, "prerender") || v == "preview" {
			return true
		}
	}
	return false
}

func streams(r *http.Request) bool {
	return r.Method == http.MethodConnect || r.Header.Get("Upgrade") != "" ||
		r.Header.Get("Sec-WebSocket-Key") != "" || r.Header.Get("Sec-Fetch-Dest") == "websocket" ||
		strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

func navigates(h http.Header) bool {
	switch h.Get("Sec-Fetch-Dest") {
	case "document", "iframe", "frame":
		return true
	case "empty":
		return h.Get("Sec-Fetch-Mode") == "navigate"
	case "":
		return strings.Contains(h.Get("Accept"), "text/html") && h.Get("X-Requested-With") == ""
	}
	return false
}

func partOfPage(r *http.Request) bool {
	h := r.Header
	switch h.Get("Sec-Fetch-Dest") {
	case "empty":
		return false
	case "":
		if h.Get("X-Requested-With") != "" || r.Method != http.MethodGet {
			return false
		}
		accept := h.Get("Accept")
		for _, kind := range [...]string{"image/", "text/css", "font/", "video/", "audio/"} {
			if strings.HasPrefix(accept, kind) {
				return true
			}
		}
		return partName(r.URL.Path)
	}
	return true // every other destination is a part of a page
}

// byTool reports whether a request that is no page load comes from no page either:
// what a page asks for by itself says where it comes from. What such requests
// amount to is told, so that who scans without asking for pages shows; a page in
// the background that polls does not.
func byTool(r *http.Request) bool {
	h := r.Header
	for _, name := range [...]string{"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Referer", "Origin", "X-Requested-With"} {
		if h.Get(name) != "" {
			return false
		}
	}
	return true
}

func partName(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".css", ".js", ".mjs", ".map", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".svg", ".ico",
		".woff", ".woff2", ".ttf", ".otf", ".mp3", ".mp4", ".webm", ".ogg", ".wasm":
		return true
	}
	return false
}

// sameOrigin reports whether a page of this very host sent r. It demands proof:
// a browser that says nothing could be sending another site's form.
func sameOrigin(r *http.Request, v Visitor) bool {
	origin := r.Header.Get("Origin")
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin":
		return origin == "" || ownOrigin(origin, r, v)
	case "none", "":
		return origin != "" && ownOrigin(origin, r, v)
	}
	return false
}

// ownOrigin compares an Origin or Referer with the host asked for. Over TLS it
// must be https: a page of the same name over http may be a forgery.
func ownOrigin(text string, r *http.Request, v Visitor) bool {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || (u.Scheme != "https" && (u.Scheme != "http" || v.TLS)) {
		return false
	}
	asked := r.Host
	if asked == "" {
		asked = v.Host
	}
	return u.Host != "" && authority(u.Host) == authority(asked)
}

func authority(host string) string {
	host = strings.ToLower(host)
	return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
}

// maxReturn bounds the return URL in a token.
const maxReturn = 1024

// safeReturn returns to if it can only lead to this host, else "/".
func safeReturn(to string) string {
	if len(to) == 0 || len(to) > maxReturn || to[0] != '/' {
		return "/"
	}
	if len(to) > 1 && (to[1] == '/' || to[1] == '\\') {
		return "/"
	}
	query := false
	for i := range len(to) {
		c := to[i]
		query = query || c == '?'
		if c < 0x21 || c == 0x7f || c == '#' || (c == '\\' && !query) {
			return "/"
		}
	}
	return to
}

// requested returns path and query of r as a return URL.
func (g *Gate) requested(u *url.URL) string {
	to := u.EscapedPath()
	if u.RawQuery != "" || u.ForceQuery {
		to += "?" + u.RawQuery
	}
	if g.Reserved(u.Path) {
		return "/"
	}
	return safeReturn(to)
}

// referring returns the page of this host that r came from, or "/".
func (g *Gate) referring(r *http.Request, v Visitor) string {
	referer := r.Header.Get("Referer")
	if referer == "" || len(referer) > maxReturn+256 || !ownOrigin(referer, r, v) {
		return "/"
	}
	u, err := url.Parse(referer)
	if err != nil {
		return "/"
	}
	return g.requested(u)
}
