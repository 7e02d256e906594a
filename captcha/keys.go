package captcha

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
)

// ErrSecret is returned when the secret is too short to be one.
var ErrSecret = errors.New("captcha secret: needs at least 32 bytes")

// keyID names the key that sealed a token, so that several can be accepted
// while a secret is replaced.
const keyID = 0

// purpose separates tokens that must not stand in for one another. Each has its
// own key: return tokens are sealed for every refused API call, so they must not
// use up the nonces of the key that hides the digits.
type purpose uint8

const (
	purposeChallenge purpose = iota
	purposeReturn
)

func (p purpose) label() string {
	if p == purposeReturn {
		return "ret1|"
	}
	return "ct1|"
}

type keys struct {
	aead   [2]cipher.AEAD // by purpose; nonces are random and prepended
	bind   [sha256.Size]byte
	graces sync.Pool // *graceWork
}

func newKeys(secret []byte) (*keys, error) {
	if len(secret) < 32 {
		return nil, ErrSecret
	}
	derive := func(name string) ([]byte, error) {
		return hkdf.Key(sha256.New, secret, nil, "rampart/"+name+"/v1", sha256.Size)
	}
	k := &keys{}
	for p, name := range []string{purposeChallenge: "ct", purposeReturn: "ret"} {
		key, err := derive(name)
		if err != nil {
			return nil, fmt.Errorf("deriving captcha keys: %w", err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("deriving captcha keys: %w", err)
		}
		if k.aead[p], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("deriving captcha keys: %w", err)
		}
	}
	bind, err := derive("bind")
	if err != nil {
		return nil, fmt.Errorf("deriving captcha keys: %w", err)
	}
	copy(k.bind[:], bind)
	grace, err := derive("grace")
	if err != nil {
		return nil, fmt.Errorf("deriving captcha keys: %w", err)
	}
	k.graces.New = func() any { return &graceWork{mac: hmac.New(sha256.New, grace)} }
	return k, nil
}

// tag is a short keyed fingerprint. A hash with the key in front is enough here:
// only 8 bytes of it are ever shown, so nothing can be appended to it.
type tag [8]byte

const (
	tagAddress = 'a'
	tagAgent   = 'u'
	// maxAgent bounds how much of a user agent is looked at.
	maxAgent = 512
)

func (k *keys) addressTag(a netip.Addr) tag {
	bits := 48
	a = a.Unmap()
	if a.Is4() {
		bits = 24
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil || !a.IsValid() {
		return tag{} // no address: the zero tag holds for nobody
	}
	var buf [sha256.Size + 2 + 16]byte
	n := copy(buf[:], k.bind[:])
	buf[n], buf[n+1] = tagAddress, byte(bits)
	raw := p.Addr().As16()
	copy(buf[n+2:], raw[:])
	sum := sha256.Sum256(buf[:])
	return tag(sum[:8])
}

func (k *keys) agentTag(agent string) tag {
	if len(agent) > maxAgent {
		agent = agent[:maxAgent]
	}
	var buf [sha256.Size + 1 + maxAgent]byte
	n := copy(buf[:], k.bind[:])
	buf[n] = tagAgent
	n += 1 + copy(buf[n+1:], agent)
	sum := sha256.Sum256(buf[:n])
	return tag(sum[:8])
}

// hostOnly returns host in lower case without a port: cookies know no ports.
func hostOnly(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		if strings.IndexByte(host, ':') == i || host[i-1] == ']' {
			host = host[:i]
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
