package captcha

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// The grace cookie, little endian, in base64url (80 characters):
//
//	0x01 | key id | level u8 | flags u8 (0) | issued s u32 | expires s u32 | id 8 |
//	IPv4 tag 8 | IPv6 tag 8 | agent tag 8 | HMAC-SHA256[:16] over all that and the host
const (
	graceVersion = 1
	graceBody    = 44
	graceSize    = graceBody + 16
	graceText    = graceSize / 3 * 4

	// levelPicture leaves 1 and 2 to weaker challenges, which must not stand in
	// for this one, and 4 to stronger ones.
	levelPicture = 3

	// graceSkew is by how much a decision may be newer than the solve that still
	// answers it: the decision that led to the challenge, stamped by a node whose
	// clock is ahead.
	graceSkew = 2 * time.Second

	// maxGraceCookies bounds the work for a client that sends many of one name.
	maxGraceCookies = 4
)

// graceWork is the scratch of one check; pooled so that a check allocates nothing.
type graceWork struct {
	mac  hash.Hash
	text [graceText]byte
	raw  [graceSize + 8]byte
	buf  []byte
	sum  [sha256.Size]byte
}

// grace is the content of a grace cookie.
type grace struct {
	level           uint8
	issued, expires uint32
	v4, v6, agent   tag
}

// sign returns the first 16 bytes of the MAC over body and host; they live in w.
func (w *graceWork) sign(body []byte, host string) []byte {
	w.buf = append(w.buf[:0], "gr1|"...)
	w.buf = append(w.buf, body...)
	w.buf = append(w.buf, host...)
	w.mac.Reset()
	w.mac.Write(w.buf)
	return w.mac.Sum(w.sum[:0])[:16]
}

// openGrace returns the content of a cookie value whose MAC is right.
func (k *keys) openGrace(value, host string) (grace, bool) {
	if len(value) != graceText {
		return grace{}, false
	}
	w := k.graces.Get().(*graceWork)
	defer k.graces.Put(w)
	copy(w.text[:], value)
	n, err := base64.RawURLEncoding.Decode(w.raw[:], w.text[:])
	if err != nil || n != graceSize || w.raw[0] != graceVersion || w.raw[1] != keyID {
		return grace{}, false
	}
	if !hmac.Equal(w.sign(w.raw[:graceBody], host), w.raw[graceBody:graceSize]) {
		return grace{}, false
	}
	b := w.raw[:]
	return grace{
		level:   b[2],
		issued:  binary.LittleEndian.Uint32(b[4:]),
		expires: binary.LittleEndian.Uint32(b[8:]),
		v4:      tag(b[20:28]), v6: tag(b[28:36]), agent: tag(b[36:44]),
	}, true
}

func (k *keys) sealGrace(c grace, host string) string {
	var b [graceSize]byte
	b[0], b[1], b[2] = graceVersion, keyID, c.level
	binary.LittleEndian.PutUint32(b[4:], c.issued)
	binary.LittleEndian.PutUint32(b[8:], c.expires)
	rand.Read(b[12:20]) // names this solve, for a revocation list
	copy(b[20:], c.v4[:])
	copy(b[28:], c.v6[:])
	copy(b[36:], c.agent[:])
	w := k.graces.Get().(*graceWork)
	defer k.graces.Put(w)
	copy(b[graceBody:], w.sign(b[:graceBody], host))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Solved reports whether r carries a grace cookie that holds for v: ours, for
// this host, unexpired, from this network and user agent, and no older than the
// decision in force. A later decision thus voids a solved challenge.
func (g *Gate) Solved(r *http.Request, v Visitor) bool {
	lines := r.Header["Cookie"]
	if len(lines) == 0 {
		return false
	}
	host, name, tries := hostOnly(v.Host), g.cookie(v), 0
	for _, line := range lines {
		for value, rest := nextCookie(line, name); value != ""; value, rest = nextCookie(rest, name) {
			if tries++; tries > maxGraceCookies {
				return false
			}
			if c, ok := g.keys.openGrace(value, host); ok && g.holds(&c, r, v) {
				return true
			}
		}
	}
	return false
}

func (g *Gate) holds(c *grace, r *http.Request, v Visitor) bool {
	own := c.v6
	if v.Client.Unmap().Is4() {
		own = c.v4
	}
	return g.alive(c, r, v) && own != tag{} && own == g.keys.addressTag(v.Client)
}

// alive is holds without the network.
func (g *Gate) alive(c *grace, r *http.Request, v Visitor) bool {
	if c.level < levelPicture || g.now().Unix() >= int64(c.expires) {
		return false
	}
	if time.Unix(int64(c.issued), 0).Add(graceSkew).Before(v.DecisionCreated) {
		return false
	}
	return c.agent == g.keys.agentTag(r.UserAgent())
}

// setGrace lets the visitor through for the grace period. The other address
// family of a cookie that still holds is taken over: browsers change between
// IPv4 and IPv6 at will, and each change would ask again.
func (g *Gate) setGrace(w http.ResponseWriter, r *http.Request, v Visitor) {
	host := hostOnly(v.Host)
	now := g.now()
	c := grace{
		level: levelPicture, issued: seconds(now), expires: seconds(now.Add(g.options.Grace)),
		agent: g.keys.agentTag(r.UserAgent()),
	}
	if old, ok := g.presented(r, v, host); ok {
		c.v4, c.v6 = old.v4, old.v6
	}
	if v.Client.Unmap().Is4() {
		c.v4 = g.keys.addressTag(v.Client)
	} else {
		c.v6 = g.keys.addressTag(v.Client)
	}
	http.SetCookie(w, &http.Cookie{
		Name: g.cookie(v), Value: g.keys.sealGrace(c, host), Path: "/",
		MaxAge: int(g.options.Grace / time.Second), Secure: v.TLS, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// presented returns the first cookie of r that would hold on its own network.
func (g *Gate) presented(r *http.Request, v Visitor, host string) (grace, bool) {
	for _, line := range r.Header["Cookie"] {
		if value, _ := nextCookie(line, g.cookie(v)); value != "" {
			c, ok := g.keys.openGrace(value, host)
			return c, ok && g.alive(&c, r, v)
		}
	}
	return grace{}, false
}

func (g *Gate) cookie(v Visitor) string {
	if v.TLS {
		return g.secure
	}
	return g.plain
}

// cookieName appends a fingerprint of the attributes: a cookie of one name with
// other attributes would live beside the new one, and browsers send both.
func cookieName(base string, secure bool) string {
	attributes := "v1;path=/;httponly;samesite=lax"
	if secure {
		attributes += ";secure"
	}
	sum := sha256.Sum256([]byte(attributes))
	return base + "-" + hex.EncodeToString(sum[:2])
}

// nextCookie returns the value of the next cookie called name in a Cookie header
// and what follows it; an empty value means there is none.
func nextCookie(header, name string) (value, rest string) {
	for header != "" {
		var pair string
		pair, header, _ = strings.Cut(header, ";")
		pair = strings.TrimLeft(pair, " \t")
		if len(pair) > len(name)+1 && pair[len(name)] == '=' && pair[:len(name)] == name {
			return strings.TrimRight(pair[len(name)+1:], " \t"), header
		}
	}
	return "", ""
}

// Strip removes our cookies from r, and nothing else, before it is proxied.
func (g *Gate) Strip(r *http.Request) {
	lines := r.Header["Cookie"]
	touched := false
	for _, line := range lines {
		touched = touched || strings.Contains(line, g.secure) || strings.Contains(line, g.plain)
	}
	if !touched {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if line = g.stripLine(line); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		r.Header.Del("Cookie")
		return
	}
	r.Header["Cookie"] = kept
}

func (g *Gate) stripLine(line string) string {
	var kept strings.Builder
	removed := false
	for pair := range strings.SplitSeq(line, ";") {
		name, _, _ := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); name == g.secure || name == g.plain {
			removed = true
			continue
		}
		if kept.Len() > 0 {
			kept.WriteByte(';')
		} else {
			pair = strings.TrimLeft(pair, " \t")
		}
		kept.WriteString(pair)
	}
	if !removed {
		return line
	}
	return kept.String()
}

// limitKey names the client for the limiters: an IPv6 customer has a /64.
func limitKey(purpose string, a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return purpose + p.Addr().String()
		}
	}
	return purpose + a.String()
}
