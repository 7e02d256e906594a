package appliance

import (
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rampart-edge/rampart/event"
)

// liveLabels are the labels of all live requests; read-only.
var liveLabels = map[string]string{"type": "caddy"}

// requestFields fills an event with what the parsers for Caddy's access log and,
// with split, for HTTP in general would have made of this request, response side
// left out, and the referer, which those leave out. A test holds the two equal.
func requestFields(ev *event.Event, r *http.Request, source string, split bool) {
	target := validText(r.RequestURI)
	ev.Line.Module, ev.Line.Src, ev.Line.Labels, ev.Process = "http", "caddy", liveLabels, true
	put(&ev.Parsed, "program", "caddy")
	put(&ev.Parsed, "remote_ip", source)
	if _, version, ok := strings.Cut(r.Proto, "/"); ok {
		put(&ev.Parsed, "http_version", version)
	}
	put(&ev.Parsed, "verb", r.Method)
	put(&ev.Meta, "log_type", "http_access-log")
	put(&ev.Meta, "service", "http")
	put(&ev.Meta, "source_ip", source)
	put(&ev.Meta, "http_path", target)
	put(&ev.Meta, "http_verb", r.Method)
	put(&ev.Meta, "target_fqdn", validText(r.Host))
	if ua := r.Header["User-Agent"]; len(ua) > 0 {
		agent := validText(ua[0])
		put(&ev.Parsed, "http_user_agent", agent)
		put(&ev.Meta, "http_user_agent", agent)
	}
	if referer := r.Header["Referer"]; len(referer) > 0 {
		put(&ev.Parsed, "http_referer", validText(referer[0]))
	}
	if split {
		targetFields(ev, target)
	} else {
		put(&ev.Parsed, "request", target)
	}
}

// targetFields splits a request target as the general HTTP parser does: at the
// last question mark, the path at its last slash, the name at its last dot.
func targetFields(ev *event.Event, target string) {
	path := target
	if i := strings.LastIndexByte(target, '?'); i >= 0 {
		path = target[:i]
		ev.SetParsed("http_args", target[i+1:])
	}
	ev.SetParsed("request", path)
	ev.SetParsed("static_ressource", "false")
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 {
		return
	}
	name := path[slash+1:]
	stem, ext := name, ""
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		stem, ext = name[:dot], name[dot:]
	}
	ev.SetParsed("file_dir", path[:slash+1])
	ev.SetParsed("file_frag", stem)
	ev.SetParsed("file_ext", ext)
	put(&ev.Parsed, "file_name", name)
	// CrowdSec compatible: len in expressions counts characters.
	put(&ev.Meta, "http_args_len", strconv.Itoa(utf8.RuneCountInString(ev.Parsed["http_args"])))
	if isStatic(ext) {
		ev.SetParsed("static_ressource", "true")
	}
}

// maxStatic is the length of the longest of them.
const maxStatic = len(".BROTLI")

// isStatic: extensions that the Hub's HTTP parser calls static.
func isStatic(ext string) bool {
	if len(ext) < 3 || len(ext) > maxStatic {
		return false
	}
	var room [maxStatic]byte
	upper := room[:len(ext)]
	for i := range upper {
		c := ext[i]
		if c >= utf8.RuneSelf { // there are letters beyond ASCII with capitals in it
			return static(strings.ToUpper(ext))
		}
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	return static(string(upper))
}

// static is isStatic for capitals.
func static(ext string) bool {
	switch ext {
	case ".JPG", ".CSS", ".JS", ".JPEG", ".PNG", ".SVG", ".MAP", ".ICO", ".OTF", ".GIF", ".MP3", ".MP4",
		".WOFF", ".WOFF2", ".TTF", ".EOT", ".WEBP", ".WAV", ".GZ", ".BROTLI", ".BVR", ".TS", ".BMP",
		".AVIF", ".MJS":
		return true
	}
	return false
}

// responseFields adds what only the response tells.
func responseFields(ev *event.Event, status int, h http.Header) {
	code := strconv.Itoa(status)
	ev.SetMeta("http_status", code)
	completed := "true"
	if status == 404 || status == 403 || status == 502 {
		completed = "false"
	}
	ev.SetParsed("impact_completion", completed)
	if status != 401 {
		return
	}
	for _, v := range h["Www-Authenticate"] {
		if strings.HasPrefix(v, "Basic") {
			ev.SetMeta("sub_type", "auth_fail")
			return
		}
	}
}

// put writes a value that is not empty: a static with an empty result leaves its
// target alone.
func put(m *map[string]string, key, value string) {
	if value == "" {
		return
	}
	if *m == nil {
		*m = make(map[string]string, 16)
	}
	(*m)[key] = value
}

// validText is s as a JSON log would carry it: each byte that is not UTF-8
// becomes the replacement character.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // range yields U+FFFD for each bad byte
		b.WriteRune(r)
	}
	return b.String()
}
