package decisions

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"strings"
	"time"
)

// Minter makes incident ids: what a refused visitor is shown, and what finds the
// decision again without anything having been stored.
//
// An id has 26 characters of Crockford's base32 and sorts by time, like a ULID:
// 48 bits of Unix milliseconds, 40 bits of decision id, 24 random bits, 16 bits
// of checksum. The decision id is masked with a keyed hash of everything else and
// the checksum is keyed too, so an id that was mistyped, altered or made up opens
// once in 65536 times, and then names a decision at random.
//
// An id is a reference, not a credential: whoever was shown it may pass it on,
// and nothing may be granted for knowing one.
type Minter struct{ secret []byte }

const (
	mintedLen    = 26
	crockford    = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	maxDecision  = 1<<40 - 1
	mintedMillis = 1<<48 - 1
)

// NewMinter returns a Minter whose ids open with the same secret only.
func NewMinter(secret []byte) *Minter {
	return &Minter{secret: append([]byte{}, secret...)}
}

// Mint makes an id for a refusal at an instant because of a decision (0: of
// none). Decision ids above 2^40-1 are cut to their lower 40 bits.
func (m *Minter) Mint(now time.Time, decisionID int64) string {
	var id [16]byte
	put48(id[:6], uint64(min(max(now.UnixMilli(), 0), mintedMillis)))
	put40(id[6:11], uint64(decisionID)&maxDecision)
	// Since Go 1.24 rand.Read never fails.
	_, _ = rand.Read(id[11:14])
	sum := m.checksum(&id)
	copy(id[14:], sum[:])
	m.mask(&id)
	return encodeID(&id)
}

// Open reads an id as people pass it on: in either case, with spaces or dashes
// in it, with O for 0 and I or L for 1. ok is false for what this Minter did not
// make.
func (m *Minter) Open(text string) (at time.Time, decisionID int64, ok bool) {
	id, ok := decodeID(text)
	if !ok {
		return time.Time{}, 0, false
	}
	m.mask(&id)
	sum := m.checksum(&id)
	if subtle.ConstantTimeCompare(sum[:], id[14:]) != 1 {
		return time.Time{}, 0, false
	}
	ms := binary.BigEndian.Uint64(append([]byte{0, 0}, id[:6]...))
	return time.UnixMilli(int64(ms)), int64(binary.BigEndian.Uint64(append([]byte{0, 0, 0}, id[6:11]...))), true
}

// checksum covers time, plain decision id and random bits.
func (m *Minter) checksum(id *[16]byte) (sum [2]byte) {
	h := hmac.New(sha256.New, m.secret)
	h.Write([]byte("incident checksum"))
	h.Write(id[:14])
	copy(sum[:], h.Sum(nil))
	return sum
}

// mask hides or uncovers the decision id.
func (m *Minter) mask(id *[16]byte) {
	h := hmac.New(sha256.New, m.secret)
	h.Write([]byte("incident mask"))
	h.Write(id[:6])
	h.Write(id[11:])
	subtle.XORBytes(id[6:11], id[6:11], h.Sum(nil))
}

func put48(b []byte, v uint64) {
	binary.BigEndian.PutUint16(b, uint16(v>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(v))
}

func put40(b []byte, v uint64) {
	b[0] = byte(v >> 32)
	binary.BigEndian.PutUint32(b[1:], uint32(v))
}

// encodeID writes 128 bits as 26 characters; the first has three bits.
func encodeID(id *[16]byte) string {
	var out [mintedLen]byte
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	for i := mintedLen - 1; i >= 0; i-- {
		out[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(out[:])
}

func decodeID(text string) (id [16]byte, ok bool) {
	if len(text) > 4*mintedLen {
		return id, false
	}
	var hi, lo uint64
	n := 0
	for _, c := range strings.ToUpper(text) {
		switch c {
		case '-', ' ', '\t', '\r', '\n':
			continue
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		v := strings.IndexRune(crockford, c)
		if v < 0 || n == 0 && v > 7 || n == mintedLen {
			return id, false
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
		n++
	}
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	return id, n == mintedLen
}
