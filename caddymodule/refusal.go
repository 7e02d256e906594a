package caddymodule

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed refusal.html refusal.css
var refusalFiles embed.FS

// Headers that explain a refusal, in canonical form.
const (
	headerRemediation = "X-Rampart-Remediation"
	headerIncident    = "X-Rampart-Incident"
)

const remediationThrottle = "throttle"

// notice is what a refused client is told.
type notice struct {
	Status      int           // 403 or 429
	Remediation string        // "ban" or "throttle"
	Incident    string        // what to quote when asking for help
	Time        time.Time     // UTC
	Contact     string        // whom to ask; may be empty
	RetryAfter  time.Duration // with status 429
}

// seconds is RetryAfter as the header has it: whole, rounded up, at least one.
func (n notice) seconds() int {
	return max(1, int((n.RetryAfter+time.Second-1)/time.Second))
}

// headers sets what every form of a refusal has in common. No cache may keep it:
// the next client may be another one.
func (n notice) headers(h http.Header) {
	h.Set(headerRemediation, n.Remediation)
	h.Set(headerIncident, n.Incident)
	h.Set("Cache-Control", "private, no-store, max-age=0")
	h.Set("CDN-Cache-Control", "no-store")
	h.Set("Surrogate-Control", "no-store")
	h.Set("Vary", "Cookie, Accept, Sec-Fetch-Dest")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	if n.Status == http.StatusTooManyRequests {
		h.Set("Retry-After", strconv.Itoa(n.seconds()))
	}
}

// refusalPage writes refusals in the form that a client understands.
type refusalPage struct {
	html   *template.Template
	style  template.CSS
	policy string
}

// newRefusalPage parses the embedded page. Its style is admitted by its hash, so
// that the page needs no secret and nothing else can run or load.
func newRefusalPage() (*refusalPage, error) {
	t, err := template.ParseFS(refusalFiles, "refusal.html")
	if err != nil {
		return nil, fmt.Errorf("parsing refusal page: %w", err)
	}
	css, err := refusalFiles.ReadFile("refusal.css")
	if err != nil {
		return nil, fmt.Errorf("reading refusal page: %w", err)
	}
	sum := sha256.Sum256(css)
	return &refusalPage{html: t, style: template.CSS(css),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"}, nil
}

// write answers a request. It replaces what handlers before it put into headers
// that describe the body.
func (p *refusalPage) write(w http.ResponseWriter, r *http.Request, n notice) {
	h := w.Header()
	n.headers(h)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Encoding")
	h.Del("Content-Length")
	h.Del("Etag")
	h.Del("Last-Modified")
	if r.ProtoMajor == 1 {
		h.Set("Connection", "close")
	}
	switch form := formOf(r); form {
	case formGRPC:
		writeGRPC(w, n)
	case formHTML:
		p.writeHTML(w, r, n)
	case formEmpty:
		h.Del("Content-Type")
		w.WriteHeader(n.Status)
	default:
		writeProblem(w, r, n)
	}
}

type form uint8

const (
	formProblem form = iota // application/problem+json
	formHTML
	formEmpty // pictures, scripts, fonts: nobody reads their body
	formGRPC
)

// formOf picks the form by what the client says it is. Only browsers name
// text/html; programs accept everything and are better served with JSON.
func formOf(r *http.Request) form {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		return formGRPC
	}
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "image", "script", "style", "font", "audio", "video", "track", "manifest", "worker", "sharedworker", "serviceworker":
		return formEmpty
	}
	if acceptsHTML(r.Header.Values("Accept")) {
		return formHTML
	}
	return formProblem
}

// acceptsHTML reports whether a page is named among the accepted types, and not
// with a quality of zero.
func acceptsHTML(accept []string) bool {
	for _, list := range accept {
		for part := range strings.SplitSeq(list, ",") {
			kind, params, err := mime.ParseMediaType(part)
			if err != nil || kind != "text/html" && kind != "application/xhtml+xml" && kind != "text/*" {
				continue
			}
			if q, err := strconv.ParseFloat(params["q"], 64); err != nil || q > 0 {
				return true
			}
		}
	}
	return false
}

func (p *refusalPage) writeHTML(w http.ResponseWriter, r *http.Request, n notice) {
	var body strings.Builder
	if err := p.html.Execute(&body, p.text(n)); err != nil {
		writeProblem(w, r, n) // still an answer; the template has a test
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	send(w, r, n.Status, body.String())
}

// refusalText is the data of refusal.html.
type refusalText struct {
	Style               template.CSS
	Title, Lead, Advice string
	Incident            string
	Time, Stamp         string
	Contact             string
	ContactURL          template.URL
}

func (p *refusalPage) text(n notice) refusalText {
	t := refusalText{Style: p.style, Incident: n.Incident, Contact: n.Contact, ContactURL: contactURL(n.Contact),
		Time: n.Time.Format("2 January 2006, 15:04:05 UTC"), Stamp: n.Time.Format(time.RFC3339),
		Title:  "Access refused",
		Lead:   "Requests from your network address look like an attack on this site, so they are not let through.",
		Advice: "This may not be about you: an address can be shared by many people. The block ends by itself after a while."}
	if n.Remediation == remediationThrottle {
		t.Title, t.Lead = "Too many requests", "More requests came from your network address than this site accepts."
		t.Advice = "Please wait and try again " + after(n.seconds()) + "."
	}
	return t
}

// after says a number of seconds as people do.
func after(seconds int) string {
	if seconds < 120 {
		return fmt.Sprintf("in %d seconds", seconds)
	}
	if minutes := (seconds + 59) / 60; minutes < 120 {
		return fmt.Sprintf("in %d minutes", minutes)
	}
	return fmt.Sprintf("in %d hours", (seconds+3599)/3600)
}

// contactURL is where a contact leads: a web address or a mail address; empty for
// plain text. The contact is the operator's own.
func contactURL(contact string) template.URL {
	switch {
	case strings.HasPrefix(contact, "https://"), strings.HasPrefix(contact, "http://"), strings.HasPrefix(contact, "mailto:"):
		return template.URL(contact)
	case strings.Count(contact, "@") == 1 && !strings.ContainsAny(contact, " \t<>\"'"):
		return template.URL("mailto:" + contact)
	}
	return ""
}

// problem is the JSON body, an RFC 9457 problem with members of ours.
type problem struct {
	Type       string    `json:"type"`
	Title      string    `json:"title"`
	Status     int       `json:"status"`
	Detail     string    `json:"detail"`
	Incident   string    `json:"incident"`
	Time       time.Time `json:"time"`
	RetryAfter int       `json:"retry_after,omitempty"`
	Contact    string    `json:"contact,omitempty"`
}

func writeProblem(w http.ResponseWriter, r *http.Request, n notice) {
	p := problem{Type: "urn:rampart:" + n.Remediation, Title: "Access refused", Status: n.Status,
		Detail:   "Requests from this address look like an attack. Quote the incident id when you ask about it.",
		Incident: n.Incident, Time: n.Time.Truncate(time.Second), Contact: n.Contact}
	if n.Remediation == remediationThrottle {
		p.Title, p.RetryAfter = "Too many requests", n.seconds()
		p.Detail = "More requests came from this address than are accepted. Wait and try again."
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers always encode
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	send(w, r, n.Status, string(body)+"\n")
}

// send writes a body, or for HEAD only the headers that go with it.
func send(w http.ResponseWriter, r *http.Request, status int, body string) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body)) // the client may be gone; there is nobody to tell
	}
}

// Status codes of gRPC.
const (
	grpcPermissionDenied  = "7"
	grpcResourceExhausted = "8"
)

// writeGRPC answers as a gRPC server that has trailers only: they are sent as
// headers, with status 200.
func writeGRPC(w http.ResponseWriter, n notice) {
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", grpcPermissionDenied)
	if n.Remediation == remediationThrottle {
		h.Set("Grpc-Status", grpcResourceExhausted)
	}
	h.Set("Grpc-Message", "refused, incident "+n.Incident)
	w.WriteHeader(http.StatusOK)
}
