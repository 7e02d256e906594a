package firewall

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"
)

// The widest prefixes that may be banned: /8 of IPv4 is a 256th of the
// Internet, /16 of IPv6 a 65536th of its space. Anything wider is a mistake.
const (
	widest4 = 8
	widest6 = 16
)

// Errors of single prefixes. A *RefusedError matches ErrRefused and one of the others.
var (
	ErrRefused  = errors.New("prefix refused")
	ErrInvalid  = errors.New("not a valid address or prefix")
	ErrTooWide  = fmt.Errorf("prefix is wider than /%d (IPv4) or /%d (IPv6)", widest4, widest6)
	ErrReserved = errors.New("unspecified, loopback, multicast and link-local addresses cannot be banned")
)

// Ban is one prefix whose packets are dropped until an instant.
type Ban struct {
	// Prefix may be a single address (/32, /128), have host bits set, and be an
	// IPv4 prefix in IPv6 notation.
	Prefix netip.Prefix `json:"prefix"`
	// Until is the end. A ban that is over, among them one whose Until is the
	// zero Time, is not written; there are no permanent bans. Less than a
	// second becomes a second, more than ten years ten years.
	Until time.Time `json:"until"`
	// Origin groups the counters of dropped packets, e.g. "crowdsec", "cscli".
	Origin string `json:"origin"`
}

// Bans are many bans, gone through once. The zero value is none.
type Bans struct {
	Len int // about how many there are
	All iter.Seq[Ban]
}

// BansOf returns these bans.
func BansOf(bans ...Ban) Bans { return Bans{Len: len(bans), All: slices.Values(bans)} }

// RefusedError says that one prefix was left out, and why.
type RefusedError struct {
	Prefix netip.Prefix
	Err    error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("prefix %s refused: %v", e.Prefix, e.Err)
}

// Unwrap makes the error match ErrRefused and its reason.
func (e *RefusedError) Unwrap() []error { return []error{ErrRefused, e.Err} }

// maxRefusals bounds the refusals that one call returns; all are counted.
const maxRefusals = 100

// refusals collects the refused prefixes of one call.
type refusals struct {
	errs  []error
	total int
}

func (r *refusals) add(p netip.Prefix, err error) {
	r.total++
	if len(r.errs) < maxRefusals {
		r.errs = append(r.errs, &RefusedError{Prefix: p, Err: err})
	}
}

// err joins the refusals; nil if there are none.
func (r *refusals) err() error {
	if more := r.total - len(r.errs); more > 0 {
		return errors.Join(append(r.errs, fmt.Errorf("%w: %d more", ErrRefused, more))...)
	}
	return errors.Join(r.errs...)
}

// canonical returns p as IPv4 if it is IPv4 in IPv6 notation, without zone and
// host bits.
func canonical(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return p, ErrInvalid
	}
	addr, bits := p.Addr(), p.Bits()
	if addr.Is4In6() && bits >= 96 {
		addr, bits = addr.Unmap(), bits-96
	}
	return netip.PrefixFrom(addr, bits).Masked(), nil
}

// normalise checks the prefix of a ban and returns it in canonical form, and
// the prefix to write, which is wider for a single IPv6 address.
func normalise(p netip.Prefix, prefix6 int) (source, target netip.Prefix, err error) {
	source, err = canonical(p)
	if err != nil {
		return source, source, err
	}
	target = source
	if target.Addr().Is6() && target.IsSingleIP() {
		target = netip.PrefixFrom(target.Addr(), prefix6).Masked()
	}
	widest := widest4
	if target.Addr().Is6() {
		widest = widest6
	}
	if target.Bits() < widest {
		return source, target, ErrTooWide
	}
	for _, r := range reserved() {
		if r.Overlaps(target) {
			return source, target, ErrReserved
		}
	}
	return source, target, nil
}

// reserved lists what no ban may touch. The IPv4-mapped range is here for IPv6
// prefixes wide enough to hold it: no packet has such a source.
func reserved() [8]netip.Prefix {
	v4 := func(a, b, c, d byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, d}), bits)
	}
	return [...]netip.Prefix{
		v4(0, 0, 0, 0, 8),
		v4(127, 0, 0, 0, 8),
		v4(169, 254, 0, 0, 16),
		v4(224, 0, 0, 0, 4),
		v4(255, 255, 255, 255, 32),
		// Unspecified, loopback and IPv4-mapped.
		netip.PrefixFrom(netip.IPv6Unspecified(), 64),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0x80}), 10),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0xff}), 8),
	}
}
