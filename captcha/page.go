package captcha

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
	"time"
)

//go:embed page.html
var pageFile string

// pages are the documents a visitor may see.
type pages struct {
	all  *template.Template
	tiny map[*texts]tinyPage
}

// tinyPage is the page of those who ask too often, ready but for the incident.
type tinyPage struct {
	before, after string
	policy        string
}

// page is what the templates are given.
type page struct {
	T           *texts
	Nonce       string
	Title       string
	Host        string
	Incident    string
	Contact     string
	ContactLink string
	Action      string

	Token   string
	Form    string // the interrupted form, in base64url
	Image   template.URL
	Width   int // of the image, in pixels
	Height  int
	Sound   string
	Foreign bool // the voice speaks another language than the page
	Digits  int
	Problem string
	Note    string

	Text    string
	Label   string
	Charset string
	Fields  []field
}

func loadPages(c *catalogue) (*pages, error) {
	all, err := template.New("page").Parse(pageFile)
	if err != nil {
		return nil, fmt.Errorf("parsing captcha page: %w", err)
	}
	p := &pages{all: all, tiny: make(map[*texts]tinyPage)}
	const mark = "INCIDENT-GOES-HERE"
	for _, t := range c.all {
		var out strings.Builder
		if err := all.ExecuteTemplate(&out, "tiny", page{T: t, Incident: mark}); err != nil {
			return nil, fmt.Errorf("rendering captcha page: %w", err)
		}
		before, after, _ := strings.Cut(out.String(), mark)
		_, style, _ := strings.Cut(before, "<style>")
		style, _, _ = strings.Cut(style, "</style>")
		sum := sha256.Sum256([]byte(style))
		p.tiny[t] = tinyPage{before, after, "default-src 'none'; img-src data:; style-src 'sha256-" +
			base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"}
	}
	return p, nil
}

// newPage returns a page with what all of them show.
func (g *Gate) newPage(r *http.Request, v Visitor) page {
	p := page{
		T: g.texts.match(r), Nonce: newNonce(), Host: shownHost(v.Host), Incident: v.Incident,
		Contact: g.options.Contact, Digits: g.options.Digits,
	}
	if a, err := mail.ParseAddress(p.Contact); err == nil {
		p.Contact, p.ContactLink = a.Address, "mailto:"+a.Address
	} else if u, err := url.Parse(p.Contact); err == nil && u.Scheme == "https" && u.Host != "" {
		p.ContactLink = u.String()
	}
	return p
}

// shownHost bounds what a Host header can put on the page.
func shownHost(host string) string {
	if host = hostOnly(host); len(host) > 100 {
		return ""
	}
	return host
}

func newNonce() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// show writes a page. All of it is inline; nothing may be loaded but sound.
func (g *Gate) show(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	var out bytes.Buffer
	out.Grow(12 << 10)
	if err := g.pages.all.ExecuteTemplate(&out, name, p); err != nil {
		plainText(w, r, http.StatusForbidden, "a challenge must be solved first")
		return // cannot be: every template is rendered by a test
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", p.T.Tag)
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; media-src 'self'; style-src 'nonce-"+p.Nonce+
		"'; script-src 'nonce-"+p.Nonce+"'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(out.Bytes())
	}
}

// tooMany answers a client that asks too often. It costs next to nothing.
func (g *Gate) tooMany(w http.ResponseWriter, r *http.Request, v Visitor, retry time.Duration) {
	g.report(countLimited, 0, v, 0)
	g.later(w, r, v, retry)
}

// busy answers when the node's own share of CPU for challenges is used up.
func (g *Gate) busy(w http.ResponseWriter, r *http.Request, v Visitor, retry time.Duration) {
	g.counters.add(countBusy)
	g.later(w, r, v, max(retry, 5*time.Second))
}

func (g *Gate) later(w http.ResponseWriter, r *http.Request, v Visitor, retry time.Duration) {
	g.headers(w, v)
	retryAfter(w, retry)
	if !navigates(r.Header) {
		plainText(w, r, http.StatusTooManyRequests, "too many requests, try again later")
		return
	}
	t := g.pages.tiny[g.texts.match(r)]
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", t.policy)
	w.WriteHeader(http.StatusTooManyRequests)
	if r.Method != http.MethodHead {
		w.Write([]byte(t.before + template.HTMLEscapeString(v.Incident) + t.after))
	}
}
