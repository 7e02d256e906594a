package appliance

import (
	"net/netip"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// journal is the way from the engine to the book, for decisions that spare those
// who can never be banned.
type journal state

// Append implements engine.Journal.
func (j *journal) Append(a *event.Alert, ds []decisions.Decision) error {
	st := (*state)(j)
	if a.Source != nil {
		if addr, err := netip.ParseAddr(a.Source.IP); err == nil {
			ds = st.spare(addr.WithZone("").Unmap(), ds)
		}
	}
	return st.book.Append(a, ds)
}

// spare leaves out decisions that would act against others in the place of an
// allowed address, such as against the /64 around it; what is covered by the
// allowlist the book records as suppressed. A trusted proxy may not be on the
// allowlist yet: then nothing is decided.
func (st *state) spare(addr netip.Addr, ds []decisions.Decision) []decisions.Decision {
	l := st.owner.live.Load()
	trusted := l != nil && l.settings.config.Trusted != nil && l.settings.config.Trusted(addr)
	if trusted {
		st.proxies.meet(addr)
	}
	// In this order: what is no longer expected is allowed.
	if !trusted && !st.proxies.expects(addr) && !st.allow.Contains(addr) {
		return ds
	}
	kept := ds[:0:0]
	for i := range ds {
		if p := ds[i].Prefix(); !p.IsValid() || !p.Contains(addr) || st.allow.Covers(p) {
			kept = append(kept, ds[i])
		}
	}
	return kept
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
