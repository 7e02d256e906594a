package captcha

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"
)

const (
	// maxVerify bounds the body of an answer: a token and a form in base64.
	maxVerify = 64 << 10
	// bodyPatience is how long a client may take to send a body that we read.
	bodyPatience = 10 * time.Second
	// returnTTL is how long the way from the answer to the return URL may take.
	returnTTL = 5 * time.Minute
)

// answer is the form that the challenge page sends.
type answer struct {
	token, digits, do, form string
}

// verify judges an answer. Whatever is wrong with it, the visitor gets a new
// challenge and learns no more than wrong, expired or later.
func (g *Gate) verify(w http.ResponseWriter, r *http.Request, v Visitor) {
	if early(r) {
		// Replayable by anyone who can copy packets: RFC 8470.
		plainText(w, r, http.StatusTooEarly, "send this again when the handshake is complete")
		return
	}
	if ok, retry := g.allow(r, "verify ", v, verifyRate); !ok {
		g.tooMany(w, r, v, retry)
		return
	}
	a, status := readAnswer(w, r)
	if status != 0 {
		plainText(w, r, status, "this is not an answer to a challenge")
		return
	}
	s, err := g.keys.open(purposeChallenge, v.Host, a.token, g.now())
	c := challenge{kind: Picture, to: "/"}
	if err == nil || errors.Is(err, ErrExpired) {
		c = challenge{kind: s.Method, to: safeReturn(s.Return), post: s.Post, flags: s.Flags}
		if s.Flags&Replay != 0 && sameOrigin(r, v) {
			c.form = carried(a.form)
		}
	}
	switch a.do {
	case "look":
		c.kind = Picture
		g.issue(w, r, v, c)
		return
	case "listen":
		c.kind = Audio
		g.issue(w, r, v, c)
		return
	}
	outcome := g.judge(r, v, &s, err, a.digits)
	solve := time.Duration(0)
	if outcome != countExpired {
		solve = g.now().Sub(s.Issued)
	}
	if outcome == countStoreDown {
		g.counters.add(outcome)
	} else {
		g.report(outcome, s.Method, v, solve)
	}
	switch {
	case outcome == countPassed:
		g.setGrace(w, r, v)
		g.sendOn(w, v, &s, c)
	case v.DecisionID == 0 || g.Solved(r, v):
		g.redirect(w, http.StatusSeeOther, c.to) // a second click, or the decision has ended
	default:
		c.outcome = outcome
		g.issue(w, r, v, c)
	}
}

// judge decides what an answer is worth. The token is spent before the answer is
// looked at, so that it cannot be tried twice.
func (g *Gate) judge(r *http.Request, v Visitor, s *Sealed, opened error, digits string) counter {
	switch {
	case opened != nil,
		s.Method != Picture && s.Method != Audio,
		s.Address != g.keys.addressTag(v.Client),
		s.Agent != g.keys.agentTag(r.UserAgent()),
		crossSite(r),
		s.Decision.Add(graceSkew).Before(v.DecisionCreated): // hoarded before a later offence
		return countExpired
	}
	fresh, err := g.store.Burn(r.Context(), s.ID, s.Expires)
	switch {
	case err != nil:
		return countStoreDown
	case !fresh:
		return countReplayed
	case g.now().Sub(s.Issued) < g.minSolve(s.Method):
		return countTooFast
	case !matches(s.Digits, digits):
		return countFailed
	}
	return countPassed
}

// minSolve is shorter than any person needs: pictures must be read and typed,
// recordings take four seconds to their first digits.
func (g *Gate) minSolve(m Method) time.Duration {
	if m == Audio {
		return g.options.MinSolve * 8 / 3
	}
	return g.options.MinSolve
}

// sendOn leads to Prefix/ok, which sees whether the cookie came back. A form
// takes the detour along: 307 keeps method and body, so that it needs neither
// JavaScript nor a copy on this side.
func (g *Gate) sendOn(w http.ResponseWriter, v Visitor, s *Sealed, c challenge) {
	now := g.now()
	token := g.keys.seal(purposeReturn, v.Host, &Sealed{
		ID: s.ID, Flags: s.Flags, Post: s.Post, Issued: now, Expires: now.Add(returnTTL),
		Address: s.Address, Agent: s.Agent, Return: c.to,
	})
	status := http.StatusSeeOther
	if c.form != "" {
		status = http.StatusTemporaryRedirect
	}
	g.redirect(w, status, g.options.Prefix+"/ok?t="+url.QueryEscape(token))
}

// confirm answers Prefix/ok: on to where the visitor wanted to go, or an
// explanation if the cookie did not come back.
func (g *Gate) confirm(w http.ResponseWriter, r *http.Request, v Visitor) {
	token := r.URL.Query().Get("t")
	s, err := g.keys.open(purposeReturn, v.Host, token, g.now())
	to := "/"
	if err == nil {
		to = safeReturn(s.Return)
	}
	if !g.Solved(r, v) {
		if v.DecisionID == 0 || hasCookie(r, g.cookie(v)) {
			g.redirect(w, http.StatusSeeOther, to) // no decision, or a newer one: asked again there
			return
		}
		g.counters.add(countCookies)
		p := g.newPage(r, v)
		p.Title, p.Text, p.Label = p.T.CookiesTitle, p.T.CookiesText, p.T.Again
		p.Action = g.options.Prefix + "/challenge?t=" + url.QueryEscape(token)
		g.show(w, r, http.StatusForbidden, "notice", p)
		return
	}
	if err == nil && s.Flags&Replay != 0 && r.Method == http.MethodPost && g.replay(w, r, v, &s, to) {
		return
	}
	if err == nil && s.Flags&(Resend|Replay) != 0 {
		p := g.newPage(r, v)
		p.Title, p.Text, p.Label, p.Action = p.T.ResendTitle, p.T.ResendText, p.T.ResendBack, to
		g.show(w, r, http.StatusOK, "notice", p)
		return
	}
	g.redirect(w, http.StatusSeeOther, to)
}

// readAnswer reads the form of the challenge page; status is not zero if it is
// none.
func readAnswer(w http.ResponseWriter, r *http.Request) (a answer, status int) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != formType {
		return a, http.StatusUnsupportedMediaType
	}
	body, err := readBody(w, r, maxVerify)
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return a, http.StatusRequestEntityTooLarge
		}
		return a, http.StatusBadRequest
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return a, http.StatusBadRequest
	}
	return answer{form.Get("t"), form.Get("a"), form.Get("do"), form.Get("f")}, 0
}

// readBody reads a small body with a deadline: clients that trickle are what we
// are here for. The deadline is the kernel's, so it is by the real clock.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Now().Add(bodyPatience)) == nil {
		defer c.SetReadDeadline(time.Time{})
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
}

func early(r *http.Request) bool {
	return r.Header.Get("Early-Data") == "1" || (r.TLS != nil && !r.TLS.HandshakeComplete)
}

// crossSite reports whether another site sent the answer: our page never does.
func crossSite(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

func hasCookie(r *http.Request, name string) bool {
	for _, line := range r.Header["Cookie"] {
		if value, _ := nextCookie(line, name); value != "" {
			return true
		}
	}
	return false
}
