package parsers

import (
	"fmt"
	"net/netip"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// whitelist is what a node lets off. Immutable.
type whitelist struct {
	reason   string
	addrs    map[netip.Addr]struct{}
	prefixes []netip.Prefix
	allows   []*expression.Program
}

func (w *whitelist) byAddress() bool { return len(w.addrs)+len(w.prefixes) > 0 }

func (w *whitelist) holds(a netip.Addr) bool {
	if _, ok := w.addrs[a]; ok {
		return true
	}
	for _, p := range w.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (l *loader) whitelist(spec *whitelistSpec) (*whitelist, error) {
	if spec.empty() {
		return nil, nil
	}
	w := &whitelist{reason: spec.Reason, addrs: make(map[netip.Addr]struct{}, len(spec.IP))}
	for _, s := range spec.IP {
		a, err := netip.ParseAddr(s.text)
		if err != nil {
			return nil, at(s, fmt.Errorf("whitelist ip: %w", err))
		}
		w.addrs[a] = struct{}{}
	}
	for _, s := range spec.CIDR {
		p, err := netip.ParsePrefix(s.text)
		if err != nil {
			return nil, at(s, fmt.Errorf("whitelist cidr: %w", err))
		}
		w.prefixes = append(w.prefixes, p)
	}
	for _, s := range spec.Expression {
		p, err := l.compile(s, expression.Bool, "whitelist expression")
		if err != nil {
			return nil, err
		}
		w.allows = append(w.allows, p)
	}
	return w, nil
}

// whitelists asks the node's lists and marks the event on a hit. The first reason
// stays.
func (n *node) whitelists(r *run) bool {
	if !n.listed(r) {
		return false
	}
	r.trace.hit(n)
	ev := r.ev
	if !ev.Whitelisted {
		ev.Whitelisted, ev.WhitelistReason = true, n.whitelist.reason
	}
	if ev.Type == event.OverflowType {
		ev.Overflow.Whitelisted = true
	}
	return true
}

func (n *node) listed(r *run) bool {
	if n.whitelist.byAddress() && n.sourceListed(r) {
		return true
	}
	for _, p := range n.whitelist.allows {
		ok, err := p.Bool(&r.vars)
		if err != nil {
			// CrowdSec compatible: the expressions after it are not tried.
			r.debug("whitelist expression failed", n.name, err)
			return false
		}
		if ok {
			return true
		}
	}
	return false
}

func (n *node) sourceListed(r *run) bool {
	if r.ev.Type != event.OverflowType && !r.p.plain {
		a, ok := r.from.address(r.ev)
		return ok && n.whitelist.holds(a)
	}
	for _, a := range r.ev.ParseIPSources() {
		if n.whitelist.holds(a) {
			return true
		}
	}
	return false
}

// sender is the address of an event, read once for all nodes that ask.
type sender struct {
	text string
	addr netip.Addr
}

// address gives what ParseIPSources gives for a line.
func (s *sender) address(ev *event.Event) (netip.Addr, bool) { return s.parse(ev.Meta["source_ip"]) }

// parse is netip.ParseAddr; false: text is no address.
func (s *sender) parse(text string) (netip.Addr, bool) {
	if text != s.text {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			addr = netip.Addr{}
		}
		s.text, s.addr = text, addr
	}
	return s.addr, s.addr.IsValid()
}
