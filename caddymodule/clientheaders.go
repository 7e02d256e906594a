package caddymodule

import (
	"net/http"
	"net/netip"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// clientHeaders are the headers in which trusted proxies write down every client; nil
// where the server does not read them strictly.
type clientHeaders []string

// clientHeaders are those of a server, which must not believe what clients write
// themselves.
func (a *App) clientHeaders(srv *caddyhttp.Server) (clientHeaders, error) {
	if !a.UnsafeTrustedProxies {
		if err := checkProxies(srv); err != nil {
			return nil, err
		}
	}
	if srv.TrustedProxiesStrict > 0 {
		return srv.ClientIPHeaders, nil
	}
	return nil, nil
}

// client is what Caddy knows of the client, and whether a trusted proxy sent the
// request. Its own variable is the only source of the address: headers can only make
// it unknown.
func (h clientHeaders) client(r *http.Request, vars map[string]any) (addr netip.Addr, name string, trusted bool) {
	if text, _ := vars[caddyhttp.ClientIPVarKey].(string); text != "" {
		if a, err := netip.ParseAddr(text); err == nil {
			addr, name = a.WithZone("").Unmap(), text
		}
	}
	trusted, _ = vars[caddyhttp.TrustedProxyVarKey].(bool)
	if trusted && addr.IsValid() && !vouched(r.Header, h, addr) {
		addr = netip.Addr{}
	}
	return addr, name, trusted
}
