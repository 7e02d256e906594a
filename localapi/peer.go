package localapi

import (
	"net/http"
	"net/netip"
	"strings"
)

// peer is who called, as far as the connection tells.
type peer struct {
	// Addr is the client's address, unmapped. Through the unix socket it is
	// 127.0.0.1; invalid where nobody knows.
	Addr netip.Addr
	// Own: through this package's Listener.
	Own bool
	// Local: from loopback or the unix socket, through the own listener, without a
	// header that a proxy would have put there.
	Local bool
}

// forwarding headers are set by proxies. Read-only.
var forwarding = []string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip",
	"X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Via",
}

// peerOf finds out who sent r.
func (s *Server) peerOf(r *http.Request, own bool, client func(*http.Request) netip.Addr) peer {
	p := peer{Own: own}
	if client != nil {
		p.Addr = client(r).Unmap()
		return p
	}
	p.Addr = remoteAddr(r.RemoteAddr)
	direct := true
	for _, h := range forwarding {
		if len(r.Header.Values(h)) > 0 {
			direct = false
			break
		}
	}
	p.Local = own && direct && p.Addr.IsLoopback()
	if !direct {
		p.Addr = forwardedFor(p.Addr, r.Header.Values("X-Forwarded-For"), s.config.Load().ForwardedFrom)
	}
	return p
}

// remoteAddr reads what net/http says of a connection. A unix socket has no address.
func remoteAddr(text string) netip.Addr {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	if text == "" || text[0] == '@' || text[0] == '/' {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.Addr{}
}

// forwardedFor walks from the connection's address back through the proxies that are
// trusted, and gives the first address that is not one of them. Where a trusted proxy
// does not tell, nobody knows: what its own address may is not for those behind it.
func forwardedFor(from netip.Addr, lines []string, trusted []netip.Prefix) netip.Addr {
	hops := strings.Split(strings.Join(lines, ","), ",")
	for i := len(hops) - 1; i >= 0 && contains(trusted, from); i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return netip.Addr{}
		}
		from = a.Unmap().WithZone("")
	}
	return from
}
