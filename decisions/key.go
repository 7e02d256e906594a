package decisions

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
)

// key stands for the value of a decision or alert, and holds no pointer: a prefix
// itself, of any other text 128 bits of hash. Texts that nobody chose for it do not
// share a key, and since the hash is seeded at random nobody can choose them.
type key struct {
	hi, lo uint64
	bits   int16 // of a prefix, as of IPv6; hashed: the text is hashed
}

const hashed = -1

// keyOf is the key of a prefix in plain form.
func keyOf(p netip.Prefix) key {
	b := p.Addr().As16()
	k := key{hi: binary.BigEndian.Uint64(b[:8]), lo: binary.BigEndian.Uint64(b[8:]), bits: int16(p.Bits())}
	if p.Addr().Is4() {
		k.bits += 96
	}
	return k
}

// prefix returns what keyOf was given, an invalid prefix for a hashed text.
func (k key) prefix() netip.Prefix {
	if k.bits == hashed {
		return netip.Prefix{}
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
	a := netip.AddrFrom16(b)
	if a.Is4In6() && k.bits >= 96 {
		return netip.PrefixFrom(a.Unmap(), int(k.bits)-96)
	}
	return netip.PrefixFrom(a, int(k.bits))
}

// covers reports whether all of o's prefix is in that of k; neither is hashed.
func (k key) covers(o key) bool {
	if k.bits > o.bits || k.is4() != o.is4() {
		return false
	}
	if k.bits <= 64 {
		return (k.hi^o.hi)>>(64-k.bits) == 0
	}
	return k.hi == o.hi && (k.lo^o.lo)>>(128-k.bits) == 0
}

// is4 reports whether the prefix is one of IPv4.
func (k key) is4() bool { return k.bits >= 96 && k.hi == 0 && k.lo>>32 == 0xffff }

// keyer makes keys of texts.
type keyer struct{ hi, lo maphash.Seed }

func newKeyer() keyer { return keyer{maphash.MakeSeed(), maphash.MakeSeed()} }

// of returns the key of a value: that of its prefix if the text is the normal form
// of one.
func (k keyer) of(text string) key {
	if p, _, err := parsePrefix(text); err == nil {
		var room [64]byte
		if string(appendTarget(room[:0], p)) == text {
			return keyOf(p)
		}
	}
	return k.hash(text)
}

// hash returns the key of a text that is no value.
func (k keyer) hash(text string) key {
	return key{hi: maphash.String(k.hi, text), lo: maphash.String(k.lo, text), bits: hashed}
}

// appendTarget appends the value that a decision against p has.
func appendTarget(dst []byte, p netip.Prefix) []byte {
	if p.IsSingleIP() {
		return p.Addr().AppendTo(dst)
	}
	return p.AppendTo(dst)
}
