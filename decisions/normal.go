package decisions

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
)

const (
	maxScope = 64
	maxText  = 512
	// minBits4 and minBits6 are the widest ranges anything may be decided for.
	minBits4 = 8
	minBits6 = 16
	// width64 is the prefix of an IPv6 subscriber.
	width64 = 64
)

// plain returns a without what makes two spellings of one address unequal:
// IPv4-mapped IPv6 is IPv4, and there is no zone.
func plain(a netip.Addr) netip.Addr {
	if a.Is6() {
		a = a.Unmap()
		if a.Is6() {
			a = a.WithZone("")
		}
	}
	return a
}

// plainPrefix is plain for a prefix, with host bits cleared.
func plainPrefix(p netip.Prefix) netip.Prefix {
	a, bits := p.Addr(), p.Bits()
	if a.Is4In6() && bits >= 96 {
		return netip.PrefixFrom(a.Unmap(), bits-96).Masked()
	}
	return netip.PrefixFrom(a.WithZone(""), bits).Masked()
}

// Normalise brings scope, value and type of a decision into the form they are
// compared in, or says what was expected. A wide64 one against an IPv6 address
// becomes one against its /64.
func Normalise(d *Decision, wide64 bool) error {
	_, err := normalise(d, wide64)
	return err
}

// normalise also returns the prefix of an Ip or Range decision.
func normalise(d *Decision, wide64 bool) (netip.Prefix, error) {
	if err := normaliseType(d); err != nil {
		return netip.Prefix{}, err
	}
	value := strings.TrimSpace(d.Value)
	switch scope := strings.TrimSpace(d.Scope); {
	case scope == "", strings.EqualFold(scope, ScopeIP), strings.EqualFold(scope, ScopeRange):
		p, err := parseTarget(scope, value)
		if err != nil {
			return p, err
		}
		if wide64 && p.IsSingleIP() && p.Addr().Is6() {
			p = netip.PrefixFrom(p.Addr(), width64).Masked()
		}
		setTarget(d, p)
		return p, checkWidth(p)
	case strings.EqualFold(scope, ScopeCountry):
		if len(value) != 2 || !isLetter(value[0]) || !isLetter(value[1]) {
			return netip.Prefix{}, fmt.Errorf("country %q: expected two letters such as FR", value)
		}
		d.Scope, d.Value = ScopeCountry, strings.ToUpper(value)
	case strings.EqualFold(scope, ScopeAS):
		digits := value
		if len(value) > 2 && strings.EqualFold(value[:2], "AS") {
			digits = value[2:]
		}
		if digits == "" || strings.Trim(digits, "0123456789") != "" {
			return netip.Prefix{}, fmt.Errorf("autonomous system %q: expected a number such as 64496", value)
		}
		d.Scope, d.Value = ScopeAS, digits
	default:
		if err := checkText("scope", scope, maxScope); err != nil {
			return netip.Prefix{}, err
		}
		if err := checkText("value of scope "+scope, value, maxText); err != nil {
			return netip.Prefix{}, err
		}
		d.Scope, d.Value = scope, value
	}
	return netip.Prefix{}, nil
}

func normaliseType(d *Decision) error {
	d.Type = strings.TrimSpace(d.Type)
	if low := strings.ToLower(d.Type); low == TypeBan || low == TypeCaptcha || low == TypeThrottle {
		d.Type = low
	}
	return checkText("type", d.Type, maxScope)
}

// parseTarget reads the value of scope Ip, Range or "" (whichever fits).
func parseTarget(scope, value string) (netip.Prefix, error) {
	p, isRange, err := parsePrefix(value)
	wantIP := strings.EqualFold(scope, ScopeIP)
	switch {
	case err != nil && wantIP:
		return p, fmt.Errorf("address %q: expected one such as 192.0.2.7 or 2001:db8::7", value)
	case err != nil:
		return p, fmt.Errorf("range %q: expected one such as 192.0.2.0/24 or 2001:db8::/48", value)
	case wantIP && isRange && !p.IsSingleIP():
		return p, fmt.Errorf("address %q: is a range; decide it with scope Range", value)
	}
	return p, nil
}

// parsePrefix reads an address or a CIDR; an address is its own full-length
// prefix.
func parsePrefix(s string) (p netip.Prefix, isRange bool, err error) {
	if strings.Contains(s, "/") {
		p, err = netip.ParsePrefix(s)
		if err != nil {
			return netip.Prefix{}, true, err
		}
		return plainPrefix(p), true, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false, err
	}
	a = plain(a)
	return netip.PrefixFrom(a, a.BitLen()), false, nil
}

// setTarget writes p as scope and value; a range of one address is that address.
func setTarget(d *Decision, p netip.Prefix) {
	if p.IsSingleIP() {
		d.Scope, d.Value = ScopeIP, p.Addr().String()
		return
	}
	d.Scope, d.Value = ScopeRange, p.String()
}

func checkWidth(p netip.Prefix) error {
	least := minBits4
	if p.Addr().Is6() {
		least = minBits6
		if mapped := netip.AddrFrom16(netip.IPv4Unspecified().As16()); !p.IsSingleIP() && (p.Contains(netip.IPv6Loopback()) || p.Contains(mapped)) {
			return fmt.Errorf("range %s: %w: loopback, or all of IPv4 as IPv6 has it, is in it", p, ErrTooWide)
		}
	}
	if p.Bits() < least {
		return fmt.Errorf("range %s: %w: a /%d is the widest that may be decided for", p, ErrTooWide, least)
	}
	return nil
}

func checkText(what, s string, limit int) error {
	switch {
	case s == "":
		return fmt.Errorf("%s is missing", what)
	case len(s) > limit:
		return fmt.Errorf("%s has %d bytes, at most %d fit", what, len(s), limit)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%s %q has control characters", what, s)
	}
	return nil
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// normalValue is the key under which a value is indexed, whatever its scope. For
// an IPv6 address wide is the key of its /64, else "".
func normalValue(s string) (key, wide string) {
	s = strings.TrimSpace(s)
	p, _, err := parsePrefix(s)
	if err != nil {
		return s, ""
	}
	if !p.IsSingleIP() {
		return p.String(), ""
	}
	if p.Addr().Is6() {
		wide = netip.PrefixFrom(p.Addr(), width64).Masked().String()
	}
	return p.Addr().String(), wide
}

// wholeMillis cuts t to what the set keeps of it, so that list and lookup agree
// on the instant at which a decision ends.
func wholeMillis(t time.Time) time.Time { return t.Truncate(time.Millisecond).UTC() }
