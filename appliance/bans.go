package appliance

import (
	"net/netip"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/firewall"
)

const (
	// repeatWindow is within how long a second ban makes a repeat offender.
	repeatWindow = 24 * time.Hour
	// oneAttack is how far apart bans must be to count as two: one request may
	// overflow several buckets.
	oneAttack = 5 * time.Second
)

// want are all bans that belong into the kernel, to be gone through once. w.mu is held,
// until then.
func (w *wall) want() firewall.Bans {
	best := map[netip.Prefix]firewall.Ban{}
	w.wide = map[netip.Prefix]struct{}{}
	for _, d := range w.st.book.List(decisions.Filter{Type: decisions.TypeBan, Active: true}) {
		p := d.Prefix()
		if p.IsValid() && d.Until.After(best[p].Until) && w.belongs(&d) {
			best[p] = firewall.Ban{Prefix: p, Until: d.Until, Origin: d.Origin}
		}
	}
	listed := w.listed(maxBans - max(len(best), ownBans))
	return firewall.Bans{Len: len(best) + listed.Len, All: func(yield func(firewall.Ban) bool) {
		for p, b := range best {
			if w.mayRemove(p, true); !yield(b) {
				return
			}
		}
		for b := range listed.All {
			if w.mayRemove(b.Prefix, true); !yield(b) {
				return
			}
		}
	}}
}

// ban is the kernel's ban of a prefix, from all that is decided about its value:
// the end of one decision is not the end of another.
func (w *wall) ban(p netip.Prefix, value string) (firewall.Ban, bool) {
	b := firewall.Ban{Prefix: p}
	for _, d := range w.st.book.List(decisions.Filter{Value: value, Type: decisions.TypeBan, Active: true}) {
		if d.Prefix() == p && d.Until.After(b.Until) && w.belongs(&d) {
			b.Until, b.Origin = d.Until, d.Origin
		}
	}
	return b, !b.Until.IsZero()
}

// belongs tells whether a ban is the kernel's business: the packets come from the
// client itself, and there is no HTTP layer to refuse it in (an SSH login, an
// operator's word), or it was banned before, or it keeps sending.
func (w *wall) belongs(d *decisions.Decision) bool {
	switch {
	case !d.Direct || d.Simulated || d.Suppressed:
		return false
	case d.Host == "" || w.escalated.has(d.ID):
		return true
	}
	return w.st.book.Bans(d.Value, d.Created.Add(-repeatWindow), d.Created.Add(-oneAttack)) > 0
}
