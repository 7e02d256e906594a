package scenarios

import (
	"encoding/hex"
	"testing"
)

// The expected values are the reference vectors of SipHash for the key 00 01 … 0f.
func TestSipHash(t *testing.T) {
	key := hashKey{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	text := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i)
		}
		return string(b)
	}
	if got := key.sum64(text(15)); got != 0xa129ca6149be45e5 {
		t.Errorf("64 bits of 15 bytes: %x", got)
	}
	if got := key.sum64(""); got != 0x726fdb47dd0e0e31 {
		t.Errorf("64 bits of nothing: %x", got)
	}
	if out := key.start128().text("", 0).finish128(); hex.EncodeToString(out[:]) != "a3817f04ba25a8e66df67214c7550293" {
		t.Errorf("128 bits of nothing: %x", out)
	}
	var id [16]byte
	copy(id[:], text(16))
	whole := key.start128().text(text(16)+"rest of it", 0)
	if got := key.sum128(&id, "rest of it"); got != whole.finish128() {
		t.Errorf("in two parts: %x", got)
	}
}
