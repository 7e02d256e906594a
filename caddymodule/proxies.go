package caddymodule

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// proxies tells which addresses are trusted proxies of the servers of one
// configuration. The zero value trusts none.
type proxies struct {
	servers atomic.Pointer[[]*caddyhttp.Server]
}

func (p *proxies) set(servers map[string]*caddyhttp.Server) {
	var list []*caddyhttp.Server
	for _, srv := range servers {
		if trustsProxies(srv) {
			list = append(list, srv)
		}
	}
	p.servers.Store(&list)
}

// trusted reports whether some server trusts addr. Caddy is asked itself, with a
// request made up for the purpose, because ranges may come from any module and
// change over time.
func (p *proxies) trusted(addr netip.Addr) bool {
	list := p.servers.Load()
	if list == nil {
		return false
	}
	for _, srv := range *list {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: http.Header{},
			RemoteAddr: net.JoinHostPort(addr.String(), "1")}
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, srv)
		if yes, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); yes {
			return true
		}
	}
	return false
}

// networks are the networks of all trusted proxies at this moment.
func (p *proxies) networks() []netip.Prefix {
	list := p.servers.Load()
	if list == nil {
		return nil
	}
	var out []netip.Prefix
	for _, srv := range *list {
		source := sourceOf(srv)
		if source == nil {
			continue
		}
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: http.Header{}}
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, srv)
		for _, n := range source.GetIPRanges(r) {
			if n = n.Masked(); n.IsValid() && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// sourceOf is the module that knows a server's trusted proxies, nil if there is
// none. It is in a field that Caddy does not export; a test holds that it is there.
func sourceOf(srv *caddyhttp.Server) caddyhttp.IPRangeSource {
	f := reflect.ValueOf(srv).Elem().FieldByName("trustedProxies")
	if f.Kind() != reflect.Interface || f.IsNil() {
		return nil
	}
	// The field is only read: reflect would refuse to hand out its value.
	source, _ := reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem().Interface().(caddyhttp.IPRangeSource)
	return source
}

// trustsProxies reports whether a provisioned server takes client addresses from
// headers of some peers. The module that lists them is in a field that Caddy does
// not export; if it is no longer there, the answer is yes, which is the safe one.
func trustsProxies(srv *caddyhttp.Server) bool {
	if srv.TrustedProxiesUnix || len(srv.TrustedProxiesRaw) > 0 {
		return true
	}
	source := reflect.ValueOf(srv).Elem().FieldByName("trustedProxies")
	return source.Kind() != reflect.Interface || !source.IsNil()
}

// vouched reports whether trusted proxies wrote down that they speak for client.
// Caddy passes over entries that are no address ("unknown", an address in brackets
// without a port), and what stands left of such an entry is the client's own word.
// names are the server's headers of client addresses, in the order of their rank.
func vouched(h http.Header, names []string, client netip.Addr) bool {
	for _, name := range names {
		for _, line := range slices.Backward(h[http.CanonicalHeaderKey(name)]) {
			for more := true; more; {
				entry := line
				i := strings.LastIndexByte(line, ',')
				if more = i >= 0; more {
					line, entry = line[:i], line[i+1:]
				}
				if entry = strings.TrimSpace(entry); entry == "" {
					continue
				}
				a, err := netip.ParseAddr(entry)
				if err != nil { // which no address with a port is
					host, _, _ := net.SplitHostPort(entry)
					if a, err = netip.ParseAddr(host); err != nil {
						return false
					}
				}
				if a.WithZone("").Unmap() == client {
					return true
				}
			}
		}
	}
	return true // the peer itself
}

// checkProxies refuses a server where whoever sends a request can choose the
// address that it is counted for.
func checkProxies(srv *caddyhttp.Server) error {
	if srv.TrustedProxiesStrict > 0 || !trustsProxies(srv) {
		return nil
	}
	return fmt.Errorf("server %s has trusted_proxies but not trusted_proxies_strict: it takes the first address of %v, "+
		"which clients can write themselves, so anyone could get anyone banned; set trusted_proxies_strict in the servers block, "+
		"or, if every trusted proxy replaces that header, unsafe_trusted_proxies in the rampart block", srv.Name(), srv.ClientIPHeaders)
}
