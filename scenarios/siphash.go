package scenarios

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// hashKey is the secret of one Memory, or of all nodes that share buckets. Bucket
// names are hashed with it to 128 bits, so that nobody who chooses names can make two
// buckets one; a snapshot carries the key along.
type hashKey struct{ k0, k1 uint64 }

func newHashKey() hashKey {
	var b [16]byte
	rand.Read(b[:]) // never fails: it ends the process where the system has no randomness
	return hashKey{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

// shareKey is the key of everybody who has the secret.
func shareKey(secret []byte) hashKey {
	sum := sha256.Sum256(secret)
	return hashKey{binary.LittleEndian.Uint64(sum[:8]), binary.LittleEndian.Uint64(sum[8:16])}
}

// sum128 is SipHash-2-4 with 128 bits of result (Aumasson and Bernstein) over the
// 16 bytes of id followed by text.
func (h hashKey) sum128(id *[16]byte, text string) [16]byte {
	return h.start128().
		block(binary.LittleEndian.Uint64(id[:8])).
		block(binary.LittleEndian.Uint64(id[8:])).
		text(text, len(id)).finish128()
}

func (h hashKey) start128() sipState {
	return sipState{
		h.k0 ^ 0x736f6d6570736575, h.k1 ^ 0x646f72616e646f6d ^ 0xee,
		h.k0 ^ 0x6c7967656e657261, h.k1 ^ 0x7465646279746573,
	}
}

// sum64 is SipHash-2-4 of text.
func (h hashKey) sum64(text string) uint64 {
	s := sipState{
		h.k0 ^ 0x736f6d6570736575, h.k1 ^ 0x646f72616e646f6d,
		h.k0 ^ 0x6c7967656e657261, h.k1 ^ 0x7465646279746573,
	}.text(text, 0)
	s.v2 ^= 0xff
	return s.four().mixed()
}

// sipState is passed by value, which keeps it in registers.
type sipState struct{ v0, v1, v2, v3 uint64 }

func (s sipState) mixed() uint64 { return s.v0 ^ s.v1 ^ s.v2 ^ s.v3 }

func (s sipState) finish128() (out [16]byte) {
	s.v2 ^= 0xee
	s = s.four()
	binary.LittleEndian.PutUint64(out[:8], s.mixed())
	s.v1 ^= 0xdd
	s = s.four()
	binary.LittleEndian.PutUint64(out[8:], s.mixed())
	return out
}

// text absorbs t and the closing block, whose top byte is the total length.
func (s sipState) text(t string, before int) sipState {
	total := before + len(t)
	for len(t) >= 8 {
		s = s.block(uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
			uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56)
		t = t[8:]
	}
	last := uint64(total) << 56
	for i := range len(t) {
		last |= uint64(t[i]) << (8 * i)
	}
	return s.block(last)
}

func (s sipState) block(m uint64) sipState {
	s.v3 ^= m
	s = s.round().round()
	s.v0 ^= m
	return s
}

func (s sipState) four() sipState { return s.round().round().round().round() }

func (s sipState) round() sipState {
	a, b := s.v0+s.v1, s.v2+s.v3
	s.v1, s.v3 = bits.RotateLeft64(s.v1, 13)^a, bits.RotateLeft64(s.v3, 16)^b
	a, b = bits.RotateLeft64(a, 32)+s.v3, b+s.v1
	return sipState{a, bits.RotateLeft64(s.v1, 17) ^ b, bits.RotateLeft64(b, 32), bits.RotateLeft64(s.v3, 21) ^ a}
}
