package captcha

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// Errors of Open. A visitor is never told which one it was.
var (
	ErrToken   = errors.New("captcha token is not ours")
	ErrExpired = errors.New("captcha token has expired")
)

// Method is the kind of challenge that a token stands for. The numbers are part
// of the token format; further methods take further numbers.
type Method uint8

// The methods of a challenge.
const (
	Picture Method = 1
	Audio   Method = 2
)

// String returns the name that results and metrics carry.
func (m Method) String() string {
	switch m {
	case Picture:
		return "picture"
	case Audio:
		return "audio"
	}
	return ""
}

// Flags say what happens to the request that was interrupted.
type Flags uint8

// The flags of a token. Bit 2 is kept for challenges that need JavaScript.
const (
	Replay Flags = 1 << 0 // the form travels with the page and is sent again
	Cross  Flags = 1 << 1 // another site sent it, so it is never sent again
	Resend Flags = 1 << 3 // it is lost, and the visitor is told to send it again
)

// Sealed is the content of a token.
type Sealed struct {
	ID       [16]byte // spent with the first answer
	Method   Method
	Flags    Flags
	Post     bool // the interrupted request was a POST
	Issued   time.Time
	Expires  time.Time
	Decision time.Time // when the decision was made that the challenge answers
	Digits   string    // ASCII
	Address  [8]byte   // fingerprint of the client's /24 or /48
	Agent    [8]byte   // fingerprint of its user agent
	Return   string    // path and query to go on to
}

const (
	tokenVersion = 1
	// maxToken bounds what is decoded: the longest token we make is shorter.
	maxToken = 2048
	// sealedFixed is the length of a payload without digits and return URL.
	sealedFixed = 8 + 4 + 16 + 4 + 8 + 8 + 4 + 2 + 1
)

// tokenCoding is read-only. It refuses trailing bits, so that a token has one spelling.
var tokenCoding = base64.RawURLEncoding.Strict()

// Open opens a challenge token that a Gate with this secret issued for host. It
// reports ErrToken for anything forged, damaged or made for another host. It
// does not look at the clock, the client or whether the token was spent.
func Open(secret []byte, host, token string) (Sealed, error) {
	k, err := newKeys(secret)
	if err != nil {
		return Sealed{}, err
	}
	return k.open(purposeChallenge, host, token, time.Time{})
}

// seal encrypts s. Host, version and key are authenticated with it.
//
//	0x01 | key id | nonce 12 | AES-256-GCM(payload), in base64url
//	payload, little endian: issued ms u64 | expires s u32 | id 16 | method u8 |
//	flags u8 | work bits u8 (0) | digits u8 + digits | address 8 | agent 8 |
//	decision s u32 | return u16 + return | post u8
func (k *keys) seal(p purpose, host string, s *Sealed) string {
	b := make([]byte, 0, sealedFixed+len(s.Digits)+len(s.Return))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Issued.UnixMilli()))
	b = binary.LittleEndian.AppendUint32(b, seconds(s.Expires))
	b = append(b, s.ID[:]...)
	b = append(b, byte(s.Method), byte(s.Flags), 0, byte(len(s.Digits)))
	b = append(b, s.Digits...)
	b = append(b, s.Address[:]...)
	b = append(b, s.Agent[:]...)
	b = binary.LittleEndian.AppendUint32(b, seconds(s.Decision))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s.Return)))
	b = append(b, s.Return...)
	post := byte(0)
	if s.Post {
		post = 1
	}
	b = append(b, post)

	out := make([]byte, 2, 2+k.aead[p].Overhead()+len(b))
	out[0], out[1] = tokenVersion, keyID
	out = k.aead[p].Seal(out, nil, b, authenticated(p, host, out[0], out[1]))
	return tokenCoding.EncodeToString(out)
}

// open is the reverse of seal. A zero now accepts expired tokens; otherwise the
// content comes with ErrExpired, so that its return URL can still be used.
func (k *keys) open(p purpose, host, token string, now time.Time) (Sealed, error) {
	if len(token) > maxToken {
		return Sealed{}, ErrToken
	}
	raw, err := tokenCoding.DecodeString(token)
	if err != nil || len(raw) < 2+k.aead[p].Overhead()+sealedFixed || raw[0] != tokenVersion || raw[1] != keyID {
		return Sealed{}, ErrToken
	}
	aad := authenticated(p, host, raw[0], raw[1])
	plain, err := k.aead[p].Open(nil, nil, raw[2:], aad)
	if err != nil {
		return Sealed{}, ErrToken
	}
	s, ok := parseSealed(plain)
	if !ok {
		return Sealed{}, ErrToken
	}
	if !now.IsZero() && !now.Before(s.Expires) {
		return s, ErrExpired
	}
	return s, nil
}

func parseSealed(b []byte) (Sealed, bool) {
	var s Sealed
	if len(b) < sealedFixed {
		return s, false
	}
	s.Issued = time.UnixMilli(int64(binary.LittleEndian.Uint64(b)))
	s.Expires = time.Unix(int64(binary.LittleEndian.Uint32(b[8:])), 0)
	copy(s.ID[:], b[12:])
	s.Method, s.Flags = Method(b[28]), Flags(b[29])
	digits := int(b[31])
	b = b[32:]
	if len(b) < digits+23 {
		return s, false
	}
	s.Digits, b = string(b[:digits]), b[digits:]
	copy(s.Address[:], b)
	copy(s.Agent[:], b[8:])
	s.Decision = time.Unix(int64(binary.LittleEndian.Uint32(b[16:])), 0)
	length := int(binary.LittleEndian.Uint16(b[20:]))
	b = b[22:]
	if len(b) != length+1 {
		return s, false
	}
	s.Return, s.Post = string(b[:length]), b[length] == 1
	return s, true
}

func authenticated(p purpose, host string, version, kid byte) []byte {
	return append(append(make([]byte, 0, 64), p.label()+hostOnly(host)...), version, kid)
}

// seconds is t in the 32 bits that tokens and cookies have for it.
func seconds(t time.Time) uint32 {
	if u := t.Unix(); u > 0 && u <= 1<<32-1 {
		return uint32(u)
	}
	return 0
}

func newID() (id [16]byte) {
	rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	return id
}
