package appliance

import (
	"net/netip"
	"slices"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// maxProxies bounds how many trusted proxies are remembered one by one.
const maxProxies = 4096

// journal is the way from the engine to the book. It makes sure that a trusted
// proxy is on the allowlist before anything is decided about it.
type journal state

// Append implements engine.Journal.
func (j *journal) Append(a *event.Alert, ds []decisions.Decision) error {
	st := (*state)(j)
	if l := st.owner.live.Load(); l != nil && l.settings.config.Trusted != nil && a.Source != nil {
		if addr, err := netip.ParseAddr(a.Source.IP); err == nil && l.settings.config.Trusted(addr.Unmap()) {
			st.learnProxy(addr.Unmap())
		}
	}
	return st.book.Append(a, ds)
}

// learnProxy puts the address of a trusted proxy on the allowlist: whoever bans
// it bans everybody behind it.
func (st *state) learnProxy(peer netip.Addr) {
	if !peer.IsValid() || st.allow.Contains(peer) {
		return
	}
	st.proxyMu.Lock()
	defer st.proxyMu.Unlock()
	if len(st.met) >= maxProxies {
		return
	}
	st.met = append(st.met, netip.PrefixFrom(peer, peer.BitLen()))
	st.allow.SetBuiltin(decisions.KindTrustedProxies, slices.Concat(st.proxies, st.met))
	st.wall.look()
}

// useProxies puts the networks of trusted proxies on the allowlist. With forget
// those that were met one by one go: another configuration may not trust them.
func (st *state) useProxies(s *Settings, forget bool) {
	st.proxyMu.Lock()
	defer st.proxyMu.Unlock()
	if forget {
		st.met = nil
	}
	st.proxies = nil
	if s.config.Proxies != nil {
		st.proxies = s.config.Proxies()
	}
	st.allow.SetBuiltin(decisions.KindTrustedProxies, slices.Concat(st.proxies, st.met))
}

// decision returns a decision that is still in the book.
func (st *state) decision(id int64) (decisions.Decision, bool) {
	if id == 0 {
		return decisions.Decision{}, false
	}
	ds := st.book.List(decisions.Filter{ID: id})
	if len(ds) == 0 {
		return decisions.Decision{}, false
	}
	return ds[0], true
}
