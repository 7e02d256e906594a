package appliance

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/rampart-edge/rampart/decisions"
)

// maxProxies bounds how many trusted proxies are remembered one by one.
const maxProxies = 4096

// proxies keeps the trusted proxies of the web server on the allowlist: whoever
// bans one bans everybody behind it. Requests only note what they meet, since the
// allowlist may wait for the disk; run does the rest.
type proxies struct {
	allow *decisions.Allow
	wake  chan struct{}

	urgent  sync.Mutex              // guards waiting, and nothing that takes time
	waiting map[netip.Addr]struct{} // met, and not on the allowlist yet

	mu    sync.Mutex     // held while the allowlist changes
	known []netip.Prefix // as the web server lists them
	met   []netip.Prefix // the others, which sent something
}

func newProxies(allow *decisions.Allow) *proxies {
	return &proxies{allow: allow, wake: make(chan struct{}, 1), waiting: map[netip.Addr]struct{}{}}
}

// meet notes that a peer is a trusted proxy. It never waits.
func (p *proxies) meet(peer netip.Addr) {
	if !peer.IsValid() || p.allow.Contains(peer) {
		return
	}
	p.urgent.Lock()
	if len(p.waiting) < maxProxies {
		p.waiting[peer] = struct{}{}
	}
	p.urgent.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// expects reports whether an address is about to get on the allowlist.
func (p *proxies) expects(a netip.Addr) bool {
	p.urgent.Lock()
	defer p.urgent.Unlock()
	_, ok := p.waiting[a]
	return ok
}

// run puts on the allowlist what was met; learnt is called when there was
// something new.
func (p *proxies) run(ctx context.Context, learnt func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
			if p.learn() {
				learnt()
			}
		}
	}
}

func (p *proxies) learn() bool {
	p.urgent.Lock()
	var fresh []netip.Addr
	for a := range p.waiting {
		fresh = append(fresh, a)
	}
	p.urgent.Unlock()
	p.mu.Lock()
	before := len(p.met)
	for _, a := range fresh {
		if len(p.met) < maxProxies && !p.allow.Contains(a) {
			p.met = append(p.met, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	grown := len(p.met) > before
	if grown {
		p.publish()
	}
	p.mu.Unlock()
	p.urgent.Lock()
	defer p.urgent.Unlock()
	for _, a := range fresh {
		delete(p.waiting, a)
	}
	return grown
}

// use takes the networks that s knows of. With forget those that were met one by
// one go: another configuration may not trust them.
func (p *proxies) use(s *Settings, forget bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if forget {
		p.met = nil
	}
	p.known = nil
	if s.config.Proxies != nil {
		p.known = s.config.Proxies()
	}
	p.publish()
}

// publish makes the allowlist say what is known. p.mu is held.
func (p *proxies) publish() {
	p.allow.SetBuiltin(decisions.KindTrustedProxies, slices.Concat(p.known, p.met))
}
