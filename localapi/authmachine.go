package localapi

import (
	"net/http"
	"strings"
)

// unauthorized is answered to machines: 401 with the status in the body too.
func unauthorized(text string) error {
	return &failure{status: http.StatusUnauthorized, coded: true, text: text}
}

// admitMachine takes a token.
func (c *call) admitMachine() error {
	token := bearer(c.r)
	if token == "" {
		return unauthorized("cookie token is empty") // CrowdSec compatible
	}
	name, revision, err := readToken(c.s.o.Secret(), token, c.now)
	if err != nil {
		return err
	}
	m, ok := c.s.o.Registry.machine(name)
	switch {
	case !ok:
		return unauthorized("ent: machine not found") // CrowdSec compatible
	case !m.Validated:
		return unauthorized("machine " + name + " not validated")
	case !sameRevision(c.s.o.Secret(), &m, revision):
		return unauthorized("token is of an earlier registration or password")
	}
	c.machine = &m
	return nil
}

// bearer is the token of a request, from the header or a cookie.
func bearer(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	if k, err := r.Cookie("jwt"); err == nil {
		return k.Value
	}
	return ""
}
