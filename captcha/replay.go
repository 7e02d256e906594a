package captcha

import (
	"bytes"
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	formType = "application/x-www-form-urlencoded"
	// maxForm bounds an interrupted form that is kept, in bytes of its body.
	maxForm = 32 << 10
	// maxFields bounds the inputs that it becomes.
	maxFields = 1000
)

// field is one name and value of an interrupted form.
type field struct{ Name, Value string }

// adopt takes down where the interrupted request r was going. A form of this
// site is kept; another site's never is: sent again from our page it would look
// like this site's own.
func (g *Gate) adopt(c *challenge, w http.ResponseWriter, r *http.Request, v Visitor) {
	c.to = g.requested(r.URL)
	if r.Method != http.MethodPost {
		return
	}
	c.post = true
	if !sameOrigin(r, v) {
		c.flags = Cross
		return
	}
	if body, ok := g.keepable(w, r, c.to); ok {
		c.flags, c.form = Replay, base64.RawURLEncoding.EncodeToString(body)
		return
	}
	c.flags, c.to = Resend, g.referring(r, v)
}

// keepable reads the body of r if it is a form that a page of ours can send
// again exactly.
func (g *Gate) keepable(w http.ResponseWriter, r *http.Request, to string) ([]byte, bool) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != formType || r.ContentLength > maxForm || r.Header.Get("Content-Encoding") != "" {
		return nil, false
	}
	if to == "/" && r.URL.Path != "/" {
		return nil, false // the URL itself could not be kept
	}
	body, err := readBody(w, r, maxForm)
	if err != nil || len(body) == 0 {
		return nil, false
	}
	_, _, ok := parseForm(body)
	return body, ok
}

// carried returns the text of a form that came back with an answer if it is one
// that we could have sent out, else nothing.
func carried(text string) string {
	if text == "" || len(text) > base64.RawURLEncoding.EncodedLen(maxForm) {
		return ""
	}
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	if _, _, ok := parseForm(body); !ok {
		return ""
	}
	return text
}

// replay shows the page that sends the form again, and reports whether it did.
// The form comes from the visitor's own page, on a request that this site made.
func (g *Gate) replay(w http.ResponseWriter, r *http.Request, v Visitor, s *Sealed, to string) bool {
	if !sameOrigin(r, v) || s.Address != g.keys.addressTag(v.Client) || s.Agent != g.keys.agentTag(r.UserAgent()) {
		return false
	}
	a, status := readAnswer(w, r)
	if status != 0 {
		return false
	}
	body, err := base64.RawURLEncoding.DecodeString(carried(a.form))
	if err != nil || len(body) == 0 {
		return false
	}
	p := g.newPage(r, v)
	p.Fields, p.Charset, _ = parseForm(body)
	p.Title, p.Text, p.Label, p.Action = p.T.ReplayTitle, p.T.ReplayText, p.T.ReplaySubmit, to
	g.counters.add(countResubmits)
	g.show(w, r, http.StatusOK, "replay", p)
	return true
}

// parseForm splits an urlencoded body into fields, in order, and names the
// charset in which a browser must send them so that the same bytes arrive. ok is
// false for what no browser's form sends and so none could send again: bad
// escapes, empty names, NUL, and line breaks other than CR LF.
func parseForm(body []byte) (fields []field, charset string, ok bool) {
	if len(body) > maxForm {
		return nil, "", false
	}
	charset = "utf-8"
	for pair := range bytes.SplitSeq(body, []byte("&")) {
		if len(pair) == 0 {
			continue
		}
		rawName, rawValue, _ := strings.Cut(string(pair), "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil || name == "" {
			return nil, "", false
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil || len(fields) == maxFields || !sendable(name) || !sendable(value) {
			return nil, "", false
		}
		fields = append(fields, field{name, value})
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			charset = "windows-1252"
		}
	}
	if charset != "utf-8" {
		for i := range fields {
			fields[i] = field{latin(fields[i].Name), latin(fields[i].Value)}
		}
	}
	return fields, charset, len(fields) > 0
}

func sendable(s string) bool {
	if strings.IndexByte(s, 0) >= 0 {
		return false
	}
	for i := range len(s) {
		switch s[i] {
		case '\n':
			if i == 0 || s[i-1] != '\r' {
				return false
			}
		case '\r':
			if i+1 == len(s) || s[i+1] != '\n' {
				return false
			}
		}
	}
	return true
}

// upper1252 is what the bytes 0x80 to 0x9f mean in the windows-1252 of browsers
// (WHATWG Encoding), which gives every byte a meaning: any bytes survive the way
// through a page and back.
var upper1252 = [32]rune{
	0x20ac, 0x81, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d, 0x017d, 0x8f,
	0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d, 0x017e, 0x0178,
}

func latin(s string) string {
	var b strings.Builder
	for i := range len(s) {
		r := rune(s[i])
		if r >= 0x80 && r < 0xa0 {
			r = upper1252[r-0x80]
		}
		b.WriteRune(r)
	}
	return b.String()
}
