package captcha

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// headers sets what every answer of ours carries: nobody may keep it, and it
// says what it is. Set, not Add: an earlier handler's values would contradict.
func (g *Gate) headers(w http.ResponseWriter, v Visitor) {
	h := w.Header()
	h.Set("Cache-Control", "private, no-store, max-age=0")
	h.Set("CDN-Cache-Control", "no-store")
	h.Set("Surrogate-Control", "no-store")
	h.Set("Vary", "Cookie, Accept, Accept-Language, Sec-Fetch-Dest")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Rampart-Remediation", "captcha")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'self'")
	if v.Incident != "" {
		h.Set("X-Rampart-Incident", v.Incident)
	}
}

// problem is the body for API clients, as RFC 9457 has it.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Challenge string `json:"challenge_url"`
	Incident  string `json:"incident,omitempty"`
}

// refuse answers a request that could not show a challenge. No picture is drawn
// and the body is not read.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, v Visitor, kind requestKind) {
	g.headers(w, v)
	h := w.Header()
	switch kind {
	case requestHead:
		h.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(g.options.Status)
	case requestPart, requestPreflight:
		w.WriteHeader(http.StatusForbidden)
	case requestStream:
		plainText(w, r, http.StatusForbidden, "a challenge must be solved first: open this site in a browser")
	case requestPrefetch:
		// The one 5xx: browsers drop a failed prefetch and ask again for real.
		w.WriteHeader(http.StatusServiceUnavailable)
	case requestGRPC:
		h.Set("Content-Type", "application/grpc")
		h.Set("Grpc-Status", "7") // PERMISSION_DENIED
		h.Set("Grpc-Message", "a challenge must be solved first")
		w.WriteHeader(http.StatusOK)
	default:
		g.refuseAPI(w, r, v)
	}
}

func (g *Gate) refuseAPI(w http.ResponseWriter, r *http.Request, v Visitor) {
	now := g.now()
	token := g.keys.seal(purposeReturn, v.Host, &Sealed{
		Issued: now, Expires: now.Add(g.options.TTL), Return: g.referring(r, v),
	})
	body, err := json.Marshal(problem{
		Type: "urn:rampart:captcha", Title: "Challenge required", Status: http.StatusForbidden,
		Detail:    "Open challenge_url in the browser, solve the challenge and try again.",
		Challenge: g.options.Prefix + "/challenge?t=" + url.QueryEscape(token), Incident: v.Incident,
	})
	if err != nil {
		body = []byte("{}") // cannot be: strings and a number
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusForbidden)
	w.Write(append(body, '\n'))
}

func plainText(w http.ResponseWriter, r *http.Request, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		io.WriteString(w, text+"\n")
	}
}

// retryAfter asks the client to come back later, in whole seconds.
func retryAfter(w http.ResponseWriter, d time.Duration) int {
	s := max(1, int((d+time.Second-1)/time.Second))
	w.Header().Set("Retry-After", strconv.Itoa(s))
	return s
}
