package expression

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/corazawaf/libinjection-go"
	"go.uber.org/zap"
)

func (e *Env) addressFunctions() []function {
	return []function{
		textToBool("IsIP", func(s string) bool { return address(s).IsValid() }),
		textToBool("IsIPV4", func(s string) bool { return address(s).Is4() }),
		textToBool("IsIPV6", func(s string) bool { return address(s).Is6() }),
		textsToBool("IpInRange", inRange),
		{"IpToRange", new(func(string, string) string), local, func(a args) (any, error) {
			s, err := a.texts(2)
			if err != nil {
				return nil, err
			}
			r := toRange(s[0], s[1])
			if r == "" {
				e.debug("IpToRange", zap.String("ip", s[0]), zap.String("bits", s[1]))
			}
			return r, nil
		}},
		textToBool("LibInjectionIsSQLI", func(s string) bool { found, _ := libinjection.IsSQLi(s); return found }),
		textToBool("LibInjectionIsXSS", libinjection.IsXSS),
		{"JA4H", new(func(*http.Request) string), local, func(a args) (any, error) {
			if r, ok := a[0].(*http.Request); ok && r != nil {
				return ja4h(r), nil
			}
			return "", nil
		}},
	}
}

// address parses an IP address; the zero Addr is none. CrowdSec compatible: an
// IPv4 address mapped into IPv6 is IPv4, and there are no zones.
func address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}

// seenAddress is the address that was parsed last: the parts of an expression, and
// expressions after each other, are mostly about the same. The text is copied, so that
// nothing of an event stays.
type seenAddress struct {
	text [39]byte // longer ones are parsed anew
	size uint8
	addr netip.Addr
}

// of is address.
func (a *seenAddress) of(s string) netip.Addr {
	if s == "" || len(s) > len(a.text) {
		return address(s)
	}
	if string(a.text[:a.size]) != s {
		a.addr, a.size = address(s), uint8(copy(a.text[:], s))
	}
	return a.addr
}

func inRange(ip, cidr string) bool {
	a := address(ip)
	p, err := netip.ParsePrefix(cidr)
	if err != nil || !a.IsValid() {
		return false
	}
	return unmapped(p).Contains(a)
}

// unmapped is a range as IpInRange takes it: one of IPv4 mapped into IPv6 is IPv4.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// toRange returns the network of ip that has so many bits ("64" or "/64"), ""
// where there is none.
func toRange(ip, bits string) string {
	n, err := strconv.Atoi(strings.TrimPrefix(bits, "/"))
	if err != nil {
		return ""
	}
	p, err := address(ip).Prefix(n)
	if err != nil || !p.IsValid() {
		return ""
	}
	return p.String()
}
