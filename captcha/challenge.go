package captcha

import (
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"time"
)

// Limits by client: an IPv4 address or an IPv6 /64.
var (
	issueRate  = rate{period: 6 * time.Second, burst: 5}
	verifyRate = rate{period: 3 * time.Second, burst: 10}
)

// challenge is what is asked of a visitor and what is to follow.
type challenge struct {
	kind    Method
	to      string // return URL
	post    bool
	flags   Flags
	form    string  // the interrupted form, in base64url
	outcome counter // of the answer before; countServed: there was none
}

func (g *Gate) allow(r *http.Request, purpose string, v Visitor, limit rate) (bool, time.Duration) {
	return g.store.Allow(r.Context(), limitKey(purpose, v.Client), limit.period, limit.burst)
}

// issue shows a new challenge, unless the client has asked for too many.
func (g *Gate) issue(w http.ResponseWriter, r *http.Request, v Visitor, c challenge) {
	if g.admit(w, r, v) {
		g.present(w, r, v, c)
	}
}

func (g *Gate) admit(w http.ResponseWriter, r *http.Request, v Visitor) bool {
	ok, retry := g.allow(r, "issue ", v, issueRate)
	if !ok {
		g.tooMany(w, r, v, retry)
	}
	return ok
}

// present writes the challenge page. No state stays behind.
func (g *Gate) present(w http.ResponseWriter, r *http.Request, v Visitor, c challenge) {
	g.headers(w, v)
	now := g.now()
	s := Sealed{
		ID: newID(), Method: c.kind, Flags: c.flags, Post: c.post,
		Issued: now, Expires: now.Add(g.options.TTL), Decision: v.DecisionCreated,
		Digits:  newDigits(g.options.Digits),
		Address: g.keys.addressTag(v.Client), Agent: g.keys.agentTag(r.UserAgent()), Return: c.to,
	}
	p := g.newPage(r, v)
	if c.kind == Picture {
		picture, retry, err := g.painter.draw(r.Context(), s.ID, s.Digits)
		if err != nil || retry > 0 {
			g.busy(w, r, v, retry)
			return
		}
		p.Width, p.Height = pictureWidth(len(s.Digits)), pictureHeight
		p.Image = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(picture))
	}
	p.Token = g.keys.seal(purposeChallenge, v.Host, &s)
	if c.kind == Audio {
		p.Sound = g.options.Prefix + "/audio?t=" + url.QueryEscape(p.Token)
		p.Foreign = g.texts.voice(r) == voiceNames[0] && p.T.Tag != voiceNames[0]
	}
	p.Title, p.Action, p.Form = p.T.Heading, g.options.Prefix+"/verify", c.form
	p.Problem = problemText(p.T, c.outcome)
	switch {
	case c.form != "":
		p.Note = p.T.Kept
	case c.flags&(Resend|Replay) != 0:
		p.Note = p.T.Lost
	}
	g.report(countServed, c.kind, v, 0)
	g.show(w, r, g.options.Status, "challenge", p)
}

// problemText says as little as a person needs: a program that probes must not
// learn which check it failed.
func problemText(t *texts, outcome counter) string {
	switch outcome {
	case countFailed, countTooFast:
		return t.Wrong
	case countExpired, countReplayed:
		return t.Expired
	case countStoreDown:
		return t.Later
	}
	return ""
}
