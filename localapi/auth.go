package localapi

import (
	"net/http"
	"strings"
)

// refused is the one answer to a bouncer that may not call.
// CrowdSec compatible: 403, which bouncers take for final.
func refused() error { return fail(http.StatusForbidden, "access forbidden") }

// admit finds out who calls and whether the route is for them.
func (c *call) admit() error {
	switch c.route.who {
	case bouncer:
		return c.admitBouncer()
	case machine:
		return c.admitMachine()
	case either:
		if c.saysBouncer() {
			return c.admitBouncer()
		}
		return c.admitMachine()
	default:
		return nil
	}
}

// saysBouncer tells as what a caller wants to be known.
// CrowdSec compatible: the key goes before the token, the User-Agent decides else.
func (c *call) saysBouncer() bool {
	h := c.r.Header
	switch {
	case h.Get("X-Api-Key") != "":
		return true
	case h.Get("Authorization") != "":
		return false
	default:
		return !strings.HasPrefix(c.r.UserAgent(), "crowdsec/")
	}
}

// admitBouncer takes a key, or else a client certificate. HEAD only looks.
func (c *call) admitBouncer() error {
	look := c.r.Method == http.MethodHead
	a := c.agent()
	if key := c.r.Header.Get("X-Api-Key"); key != "" {
		b, err := c.s.o.Registry.openKey(hashKey(key), c.peer.Addr, a, look)
		if err != nil {
			return err
		}
		c.bouncer = b
		return nil
	}
	name, err := c.certificate(c.config.BouncerOUs)
	if err != nil {
		return refused()
	}
	b, err := c.s.o.Registry.openCertificate(name, c.peer.Addr, a, look)
	if err != nil {
		return err
	}
	c.bouncer = b
	return nil
}

// agent is what a User-Agent says.
type agent struct{ typ, version string }

// maxAgent bounds what is kept of either half of a User-Agent.
const maxAgent = 128

// agent reads the User-Agent.
// CrowdSec compatible: type/version; anything else is a type of version N/A.
func (c *call) agent() agent {
	ua := c.r.UserAgent()
	typ, version, ok := strings.Cut(ua, "/")
	if !ok || strings.Contains(version, "/") {
		typ, version = ua, "N/A"
	}
	return agent{clip(typ), clip(version)}
}

// clip keeps printable text of a bearable length.
func clip(s string) string {
	return cut(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, s), maxAgent)
}
