package appliance

import (
	"net/netip"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/event"
)

// journal is the way from the engine to the book, for decisions that spare those
// who can never be banned.
type journal state

// Append implements engine.Journal. In a fleet another node may have concluded the
// same overflow.
func (j *journal) Append(a *event.Alert, ds []decisions.Decision) error {
	st := (*state)(j)
	if st.fleet != nil && st.book.HasAlert(a.UUID) {
		return engine.ErrKnown
	}
	if a.Source != nil {
		if addr, err := netip.ParseAddr(a.Source.IP); err == nil {
			ds = st.spare(addr.WithZone("").Unmap(), ds)
		}
	}
	return st.book.Append(a, ds)
}

// spare decides nothing against a trusted proxy that is not on the allowlist yet.
// Decisions against those who are on it the book suppresses.
func (st *state) spare(addr netip.Addr, ds []decisions.Decision) []decisions.Decision {
	if len(ds) == 0 || st.allow.Contains(addr) {
		return ds
	}
	l := st.owner.live.Load()
	if l != nil && l.settings.config.Trusted != nil && l.settings.config.Trusted(addr) {
		st.proxies.meet(addr)
		return nil
	}
	if st.proxies.expects(addr) {
		return nil
	}
	return ds
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
